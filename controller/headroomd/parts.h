#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"

#include "controller/headroomd/flags.h"
#include "controller/server/cluster.h"
#include "controller/server/election/elector.h"
#include "controller/server/election/open_election.h"

namespace headroom {

// The election, where there is one, and since when this process leads.
struct Leadership {
  std::unique_ptr<Election> election;
  std::unique_ptr<Elector> elector;
  absl::Duration since;

  bool StillLeads() const { return elector->Recheck(absl::Seconds(5)); }
};

// A policy that was good, with its text.
struct GoodPolicy {
  Config config;
  std::string yaml;
};

// What a cluster needs: its journal in `state_dir`, its provider, and between it and the world what leadership asks
// for. `leadership` outlives the cluster.
absl::StatusOr<Cluster::Parts> OpenParts(const Flags& flags, const Leadership& leadership, const std::string& state_dir,
                                         GoodPolicy policy);

}  // namespace headroom
