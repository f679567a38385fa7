#include "tests/load/recorder.h"

#include <algorithm>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "controller/base/check.h"

namespace headroom::load {
namespace {

size_t Index(absl::Duration at) {
  return static_cast<size_t>(std::max<int64_t>(absl::ToInt64Seconds(at), 0));
}

}  // namespace

absl::string_view FailureName(Failure failure) {
  switch (failure) {
    case Failure::kNone:
      return "none";
    case Failure::kTimeout:
      return "timeout";
    case Failure::kConnectTimeout:
      return "connect_timeout";
    case Failure::kRefused:
      return "refused";
    case Failure::kReset:
      return "reset";
    case Failure::kHttp5xx:
      return "http_5xx";
    case Failure::kHttp4xx:
      return "http_4xx";
    case Failure::kPoolTimeout:
      return "pool_timeout";
    case Failure::kBadBody:
      return "bad_body";
  }
  HR_CHECK(false);
}

int64_t Figures::failed() const {
  return std::accumulate(failures.begin(), failures.end(), int64_t{0});
}

double Figures::FailedRatio() const {
  return ended() == 0 ? 0.0 : static_cast<double>(failed()) / static_cast<double>(ended());
}

Figures& Figures::operator+=(const Figures& other) {
  offered += other.offered;
  completed += other.completed;
  attempts += other.attempts;
  over_250ms += other.over_250ms;
  for (size_t i = 0; i < kFailures; ++i) failures[i] += other.failures[i];
  latency += other.latency;
  return *this;
}

bool Second::Misses(absl::Duration objective_p99) const {
  return figures.failed() > 0 || figures.latency.Quantile(0.99) > objective_p99;
}

Recorder::Recorder(size_t phase_count, absl::Duration objective_p99)
    : objective_p99_(objective_p99), phases_(phase_count) {}

Second& Recorder::At(absl::Duration at) {
  if (Index(at) >= seconds_.size()) seconds_.resize(Index(at) + 1);
  return seconds_[Index(at)];
}

Second Recorder::SecondAt(absl::Duration at) const {
  return Index(at) < seconds_.size() ? seconds_[Index(at)] : Second();
}

void Recorder::Offered(absl::Duration intended, absl::Duration now, int phase) {
  Second& second = At(intended);
  ++second.figures.offered;
  second.lag.Add(now - intended);
  ++phases_.at(static_cast<size_t>(phase)).offered;
}

void Recorder::AttemptStarted(absl::Duration now, int attempt) {
  Second& second = At(now);
  ++second.attempts_started;
  ++incidents_.attempts;
  if (attempt == 1) return;
  ++second.retries_started;
  ++incidents_.retries;
}

void Recorder::Finished(const Outcome& outcome) {
  Second& second = At(outcome.intended);
  const absl::Duration latency = outcome.finished - outcome.intended;
  for (Figures* figures : {&second.figures, &phases_.at(static_cast<size_t>(outcome.phase))}) {
    figures->attempts += outcome.attempts;
    if (outcome.failure != Failure::kNone) {
      ++figures->failures[static_cast<size_t>(outcome.failure)];
      continue;
    }
    ++figures->completed;
    figures->latency.Add(latency);
    if (latency > kSlow) ++figures->over_250ms;
  }
  if (outcome.failure != Failure::kNone) NoteFailure(outcome.finished);
}

void Recorder::NoteFailure(absl::Duration at) {
  ++At(at).failures_seen;
  if (!first_failure_) first_failure_ = at;
  if (!relief_ && last_failure_ && at - *last_failure_ >= kReliefSpan) relief_ = *last_failure_ - *first_failure_;
  last_failure_ = at;
}

void Recorder::Connected(absl::Duration now) {
  ++At(now).connects;
  ++incidents_.connects;
}

void Recorder::OpenConnections(absl::Duration now, int64_t count) {
  At(now).open_connections = count;
  incidents_.open_connections_peak = std::max(incidents_.open_connections_peak, count);
}

Summary Recorder::Summarise(absl::Duration observed) const {
  Summary summary{.phases = phases_, .seconds = seconds_, .incidents = incidents_};
  summary.observed = observed;
  for (const Figures& phase : phases_) summary.total += phase;
  for (const Second& second : seconds_) {
    summary.lag += second.lag;
    summary.seconds_over_objective += second.Misses(objective_p99_) ? 1 : 0;
  }
  summary.unfinished = summary.total.offered - summary.total.ended();
  summary.first_failure = first_failure_;
  summary.relief = relief_;
  if (!first_failure_) summary.relief = absl::ZeroDuration();
  if (!summary.relief && observed - *last_failure_ >= kReliefSpan) summary.relief = *last_failure_ - *first_failure_;
  if (summary.lag.max() > kLagMax) {
    summary.void_reasons.push_back(
        absl::StrFormat("the generator sent a request %.0f ms late; more than %.0f ms voids a run",
                        absl::ToDoubleMilliseconds(summary.lag.max()), absl::ToDoubleMilliseconds(kLagMax)));
  }
  return summary;
}

}  // namespace headroom::load
