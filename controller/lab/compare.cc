#include "controller/lab/compare.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "controller/base/check.h"
#include "controller/lab/optimum.h"
#include "controller/lab/parallel.h"

namespace headroom::lab {
namespace {

constexpr char kStaticName[] = "best_static";

// Means over the seeds.
struct Score {
  Outcome outcome;
  Elasticity elasticity;
};
enum class Limits { kFixed, kRaised };

Outcome MeanOf(const std::vector<Outcome>& outcomes) {
  const double share = 1.0 / static_cast<double>(outcomes.size());
  Outcome mean;
  for (const Outcome& outcome : outcomes) {
    mean.node_hours += share * outcome.node_hours;
    mean.unserved_hours += share * outcome.unserved_hours;
    mean.offered_hours += share * outcome.offered_hours;
    mean.actions += share * outcome.actions;
    mean.above_safe_ratio += share * outcome.above_safe_ratio;
  }
  return mean;
}

// The means of whole five minutes; NaN where nothing is known.
std::vector<double> FiveMinuteMeans(const Course& course) {
  constexpr int kSlot = StepsOf(300);
  std::vector<double> means;
  for (int begin = 0; begin + kSlot <= course.steps; begin += kSlot) {
    double sum = 0;
    for (int step = begin; step < begin + kSlot; ++step) sum += double{course.held[step]};
    means.push_back(sum / (course.known_before[begin + kSlot] - course.known_before[begin]));
  }
  return means;
}

// Of the five-minute means that are known together with the one a day later.
double DayAutocorrelation(const Course& course) {
  constexpr size_t kDay = 86'400 / 300;
  const std::vector<double> means = FiveMinuteMeans(course);
  double n = 0, x = 0, y = 0, xx = 0, yy = 0, xy = 0;
  for (size_t i = 0; i + kDay < means.size(); ++i) {
    const double a = means[i], b = means[i + kDay];
    if (std::isnan(a) || std::isnan(b)) continue;
    n += 1, x += a, y += b, xx += a * a, yy += b * b, xy += a * b;
  }
  const double spread = (n * xx - x * x) * (n * yy - y * y);
  return spread > 0 ? (n * xy - x * y) / std::sqrt(spread) : std::numeric_limits<double>::quiet_NaN();
}

// The two parts of the difference, and which is the larger one.
std::string WhyLost(const PolicyResult& ours, const PolicyResult& best) {
  const double paid = (ours.node_hours - best.node_hours) / best.cost, lost = ours.cost / best.cost - 1;
  const double short_of = lost - paid;
  return absl::StrFormat(
      "%.1f %% above %s (%s): %+.1f %% in node-hours (%.0f against %.0f), %+.1f %% in unserved demand (%.3f %% against "
      "%.3f %%); mostly in %s.",
      100 * lost, best.name, best.setting, 100 * paid, ours.node_hours, best.node_hours, 100 * short_of,
      100 * ours.unserved_ratio, 100 * best.unserved_ratio, short_of > paid ? "unserved demand" : "node-hours");
}

using MakeRival = std::function<std::unique_ptr<Rival>(size_t seed)>;

Score MeanScore(const std::vector<Demand>& seeds, const std::vector<Outcome>& outcomes) {
  std::vector<Elasticity> elasticities;
  for (size_t seed = 0; seed < seeds.size(); ++seed) {
    if (!outcomes[seed].supply.empty()) elasticities.push_back(MeasureElasticity(seeds[seed], outcomes[seed]));
  }
  return {.outcome = MeanOf(outcomes), .elasticity = MeanElasticity(elasticities)};
}

std::vector<Outcome> RunAll(const std::vector<Demand>& seeds, const MakeRival& make, const RunOptions& options) {
  std::vector<Outcome> outcomes;
  for (size_t seed = 0; seed < seeds.size(); ++seed) {
    outcomes.push_back(Simulate(seeds[seed], *make(seed), options));
  }
  return outcomes;
}

Score ScoreOf(const std::vector<Demand>& seeds, const MakeRival& make, const RunOptions& options) {
  return MeanScore(seeds, RunAll(seeds, make, options));
}

// One contender under one sight, with what was tried and what it came to.
struct Tuning {
  const Contender* contender = nullptr;
  Sight sight = Sight::kOffered;
  std::vector<Setting> settings;
  std::vector<double> costs;
  std::vector<Outcome> outcomes;  // of the best setting, a seed each
  Score best;
  Score raised;  // of ours: the same with raised limits

