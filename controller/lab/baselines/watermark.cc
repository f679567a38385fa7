#include "controller/lab/baselines/watermark.h"

#include <algorithm>
#include <cmath>

namespace headroom::lab {
namespace {

constexpr double kTolerance = 0.01, kLowRatio = 0.75;
constexpr double kGrowth = 0.5, kShrinkage = 0.2;

}  // namespace

int WatermarkReplicas(int ready, const Watermarks& marks) {
  if (marks.value > marks.high * (1 + kTolerance)) return static_cast<int>(std::ceil(ready * marks.value / marks.high));
  if (marks.value >= marks.low * (1 - kTolerance)) return ready;
  return std::max(1, static_cast<int>(std::floor(ready * marks.value / marks.low)));
}

WatermarkPodAutoscaler::WatermarkPodAutoscaler(const Setting& setting)
    : target_(setting.target), hold_steps_(setting.hold_steps) {}

int WatermarkPodAutoscaler::Decide(const Meter& meter, const Nodes& nodes) {
  const double total = Hpa::kPipeline.Read(meter);
  if (std::isnan(total)) return nodes.present;
  const int current = nodes.present;
  const int most = current + std::max(1, static_cast<int>(current * kGrowth));
  const int least = current - std::max(1, static_cast<int>(current * kShrinkage));
  const int replicas = WatermarkReplicas(current, {total / current, target_, kLowRatio * target_});
  const int wanted = std::clamp(replicas, std::max(kNodesMin, least), std::min(kNodesMax, most));
  const int since = meter.now() - changed_step_;
  if (wanted == current || since < (wanted > current ? kUpWindowSteps : hold_steps_)) return current;
  changed_step_ = meter.now();
  return wanted;
}

}  // namespace headroom::lab
