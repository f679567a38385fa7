#include "controller/core/diagnosis/evidence.h"

#include <algorithm>
#include <array>
#include <set>
#include <vector>

#include "absl/strings/str_cat.h"

namespace headroom {
namespace {

// Idle ages of a minute and more: the last two.
constexpr size_t kOldAges = NodeReport::kIdleAges - 2;
constexpr absl::Duration kOldAge = absl::Minutes(1);
// Balancers fail a few connects to a node that comes or goes.
constexpr absl::Duration kSettled = absl::Seconds(10);
// Below so many clients a node, the addresses are those of balancers.
constexpr double kClientsPerNodeMin = 4;

bool IsFresh(const Node& node, const Policy& policy, absl::Time now) {
  return node.Carries() && now - node.last_report_at <= policy.control.silent_after;
}

// A sum that knows whether anything was added, and over how many.
struct Sum {
  double total = 0;
  int known = 0;
  void Add(double value) {
    total += value;
    ++known;
  }
  void Add(const std::optional<double>& value) {
    if (value.has_value()) Add(*value);
  }
  std::optional<double> Total() const { return known == 0 ? std::nullopt : std::optional<double>(total); }
  std::optional<double> Mean() const { return known == 0 ? std::nullopt : std::optional<double>(total / known); }
};

std::optional<double> Quotient(const std::optional<double>& part, const std::optional<double>& whole) {
  if (!part.has_value() || !whole.has_value() || *whole <= 0) return std::nullopt;
  return *part / *whole;
}

// The cluster being added up. Names as in Metric.
struct Totals {
  Sum demand, open, active, limited_demand, limit;
  Sum arrivals, rejected, answers, errors, errors_slots_free, told_answers, first_attempts;
  Sum device_time, device_answers, io_full, cores_used, cores, cpu_some, segments, retransmits;
  Sum clients, largest_client, told_open, old_idle, aged_open;

