#pragma once

#include "controller/lab/baselines/setting.h"
#include "controller/lab/rival.h"

// The autoscalers of managed databases.

namespace headroom::lab {

// Spotify's Bigtable autoscaler: CPUAlgorithm (without an overload step, which is unset by default), StorageAlgorithm
// and the weight of a change.
// Down to 0.7 of the nodes at most, rounded up unless that would leave less than one node to go.
int BigtableCpuNodes(int nodes, double cpu, double target);
// A floor; a storage use of 0 is taken for a failed reading, and holds.
int BigtableStorageNodes(int nodes, double storage_ratio);
// The change in percent x the seconds since the last one must reach 14,400 to grow and 57,600 to shrink.
bool BigtableMayApply(int nodes, int wanted, int seconds_since_change);

// BigtableAutoscaler: each 30 s; nothing within 10 minutes of a change (the hold time); the mean CPU of the time since
// the change less 5 minutes, an hour at most, a minute late.
class BigtableAutoscaler final : public Rival {
 public:
  explicit BigtableAutoscaler(const Setting& setting);
  int period_steps() const override { return StepsOf(30); }
  int Decide(const Meter& meter, const Nodes& nodes) override;

  static constexpr int kHoldSteps = StepsOf(600);

 private:
  const double target_;
  const int hold_steps_;
  int changed_step_ = -StepsOf(3600);
};

// The linear method: inside threshold +- margin nothing; else ceil(nodes x value / threshold). Percents.
int SpannerLinear(int nodes, double value_percent, double threshold_percent);

// SpannerAutoscaler (cloudspannerecosystem, LINEAR, no scale-in limit, as by default): each 2 minutes on the last
// minute's mean, a minute late; cooldowns of 5 minutes after any change before growth and 30 (the hold time) before
// shrinking.
class SpannerAutoscaler final : public Rival {
 public:
  explicit SpannerAutoscaler(const Setting& setting);
  int period_steps() const override { return StepsOf(120); }
  int Decide(const Meter& meter, const Nodes& nodes) override;

  static constexpr int kHoldSteps = StepsOf(1800);

 private:
  const double target_;
  const int hold_steps_;
  int changed_step_ = -StepsOf(3600);
};

}  // namespace headroom::lab
