#include "controller/core/limits/knee.h"

#include <algorithm>
#include <cmath>

namespace headroom {
namespace {

constexpr double kSmooth = 0.3;            // of a look: about five of them are one measurement
constexpr int64_t kWarm = 10;              // looks until the means are filled
constexpr double kPerPoint = kSmooth / 2;  // smoothed looks overlap: so much of each is news
constexpr absl::Duration kHalfLife = absl::Hours(1);
constexpr absl::Duration kApart = absl::Milliseconds(500);  // closer looks are of the same requests
constexpr absl::Duration kGap = absl::Minutes(1);
constexpr double kLittleOff = 0.33;
constexpr double kPointRatio = 1.33;
constexpr double kPointWeightMin = 1;  // less is chance
constexpr size_t kPointsMin = 4;
constexpr double kKnownPart = 0.5, kBeyond = 1.25;
constexpr double kBandSigmas = 1.645;  // 90 %
constexpr double kBandFactorMax = 4;   // from low to high
constexpr double kNoiseMin = 0.01;
// What no number of looks averages away: at a load that moves, those that answer now began at another one.
constexpr double kSystematic = 0.05;
constexpr int64_t kFitEvery = 5;
constexpr double kRegimePart = 0.12;  // what differs by less is the width of a point
constexpr double kDriftSlack = 1.5, kDriftMax = 25, kDriftStepMax = 4;
constexpr double kRegimeWeightMin = 3;

// Symmetric, of three unknowns.
struct Matrix {
  double aa = 0, ab = 0, ac = 0, bb = 0, bc = 0, cc = 0;
  double Determinant() const { return aa * (bb * cc - bc * bc) - ab * (ab * cc - bc * ac) + ac * (ab * bc - bb * ac); }
  Matrix Inverse() const {
    const double d = Determinant();
    return {(bb * cc - bc * bc) / d, (ac * bc - ab * cc) / d, (ab * bc - ac * bb) / d,
            (aa * cc - ac * ac) / d, (ab * ac - aa * bc) / d, (aa * bb - ab * ab) / d};
  }
};

size_t PointOf(double load) {
  return load <= 1 ? 0 : static_cast<size_t>(1 + std::log(load) / std::log(kPointRatio));
}

}  // namespace

static_assert(sizeof(KneeEstimator) < 1000);

void KneeEstimator::Add(absl::Time at, const Look& look) {
  const absl::Duration gap = at - at_;
  if (gap < kApart) return;
  if (gap > kGap) looks_ = 0;
  at_ = at;
  const double share = looks_ == 0 ? 1 : std::max(kSmooth, 1 / static_cast<double>(looks_ + 1));
  ++looks_;
  const double seconds = absl::ToDoubleSeconds(look.latency);
  active_ += share * (look.active - active_);
  per_second_ += share * (look.per_second - per_second_);
  busy_ += share * (look.per_second * seconds - busy_);
  if (looks_ > 1 && gap < kGap) {
    const double kept = std::exp2(-absl::FDivDuration(gap, kHalfLife));
    for (Point& point : points_) point.weight *= kept;
  }
  const bool measured = looks_ >= kWarm && per_second_ > 0 && active_ >= 0.5;
  if (!measured || std::abs(active_ - busy_) > kLittleOff * std::max(active_, 1.0)) return;
  Learn(active_, busy_ / per_second_);
  if (looks_ % kFitEvery != 0) return;
  const std::optional<Knee> fitted = Fit();
  // What was adopted stands until there is something better.
  if (fitted.has_value() || !knee_.has_value() || Proven() > knee_->proven) knee_ = fitted;
}

void KneeEstimator::Adopt(const Knee& knee) {
  if (!knee_.has_value() && knee.count > 0) knee_ = knee;
}

void KneeEstimator::Learn(double load, double seconds) {
  Point& point = points_[std::min(PointOf(load), kPoints - 1)];
  if (IsAnotherRegime(point, seconds)) {
    const absl::Time at = at_;
    *this = {};
    at_ = at;
    return;
  }
  point.weight += kPerPoint;
  const double share = std::min(1.0, kPerPoint / point.weight);
  if (share >= 1) point = {.weight = kPerPoint, .load = load, .seconds = seconds};
  const double off = point.seconds > 0 ? seconds / point.seconds - 1 : 0;
  point.load += share * (load - point.load);
  point.seconds += share * (seconds - point.seconds);
  point.spread += share * (off * off - point.spread);
}

// A cumulative sum against what was usual at this load.
bool KneeEstimator::IsAnotherRegime(const Point& point, double seconds) {
  if (point.weight < kRegimeWeightMin) return false;
  const double sigma = std::max(std::sqrt(point.spread), kRegimePart) * point.seconds;
  const double off = std::clamp((seconds - point.seconds) / sigma, -kDriftStepMax, kDriftStepMax);
  drift_up_ = std::max(0.0, drift_up_ + off - kDriftSlack);
  drift_down_ = std::max(0.0, drift_down_ - off - kDriftSlack);
  return drift_up_ > kDriftMax || drift_down_ > kDriftMax;
}

double KneeEstimator::Proven() const {
  double proven = 0;
  for (const Point& point : points_) {
    if (point.weight >= kPointWeightMin) proven = std::max(proven, point.load);
  }
  return proven;
}

// Relative variance of one measurement, over all loads.
double KneeEstimator::Noise() const {
  double sum = 0, weight = 0;
  for (const Point& point : points_) {
    sum += point.weight * point.spread;
    weight += point.weight;
  }
  return std::max(weight > 0 ? sum / weight : 0, kNoiseMin * kNoiseMin);
}

std::optional<Knee> KneeEstimator::Fit() const {
  const double proven = Proven(), noise = Noise();
  Matrix normal;
  double ya = 0, yb = 0, yc = 0;
  size_t used = 0;
  for (const Point& point : points_) {
    if (point.weight < kPointWeightMin) continue;
    ++used;
    const double n = point.load / proven,
                 w = 1 / ((noise / point.weight + kSystematic * kSystematic) * point.seconds * point.seconds);
    normal.aa += w;
    normal.ab += w * n;
    normal.ac += w * n * n;
    normal.bb += w * n * n;
    normal.bc += w * n * n * n;
    normal.cc += w * n * n * n * n;
    ya += w * point.seconds;
    yb += w * n * point.seconds;
    yc += w * n * n * point.seconds;
  }
  if (used < kPointsMin || !(normal.Determinant() > 0)) return std::nullopt;
  const Matrix covariance = normal.Inverse();
  const double a = covariance.aa * ya + covariance.ab * yb + covariance.ac * yc;
  const double c = covariance.ac * ya + covariance.bc * yb + covariance.cc * yc;
  const bool bends = c > kBandSigmas * std::sqrt(std::max(covariance.cc, 0.0));
  if (!(a > 0) || !bends) return std::nullopt;
  const double count = std::sqrt(a / c) * proven;
  const double variance = 0.25 * (covariance.aa / (a * a) + covariance.cc / (c * c) - 2 * covariance.ac / (a * c));
  const double factor = std::exp(kBandSigmas * std::sqrt(std::max(variance, 0.0)));
  if (!std::isfinite(count) || proven < kKnownPart * count || factor * factor > kBandFactorMax) return std::nullopt;
  const double most = kBeyond * proven;
  return Knee{std::min(count, most), std::min(count / factor, most), std::min(count * factor, most), proven};
}

}  // namespace headroom
