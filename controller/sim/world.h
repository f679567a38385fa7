#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "controller/base/latency_histogram.h"
#include "controller/core/event.h"
#include "controller/core/report.h"

namespace headroom::sim {

// A storage node. Service of a request that starts as the k-th active one takes, in the mean,
// service_time x (1 + linear x (k-1) + (1-linear)/knee^2 x k (k-1)): past the knee, more in service is less done.
struct NodeSettings {
  int64_t connection_limit = 200;  // 0: none
  int backlog = 128;               // as listen(2): one more than it waits; -1: nobody waits
  absl::Duration idle_timeout = absl::Seconds(30);
  absl::Duration service_time = absl::Milliseconds(20);  // mean of an exponential, on an idle node
  double linear = 0;
  int64_t knee = 300;  // 0: none, the node never gets slower
  int64_t fd_count_max = 65'536;
  int64_t object_bytes = 16 << 10;
};

// How requests find a node. Either way only nodes that serve and do not drain are chosen.
enum class Spread : uint8_t {
  kConnections,  // a balancer below HTTP: each new connection goes to the node with the fewest, requests follow it
  kRequests,     // clients choose a node at random for each request and keep connections to all of them
};

// The programs that call. A connection is kept after a request; a request uses an idle one of its client, or opens one,
// or waits for one where the client has as many as it may: that long at most, too. SYNs that find the accept queue full
// are sent again after 1, 2, 3, 4 s, then doubling.
struct ClientSettings {
  Spread spread = Spread::kConnections;
  int connections_max = 2;                            // of one client; 0: any number
  absl::Duration connect_timeout = absl::Seconds(3);  // until the handshake
  absl::Duration request_timeout = absl::Seconds(1);  // from then on; an abandoned request keeps its slot until done
  int retries_max = 3;
  absl::Duration backoff = absl::Milliseconds(100);  // doubles with each retry, times a uniform number below 1
};

// A stretch of traffic: Poisson requests, each of a client drawn from `clients`.
struct Phase {
  absl::Duration duration;
  double requests_per_second = 0;
  int64_t clients = 1;
};

struct ClusterSettings {
  NodeSettings node;
  ClientSettings client;
  std::vector<Phase> phases;  // repeated for ever; none: no traffic
  uint64_t seed = 1;
  absl::Time start = absl::UnixEpoch();
};

// What clients saw in some stretch of time. A request counts where it ended.
struct ClientStatistics {
  int64_t offered = 0, completed = 0, failed = 0, attempts = 0, syn_drops = 0;
  absl::Duration latency_sum;  // of completed requests, retries and waiting included
  LatencyHistogram latency;

  ClientStatistics& operator+=(const ClientStatistics& other);
  double failed_ratio() const {
    const int64_t ended = completed + failed;
    return ended == 0 ? 0 : static_cast<double>(failed) / static_cast<double>(ended);
  }
};

// Something that a node's reporter would say at once.
struct NodeChange {
  enum class What : uint8_t { kServing, kStopped, kTurned };
  NodeId node;
  What what = What::kTurned;
  Urgency urgency = Urgency::kNone;  // of kTurned
};

struct LaunchSettings {
  ActionId launch_id;
  std::string zone;
  absl::Duration boot;
};

// World: a model of a cluster, whatever its grain: request level (ClusterModel) or interval level (IntervalModel).
// Nodes that serve, clients that call, virtual time; no rule about scaling. What a controller may see of it is what
// nodes report; what clients got is for whoever judges. A fault that only one model knows is that model's own method.
// Not thread-safe.
class World {
 public:
  World() = default;
  virtual ~World() = default;
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  virtual absl::Time now() const = 0;
  // Goes to `until`, or stops earlier, right after something that a reporter would say at once. Returns now().
  virtual absl::Time AdvanceTo(absl::Time until) = 0;
  // What happened so since the last call, in order.
  virtual std::vector<NodeChange> TakeChanges() = 0;

  // Nodes. NOT_FOUND: no such node (any more).
  virtual NodeId Launch(const LaunchSettings& settings) = 0;
  virtual absl::Status Terminate(absl::string_view node) = 0;  // connections are reset
  virtual absl::Status Restart(absl::string_view node, absl::Duration down) = 0;
  virtual absl::Status SetLimits(absl::string_view node, const LimitsInForce& limits) = 0;
  virtual absl::Status Shed(absl::string_view node, const ShedConnections& order) = 0;
  virtual absl::Status Drain(absl::string_view node) = 0;  // no new requests; connections close as they become idle
  virtual absl::Status Undrain(absl::string_view node) = 0;
  virtual absl::Status SetSlowness(absl::string_view node, double factor) = 0;  // service takes so many times as long

  virtual std::vector<Machine> Machines() const = 0;
  virtual bool Exists(absl::string_view node) const = 0;
  virtual bool IsServing(absl::string_view node) const = 0;  // or draining: it reports
  // Of nodes that report (else a bug). Taking a report ends what was urgent.
  virtual const LimitsInForce& Limits(absl::string_view node) const = 0;
  virtual NodeHello Hello(absl::string_view node) const = 0;
  virtual NodeReport Report(absl::string_view node) = 0;

  // Clients. Statistics are kept for kSecondsMax seconds, whole seconds from `from` to before `to`.
  static constexpr int64_t kSecondsMax = 7200;
  virtual ClientStatistics Statistics(absl::Time from, absl::Time to) const = 0;
  virtual const ClientStatistics& total() const = 0;
};

}  // namespace headroom::sim
