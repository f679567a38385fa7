#pragma once

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include <gtest/gtest.h>

#include "controller/runtime/archive.h"
#include "controller/runtime/shared_journal.h"
#include "controller/server/port.h"
#include "tests/controller/providers/kubernetes/fake_cluster.h"
#include "tests/ha/child.h"
#include "tests/ha/reporters.h"

// Real headroomd processes, one of which leads, over an API server that elects, keeps their state and runs a workload.

namespace headroom {

namespace fs = std::filesystem;
using kubernetes::FakeApiServer;
using kubernetes::FakeCluster;

inline constexpr absl::Duration kPatience = absl::Seconds(60);
// $HEADROOM_LEASE_SECONDS: to measure with the default of 15.
inline int LeaseSeconds() {
  const char* given = std::getenv("HEADROOM_LEASE_SECONDS");
  return given == nullptr ? 3 : std::atoi(given);
}

// Where a test counts leaders: a machine that is busy for a while must not make another one.
inline constexpr int kLongLeaseSeconds = 15;

inline constexpr char kPolicy[] = R"(cluster: files
mode: live
nodes:
  min: 3
  max: MAX
  stabilization: 2s
  cooldown: 3s
  lead_time: 2s
  drain_timeout: 30s
  launch_timeout: 60s
signals:
  connections: {per_node: 100}
control:
  tick: 200ms
  list_interval: 1s
  report_interval: 200ms
provider:
  kubernetes:
    namespace: storage
    workload: statefulset/files
    kubeconfig: )";

inline std::string Kubeconfig(const std::string& url, const std::string& token) {
  return absl::StrCat("apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters:\n- name: k\n  cluster: {server: \"",
                      url, "\"}\nusers:\n- name: u\n  user: {token: ", token,
                      "}\ncontexts:\n- name: c\n  context: {cluster: k, user: u, namespace: storage}\n");
}

class HaTest : public ::testing::Test {
 protected:
  explicit HaTest(int daemons = 3, int nodes_max = 9) {
    char folder[] = "/tmp/headroom-ha-XXXXXX";
    folder_ = mkdtemp(folder);
    cluster_.server().Put("/apis/coordination.k8s.io/v1/namespaces/storage/leases/other", {{"spec", {}}});
    for (int i = 0; i < daemons; ++i) {
      const std::string home = Home(i);
      fs::create_directories(home);
      std::ofstream(home + "/kubeconfig") << Kubeconfig(cluster_.server().url(), absl::StrCat("daemon-", i));
      std::string policy = kPolicy;
      policy.replace(policy.find("MAX"), 3, absl::StrCat(nodes_max));
      std::ofstream(home + "/policy.yaml") << policy << home << "/kubeconfig\n";
      endpoints_.push_back(absl::StrCat("127.0.0.1:", AnotherPort(home + "/grpc")));
      http_ports_.push_back(absl::StrCat(AnotherPort(home + "/http")));
      daemons_.push_back(nullptr);
    }
  }
  ~HaTest() override {
    reporters_.reset();
    for (auto& daemon : daemons_) {
      if (daemon != nullptr) daemon->Signal(SIGCONT);
    }
    daemons_.clear();
    if (HasFailure()) {
      for (size_t i = 0; i < endpoints_.size(); ++i)
        std::system(("tail -n 60 " + Home(static_cast<int>(i)) + "/log >&2").c_str());
    }
    fs::remove_all(folder_);
  }

