#include "tests/controller/providers/kubernetes/fake_cluster.h"

#include <algorithm>
#include <tuple>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "tests/controller/providers/kubernetes/fake_objects.h"

namespace headroom::kubernetes {
namespace {

using Json = nlohmann::json;

constexpr char kPods[] = "/api/v1/namespaces/storage/pods";

Json PodObject(int number, bool ready) {
  return {
      {"metadata",
       {{"creationTimestamp", absl::StrFormat("2026-11-20T08:%02d:%02dZ", number / 60, number % 60)},
        {"labels", {{"app", "files"}}}}},
      {"spec", {{"nodeName", absl::StrCat("worker-", number % 3)}}},
      {"status", {{"phase", "Running"}, {"conditions", {{{"type", "Ready"}, {"status", ready ? "True" : "False"}}}}}}};
}

}  // namespace

FakeCluster::FakeCluster(Kind kind, int replicas) : kind_(kind) {
  for (int zone = 0; zone < 3; ++zone) {
    server_.Put(absl::StrCat("/api/v1/nodes/worker-", zone),
                {{"metadata", {{"labels", {{"topology.kubernetes.io/zone", absl::StrCat("zone-", zone)}}}}}});
  }
  if (kind == Kind::kCustom) {
    server_.Put("/apis/ceph.rook.io", {{"preferredVersion", {{"version", "v1"}}}});
    server_.Put("/apis/ceph.rook.io/v1", {{"resources",
                                           {{{"name", "cephobjectstores"}, {"kind", "CephObjectStore"}},
                                            {{"name", "cephobjectstores/scale"}, {"kind", "Scale"}},
                                            {{"name", "cephclusters"}, {"kind", "CephCluster"}}}}});
  }
  server_.Put(path(), {{"spec", {{"replicas", replicas}}}});
  Reconcile();
  server_.OnWrite([this](const FakeApiServer::Request&) { Reconcile(); });
}

std::string FakeCluster::reference() const {
  if (kind_ == Kind::kStatefulSet) return "statefulset/files";
  return kind_ == Kind::kDeployment ? "deployment/files" : "cephobjectstores.ceph.rook.io/files";
}

std::string FakeCluster::path() const {
  if (kind_ == Kind::kCustom) return "/apis/ceph.rook.io/v1/namespaces/storage/cephobjectstores/files";
  return absl::StrCat("/apis/apps/v1/namespaces/storage/", kind_ == Kind::kStatefulSet ? "statefulsets" : "deployments",
                      "/files");
}

std::string FakeCluster::PodPath(const std::string& name) {
  return absl::StrCat(kPods, "/", name);
}

int FakeCluster::replicas() const {
  return server_.Get(path()).value("/spec/replicas"_json_pointer, 0);
}

std::vector<std::string> FakeCluster::pods() const {
  return server_.Names(kPods);
}

void FakeCluster::Say(const std::string& pod, const char* ready) {
  Json object = server_.Get(PodPath(pod));
  object["status"]["conditions"][0]["status"] = ready;
  server_.Put(PodPath(pod), object);
}

void FakeCluster::Displace(const std::string& pod) {
  Json object = server_.Get(PodPath(pod));
  object["spec"].erase("nodeName");
  object["status"] = {{"phase", "Pending"}, {"conditions", {{{"type", "Ready"}, {"status", "False"}}}}};
  server_.Put(PodPath(pod), object);
}

void FakeCluster::Create(const std::string& pod) {
  Json object = server_.Get(PodPath(pod));
  object["status"] = {{"phase", "Pending"}, {"conditions", {{{"type", "Ready"}, {"status", "False"}}}}};
  server_.Put(PodPath(pod), object);
}

void FakeCluster::Fail(const std::string& pod) {
  Json object = server_.Get(PodPath(pod));
  object["status"] = {
      {"phase", "Failed"}, {"reason", "Evicted"}, {"conditions", {{{"type", "Ready"}, {"status", "False"}}}}};
  server_.Put(PodPath(pod), object);
  Reconcile();
}

void FakeCluster::AddForeign(const std::string& pod) {
  Json object = PodObject(0, true);
  object["metadata"]["labels"]["app"] = "others";
  server_.Put(PodPath(pod), object);
}

void FakeCluster::Leave() {
  for (const std::string& pod : pods()) {
    if (server_.Get(PodPath(pod))["metadata"].contains("deletionTimestamp")) server_.Delete(PodPath(pod));
  }
  Reconcile();
}

void FakeCluster::Resume() {
  pauses_ = false;
  Reconcile();
}

void FakeCluster::KeepNoOrder() {
  Json workload = server_.Get(path());
  workload["spec"]["podManagementPolicy"] = "Parallel";
  server_.Put(path(), workload);
}

std::vector<std::string> FakeCluster::Own() const {
  std::vector<std::string> own = pods();
  std::erase_if(own, [this](const std::string& pod) { return !IsSelected("app=files", server_.Get(PodPath(pod))); });
  return own;
}

// Of a StatefulSet one that failed keeps its name, and with it its place.
bool FakeCluster::IsStaying(const std::string& pod) const {
  const Json object = server_.Get(PodPath(pod));
  const bool failed = kind_ != Kind::kStatefulSet && object["status"]["phase"] == "Failed";
  return !failed && !object["metadata"].contains("deletionTimestamp");
}

void FakeCluster::Reconcile() {
  const std::lock_guard lock(mutex_);
  if (pauses_) return;
  const auto staying = [this] {
    const std::vector<std::string> own = Own();
    return std::count_if(own.begin(), own.end(), [this](const std::string& pod) { return IsStaying(pod); });
  };
  while (!comes_late_ && staying() < replicas() && Add()) {
  }
  while (staying() > replicas()) Remove();
}

// False: a StatefulSet's pod comes once the one that has its name is gone.
bool FakeCluster::Add() {
  std::string name = absl::StrFormat("files-7d9f-%05d", 31'337 * (made_ + 1) % 100'000);
  if (kind_ == Kind::kStatefulSet) {
    int ordinal = 0;
    while (!server_.Get(PodPath(absl::StrCat("files-", ordinal))).is_null()) ++ordinal;
    if (ordinal >= replicas()) return false;
    name = absl::StrCat("files-", ordinal);
  }
  server_.Put(PodPath(name), PodObject(made_++, !boots_slowly_));
  return true;
}

void FakeCluster::Remove() {
  const auto order = [this](const std::string& name) {
    const Json object = server_.Get(PodPath(name));
    int ordinal = 0, cost = 0;
    if (kind_ == Kind::kStatefulSet) {
      static_cast<void>(absl::SimpleAtoi(name.substr(name.rfind('-') + 1), &ordinal));
    } else if (!ignores_costs_) {
      const std::string text =
          object.value("/metadata/annotations/controller.kubernetes.io~1pod-deletion-cost"_json_pointer, "0");
      static_cast<void>(absl::SimpleAtoi(text, &cost));
    }
    const bool gone = !IsStaying(name), by_rank = kind_ != Kind::kStatefulSet;
    const bool placed = by_rank && !object["spec"].value("nodeName", "").empty();
    const bool runs = by_rank && object["status"]["phase"] == "Running";
    const bool ready = by_rank && object["status"]["conditions"][0]["status"] == "True";
    return std::tuple(gone, placed, runs, ready, cost, -ordinal,
                      object["metadata"]["creationTimestamp"].get<std::string>());
  };
  const std::vector<std::string> all = Own();
  const std::string victim = *std::min_element(
      all.begin(), all.end(), [&](const std::string& a, const std::string& b) { return order(a) < order(b); });
  if (!leaves_slowly_) return server_.Delete(PodPath(victim));
  Json object = server_.Get(PodPath(victim));
  object["metadata"]["deletionTimestamp"] = "2026-11-20T10:00:00Z";
  server_.Put(PodPath(victim), object);
}

}  // namespace headroom::kubernetes
