// Incidents after what operators publish of theirs: triggers that pass and storms that stay (Bronson et al., HotOS'21;
// Huang et al., OSDI'22), campaigns and failovers, canaries and configuration pushes, expired certificates, bad
// switches, scrubs and spent burst credits, noisy neighbours, hot keys, leaking pools, partitioned monitoring,
// balancers that were never told of new servers. Each befalls a site of its own kind, with noise, with unequal
// machines, and often beside something harmless. Written from the literature and the faults' header alone, without the
// rules.
#include <algorithm>
#include <cmath>
#include <memory>
#include <set>
#include <utility>

#include "controller/base/check.h"
#include "tests/controller/sim/dice.h"
#include "tests/controller/sim/incidents.h"

namespace headroom::sim {
namespace {

constexpr absl::Duration kForEver = absl::Hours(1000);
constexpr double kStepSeconds = 2;       // of the traffic's course
constexpr double kTrafficSeconds = 320;  // of it; then it stays

// A site: its machines, its traffic, what is always a little wrong there, and what befalls it.
class Site {
 public:
  Site(Cause cause, uint64_t seed) : dice(seed * 64 + static_cast<uint64_t>(cause) + 40'000'000) {
    incident.cause = cause;
    Scenario& scenario = incident.scenario;
    settings().seed = seed;
    scenario.policy.mode = dice.Chance(0.3) ? Mode::kLive : Mode::kDryRun;
    scenario.cluster.initial_count = nodes = dice.Whole(3, 12);
    scenario.policy.nodes = {.min = 2, .max = 20, .lead_time = absl::Minutes(1)};
    if (dice.Chance(0.7)) scenario.cluster.zones = {"a", "b", "c"};
    calm = static_cast<double>(dice.Whole(60, 150));
    rate = std::min(1200.0, nodes * dice.Scale(40, 200));
    slots_share = dice.Between(0.15, 0.5);
    client().spread = dice.Chance(0.5) ? Spread::kRequests : Spread::kConnections;
    node().service_time = Whole(dice.Scale(0.006, 0.05));
    node().connection_limit = dice.Whole(8, 50) * 10;
    node().backlog = dice.Chance(0.3) ? 511 : 128;
    node().idle_timeout = absl::Seconds(std::round(dice.Scale(10, 120)));
    node().object_bytes = static_cast<int64_t>(dice.Scale(4, 200)) << 10;
    node().cores = dice.Whole(2, 8);
    UseOfCores(dice.Between(0.03, 0.3));
    node().knee = dice.Chance(0.3) ? 0 : static_cast<int64_t>(std::max(40.0, ActiveCount() * dice.Scale(8, 40)));
    client().request_timeout = Whole(std::max(20 * ServiceSeconds(), dice.Scale(0.5, 3)));
    client().retries_max = dice.Whole(0, 4);
    client().backoff = absl::Milliseconds(dice.Whole(50, 400));
    client().retry_budget_ratio = dice.Chance(0.2) ? 0.1 : 0;
    client().tells_attempts = dice.Chance(0.4);
  }

  ClusterSettings& settings() { return incident.scenario.cluster.settings; }
  NodeSettings& node() { return settings().node; }
  ClientSettings& client() { return settings().client; }
  double ServiceSeconds() { return absl::ToDoubleSeconds(node().service_time); }
  double ActiveCount() { return rate / nodes * ServiceSeconds(); }  // of one node, on a calm day
  // The share of all cores that calm traffic takes.
  void UseOfCores(double share) {
    const double seconds = share * node().cores * nodes / rate;
    node().processor_time = absl::Microseconds(std::llround(1e6 * std::min(seconds, ServiceSeconds() * 0.6)));
  }
  double CoresUsed() { return rate / nodes * absl::ToDoubleSeconds(node().processor_time) / node().cores; }