  // With one setting there is nothing to be tuned.
  bool IsTuned() const { return settings.size() > 1; }
  const Setting& BestSetting() const {
    return settings[static_cast<size_t>(std::min_element(costs.begin(), costs.end()) - costs.begin())];
  }
};

class TraceComparison {
 public:
  TraceComparison(std::shared_ptr<const Course> course, const std::vector<Contender>& contenders,
                  const CompareOptions& options)
      : course_(std::move(course)), options_(options), plans_(kSeeds.size()), bounds_(kSeeds.size()) {
    for (const uint64_t seed : kSeeds) seeds_.push_back(MakeDemand(course_, seed));
    for (const Sight sight : {Sight::kOffered, Sight::kCapped}) {
      for (const Contender& contender : contenders) {
        Tuning tuning{.contender = &contender, .sight = sight, .settings = contender.settings(contender, seeds_)};
        tuning.costs.resize(tuning.settings.size());
        tuning.outcomes.resize(seeds_.size());
        tunings_.push_back(std::move(tuning));
      }
    }
  }

  TraceResult Go() {
    const std::vector<std::function<void()>> search = SearchJobs(), score = ScoreJobs();
    const int first = static_cast<int>(search.size()), runs = first + static_cast<int>(score.size());
    options_.progress({0, runs});  // the first run takes a while
    DoInParallel(search, options_.threads, [&](int done) { options_.progress({done, runs}); });
    DoInParallel(score, options_.threads, [&](int done) { options_.progress({first + done, runs}); });
    TraceResult result{.name = course_->name, .notes = course_->notes};
    Describe(result);
    result.offered = Table(Sight::kOffered);
    result.capped = Table(Sight::kCapped);
    return result;
  }

 private:
  // The longest first, so that all threads are busy to the end: what has nothing to be tuned runs in full (that is
  // Headroom, whose one run takes as long as hundreds of others), then the optima.
  std::vector<std::function<void()>> SearchJobs() {
    std::vector<std::function<void()>> jobs;
    for (Tuning& tuning : tunings_) {
      for (size_t seed = 0; seed < seeds_.size() && !tuning.IsTuned(); ++seed) {
        jobs.push_back([this, &tuning, seed] { RunBest(tuning, seed); });
      }
    }
    for (size_t seed = 0; seed < seeds_.size(); ++seed) {
      jobs.push_back([this, seed] { plans_[seed] = FindOptimum(seeds_[seed]); });
      jobs.push_back([this, seed] { bounds_[seed] = RampFreeBound(seeds_[seed]) * kHoursPerStep; });
    }
    for (Tuning& tuning : tunings_) {
      for (size_t i = 0; i < tuning.settings.size() && tuning.IsTuned(); ++i) {
        jobs.push_back(
            [this, &tuning, i] { tuning.costs[i] = Run(tuning, tuning.settings[i], Record::kTotals).outcome.cost(); });
      }
    }
    return jobs;
  }

  std::vector<std::function<void()>> ScoreJobs() {
    std::vector<std::function<void()>> jobs;
    jobs.push_back([this] {
      const auto make = [this](size_t seed) { return std::make_unique<Schedule>(plans_[seed]); };
      optimum_ = ScoreOf(seeds_, make, {.record = Record::kSupply});
    });
    for (Tuning& tuning : tunings_) {
      jobs.push_back([this, &tuning] { ScoreBest(tuning); });
    }
    return jobs;
  }

  void RunBest(Tuning& tuning, size_t seed) const {
    const auto rival = tuning.contender->make(tuning.BestSetting());
    tuning.outcomes[seed] = Simulate(seeds_[seed], *rival, {.sight = tuning.sight, .record = Record::kSupply});
  }

  void ScoreBest(Tuning& tuning) const {
    for (size_t seed = 0; seed < seeds_.size() && tuning.IsTuned(); ++seed) RunBest(tuning, seed);
    std::vector<Outcome> outcomes = std::exchange(tuning.outcomes, {});  // a value a step: freed when it is scored
    tuning.best = MeanScore(seeds_, outcomes);
    if (tuning.contender->standing != Standing::kOurs) return;
    for (size_t seed = 0; seed < seeds_.size(); ++seed) {
      outcomes[seed] = WithRaisedLimits(seeds_[seed], outcomes[seed]);
    }
    tuning.raised = MeanScore(seeds_, outcomes);
  }

  Score Run(const Tuning& tuning, const Setting& setting, Record record) const {
    const auto make = [&](size_t) { return tuning.contender->make(setting); };
    return ScoreOf(seeds_, make, {.sight = tuning.sight, .record = record});
  }

