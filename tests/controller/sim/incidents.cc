#include "tests/controller/sim/incidents.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <set>

#include "absl/strings/str_cat.h"

#include "controller/base/check.h"
#include "tests/controller/sim/dice.h"

namespace headroom::sim {
namespace {

constexpr absl::Duration kJudged = absl::Seconds(30);
constexpr absl::Duration kForEver = absl::Hours(1000);

// A cluster on a calm day, and the dice for what befalls it.
class Making {
 public:
  Making(Cause cause, uint64_t seed, int nodes_min = 3) : dice(seed) {
    incident.cause = cause;
    nodes = dice.Whole(nodes_min, 8);
    limit = dice.Whole(15, 40) * 10;
    rate = nodes * dice.Between(70, 180);
    clients = static_cast<int64_t>(static_cast<double>(nodes * limit) * dice.Between(0.17, 0.28));
    calm = absl::Seconds(dice.Whole(60, 110));
    Scenario& scenario = incident.scenario;
    scenario.policy.mode = seed % 4 == 0 ? Mode::kLive : Mode::kDryRun;
    scenario.policy.nodes = {.min = 2, .max = 16, .lead_time = absl::Minutes(1)};
    scenario.policy.limits.law.ceiling_count = 10 * limit;
    scenario.cluster.initial_count = nodes;
    scenario.cluster.zones = {"a", "b", "c"};
    scenario.cluster.settings.seed = seed;
    scenario.cluster.settings.node.connection_limit = limit;
    scenario.cluster.settings.client.tells_attempts = dice.Chance(0.5);
    scenario.cluster.settings.phases = {{calm, rate, clients}, {kForEver, rate, clients}};
    incident.begins = incident.felt = calm;
  }

  std::vector<Phase>& phases() { return incident.scenario.cluster.settings.phases; }
  void Traffic(double rates, double client_ratio) {
    phases()[1] = {kForEver, rate * rates, static_cast<int64_t>(static_cast<double>(clients) * client_ratio)};
  }
  void Add(FaultKind what, FaultTarget where = {}, absl::Duration after = {}, absl::Duration lasts = absl::Minutes(5)) {
    incident.scenario.cluster.faults.push_back({calm + after, lasts, std::move(where), std::move(what)});
  }
  // The processor cost at which so much of all cores is asked for.
  double CostFor(double cores_share) const {
    const NodeSettings& node = incident.scenario.cluster.settings.node;
    return cores_share * node.cores * nodes / (rate * absl::ToDoubleSeconds(node.processor_time));
  }
  double Slots() const { return static_cast<double>(nodes * limit); }
  // A client keeps about one connection; from 0.8 of the slots on they are said to run out.
  double SecondsToPress(double leaked_per_second) const {
    return (0.8 * Slots() - static_cast<double>(clients)) / leaked_per_second;
  }
  // How many times as many clients fill so much of all slots.
  double ClientsFor(double slots_share) const { return slots_share * Slots() / static_cast<double>(clients); }
  // So much of its own limit falls on one node. Clients that call seldom make a connection for each request, so that
  // the choice of a node is soon felt.
  void HeatUp(double position, absl::Duration after = {}) {
    NodeSettings& node = incident.scenario.cluster.settings.node;
    constexpr double kIdleSeconds = 5, kTaken = 0.35;
    node.idle_timeout = absl::Seconds(kIdleSeconds);
    node.connection_limit = limit = static_cast<int64_t>(rate / nodes * kIdleSeconds / kTaken);
    for (Phase& phase : phases()) phase.clients = static_cast<int64_t>(rate * kIdleSeconds * 4);
    Add(HotNode{std::min(0.95, position / (kTaken * nodes))}, {.count = 1}, after);
  }
  // Where a server closes what is idle soon, a leak does no harm.
  void KeepForLong() {
    incident.scenario.cluster.settings.node.idle_timeout = dice.Chance(0.5) ? absl::Minutes(10) : absl::ZeroDuration();
  }
  void CalmNight() {
    rate *= 0.3;
    clients = std::max<int64_t>(10, clients / 3);
    for (Phase& phase : phases()) {
      phase.requests_per_second = rate;
      phase.clients = clients;
    }
  }

