#pragma once

#include <atomic>
#include <cstdint>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace headroom {

// Clock: the only door to the time of day. One is made in each main(); everything below is given it, and the decision
// core is given only times. Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual absl::Time Now() const = 0;
};

class SystemClock final : public Clock {
 public:
  absl::Time Now() const override { return absl::Now(); }
};

// ManualClock: time that moves only when told; for tests and virtual time.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(absl::Time start) : unix_nanos_(absl::ToUnixNanos(start)) {}
  absl::Time Now() const override { return absl::FromUnixNanos(unix_nanos_.load()); }
  void Advance(absl::Duration by) { unix_nanos_ += absl::ToInt64Nanoseconds(by); }
  void Set(absl::Time at) { unix_nanos_ = absl::ToUnixNanos(at); }

 private:
  std::atomic<int64_t> unix_nanos_;
};

}  // namespace headroom
