#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "controller/base/monitor.h"
#include "controller/providers/kubernetes/api.h"
#include "controller/providers/kubernetes/reflector.h"
#include "controller/providers/kubernetes/selector.h"

namespace headroom::kubernetes {

// Where a pod is in its life, in the order in which a ReplicaSet gives up those that have a machine. A phase that is
// not one of these, an unknown one too, counts as the first.
enum class Phase { kPending, kUnknown, kRunning };

// A pod, as far as it matters here.
struct Pod {
  std::string name, node;  // node: the machine that it runs on; empty: not yet anywhere
  Labels labels;
  Phase phase = Phase::kPending;
  absl::Time created_at = absl::InfinitePast();
  bool ready = false, leaving = false, failed = false;
  int64_t deletion_cost = 0;
};
Pod PodOf(const Json& object);

// PodWatch: the pods of a selector as a Reflector tells of them. Keeps a thread. Thread-safe.
class PodWatch final : private Reflector::Sink {
 public:
  struct Options {
    std::string name_space, selector;
    absl::Duration pause = absl::Milliseconds(800), pause_max = absl::Seconds(30);  // those of the reflector
    std::function<void(absl::string_view)> say = nullptr;
  };
  PodWatch(Api& api, const Options& options);

  // By name. Waits for the first list, or the next one after a loss of contact; then the error of the last try.
  absl::StatusOr<std::vector<Pod>> Pods(absl::Duration timeout);

 private:
  void Replace(std::vector<Json> objects) override;
  void Apply(const WatchEvent& event) override;
  void Lost(const absl::Status& why) override;

  Monitor mutex_;
  std::map<std::string, Pod> pods_ ABSL_GUARDED_BY(mutex_);
  absl::Status state_ ABSL_GUARDED_BY(mutex_) = absl::UnavailableError("the pods have not been listed yet");
  Reflector reflector_;  // last: its thread uses all of the above
};

}  // namespace headroom::kubernetes