  void Add(FaultKind what, FaultTarget where = {}, double after = 0, double lasts = 600) {
    incident.scenario.cluster.faults.push_back({Whole(calm + after), Whole(lasts), std::move(where), std::move(what)});
  }
  void Felt(double after) { incident.felt = Whole(calm + after); }
  // The onset is when slots run out on one node, where that is not before `begins`.
  void FeltWhenFull() {
    const auto nearly = static_cast<int64_t>(0.9 * static_cast<double>(node().connection_limit));
    incident.is_felt = [nearly](const World& world) {
      const std::vector<Machine> machines = world.Machines();
      return std::any_of(machines.begin(), machines.end(), [&](const Machine& machine) {
        return world.IsServing(machine.node) && world.OpenCount(machine.node) >= nearly;
      });
    };
  }
  // Some of the nodes, one or more, at most so many.
  FaultTarget Some(int most) { return {.count = dice.Whole(1, std::max(1, std::min(most, nodes)))}; }
  // All nodes, a zone, or some.
  FaultTarget Anywhere(int least_some) {
    const int where = dice.Whole(0, 2);
    if (where == 0) return {};
    if (where == 1 && !incident.scenario.cluster.zones.empty()) return {.zone = "b"};
    return {.count = dice.Whole(std::min(least_some, nodes), nodes)};
  }
  // In steps over so long, from a part of it to all of it; `make` gives the fault for a share of it.
  template <class Make>
  void Ramp(double seconds, const FaultTarget& where, const Make& make) {
    constexpr int kSteps = 4;
    if (seconds < 1) return Add(make(1.0), where);
    for (int step = 0; step < kSteps; ++step) {
      const double begin = seconds * step / kSteps;
      Add(make((step + 1.0) / kSteps), where, begin, step + 1 < kSteps ? seconds / kSteps : 600);
    }
    Felt(seconds / 2);
  }

  // What traffic is at so many seconds after the onset, of the calm one.
  std::function<double(double)> course = [](double) { return 1.0; };

  Incident Made() {
    AlwaysALittleWrong();
    if (dice.Chance(0.5)) SomethingHarmless();
    incident.begins = Whole(calm);
    incident.felt = std::max(incident.felt, incident.begins);
    Traffic();
    return incident;
  }

  Dice dice;
  Incident incident;
  int nodes = 0;
  double calm = 0, rate = 0, slots_share = 0;
  int64_t clients = 0;  // 0: as many as take slots_share

