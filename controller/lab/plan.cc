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
#include "controller/lab/plan_limits.h"
#include "controller/lab/simulation.h"

namespace headroom::lab {
namespace {

constexpr uint64_t kSeed = 1;
constexpr double kTargets[] = {0.6, 0.7, 0.8, 0.9, 0.95};
constexpr double kMinQuantiles[] = {0.05, 0.25, 0.5};
constexpr double kLeastTarget = 0.5;
constexpr int64_t kPastDaysMax = 3650;
constexpr double kLimitHeadroom = 1.25;
constexpr int kLossPercentMax = 90;  // of the scored part: a zone lost at its end would show nothing
constexpr int kPlannedNodesMax = 100'000;
constexpr double kAmountMax = 1e30;  // of what is asked for and of what a node carries; beyond it sums and squares end

// Planner: the runs of one plan, in parallel and with progress.
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
    RunJobs(jobs);
    return runs;
  }

  std::vector<PlanRun> RunRivals() {
    std::vector<Contender> contenders = Contenders();
    std::vector<PlanRun> runs(contenders.size());
    std::vector<std::function<void()>> jobs;
    for (size_t i = 0; i < contenders.size(); ++i) jobs.push_back([&, i] { runs[i] = RunBest(contenders[i]); });
    RunJobs(jobs);
    return runs;
  }

  PlanRun RunOptimum() {
    PlanRun run;
    RunJobs({[&] {
      const Plan plan = FindOptimum(demand_);
      Schedule schedule(plan);
      run = Measure("optimum", "knows the future", Simulate(demand_, schedule, {.record = Record::kSupply}));
    }});
    return run;
  }

  // So many simulated nodes as the whole nodes of a policy.
  int Simulated(int nodes) const { return std::clamp((nodes + group_ - 1) / group_, 1, kNodesMax); }

 private:
  // The optimum is one, and the minima are one more than their quantiles, at most.
  static constexpr size_t kRuns = std::size(kTargets) + std::size(kMinQuantiles) + 2;

  void RunJobs(const std::vector<std::function<void()>>& jobs) {
    const int all = static_cast<int>(kRuns + options_.policies.size() + Contenders().size());
    DoInParallel(jobs, options_.threads, [&](int done) { options_.progress(done_ + done, all); });
    done_ += static_cast<int>(jobs.size());
  }

  PlanRun RunOne(const PlanPolicy& named) const {
    // A policy's bounds are its own; those of the task are everybody's.
    Terms terms = demand_.course->terms;
    terms.nodes_min = Simulated(named.policy.nodes.min);
    terms.nodes_max = std::max(terms.nodes_min, Simulated(named.policy.nodes.max));
    Demand demand = demand_;
    auto course = std::make_shared<Course>(*demand_.course);
    course->terms = terms;
    demand.course = std::move(course);
    Headroom headroom(Believing(named.policy), terms, Headroom::Unit::kInFull);
    PlanRun run = Measure(named.name,
                          absl::StrFormat("target %.2f, %d to %d nodes", named.policy.connections.target_ratio,
                                          terms.nodes_min * group_, terms.nodes_max * group_),
                          Simulate(demand, headroom, {.record = Record::kSupply}));
    return run;
  }

  // What a node carries is the plan's; what a policy takes it for is its own.
  Policy Believing(Policy policy) const {
    int64_t& per_node = policy.connections.per_node_count;
    if (per_node > 0 && options_.per_node > 0) {
      per_node = std::max<int64_t>(
          1, std::llround(Headroom::kInFullCount * static_cast<double>(per_node) / options_.per_node));
    } else {
      per_node = 0;
    }
    for (CalendarEntry& entry : policy.calendar) {
      if (entry.node_count > 0) entry.node_count = Simulated(entry.node_count);
      if (entry.connection_count > 0) {
        const double nodes = static_cast<double>(entry.connection_count) * demand_.course->nodes_per_unit;
        entry.connection_count = std::max<int64_t>(1, std::llround(Headroom::kInFullCount * nodes));
      }
    }
    return policy;
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
  const int last = course.first_scored + (course.steps - course.first_scored) * kLossPercentMax / 100;
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
  changed.policy.connections.per_node_count = 0;  // what the plan takes
  changed.policy.nodes.min = min, changed.policy.nodes.max = std::max(min, max);
  return changed;
}

size_t Cheapest(const std::vector<PlanRun>& runs) {
  return static_cast<size_t>(
      std::min_element(runs.begin(), runs.end(),
                       [](const PlanRun& a, const PlanRun& b) { return a.cost_per_day < b.cost_per_day; }) -
      runs.begin());
}

absl::Status CheckSpan(const Trace& trace) {
  const int64_t days = (trace.samples.back().unix_seconds - trace.samples.front().unix_seconds) / 86'400;
  if (days <= kPastDaysMax) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(trace.name, ": it spans ", days, " days, and at most ",
                                                    kPastDaysMax, " can be planned from; is one of its times wrong?"));
}