  // Free, and none of those that were chosen for this test before: nobody listens there yet.
  int AnotherPort(const std::string& folder) {
    fs::create_directories(folder);
    const int port = *ChoosePort(folder);
    if (ports_.insert(port).second) return port;
    fs::remove_all(folder);
    return AnotherPort(folder);
  }
  FakeApiServer& server() const { return cluster_.server(); }
  std::string Home(int i) const { return absl::StrCat(folder_, "/", i); }
  void Start(int i) {
    const std::string home = Home(i);
    daemons_[static_cast<size_t>(i)] = std::make_unique<Child>(
        "headroomd",
        std::vector<std::string>{"--config", home + "/policy.yaml", "--state-dir", home, "--grpc-port",
                                 endpoints_[static_cast<size_t>(i)].substr(10), "--http-port",
                                 http_ports_[static_cast<size_t>(i)], "--election", "kubernetes",
                                 "--election-kubeconfig", home + "/kubeconfig", "--lease-seconds",
                                 absl::StrCat(lease_seconds_)},
        home + "/log");
  }
  void StartAll() {
    for (size_t i = 0; i < daemons_.size(); ++i) Start(static_cast<int>(i));
    reporters_ = std::make_unique<Reporters>(
        Reporters::Options{.endpoints = endpoints_, .cluster = "files", .names = [this] { return cluster_.pods(); }});
  }
  Child& Daemon(int i) { return *daemons_[static_cast<size_t>(i)]; }

  FakeApiServer::Json LeaseOf(const std::string& cluster) {
    return server().Get("/apis/coordination.k8s.io/v1/namespaces/storage/leases/headroom-" + cluster);
  }
  // Whose lease it is; -1: nobody's.
  int Leader() {
    const FakeApiServer::Json lease = LeaseOf("files");
    if (lease.is_null()) return -1;
    const std::string holder = lease.value("/spec/holderIdentity"_json_pointer, "");
    for (size_t i = 0; i < endpoints_.size(); ++i) {
      if (absl::StartsWith(holder, endpoints_[i] + "_")) return static_cast<int>(i);
    }
    return -1;
  }
  // Whether what a successor would find has this word in it.
  bool IsSaved(absl::string_view word) {
    const FakeApiServer::Json kept = server().Get("/api/v1/namespaces/storage/configmaps/headroom-state-files");
    std::string bytes;
    if (kept.is_null() || !absl::Base64Unescape(kept.value("/binaryData/state"_json_pointer, ""), &bytes)) return false;
    const absl::StatusOr<SharedState> state = UnpackShared(bytes);
    return state.ok() && absl::StrContains(ToArchive(*state), word);
  }
  bool Eventually(const std::function<bool()>& holds, absl::Duration patience = kPatience) {
    const absl::Time end = absl::Now() + patience;
    while (absl::Now() < end) {
      if (holds()) return true;
      absl::SleepFor(absl::Milliseconds(20));
    }
    return holds();
  }
  // A leader, whose word the nodes have heard.
  int AwaitLeader(int but_not = -1) {
    const size_t terms = but_not < 0 ? 0 : reporters_->terms().size();
    EXPECT_TRUE(Eventually([&] { return Leader() >= 0 && Leader() != but_not; }));
    const int leader = Leader();
    EXPECT_TRUE(Eventually([&] { return reporters_->terms().size() > terms; }));
    return leader;
  }
  // Writes to the workload that the API server took from this daemon, from the request with this number on.
  int EffectiveWritesOf(int i, size_t since) const {
    const std::vector<FakeApiServer::Request> requests = server().requests();
    int count = 0;
    for (size_t at = since; at < requests.size(); ++at) {
      const FakeApiServer::Request& request = requests[at];
      const bool write = request.method != "GET" && absl::StrContains(request.path, "/statefulsets/files");
      if (write && request.code / 100 == 2 && request.authorization == absl::StrCat("Bearer daemon-", i)) ++count;
    }
    return count;
  }

  mutable FakeCluster cluster_{FakeCluster::Kind::kStatefulSet, 3};
  std::string folder_;
  int lease_seconds_ = LeaseSeconds();  // of the daemons that are still to be started
  std::set<int> ports_;
  std::vector<std::string> endpoints_, http_ports_;
  std::vector<std::unique_ptr<Child>> daemons_;
  std::unique_ptr<Reporters> reporters_;
};

}  // namespace headroom
