#include "controller/lab/plan.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "controller/base/check.h"
#include "controller/base/status.h"
#include "controller/lab/baselines/rivals.h"
#include "controller/lab/headroom.h"
#include "controller/lab/optimum.h"
#include "controller/lab/parallel.h"
#include "controller/lab/simulation.h"

namespace headroom::lab {
namespace {

constexpr uint64_t kSeed = 1;
constexpr double kTargets[] = {0.6, 0.7, 0.8, 0.9, 0.95};
constexpr double kMinQuantiles[] = {0.05, 0.25, 0.5};
constexpr double kLeastTarget = 0.5;
constexpr double kLimitHeadroom = 1.25;
constexpr int kLossShare =
    60;  // where in the scored part a lost zone is looked for at the earliest, in percent: never at the end

// Planner: the runs of one plan. Ours are what takes time, so they are what is done in parallel and shown as progress.
class Planner {
 public:
  Planner(const PlanOptions& options, std::shared_ptr<const Course> course, int group)
      : options_(options), demand_(MakeDemand(std::move(course), kSeed)), group_(group) {}

  const Demand& demand() const { return demand_; }

  // Ours under each policy, in parallel.
  std::vector<PlanRun> RunOurs(const std::vector<PlanPolicy>& policies) {
    std::vector<PlanRun> runs(policies.size());
    std::vector<std::function<void()>> jobs;
    for (size_t i = 0; i < policies.size(); ++i) jobs.push_back([&, i] { runs[i] = RunOne(policies[i]); });
    DoInParallel(jobs, options_.threads, [&](int done) { options_.progress(done_ + done, kRuns + extra_runs()); });
    done_ += static_cast<int>(policies.size());
    return runs;
  }

  std::vector<PlanRun> RunRivals() {
    std::vector<Contender> contenders = Contenders();
    std::vector<PlanRun> runs(contenders.size());
    std::vector<std::function<void()>> jobs;
    for (size_t i = 0; i < contenders.size(); ++i) jobs.push_back([&, i] { runs[i] = RunBest(contenders[i]); });
    DoInParallel(jobs, options_.threads, [](int) {});
    return runs;
  }

  PlanRun RunOptimum() {
    const Plan plan = FindOptimum(demand_);
    Schedule schedule(plan);
    return Measure("optimum", "knows the future", Simulate(demand_, schedule, {.record = Record::kSupply}));
  }

  // So many simulated nodes as the whole nodes of a policy.
  int Simulated(int nodes) const { return std::clamp((nodes + group_ - 1) / group_, 1, kNodesMax); }

 private:
  static constexpr int kRuns = static_cast<int>(std::size(kTargets) + std::size(kMinQuantiles)) + 1;
  int extra_runs() const { return static_cast<int>(options_.policies.size()); }

  PlanRun RunOne(const PlanPolicy& named) const {
    // A policy's bounds are its own; those of the task are everybody's.
    Terms terms = demand_.course->terms;
    terms.nodes_min = Simulated(named.policy.nodes.min);
    terms.nodes_max = std::max(terms.nodes_min, Simulated(named.policy.nodes.max));
    Demand demand = demand_;
    auto course = std::make_shared<Course>(*demand_.course);
    course->terms = terms;
    demand.course = std::move(course);
    Headroom headroom(named.policy, terms, Headroom::Unit::kInFull);
    PlanRun run = Measure(named.name,
                          absl::StrFormat("target %.2f, %d to %d nodes", named.policy.connections.target_ratio,
                                          terms.nodes_min * group_, terms.nodes_max * group_),
                          Simulate(demand, headroom, {.record = Record::kSupply}));
    return run;
  }

  PlanRun RunBest(const Contender& contender) const {
    double least = std::numeric_limits<double>::infinity();
    Setting best;
    for (const Setting& setting : contender.settings(contender, {demand_})) {
      const auto rival = contender.make(setting);
      const double cost = Simulate(demand_, *rival, {}).cost();
      if (cost < least) least = cost, best = setting;
    }
    const auto rival = contender.make(best);
    PlanRun run = Measure(contender.name, Describe(best), Simulate(demand_, *rival, {.record = Record::kSupply}));
    run.nodes = {};
    return run;
  }

