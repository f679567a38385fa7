#include "controller/providers/kubernetes/pods.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace headroom::kubernetes {
namespace {

Labels LabelsOf(const Json& object) {
  Labels labels;
  for (const auto& [key, value] : Part(object, {"metadata", "labels"}).items()) {
    if (value.is_string()) labels[key] = value.get<std::string>();
  }
  return labels;
}

bool IsReady(const Json& object) {
  const Json& conditions = Part(object, {"status", "conditions"});
  return conditions.is_array() && std::any_of(conditions.begin(), conditions.end(), [](const Json& condition) {
           return Text(condition, {"type"}) == "Ready" && Text(condition, {"status"}) == "True";
         });
}

// Most of a pod is what it is made of, and who wrote which field of it.
void Trim(Json& object) {
  for (const char* pointer : {"/metadata/managedFields", "/spec/containers", "/spec/initContainers", "/spec/volumes",
                              "/status/containerStatuses", "/status/initContainerStatuses"}) {
    const Json::json_pointer path(pointer);
    if (object.contains(path)) object.at(path.parent_pointer()).erase(path.back());
  }
}

}  // namespace

Pod PodOf(const Json& object) {
  Pod pod{.name = Text(object, {"metadata", "name"}),
          .node = Text(object, {"spec", "nodeName"}),
          .labels = LabelsOf(object)};
  std::string ignored;
  absl::ParseTime(absl::RFC3339_full, Text(object, {"metadata", "creationTimestamp"}), &pod.created_at, &ignored);
  pod.leaving = !Text(object, {"metadata", "deletionTimestamp"}).empty();
  const std::string phase = Text(object, {"status", "phase"});
  if (phase == "Running") pod.phase = Phase::kRunning;
  if (phase == "Unknown") pod.phase = Phase::kUnknown;
  pod.failed = phase == "Failed" || phase == "Succeeded";
  pod.ready = IsReady(object) && !pod.leaving;
  const std::string cost = Text(object, {"metadata", "annotations", "controller.kubernetes.io/pod-deletion-cost"});
  if (!absl::SimpleAtoi(cost, &pod.deletion_cost)) pod.deletion_cost = 0;
  return pod;
}

PodWatch::PodWatch(Api& api, const Options& options)
    : reflector_(api,
                 {.path = absl::StrCat("/api/v1/namespaces/", options.name_space, "/pods"),
                  .selector = options.selector,
                  .what = "the pods",
                  .pause = options.pause,
                  .pause_max = options.pause_max,
                  .trim = Trim,
                  .say = options.say},
                 *this) {}

absl::StatusOr<std::vector<Pod>> PodWatch::Pods(absl::Duration timeout) {
  const auto deadline = std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(timeout);
  const MonitorLock lock(mutex_);
  while (!state_.ok()) {
    const absl::Duration left = absl::FromChrono(deadline - std::chrono::steady_clock::now());
    if (left <= absl::ZeroDuration()) return state_;
    mutex_.Wait(left);
  }
  std::vector<Pod> pods;
  for (const auto& [name, pod] : pods_) pods.push_back(pod);
  return pods;
}

void PodWatch::Replace(std::vector<Json> objects) {
  std::map<std::string, Pod> pods;
  for (const Json& object : objects) {
    Pod pod = PodOf(object);
    pods[pod.name] = std::move(pod);
  }
  const MonitorLock lock(mutex_);
  pods_ = std::move(pods);
  state_ = absl::OkStatus();
  mutex_.Notify();
}

void PodWatch::Apply(const WatchEvent& event) {
  Pod pod = PodOf(event.object);
  const MonitorLock lock(mutex_);
  if (event.kind == WatchEvent::Kind::kDeleted) {
    pods_.erase(pod.name);
  } else {
    pods_[pod.name] = std::move(pod);
  }
  mutex_.Notify();
}

// Nobody is told of pods that nobody watches: what was known ends with the contact.
void PodWatch::Lost(const absl::Status& why) {
  const MonitorLock lock(mutex_);
  state_ = why;
  mutex_.Notify();
}

}  // namespace headroom::kubernetes
