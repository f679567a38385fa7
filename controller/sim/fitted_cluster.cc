#include "controller/sim/fitted_cluster.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"

#include "controller/sim/interval_model.h"

namespace headroom::sim {
namespace {

template <typename T>
T Median(std::vector<T> values, double quantile = 0.5) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(quantile * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// The share of clients that keep a connection which each of them uses so often per second, where an idle one closes
// after `timeout`, and which is made at the rate `made`.
double KeptShare(double made, double used, double timeout) {
  if (made <= 0) return 0;
  if (used * timeout > 50) return 1;
  const double lost = used > 0 ? used / std::expm1(used * timeout) : 1 / timeout;
  return made / (made + lost);
}

}  // namespace

void FittedCluster::Take(absl::Time at, const Event& event) {
  if (begun_at_ == absl::InfiniteFuture() && std::holds_alternative<NodeReported>(event)) begun_at_ = at;
  CloseStretches(at);
  if (const auto* reported = std::get_if<NodeReported>(&event)) return Take(at, reported->report, reported->node);
  if (const auto* joined = std::get_if<NodeJoined>(&event)) {
    TakeConfigured(joined->hello);
    const auto launch = launches_.find(joined->hello.launch_id);
    if (launch != launches_.end()) {
      boots_.push_back(at - launch->second);
      launches_.erase(launch);
    }
  } else if (const auto* left = std::get_if<NodeLeft>(&event)) {
    nodes_.erase(left->node);
  } else if (const auto* started = std::get_if<ActionStarted>(&event)) {
    if (std::holds_alternative<LaunchNode>(started->action.body)) launches_.emplace(started->action.id, at);
  }
}

void FittedCluster::Take(const Fleet& fleet) {
  for (const auto& [id, node] : fleet.nodes()) TakeConfigured(node.hello);
}

void FittedCluster::TakeConfigured(const NodeHello& hello) {
  if (hello.configured_count_max > 0) limit_count_ = hello.configured_count_max;
  if (hello.configured_idle_timeout > absl::ZeroDuration()) idle_timeout_ = hello.configured_idle_timeout;
}

void FittedCluster::Take(absl::Time at, const NodeReport& report, const NodeId& node) {
  if (stretches_.empty()) first_nodes_.insert(node);
  const auto [newest, is_new] = nodes_.try_emplace(node);
  const NodeReport& before = newest->second.report;
  if (!is_new && before.boot_id == report.boot_id && report.counters.completed >= before.counters.completed) {
    Spread(newest->second.at, at, static_cast<double>(report.counters.completed - before.counters.completed));
    const LatencyHistogram latency = report.counters.latency.Since(before.counters.latency);
    constexpr int64_t kEnough = 10;
    if (report.accept_queue_count == 0 && latency.Total() >= kEnough) {
      medians_.push_back(absl::ToDoubleSeconds(latency.Quantile(0.5)));
    }
  }
  if (limit_count_ == 0) limit_count_ = report.limits.connection_count_max;
  if (report.accept_queue_count_max > 0) backlog_ = static_cast<int>(report.accept_queue_count_max);
  newest->second = {.at = at, .report = report};
}

// After a gap the whole of it would be a burst that never was.
void FittedCluster::Spread(absl::Time from, absl::Time until, double completed) {
  if (from >= until) {
    completed_ += completed;
    return;
  }
  for (auto stretch = static_cast<size_t>((from - begun_at_) / kStretch);; ++stretch) {
    const absl::Time begin = begun_at_ + kStretch * static_cast<int64_t>(stretch);
    if (begin >= until) return;
    const absl::Duration part = std::min(until, begin + kStretch) - std::max(from, begin);
    const double share = completed * absl::FDivDuration(part, until - from);
    (stretch < stretches_.size() ? stretches_[stretch].completed : completed_) += share;
  }
}

double FittedCluster::Stretch::requests_per_second() const {
  const double served = completed / absl::ToDoubleSeconds(kStretch);
  return open > 0 ? served * connections() / open : served;
}

void FittedCluster::CloseStretches(absl::Time at) {
  if (begun_at_ == absl::InfiniteFuture()) return;
  while (begun_at_ + kStretch * static_cast<int64_t>(stretches_.size() + 1) <= at) {
    Stretch stretch{.completed = std::exchange(completed_, 0)};
    for (const auto& [node, heard] : nodes_) {
      stretch.open += static_cast<double>(heard.report.open_count);
      stretch.waiting += static_cast<double>(heard.report.accept_queue_count);
    }
    stretches_.push_back(stretch);
  }
}

double FittedCluster::service_seconds() const {
  // Few of the medians of a calm node are better than its usual one by chance.
  const double median = medians_.empty() ? 0.02 : Median(medians_, 0.25);
  return std::max(1e-4, median / std::log(2.0));
}

std::optional<absl::Duration> FittedCluster::boot() const {
  if (boots_.empty()) return std::nullopt;
  return Median(boots_);
}

// So many clients, two connections each at most, keep these connections at this rate of requests.
double FittedCluster::ClientsOf(const Stretch& stretch) const {
  const double timeout = std::max(1.0, absl::ToDoubleSeconds(idle_timeout_)), service = service_seconds();
  const auto connections = [&](double clients) {
    const double rate = stretch.requests_per_second() / clients, busy = rate * service / (1 + rate * service);
    const double first = KeptShare(rate, rate, timeout);
    return clients * first * (1 + KeptShare(rate * busy, rate * busy, timeout));
  };
  double low = 1, high = std::max(2.0, 10 * stretch.connections() + 10);
  for (int i = 0; i < 60; ++i) {
    const double middle = 0.5 * (low + high);
    (connections(middle) < stretch.connections() ? low : high) = middle;
  }
  return high;
}

absl::StatusOr<Scenario> FittedCluster::Make(Policy policy) const {
  double requests = 0;
  for (const Stretch& stretch : stretches_) requests += stretch.requests_per_second();
  if (length() < absl::Minutes(1) || requests <= 0) {
    return absl::FailedPreconditionError(absl::StrCat("there are only ", absl::FormatDuration(length()),
                                                      " of reports with traffic: a model needs a minute at least"));
  }
  Scenario scenario;
  SimulatedCluster::Options& cluster = scenario.cluster;
  cluster.initial_count = static_cast<int>(std::max<size_t>(1, first_nodes_.size()));
  cluster.boot = boot().value_or(policy.nodes.lead_time);
  cluster.report_interval = policy.control.report_interval;
  cluster.pace = SimulatedCluster::Options::Pace::kTogether;
  cluster.settings.start = begun_at_;
  cluster.settings.node.connection_limit = limit_count_;
  cluster.settings.node.backlog = backlog_;
  cluster.settings.node.idle_timeout = idle_timeout_;
  cluster.settings.node.service_time = absl::Seconds(service_seconds());
  cluster.settings.node.knee = 0;
  for (const Stretch& stretch : stretches_) {
    cluster.settings.phases.push_back({.duration = kStretch,
                                       .requests_per_second = stretch.requests_per_second(),
                                       .clients = std::max<int64_t>(1, std::llround(ClientsOf(stretch)))});
  }
  scenario.policy = std::move(policy);
  scenario.policy.mode = Mode::kLive;
  return scenario;
}

void ServingHours::Take(const Decision& decision) {
  // After a gap nothing is known of the time between.
  if (decision.at - last_ < absl::Minutes(5)) hours_ += nodes_ * absl::ToDoubleHours(decision.at - last_);
  nodes_ = decision.serving_count;
  last_ = decision.at;
}

CourseOutcome RunCourse(const Scenario& scenario, absl::Duration length) {
  SimRunner run(scenario, std::make_unique<IntervalModel>(scenario.cluster.settings));
  CourseOutcome outcome;
  ServingHours hours;
  run.OnDecision([&](const Decision& decision) {
    hours.Take(decision);
    outcome.nodes_peak = std::max(outcome.nodes_peak, decision.serving_count);
    outcome.limit_raises += std::count_if(decision.limits.begin(), decision.limits.end(),
                                          [](const LimitDecision& limit) { return limit.after > limit.before; });
  });
  run.RunUntil(run.start() + length);
  outcome.node_hours = hours.hours();
  outcome.offered = run.cluster().model().total().offered;
  outcome.failed = run.cluster().model().total().failed;
  outcome.launches = run.summary().launches;
  outcome.terminations = run.summary().terminations;
  return outcome;
}

}  // namespace headroom::sim
