#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "absl/time/time.h"

#include "tests/controller/sim/dice.h"
#include "tests/controller/sim/incidents.h"

namespace headroom::sim {

inline constexpr absl::Duration kSiteForEver = absl::Hours(1000);
inline constexpr double kStepSeconds = 2;       // of the traffic's course
inline constexpr double kTrafficSeconds = 320;  // of it; then it stays

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
      if (at + kStepSeconds >= kTrafficSeconds) phase.duration = kSiteForEver;
      settings().phases.push_back(phase);
    }
  }

  std::pair<double, double> bump_{1e9, 0};  // from when, how much more
  double bump_end_ = 1e9;
};

}  // namespace headroom::sim
