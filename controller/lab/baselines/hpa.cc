#include "controller/lab/baselines/hpa.h"

#include <algorithm>
#include <cmath>

namespace headroom::lab {
namespace {

bool WithinTolerance(double ratio) {
  return ratio >= 1 - kHpaTolerance && ratio <= 1 + kHpaTolerance;
}

int Ceil(double value) {
  return static_cast<int>(std::ceil(value));
}

// Whole percents, truncated.
double Utilisation(double usage_millis, double request_millis) {
  return static_cast<double>(static_cast<int>(usage_millis * 100 / request_millis));
}

}  // namespace

int HpaExternalReplicas(double total, double target_average, int replicas) {
  if (replicas > 0 && WithinTolerance(total / (target_average * replicas))) return replicas;
  return Ceil(total / target_average);
}

std::optional<int> HpaResourceReplicas(const HpaPods& pods, int target_percent, int current) {
  if (pods.ready == 0) return std::nullopt;
  const double ratio = Utilisation(pods.usage_millis, pods.ready * pods.request_millis) / target_percent;
  const bool grows_unready = pods.unready > 0 && ratio > 1;
  if (!grows_unready && pods.missing == 0) return WithinTolerance(ratio) ? current : Ceil(ratio * pods.ready);
  double usage = pods.usage_millis;
  if (ratio < 1) usage += pods.missing * pods.request_millis * std::max(100, target_percent) / 100;
  const int counted = pods.ready + pods.missing + (grows_unready ? pods.unready : 0);
  const double refilled = Utilisation(usage, counted * pods.request_millis) / target_percent;
  if (WithinTolerance(refilled) || (ratio < 1) != (refilled < 1)) return current;
  const int wanted = Ceil(refilled * counted);
  const bool flipped = (refilled < 1 && wanted > current) || (refilled > 1 && wanted < current);
  return flipped ? current : wanted;
}

std::optional<int> HpaCombine(const std::vector<std::optional<int>>& proposals, int current) {
  std::optional<int> largest;
  bool some_invalid = false;
  for (const std::optional<int>& proposal : proposals) {
    if (proposal.has_value()) {
      largest = std::max(largest.value_or(*proposal), *proposal);
    } else {
      some_invalid = true;
    }
  }
  if (some_invalid && largest.has_value() && *largest < current) return std::nullopt;
  return largest;
}

int HpaLegacyLimit(int desired, int current, const HpaBounds& bounds) {
  const int most = std::min(bounds.max, std::max(2 * current, 4));
  return std::clamp(desired, std::min(bounds.min, most), most);
}

int HpaBehaviorLimit(int desired, int current, const HpaBounds& bounds) {
  if (desired > current) return std::min({desired, bounds.max, std::max(current + 4, 2 * current)});
  return std::max(desired, bounds.min);
}

Hpa::Hpa(HpaKind kind, const Setting& setting, const Sensor& sensor)
    : kind_(kind),
      target_(setting.target),
      sensor_(sensor),
      recommendations_(Entries(setting.hold_steps, kHpaSyncSteps)) {}

int Hpa::Sync(std::optional<int> proposal, int current) {
  if (!proposal.has_value()) return current;
  const int stabilised = recommendations_.Add(*proposal);
  if (kind_ == HpaKind::kLegacy) return HpaLegacyLimit(stabilised, current, {});
  // The envelope: up to the newest proposal at once, down to the largest of the window.
  const int desired = *proposal > current ? *proposal : std::min(current, stabilised);
  return HpaBehaviorLimit(desired, current, {});
}

int Hpa::Decide(const Meter& meter, const Nodes& nodes) {
  const double total = sensor_.Read(meter);
  if (std::isnan(total)) return Sync(std::nullopt, nodes.present);
  return Sync(HpaExternalReplicas(total, target_, nodes.present), nodes.present);
}

Keda::Keda(const Setting& setting, int min) : min_(min), hpa_(HpaKind::kLegacy, setting, kSource) {}

int Keda::Decide(const Meter& meter, const Nodes& nodes) {
  const double now = kSource.Read(meter);
  if (meter.now() % kPollSteps == 0 && (std::isnan(now) || now > 0)) active_step_ = meter.now();
  if (min_ == 0 && meter.now() - active_step_ >= kCooldownSteps) return 0;
  if (nodes.present == 0) return now > 0 ? 1 : 0;
  return hpa_.Decide(meter, nodes);
}

}  // namespace headroom::lab