  Dice dice;
  Incident incident;
  int nodes = 0;
  int64_t limit = 0, clients = 0;
  double rate = 0;
  absl::Duration calm;
};

Incident Surge(Making m) {
  const double factor = m.ClientsFor(m.dice.Between(0.95, 1.6));
  m.Traffic(factor * m.dice.Between(0.8, 1.1), factor);
  return m.incident;
}
Incident RetryStormOf(Making m) {
  m.Add(RetryStorm{.request_timeout = absl::Milliseconds(m.dice.Whole(10, 18)), .retries_max = m.dice.Whole(6, 12)});
  return m.incident;
}
Incident Deploy(Making m) {
  BadDeploy deploy{.gap = absl::Seconds(2), .down = absl::Seconds(1)};
  if (m.dice.Chance(0.5))
    deploy.error_ratio = m.dice.Between(0.08, 0.4);
  else
    deploy.code_slowness = m.dice.Between(4, 10);
  m.Add(deploy);
  m.incident.felt += absl::Seconds(2);
  return m.incident;
}
Incident Software(Making m) {
  m.Add(SoftwareErrors{m.dice.Between(0.05, 0.5)});
  return m.incident;
}
Incident Network(Making m) {
  m.Add(PacketLoss{m.dice.Between(0.03, 0.15)});
  return m.incident;
}
Incident Disk(Making m) {
  const bool one = m.dice.Chance(0.5);
  m.Add(SlowDisk{m.dice.Between(6, 15)}, {.count = one ? 1 : 0});
  return m.incident;
}
Incident Cpu(Making m) {
  m.Add(BusyProcessor{m.CostFor(m.dice.Between(0.93, 1.2))});
  return m.incident;
}
Incident Hot(Making m) {
  m.HeatUp(m.dice.Between(1.15, 1.8));
  return m.incident;
}
Incident Leak(Making m) {
  const double free = m.Slots() - static_cast<double>(m.clients);
  const double seconds = m.dice.Between(30, 120);
  m.KeepForLong();
  m.Add(ClientLeak{.connections_per_second = free / seconds, .clients = 1}, {}, {}, absl::Minutes(10));
  m.incident.felt += Whole(m.SecondsToPress(free / seconds));
  return m.incident;
}
Incident Reports(Making m) {
  const int lost = m.dice.Whole(std::max(2, m.nodes / 2), m.nodes);
  auto silent = std::make_shared<std::set<NodeId>>();
  const absl::Time from = m.incident.scenario.cluster.settings.start + m.calm;
  m.incident.is_heard = [silent, from, lost](absl::Time at, const NodeId& node) {
    if (at < from) return true;
    if (static_cast<int>(silent->size()) < lost) silent->insert(node);
    return silent->count(node) == 0;
  };
  return m.incident;
}
// Nodes are started, and get nothing to do.
Incident Newcomers(Making m) {
  const int boot = m.dice.Whole(15, 30);
  m.incident.scenario.cluster.boot = absl::Seconds(boot);
  m.incident.launches = {m.calm - absl::Seconds(boot), m.dice.Whole(1, m.nodes)};
  m.Add(Imbalance{}, {}, absl::Seconds(-boot));
  return m.incident;
}

// Written after outage reports.

// A campaign's mail goes out in waves; or a flash crowd of newcomers who each ask little.
Incident CampaignWaves(Making m) {
  if (m.dice.Chance(0.5)) {
    m.phases().pop_back();
    const int waves = m.dice.Whole(3, 5);
    const double top = m.ClientsFor(m.dice.Between(1.0, 1.5));
    for (int wave = 1; wave <= waves; ++wave) {
      const double factor = 1 + (top - 1) * wave / waves;
      m.phases().push_back({wave == waves ? kForEver : absl::Seconds(6), m.rate * factor,
                            static_cast<int64_t>(static_cast<double>(m.clients) * factor)});
    }
    m.incident.felt += Whole(6.0 * waves / 2);
  } else {
    m.Traffic(m.dice.Between(1.6, 2.2), m.ClientsFor(m.dice.Between(1.1, 1.7)));
  }
  return m.incident;
}
// A release of the client with a time-out that somebody set too low, seen first when traffic is low.
Incident ImpatientClients(Making m) {
  if (m.dice.Chance(0.5)) m.CalmNight();
  m.Add(RetryStorm{.request_timeout = absl::Milliseconds(m.dice.Whole(8, 25)),
                   .backoff = absl::Milliseconds(m.dice.Whole(2, 30)),
                   .retries_max = m.dice.Whole(4, 15)});
  return m.incident;
}
// A canary; a configuration push; a release that burns processor time.
Incident CanaryOrConfiguration(Making m) {
  BadDeploy deploy{.gap = absl::Seconds(m.dice.Whole(1, 6)), .down = absl::Seconds(1)};
  FaultTarget where;
  switch (m.dice.Whole(0, 2)) {
    case 0:
      where.count = m.dice.Whole(1, 2);
      deploy.error_ratio = m.dice.Between(0.15, 0.6);
      break;
    case 1:
      deploy.release = {.version = "simulated/1", .config_hash = "sha256:1f2e"};
      deploy.error_ratio = m.dice.Between(0.05, 0.3);
      break;
    default:
      deploy.processor_cost = m.CostFor(m.dice.Between(0.9, 1.1));
      break;
  }
  m.Add(deploy, where);
  m.incident.felt += deploy.gap;
  return m.incident;
}
// A dependency that degrades, and that not every node needs.
Incident FailingDependency(Making m) {
  const int hit = m.dice.Whole(2, m.nodes);
  m.Add(SoftwareErrors{m.dice.Between(0.02, 0.05)}, {.count = hit});
  m.Add(SoftwareErrors{m.dice.Between(0.2, 0.6)}, {.count = hit}, absl::Seconds(m.dice.Whole(3, 10)));
  return m.incident;
}
// One rack's switch; or a link that gets worse by and by, at night.
Incident BadSwitch(Making m) {
  if (m.dice.Chance(0.5)) {
    m.Add(PacketLoss{m.dice.Between(0.05, 0.25)}, {.zone = "a"});
  } else {
    m.CalmNight();
    m.Add(PacketLoss{m.dice.Between(0.02, 0.04)});
    m.Add(PacketLoss{m.dice.Between(0.03, 0.1)}, {}, absl::Seconds(8));
  }
  return m.incident;
}
// A rebuild or scrub: bursts on all devices; or a zone's storage.
Incident Rebuild(Making m) {
  const double slow = m.dice.Between(5, 12);
  if (m.dice.Chance(0.5)) {
    m.Add(SlowDisk{slow}, {.zone = "a"});
  } else {
    for (int burst = 0; burst < 8; ++burst) m.Add(SlowDisk{slow}, {}, absl::Seconds(14 * burst), absl::Seconds(11));
  }
  return m.incident;
}
// Requests that cost ever more; or noisy neighbours on most of the machines.
Incident NoisyNeighbours(Making m) {
  if (m.dice.Chance(0.5)) {
    m.Add(BusyProcessor{m.CostFor(m.dice.Between(1.0, 1.3))}, {.count = (3 * m.nodes + 3) / 4});
  } else {
    const double first = m.CostFor(m.dice.Between(0.5, 0.7));
    m.Add(BusyProcessor{first});
    m.Add(BusyProcessor{m.dice.Between(1.5, 2.0)}, {}, absl::Seconds(8));
    m.incident.felt += absl::Seconds(8);
  }
  return m.incident;
}
// A hot key, at once or by and by.
Incident HotKey(Making m) {
  if (m.dice.Chance(0.5)) {
    m.HeatUp(m.dice.Between(1.05, 1.4));
  } else {  // it grows as the key spreads
    m.HeatUp(0.7);
    m.HeatUp(m.dice.Between(0.8, 1.1), absl::Seconds(5));
  }
  return m.incident;
}
// A service whose instances all lose their connections, slowly.
Incident LeakingService(Making m) {
  const double free = m.Slots() - static_cast<double>(m.clients);
  const double seconds = m.dice.Between(60, 240);
  m.KeepForLong();
  m.Add(ClientLeak{.connections_per_second = free / seconds, .clients = m.dice.Whole(3, 12)}, {}, {},
        absl::Minutes(10));
  m.incident.felt += Whole(m.SecondsToPress(free / seconds));
  return m.incident;
}
// The management network flaps, or one side of it is cut off.
Incident ManagementNetwork(Making m) {
  const absl::Time from = m.incident.scenario.cluster.settings.start + m.calm;
  const bool flaps = m.dice.Chance(0.5);
  const int period = m.dice.Whole(12, 25), dark = period - m.dice.Whole(1, 2);
  auto side = std::make_shared<std::set<NodeId>>();
  const int cut = std::max(2, (2 * m.nodes + 2) / 3);
  m.incident.is_heard = [=](absl::Time at, const NodeId& node) {
    if (at < from) return true;
    if (flaps) return absl::ToInt64Seconds(at - from) % period >= dark;
    if (static_cast<int>(side->size()) < cut) side->insert(node);
    return side->count(node) == 0;
  };
  return m.incident;
}

// A server is back from its repair, and the balancer's list was not loaded again.
Incident NotInTheBalancer(Making m) {
  const absl::Duration down = absl::Seconds(m.dice.Whole(8, 40));
  m.Add(Imbalance{}, {}, -down);
  m.Add(NodeCrash{}, {.count = m.dice.Whole(1, std::max(1, m.nodes / 3))}, -down, down);
  return m.incident;
}

}  // namespace

Incident MakeIncident(Cause cause, Maker maker, uint64_t seed) {
  if (maker == Maker::kPostmortems) return MakePostmortem(cause, seed);
  if (maker == Maker::kChronicles) return MakeChronicle(cause, seed);
  const bool own = maker == Maker::kOutages;
  const Making making(cause, seed, cause == Cause::kHotNode ? 4 : 3);
  switch (cause) {
    case Cause::kSurge:
      return own ? CampaignWaves(making) : Surge(making);
    case Cause::kRetryStorm:
      return own ? ImpatientClients(making) : RetryStormOf(making);
    case Cause::kBadDeploy:
      return own ? CanaryOrConfiguration(making) : Deploy(making);
    case Cause::kSoftware:
      return own ? FailingDependency(making) : Software(making);
    case Cause::kNetwork:
      return own ? BadSwitch(making) : Network(making);
    case Cause::kSlowDisk:
      return own ? Rebuild(making) : Disk(making);
    case Cause::kCpu:
      return own ? NoisyNeighbours(making) : Cpu(making);
    case Cause::kHotNode:
      return own ? HotKey(making) : Hot(making);
    case Cause::kClientLeak:
      return own ? LeakingService(making) : Leak(making);
    case Cause::kReportLoss:
      return own ? ManagementNetwork(making) : Reports(making);
    case Cause::kImbalance:
      return own ? NotInTheBalancer(making) : Newcomers(making);
    default:
      break;
  }
  HR_CHECK(false);
  return {};
}

namespace {

// Runs up to the onset.
absl::Time RunUntilFelt(SimRunner& run, const Incident& incident) {
  const absl::Time felt = run.start() + incident.felt;
  if (incident.launches.second > 0) {
    run.RunUntil(run.start() + incident.launches.first);
    for (int node = 0; node < incident.launches.second; ++node) {
      run.cluster().Launch(absl::StrCat("by-hand-", node), node % 2 == 0 ? "a" : "b");
    }
  }
  run.RunUntil(felt);
  if (!incident.is_felt) return felt;
  while (run.now() < felt + Incident::kFeltMax && !incident.is_felt(run.cluster().model())) {
    run.RunUntil(run.now() + absl::Seconds(1));
  }
  return run.now();
}

}  // namespace

Outcome Diagnose(const Incident& incident, absl::Duration until) {
  SimRunner run(incident.scenario);
  if (incident.is_heard) {
    run.OnlyHear([&incident](absl::Time at, const Event& event) {
      const auto* report = std::get_if<NodeReported>(&event);
      return report == nullptr || incident.is_heard(at, report->node);
    });
  }
  Outcome outcome{.expected = incident.cause, .after = absl::InfiniteDuration()};
  const absl::Time begins = run.start() + incident.begins;
  absl::Time named_at = absl::InfiniteFuture(), felt = absl::InfiniteFuture();
  Cause excused = Cause::kNone;  // named before the onset, and ever since
  run.OnDecision([&](const Decision& decision) {
    const Cause cause = decision.diagnosis.cause;
    if (decision.at <= felt) excused = incident.meanwhile.count(cause) > 0 ? cause : Cause::kNone;
    if (cause != excused) excused = Cause::kNone;
    if (cause < Cause::kSurge) return;
    if (cause == incident.cause && decision.at >= begins)
      named_at = std::min(named_at, decision.at);
    else if (cause != excused) {
      outcome.slipped = true;
      if (decision.at >= begins && incident.meanwhile.count(cause) == 0) ++outcome.mistakes[cause];
    }
  });
  felt = RunUntilFelt(run, incident);
  run.RunUntil(felt + kJudged);
  outcome.after = std::max(absl::ZeroDuration(), named_at - felt);
  const Diagnosis said = run.Latest()->diagnosis;
  outcome.named = said.cause;
  // What a live controller has named and mended is over by now.
  const bool mended = incident.scenario.policy.mode == Mode::kLive && said.cause == Cause::kNone;
  if (mended && named_at <= felt + kJudged && !outcome.slipped) outcome.named = incident.cause;
  outcome.sentence = RenderReason(said.reason);
  for (const Reason& reason : said.ruled_out) {
    const bool out = (reason.code >= ReasonCode::kNotSurge && reason.code <= ReasonCode::kNotReportLoss) ||
                     reason.code == ReasonCode::kNotImbalance;
    ++(out ? outcome.ruled_out : outcome.left_open);
  }
  if (until > kJudged) run.RunUntil(felt + until);
  return outcome;
}

}  // namespace headroom::sim