  void AddGauges(const Node& node);
  void AddRates(const Node& node);
};

void Totals::AddGauges(const Node& node) {
  const NodeGauges& report = node.report;
  const auto node_open = static_cast<double>(node.OpenCount());
  const auto node_demand = static_cast<double>(node.DemandCount());
  demand.Add(node_demand);
  open.Add(node_open);
  active.Add(static_cast<double>(report.active_count));
  if (node.LimitCount() > 0 && node.state != NodeState::kDraining) {
    limited_demand.Add(node_demand);
    limit.Add(static_cast<double>(node.LimitCount()));
  }
  io_full.Add(report.io_full_ratio);
  cpu_some.Add(report.cpu_some_ratio);
  if (report.client_count > 0) clients.Add(static_cast<double>(report.client_count));
  if (!report.top_clients.empty()) {
    largest_client.Add(static_cast<double>(node.largest_client_count));
    told_open.Add(static_cast<double>(report.open_count));
  }
  // An idle timeout of a minute or less closes what would be old.
  if (report.limits.idle_timeout == absl::ZeroDuration() || report.limits.idle_timeout > kOldAge) {
    double old = 0;
    for (size_t age = kOldAges; age < report.idle_age_counts.size(); ++age)
      old += static_cast<double>(report.idle_age_counts[age]);
    old_idle.Add(old);
    aged_open.Add(static_cast<double>(report.open_count));
  }
}

void Totals::AddRates(const Node& node) {
  const NodeRates& rates = node.rates;
  if (rates.seconds <= 0) return;
  arrivals.Add(rates.accepted + rates.rejected);
  rejected.Add(Rejections(node));
  answers.Add(rates.completed);
  errors.Add(rates.errors);
  errors_slots_free.Add(rates.errors_slots_free);
  if (rates.retries.has_value()) {
    told_answers.Add(rates.completed);
    first_attempts.Add(std::max(0.0, rates.completed - *rates.retries));
  }
  if (rates.device_latency.has_value()) {
    device_time.Add(absl::ToDoubleSeconds(*rates.device_latency) * rates.completed);
    device_answers.Add(rates.completed);
  }
  if (node.report.cpu_count > 0) {
    cores_used.Add(rates.cpu_cores);
    cores.Add(node.report.cpu_count);
  }
  if (rates.segments_out.has_value() && rates.retransmits.has_value()) {
    segments.Add(*rates.segments_out);
    retransmits.Add(*rates.retransmits);
  }
}

ClusterSample SampleOf(const Totals& totals) {
  ClusterSample sample;
  sample.Set(Metric::kDemand, totals.demand.Total());
  sample.Set(Metric::kTaken, Quotient(totals.limited_demand.Total(), totals.limit.Total()));
  sample.Set(Metric::kActiveShare, Quotient(totals.active.Total(), totals.open.Total()));
  sample.Set(Metric::kArrivals, totals.arrivals.Total());
  sample.Set(Metric::kRejected, totals.rejected.Total());
  sample.Set(Metric::kAnswers, totals.answers.Total());
  sample.Set(Metric::kErrors, totals.errors.Total());
  sample.Set(Metric::kErrorsSlotsFree, totals.errors_slots_free.Total());
  sample.Set(Metric::kFirstAttempts, totals.first_attempts.Total());
  sample.Set(Metric::kAttempts, Quotient(totals.told_answers.Total(), totals.first_attempts.Total()));
  sample.Set(Metric::kDevice, Quotient(totals.device_time.Total(), totals.device_answers.Total()));
  sample.Set(Metric::kIoFull, totals.io_full.Mean());
  sample.Set(Metric::kCores, Quotient(totals.cores_used.Total(), totals.cores.Total()));
  sample.Set(Metric::kCpuSome, totals.cpu_some.Mean());
  sample.Set(Metric::kRetransmits, Quotient(totals.retransmits.Total(), totals.segments.Total()));
  sample.Set(Metric::kClients, totals.clients.Total());
  sample.Set(Metric::kLargestClient, Quotient(totals.largest_client.Total(), totals.told_open.Total()));
  sample.Set(Metric::kOldIdle, Quotient(totals.old_idle.Total(), totals.aged_open.Total()));
  return sample;
}

std::optional<double> Seconds(absl::Duration latency) {
  if (latency <= absl::ZeroDuration()) return std::nullopt;
  return absl::ToDoubleSeconds(latency);
}

// A group of nodes being added up.
struct GroupTotals {
  double answers = 0, errors = 0, weighted_p50 = 0, weight = 0;
  void Add(const Node& node) {
    answers += node.rates.completed;
    errors += node.rates.errors_slots_free;
    if (node.latency_p50 <= absl::ZeroDuration()) return;
    weighted_p50 += absl::ToDoubleSeconds(node.latency_p50) * node.rates.completed;
    weight += node.rates.completed;
  }
  GroupTotals& operator+=(const GroupTotals& other) {
    answers += other.answers;
    errors += other.errors;
    weighted_p50 += other.weighted_p50;
    weight += other.weight;
    return *this;
  }
  GroupHealth Health() const {
    GroupHealth health;
    if (answers > 0) health.error_ratio = errors / answers;
    if (weight > 0) health.p50 = weighted_p50 / weight;
    return health;
  }
};

// Versions: who runs the newest, and how it fares there.
struct DeployView {
  std::array<GroupTotals, ClusterSeries::kVariantsMax> groups;  // by variant
  std::array<int, ClusterSeries::kVariantsMax> runs{};          // nodes, by variant
  std::array<absl::Time, ClusterSeries::kVariantsMax> taken{};  // when the last of them began to serve, by variant
  int nodes = 0, told = 0;

  void Add(const Node& node, const std::optional<size_t>& variant) {
    ++nodes;
    if (!variant.has_value()) return;
    ++told;
    ++runs[*variant];
    groups[*variant].Add(node);
    taken[*variant] = std::max(taken[*variant], node.state_since);
  }
  DeployEvidence Evidence(const ClusterSeries& series, absl::Time now, absl::Time onset, absl::Duration window) const;

