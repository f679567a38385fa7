#include "controller/core/diagnosis/cluster_series.h"

#include <algorithm>
#include <utility>

namespace headroom {
namespace {

constexpr absl::Duration kSmoothOver = absl::Milliseconds(2500);
constexpr absl::Duration kVariantGone = absl::Minutes(1);
// Nodes join one after the other when a controller begins; what they run then is not news.
constexpr absl::Duration kFirstLook = absl::Minutes(1);

ClusterSample Mean(const std::deque<ClusterSample>& samples, size_t count) {
  ClusterSample mean;
  mean.at = samples[count - 1].at;
  for (size_t metric = 0; metric < kMetrics; ++metric) {
    double sum = 0;
    int known = 0;
    for (size_t i = 0; i < count; ++i) {
      if (samples[i].values[metric] < 0) continue;
      sum += samples[i].values[metric];
      ++known;
    }
    if (2 * static_cast<size_t>(known) >= count) mean.values[metric] = sum / known;
  }
  return mean;
}

// A value and how many seconds it stands for.
using Weighted = std::pair<double, size_t>;

size_t WeightOf(std::vector<Weighted>::const_iterator begin, std::vector<Weighted>::const_iterator end) {
  size_t weight = 0;
  for (; begin != end; ++begin) weight += begin->second;
  return weight;
}

// Halves where it lies until one is left: sorting them all showed in every tenth tick.
double WeightedMedian(std::vector<Weighted>& values) {
  if (values.empty()) return ClusterSample::kUnknown;
  const size_t total = WeightOf(values.begin(), values.end());
  size_t below = 0;
  auto begin = values.begin(), end = values.end();
  const auto by_value = [](const Weighted& a, const Weighted& b) { return a.first < b.first; };
  while (end - begin > 1) {
    const auto middle = begin + (end - begin) / 2;
    std::nth_element(begin, middle, end, by_value);
    const size_t until_middle = below + WeightOf(begin, middle);
    if (2 * until_middle >= total) {
      end = middle;
    } else {
      below = until_middle;
      begin = middle;
    }
  }
  return begin->first;
}

// A cluster that does nothing tells nothing about what is usual for one that does.
bool IsIdle(const ClusterSample& sample) {
  return sample.Or(Metric::kDemand, 0) < 1 && sample.Or(Metric::kAnswers, 0) < 1;
}

std::optional<absl::Time> ToldSince(const NodeHello& hello) {
  if (!hello.server_version_time.has_value()) return hello.config_time;
  if (!hello.config_time.has_value()) return hello.server_version_time;
  return std::max(*hello.server_version_time, *hello.config_time);
}

}  // namespace

void ClusterSeries::Add(const ClusterSample& sample, Weather weather, absl::Duration window) {
  if (!IsDue(sample.at)) return;
  recent_.push_back(sample);
  if (recent_.size() > kRecent) recent_.pop_front();
  began_at_ = std::min(began_at_, sample.at);
  if (weather == Weather::kTrouble || IsIdle(sample)) return;
  calm_seconds_.push_back(sample);
  const size_t steps_before = calm_steps_.size();
  Shorten(sample.at, window);
  // Once there is some history, a look at it every few seconds will do.
  const bool young = calm_steps_.empty() && calm_seconds_.size() < 2 * kStep;
  if (young || calm_steps_.size() != steps_before || calm_seconds_.size() % kStep == 0) FindUsual();
}

void ClusterSeries::Shorten(absl::Time now, absl::Duration window) {
  if (calm_seconds_.size() > kCalmSeconds) {
    calm_steps_.push_back(Mean(calm_seconds_, kStep));
    calm_seconds_.erase(calm_seconds_.begin(), calm_seconds_.begin() + kStep);
    if (calm_steps_.size() > kCalmSteps) calm_steps_.pop_front();
  }
  const auto is_old = [&](const ClusterSample& sample) { return now - sample.at > window; };
  while (!calm_steps_.empty() && is_old(calm_steps_.front())) calm_steps_.pop_front();
  while (calm_seconds_.size() > kCalmSecondsMin && is_old(calm_seconds_.front())) calm_seconds_.pop_front();
}

// Whether half of the time `value` or less was seen, and less than half of it less: the median has hardly moved since
// it was last found.
bool ClusterSeries::IsMedian(size_t metric, double value) const {
  size_t below = 0, until = 0, total = 0;
  const auto count = [&](const std::deque<ClusterSample>& samples, size_t weight) {
    size_t less = 0, same = 0, known = 0;
    for (const ClusterSample& sample : samples) {
      const double seen = sample.values[metric];
      known += seen >= 0;
      less += seen >= 0 && seen < value;
      same += seen == value;
    }
    below += weight * less;
    until += weight * (less + same);
    total += weight * known;
  };
  count(calm_steps_, kStep);
  count(calm_seconds_, 1);
  return value >= 0 && 2 * below < total && 2 * until >= total;
}

void ClusterSeries::FindUsual() {
  usual_count_ = static_cast<int64_t>(calm_seconds_.size() + kStep * calm_steps_.size());
  usual_.at = calm_seconds_.back().at;
  std::vector<Weighted> values;
  for (size_t metric = 0; metric < kMetrics; ++metric) {
    if (IsMedian(metric, usual_.values[metric])) continue;
    values.clear();
    for (const ClusterSample& step : calm_steps_) {
      if (step.values[metric] >= 0) values.emplace_back(step.values[metric], kStep);
    }
    for (const ClusterSample& second : calm_seconds_) {
      if (second.values[metric] >= 0) values.emplace_back(second.values[metric], 1);
    }
    usual_.values[metric] = WeightedMedian(values);
  }
}

void ClusterSeries::ForgetUsual() {
  calm_seconds_.clear();
  calm_steps_.clear();
  usual_ = {};
  usual_count_ = 0;
}

std::optional<ClusterSample> ClusterSeries::usual() const {
  if (usual_count_ < static_cast<int64_t>(kCalmSecondsMin)) return std::nullopt;
  return usual_;
}

std::optional<double> ClusterSeries::Smooth(const ClusterSample& latest, Metric metric) const {
  double sum = 0;
  int known = 0;
  const auto add = [&](const ClusterSample& sample) {
    if (const std::optional<double> value = sample.Get(metric); value.has_value()) {
      sum += *value;
      ++known;
    }
  };
  add(latest);
  for (const ClusterSample& sample : recent_) {
    if (sample.at < latest.at && latest.at - sample.at <= kSmoothOver) add(sample);
  }
  return known == 0 ? std::nullopt : std::optional<double>(sum / known);
}

std::optional<size_t> ClusterSeries::SeeVariant(const Node& node, absl::Time now) {
  if (node.variant == 0) return std::nullopt;
  for (ServerVariant& variant : variants_) {
    if (variant.key != node.variant) continue;
    variant.seen_at = now;
    return static_cast<size_t>(&variant - variants_.data());
  }
  const NodeHello& hello = node.hello;
  const bool is_full = variants_.size() >= kVariantsMax;
  if (is_full) crowded_at_ = now;
  // Of those that push each other out nobody knows which is new; one slot that comes free changes nothing.
  const bool crowded = now - crowded_at_ <= kVariantGone;
  const bool first_look = now - began_at_ < kFirstLook;
  const absl::Time otherwise = first_look || crowded ? absl::InfinitePast() : now;
  const absl::Time since = std::min(ToldSince(hello).value_or(otherwise), now);
  if (!is_full) {
    variants_.push_back({hello.server_version, hello.config_hash, since, now, node.variant});
    return variants_.size() - 1;
  }
  const auto before = [](const ServerVariant& a, const ServerVariant& b) { return a.since < b.since; };
  const auto oldest = std::min_element(variants_.begin(), variants_.end(), before);
  *oldest = {hello.server_version, hello.config_hash, since, now, node.variant};
  return static_cast<size_t>(oldest - variants_.begin());
}

void ClusterSeries::ForgetVariants(absl::Time now) {
  std::erase_if(variants_, [&](const ServerVariant& variant) { return now - variant.seen_at > kVariantGone; });
  for (ServerVariant& variant : variants_) {
    if (variant.key == 0) variant.key = VariantOf(variant.version, variant.config);
  }
}

const ServerVariant* ClusterSeries::newest_variant() const {
  const ServerVariant* newest = nullptr;
  for (const ServerVariant& variant : variants_) {
    if (newest == nullptr || variant.since > newest->since) newest = &variant;
  }
  return newest;
}

std::optional<double> ClusterSeries::CountFailedConnects(const std::map<BalancerId, Balancer>& balancers) {
  std::erase_if(connects_, [&](const auto& entry) {
    const auto balancer = balancers.find(entry.first);
    return balancer == balancers.end() || !balancer->second.connected;
  });
  double per_second = 0;
  bool known = false;
  for (const auto& [id, balancer] : balancers) {
    if (!balancer.connected) continue;
    int64_t failed = 0;
    for (const BalancedServer& server : balancer.report.servers) failed += server.connect_errors;
    if (connects_.count(id) == 0 && connects_.size() >= kBalancersMax) continue;
    const auto [entry, is_new] = connects_.try_emplace(id);
    ConnectCount& count = entry->second;
    const absl::Duration passed = balancer.last_report_at - count.at;
    if (is_new || count.boot_id != balancer.report.boot_id) {
      count = {balancer.report.boot_id, failed, balancer.last_report_at, ClusterSample::kUnknown};
    } else if (passed >= absl::Milliseconds(500)) {
      // A server that left took its count along: that is no negative number of failures.
      const auto more = static_cast<double>(std::max<int64_t>(0, failed - count.failed));
      count = {balancer.report.boot_id, failed, balancer.last_report_at, more / absl::ToDoubleSeconds(passed)};
    }
    if (count.per_second < 0) continue;
    per_second += count.per_second;
    known = true;
  }
  return known ? std::optional<double>(per_second) : std::nullopt;
}

}  // namespace headroom
