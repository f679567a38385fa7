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
#include "tests/controller/sim/site.h"

namespace headroom::sim {
namespace {

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
