#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/time/time.h"

#include "controller/base/monitor.h"
#include "controller/providers/http/transport.h"

namespace headroom {

// Call: what passes between the thread that waits for an answer and the threads of the library that brings it.
// Thread-safe. Whoever ends it first decides how it ended.
class Call {
 public:
  struct Bounds {
    absl::Duration connect, idle, whole;  // since the beginning; since the last byte; since the beginning
    size_t bytes_max = 0;                 // that nobody has taken
  };
  explicit Call(const Bounds& bounds) : bounds_(bounds) {}

  // The library's side.
  void Connected();
  void Begin(HttpResponse head);
  void Add(absl::string_view bytes);
  void End(const absl::Status& how);

  // What is new of it. The bytes are handed over once.
  struct News {
    bool ended = false;
    absl::Status how;
    std::optional<HttpResponse> head;
    std::string bytes;
  };
  // Waits until there is something, or a deadline has passed, which ends the call.
  News Wait();

 private:
  using Steady = std::chrono::steady_clock;
  struct Deadline {
    absl::Duration left;
    const char* what = "";
  };
  Deadline Next() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Bounds bounds_;
  const Steady::time_point began_at_ = Steady::now();
  Monitor mutex_;
  Steady::time_point heard_at_ ABSL_GUARDED_BY(mutex_) = began_at_;
  bool connected_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<absl::Status> ended_ ABSL_GUARDED_BY(mutex_);
  std::optional<HttpResponse> head_ ABSL_GUARDED_BY(mutex_);
  std::string bytes_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace headroom