// A few rows make a number, and no plan.
absl::Status CheckLength(const Trace& trace) {
  constexpr absl::Duration kLeast = absl::Minutes(30);
  const absl::Duration length =
      absl::Seconds(trace.samples.back().unix_seconds - trace.samples.front().unix_seconds) + trace.step;
  if (length >= kLeast) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(trace.name, ": there are only ", absl::FormatDuration(length),
                                                    " of demand: a day is needed to plan from, ",
                                                    absl::FormatDuration(kLeast), " at the very least"));
}

std::string SpanText(absl::Duration span) {
  const double days = absl::FDivDuration(span, absl::Hours(24));
  return days >= 1 ? absl::StrFormat("%g days", days) : absl::FormatDuration(span);
}

// What no cluster is asked for comes of a wrong unit or of growth without end, and has no plan.
absl::Status CheckSize(const PlanReport& report, PlanOptions options, double peak) {
  const double per_node = report.per_node;
  if (!(std::max(peak, per_node) < kAmountMax && per_node > 1 / kAmountMax)) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "%s: a demand of up to %g with %g a node cannot be planned for: give both in a unit in which they are between "
        "%g and %g",
        report.name, peak, per_node, 1 / kAmountMax, kAmountMax));
  }
  const auto check = [&](absl::string_view when, absl::string_view remedy) -> absl::Status {
    const NodeBounds bounds = BoundsOf(report.limits, options, {.peak = peak, .per_node = per_node, .target = 1});
    if (bounds.most <= kPlannedNodesMax) return absl::OkStatus();
    return absl::FailedPreconditionError(
        absl::StrFormat("%s: %s would need more nodes%s than can be planned for (%d): %s", report.name, bounds.most_of,
                        when, kPlannedNodesMax, remedy));
  };
  const absl::Duration ahead = std::exchange(options.what_if.ahead, absl::ZeroDuration());
  const bool imagined = options.what_if.growth_per_day || options.what_if.campaign;
  HR_RETURN_IF_ERROR(check(
      "", absl::StrCat(imagined ? "choose less --growth, a smaller --multiply or a shorter --ahead, or " : "",
                       "give what one node carries (--per-node, --bytes-per-second-per-node, --bytes-per-node) in the "
                       "unit of the trace")));
  options.what_if.ahead = ahead;
  return check(absl::StrCat(" within ", SpanText(ahead)), "choose a shorter --ahead, or give the --growth to expect");
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

// Two digits are enough for a limit.
double RoundUp(double value) {
  const double unit = std::pow(10, std::max(0.0, std::floor(std::log10(std::max(1.0, value))) - 1));
  return std::ceil(value / unit) * unit;
}

struct Loop {
  const PlanOptions& options;
  Planner& planner;
  PlanReport& report;
};

NodeBounds BoundsAt(const Loop& loop, double target) {
  const Demand& demand = loop.planner.demand();
  const double nodes = *std::max_element(demand.offered.begin(), demand.offered.end()) * loop.report.group;
  const double per_node = loop.report.per_node;
  return BoundsOf(loop.report.limits, loop.options, {.peak = nodes * per_node, .per_node = per_node, .target = target});
}

// How far ahead max reaches.
std::string ReachText(const NodeBounds& bounds, absl::Duration ahead) {
  if (bounds.told_days == 0) return "the past is too short to look ahead";
  const absl::Duration told = absl::Hours(24) * bounds.told_days;
  return absl::StrCat("it holds the highest use of these days and the outlook's P95 for the next ",
                      SpanText(std::min(told, ahead)), told < ahead ? ", which is as far as the past tells" : "");
}

