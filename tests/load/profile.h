#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "tests/load/endpoint.h"

namespace headroom::load {

// The two bounds of a run. A profile beyond them is refused, it is not cut.
inline constexpr absl::Duration kLongestRun = absl::Minutes(15);
inline constexpr double kMostRequests = 10e6;

// Phase: a span with one arrival rate and one number of clients.
struct Phase {
  std::string name;
  absl::Duration duration;
  double rate = 0;   // new requests per second, Poisson; 0 is a pause
  int clients = 0;   // each arrival belongs to one of them, chosen uniformly
  int pool_max = 2;  // connections that one client may hold to one target
};

// Object: what a GET asks for. With `bytes` the body must have this very size.
struct Object {
  std::string path;
  std::optional<int64_t> bytes;
};

// Puts: the share of requests that upload instead, each to `path_prefix` + the number of the object drawn.
struct Puts {
  double fraction = 0;
  int64_t bytes = 4096;
  std::string path_prefix = "/headroom-load-";
};

// RetryBudget: a token bucket that all clients share: each success adds, each retry takes one.
struct RetryBudget {
  double per_success = 0.1;
  double capacity = 100;
};

// What clients do that are no longer among the phase's: they send nothing new; their idle connections stay until one of
// the two sides finds them idle for too long, or are closed at once.
enum class Leavers { kIdle, kClose };

// Profile: one run, validated. The same profile and seed give the same arrivals, byte for byte.
//
// One request, its attempts and their bounds: an attempt takes an idle connection of its client's pool (the one used
// last), else opens one while the pool has room, else waits for `pool_wait`. Opening takes at most `connect_timeout`;
// the request, from its first byte sent to the last byte received, `request_timeout`. A failed attempt is followed by
// up to `retries` more, after U(0,1) * backoff * 2^(retry - 1).
struct Profile {
  std::string name = "unnamed";
  std::vector<Endpoint> targets;  // an attempt draws one uniformly; empty: to be given by flag
  std::vector<uint32_t> sources;  // loopback addresses that clients connect from, host byte order
  std::vector<Object> objects;
  double zipf_exponent = 0;  // popularity of objects: 0 is uniform
  Puts puts;
  std::vector<Phase> phases;
  absl::Duration request_timeout = absl::Seconds(1);
  absl::Duration connect_timeout = absl::Seconds(3);
  absl::Duration pool_wait = absl::Seconds(1);
  absl::Duration idle_timeout = absl::Seconds(60);
  absl::Duration backoff = absl::Milliseconds(100);
  int retries = 3;
  std::optional<RetryBudget> retry_budget;
  Leavers leavers = Leavers::kIdle;
  absl::Duration objective_p99 = absl::Milliseconds(500);
  uint64_t seed = 1;

  absl::Duration Length() const;
  double ExpectedRequests() const;
  int MostClients() const;
  // File descriptors that the run can need at once towards `targets` targets.
  int64_t FilesNeeded(size_t target_count) const;
};

// Reads YAML (see profiles/campaign.yaml). InvalidArgument carries all faults, one to a line, as
// "FILE:LINE: phases[1].rate: ...". Unknown fields are faults.
absl::StatusOr<Profile> ParseProfile(absl::string_view yaml, absl::string_view file_name);
absl::StatusOr<Profile> LoadProfile(const std::string& path);

// The bounds that flags (a scaled rate) can break after parsing; ParseProfile has checked them too.
absl::Status CheckBounds(const Profile& profile);

}  // namespace headroom::load
