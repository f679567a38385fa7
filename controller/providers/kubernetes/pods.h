#pragma once

#include <functional>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "controller/base/monitor.h"
#include "controller/providers/kubernetes/api.h"
#include "controller/providers/kubernetes/selector.h"

namespace headroom::kubernetes {

// A pod, as far as it matters here.
struct Pod {
  std::string name, node;  // node: the machine that it runs on; empty: not yet anywhere
  Labels labels;
  absl::Time created_at = absl::InfinitePast();
  bool ready = false, leaving = false, failed = false;
  int64_t deletion_cost = 0;
};
Pod PodOf(const Json& object);

// PodWatch: the pods of a selector as the API server tells them: one list, then a watch with bookmarks; a new list
// after 410, pauses that double up to 30 s while the server cannot be reached (client-go's reflector). Keeps a thread.
// Thread-safe.
class PodWatch {
 public:
  struct Options {
    std::string name_space, selector;
    absl::Duration pause = absl::Milliseconds(800), pause_max = absl::Seconds(30);
    // Why there is no list or no watch, once for each code until there is news again: with lists alone all seems well
    // between two pauses. May be null; the watch's own thread.
    std::function<void(absl::string_view)> say;
  };
  PodWatch(Api& api, Options options);
  ~PodWatch();
  PodWatch(const PodWatch&) = delete;
  PodWatch& operator=(const PodWatch&) = delete;

  // By name. Waits for the first list, or the next one after a loss of contact; then the error of the last try.
  absl::StatusOr<std::vector<Pod>> Pods(absl::Duration timeout);

 private:
  void Run();
  absl::Status List();
  absl::Status Follow();
  absl::Status Take(const WatchEvent& event);
  void Pause(const absl::Status& why);

  Api& api_;
  const Options options_;
  Cancellation ending_;
  Monitor mutex_;
  std::map<std::string, Pod> pods_ ABSL_GUARDED_BY(mutex_);
  absl::Status state_ ABSL_GUARDED_BY(mutex_) = absl::UnavailableError("the pods have not been listed yet");
  absl::Duration pause_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::string revision_;  // the thread's, as the next
  absl::StatusCode said_ = absl::StatusCode::kOk;
  std::thread thread_;
};

}  // namespace headroom::kubernetes
