#include "controller/lab/baselines/kpa.h"

#include <algorithm>
#include <cmath>

namespace headroom::lab {
namespace {

constexpr double kPanicThreshold = 2.0;
constexpr int kScaleUpRate = 1000, kScaleDownRate = 2;
constexpr double kPopulation = 1.96 * 1.96 * 100 / 25;

int Ceil(double value) {
  return static_cast<int>(std::ceil(value));
}

}  // namespace

int KpaSampleSize(int pods) {
  if (pods <= 3) return pods;
  return Ceil(pods * kPopulation / (pods + kPopulation - 1));
}

int KpaExcessBurst(const KpaBurst& burst) {
  return static_cast<int>(std::floor(burst.ready * burst.total_per_pod - burst.target_burst - burst.panic_average));
}

void KpaScaler::Start(int step, int ready) {
  panicking_ = ready > 1;
  panic_step_ = step;
  panic_pods_max_ = panicking_ ? ready : 0;
}

int KpaScaler::Scale(int step, const KpaLoad& load) {
  const int ready = std::max(1, load.ready);
  const int up = kScaleUpRate * ready, down = ready / kScaleDownRate;
  const int stable = Ceil(load.stable_average / target_), panic = Ceil(load.panic_average / target_);
  const bool over = static_cast<double>(panic) / ready >= kPanicThreshold;
  if (over) {
    panicking_ = true;
    panic_step_ = step;
  } else if (panicking_ && panic_step_ + kStableSteps < step) {
    panicking_ = false;
    panic_pods_max_ = 0;
  }
  const int desired = std::clamp(stable, down, up);
  if (!panicking_) return desired;
  panic_pods_max_ = std::max({panic_pods_max_, desired, std::clamp(panic, down, up)});
  return panic_pods_max_;
}

Kpa::Kpa(const Setting& setting) : scaler_(setting.target), delay_(Entries(setting.hold_steps, 1)) {}

int Kpa::Decide(const Meter& meter, const Nodes& nodes) {
  const int now = meter.now();
  if (now == 0) scaler_.Start(0, nodes.ready);
  // Six seconds are the newest step and a second of the one before.
  const double newest = meter.Mean(now - 1, now), before = meter.Mean(now - 2, now - 1);
  const double stable = meter.Mean(now - KpaScaler::kStableSteps, now);
  if (std::isnan(newest) || std::isnan(stable)) return nodes.present;
  const double panic = std::isnan(before) ? newest : (5 * newest + before) / 6;
  const int wanted = scaler_.Scale(now, {.stable_average = stable, .panic_average = panic, .ready = nodes.ready});
  return delay_.Add(wanted);
}

}  // namespace headroom::lab
