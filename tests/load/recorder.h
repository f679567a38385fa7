#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "tests/load/histogram.h"
#include "tests/load/profile.h"

namespace headroom::load {

// Failure: why an attempt, and in the end a request, failed.
enum class Failure {
  kNone,
  kTimeout,         // no complete response within request_timeout
  kConnectTimeout,  // no connection within connect_timeout
  kRefused,         // the connection was refused
  kReset,           // closed or reset before a response, or reset in the middle of one
  kHttp5xx,
  kHttp4xx,
  kPoolTimeout,  // pool_wait passed in the line of the client's own pool
  kBadBody,      // malformed, shorter than its Content-Length, or not of the size that the profile expects
};
inline constexpr size_t kFailures = 9;
absl::string_view FailureName(Failure failure);

// Outcome: how a request ended, after its retries. Times are since the start of the run.
struct Outcome {
  absl::Duration intended, finished;
  int phase = 0;
  int attempts = 1;
  Failure failure = Failure::kNone;
};

// Figures: what is counted over one span of intended arrivals (a second, a phase, the run).
struct Figures {
  int64_t offered = 0;    // requests whose intended time lies in the span
  int64_t completed = 0;  // of these: answered well
  int64_t attempts = 0;   // of these, when they had ended: 1 + retries
  int64_t over_250ms = 0;
  std::array<int64_t, kFailures> failures{};  // of these: final failures by class; index kNone stays 0
  Histogram latency;                          // of the completed ones, from the intended time

  int64_t failed() const;
  int64_t ended() const { return completed + failed(); }
  double FailedRatio() const;
  Figures& operator+=(const Figures& other);
};

// Second: one second of the run. Figures are booked by intended time; the rest by the time at which it happened.
struct Second {
  Figures figures;
  Histogram lag;  // how late arrivals left the generator, by intended time
  int64_t attempts_started = 0;
  int64_t retries_started = 0;
  int64_t connects = 0;
  int64_t open_connections = 0;  // at the end of the second
  int64_t failures_seen = 0;     // final failures that happened in it

  // Did its requests miss the objective? One that failed misses it always.
  bool Misses(absl::Duration objective_p99) const;
};

// Incidents: counters of the whole run.
struct Incidents {
  std::array<int64_t, kFailures> attempt_failures{};
  int64_t attempts = 0;
  int64_t retries = 0;
  int64_t connects = 0;
  int64_t stale_retries = 0;         // reused connections that were dead; tried again at once, not a failed attempt
  int64_t retry_budget_refused = 0;  // retries not made for want of a token
  int64_t open_connections_peak = 0;
};

// Summary: the run in numbers. `relief`: from the first failure to the start of the first span of 5 s without one;
// zero where nothing failed, nullopt where no such span was seen before the last phase ended.
struct Summary {
  Figures total;
  std::vector<Figures> phases;
  std::vector<Second> seconds;
  Incidents incidents;
  Histogram lag;
  std::optional<absl::Duration> first_failure, relief;
  int64_t seconds_over_objective = 0;
  int64_t unfinished = 0;   // requests that had not ended when the run was cut short
  absl::Duration observed;  // how much of the schedule was offered
  bool interrupted = false;
  std::vector<std::string> void_reasons;  // not empty: the generator was at fault, discard the figures
};

// Recorder: turns what happened to requests into the figures of a run. Pure: no clock, no I/O. Calls come in order of
// time. Memory is bounded by kLongestRun. Not thread-safe.
class Recorder {
 public:
  static constexpr absl::Duration kReliefSpan = absl::Seconds(5);
  static constexpr absl::Duration kSlow = absl::Milliseconds(250);
  static constexpr absl::Duration kLagMax = absl::Milliseconds(100);  // above it a run is void

  Recorder(size_t phase_count, absl::Duration objective_p99);

  // A request left the generator at `now`.
  void Offered(absl::Duration intended, absl::Duration now, int phase);
  void AttemptStarted(absl::Duration now, int attempt);
  void AttemptFailed(Failure failure) { ++incidents_.attempt_failures[static_cast<size_t>(failure)]; }
  void Finished(const Outcome& outcome);
  void Connected(absl::Duration now);
  void StaleRetry() { ++incidents_.stale_retries; }
  void RetryBudgetRefused() { ++incidents_.retry_budget_refused; }
  void OpenConnections(absl::Duration now, int64_t count);

  // The second that holds `at`; an empty one where nothing was recorded.
  Second SecondAt(absl::Duration at) const;
  // `observed`: how far arrivals were offered, that is the length of the schedule or the moment of an interruption.
  Summary Summarise(absl::Duration observed) const;

 private:
  Second& At(absl::Duration at);
  void NoteFailure(absl::Duration at);

  absl::Duration objective_p99_;
  std::vector<Figures> phases_;
  std::vector<Second> seconds_;
  Incidents incidents_;
  std::optional<absl::Duration> first_failure_, last_failure_, relief_;
};

}  // namespace headroom::load