  PlanRun Measure(const std::string& name, const std::string& setting, const Outcome& outcome) const {
    const Course& course = *demand_.course;
    const double days = course.scored_steps() * kHoursPerStep / 24;
    PlanRun run{.name = name, .setting = setting};
    run.node_hours_per_day = group_ * outcome.node_hours / days;
    run.unserved_ratio = outcome.unserved_ratio();
    run.cost_per_day = group_ * outcome.cost() / days;
    run.actions_per_day = outcome.actions / days;
    int short_steps = 0, longest = 0, current = 0;
    double sum = 0;
    for (int step = course.first_scored; step < course.steps; ++step) {
      if (course.scored_before[step + 1] == course.scored_before[step]) continue;
      const double supply = outcome.supply[step], offered = demand_.offered[step];
      current = offered > supply + 1e-6 ? current + 1 : 0;
      short_steps += current > 0 ? 1 : 0, longest = std::max(longest, current);
      sum += supply, run.nodes_peak = std::max(run.nodes_peak, supply);
      if (supply > 0) run.position_peak = std::max(run.position_peak, offered / supply);
    }
    constexpr double kMinutesPerStep = kStepSeconds / 60.0;
    run.short_minutes_per_day = short_steps * kMinutesPerStep / days;
    run.longest_short_minutes = longest * kMinutesPerStep;
    run.nodes_mean = group_ * sum / course.scored_steps(), run.nodes_peak = group_ * run.nodes_peak;
    run.nodes.assign(outcome.supply.begin(), outcome.supply.end());
    for (float& nodes : run.nodes) nodes *= static_cast<float>(group_);
    return run;
  }