  void Describe(TraceResult& result) const {
    double sum = 0;
    for (int step = course_->first_scored; step < course_->steps; ++step) {
      sum += double{course_->held[step]};
      result.peak_nodes = std::max(result.peak_nodes, double{course_->held[step]});
    }
    result.mean_nodes = sum / course_->scored_steps();
    result.scored_hours = course_->scored_steps() * kHoursPerStep;
    for (const double bound : bounds_) result.optimum_bound += bound / static_cast<double>(bounds_.size());
    result.day_autocorrelation = DayAutocorrelation(*course_);
  }

  Scores Table(Sight sight) const {
    Scores scores;
    for (const Tuning& tuning : tunings_) {
      if (tuning.sight != sight || tuning.contender->standing != Standing::kOurs) continue;
      scores.policies.push_back(ResultOf(tuning, Limits::kFixed));
      scores.policies.push_back(ResultOf(tuning, Limits::kRaised));
    }
    scores.policies.push_back(ResultOf(kOptimumName, optimum_, TuningOf(kStaticName, sight).best));
    scores.policies.back().standing = Standing::kReference;
    for (const Tuning& tuning : tunings_) {
      if (tuning.sight != sight || tuning.contender->standing == Standing::kOurs) continue;
      scores.policies.push_back(ResultOf(tuning, Limits::kFixed));
    }
    Judge(scores);
    return scores;
  }

  PolicyResult ResultOf(const Tuning& tuning, Limits limits) const {
    const Score& reference = TuningOf(kStaticName, tuning.sight).best;
    const bool raised = limits == Limits::kRaised;
    PolicyResult result = ResultOf(absl::StrCat(tuning.contender->name, raised ? kWithLimits : ""),
                                   raised ? tuning.raised : tuning.best, reference);
    result.standing = raised ? Standing::kReference : tuning.contender->standing;
    result.setting = headroom::lab::Describe(tuning.BestSetting());
    if (raised) result.above_safe_ratio = tuning.raised.outcome.above_safe_ratio;
    return result;
  }

  PolicyResult ResultOf(const std::string& name, const Score& score, const Score& reference) const {
    return {.name = name,
            .cost = score.outcome.cost(),
            .cost_over_optimum = score.outcome.cost() / optimum_.outcome.cost(),
            .unserved_ratio = score.outcome.unserved_ratio(),
            .node_hours = score.outcome.node_hours,
            .actions = score.outcome.actions,
            .elasticity = score.elasticity,
            .elastic_speedup = ElasticSpeedup(score.elasticity, reference.elasticity)};
  }

  const Tuning& TuningOf(const std::string& name, Sight sight) const {
    const auto found = std::find_if(tunings_.begin(), tunings_.end(), [&](const Tuning& tuning) {
      return tuning.sight == sight && tuning.contender->name == name;
    });
    HR_CHECK(found != tunings_.end());
    return *found;
  }

  static void Judge(Scores& scores) {
    const PolicyResult* best = nullptr;
    for (const PolicyResult& policy : scores.policies) {
      if (policy.standing == Standing::kRival && (best == nullptr || policy.cost < best->cost)) best = &policy;
    }
    HR_CHECK(best != nullptr);
    scores.best_rival = best->name;
    const PolicyResult& ours = scores.policies.front();
    if (ours.standing != Standing::kOurs) return;
    scores.ours_over_best_rival = ours.cost / best->cost;
    const double gap = best->cost - scores.Of(kOptimumName).cost;
    if (gap > 0) scores.gap_closed = (best->cost - ours.cost) / gap;
    if (ours.cost > best->cost) scores.lost_because = WhyLost(ours, *best);
  }

  const std::shared_ptr<const Course> course_;
  const CompareOptions& options_;
  std::vector<Demand> seeds_;
  std::vector<Plan> plans_;     // the optimum's, a seed each
  std::vector<double> bounds_;  // of its cost, likewise
  std::vector<Tuning> tunings_;
  Score optimum_;
};

}  // namespace

const PolicyResult& Scores::Of(const std::string& name) const {
  const auto found =
      std::find_if(policies.begin(), policies.end(), [&](const PolicyResult& policy) { return policy.name == name; });
  HR_CHECK(found != policies.end());
  return *found;
}

TraceResult CompareOn(std::shared_ptr<const Course> course, const std::vector<Contender>& contenders,
                      const CompareOptions& options) {
  return TraceComparison(std::move(course), contenders, options).Go();
}

}  // namespace headroom::lab
