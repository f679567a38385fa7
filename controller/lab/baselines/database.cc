#include "controller/lab/baselines/database.h"

#include <algorithm>
#include <cmath>

namespace headroom::lab {
namespace {

constexpr double kReductionRatio = 0.7, kStorageTarget = 0.7;
constexpr double kGrowWeight = 14'400, kShrinkWeight = 57'600;
constexpr int kSettleSteps = StepsOf(300), kSampleStepsMax = StepsOf(3600), kMinuteLate = StepsOf(60);
constexpr double kSpannerMarginPercent = 5;
constexpr int kSpannerOutSteps = StepsOf(300);

int Ceil(double value) {
  return static_cast<int>(std::ceil(value));
}

}  // namespace

int BigtableCpuNodes(int nodes, double cpu, double target) {
  const double wanted = cpu * nodes / target;
  if (wanted >= nodes) return Ceil(wanted);
  const double lowest = kReductionRatio * nodes;
  return Ceil(std::max(wanted, nodes - lowest > 1 ? std::ceil(lowest) : std::floor(lowest)));
}

int BigtableStorageNodes(int nodes, double storage_ratio) {
  return storage_ratio <= 0 ? nodes : Ceil(storage_ratio * nodes / kStorageTarget);
}

bool BigtableMayApply(int nodes, int wanted, int seconds_since_change) {
  const double weight = 100 * std::abs(1 - static_cast<double>(wanted) / nodes) * seconds_since_change;
  // The product of decimals misses a whole number by a rounding.
  return weight * (1 + 1e-12) >= (wanted < nodes ? kShrinkWeight : kGrowWeight);
}

BigtableAutoscaler::BigtableAutoscaler(const Setting& setting)
    : target_(setting.target), hold_steps_(setting.hold_steps) {}

int BigtableAutoscaler::Decide(const Meter& meter, const Nodes& nodes) {
  const int since = meter.now() - changed_step_;
  if (since < hold_steps_) return nodes.present;
  const int window = std::clamp(since - kSettleSteps, StepsOf(60), kSampleStepsMax);
  const int end = meter.now() - kMinuteLate;
  const double total = meter.Mean(end - window, end);
  if (std::isnan(total)) return nodes.present;
  const int wanted = std::clamp(BigtableCpuNodes(nodes.present, total / nodes.present, target_), kNodesMin, kNodesMax);
  if (wanted == nodes.present || !BigtableMayApply(nodes.present, wanted, since * kStepSeconds)) return nodes.present;
  changed_step_ = meter.now();
  return wanted;
}

int SpannerLinear(int nodes, double value_percent, double threshold_percent) {
  if (std::abs(value_percent - threshold_percent) <= kSpannerMarginPercent) return nodes;
  return Ceil(nodes * value_percent / threshold_percent);
}

SpannerAutoscaler::SpannerAutoscaler(const Setting& setting)
    : target_(setting.target), hold_steps_(setting.hold_steps) {}

int SpannerAutoscaler::Decide(const Meter& meter, const Nodes& nodes) {
  const int end = meter.now() - kMinuteLate;
  const double total = meter.Mean(end - StepsOf(60), end);
  if (std::isnan(total)) return nodes.present;
  const int linear = SpannerLinear(nodes.present, 100 * total / nodes.present, 100 * target_);
  const int wanted = std::clamp(linear, kNodesMin, kNodesMax);
  const int since = meter.now() - changed_step_;
  if (wanted == nodes.present || since < (wanted > nodes.present ? kSpannerOutSteps : hold_steps_))
    return nodes.present;
  changed_step_ = meter.now();
  return wanted;
}

}  // namespace headroom::lab