 private:
  const ServerVariant* Suspect(const ClusterSeries& series, absl::Time now, absl::Duration window) const;
};

// The newest; of several that came lately and run still, the one with the most errors: while a bad release is rolled
// back, the good one is the newest.
const ServerVariant* DeployView::Suspect(const ClusterSeries& series, absl::Time now, absl::Duration window) const {
  constexpr double kWorse = 0.01;
  const ServerVariant* suspect = series.newest_variant();
  const auto errors = [&](const ServerVariant& variant) {
    const auto index = static_cast<size_t>(&variant - series.variants().data());
    return groups[index].answers > 0 ? groups[index].errors / groups[index].answers : 0;
  };
  for (const ServerVariant& variant : series.variants()) {
    const bool lately = variant.since != absl::InfinitePast() && now - variant.since <= window;
    if (lately && errors(variant) > errors(*suspect) + kWorse) suspect = &variant;
  }
  return suspect;
}

DeployEvidence DeployView::Evidence(const ClusterSeries& series, absl::Time now, absl::Time onset,
                                    absl::Duration window) const {
  DeployEvidence deploy;
  const ServerVariant* newest = Suspect(series, now, window);
  if (nodes == 0) return deploy;
  deploy.told_share = static_cast<double>(told) / nodes;
  if (newest == nullptr) return deploy;
  deploy.version = newest->config.empty() ? newest->version
                                          : absl::StrCat(newest->version, newest->version.empty() ? "" : " ",
                                                         "with configuration ", newest->config);
  // Where nodes tell no times, a change can only have been noticed since the series began.
  deploy.watched = std::min(window, now - series.began_at());
  if (newest->since != absl::InfinitePast()) {
    deploy.newest_age = now - newest->since;
    deploy.watched = window;
  }
  deploy.is_recent = deploy.newest_age.has_value() && *deploy.newest_age <= window;
  deploy.before_onset = std::max(absl::ZeroDuration(), onset - newest->since);
  const auto newest_index = static_cast<size_t>(newest - series.variants().data());
  GroupTotals elsewhere;
  for (size_t i = 0; i < groups.size(); ++i) {
    if (i != newest_index) elsewhere += groups[i];
  }
  deploy.settled = std::max(absl::ZeroDuration(), onset - std::max(newest->since, taken[newest_index]));
  deploy.changed_share = static_cast<double>(runs[newest_index]) / nodes;
  deploy.there = groups[newest_index].Health();
  deploy.elsewhere = elsewhere.Health();
  return deploy;
}

// Nodes that a balancer, heard lately, holds to be up and sends work to. Nothing: no balancer was heard.
std::optional<std::set<NodeId>> UpForBalancers(const Fleet& fleet, const Policy& policy, absl::Time now) {
  std::optional<std::set<NodeId>> up;
  for (const auto& [id, balancer] : fleet.balancers()) {
    if (!balancer.connected || balancer.report.servers.empty() ||
        now - balancer.last_report_at > policy.control.silent_after)
      continue;
    if (!up.has_value()) up.emplace();
    for (const BalancedServer& server : balancer.report.servers) {
      if (server.up && !server.draining) up->insert(server.node);
    }
  }
  return up;
}

// Gauges are what they are now; all that is counted over a stretch is steadied over the last seconds.
ClusterSample Steady(const ClusterSeries& series, const ClusterSample& latest) {
  static constexpr Metric kGauges[] = {Metric::kDemand,        Metric::kTaken,   Metric::kActiveShare, Metric::kClients,
                                       Metric::kLargestClient, Metric::kOldIdle, Metric::kSkew,        Metric::kNodes};
  ClusterSample steady;
  steady.at = latest.at;
  for (size_t i = 0; i < kMetrics; ++i) {
    const auto metric = static_cast<Metric>(i);
    const bool gauge = std::find(std::begin(kGauges), std::end(kGauges), metric) != std::end(kGauges);
    steady.Set(metric, gauge ? latest.Get(metric) : series.Smooth(latest, metric));
  }
  return steady;
}

// The least of a metric that a ratio to it means anything.
double Floor(Metric metric) {
  switch (metric) {
    case Metric::kDemand:
    case Metric::kClients:
      return 3;
    case Metric::kArrivals:
    case Metric::kAnswers:
    case Metric::kFirstAttempts:
      return 1;
    case Metric::kP50:
    case Metric::kP99:
    case Metric::kDevice:
      return 0.0005;
    case Metric::kRetransmits:
      return 0.0005;
    default:
      return 0.001;
  }
}

}  // namespace

std::optional<double> Evidence::Ratio(Metric metric) const {
  const std::optional<double> value = Now(metric), usually = Usual(metric);
  if (!value.has_value() || !usually.has_value()) return std::nullopt;
  return *value / std::max(*usually, Floor(metric));
}

std::optional<double> Evidence::RatioOfEach(Metric metric) const {
  const std::optional<double> ratio = Ratio(metric);
  const double usual_nodes = Usual(Metric::kNodes).value_or(0), now_nodes = now.Or(Metric::kNodes, 0);
  if (!ratio.has_value() || usual_nodes <= 0 || now_nodes <= usual_nodes) return ratio;
  return *ratio * usual_nodes / now_nodes;
}

std::optional<double> Evidence::NowOfAnswers(Metric metric) const {
  return Quotient(Now(metric), Now(Metric::kAnswers));
}

std::optional<double> Evidence::UsualOfAnswers(Metric metric) const {
  return Quotient(Usual(metric), Usual(Metric::kAnswers));
}

// What the walk has found so far.
struct Survey::Findings {
  Findings(absl::Time now, absl::Duration newcomers) : spread(now, newcomers) {}

  Totals totals;
  SpreadView spread;
  DeployView deploy;
  std::vector<const NodeId*> silent;
  bool is_steady = true;
  int nodes = 0, at_limit = 0, lost = 0;
  int64_t open = 0, waiting = 0, limit = 0;
  double own_demand = 0, own_limit = 0, overflows = 0;

