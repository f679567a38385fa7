#pragma once

#include "controller/lab/baselines/hpa.h"
#include "controller/lab/baselines/setting.h"
#include "controller/lab/rival.h"

namespace headroom::lab {

// What Datadog's WatermarkPodAutoscaler compares: per-pod value, high and low mark, in one unit.
struct Watermarks {
  double value = 0, high = 0, low = 0;
};
// Above high x (1 + tolerance): ceil(ready x value / high); below low x (1 - tolerance): floor(ready x value / low), at
// least 1; else as it is. The tolerance is 1 %.
int WatermarkReplicas(int ready, const Watermarks& marks);

// WatermarkPodAutoscaler: the target is the high mark, 0.75 of it the low one; one sync grows by half and shrinks by a
// fifth at most (at least 1); nothing up within 60 s and nothing down within 300 s (the hold time) of a change. Synced
// and fed like an HPA.
class WatermarkPodAutoscaler final : public Rival {
 public:
  explicit WatermarkPodAutoscaler(const Setting& setting);
  int period_steps() const override { return kHpaSyncSteps; }
  int Decide(const Meter& meter, const Nodes& nodes) override;

  static constexpr int kHoldSteps = StepsOf(300);
  static constexpr int kUpWindowSteps = StepsOf(60);

 private:
  const double target_;
  const int hold_steps_;
  int changed_step_ = -StepsOf(3600);
};

}  // namespace headroom::lab