void Explain(const Loop& loop, const NodeBounds& bounds, Recommendation& best) {
  const PlanRun& run = best.run;
  best.reasons.push_back(absl::StrFormat(
      "target %.2f costs least of %d that were tried: %.1f node-hours a day, %.4f%% of demand unserved, %.1f minutes a "
      "day short",
      best.target, std::size(kTargets), run.node_hours_per_day, 100 * run.unserved_ratio, run.short_minutes_per_day));
  best.reasons.push_back(
      best.min > 1 && best.min == bounds.least
          ? absl::StrFormat("min %d is what %s asks for; less was not tried", best.min, bounds.least_of)
          : absl::StrFormat("min %d is the cheapest of what was tried with it, up to the usual need", best.min));
  best.reasons.push_back(absl::StrFormat(
      "max %d is what %s asks for%s; %s", best.max, best.max == bounds.most ? bounds.most_of : "min",
      loop.options.what_if.zones > 1 ? " with a zone gone" : "", ReachText(bounds, loop.options.what_if.ahead)));
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
  const NodeBounds bounds = BoundsAt(loop, best.target);
  best.max = bounds.most;
  tried.clear();
  std::set<int> mins = {bounds.least};
  for (const double quantile : kMinQuantiles)
    mins.insert(std::max(bounds.least, NeedAt(planner.demand(), quantile, best.target) * report.group));
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
  Explain(loop, bounds, best);
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

void FillDemand(const Demand& demand, PlanReport& report) {
  const Course& course = *demand.course;
  report.loop_start = absl::FromUnixSeconds(course.start_unix_seconds);
  report.first_scored = course.first_scored;
  report.scored_days = course.scored_steps() * kHoursPerStep / 24;
  for (int step = 0; step < course.steps; ++step) {
    report.demand_nodes.push_back(course.known(step) ? static_cast<float>(demand.offered[step] * report.group) : -1);
  }
}

// There is one world, in which nodes boot as they do.
void NoteLeadTimes(const PlanOptions& options, PlanReport& report) {
  for (size_t i = 1; i < options.policies.size(); ++i) {
    const PlanPolicy& one = options.policies[i];
    if (one.policy.nodes.lead_time == options.boot) continue;
    report.notes.push_back(
        absl::StrCat(one.name, ": its lead_time of ", absl::FormatDuration(one.policy.nodes.lead_time),
                     " is not used: nodes boot in ", absl::FormatDuration(options.boot), " under every policy"));
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
  HR_RETURN_IF_ERROR(CheckSpan(input.demand));
  HR_RETURN_IF_ERROR(CheckLength(input.demand));
  if (input.throughput) HR_RETURN_IF_ERROR(CheckSpan(*input.throughput));
  if (input.stored) HR_RETURN_IF_ERROR(CheckSpan(*input.stored));
  PlanReport report{.name = input.demand.name, .notes = input.demand.notes, .boot = options.boot};
  report.per_node_known = options.per_node > 0;
  report.limits = LimitsOf(input, options);
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
  HR_RETURN_IF_ERROR(CheckSize(report, options, Peak(imagined.trace)));
  const int least = BoundsOf(report.limits, options, {}).least;
  const double most = std::max<double>(least, Peak(imagined.trace) / report.per_node / kLeastTarget);
  report.group = report.per_node_known ? std::max(1, WholeNodes(most / kSimulatedMax)) : 1;
  if (report.group > 1) {
    report.notes.push_back(
        absl::StrCat(report.group, " nodes are simulated as one: the demand needs over ", kSimulatedMax));
  }
  HR_ASSIGN_OR_RETURN(auto course, CourseOf(imagined.trace, options, report.per_node * report.group));
  if (options.what_if.zones > 1) report.notes.push_back(LossNote(*course, options.what_if.zones));
  NoteLeadTimes(options, report);
  report.past = Shorten(input.demand);
  Planner planner(options, course, report.group);
  const Loop loop{options, planner, report};
  report.policies = planner.RunOurs(options.policies);
  Recommend(loop);
  report.rivals = planner.RunRivals();
  report.optimum = planner.RunOptimum();
  Relate(report);
  FillBreaks(options, report.recommended.max, report.limits);
  for (const PlanLimit& limit : report.limits) {
    if (limit.outlook)
      report.notes.insert(report.notes.end(), limit.outlook->notes.begin(), limit.outlook->notes.end());
  }
  FillDemand(planner.demand(), report);
  if (report.scored_days < 1) {
    report.notes.push_back(absl::StrFormat(
        "ONLY %.1f hours were scored: a day is needed to plan from, a week to trust it", 24 * report.scored_days));
  }
  return report;
}

}  // namespace headroom::lab