 private:
  // Every other site has older machines, a lossy link or a bug that nobody minds.
  void AlwaysALittleWrong() {
    if (dice.Chance(0.3)) Add(SlowDisk{dice.Between(1.05, 1.2)}, Some(nodes / 2), -calm, 10'000);
    if (dice.Chance(0.2)) Add(BusyProcessor{dice.Between(1.2, 1.7)}, Some(nodes / 2), -calm, 10'000);
    if (dice.Chance(0.2)) Add(PacketLoss{dice.Between(0.0003, 0.002)}, {}, -calm, 10'000);
    if (dice.Chance(0.3)) Add(SoftwareErrors{dice.Between(0.0005, 0.005)}, {}, -calm, 10'000);
  }
  void SomethingHarmless() {
    const double before = -dice.Between(40, 55);
    switch (dice.Whole(0, 5)) {
      case 0:
        return Add(RollingRestart{.gap = Whole(30.0 / nodes), .down = absl::Seconds(2)}, {}, before);
      case 1:  // a good release, a while ago; never where a bad one is to come
        if (incident.cause == Cause::kBadDeploy) return;
        return Add(
            BadDeploy{.release = {.version = "simulated/1.1"}, .gap = Whole(20.0 / nodes), .down = absl::Seconds(1)},
            {}, before - 5, 10'000);
      case 2:
        return Add(NodeCrash{}, {.count = 1}, before, 15);
      case 3:  // somebody's batch, at the same time
        bump_ = {dice.Between(-10, 10), dice.Between(0.1, 0.3)};
        return;
      case 4:  // a batch that is over
        bump_ = {before, dice.Between(0.2, 0.5)};
        bump_end_ = before + 25;
        return;
      default:
        return Add(SlowDisk{dice.Between(1.2, 1.5)}, {.count = 1}, before, 20);
    }
  }
  // How many clients take that share of the slots.
  int64_t Clients() {
    const double wanted = slots_share * static_cast<double>(node().connection_limit);
    const double idle = absl::ToDoubleSeconds(node().idle_timeout);
    const double kept = rate / nodes * (idle > 0 ? idle : 3600);
    if (client().spread == Spread::kConnections) return std::max<int64_t>(2, std::llround(wanted * nodes * 0.9));
    client().connections_max = 0;
    double low = 1, high = 100'000;
    for (int halving = 0; halving < 40; ++halving) {
      const double middle = (low + high) / 2;
      (middle * (1 - std::exp(-kept / middle)) < wanted ? low : high) = middle;
    }
    return std::llround(std::min(high, wanted * 3));
  }
  void Traffic() {
    if (clients == 0) clients = Clients();
    const double sway = dice.Between(0.01, 0.08);
    double noise = 0;
    for (double at = 0; at < kTrafficSeconds; at += kStepSeconds) {
      noise = 0.9 * noise + sway * dice.Between(-0.75, 0.75);
      const double after = at - calm;
      double factor = course(after);
      if (after >= bump_.first && after < bump_end_) factor *= 1 + bump_.second;
      Phase phase{Whole(kStepSeconds), rate * factor * (1 + noise),
                  std::max<int64_t>(1, std::llround(static_cast<double>(clients) * factor))};
      if (at + kStepSeconds >= kTrafficSeconds) phase.duration = kForEver;
      settings().phases.push_back(phase);
    }
  }

  std::pair<double, double> bump_{1e9, 0};  // from when, how much more
  double bump_end_ = 1e9;
};

// A campaign goes out, a site is mentioned, another region fails over to this one, a cache in front is emptied.
Incident MoreCallers(Site s) {
  s.UseOfCores(s.dice.Between(0.01, 0.06));
  if (s.node().knee > 0) s.node().knee = std::max<int64_t>(s.node().knee, std::llround(60 * s.ActiveCount()));
  const double most = s.dice.Between(1.0, 2.0) / s.slots_share, lasts = s.dice.Between(5, 45);
  const int waves = s.dice.Whole(2, 4);
  switch (s.dice.Whole(0, 3)) {
    case 0:
      s.course = [=](double at) { return at < 0 ? 1 : most; };
      break;
    case 1:
      s.course = [=](double at) { return 1 + (most - 1) * std::clamp(at / lasts, 0.0, 1.0); };
      break;
    case 2:  // it doubles and doubles
      s.course = [=](double at) { return std::pow(most, std::clamp(at / lasts, 0.0, 1.0)); };
      break;
    default:
      s.course = [=](double at) {
        if (at < 0) return 1.0;
        return 1 + (most - 1) * std::min(1.0, (1 + std::floor(at / lasts * waves)) / waves);
      };
  }
  s.FeltWhenFull();
  return s.Made();
}

// A client library whose new time-out is below what an answer takes.
Incident ShortTimeouts(Site s) {
  s.client().retry_budget_ratio = 0;
  const double timeout = s.ServiceSeconds() * s.dice.Between(0.3, 0.9);
  s.Add(RetryStorm{.request_timeout = std::max(absl::Milliseconds(1), Whole(timeout)),
                   .backoff = absl::Milliseconds(s.dice.Whole(1, 50)),
                   .retries_max = s.dice.Whole(5, 15)});
  return s.Made();
}

// A trigger that passes: devices stall for seconds on a site without much to spare whose clients never give up. What
// is retried and what is worked on in vain keeps it down.
Incident StormThatStays(Site s) {
  s.node().knee = s.dice.Whole(20, 40);
  s.node().connection_limit = s.dice.Whole(40, 60) * 10;
  s.node().idle_timeout = absl::Seconds(10);
  s.client() = {.spread = Spread::kRequests,
                .connections_max = 0,
                .request_timeout = Whole(12 * s.ServiceSeconds()),
                .retries_max = s.dice.Whole(6, 12),
                .backoff = absl::Milliseconds(s.dice.Whole(1, 20)),
                .tells_attempts = s.client().tells_attempts};
  s.nodes = s.incident.scenario.cluster.initial_count = std::min(s.nodes, 4);
  s.rate = s.nodes * s.dice.Between(0.75, 0.85) * static_cast<double>(s.node().knee) / (2 * s.ServiceSeconds());
  if (s.rate > 2500) {  // the same, slower
    s.node().service_time = Whole(s.ServiceSeconds() * s.rate / 2500);
    s.client().request_timeout = Whole(12 * s.ServiceSeconds());
    s.rate = 2500;
  }
  s.UseOfCores(0.1);
  s.clients = s.dice.Whole(250, 350);
  s.Add(SlowDisk{s.dice.Between(5, 10)}, {}, -12, 12);
  s.incident.meanwhile = {Cause::kSlowDisk};
  s.Felt(0);
  return s.Made();
}

Incident BadRelease(Site s) {
  BadDeploy deploy{.gap = absl::Seconds(s.dice.Whole(1, 12)), .down = absl::Seconds(s.dice.Whole(1, 4))};
  if (s.dice.Chance(0.3)) deploy.release = {.version = "simulated/1", .config_hash = "sha256:77ab"};
  switch (s.dice.Whole(0, 3)) {
    case 0:
    case 1:
      deploy.error_ratio = s.dice.Scale(0.05, 0.9);
      break;
    case 2:
      deploy.code_slowness = s.dice.Between(3, 10);
      break;
    default:
      deploy.processor_cost = s.dice.Between(0.95, 1.3) / s.CoresUsed();
  }
  FaultTarget where;
  if (s.dice.Chance(0.3)) where = s.Some(3);
  s.Add(deploy, where);
  s.Felt(absl::ToDoubleSeconds(deploy.down));
  return s.Made();
}

// A certificate has expired, a lookup service is gone, a date that nobody thought of.
Incident FailingCode(Site s) {
  const double ratio = s.dice.Scale(0.05, 1.0);
  s.Ramp(s.dice.Chance(0.5) ? 0 : s.dice.Between(4, 20), s.Anywhere(1),
         [=](double share) { return SoftwareErrors{ratio * share}; });
  return s.Made();
}

Incident LossyLinks(Site s) {
  const double loss = s.dice.Scale(0.02, 0.2);
  s.Ramp(s.dice.Chance(0.5) ? 0 : s.dice.Between(4, 20), s.Anywhere(1),
         [=](double share) { return PacketLoss{loss * share}; });
  return s.Made();
}

// A dying device, a scrub, a rebuild, burst credits that are spent.
Incident SlowDevices(Site s) {
  const double slow = s.dice.Scale(4, 25);
  const FaultTarget where = s.Anywhere(1);
  if (s.dice.Chance(0.25)) {
    const double period = s.dice.Between(8, 16);
    for (int burst = 0; burst < 10; ++burst) s.Add(SlowDisk{slow}, where, period * burst, 0.8 * period);
  } else {
    s.Ramp(s.dice.Chance(0.5) ? 0 : s.dice.Between(4, 20), where,
           [=](double share) { return SlowDisk{1 + (slow - 1) * share}; });
  }
  return s.Made();
}

// Neighbours, a costly kind of request, an agent that scans; or only more calls than the cores can answer.
Incident NotEnoughCores(Site s) {
  const double asked = s.dice.Between(1.0, 1.5) / s.CoresUsed();
  const double cores = s.ActiveCount() * 0.5 / s.dice.Between(0.35, 0.5);
  if (cores >= 1 && s.dice.Chance(0.25)) {
    s.node().cores = cores;
    s.node().processor_time = s.node().service_time / 2;
    const double more = s.dice.Between(1.1, 1.3) / s.CoresUsed();
    s.slots_share = 0.15;
    s.course = [=](double at) { return at < 0 ? 1 : more; };
    s.node().knee = 0;
  } else {
    s.Ramp(s.dice.Chance(0.5) ? 0 : s.dice.Between(4, 20), s.dice.Chance(0.6) ? FaultTarget{} : s.Some(s.nodes),
           [=](double share) { return BusyProcessor{1 + (asked - 1) * (0.5 + 0.5 * share)}; });
  }
  return s.Made();
}

// One key, one tenant, one sticky balancer: a node gets what several should.
Incident HotSpot(Site s) {
  s.nodes = s.incident.scenario.cluster.initial_count = std::max(4, s.nodes);
  const double share = std::min(0.9, s.dice.Between(3, 6) / s.nodes);
  if (s.dice.Chance(0.3)) {  // each call is a connection
    s.client().spread = Spread::kConnections;
    s.node().idle_timeout = absl::Seconds(6);
    s.clients = std::llround(s.rate * 6 * 4);
    s.node().connection_limit = std::llround(s.rate / s.nodes * 6 / 0.35);
    s.FeltWhenFull();
  } else {
    s.client().spread = Spread::kRequests;
    if (s.dice.Chance(0.5)) {
      s.UseOfCores(s.dice.Between(1.1, 1.5) / (share * s.nodes));
    } else {
      const double knee = 2 * s.ServiceSeconds() * share * s.rate / s.dice.Between(1.1, 1.5);
      if (knee >= 8) s.node().knee = std::llround(knee);
    }
  }
  s.Add(HotNode{share});
  return s.Made();
}

// A pool that forgets to give back: one job, or every instance of a service after its release.
Incident LeakingPool(Site s) {
  const double free = (1 - s.slots_share) * static_cast<double>(s.nodes * s.node().connection_limit);
  s.node().idle_timeout = s.dice.Chance(0.4) ? absl::ZeroDuration() : absl::Minutes(s.dice.Whole(5, 15));
  s.Add(ClientLeak{.connections_per_second = free / s.dice.Between(20, 120),
                   .clients = s.dice.Chance(0.5) ? 1 : s.dice.Whole(2, 10)});
  s.FeltWhenFull();
  return s.Made();
}

// The way of the reports is cut, flaps, or loses nearly all of them.
Incident LostReports(Site s) {
  const absl::Time from = s.settings().start + Whole(s.calm);
  const int way = s.dice.Whole(0, 2), cut = std::max(2, s.dice.Whole((s.nodes + 1) / 2, s.nodes));
  const int period = s.dice.Whole(12, 25), dark = period - s.dice.Whole(1, 2);
  auto dice = std::make_shared<Dice>(s.settings().seed + 77);
  auto side = std::make_shared<std::set<NodeId>>();
  s.incident.is_heard = [=](absl::Time at, const NodeId& node) {
    if (at < from) return true;
    if (way == 0) return absl::ToInt64Seconds(at - from) % period >= dark;
    if (way == 1) return dice->Chance(0.05);
    if (static_cast<int>(side->size()) < cut) side->insert(node);
    return side->count(node) == 0;
  };
  return s.Made();
}

// Machines come, by hand or back from a crash, and whoever spreads the load is not told.
Incident UnknownToTheBalancer(Site s) {
  s.nodes = s.incident.scenario.cluster.initial_count = std::clamp(s.nodes, 3, 8);
  const double boot = s.dice.Between(15, 30);
  s.Add(Imbalance{}, {}, -boot - 1);
  if (s.dice.Chance(0.5)) {
    s.Add(NodeCrash{}, {.count = s.dice.Whole(1, std::max(1, s.nodes / 3))}, -boot, boot);
  } else {
    s.incident.scenario.cluster.boot = Whole(boot);
    s.incident.launches = {Whole(s.calm - boot), s.dice.Whole(1, 4)};
  }
  if (s.dice.Chance(0.5)) s.course = [](double at) { return at < 0 ? 1 : 1.4; };
  return s.Made();
}

// Nothing that wants a name.
Incident Nothing(Site s) {
  if (s.dice.Chance(0.5)) {
    const double more = s.dice.Between(0.6, 1.5), lasts = s.dice.Between(2, 60);
    s.course = [=](double at) { return 1 + (more - 1) * std::clamp(at / lasts, 0.0, 1.0); };
  }
  return s.Made();
}

}  // namespace

Incident MakePostmortem(Cause cause, uint64_t seed) {
  const Site site(cause, seed);
  switch (cause) {
    case Cause::kNone:
      return Nothing(site);
    case Cause::kSurge:
      return MoreCallers(site);
    case Cause::kRetryStorm:
      return Dice(seed).Chance(0.5) ? ShortTimeouts(site) : StormThatStays(site);
    case Cause::kBadDeploy:
      return BadRelease(site);
    case Cause::kSoftware:
      return FailingCode(site);
    case Cause::kNetwork:
      return LossyLinks(site);
    case Cause::kSlowDisk:
      return SlowDevices(site);
    case Cause::kCpu:
      return NotEnoughCores(site);
    case Cause::kHotNode:
      return HotSpot(site);
    case Cause::kClientLeak:
      return LeakingPool(site);
    case Cause::kReportLoss:
      return LostReports(site);
    case Cause::kImbalance:
      return UnknownToTheBalancer(site);
    default:
      break;
  }
  HR_CHECK(false);
  return {};
}

}  // namespace headroom::sim
