#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <type_traits>
#include <vector>

#include "absl/time/time.h"

#include "controller/core/report.h"

// Small memories of fixed size: what happened in the last seconds, the peak of an hour, the usual latency. Values, not
// thread-safe, saved with the state.

namespace headroom {

// What a node did per second over a stretch of time.
struct NodeRates {
  double seconds = 0;  // length of the stretch; 0: nothing is known
  double completed = 0, errors = 0, errors_slots_free = 0, accepted = 0, rejected = 0;
  double received_bytes = 0, sent_bytes = 0, drops = 0;
  std::optional<double> overflows, retries, segments_out, retransmits;
  double cpu_cores = 0;                          // CPU seconds a second
  std::optional<absl::Duration> device_latency;  // device time per completed request

  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("seconds", self.seconds);
    visit("completed", self.completed);
    visit("errors", self.errors);
    visit("errors_slots_free", self.errors_slots_free);
    visit("accepted", self.accepted);
    visit("rejected", self.rejected);
    visit("received_bytes", self.received_bytes);
    visit("sent_bytes", self.sent_bytes);
    visit("drops", self.drops);
    visit("overflows", self.overflows);
    visit("retries", self.retries);
    visit("segments_out", self.segments_out);
    visit("retransmits", self.retransmits);
    visit("cpu_cores", self.cpu_cores);
    visit("device_latency", self.device_latency);
  }
};

struct Goodput {
  double per_second = 0;
  double seconds = 0;  // length of the stretch; 0: nothing is known
  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("per_second", self.per_second);
    visit("seconds", self.seconds);
  }
};

// CounterWindow: the last snapshots of a node's cumulative counters, at least a second apart, so that rates over 1 to 5
// seconds can be told exactly whatever the pace of the reports. Bounded: kSnapshots. A new boot begins anew.
class CounterWindow {
 public:
  static constexpr int kSnapshots = 6;
  void Add(const NodeCounters& counters);
  void Clear() { *this = {}; }
  // Rates between the latest counters and the newest snapshot that is at least `over` old, else the oldest there is.
  NodeRates Rates(absl::Duration over) const;
  // The latencies of the same stretch.
  LatencyHistogram LatencyOver(absl::Duration over) const;
  // Completions that were no errors, over the same stretch.
  Goodput GoodputOver(absl::Duration over) const;

  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    if constexpr (std::is_const_v<Self>) {
      visit("snapshots", self.OldestFirst());
      visit("latest", self.Latest());
    } else {
      NodeCounters latest = self.Latest();
      std::vector<NodeCounters> all = self.OldestFirst();
      visit("snapshots", all);
      visit("latest", latest);
      all.push_back(latest);
      self.latest_ = all.size() - 1;
      self.ring_ = std::move(all);
    }
  }

 private:
  size_t snapshot_count() const { return ring_.empty() ? 0 : ring_.size() - 1; }
  // The one that is `age` snapshots old; 0 is the newest.
  const NodeCounters& Snapshot(size_t age) const { return ring_[(latest_ + ring_.size() - 1 - age) % ring_.size()]; }
  NodeCounters Latest() const { return ring_.empty() ? NodeCounters() : ring_[latest_]; }
  std::vector<NodeCounters> OldestFirst() const;
  // Null: there is none.
  const NodeCounters* SnapshotBefore(absl::Duration over) const;

  // The latest and the snapshots before it, a ring once it is full: moving kilobytes for each report showed. In place,
  // since a deque would allocate for each.
  std::vector<NodeCounters> ring_;
  size_t latest_ = 0;
};

// WindowedMax: the largest value of the last `window`, in 12 buckets, so an old peak leaves within 1/12 of the window.
class WindowedMax {
 public:
  static constexpr int kBuckets = 12;
  void Add(absl::Time at, absl::Duration window, double value);
  // Zero when empty.
  double Max(absl::Time now, absl::Duration window) const { return MaxAt(Bucket(now, window)); }
  // The same for many at one time: the bucket is found once.
  static int64_t Bucket(absl::Time now, absl::Duration window);
  double MaxAt(int64_t bucket) const { return bucket == newest_ ? max_ : MaxUntil(bucket); }
  // The same for another window: its largest value counts as one of `now`.
  WindowedMax Resized(absl::Time now, absl::Duration window, absl::Duration to) const {
    WindowedMax resized;
    resized.Add(now, to, Max(now, window));
    return resized;
  }

  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("buckets", self.buckets_);
    visit("maxima", self.maxima_);
  }

 private:
  double MaxUntil(int64_t number) const;

  int64_t newest_ = 0;  // with max_: the answer for as long as the newest bucket lasts; found again after a load
  double max_ = 0;
  std::array<int64_t, kBuckets> buckets_{};  // number of the bucket since the epoch, plus 1; 0: empty
  std::array<double, kBuckets> maxima_{};
};

// Slope: growth per second of a gauge, by least squares over the last points (at most kPoints, at most kAge old). It is
// fitted when a point comes, so that a tick only reads it.
class Slope {
 public:
  static constexpr int kPoints = 16;
  static constexpr absl::Duration kAge = absl::Seconds(4);
  void Add(absl::Time at, double value);
  // 0 with fewer than 3 points, less than 300 ms of them, or none of late.
  double PerSecond(absl::Time now) const { return now - at_ > kAge ? 0 : per_second_; }

  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("at", self.at_);
    visit("per_second", self.per_second_);
    visit("times", self.times_);
    visit("values", self.values_);
  }

 private:
  double Fit() const;

  absl::Time at_ = absl::InfinitePast();  // of the last point
  double per_second_ = 0;
  std::vector<absl::Time> times_;
  std::vector<double> values_;
};

// BaselineLatency: the usual median latency of a node that is not busy: a low quantile (p10) of the medians of its calm
// seconds, by a stochastic quantile tracker that adapts over hours and is never raised while the node is unhealthy.
class BaselineLatency {
 public:
  void Add(absl::Duration median, bool calm);
  void Adopt(absl::Duration learned);           // what the node remembers from before
  std::optional<absl::Duration> value() const;  // nothing until kSamplesMin

  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("seconds", self.seconds_);
    visit("samples", self.samples_);
  }

 private:
  static constexpr int kSamplesMin = 5;
  double seconds_ = 0;
  int64_t samples_ = 0;
};

// WorkCorrelation: do more requests in service bring more throughput? Correlation of the two over about the last 40
// samples, by running moments with a half-life; past the knee it is negative. Nothing while active hardly varies
// (coefficient of variation below 1 %) or before kSamplesMin: of a dozen samples chance alone makes it what it likes.
// Source: Uber's Cinnamon, failsafe-go.
class WorkCorrelation {
 public:
  void Add(double active, double throughput);
  std::optional<double> Correlation() const;

  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("samples", self.samples_);
    visit("mean_active", self.mean_active_);
    visit("mean_work", self.mean_work_);
    visit("var_active", self.var_active_);
    visit("var_work", self.var_work_);
    visit("covariance", self.covariance_);
  }

 private:
  static constexpr int kSamplesMin = 100;
  int64_t samples_ = 0;
  double mean_active_ = 0, mean_work_ = 0, var_active_ = 0, var_work_ = 0, covariance_ = 0;
};

}  // namespace headroom
