#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "controller/core/fleet/fleet.h"
#include "controller/core/report.h"

namespace headroom {

// The numbers of the cluster that diagnosis follows over time. Rates are per second, latencies and device times in
// seconds, shares and ratios 0..1; sums over nodes that carry load and have reported lately.
enum class Metric : uint8_t {
  kDemand,           // open + waiting
  kTaken,            // demand over limit
  kActiveShare,      // active of open
  kArrivals,         // new connections, admitted or not
  kRejected,         // connections not admitted, or dropped by the kernel
  kAnswers,          // requests answered
  kErrors,           // of them server errors
  kErrorsSlotsFree,  // of them while slots were free
  kFirstAttempts,    // answers that were no retries
  kAttempts,         // attempts per first attempt
  kP50,              // median latency in the server
  kP99,              // and its 99th percentile
  kDevice,           // device time of a request
  kIoFull,           // share of time in which io stalled all work
  kCores,            // share of the cores in use
  kCpuSome,          // share of time in which tasks waited for a core
  kRetransmits,      // segments sent again
  kFailedConnects,   // connects that balancers say failed
  kClients,          // clients with open connections
  kLargestClient,    // share of the open connections that the largest client of each node holds
  kOldIdle,          // share of the open connections that have been idle for over a minute
  kSkew,             // demand of the busiest node over the median node's
  kWorkSkew,         // answers of the node that answers most over the median node's
  kNodes,            // nodes that these are sums over
  kCount,
};
inline constexpr size_t kMetrics = static_cast<size_t>(Metric::kCount);

// One second of a cluster, or the usual second.
struct ClusterSample {
  static constexpr double kUnknown = -1;  // every number is 0 or more

  absl::Time at = absl::InfinitePast();
  std::array<double, kMetrics> values = Unknown();

  static constexpr std::array<double, kMetrics> Unknown() {
    std::array<double, kMetrics> values{};
    for (double& value : values) value = kUnknown;
    return values;
  }
  std::optional<double> Get(Metric metric) const {
    const double value = values[static_cast<size_t>(metric)];
    return value < 0 ? std::nullopt : std::optional<double>(value);
  }
  double Or(Metric metric, double otherwise) const { return Get(metric).value_or(otherwise); }
  void Set(Metric metric, std::optional<double> value) {
    values[static_cast<size_t>(metric)] = value.value_or(kUnknown);
  }

  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("at", self.at);
    visit("values", self.values);
  }
};

// A server version with a configuration, as nodes of the cluster run it.
struct ServerVariant {
  std::string version, config;
  absl::Time since = absl::InfinitePast();  // when it came; InfinitePast: long ago, or not told
  absl::Time seen_at = absl::InfinitePast();
  uint64_t key = 0;  // VariantOf() both; 0: loaded and not yet found again
  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("version", self.version);
    visit("config", self.config);
    visit("since", self.since);
    visit("seen_at", self.seen_at);
  }
};

// Failed connects that a balancer had counted when we last looked.
struct ConnectCount {
  std::string boot_id;
  int64_t failed = 0;
  absl::Time at = absl::InfinitePast();
  double per_second = 0;  // between the last two looks
  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("boot_id", self.boot_id);
    visit("failed", self.failed);
    visit("at", self.at);
    visit("per_second", self.per_second);
  }
};

// ClusterSeries: the cluster's own past, for diagnosis to hold the present against. It keeps the last seconds as they
// were, the calm past (single seconds, then steps of 10 s), and from it what is usual: the median. Trouble is left out
// of the calm past, so what is usual stands still from the onset until the trouble is over. Bounded to some 60 KiB by
// the constants below. A value, thread-compatible, saved with the state.
class ClusterSeries {
 public:
  static constexpr size_t kRecent = 4;          // seconds as they were
  static constexpr size_t kCalmSeconds = 60;    // calm seconds; beyond them ten become one step
  static constexpr size_t kStep = 10;           // calm seconds in a step
  static constexpr size_t kCalmSteps = 180;     // half an hour
  static constexpr size_t kCalmSecondsMin = 8;  // less is too little history to speak of what is usual
  static constexpr size_t kVariantsMax = 16;    // beyond them the oldest gives way, and only told times count
  static constexpr size_t kBalancersMax = 64;   // further ones are not counted

  absl::Time sampled_at() const { return recent_.empty() ? absl::InfinitePast() : recent_.back().at; }
  // The first sample; InfiniteFuture before.
  absl::Time began_at() const { return began_at_; }
  // Whether a second has passed since the last sample.
  bool IsDue(absl::Time now) const { return now - sampled_at() >= absl::Milliseconds(950); }

  // Takes a sample in, at most one a second. Only calm ones tell what is usual, and only those of the last `window`.
  enum class Weather : uint8_t { kCalm, kTrouble };
  void Add(const ClusterSample& sample, Weather weather, absl::Duration window);
  // What was usual is so no more: begins anew.
  void ForgetUsual();
  // Nothing while there is too little history.
  std::optional<ClusterSample> usual() const;
  // The mean of `latest` and of the samples of the 2.5 s before it, where known.
  std::optional<double> Smooth(const ClusterSample& latest, Metric metric) const;

  // Drops variants that no node has run for a minute.
  void ForgetVariants(absl::Time now);
  // Notes that a node runs a variant now. Returns its index, below kVariantsMax and good until ForgetVariants();
  // nothing where the node tells none.
  std::optional<size_t> SeeVariant(const Node& node, absl::Time now);
  const std::vector<ServerVariant>& variants() const { return variants_; }
  // The variant that came last; null when no node tells its version.
  const ServerVariant* newest_variant() const;

  // Failed connects per second over all balancers, from their counters. Nothing: no balancer was heard twice.
  std::optional<double> CountFailedConnects(const std::map<BalancerId, Balancer>& balancers);

  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("recent", self.recent_);
    visit("calm_seconds", self.calm_seconds_);
    visit("calm_steps", self.calm_steps_);
    visit("usual", self.usual_);
    visit("usual_count", self.usual_count_);
    visit("began_at", self.began_at_);
    visit("variants", self.variants_);
    visit("crowded_at", self.crowded_at_);
    visit("connects", self.connects_);
  }

 private:
  void Shorten(absl::Time now, absl::Duration window);
  void FindUsual();
  bool IsMedian(size_t metric, double value) const;

  std::deque<ClusterSample> recent_;        // oldest first
  std::deque<ClusterSample> calm_seconds_;  // oldest first
  std::deque<ClusterSample> calm_steps_;    // oldest first, all before calm_seconds_
  ClusterSample usual_;
  int64_t usual_count_ = 0;  // calm seconds that it was found from
  absl::Time began_at_ = absl::InfiniteFuture();
  std::vector<ServerVariant> variants_;
  absl::Time crowded_at_ = absl::InfinitePast();  // when a variant last pushed another one out
  std::map<BalancerId, ConnectCount> connects_;
};

}  // namespace headroom