  void AddServing(const Node& node);
  void TellSilence(const EvidenceInput& in, const Policy& policy, absl::Time now, Evidence& evidence) const;
};

void Survey::Findings::AddServing(const Node& node) {
  const int64_t demand = node.DemandCount(), node_limit = node.LimitCount();
  ++nodes;
  open += node.OpenCount();
  waiting += node.WaitingCount();
  limit += node_limit;
  overflows += std::max(node.rates.overflows.value_or(0), node.rates.drops);
  spread.Add(node);
  if (node_limit <= 0) return;
  own_limit += static_cast<double>(node.OwnLimitCount());
  own_demand += static_cast<double>(demand);
  if (demand >= node_limit) ++at_limit;
}

void Survey::Findings::TellSilence(const EvidenceInput& in, const Policy& policy, absl::Time now,
                                   Evidence& evidence) const {
  evidence.silent_after = policy.control.silent_after;
  evidence.silent = static_cast<int>(silent.size());
  evidence.is_steady = is_steady && silent.empty();
  if (silent.empty()) return;
  const std::optional<std::set<NodeId>> up = UpForBalancers(in.fleet, policy, now);
  evidence.heard_balancers = up.has_value();
  for (const NodeId* id : silent) evidence.silent_but_up += up.has_value() && up->count(*id) > 0 ? 1 : 0;
  evidence.down = up.has_value() ? evidence.silent - evidence.silent_but_up : lost;
}

Survey::Survey(const Policy& policy, ClusterSeries& series, absl::Time now)
    : policy_(policy),
      series_(series),
      now_(now),
      findings_(std::make_unique<Findings>(now, policy.control.baseline_window)) {
  series.ForgetVariants(now);
}

Survey::~Survey() = default;

void Survey::Add(const Node& node) {
  if (node.hypothetical) return;
  Findings& found = *findings_;
  const bool settled = (node.state == NodeState::kServing && now_ - node.state_since > kSettled) || node.shadow_gone;
  const bool should_speak = node.state == NodeState::kServing || node.state == NodeState::kLost;
  if (should_speak && now_ - node.last_report_at > policy_.control.silent_after) found.silent.push_back(&node.id);
  if (node.state == NodeState::kLost) ++found.lost;
  found.is_steady = found.is_steady && settled;
  if (!IsFresh(node, policy_, now_)) return;
  found.totals.AddGauges(node);
  found.totals.AddRates(node);
  if (node.state == NodeState::kDraining) return;
  found.AddServing(node);
  found.deploy.Add(node, series_.SeeVariant(node, now_));
}

Evidence Survey::Finish(const EvidenceInput& in) && {
  Findings& found = *findings_;
  Evidence evidence;
  evidence.nodes = found.nodes;
  evidence.at_limit = found.at_limit;
  evidence.open = found.open;
  evidence.waiting = found.waiting;
  evidence.limit = found.limit;
  evidence.overflows = found.overflows;
  if (found.own_limit > 0) evidence.own_taken = found.own_demand / found.own_limit;
  evidence.spread = std::move(found.spread).Evidence();
  found.TellSilence(in, policy_, now_, evidence);

  evidence.latest = SampleOf(found.totals);
  evidence.latest.at = now_;
  evidence.latest.Set(Metric::kP50, Seconds(in.summary.latency.Quantile(0.5)));
  evidence.latest.Set(Metric::kP99, Seconds(in.summary.latency.Quantile(0.99)));
  evidence.latest.Set(Metric::kFailedConnects, series_.CountFailedConnects(in.fleet.balancers()));
  evidence.latest.Set(Metric::kNodes, found.nodes);
  if (found.nodes >= 2)
    evidence.latest.Set(Metric::kSkew, evidence.spread.demand / std::max(1.0, evidence.spread.median_demand));
  if (found.nodes >= 2 && evidence.spread.median_work > 0)
    evidence.latest.Set(Metric::kWorkSkew, evidence.spread.work / evidence.spread.median_work);
  evidence.now = Steady(series_, evidence.latest);
  evidence.usual = series_.usual();
  evidence.known_for = std::max(absl::ZeroDuration(), now_ - series_.began_at());
  evidence.clients_told =
      evidence.Now(Metric::kClients).value_or(0) >= kClientsPerNodeMin * std::max(1, evidence.nodes);
  const absl::Time onset = std::min(in.trouble.onset, now_);
  evidence.deploy = found.deploy.Evidence(series_, now_, onset, policy_.control.deploy_window);
  evidence.demand_peak = std::max(in.trouble.demand_peak, evidence.now.Or(Metric::kDemand, 0));
  if (in.trouble.full_at <= now_)
    evidence.fill_time = in.trouble.full_at - in.trouble.onset;
  else if (evidence.IsFull())
    evidence.fill_time = now_ - onset;
  return evidence;
}

}  // namespace headroom
