#pragma once

#include "controller/lab/baselines/setting.h"
#include "controller/lab/baselines/sliding.h"
#include "controller/lab/rival.h"

// Knative's pod autoscaler (autoscaling.go Scale()). The constants are upstream's; `target` stands for its concurrency
// target, the hold time for scale-down-delay.

namespace headroom::lab {

// How many pods are scraped of so many.
int KpaSampleSize(int pods);

// Excess burst capacity with a positive target burst capacity: below 0 the activator (a queueing proxy) is in the path.
struct KpaBurst {
  int ready = 0;
  double total_per_pod = 100;
  double target_burst = 211;
  double panic_average = 0;
};
int KpaExcessBurst(const KpaBurst& burst);

// What one tick sees.
struct KpaLoad {
  double stable_average = 0;  // over 60 s
  double panic_average = 0;   // over 6 s
  int ready = 0;
};

// KpaScaler: the two windows and the panic mode. Times are steps.
class KpaScaler {
 public:
  explicit KpaScaler(double target) : target_(target) {}
  // With more than one pod ready it starts in panic, since its history is lost on a restart.
  void Start(int step, int ready);
  int Scale(int step, const KpaLoad& load);

  static constexpr int kStableSteps = StepsOf(60);

 private:
  const double target_;
  bool panicking_ = false;
  int panic_step_ = 0;
  int panic_pods_max_ = 0;
};

// Kpa: one tick each step of 5 s, where the real one ticks each 2 s; scrapes each second, so it sees without delay.
class Kpa final : public Rival {
 public:
  explicit Kpa(const Setting& setting);
  int period_steps() const override { return 1; }
  int Decide(const Meter& meter, const Nodes& nodes) override;

 private:
  KpaScaler scaler_;
  SlidingMax delay_;
};

}  // namespace headroom::lab
