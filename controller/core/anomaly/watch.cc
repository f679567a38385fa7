#include "controller/core/anomaly/watch.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

namespace headroom {
namespace {

constexpr int kGoneLooks = 6;      // samples in a row at which what was seen is gone
constexpr double kGonePart = 0.5;  // of the way back to what was expected
constexpr double kSureSigmas = 8;  // what lies as far out as this is as sure as it gets
constexpr double kHotSigmas = 6, kHotRatio = 1.5, kHotPosition = 0.6;
constexpr double kCoolPart = 0.8;  // of those bounds: hot nodes do not flicker
constexpr int kHotNodesMin = 3;    // of two nodes nobody can tell which is the odd one
constexpr absl::Duration kHotFor = absl::Seconds(10);
constexpr absl::Duration kYoung = absl::Minutes(2);  // new nodes are empty, which makes no other one hot
constexpr absl::Duration kSilenceMemory = absl::Hours(1);
constexpr absl::Duration kLookEvery = absl::Milliseconds(950);
constexpr int kNodeCalmLooks = 60;
constexpr absl::Duration kSuspectFor = absl::Minutes(10);

using Rows = std::array<std::optional<double>, kClusterSeries>;

std::optional<double>& At(Rows& rows, WatchedSeries series) {
  return rows[static_cast<size_t>(series)];
}

// What the cluster says now; nothing of what cannot be told.
Rows ReadingsOf(const FleetSummary& summary) {
  Rows rows;
  At(rows, WatchedSeries::kDemand) = static_cast<double>(summary.demand);
  At(rows, WatchedSeries::kOpen) = static_cast<double>(summary.open);
  At(rows, WatchedSeries::kArrivals) = summary.accepted + summary.rejected;
  At(rows, WatchedSeries::kAnswers) = summary.completed;
  At(rows, WatchedSeries::kFailures) = summary.rejected + summary.errors;
  At(rows, WatchedSeries::kThroughput) = summary.sent_bytes + summary.received_bytes;
  const absl::Duration p99 = summary.latency.Quantile(0.99);
  if (p99 > absl::ZeroDuration()) At(rows, WatchedSeries::kLatency) = absl::ToDoubleSeconds(p99);
  return rows;
}

bool Rises(const AnomalyVerdict& verdict) {
  return verdict.seen > verdict.expected;
}

// Whether an anomaly makes it unsafe to take a node away. Load that falls may be load that cannot reach us; good news
// and odd shapes of usual values are nothing of the kind.
bool Matters(WatchedSeries series, const AnomalyVerdict& verdict) {
  if (verdict.kind == AnomalyKind::kNone || verdict.kind == AnomalyKind::kPattern) return false;
  if (verdict.kind == AnomalyKind::kVariance) return verdict.sigmas > 0;
  switch (series) {
    case WatchedSeries::kDemand:
      return verdict.kind != AnomalyKind::kDrift;
    case WatchedSeries::kFailures:
    case WatchedSeries::kLatency:
      return Rises(verdict);
    case WatchedSeries::kOpen:
    case WatchedSeries::kArrivals:
    case WatchedSeries::kAnswers:
    case WatchedSeries::kThroughput:
      return !Rises(verdict) && verdict.kind != AnomalyKind::kDrift;
    case WatchedSeries::kSilentNodes:
    case WatchedSeries::kHotNode:
      break;
  }
  return true;
}

// What differs by less is too little to change a decision, however unusual it is in a very even series.
bool IsLarge(const AnomalyIncident& incident, double value) {
  constexpr double kPart = 0.15;
  if (incident.kind == AnomalyKind::kVariance) return incident.seen >= kPart * value;
  return std::abs(incident.seen - incident.expected) >= kPart * std::abs(incident.expected);
}

// How far a value is on the way from what was expected to what was seen.
double PartOfTheWay(const AnomalyIncident& incident, double value) {
  return (value - incident.expected) / (incident.seen - incident.expected);
}

// The detector's own bound suits series that follow the load. Latency and failures wander by themselves: at that bound
// they were said to be unusual once a day in clusters where all was well.
double SurpriseMin(WatchedSeries series) {
  return series == WatchedSeries::kLatency || series == WatchedSeries::kFailures ? 8.5 : 0;
}

double ScoreOfSigmas(double sigmas) {
  return std::clamp(0.5 + 0.5 * sigmas / kSureSigmas, 0.5, 1.0);
}

}  // namespace

absl::string_view ToString(WatchedSeries series) {
  static constexpr std::array<absl::string_view, kWatchedSeries> kNames = {
      "demand",     "open connections", "new connections",         "answers", "failures", "p99 latency",
      "throughput", "silent nodes",     "load of the hottest node"};
  return kNames[static_cast<size_t>(series)];
}

AnomalyIncident* AnomalyWatch::Find(WatchedSeries series) {
  const auto found = std::find_if(incidents_.begin(), incidents_.end(),
                                  [&](const AnomalyIncident& incident) { return incident.series == series; });
  return found == incidents_.end() ? nullptr : &*found;
}

void AnomalyWatch::Raise(AnomalyIncident incident) {
  if (AnomalyIncident* lasting = Find(incident.series))
    *lasting = std::move(incident);
  else
    incidents_.push_back(std::move(incident));
  const auto comes_first = [](const AnomalyIncident& a, const AnomalyIncident& b) {
    const bool a_cluster = a.series < WatchedSeries::kSilentNodes, b_cluster = b.series < WatchedSeries::kSilentNodes;
    if (a_cluster != b_cluster) return a_cluster;
    return a.score != b.score ? a.score > b.score : a.series < b.series;
  };
  std::sort(incidents_.begin(), incidents_.end(), comes_first);
}

void AnomalyWatch::Calm(WatchedSeries series, int looks) {
  AnomalyIncident* incident = Find(series);
  if (incident == nullptr || ++incident->calm < looks) return;
  incidents_.erase(incidents_.begin() + (incident - incidents_.data()));
}

void AnomalyWatch::Expire(absl::Time now, absl::Duration hold) {
  std::erase_if(incidents_, [&](const AnomalyIncident& incident) {
    const bool of_nodes = incident.series >= WatchedSeries::kSilentNodes;  // they are told for as long as they last
    return !of_nodes && now - incident.since >= hold;
  });
}

void AnomalyWatch::Observe(const Look& look) {
  level_shifted_ = false;
  if (!look.policy.anomaly.enabled) {
    *this = {};
    return;
  }
  Expire(look.now, look.policy.anomaly.hold);
  if (look.now - looked_at_ >= kLookEvery) {
    LookAtSilence(look);
    LookAtHeat(look);
    AddUp(look);
    looked_at_ = look.now;
  }
  if (look.now - sampled_at_ >= kSample) Sample(look);
}

void AnomalyWatch::AddUp(const Look& look) {
  if (!look.summary.Known(look.policy.control)) return;
  const Rows rows = ReadingsOf(look.summary);
  for (size_t i = 0; i < kClusterSeries; ++i) {
    if (!rows[i].has_value()) continue;
    sums_[i] += *rows[i];
    ++counts_[i];
  }
}

void AnomalyWatch::Sample(const Look& look) {
  detectors_.resize(kClusterSeries);
  const bool first = sampled_at_ == absl::InfinitePast();
  sampled_at_ = look.now;
  for (size_t i = 0; i < kClusterSeries; ++i) {
    const double sum = std::exchange(sums_[i], 0), count = std::exchange(counts_[i], 0u);
    if (count == 0 || first) continue;
    Judge(static_cast<WatchedSeries>(i), sum / count, look.now);
  }
}

void AnomalyWatch::Judge(WatchedSeries series, double value, absl::Time now) {
  if (series == WatchedSeries::kDemand) {
    demands_.push_back({now, value});
    if (demands_.size() > kDemandsMax) demands_.erase(demands_.begin());
  }
  const AnomalyVerdict verdict = detectors_[static_cast<size_t>(series)].Observe(now, value);
  if (verdict.alarm && verdict.surprise >= SurpriseMin(series) && Matters(series, verdict)) {
    suspects_[static_cast<size_t>(series)] = {.series = series,
                                              .kind = verdict.kind,
                                              .score = verdict.score,
                                              .seen = verdict.seen,
                                              .expected = verdict.expected,
                                              .sigmas = verdict.sigmas,
                                              .node = "",
                                              .since = now};
    if (series == WatchedSeries::kDemand && verdict.kind == AnomalyKind::kLevelShift) level_shifted_ = true;
  }
  Follow(suspects_[static_cast<size_t>(series)], value, now);
  AnomalyIncident* lasting = Find(series);
  if (lasting == nullptr || lasting->kind == AnomalyKind::kVariance) return;
  if (PartOfTheWay(*lasting, value) < kGonePart)
    Calm(series, kGoneLooks);
  else
    lasting->calm = 0;
}

// A detector speaks once, often at the first small step of what becomes large: that is an incident then.
void AnomalyWatch::Follow(AnomalyIncident& suspect, double value, absl::Time now) {
  if (suspect.kind == AnomalyKind::kNone) return;
  if (suspect.kind != AnomalyKind::kVariance) {
    const double part = PartOfTheWay(suspect, value);
    suspect.calm = part < kGonePart ? suspect.calm + 1 : 0;
    if (part > 1) {
      suspect.sigmas *= part;
      suspect.seen = value;
    }
  }
  const bool large = IsLarge(suspect, value);
  if (large) {
    suspect.since = now;
    suspect.calm = 0;
    Raise(suspect);
  }
  if (large || suspect.calm >= kGoneLooks || now - suspect.since > kSuspectFor) suspect = {};
}

// More nodes are silent than usual. That one of ten thousand always is, is usual.
void AnomalyWatch::LookAtSilence(const Look& look) {
  const double silent = look.spread.silent_count();
  const double sigma = std::max(std::sqrt(silent_usual_), 0.3);
  const double sigmas = (silent - silent_usual_) / sigma;
  const double elapsed =
      looked_at_ == absl::InfinitePast() ? 0 : absl::FDivDuration(look.now - looked_at_, kSilenceMemory);
  const double usual = silent_usual_;
  // What an incident shows is not usual before it has been held for long enough.
  const AnomalyIncident* held = Find(WatchedSeries::kSilentNodes);
  if (held == nullptr || look.now - held->since >= look.policy.anomaly.hold)
    silent_usual_ += std::min(elapsed, 1.0) * (silent - silent_usual_);
  if (sigmas < 3 || look.spread.first_silent() == nullptr) return Calm(WatchedSeries::kSilentNodes, kNodeCalmLooks);
  if (AnomalyIncident* lasting = Find(WatchedSeries::kSilentNodes)) {
    lasting->calm = 0;
    return;
  }
  Raise({.series = WatchedSeries::kSilentNodes,
         .kind = AnomalyKind::kSilence,
         .score = ScoreOfSigmas(sigmas),
         .seen = silent,
         .expected = usual,
         .sigmas = sigmas,
         .node = look.spread.first_silent()->id,
         .since = look.now});
}

// One node carries much more of its size than the median node does, and enough to be near its end.
void AnomalyWatch::LookAtHeat(const Look& look) {
  const FleetSpread& spread = look.spread;
  const bool settled = look.now - look.summary.newest_at >= kYoung;
  AnomalyIncident* lasting = Find(WatchedSeries::kHotNode);
  const double bound = lasting == nullptr ? 1 : kCoolPart;
  const double position = spread.hottest_position();
  // The quantiles are asked for only where they could matter: most ticks of most clusters end here.
  const bool near_end = spread.count() >= kHotNodesMin && position >= bound * kHotPosition;
  const double median = near_end ? spread.Median() : 0, sigma = near_end ? spread.Sigma() : 1;
  const double sigmas = (position - median) / sigma;
  const bool hot = near_end && settled && sigmas >= bound * kHotSigmas && position >= bound * kHotRatio * median;
  if (!hot) {
    hot_since_ = absl::InfiniteFuture();
    return Calm(WatchedSeries::kHotNode, kNodeCalmLooks);
  }
  if (lasting != nullptr) {
    lasting->calm = 0;
    return;
  }
  hot_since_ = std::min(hot_since_, look.now);
  if (look.now - hot_since_ < kHotFor) return;
  Raise({.series = WatchedSeries::kHotNode,
         .kind = AnomalyKind::kSurge,
         .score = ScoreOfSigmas(sigmas),
         .seen = position,
         .expected = median,
         .sigmas = sigmas,
         .node = spread.hottest()->id,
         .since = look.now});
}

absl::Duration AnomalyWatch::LearnsFor() const {
  const int64_t seen = detectors_.empty() ? 0 : detectors_[static_cast<size_t>(WatchedSeries::kDemand)].samples();
  return std::max<int64_t>(0, AnomalyDetector::kAlarmSamplesMin - seen) * kSample;
}

std::optional<AnomalyWatch::Surge> AnomalyWatch::DemandSurge(absl::Duration lead) const {
  const AnomalyIncident* incident = Find(WatchedSeries::kDemand);
  if (incident == nullptr || demands_.empty() || incident->sigmas <= 0) return std::nullopt;
  if (incident->kind != AnomalyKind::kSurge && incident->kind != AnomalyKind::kLevelShift) return std::nullopt;
  const Past& newest = demands_.back();
  const auto first =
      std::find_if(demands_.begin(), demands_.end(), [&](const Past& past) { return newest.at - past.at <= lead; });
  if (first->demand >= newest.demand) return std::nullopt;
  return Surge{first->demand, newest.demand, incident->sigmas, newest.at - first->at};
}

}  // namespace headroom
