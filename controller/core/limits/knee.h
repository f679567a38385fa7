#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/time/time.h"

namespace headroom {

// How many requests in service a node works best with: more of them bring less done. With its 90 % band.
struct Knee {
  double count = 0;  // at most 1.25 x the largest load seen: beyond it nobody knows
  double low = 0, high = 0;
  double proven = 0;  // the largest load seen, in requests in service
  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("count", self.count);
    visit("low", self.low);
    visit("high", self.high);
    visit("proven", self.proven);
  }
};

// KneeEstimator: learns a node's knee from its own traffic. A request's time in the server is W(n) = a + bn + cn^2 of
// the requests n in service (Gunther's universal scalability law in residence form), so throughput n / W(n) is highest
// at n* = sqrt(a / c). Least squares over means by load, so that long calm hours do not outvote short busy ones.
//
// Answers only what the data bear: nothing where the curve does not bend significantly (slots, clients or a network
// that bind first leave it straight), where the largest load seen is below half of the estimate, or where the band
// spans more than a factor of four. Forgets with a half-life of an hour, and all of it when requests suddenly take
// another time at the same load (a rebuild, a cold cache). It cannot tell a node from what is shared behind it while
// all nodes carry the same: as a ceiling for what is let in at once that is right either way, as a reason for more
// nodes it would not be.
//
// Promises: bounded (under 1 kB), O(1) an Add; deterministic. A value. Source: Gunther, "Guerrilla Capacity Planning".
class KneeEstimator {
 public:
  // What one report tells: requests in service now, answered a second, and how long these took in the mean.
  struct Look {
    double active = 0, per_second = 0;
    absl::Duration latency;
  };
  // Times ascend. A look in which n = X W (Little's law) is off by more than a third is an error of measurement.
  void Add(absl::Time at, const Look& look);
  const std::optional<Knee>& knee() const { return knee_; }
  // What it learned before a restart stands until it knows better.
  void Adopt(const Knee& knee);

  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("at", self.at_);
    visit("active", self.active_);
    visit("per_second", self.per_second_);
    visit("busy", self.busy_);
    visit("points", self.points_);
    visit("looks", self.looks_);
    visit("drift_up", self.drift_up_);
    visit("drift_down", self.drift_down_);
    visit("knee", self.knee_);
  }

 private:
  static constexpr size_t kPoints = 24;  // each a third wider than the one before, from one request in service on
  // The mean of the looks at about one load.
  struct Point {
    double weight = 0, load = 0, seconds = 0, spread = 0;  // spread: relative variance of seconds
    template <class Self, class Visitor>
    static void Fields(Self& self, Visitor&& visit) {
      visit("weight", self.weight);
      visit("load", self.load);
      visit("seconds", self.seconds);
      visit("spread", self.spread);
    }
  };

  bool IsAnotherRegime(const Point& point, double seconds);
  void Learn(double load, double seconds);
  std::optional<Knee> Fit() const;
  double Proven() const;
  double Noise() const;

  absl::Time at_ = absl::InfinitePast();
  double active_ = 0, per_second_ = 0, busy_ = 0;  // smoothed; busy: seconds of requests a second
  std::array<Point, kPoints> points_;
  int64_t looks_ = 0;
  double drift_up_ = 0, drift_down_ = 0;
  std::optional<Knee> knee_;
};

}  // namespace headroom
