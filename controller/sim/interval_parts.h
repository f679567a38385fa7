#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "controller/sim/idle_ages.h"
#include "controller/sim/interval_model.h"

// The parts of IntervalModel, for its own files.

namespace headroom::sim {

// The nearest whole number of what is not negative: std::llround() is a call, and there are fifteen to a report.
inline int64_t Whole(double count) {
  const double above = count + 0.5;
  return static_cast<int64_t>(above);
}

// Erlang's loss formula: the share of calls that finds all of `lines` busy.
inline double AllBusy(size_t lines, double offered) {
  double busy = 1;
  for (size_t line = 1; line <= lines; ++line) busy = offered * busy / (static_cast<double>(line) + offered * busy);
  return busy;
}

// Latencies: values of an exponential distribution, as whole counts in a histogram: points of equal weight.
class Latencies {
 public:
  // The distribution has this mean and begins at `least`, in seconds.
  void Aim(double mean, double least);
  void Add(int64_t count, LatencyHistogram& histogram);

 private:
  static constexpr int kPoints = 16;
  double mean_ = -1, least_ = 0;
  std::array<uint8_t, kPoints> buckets_{};
  int64_t cursor_ = 0;
};

struct IntervalModel::Node {
  NodeId id;
  std::string zone;
  ActionId launch_id;
  std::string boot_id;
  NodeState state = NodeState::kBooting;
  int boots = 0;
  int64_t boots_at_nanos = std::numeric_limits<int64_t>::max(), booted_nanos = 0;
  LimitsInForce limits;         // by SetLimits()
  double idle_seconds_max = 0;  // the idle timeout; 0: for ever
  double slowness = 1;
  uint64_t sequence = 0;
  Pool* pool = nullptr;

  std::array<IdleAges, kRanks> kept;  // connections of clients that call, busy ones too, by rank
  IdleAges dormant;                   // of clients that no longer call
  double leaving = 0;                 // busy ones that close when they are done
  double active = 0;                  // requests in service
  double alive = 0, stale = 0;        // in the accept queue: whose client waits, or has gone
  double service = 0;                 // seconds that a request takes now
  double arrived = 0;                 // requests that went into service in this step

  Tally accepted, rejected, closed_idle, shed, completed, drops;
  double device_seconds = 0;
  LatencyHistogram latency;
  Latencies latencies;
  bool is_calm = true;
  int64_t rejected_reported = 0;

  void SetLimits(const LimitsInForce& in_force) {
    limits = in_force;
    idle_seconds_max = absl::ToDoubleSeconds(limits.idle_timeout);
  }
  double idle_grain() const { return idle_seconds_max / IdleAges::kCohorts; }
  double kept_count() const {
    double count = 0;
    for (const IdleAges& rank : kept) count += rank.count();
    return count;
  }
  double open() const { return kept_count() + dormant.count() + leaving; }
  double room() const {
    if (limits.connection_count_max == 0) return std::numeric_limits<double>::infinity();
    return std::max(0.0, static_cast<double>(limits.connection_count_max) - open());
  }
};

struct IntervalModel::Pool {
  static constexpr size_t kStates = kRanks + 1;  // a client has so many connections, or none

  std::vector<Node*> nodes;  // that get new connections
  double clients = 0;
  std::array<double, kStates + 1> with{};  // clients with so many connections or more
  std::array<WaitingLine, kStates> queued, knocking, pooled;
  std::array<ByAttempt, kStates> pausing{};
  std::array<double, kStates> use_rate{};  // per second, of a connection of this rank
  std::array<double, kStates> used{};      // share of the connections of this rank that are used in this step

  std::vector<double> shares;  // of what is being spread, by node; scratch

  double Exactly(size_t state) const { return std::max(0.0, with[state] - with[state + 1]); }
  double Stuck(size_t state) const { return queued[state].count() + knocking[state].count(); }
  double waiting() const {
    double count = 0;
    for (size_t state = 0; state < kStates; ++state) count += Stuck(state) + pooled[state].count();
    return count;
  }
};

struct IntervalModel::Step {
  double seconds = 0;
  std::array<ByAttempt, Pool::kStates> offered{};  // attempts, by how many connections their clients have
  std::array<double, Pool::kStates> blocked{};     // share of them that finds all of these busy
  std::array<ByAttempt, Pool::kStates> knocks{};   // that no node took at once
  ByAttempt served{};                              // that went into service
};

}  // namespace headroom::sim
