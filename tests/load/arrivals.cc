#include "tests/load/arrivals.h"

#include <algorithm>
#include <cmath>

#include "controller/base/check.h"

namespace headroom::load {
namespace {

std::vector<double> ZipfPopularity(size_t count, double exponent) {
  std::vector<double> cumulative(count);
  double sum = 0;
  for (size_t i = 0; i < count; ++i) cumulative[i] = sum += std::pow(static_cast<double>(i + 1), -exponent);
  return cumulative;
}

}  // namespace

Arrivals::Arrivals(const Profile& profile) : profile_(profile), random_(profile.seed) {
  HR_CHECK(!profile.objects.empty());
  if (profile.zipf_exponent > 0) popularity_ = ZipfPopularity(profile.objects.size(), profile.zipf_exponent);
}

int Arrivals::DrawObject() {
  if (popularity_.empty()) return random_.Below(static_cast<int>(profile_.objects.size()));
  const double drawn = random_.Uniform() * popularity_.back();
  return static_cast<int>(std::upper_bound(popularity_.begin(), popularity_.end(), drawn) - popularity_.begin());
}

std::optional<Arrival> Arrivals::Next() {
  if (static_cast<double>(drawn_) >= kMostRequests) return std::nullopt;
  for (; phase_ < profile_.phases.size(); ++phase_) {
    const Phase& phase = profile_.phases[phase_];
    const absl::Duration end = phase_start_ + phase.duration;
    // A Poisson process has no memory: what a phase cuts off may be drawn anew in the next one.
    if (phase.rate > 0) at_ += absl::Nanoseconds(std::llround(1e9 * random_.Exponential() / phase.rate));
    if (phase.rate > 0 && at_ < end) {
      ++drawn_;
      Arrival arrival{.at = at_, .phase = static_cast<int>(phase_), .client = random_.Below(phase.clients)};
      arrival.object = DrawObject();
      if (profile_.puts.fraction > 0 && random_.Uniform() < profile_.puts.fraction) arrival.method = Method::kPut;
      return arrival;
    }
    at_ = phase_start_ = end;
  }
  return std::nullopt;
}

}  // namespace headroom::load
