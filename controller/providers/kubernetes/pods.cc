#include "controller/providers/kubernetes/pods.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

#include "controller/base/status.h"

namespace headroom::kubernetes {
namespace {

constexpr int kPageSize = 500;
constexpr int kWatchSeconds = 300;  // then the server ends it, and it begins again where it was

// What stands in a query: a selector has "=", "," and "(" in it.
std::string Encoded(absl::string_view text) {
  std::string encoded;
  for (const char c : text) {
    if (absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '.' || c == '_' || c == '~') {
      encoded += c;
    } else {
      absl::StrAppend(&encoded, "%", absl::Hex(static_cast<unsigned char>(c), absl::kZeroPad2));
    }
  }
  return encoded;
}

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

}  // namespace

Pod PodOf(const Json& object) {
  Pod pod{.name = Text(object, {"metadata", "name"}),
          .node = Text(object, {"spec", "nodeName"}),
          .labels = LabelsOf(object)};
  std::string ignored;
  absl::ParseTime(absl::RFC3339_full, Text(object, {"metadata", "creationTimestamp"}), &pod.created_at, &ignored);
  pod.leaving = !Text(object, {"metadata", "deletionTimestamp"}).empty();
  const std::string phase = Text(object, {"status", "phase"});
  pod.failed = phase == "Failed" || phase == "Succeeded";
  pod.ready = IsReady(object) && !pod.leaving;
  const std::string cost = Text(object, {"metadata", "annotations", "controller.kubernetes.io/pod-deletion-cost"});
  if (!absl::SimpleAtoi(cost, &pod.deletion_cost)) pod.deletion_cost = 0;
  return pod;
}

PodWatch::PodWatch(Api& api, Options options) : api_(api), options_(std::move(options)), pause_(options_.pause) {
  thread_ = std::thread([this] { Run(); });
}

PodWatch::~PodWatch() {
  {
    const MonitorLock lock(mutex_);
    stopping_ = true;
    mutex_.Notify();
  }
  ending_.Cancel();
  thread_.join();
}

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

void PodWatch::Run() {
  while (!ending_.is_cancelled()) {
    absl::Status told = revision_.empty() ? List() : absl::OkStatus();
    while (told.ok() && !ending_.is_cancelled()) told = Follow();
    if (!absl::IsOutOfRange(told)) Pause(told);
    if (absl::IsOutOfRange(told)) revision_.clear();
  }
}

// Nobody is told of pods that nobody watches: what was known ends with the contact.
void PodWatch::Pause(const absl::Status& why) {
  if (!why.ok() && !ending_.is_cancelled() && options_.say != nullptr && said_ != why.code()) {
    said_ = why.code();
    options_.say(absl::StrCat("the pods cannot be followed: ", why.message()));
  }
  const MonitorLock lock(mutex_);
  state_ = why.ok() ? absl::UnavailableError("the watch has ended") : why;
  mutex_.Notify();
  if (!stopping_) mutex_.Wait(pause_);
  pause_ = std::min(2 * pause_, options_.pause_max);
  revision_.clear();
}

absl::Status PodWatch::List() {
  std::map<std::string, Pod> pods;
  std::string revision, next;
  do {
    const std::string path =
        absl::StrCat("/api/v1/namespaces/", options_.name_space, "/pods?labelSelector=", Encoded(options_.selector),
                     "&limit=", kPageSize, next.empty() ? "" : "&continue=", Encoded(next));
    HR_ASSIGN_OR_RETURN(const Json page, api_.Call({.path = path, .timeout = absl::Seconds(30)}));
    for (const Json& object : Part(page, {"items"})) {
      Pod pod = PodOf(object);
      pods[pod.name] = std::move(pod);
    }
    revision = Text(page, {"metadata", "resourceVersion"});
    next = Text(page, {"metadata", "continue"});
  } while (!next.empty() && !ending_.is_cancelled());
  revision_ = revision;
  const MonitorLock lock(mutex_);
  pods_ = std::move(pods);
  state_ = absl::OkStatus();
  mutex_.Notify();
  return absl::OkStatus();
}

absl::Status PodWatch::Follow() {
  const std::string path =
      absl::StrCat("/api/v1/namespaces/", options_.name_space, "/pods?labelSelector=", Encoded(options_.selector),
                   "&watch=1&allowWatchBookmarks=true&timeoutSeconds=", kWatchSeconds, "&resourceVersion=", revision_);
  const auto began = std::chrono::steady_clock::now();
  int events = 0;
  const absl::Status told = api_.Watch(
      path,
      [&](const WatchEvent& event) {
        ++events;
        return Take(event);
      },
      ending_);
  const absl::Duration lasted = absl::FromChrono(std::chrono::steady_clock::now() - began);
  if (events > 0 || lasted > options_.pause_max) {
    const MonitorLock lock(mutex_);
    pause_ = options_.pause;
  }
  // As client-go: a server that ends every watch at once is not asked without a pause.
  const bool hasty = events == 0 && lasted < absl::Seconds(1);
  return told.ok() && hasty ? absl::UnavailableError("the server ended the watch at once") : told;
}

absl::Status PodWatch::Take(const WatchEvent& event) {
  said_ = absl::StatusCode::kOk;
  revision_ = Text(event.object, {"metadata", "resourceVersion"});
  if (event.kind == WatchEvent::Kind::kBookmark) return absl::OkStatus();
  Pod pod = PodOf(event.object);
  const MonitorLock lock(mutex_);
  if (event.kind == WatchEvent::Kind::kDeleted) {
    pods_.erase(pod.name);
  } else {
    pods_[pod.name] = std::move(pod);
  }
  mutex_.Notify();
  return absl::OkStatus();
}

}  // namespace headroom::kubernetes
