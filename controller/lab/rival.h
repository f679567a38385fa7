#pragma once

#include <limits>

#include "controller/base/check.h"
#include "controller/lab/task.h"

namespace headroom::lab {

// Meter: what can be measured of demand up to now. It does not show the future.
class Meter {
 public:
  // `sum_before` and `known_before` have steps + 1 entries and outlive it; step 0 begins at `start_unix_seconds`.
  Meter(const double* sum_before, const int32_t* known_before, int64_t start_unix_seconds = 0)
      : sum_(sum_before), known_(known_before), start_unix_seconds_(start_unix_seconds) {}

  void AdvanceTo(int step) { now_ = step; }
  int now() const { return now_; }
  int64_t start_unix_seconds() const { return start_unix_seconds_; }

  // The mean demand over steps [begin, end), in nodes; NaN: nothing is known there. What begins before the start of
  // the course begins there. `end` is now at most.
  double Mean(int begin, int end) const {
    HR_CHECK(end <= now_);
    if (begin < 0) begin = 0;
    if (end <= begin || known_[end] == known_[begin]) return std::numeric_limits<double>::quiet_NaN();
    return (sum_[end] - sum_[begin]) / (known_[end] - known_[begin]);
  }

 private:
  const double* sum_;
  const int32_t* known_;
  const int64_t start_unix_seconds_;
  int now_ = 0;
};

// Sensor: how a policy sees demand: the mean over a window, refreshed now and then, late.
struct Sensor {
  int window_steps = 1;
  int refresh_steps = 1;
  int delay_steps = 0;

  double Read(const Meter& meter) const {
    const int end = meter.now() / refresh_steps * refresh_steps - delay_steps;
    return meter.Mean(end - window_steps, end);
  }
};

struct Nodes {
  int present = 0;  // launched and not removed
  int ready = 0;    // of those: booted
};

// Which nodes leave at scale-in: the booting and then the youngest, or the oldest, or the youngest of those that have
// been paid for as long as they must be (of the others only where there is none).
enum class Victims { kYoungest, kOldest, kPaidOut };

// Rival: a policy of node counts under the standard task. Made for one run of one seed; single-threaded.
class Rival {
 public:
  virtual ~Rival() = default;
  // It decides every so many steps, from step 0 on.
  virtual int period_steps() const = 0;
  // How many nodes it wants, at the beginning of step meter.now(). The task bounds the answer to 1 .. 200.
  virtual int Decide(const Meter& meter, const Nodes& nodes) = 0;
  virtual Victims victims() const { return Victims::kYoungest; }
  // Its metric of a ready node at 100 %, in what a node serves: 1 for the use of a processor.
  virtual double metric_max() const { return 1; }
  // So many nodes are gone, before the next Decide(), which sees what is left.
  virtual void Lose(int) {}
};

}  // namespace headroom::lab