  const PlanOptions& options_;
  const Demand demand_;
  const int group_;
  int done_ = 0;
};

double Peak(const Trace& trace) {
  double peak = 0;
  for (const TraceSample& sample : trace.samples) peak = std::isnan(sample.value) ? peak : std::max(peak, sample.value);
  return peak;
}

double Mean(const Trace& trace) {
  double sum = 0, known = 0;
  for (const TraceSample& sample : trace.samples) {
    if (!std::isnan(sample.value)) sum += sample.value, known += 1;
  }
  return sum / known;
}

// The highest moment of the scored part that leaves time to recover from.
int PeakStep(const Course& course) {
  const int last = course.first_scored + (course.steps - course.first_scored) * (100 - kLossShare / 6) / 100;
  int peak = course.first_scored;
  for (int step = course.first_scored; step < last; ++step) {
    if (course.held[step] > course.held[peak]) peak = step;
  }
  return peak;
}

absl::StatusOr<std::shared_ptr<const Course>> CourseOf(const Trace& trace, const PlanOptions& options, double unit) {
  CourseOptions made{.nodes_per_unit = unit > 0 ? 1 / unit : 0, .step_max = absl::Hours(24)};
  made.terms.law.boot_steps =
      std::max(1, static_cast<int>(absl::FDivDuration(options.boot, absl::Seconds(kStepSeconds))));
  HR_ASSIGN_OR_RETURN(auto course, Annotate(MakeCourse(trace, made), trace.name));
  if (options.what_if.zones > 1) {
    auto lossy = std::make_shared<Course>(*course);
    lossy->terms.losses = {{.step = PeakStep(*course), .ratio = 1.0 / options.what_if.zones}};
    course = std::move(lossy);
  }
  return course;
}

PlanPolicy With(const PlanPolicy& base, double target, int min, int max) {
  PlanPolicy changed = base;
  changed.policy.connections.target_ratio = target;
  changed.policy.nodes.min = min, changed.policy.nodes.max = std::max(min, max);
  return changed;
}

size_t Cheapest(const std::vector<PlanRun>& runs) {
  return static_cast<size_t>(
      std::min_element(runs.begin(), runs.end(),
                       [](const PlanRun& a, const PlanRun& b) { return a.cost_per_day < b.cost_per_day; }) -
      runs.begin());
}

// The quantile of the nodes that demand asks for.
int NeedAt(const Demand& demand, double quantile, double target) {
  std::vector<double> known;
  for (int step = 0; step < demand.steps(); step += 12) {
    if (demand.course->known(step)) known.push_back(demand.offered[step]);
  }
  const auto place = known.begin() + static_cast<std::ptrdiff_t>(quantile * static_cast<double>(known.size() - 1));
  std::nth_element(known.begin(), place, known.end());
  return std::max(1, static_cast<int>(std::floor(*place / target)));
}

int WholeNodes(double nodes) {
  return static_cast<int>(std::ceil(nodes - 1e-9));
}

// Two digits are enough for a limit.
double RoundUp(double value) {
  const double unit = std::pow(10, std::max(0.0, std::floor(std::log10(std::max(1.0, value))) - 1));
  return std::ceil(value / unit) * unit;
}

// What the daily peak will ask for while the plan lasts.
double PeakAhead(const Outlook& outlook, absl::Duration ahead) {
  double peak = 0;
  const auto days = static_cast<size_t>(absl::FDivDuration(ahead, absl::Hours(24)));
  for (size_t day = 0; day < std::min(days, outlook.peaks.size()); ++day)
    peak = std::max(peak, outlook.peaks[day].high);
  return peak;
}

struct Loop {
  const PlanOptions& options;
  Planner& planner;
  PlanReport& report;
};

// The nodes that the peaks of the loop and of the outlook ask for, a zone lost among them.
int MaxFor(const Loop& loop, double target) {
  const Demand& demand = loop.planner.demand();
  const double simulated = *std::max_element(demand.offered.begin(), demand.offered.end()) * loop.report.group;
  const double ahead =
      loop.report.limits.front().outlook
          ? PeakAhead(*loop.report.limits.front().outlook, loop.options.what_if.ahead) / loop.report.per_node
          : 0;
  const int zones = loop.options.what_if.zones;
  const double left = zones > 1 ? (zones - 1.0) / zones : 1;
  return WholeNodes(std::max(simulated, ahead) / target / left);
}

void Explain(const Loop& loop, Recommendation& best) {
  const PlanRun& run = best.run;
  best.reasons.push_back(absl::StrFormat(
      "target %.2f costs least of %d that were tried: %.1f node-hours a day, %.4f%% of demand unserved, %.1f minutes a "
      "day short",
      best.target, std::size(kTargets), run.node_hours_per_day, 100 * run.unserved_ratio, run.short_minutes_per_day));
  best.reasons.push_back(
      absl::StrFormat("min %d: below it the loop starts too low for how fast demand rises against a boot of %s",
                      best.min, absl::FormatDuration(loop.options.boot)));
  best.reasons.push_back(absl::StrFormat(
      "max %d: what the highest demand of the loop, and the outlook's P95 for the next %s, need at this target%s",
      best.max, absl::FormatDuration(loop.options.what_if.ahead),
      loop.options.what_if.zones > 1 ? ", with a zone gone" : ""));
  if (best.limit_ceiling > 0) {
    best.reasons.push_back(
        absl::StrFormat("limits up to %.0f connections a node: the most that a node was asked for while others booted "
                        "is %.2f of what it carries well, "
                        "and a quarter above",
                        best.limit_ceiling, run.position_peak));
  }
}

void Recommend(const Loop& loop) {
  const auto& [options, planner, report] = loop;
  const PlanPolicy base = {.name = "recommended", .policy = options.policies.front().policy};
  std::vector<PlanPolicy> tried;
  for (const double target : kTargets) {
    tried.push_back(With(base, target, 1, kNodesMax * report.group));
    tried.back().name = absl::StrFormat("target %.2f", target);
  }
  report.frontier = planner.RunOurs(tried);
  Recommendation best{.target = kTargets[Cheapest(report.frontier)]};
  best.max = MaxFor(loop, best.target);
  tried.clear();
  std::set<int> mins = {1};
  for (const double quantile : kMinQuantiles)
    mins.insert(NeedAt(planner.demand(), quantile, best.target) * report.group);
  for (const int min : mins) tried.push_back(With(base, best.target, min, best.max));
  std::vector<PlanRun> runs = planner.RunOurs(tried);
  const size_t cheapest = Cheapest(runs);
  best.min = tried[cheapest].policy.nodes.min;
  best.max = std::max(best.max, best.min);
  best.run = std::move(runs[cheapest]);
  if (report.per_node_known) {
    best.per_node = report.per_node;
    best.limit_ceiling = RoundUp(report.per_node * std::max(1.0, best.run.position_peak) * kLimitHeadroom);
  }
  Explain(loop, best);
  report.recommended = std::move(best);
}

void Relate(PlanReport& report) {
  const auto relate = [&](PlanRun& run) { run.over_optimum = run.cost_per_day / report.optimum.cost_per_day; };
  for (PlanRun& run : report.policies) relate(run);
  for (PlanRun& run : report.frontier) relate(run), run.nodes = {};
  for (PlanRun& run : report.rivals) relate(run);
  relate(report.recommended.run), relate(report.optimum);
  std::sort(report.rivals.begin(), report.rivals.end(),
            [](const PlanRun& a, const PlanRun& b) { return a.cost_per_day < b.cost_per_day; });
}

PlanLimit LimitOf(const std::string& name, const std::optional<Trace>& trace, double per_node,
                  const PlanOptions& options) {
  PlanLimit limit{.name = name, .per_node = per_node};
  if (!trace.has_value()) {
    limit.cannot_tell = absl::StrCat("the input does not tell ", name);
  } else {
    limit.outlook = LookAhead(*trace, options.what_if.growth_per_day);
    if (limit.outlook->peaks.empty()) limit.cannot_tell = "less than two days are known";
    if (per_node <= 0) limit.cannot_tell = absl::StrCat("what one node carries of ", name, " is not given");
  }
  return limit;
}

// Demand is held against the operator's max, or, where there is none, against the recommended one.
void FillLimits(const PlanOptions& options, PlanReport& report) {
  const int nodes = options.has_max ? options.policies.front().policy.nodes.max : report.recommended.max;
  for (PlanLimit& limit : report.limits) {
    limit.nodes = nodes, limit.capacity = nodes * limit.per_node;
    if (limit.cannot_tell.empty()) limit.until = DaysUntil(*limit.outlook, limit.capacity);
    if (limit.outlook)
      report.notes.insert(report.notes.end(), limit.outlook->notes.begin(), limit.outlook->notes.end());
  }
}

void FillDemand(const Demand& demand, PlanReport& report) {
  const Course& course = *demand.course;
  report.loop_start = absl::FromUnixSeconds(course.start_unix_seconds);
  report.first_scored = course.first_scored;
  report.scored_days = course.scored_steps() * kHoursPerStep / 24;
  for (int step = 0; step < course.steps; ++step) {
    report.demand_nodes.push_back(course.known(step) ? static_cast<float>(demand.offered[step] * report.group) : -1);
  }
}

std::vector<Band> Shorten(const Trace& trace) {
  std::vector<Band> past;
  const size_t width = (trace.samples.size() + kPastMax - 1) / kPastMax;
  for (size_t begin = 0; begin < trace.samples.size(); begin += width) {
    double known = 0;
    Band band{.unix_seconds = trace.samples[begin].unix_seconds, .low = std::numeric_limits<double>::infinity()};
    for (size_t i = begin; i < std::min(begin + width, trace.samples.size()); ++i) {
      const double value = trace.samples[i].value;
      if (std::isnan(value)) continue;
      band.low = std::min(band.low, value), band.high = std::max(band.high, value);
      band.expected += value, known += 1;
    }
    if (known > 0) band.expected /= known, past.push_back(band);
  }
  return past;
}

std::string LossNote(const Course& course, int zones) {
  const absl::Time at =
      absl::FromUnixSeconds(course.start_unix_seconds + int64_t{course.terms.losses.front().step} * kStepSeconds);
  return absl::StrFormat(
      "one of %d zones is lost at the peak of the scored days, %s, for everybody; the optimum did not know of it",
      zones, absl::FormatTime("%Y-%m-%d %H:%M", at, absl::UTCTimeZone()));
}

}  // namespace

absl::StatusOr<PlanReport> MakePlan(const PlanInput& input, const PlanOptions& options) {
  HR_CHECK(!options.policies.empty());
  PlanReport report{.name = input.demand.name, .notes = input.demand.notes, .boot = options.boot};
  report.per_node_known = options.per_node > 0;
  report.limits.push_back(LimitOf("connections", input.demand, options.per_node, options));
  report.limits.push_back(LimitOf("throughput", input.throughput, options.bytes_per_second_per_node, options));
  report.limits.push_back(LimitOf("bytes stored", input.stored, options.bytes_per_node, options));
  HR_ASSIGN_OR_RETURN(Imagined imagined,
                      Imagine(input.demand, *report.limits.front().outlook, options.what_if, options.days));
  report.notes.insert(report.notes.end(), imagined.notes.begin(), imagined.notes.end());
  // What is not known is what the standard task takes.
  report.per_node = report.per_node_known ? options.per_node
                                          : std::max(Mean(imagined.trace) / 10, Peak(imagined.trace) / kSimulatedMax);
  if (!report.per_node_known) {
    report.notes.push_back(
        absl::StrFormat("what one node carries is NOT KNOWN: %.4g is taken, so that the mean is 10 nodes; nodes are "
                        "relative to that. Give --per-node",
                        report.per_node));
  }
  report.group = std::max(1, WholeNodes(Peak(imagined.trace) / report.per_node / kLeastTarget / kSimulatedMax));
  if (!report.per_node_known) report.group = 1;
  if (report.group > 1) {
    report.notes.push_back(
        absl::StrCat(report.group, " nodes are simulated as one: the demand needs over ", kSimulatedMax));
  }
  HR_ASSIGN_OR_RETURN(auto course, CourseOf(imagined.trace, options, report.per_node * report.group));
  if (options.what_if.zones > 1) report.notes.push_back(LossNote(*course, options.what_if.zones));
  report.past = Shorten(input.demand);
  Planner planner(options, course, report.group);
  const Loop loop{options, planner, report};
  report.policies = planner.RunOurs(options.policies);
  Recommend(loop);
  report.rivals = planner.RunRivals();
  report.optimum = planner.RunOptimum();
  Relate(report);
  FillLimits(options, report);
  FillDemand(planner.demand(), report);
  return report;
}

}  // namespace headroom::lab
