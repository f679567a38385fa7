#pragma once

#include <array>

#include "controller/lab/baselines/setting.h"
#include "controller/lab/baselines/sliding.h"
#include "controller/lab/rival.h"

// The three clouds' own autoscalers, on an external metric in points of one minute.

namespace headroom::lab {

inline constexpr int kMinuteSteps = StepsOf(60);

// AwsTargetTracking: two alarms on metric per node in service (a booting node is left out of it). Out: above the target
// for 3 points running: to ceil(in service x metric / target), where booting nodes count as already there. In: below
// 0.9 of it for 15 points (the hold time), and none booting: to the smallest count that keeps the metric below the
// target. A missing point ends both runs. A point is there a minute after it ended, as CloudWatch's are.
class AwsTargetTracking final : public Rival {
 public:
  explicit AwsTargetTracking(const Setting& setting);
  int period_steps() const override { return kMinuteSteps; }
  int Decide(const Meter& meter, const Nodes& nodes) override;
  // Of the default termination policy: "closest to the next billing hour".
  Victims victims() const override { return Victims::kPaidOut; }

  static constexpr Sensor kPoints = {
      .window_steps = kMinuteSteps, .refresh_steps = kMinuteSteps, .delay_steps = kMinuteSteps};
  static constexpr int kOutPoints = 3;
  static constexpr int kHoldSteps = StepsOf(15 * 60);

 private:
  const double target_;
  const int in_points_;
  int above_ = 0, below_ = 0;  // points running
};

// GceMig: the largest ceil(sum of utilisation / target) of the stabilisation period (the hold time); no scale-in
// control, as by default. Evaluated each 30 s on the mean of the last minute. VMs younger than the initialisation
// period are left out of its data; the sum over a group of one external metric is the same without them.
class GceMig final : public Rival {
 public:
  explicit GceMig(const Setting& setting);
  int period_steps() const override { return StepsOf(30); }
  int Decide(const Meter& meter, const Nodes& nodes) override;

  static constexpr Sensor kSensor = {.window_steps = kMinuteSteps, .refresh_steps = 1, .delay_steps = 0};
  static constexpr int kHoldSteps = StepsOf(600);

 private:
  const double target_;
  SlidingMax recommendations_;
};

// Before k of n nodes leave, Azure projects metric x n / (n - k) and does not remove so many that it would scale out
// again; this is the largest k up to `wanted` that passes, 0: none.
int AzureScaleIn(double metric, int nodes, int wanted, double out_threshold);

// AzureRules: the mean over 10 minutes per node above the target: 20 % more, at least 1 (the rule's documented form
// "increase percent by"); below 0.75 of it: 20 % fewer, at least 1, as far as the guard lets it. Evaluated each minute,
// then a cooldown of 5 minutes; before scale-in the hold time.
class AzureRules final : public Rival {
 public:
  explicit AzureRules(const Setting& setting);
  int period_steps() const override { return kMinuteSteps; }
  int Decide(const Meter& meter, const Nodes& nodes) override;

  static constexpr int kHoldSteps = StepsOf(300);

 private:
  static constexpr int kWindowPoints = 10;
  static constexpr int kOutCooldownSteps = StepsOf(300);

  int Apply(double average, int since, const Nodes& nodes) const;

  const double target_;
  const int in_cooldown_steps_;
  std::array<double, kWindowPoints> points_{};  // metric per node
  int count_ = 0;
  int changed_step_ = -kOutCooldownSteps;
};

}  // namespace headroom::lab
