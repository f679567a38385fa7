#pragma once

#include <optional>
#include <vector>

#include "controller/lab/baselines/setting.h"
#include "controller/lab/baselines/sliding.h"
#include "controller/lab/rival.h"

// Kubernetes HPA v2 (replica_calculator.go, horizontal.go) and KEDA, which feeds it. The constants are upstream's.

namespace headroom::lab {

inline constexpr double kHpaTolerance = 0.1;
inline constexpr int kHpaSyncSteps = StepsOf(15);
inline constexpr int kHpaHoldSteps = StepsOf(300);  // downscale stabilisation

// An External metric of type AverageValue: `total` over all pods. Inside the tolerance the current count stays.
int HpaExternalReplicas(double total, double target_average, int replicas);

// A Resource metric (CPU) in whole percents of what the pods request.
struct HpaPods {
  int ready = 0;
  double usage_millis = 0;       // of the ready ones with a metric, in all
  int unready = 0;               // pending or still starting: counted as idle when that would mean growth
  int missing = 0;               // without a metric: idle when growing, full when shrinking
  double request_millis = 1000;  // a pod
};
// Nothing: no pod is ready, no proposal. `target_percent` is of the request. The tolerance is upstream's isWithin of
// 1.33 and later, where a ratio of exactly 1.1 is inside.
std::optional<int> HpaResourceReplicas(const HpaPods& pods, int target_percent, int current);

// The largest proposal; nothing where none is valid, or some are not and the rest would shrink.
std::optional<int> HpaCombine(const std::vector<std::optional<int>>& proposals, int current);

struct HpaBounds {
  int min = kNodesMin, max = kNodesMax;
};
// One sync grows to at most twice the count, or 4 (no `behavior`: the API's default).
int HpaLegacyLimit(int desired, int current, const HpaBounds& bounds);
// A `behavior` block with its defaults: by 4 pods or 100 % a 15 s, whichever is more; down without limit. The period of
// these policies is the sync's, so nothing that was added before counts into it.
int HpaBehaviorLimit(int desired, int current, const HpaBounds& bounds);

// Normalisation of HPA: HPA legacy: the largest recommendation of the hold time. HPA behavior: the same for shrinking;
// an up window of 0 leaves growth as it is.
enum class HpaKind { kLegacy, kBehavior };

// Hpa: an external metric behind a pipeline refreshed each 30 s and 10 s late, read each 15 s: 10 or 25 s old when it
// is read, 25 s from change to decision in the mean and 40 s at worst (upstream's own estimate: 27.5 s and 55 s).
class Hpa final : public Rival {
 public:
  Hpa(HpaKind kind, const Setting& setting, const Sensor& sensor);
  int period_steps() const override { return kHpaSyncSteps; }
  int Decide(const Meter& meter, const Nodes& nodes) override;

  // One sync with what the metrics propose.
  int Sync(std::optional<int> proposal, int current);

  static constexpr Sensor kPipeline = {.window_steps = 2, .refresh_steps = StepsOf(30), .delay_steps = StepsOf(10)};

 private:
  const HpaKind kind_;
  const double target_;
  const Sensor sensor_;
  SlidingMax recommendations_;
};

// Keda: HPA's legacy path on a metric that the adapter asks its source for at each sync; the source scrapes each 15 s.
// It alone goes to zero: after the cooldown without activity, whatever the count was. With min 1 that never happens.
class Keda final : public Rival {
 public:
  Keda(const Setting& setting, int min);
  int period_steps() const override { return kHpaSyncSteps; }
  int Decide(const Meter& meter, const Nodes& nodes) override;

  static constexpr int kPollSteps = StepsOf(30);
  static constexpr int kCooldownSteps = StepsOf(300);
  static constexpr Sensor kSource = {.window_steps = StepsOf(15), .refresh_steps = StepsOf(15), .delay_steps = 0};

 private:
  const int min_;
  Hpa hpa_;
  int active_step_ = 0;  // when the trigger was last seen active
};

}  // namespace headroom::lab
