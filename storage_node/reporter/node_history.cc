#include "storage_node/reporter/node_history.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "storage_node/proto_time.h"

namespace headroom {
namespace {

constexpr absl::Duration kWindow = absl::Seconds(1);
constexpr size_t kSlopeWindows = 4;
constexpr size_t kGoodputWindows = 5;
constexpr int64_t kLatencyCountMin = 5;  // a median of fewer is chance
constexpr size_t kBaselineWindowsMin = 10;
constexpr double kBaselineQuantile = 0.2;
constexpr double kBaselineStep = 0.1;  // a smaller change is noise, and not worth a report
constexpr double kErrorRatioMax = 0.01;

template <typename T>
T QuantileOf(std::vector<T> values, double quantile) {
  if (values.empty()) return T{};
  const auto at = static_cast<size_t>(quantile * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(at), values.end());
  return values[at];
}

template <typename T>
void PushBounded(std::deque<T>& values, T value, size_t size_max) {
  values.push_back(std::move(value));
  if (values.size() > size_max) values.pop_front();
}

int64_t Grown(int64_t now, int64_t before) {
  return std::max<int64_t>(0, now - before);
}

}  // namespace

void NodeHistory::Add(const NodeSample& sample, absl::Time now) {
  now_ = sample;
  at_ = now;
  if (marked_at_ == absl::InfinitePast()) {
    mark_ = sample;
    marked_at_ = now;
  }
  if (now - marked_at_ >= kWindow) CloseWindow(now);
  NotePeak(now);
}

NodeHistory::Window NodeHistory::MeasureSince(const NodeSample& mark, absl::Time since) const {
  Window window;
  window.end = at_;
  window.seconds = absl::ToDoubleSeconds(at_ - since);
  window.active_count = now_.gate.active;
  window.rejected_count = Grown(now_.gate.rejected, mark.gate.rejected);
  window.dropped_count = Grown(now_.kernel.listener.drop_count(), mark.kernel.listener.drop_count());
  window.completed_count = Grown(now_.gate.completed, mark.gate.completed);
  window.error_count = Grown(now_.gate.errors_5xx, mark.gate.errors_5xx);
  const LatencyHistogram latency = now_.gate.latency.Since(mark.gate.latency);
  if (latency.Total() >= kLatencyCountMin) window.latency_p50 = latency.Quantile(0.5);
  window.latency_mean = latency.Summary().mean;
  return window;
}

void NodeHistory::CloseWindow(absl::Time now) {
  Window window = MeasureSince(mark_, marked_at_);
  window.demand_count = now_.gate.open + WaitingCount();
  mark_ = now_;
  marked_at_ = now;
  PushBounded(windows_, window, kWindows);
  LearnKnee(window);
  LearnFrom(window);
}

void NodeHistory::NotePeak(absl::Time now) {
  if (now >= minute_end_) {
    minute_end_ = now + absl::Minutes(1);
    PushBounded(minute_peaks_, int64_t{0}, kMinutes);
  }
  minute_peaks_.back() = std::max(minute_peaks_.back(), now_.gate.open + WaitingCount());
}

// The gate's rejections are the arrivals it left in the accept queue, so the two are not added up. Drops come on top.
int64_t NodeHistory::WaitingCount() const {
  const Window open = MeasureSince(mark_, marked_at_);
  int64_t rejected = open.rejected_count, dropped = open.dropped_count;
  if (!windows_.empty()) {
    rejected = std::max(rejected, windows_.back().rejected_count);
    dropped = std::max(dropped, windows_.back().dropped_count);
  }
  // Those rejected a moment ago may have been let in since.
  const bool full = now_.gate.open >= now_.gate.limits.connections;
  return std::max(now_.kernel.listener.accept_queue_count(), full ? rejected : 0) + (full ? dropped : 0);
}

double NodeHistory::SlopePerSecond() const {
  if (windows_.size() < 2) return 0;
  const Window& from = windows_[windows_.size() - std::min(windows_.size(), kSlopeWindows)];
  const double seconds = absl::ToDoubleSeconds(at_ - from.end);
  return seconds <= 0 ? 0 : static_cast<double>(now_.gate.open + WaitingCount() - from.demand_count) / seconds;
}

LimitInputs NodeHistory::Inputs() const {
  LimitInputs inputs;
  inputs.open_count = now_.gate.open;
  inputs.active_count = now_.gate.active;
  inputs.waiting_count = WaitingCount();
  inputs.open_slope_per_second = SlopePerSecond();
  if (!minute_peaks_.empty()) inputs.open_peak_count = *std::max_element(minute_peaks_.begin(), minute_peaks_.end());
  std::vector<int64_t> actives;
  actives.reserve(windows_.size());
  for (const Window& window : windows_) actives.push_back(window.active_count);
  inputs.active_peak_count = QuantileOf(std::move(actives), 0.95);
  const v1::Resources& resources = now_.kernel.resources;
  if (resources.has_memory_full_ratio()) inputs.memory_full_ratio = resources.memory_full_ratio();
  if (resources.has_io_full_ratio()) inputs.io_full_ratio = resources.io_full_ratio();
  inputs.latency_baseline = baseline_;
  if (windows_.empty()) return inputs;
  const Window& last = windows_.back();
  inputs.latency_p50 = last.latency_p50;
  int64_t good_count = 0;
  inputs.goodput_seconds = 0;
  for (size_t back = 1; back <= std::min(windows_.size(), kGoodputWindows); ++back) {
    const Window& window = windows_[windows_.size() - back];
    good_count += Grown(window.completed_count, window.error_count);
    inputs.goodput_seconds += window.seconds;
  }
  inputs.goodput_per_second = static_cast<double>(good_count) / inputs.goodput_seconds;
  return inputs;
}

// What is told changes only by what is worth a word: what was learned is sent whenever it differs.
void NodeHistory::LearnKnee(const Window& window) {
  constexpr double kWorth = 0.1;
  if (window.seconds > 0) {
    knee_.Add(window.end, {static_cast<double>(window.active_count),
                           static_cast<double>(window.completed_count) / window.seconds, window.latency_mean});
  }
  const std::optional<Knee>& knee = knee_.knee();
  const bool same = knee.has_value() && knee_told_.has_value() &&
                    std::abs(knee->count - knee_told_->count) < kWorth * knee_told_->count &&
                    std::abs(knee->high - knee_told_->high) < kWorth * knee_told_->high;
  if (!same) knee_told_ = knee;
}

void NodeHistory::LearnFrom(const Window& window) {
  if (!window.latency_p50) return;
  const bool is_full = window.rejected_count > 0 || now_.kernel.listener.accept_queue_count() > 0;
  const bool is_light = 2 * window.active_count < now_.gate.limits.connections;
  if (is_light && !is_full) LearnBaseline(*window.latency_p50);
  const auto errors = static_cast<double>(window.error_count), completed = static_cast<double>(window.completed_count);
  const bool is_healthy = baseline_ && errors <= kErrorRatioMax * completed && !HealthVeto(policy_, Inputs());
  if (is_healthy) proven_count_ = std::max(proven_count_, now_.gate.open);
}

void NodeHistory::LearnBaseline(absl::Duration latency_p50) {
  PushBounded(quiet_latencies_, latency_p50, kQuietWindows);
  if (quiet_latencies_.size() < kBaselineWindowsMin) return;
  absl::Duration learned =
      QuantileOf(std::vector<absl::Duration>(quiet_latencies_.begin(), quiet_latencies_.end()), kBaselineQuantile);
  // A node that restarts into an overload must not take that for its health.
  if (recalled_baseline_ && quiet_latencies_.size() < kQuietWindows) learned = std::min(learned, *recalled_baseline_);
  const bool is_noise =
      baseline_ && learned < *baseline_ * (1 + kBaselineStep) && learned > *baseline_ * (1 - kBaselineStep);
  if (!is_noise) baseline_ = learned;
}

void NodeHistory::Recall(const v1::Learned& learned) {
  if (learned.has_baseline_latency()) recalled_baseline_ = baseline_ = FromProto(learned.baseline_latency());
  proven_count_ = learned.proven_connection_count();
  const v1::Knee& knee = learned.knee();
  if (knee.count() > 0) knee_.Adopt({knee.count(), knee.low_count(), knee.high_count(), knee.proven_count()});
  knee_told_ = knee_.knee();
}

v1::Learned NodeHistory::Learned() const {
  v1::Learned learned;
  if (baseline_) *learned.mutable_baseline_latency() = ToProto(*baseline_);
  learned.set_proven_connection_count(proven_count_);
  if (!knee_told_) return learned;
  v1::Knee& knee = *learned.mutable_knee();
  knee.set_count(knee_told_->count);
  knee.set_low_count(knee_told_->low);
  knee.set_high_count(knee_told_->high);
  knee.set_proven_count(knee_told_->proven);
  return learned;
}

}  // namespace headroom
