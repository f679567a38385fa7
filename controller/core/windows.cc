#include "controller/core/windows.h"

#include <algorithm>
#include <cmath>

namespace headroom {
namespace {

double PerSecond(int64_t now, int64_t before, double seconds) {
  return static_cast<double>(std::max<int64_t>(now - before, 0)) / seconds;
}

std::optional<double> PerSecond(std::optional<int64_t> now, std::optional<int64_t> before, double seconds) {
  if (!now.has_value() || !before.has_value()) return std::nullopt;
  return PerSecond(*now, *before, seconds);
}

NodeRates Between(const NodeCounters& before, const NodeCounters& now) {
  NodeRates rates;
  const double seconds = absl::ToDoubleSeconds(now.uptime - before.uptime);
  if (seconds <= 0) return rates;
  rates.seconds = seconds;
  rates.completed = PerSecond(now.completed, before.completed, seconds);
  rates.errors = PerSecond(now.errors, before.errors, seconds);
  rates.errors_slots_free = PerSecond(now.errors_slots_free, before.errors_slots_free, seconds);
  rates.accepted = PerSecond(now.accepted, before.accepted, seconds);
  rates.rejected = PerSecond(now.rejected, before.rejected, seconds);
  rates.received_bytes = PerSecond(now.received_bytes, before.received_bytes, seconds);
  rates.sent_bytes = PerSecond(now.sent_bytes, before.sent_bytes, seconds);
  rates.drops = PerSecond(now.drops, before.drops, seconds);
  rates.overflows = PerSecond(now.overflows, before.overflows, seconds);
  rates.retries = PerSecond(now.retries, before.retries, seconds);
  rates.segments_out = PerSecond(now.segments_out, before.segments_out, seconds);
  rates.retransmits = PerSecond(now.retransmits, before.retransmits, seconds);
  rates.cpu_cores = std::max(0.0, absl::ToDoubleSeconds(now.cpu_time - before.cpu_time) / seconds);
  if (now.device_time.has_value() && before.device_time.has_value() && now.completed > before.completed) {
    rates.device_latency = (*now.device_time - *before.device_time) / (now.completed - before.completed);
  }
  return rates;
}

}  // namespace

void CounterWindow::Add(const NodeCounters& counters) {
  constexpr absl::Duration kApart = absl::Milliseconds(950);  // reports at a pace of 1 s jitter
  if (snapshot_count() == 0 || counters.uptime < ring_[latest_].uptime) {
    ring_.assign(2, counters);
    latest_ = 1;
    return;
  }
  const bool keeps = ring_[latest_].uptime - Snapshot(0).uptime >= kApart;
  if (keeps && snapshot_count() < kSnapshots) {
    ring_.push_back(counters);
    latest_ = ring_.size() - 1;
    return;
  }
  if (keeps) latest_ = (latest_ + 1) % ring_.size();
  ring_[latest_] = counters;
}

std::vector<NodeCounters> CounterWindow::OldestFirst() const {
  std::vector<NodeCounters> ordered;
  ordered.reserve(snapshot_count());
  for (size_t age = snapshot_count(); age > 0; --age) ordered.push_back(Snapshot(age - 1));
  return ordered;
}

const NodeCounters* CounterWindow::SnapshotBefore(absl::Duration over) const {
  if (snapshot_count() == 0) return nullptr;
  const absl::Duration until = ring_[latest_].uptime - over;
  const size_t oldest = (latest_ + 1) % ring_.size();
  size_t at = latest_;
  do {
    at = (at == 0 ? ring_.size() : at) - 1;
    if (ring_[at].uptime <= until) break;
  } while (at != oldest);
  return &ring_[at];
}

NodeRates CounterWindow::Rates(absl::Duration over) const {
  const NodeCounters* before = SnapshotBefore(over);
  return before == nullptr ? NodeRates() : Between(*before, ring_[latest_]);
}

LatencyHistogram CounterWindow::LatencyOver(absl::Duration over) const {
  const NodeCounters* before = SnapshotBefore(over);
  if (before == nullptr || before->uptime >= ring_[latest_].uptime) return {};
  return ring_[latest_].latency.Since(before->latency);
}

Goodput CounterWindow::GoodputOver(absl::Duration over) const {
  const NodeCounters* before = SnapshotBefore(over);
  if (before == nullptr) return {};
  const NodeCounters& now = ring_[latest_];
  const double seconds = absl::ToDoubleSeconds(now.uptime - before->uptime);
  if (seconds <= 0) return {};
  return {PerSecond(now.completed - now.errors, before->completed - before->errors, seconds), seconds};
}

void WindowedMax::Add(absl::Time at, absl::Duration window, double value) {
  const int64_t number = Bucket(at, window);
  const auto slot = static_cast<size_t>(number % kBuckets);
  if (buckets_[slot] != number) {
    buckets_[slot] = number;
    maxima_[slot] = value;
  }
  maxima_[slot] = std::max(maxima_[slot], value);
  max_ = number == newest_ ? std::max(max_, value) : MaxUntil(number);
  newest_ = number;
}

int64_t WindowedMax::Bucket(absl::Time now, absl::Duration window) {
  const int64_t length = std::max<int64_t>(1, absl::ToInt64Microseconds(window) / kBuckets);
  return absl::ToUnixMicros(now) / length + 1;
}

double WindowedMax::MaxUntil(int64_t number) const {
  double highest = 0;
  for (size_t i = 0; i < buckets_.size(); ++i) {
    if (buckets_[i] > number - kBuckets && buckets_[i] <= number) highest = std::max(highest, maxima_[i]);
  }
  return highest;
}

void Slope::Add(absl::Time at, double value) {
  const absl::Time since = at - kAge;
  const auto is_new = [since](absl::Time time) { return time >= since; };
  size_t old = static_cast<size_t>(std::find_if(times_.begin(), times_.end(), is_new) - times_.begin());
  if (times_.size() - old == kPoints) ++old;
  times_.erase(times_.begin(), times_.begin() + static_cast<std::ptrdiff_t>(old));
  values_.erase(values_.begin(), values_.begin() + static_cast<std::ptrdiff_t>(old));
  times_.push_back(at);
  values_.push_back(value);
  at_ = at;
  per_second_ = Fit();
}

double Slope::Fit() const {
  if (times_.size() < 3) return 0;
  const absl::Time origin = times_.front();
  if (times_.back() - origin < absl::Milliseconds(300)) return 0;
  double sum_x = 0, sum_y = 0, sum_xx = 0, sum_xy = 0;
  const auto count = static_cast<double>(times_.size());
  for (size_t i = 0; i < times_.size(); ++i) {
    const double x = absl::ToDoubleSeconds(times_[i] - origin), y = values_[i];
    sum_x += x;
    sum_y += y;
    sum_xx += x * x;
    sum_xy += x * y;
  }
  const double spread = count * sum_xx - sum_x * sum_x;
  return spread <= 1e-9 ? 0 : (count * sum_xy - sum_x * sum_y) / spread;
}

void BaselineLatency::Add(absl::Duration median, bool calm) {
  const double seconds = absl::ToDoubleSeconds(median);
  if (seconds <= 0) return;
  if (samples_ < kSamplesMin) {  // the first few: their smallest
    seconds_ = samples_ == 0 ? seconds : std::min(seconds_, seconds);
    ++samples_;
    return;
  }
  // Stochastic p10: nine small steps down for each step up, so that a tenth of the samples lie below. A sample while
  // busy may only lower it: an overload must never become the new usual.
  constexpr double kStep = 0.002;
  if (seconds < seconds_) {
    seconds_ = std::max(seconds, seconds_ * (1 - 9 * kStep));
  } else if (calm) {
    seconds_ = std::min(seconds, seconds_ * (1 + kStep));
  }
}

void BaselineLatency::Adopt(absl::Duration learned) {
  if (samples_ >= kSamplesMin || learned <= absl::ZeroDuration()) return;
  seconds_ = absl::ToDoubleSeconds(learned);
  samples_ = kSamplesMin;
}

std::optional<absl::Duration> BaselineLatency::value() const {
  if (samples_ < kSamplesMin) return std::nullopt;
  return absl::Seconds(seconds_);
}

void WorkCorrelation::Add(double active, double throughput) {
  constexpr double kKeep = 0.966;  // half-life of 20 samples
  if (samples_++ == 0) {
    mean_active_ = active;
    mean_work_ = throughput;
    return;
  }
  const double active_off = active - mean_active_, work_off = throughput - mean_work_;
  mean_active_ += (1 - kKeep) * active_off;
  mean_work_ += (1 - kKeep) * work_off;
  var_active_ = kKeep * (var_active_ + (1 - kKeep) * active_off * active_off);
  var_work_ = kKeep * (var_work_ + (1 - kKeep) * work_off * work_off);
  covariance_ = kKeep * (covariance_ + (1 - kKeep) * active_off * work_off);
}

std::optional<double> WorkCorrelation::Correlation() const {
  constexpr double kVariationMin = 0.01;
  if (samples_ < kSamplesMin || mean_active_ <= 0 || mean_work_ <= 0) return std::nullopt;
  const bool active_moves = std::sqrt(var_active_) > kVariationMin * mean_active_;
  const bool work_moves = std::sqrt(var_work_) > kVariationMin * mean_work_;
  if (!active_moves || !work_moves) return std::nullopt;
  return covariance_ / std::sqrt(var_active_ * var_work_);
}

}  // namespace headroom
