#include "controller/lab/baselines/cloud.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace headroom::lab {
namespace {

constexpr double kAwsInRatio = 0.9;
constexpr double kAzureStep = 0.2, kAzureInRatio = 0.75;

int Ceil(double value) {
  return static_cast<int>(std::ceil(value));
}

}  // namespace

AwsTargetTracking::AwsTargetTracking(const Setting& setting)
    : target_(setting.target), in_points_(static_cast<int>(Entries(setting.hold_steps, kMinuteSteps))) {}

int AwsTargetTracking::Decide(const Meter& meter, const Nodes& nodes) {
  const double total = kPoints.Read(meter);
  if (std::isnan(total)) {
    above_ = below_ = 0;
    return nodes.present;
  }
  const int in_service = std::max(1, nodes.ready);
  const double metric = total / in_service;
  above_ = metric > target_ ? above_ + 1 : 0;
  below_ = metric < kAwsInRatio * target_ ? below_ + 1 : 0;
  if (above_ >= kOutPoints) return std::max(nodes.present, Ceil(in_service * metric / target_));
  if (below_ < in_points_ || nodes.ready < nodes.present) return nodes.present;
  return std::min(nodes.present, static_cast<int>(std::floor(total / target_)) + 1);
}

GceMig::GceMig(const Setting& setting)
    : target_(setting.target), recommendations_(Entries(setting.hold_steps, period_steps())) {}

int GceMig::Decide(const Meter& meter, const Nodes& nodes) {
  const double total = kSensor.Read(meter);
  return std::isnan(total) ? nodes.present : recommendations_.Add(Ceil(total / target_));
}

int AzureScaleIn(double metric, int nodes, int wanted, double out_threshold) {
  for (int leaving = std::min(wanted, nodes - 1); leaving > 0; --leaving) {
    if (metric * nodes / (nodes - leaving) < out_threshold) return leaving;
  }
  return 0;
}

AzureRules::AzureRules(const Setting& setting) : target_(setting.target), in_cooldown_steps_(setting.hold_steps) {}

int AzureRules::Apply(double average, int since, const Nodes& nodes) const {
  const int step = std::max(1, static_cast<int>(nodes.present * kAzureStep));
  if (average > target_ && since >= kOutCooldownSteps) return nodes.present + step;
  if (average > kAzureInRatio * target_ || since < in_cooldown_steps_) return nodes.present;
  return nodes.present - AzureScaleIn(average, nodes.present, step, target_);
}

int AzureRules::Decide(const Meter& meter, const Nodes& nodes) {
  const double total = meter.Mean(meter.now() - kMinuteSteps, meter.now());
  if (std::isnan(total)) return nodes.present;
  points_[static_cast<size_t>(count_++ % kWindowPoints)] = total / std::max(1, nodes.ready);
  if (count_ < kWindowPoints) return nodes.present;
  const double average = std::accumulate(points_.begin(), points_.end(), 0.0) / kWindowPoints;
  const int wanted = Apply(average, meter.now() - changed_step_, nodes);
  if (wanted != nodes.present) changed_step_ = meter.now();
  return wanted;
}

}  // namespace headroom::lab
