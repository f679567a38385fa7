#include "controller/lab/baselines/rivals.h"

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "controller/lab/baselines/cloud.h"
#include "controller/lab/baselines/database.h"
#include "controller/lab/baselines/hpa.h"
#include "controller/lab/baselines/kpa.h"
#include "controller/lab/baselines/simple.h"
#include "controller/lab/baselines/watermark.h"

namespace headroom::lab {
namespace {

constexpr int kTargetPercentMin = 30, kTargetPercentMax = 95, kTargetPercentStep = 5;
constexpr int kHoldLongSteps = StepsOf(600);

template <typename T>
Contender Tuned(const std::string& name, int hold_steps_default) {
  return {.name = name,
          .hold_steps_default = hold_steps_default,
          .make = [](const Setting& setting) { return std::make_unique<T>(setting); },
          .settings = TargetsAndHolds};
}

template <typename Make>
Contender Made(const std::string& name, int hold_steps_default, Make make) {
  return {.name = name, .hold_steps_default = hold_steps_default, .make = std::move(make), .settings = TargetsAndHolds};
}

Contender Hpas(const std::string& name, HpaKind kind) {
  return Made(name, kHpaHoldSteps,
              [kind](const Setting& setting) { return std::make_unique<Hpa>(kind, setting, Hpa::kPipeline); });
}

Contender Forecasts(const std::string& name, Forecast forecast, Standing standing) {
  Contender contender = Made(name, ForecastCount::kHoldSteps, [forecast](const Setting& setting) {
    return std::make_unique<ForecastCount>(forecast, setting);
  });
  contender.standing = standing;
  return contender;
}

// Between the best counts of the seeds lies the best of their mean.
std::vector<Setting> StaticCounts(const Contender&, const std::vector<Demand>& seeds) {
  std::set<int> best;
  for (const Demand& demand : seeds) best.insert(BestStaticNodes(demand));
  std::vector<Setting> settings;
  for (int nodes = *best.begin(); nodes <= *best.rbegin(); ++nodes) settings.push_back({.nodes = nodes});
  return settings;
}

}  // namespace

std::vector<Setting> TargetsAndHolds(const Contender& contender, const std::vector<Demand>&) {
  std::vector<Setting> settings;
  for (const int hold : std::set<int>{contender.hold_steps_default, 0, kHoldLongSteps}) {
    for (int percent = kTargetPercentMin; percent <= kTargetPercentMax; percent += kTargetPercentStep) {
      settings.push_back({.target = percent / 100.0, .hold_steps = hold});
    }
  }
  return settings;
}

std::vector<Contender> Contenders() {
  Contender keda =
      Made("keda", kHpaHoldSteps, [](const Setting& setting) { return std::make_unique<Keda>(setting, kNodesMin); });
  Contender fixed = Tuned<StaticCount>("best_static", 0);
  fixed.settings = StaticCounts;
  return {Hpas("hpa_legacy", HpaKind::kLegacy),
          Hpas("hpa_behavior", HpaKind::kBehavior),
          Tuned<Kpa>("kpa", 0),
          std::move(keda),
          Tuned<AwsTargetTracking>("aws_target_tracking", AwsTargetTracking::kHoldSteps),
          Tuned<GceMig>("gce_mig", GceMig::kHoldSteps),
          Tuned<AzureRules>("azure_rules", AzureRules::kHoldSteps),
          Tuned<BigtableAutoscaler>("bigtable_spotify", BigtableAutoscaler::kHoldSteps),
          Tuned<SpannerAutoscaler>("spanner_linear", SpannerAutoscaler::kHoldSteps),
          Tuned<WatermarkPodAutoscaler>("wpa", WatermarkPodAutoscaler::kHoldSteps),
          std::move(fixed),
          Forecasts("slope_extrapolation", Forecast::kSlope, Standing::kRival),
          Forecasts("last_value", Forecast::kLastValue, Standing::kReference)};
}

std::string Describe(const Setting& setting) {
  if (!setting.name.empty()) return setting.name;
  if (setting.nodes > 0) return absl::StrCat(setting.nodes, " nodes");
  return absl::StrFormat("target %.2f, hold %d s", setting.target, setting.hold_steps * kStepSeconds);
}

}  // namespace headroom::lab
