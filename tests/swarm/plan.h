#pragma once

#include <cstdint>
#include <string>

#include "absl/time/time.h"

#include "controller/core/policy.h"
#include "controller/sim/control_faults.h"
#include "controller/sim/random.h"
#include "tests/swarm/world.h"

namespace headroom::swarm {

// What may happen in one run. Each run has only some of it: a fault that happens all the time hides the others.
struct Hazards {
  bool reports = false, streams = false, orders = false, provider = false;  // control plane
  bool crashes = false, disk = false, clock = false;                        // the controller
  bool foreigners = false, operators = false, policies = false;             // people and other programs
  bool restarts = false, deaths = false, partitions = false, errors = false, balancers = false;  // the cluster
};

// One run, drawn from one seed.
struct Plan {
  uint64_t seed = 0;
  Policy policy;
  WorldSettings world;
  Hazards hazards;
  bool reports_are_journalled = true;
  double demand_high = 0;  // connections; it wanders below
  double demand_calm = 0;  // and stays here when the faults stop
  absl::Duration hostile = absl::Minutes(8);

  // Within so long after the faults stop, the cluster must be as it should be: the launch timeout once, 15
  // stabilization windows (nodes leave when they have idled for long), and 12 minutes for what a provider said.
  absl::Duration ConvergesWithin() const;
};

Plan DrawPlan(uint64_t seed);
// Another policy for the same cluster.
Policy Redraw(Policy policy, sim::Random& random);
// How hostile the control plane is for the next while.
sim::ControlFaultSettings DrawFaults(const Hazards& hazards, sim::Random& random);
// One line.
std::string Describe(const Plan& plan);

// Nodes that so many connections need by the signals of the policy, unrounded.
double NodesNeeded(const Policy& policy, const WorldSettings& world, double connections);

// Shorthands over one generator.
inline bool Chance(sim::Random& random, double ratio) {
  return sim::Uniform(random) < ratio;
}
inline double Between(sim::Random& random, double low, double high) {
  return low + (high - low) * sim::Uniform(random);
}
inline int Between(sim::Random& random, int low, int high) {
  return low + static_cast<int>(sim::Index(random, static_cast<uint32_t>(high - low + 1)));
}

}  // namespace headroom::swarm
