#include "tests/controller/core/diagnosis/generated_cluster.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"

#include "controller/core/fleet/fleet_summary.h"

namespace headroom {
namespace {

NodeId IdOf(int index) {
  return absl::StrCat("node-", 100 + index);
}

// Spreads `count` latencies around a median.
void AddLatencies(double median_ms, int64_t count, LatencyHistogram& histogram) {
  static constexpr std::pair<double, double> kShape[] = {{0.2, 0.7}, {0.5, 1.0}, {0.2, 1.3}, {0.08, 1.8}, {0.02, 3.0}};
  for (const auto& [share, factor] : kShape) {
    const auto bucket = LatencyHistogram::BucketOf(static_cast<int64_t>(1000 * median_ms * factor));
    histogram.counts[static_cast<size_t>(bucket)] += std::llround(share * static_cast<double>(count));
  }
}

}  // namespace

void Scale(NodeWeather& w, double factor) {
  w.established = w.connections;
  w.requests *= factor;
  w.connections *= factor;
  w.arrivals *= factor;
  w.clients *= factor;
}
std::string Explain(const Diagnosis& diagnosis) {
  std::string text =
      absl::StrCat(CauseName(diagnosis.cause), " ", diagnosis.confidence, ": ", RenderReason(diagnosis.reason));
  for (const Reason& reason : diagnosis.ruled_out) absl::StrAppend(&text, "\n    ", RenderReason(reason));
  return text;
}

GeneratedCluster::GeneratedCluster(ClusterSetup setup, uint64_t seed)
    : setup_(std::move(setup)), random_(seed), nodes_(static_cast<size_t>(setup_.nodes)) {
  for (NodeModel& node : nodes_) node.changed_at = now_ - setup_.version_age;
}

double GeneratedCluster::Noisy(double value, double share) {
  const double unit = static_cast<double>(random_() >> 11) * 0x1.0p-53;
  return value * (1 + share * (2 * unit - 1));
}

// A count with the spread of chance.
int64_t GeneratedCluster::Count(double rate) {
  return std::llround(std::max(0.0, rate + (Noisy(1, 1) - 1) * 1.7 * std::sqrt(rate)));
}

void GeneratedCluster::Change(int index, const std::string& version, const std::string& config) {
  NodeModel& node = nodes_[static_cast<size_t>(index)];
  node.version = version;
  node.config = config;
  node.changed_at = now_;
  Join(index);
}

void GeneratedCluster::Join(int index) {
  NodeModel& node = nodes_[static_cast<size_t>(index)];
  ++node.boot;
  node.sequence = 0;
  node.counters = {};
  NodeJoined joined;
  joined.node = IdOf(index);
  joined.hello.boot_id = absl::StrCat("boot-", node.boot);
  joined.hello.server_version = node.version;
  joined.hello.config_hash = node.config;
  joined.hello.server_version_time = node.changed_at;
  joined.hello.configured_count_max = setup_.limit;
  joined.hello.limits.connection_count_max = setup_.limit;
  fleet_.Apply(now_, joined, policy_);
}

void GeneratedCluster::Report(int index, const NodeWeather& weather) {
  NodeModel& node = nodes_[static_cast<size_t>(index)];
  const double attempts = Noisy(weather.requests, 0.05) * (1 + weather.retries);
  const double in_service = attempts * weather.service_ms / 1000;
  const double wanted = std::max(Noisy(weather.connections, 0.03), 1.2 * in_service);
  const auto limit = static_cast<double>(setup_.limit);
  const double admitted = std::min(1.0, limit / wanted);
  const double outside = std::max(0.0, wanted - limit);
  double served = attempts * admitted;
  if (weather.established > 0 && wanted > limit) {
    const double everyday = NodeWeather{}.requests;
    const double newcomers_served = (limit - weather.established) / (wanted - weather.established);
    served = everyday + std::max(0.0, attempts - everyday) * newcomers_served;
  }
  const int64_t answers = Count(served);

  NodeCounters& counters = node.counters;
  counters.uptime += absl::Seconds(1);
  counters.accepted += Count(weather.arrivals * admitted);
  counters.rejected += Count(outside);
  counters.completed += answers;
  const int64_t errors = Count(weather.error_ratio * static_cast<double>(answers));
  counters.errors += errors;
  if (admitted >= 1) counters.errors_slots_free += errors;
  if (setup_.tells_retries)
    counters.retries =
        counters.retries.value_or(0) + Count(static_cast<double>(answers) * weather.retries / (1 + weather.retries));
  if (setup_.tells_kernel) {
    const int64_t segments = 10 * answers + 50;
    counters.segments_out = counters.segments_out.value_or(0) + segments;
    counters.retransmits =
        counters.retransmits.value_or(0) + Count(weather.retransmit_ratio * static_cast<double>(segments));
    counters.overflows =
        counters.overflows.value_or(0) + Count(std::max(0.0, outside - static_cast<double>(setup_.backlog)));
  }
  counters.cpu_time += absl::Milliseconds(weather.cpu_ms) * static_cast<double>(answers);
  if (setup_.tells_device)
    counters.device_time = counters.device_time.value_or(absl::ZeroDuration()) +
                           absl::Milliseconds(Noisy(weather.device_ms, 0.1)) * static_cast<double>(answers);
  AddLatencies(Noisy(weather.service_ms, 0.05), answers, counters.latency);

  NodeReported reported;
  reported.node = IdOf(index);
  NodeReport& report = reported.report;
  report.boot_id = absl::StrCat("boot-", node.boot);
  report.sequence = ++node.sequence;
  report.open_count = std::llround(std::min(wanted, limit));
  report.active_count = std::min<int64_t>(report.open_count, std::llround(in_service * admitted));
  const auto open = static_cast<double>(report.open_count);
  report.idle_age_counts[5] = std::llround(open * weather.old_idle);
  report.idle_age_counts[1] = report.open_count - report.active_count - report.idle_age_counts[5];
  if (setup_.tells_clients) {
    report.client_count = std::llround(Noisy(weather.clients, 0.03));
    const std::string net = setup_.keeps_clients ? absl::StrCat("10.0.", index, ".") : "10.0.0.";
    report.top_clients = {{net + "7", std::llround(std::min(open, weather.largest_client))}, {net + "8", 2}};
  } else {
    report.client_count = 1;
    report.top_clients = {{"10.0.0.1", report.open_count}};
  }
  report.limits.connection_count_max = setup_.limit;
  report.limits.idle_timeout = setup_.idle_timeout;
  report.accept_queue_count = std::llround(std::min(outside, static_cast<double>(setup_.backlog)));
  report.accept_queue_count_max = setup_.backlog;
  report.cpu_count = setup_.cores;
  report.cpu_some_ratio = weather.cpu_some;
  report.io_full_ratio = weather.io_full;
  report.counters = counters;
  fleet_.Apply(now_, reported, policy_);
}

void GeneratedCluster::ReportBalancer() {
  BalancerReported reported;
  reported.balancer = "balancer-1";
  reported.report.boot_id = "boot";
  reported.report.sequence = ++balancer_sequence_;
  for (int i = 0; i < static_cast<int>(nodes_.size()); ++i) {
    BalancedServer server;
    server.node = IdOf(i);
    server.up = setup_.balancer_sees_up;
    server.session_count = 100;
    server.connect_errors = i == 0 ? failed_connects_ : 0;
    reported.report.servers.push_back(server);
  }
  fleet_.Apply(now_, reported, policy_);
}

Diagnosis GeneratedCluster::DiagnoseAt(absl::Time at) {
  Survey survey(policy_, memory_.series, at);
  fleet_.Advance(at, policy_, [&](const Node& node) { survey.Add(node); });
  const FleetSummary summary = Summarize(fleet_, policy_, at);
  return Diagnose({fleet_, summary, policy_, at}, std::move(survey), memory_);
}

std::vector<Diagnosis> GeneratedCluster::Second(const Incident& incident) {
  std::vector<Diagnosis> diagnoses;
  now_ += absl::Milliseconds(500);
  diagnoses.push_back(DiagnoseAt(now_));
  now_ += absl::Milliseconds(500);
  for (int i = 0; i < static_cast<int>(nodes_.size()); ++i) {
    NodeModel& node = nodes_[static_cast<size_t>(i)];
    NodeWeather weather;
    incident(i, weather);
    if (!weather.serves && node.served)
      fleet_.Apply(now_, NodeLeft{IdOf(i), absl::StrCat("boot-", node.boot), NodeLeft::How::kRestarting}, policy_);
    if (weather.serves && (node.boot == 0 || !node.served)) Join(i);
    node.served = weather.serves;
    failed_connects_ += Count(weather.failed_connects);
    if (weather.serves && weather.reports) Report(i, weather);
  }
  if (setup_.has_balancer) ReportBalancer();
  diagnoses.push_back(DiagnoseAt(now_));
  return diagnoses;
}

std::map<Cause, int> PlayFor(GeneratedCluster& cluster, int seconds, const Week& week) {
  std::map<Cause, int> said;
  for (int s = 0; s < seconds; ++s) {
    for (const Diagnosis& diagnosis : cluster.Second([&](int index, NodeWeather&w) { week(s, index, w); }))
      ++said[diagnosis.cause];
  }
  return said;
}

}  // namespace headroom
