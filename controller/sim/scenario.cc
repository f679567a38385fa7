#include "controller/sim/scenario.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"

#include "controller/base/near_match.h"
#include "controller/base/status.h"
#include "controller/core/policy_parse.h"
#include "controller/runtime/yaml_message.h"
#include "headroom/v1/scenario.pb.h"

namespace headroom::sim {
namespace {

constexpr absl::Duration kDurationMax = absl::Hours(24 * 400);
constexpr absl::Duration kRampStep = absl::Seconds(1);
constexpr size_t kPhasesMax = 1'000'000;
constexpr double kRateMax = 1e6;
constexpr int64_t kClientsMax = 1'000'000;

absl::Duration FromMessage(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
}

// Reads one scenario's message into values and notes every fault.
class Reader {
 public:
  explicit Reader(const ScenarioSource& source) : source_(source) {}

  ScenarioFile Read(const v1::Scenario& message);
  const std::vector<YamlFault>& faults() const { return faults_; }

 private:
  void Fault(std::string path, std::string text) {
    faults_.push_back({.path = std::move(path), .text = std::move(text)});
  }
  template <typename T>
  void Within(const std::string& path, T value, T low, T high) {
    if (value < low || value > high) Fault(path, absl::StrCat(value, " is outside ", low, " to ", high));
  }
  void Lasts(const std::string& path, absl::Duration value, absl::Duration low, absl::Duration high) {
    if (value >= low && value <= high) return;
    Fault(path, absl::StrCat(absl::FormatDuration(value), " is outside ", absl::FormatDuration(low), " to ",
                             absl::FormatDuration(high)));
  }
  void Longer(const std::string& path, absl::Duration duration) {
    if (duration <= absl::ZeroDuration()) Fault(path, "must be longer than nothing");
  }

  void ReadCluster(const v1::ScenarioCluster& message, SimulatedCluster::Options& cluster);
  void ReadClients(const v1::ScenarioClients& message, ClientSettings& client);
  std::vector<Phase> ReadCurve(const v1::ScenarioCurve& message);
  void AddPhase(const std::string& path, const v1::ScenarioPhase& message, std::vector<Phase>& phases);
  std::vector<Phase> ReadTrace(const v1::ScenarioTrace& message);
  std::vector<Phase> Scale(const v1::ScenarioTrace& message, const RecordedCurve& curve);
  sim::Fault ReadFault(const std::string& path, const v1::ScenarioFault& message);
  FaultKind ReadWhat(const std::string& path, const v1::ScenarioFault& message);
  Trouble ReadTrouble(const std::string& path, const v1::ScenarioFault& message);
  TroubleKind ReadBadProvider(const std::string& path, const v1::BadProviderFault& message);
  TroubleKind ReadBadReports(const std::string& path, const v1::BadReportsFault& message);
  void Ratios(const std::string& path, const std::map<std::string, double>& ratios) {
    for (const auto& [name, ratio] : ratios) Within(absl::StrCat(path, ".", name), ratio, 0.0, 1.0);
  }
  FaultKind ReadOfClients(const std::string& path, const v1::ScenarioFault& message);
  BadDeploy ReadDeploy(const std::string& path, const v1::BadDeployFault& message);
  Expectation ReadExpectation(const std::string& path, const v1::ScenarioExpectation& message);
  ExpectedRange ReadRange(const std::string& path, const v1::ScenarioExpectation& message);
  Cause ReadCause(const std::string& path, const std::string& name);

  const ScenarioSource& source_;
  std::vector<YamlFault> faults_;
};

// The fields of a message that are set, over the defaults of a struct.
#define HR_TAKE(message, field, target) \
  if ((message).has_##field()) (target) = (message).field()
#define HR_TAKE_DURATION(message, field, target) \
  if ((message).has_##field()) (target) = FromMessage((message).field())

void Reader::ReadCluster(const v1::ScenarioCluster& message, SimulatedCluster::Options& cluster) {
  NodeSettings& node = cluster.settings.node;
  HR_TAKE(message, nodes, cluster.initial_count);
  HR_TAKE_DURATION(message, boot, cluster.boot);
  HR_TAKE(message, connection_limit, node.connection_limit);
  HR_TAKE(message, backlog, node.backlog);
  HR_TAKE_DURATION(message, idle_timeout, node.idle_timeout);
  HR_TAKE_DURATION(message, service_time, node.service_time);
  HR_TAKE(message, knee, node.knee);
  HR_TAKE(message, cores, node.cores);
  HR_TAKE_DURATION(message, processor_time, node.processor_time);
  HR_TAKE(message, memory_bytes, node.memory.bytes_max);
  HR_TAKE(message, connection_bytes, node.memory.bytes_per_connection);
  HR_TAKE(message, request_bytes, node.memory.bytes_per_request);
  HR_TAKE(message, object_bytes, node.object_bytes);
  HR_TAKE(message, stored_bytes, node.data.bytes_per_node);
  HR_TAKE(message, storage_bytes, node.data.capacity_bytes);
  HR_TAKE(message, received_bytes_per_second, node.data.received_per_second);
  cluster.zones.assign(message.zones().begin(), message.zones().end());
  if (message.probes() != v1::SCENARIO_PROBES_UNSPECIFIED) {
    node.probes.way = static_cast<ProbeSettings::Way>(message.probes() - 1);
  }
  Within("cluster.nodes", cluster.initial_count, 0, 10'000);
  Within<int64_t>("cluster.connection_limit", node.connection_limit, 0, 1'000'000);
  Within("cluster.backlog", node.backlog, -1, 65'535);
  Within<int64_t>("cluster.knee", node.knee, 0, 1'000'000);
  Within("cluster.cores", node.cores, 0.01, 1024.0);
  Longer("cluster.service_time", node.service_time);
  for (const auto& [name, bytes] :
       std::map<std::string, int64_t>{{"memory_bytes", node.memory.bytes_max},
                                      {"connection_bytes", node.memory.bytes_per_connection},
                                      {"request_bytes", node.memory.bytes_per_request},
                                      {"object_bytes", node.object_bytes},
                                      {"stored_bytes", node.data.bytes_per_node},
                                      {"storage_bytes", node.data.capacity_bytes},
                                      {"received_bytes_per_second", node.data.received_per_second}}) {
    Within<int64_t>("cluster." + name, bytes, 0, int64_t{1} << 50);
  }
  if (node.memory.bytes_max > 0 && node.memory.bytes_max <= node.memory.base_bytes) {
    Fault("cluster.memory_bytes", absl::StrCat("must be more than the server's own ", node.memory.base_bytes));
  }
  if (node.memory.bytes_max > 0) {
    Within<int64_t>("cluster.connection_bytes", node.memory.bytes_per_connection, 1, int64_t{1} << 50);
  }
  ReadClients(message.clients(), cluster.settings.client);
  if (node.data.bytes_per_node > node.data.capacity_bytes) {
    Fault("cluster.stored_bytes", absl::StrCat("exceeds storage_bytes, ", node.data.capacity_bytes));
  }
  if (node.data.bytes_per_node > 0 && cluster.settings.client.spread != Spread::kRequests) {
    Fault("cluster.stored_bytes", "needs clients.spread: requests: a balancer of connections knows of no data");
  }
}

void Reader::ReadClients(const v1::ScenarioClients& message, ClientSettings& client) {
  if (message.spread() == v1::SCENARIO_SPREAD_REQUESTS) {
    client.spread = Spread::kRequests;
    client.connections_max = 0;
  }
  HR_TAKE(message, connections_max, client.connections_max);
  HR_TAKE_DURATION(message, connect_timeout, client.connect_timeout);
  HR_TAKE_DURATION(message, request_timeout, client.request_timeout);
  HR_TAKE(message, retries_max, client.retries_max);
  HR_TAKE_DURATION(message, backoff, client.backoff);
  HR_TAKE(message, retry_budget_ratio, client.retry_budget_ratio);
  client.tells_attempts = message.tells_attempts();
  Within("cluster.clients.connections_max", client.connections_max, 0, 10'000);
  Within("cluster.clients.retries_max", client.retries_max, 0, 100);
  Within("cluster.clients.retry_budget_ratio", client.retry_budget_ratio, 0.0, 10.0);
  Longer("cluster.clients.connect_timeout", client.connect_timeout);
  Longer("cluster.clients.request_timeout", client.request_timeout);
}

std::vector<Phase> Reader::ReadCurve(const v1::ScenarioCurve& message) {
  if (message.has_trace() == (message.phases_size() > 0)) {
    Fault("curve", "needs one of phases and trace");
    return {};
  }
  if (message.has_trace()) return ReadTrace(message.trace());
  std::vector<Phase> phases;
  for (int i = 0; i < message.phases_size(); ++i) {
    AddPhase(absl::StrCat("curve.phases[", i, "]"), message.phases(i), phases);
  }
  return phases;
}

void Reader::AddPhase(const std::string& path, const v1::ScenarioPhase& message, std::vector<Phase>& phases) {
  const Phase whole{.duration = FromMessage(message.duration()),
                    .requests_per_second = message.requests_per_second(),
                    .clients = message.has_clients() ? message.clients() : 1};
  const absl::Duration ramp = FromMessage(message.ramp());
  Longer(path + ".duration", whole.duration);
  if (whole.duration > kDurationMax) Fault(path + ".duration", "is longer than 400 days");
  Within(path + ".requests_per_second", whole.requests_per_second, 0.0, kRateMax);
  Within<int64_t>(path + ".clients", whole.clients, 1, kClientsMax);
  if (ramp > whole.duration) Fault(path + ".ramp", "is longer than the phase");
  if (ramp > absl::ZeroDuration() && phases.empty()) Fault(path + ".ramp", "there is no phase before the first one");
  const int64_t steps = phases.empty() ? 0 : ramp / kRampStep;
  if (steps > static_cast<int64_t>(kPhasesMax)) return Fault(path + ".ramp", "is too long");
  const Phase before = phases.empty() ? whole : phases.back();
  for (int64_t step = 1; step <= steps; ++step) {
    const double share = static_cast<double>(step) / static_cast<double>(steps + 1);
    const auto between = [share](double from, double to) { return from + share * (to - from); };
    phases.push_back(
        {.duration = kRampStep,
         .requests_per_second = between(before.requests_per_second, whole.requests_per_second),
         .clients = std::llround(between(static_cast<double>(before.clients), static_cast<double>(whole.clients)))});
  }
  const absl::Duration rest = whole.duration - steps * kRampStep;
  if (rest > absl::ZeroDuration()) {
    phases.push_back({.duration = rest, .requests_per_second = whole.requests_per_second, .clients = whole.clients});
  }
}

std::vector<Phase> Reader::ReadTrace(const v1::ScenarioTrace& message) {
  if (message.file().empty()) Fault("curve.trace.file", "is required");
  Within("curve.trace.requests_per_second_peak", message.requests_per_second_peak(), 1e-6, kRateMax);
  Within<int64_t>("curve.trace.clients_peak", message.clients_peak(), 1, kClientsMax);
  if (message.has_speed()) Within("curve.trace.speed", message.speed(), 1e-3, 1e6);
  if (!faults_.empty()) return {};
  if (!source_.curves) {
    Fault("curve.trace.file", "nobody here reads traces");
    return {};
  }
  const absl::StatusOr<RecordedCurve> curve =
      source_.curves((std::filesystem::path(source_.folder) / message.file()).string());
  if (curve.ok()) return Scale(message, *curve);
  Fault("curve.trace.file", std::string(curve.status().message()));
  return {};
}

std::vector<Phase> Reader::Scale(const v1::ScenarioTrace& message, const RecordedCurve& curve) {
  const auto skipped = static_cast<size_t>(FromMessage(message.from()) / curve.step);
  if (skipped >= curve.values.size()) {
    Fault("curve.trace.from", "the trace ends before");
    return {};
  }
  const double peak = *std::max_element(curve.values.begin(), curve.values.end());
  if (peak <= 0) Fault("curve.trace.file", "nothing in it is above zero");
  const double speed = message.has_speed() ? message.speed() : 1;
  std::vector<Phase> phases;
  for (size_t i = skipped; peak > 0 && i < curve.values.size() && phases.size() < kPhasesMax; ++i) {
    const double share = curve.values[i] / peak;
    phases.push_back(
        {.duration = curve.step / speed,
         .requests_per_second = share * message.requests_per_second_peak(),
         .clients = std::max<int64_t>(1, std::llround(share * static_cast<double>(message.clients_peak())))});
  }
  return phases;
}

sim::Fault Reader::ReadFault(const std::string& path, const v1::ScenarioFault& message) {
  sim::Fault fault{.at = FromMessage(message.at()), .duration = FromMessage(message.duration())};
  fault.where.nodes.assign(message.nodes().begin(), message.nodes().end());
  fault.where.zone = message.zone();
  fault.where.count = message.count();
  Within(path + ".count", fault.where.count, 0, 10'000);
  const int targets = (message.nodes_size() > 0) + !message.zone().empty() + (message.count() != 0);
  if (targets > 1) Fault(path, "nodes, zone and count exclude each other");
  fault.what = ReadWhat(path, message);
  return fault;
}

FaultKind Reader::ReadWhat(const std::string& path, const v1::ScenarioFault& message) {
  using What = v1::ScenarioFault;
  switch (message.what_case()) {
    case What::kSlowDisk: {
      SlowDisk what;
      HR_TAKE(message.slow_disk(), slowness, what.slowness);
      Within(path + ".slow_disk.slowness", what.slowness, 1.0, 1e4);
      return what;
    }
    case What::kBusyProcessor: {
      BusyProcessor what;
      HR_TAKE(message.busy_processor(), cost, what.cost);
      Within(path + ".busy_processor.cost", what.cost, 1.0, 1e6);
      return what;
    }
    case What::kSoftwareErrors: {
      SoftwareErrors what;
      HR_TAKE(message.software_errors(), error_ratio, what.error_ratio);
      Within(path + ".software_errors.error_ratio", what.error_ratio, 0.0, 1.0);
      return what;
    }
    case What::kPacketLoss: {
      PacketLoss what;
      HR_TAKE(message.packet_loss(), loss_ratio, what.loss_ratio);
      Within(path + ".packet_loss.loss_ratio", what.loss_ratio, 0.0, 1.0);
      return what;
    }
    case What::kHotNode: {
      HotNode what;
      HR_TAKE(message.hot_node(), share, what.share);
      Within(path + ".hot_node.share", what.share, 0.0, 1.0);
      return what;
    }
    case What::kImbalance:
      return Imbalance{};
    case What::kNodeCrash:
      return NodeCrash{};
    case What::kPowerLoss:
      return PowerLoss{};
    case What::kRollingRestart: {
      RollingRestart what;
      HR_TAKE_DURATION(message.rolling_restart(), gap, what.gap);
      HR_TAKE_DURATION(message.rolling_restart(), down, what.down);
      Longer(path + ".rolling_restart.gap", what.gap);
      return what;
    }
    case What::kBadDeploy:
      return ReadDeploy(path + ".bad_deploy", message.bad_deploy());
    case What::kClientLeak:
    case What::kRetryStorm:
      return ReadOfClients(path, message);
    case What::kForeignWriter: {
      ForeignWriter what;
      HR_TAKE(message.foreign_writer(), limit_count, what.limit_count);
      HR_TAKE_DURATION(message.foreign_writer(), each, what.each);
      Within<int64_t>(path + ".foreign_writer.limit_count", what.limit_count, 1, 1'000'000);
      Lasts(path + ".foreign_writer.each", what.each, absl::Milliseconds(100), kDurationMax);
      return what;
    }
    default:
      break;
  }
  Fault(path, "says not what goes wrong: slow_disk, packet_loss, bad_deploy, ...");
  return SlowDisk{};
}

FaultKind Reader::ReadOfClients(const std::string& path, const v1::ScenarioFault& message) {
  if (message.has_client_leak()) {
    ClientLeak what;
    HR_TAKE(message.client_leak(), connections_per_second, what.connections_per_second);
    HR_TAKE(message.client_leak(), clients, what.clients);
    Within(path + ".client_leak.connections_per_second", what.connections_per_second, 1e-3, 1e5);
    Within<int64_t>(path + ".client_leak.clients", what.clients, 1, kClientsMax);
    return what;
  }
  RetryStorm what;
  HR_TAKE_DURATION(message.retry_storm(), request_timeout, what.request_timeout);
  HR_TAKE_DURATION(message.retry_storm(), backoff, what.backoff);
  HR_TAKE(message.retry_storm(), retries_max, what.retries_max);
  Within(path + ".retry_storm.retries_max", what.retries_max, 0, 100);
  Longer(path + ".retry_storm.request_timeout", what.request_timeout);
  return what;
}

Trouble Reader::ReadTrouble(const std::string& path, const v1::ScenarioFault& message) {
  using What = v1::ScenarioFault;
  Trouble trouble{.at = FromMessage(message.at()), .duration = FromMessage(message.duration())};
  if (message.nodes_size() > 0 || !message.zone().empty() || message.count() != 0) {
    Fault(path, "nodes, zone and count say nothing here: it is the controller's");
  }
  if (message.what_case() == What::kBadReports) {
    trouble.what = ReadBadReports(path + ".bad_reports", message.bad_reports());
  } else if (message.what_case() == What::kBadProvider) {
    trouble.what = ReadBadProvider(path + ".bad_provider", message.bad_provider());
  } else if (message.what_case() == What::kLostOrders) {
    LostOrders what;
    HR_TAKE(message.lost_orders(), lost_ratio, what.lost_ratio);
    Ratios(path + ".lost_orders", {{"lost_ratio", what.lost_ratio}});
    trouble.what = what;
  } else if (message.what_case() == What::kClockBack) {
    ClockBack what;
    HR_TAKE_DURATION(message.clock_back(), by, what.by);
    Lasts(path + ".clock_back.by", what.by, absl::Milliseconds(1), kDurationMax);
    trouble.what = what;
  } else {
    trouble.what = ControllerDown{};
  }
  return trouble;
}

TroubleKind Reader::ReadBadReports(const std::string& path, const v1::BadReportsFault& message) {
  BadReports what{message.lost_ratio(), message.late_ratio(), message.twice_ratio(), message.forged_ratio()};
  HR_TAKE_DURATION(message, late_max, what.late_max);
  Ratios(path, {{"lost_ratio", what.lost_ratio},
                {"late_ratio", what.late_ratio},
                {"twice_ratio", what.twice_ratio},
                {"forged_ratio", what.forged_ratio}});
  Lasts(path + ".late_max", what.late_max, absl::Milliseconds(1), absl::Hours(1));
  return what;
}

TroubleKind Reader::ReadBadProvider(const std::string& path, const v1::BadProviderFault& message) {
  BadProvider what{message.refused_ratio(), message.stock_out_ratio(), message.answer_lost_ratio(),
                   message.boot_failed_ratio(), FromMessage(message.call_max())};
  Ratios(path, {{"refused_ratio", what.refused_ratio},
                {"stock_out_ratio", what.stock_out_ratio},
                {"answer_lost_ratio", what.answer_lost_ratio},
                {"boot_failed_ratio", what.boot_failed_ratio}});
  Lasts(path + ".call_max", what.call_max, absl::ZeroDuration(), absl::Hours(1));
  return what;
}

BadDeploy Reader::ReadDeploy(const std::string& path, const v1::BadDeployFault& message) {
  BadDeploy what{.error_ratio = message.error_ratio()};
  if (!message.version().empty()) what.release.version = message.version();
  what.release.config_hash = message.config_hash();
  HR_TAKE(message, code_slowness, what.code_slowness);
  HR_TAKE(message, processor_cost, what.processor_cost);
  HR_TAKE_DURATION(message, gap, what.gap);
  HR_TAKE_DURATION(message, down, what.down);
  Within(path + ".error_ratio", what.error_ratio, 0.0, 1.0);
  Within(path + ".code_slowness", what.code_slowness, 1.0, 1e4);
  Within(path + ".processor_cost", what.processor_cost, 1.0, 1e6);
  Longer(path + ".gap", what.gap);
  return what;
}

Expectation Reader::ReadExpectation(const std::string& path, const v1::ScenarioExpectation& message) {
  Expectation expectation{.from = FromMessage(message.from())};
  HR_TAKE_DURATION(message, to, expectation.to);
  if (message.has_within()) expectation.to = expectation.from + FromMessage(message.within());
  if (message.has_to() && message.has_within()) Fault(path, "to and within exclude each other");
  if (expectation.to < expectation.from) Fault(path + ".to", "is before from");
  if (message.has_cause()) {
    expectation.what = ExpectedCause{ReadCause(path + ".cause", message.cause()), ExpectedCause::When::kOnce};
  } else if (message.has_never_cause()) {
    expectation.what =
        ExpectedCause{ReadCause(path + ".never_cause", message.never_cause()), ExpectedCause::When::kNever};
  } else {
    expectation.what = ReadRange(path, message);
  }
  return expectation;
}

ExpectedRange Reader::ReadRange(const std::string& path, const v1::ScenarioExpectation& message) {
  using What = v1::ScenarioExpectation;
  static_assert(What::kTerminations - What::kFailedRatio == static_cast<int>(Figure::kTerminations), "in one order");
  ExpectedRange range;
  if (message.what_case() == What::WHAT_NOT_SET) {
    Fault(path, "says not what must be: failed_ratio, nodes, cause, ...");
    return range;
  }
  range.figure = static_cast<Figure>(message.what_case() - What::kFailedRatio);
  const auto* field = message.GetDescriptor()->FindFieldByNumber(message.what_case());
  const auto& bounds = static_cast<const v1::ScenarioRange&>(message.GetReflection()->GetMessage(message, field));
  HR_TAKE(bounds, least, range.least);
  HR_TAKE(bounds, most, range.most);
  const std::string here = absl::StrCat(path, ".", FigureName(range.figure));
  if (!range.least.has_value() && !range.most.has_value()) Fault(here, "needs least, most or both");
  if (range.least.has_value() && range.most.has_value() && *range.least > *range.most) {
    Fault(here, absl::StrCat("least ", *range.least, " exceeds most ", *range.most));
  }
  return range;
}

Cause Reader::ReadCause(const std::string& path, const std::string& name) {
  std::vector<std::string> known;
  for (int index = 1; index < kCauseCount; ++index) {
    const auto cause = static_cast<Cause>(index);
    if (CauseName(cause) == name) return cause;
    known.emplace_back(CauseName(cause));
  }
  Fault(path, absl::StrCat("\"", name, "\" is no cause", DidYouMean(NearMatches(name, known))));
  return Cause::kNone;
}

#undef HR_TAKE
#undef HR_TAKE_DURATION

ScenarioFile Reader::Read(const v1::Scenario& message) {
  ScenarioFile file{.about = message.about()};
  PolicyReading policy = ReadPolicy(message.policy());
  for (PolicyFault& fault : policy.faults) Fault(absl::StrCat("policy.", fault.path), std::move(fault.text));
  if (message.policy().has_provider()) Fault("policy.provider", "must be left out: the cluster is simulated");
  file.scenario.policy = std::move(policy.policy);
  SimulatedCluster::Options& cluster = file.scenario.cluster;
  cluster.initial_count = file.scenario.policy.nodes.min;
  cluster.report_interval = file.scenario.policy.control.report_interval;
  if (message.has_seed()) cluster.settings.seed = static_cast<uint64_t>(message.seed());
  if (message.cluster().has_provider_latency()) {
    file.scenario.provider_latency = FromMessage(message.cluster().provider_latency());
  }
  ReadCluster(message.cluster(), cluster);
  for (int i = 0; i < message.faults_size(); ++i) {
    const v1::ScenarioFault& fault = message.faults(i);
    const std::string path = absl::StrCat("faults[", i, "]");
    if (fault.what_case() >= v1::ScenarioFault::kBadReports) {
      file.scenario.troubles.push_back(ReadTrouble(path, fault));
    } else {
      cluster.faults.push_back(ReadFault(path, fault));
    }
  }
  for (int i = 0; i < message.expect_size(); ++i) {
    file.expectations.push_back(ReadExpectation(absl::StrCat("expect[", i, "]"), message.expect(i)));
  }
  cluster.settings.phases = ReadCurve(message.curve());
  for (const Phase& phase : cluster.settings.phases) file.duration += phase.duration;
  if (message.has_duration()) file.duration = FromMessage(message.duration());
  if (message.has_duration()) Longer("duration", file.duration);
  if (file.duration > kDurationMax) Fault("duration", "is longer than 400 days");
  return file;
}

}  // namespace

absl::StatusOr<ScenarioFile> ParseScenario(absl::string_view yaml, const ScenarioSource& source) {
  v1::Scenario message;
  YamlReading reading = ReadYaml(yaml, message);
  Reader reader(source);
  ScenarioFile file = reader.Read(message);
  HR_RETURN_IF_ERROR(YamlStatus(source.name, std::move(reading), reader.faults()));
  return file;
}

absl::StatusOr<ScenarioFile> LoadScenario(const std::string& path, const CurveReader& curves) {
  HR_ASSIGN_OR_RETURN(const std::string yaml, ReadYamlFile(path, "the scenario"));
  return ParseScenario(yaml, {path, std::filesystem::path(path).parent_path().string(), curves});
}

}  // namespace headroom::sim
