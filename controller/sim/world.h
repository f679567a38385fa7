#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "controller/base/latency_histogram.h"
#include "controller/core/event.h"
#include "controller/core/report.h"

namespace headroom::sim {

// What connections and requests cost, and what happens at the end of it: garbage collection slows a node down as its
// memory fills, past the limit it swaps, 10 % past it the kernel kills the server, which starts again.
struct MemorySettings {
  int64_t bytes_max = 0;  // 0: memory is no matter
  int64_t base_bytes = 256 << 20;
  int64_t bytes_per_connection = 64 << 10;
  int64_t bytes_per_request = 4 << 20;  // in service
};

// Liveness probes from outside, as an orchestrator sends them.
struct ProbeSettings {
  enum class Way : uint8_t {
    kNone,      // nobody probes
    kReserved,  // a port and slots of their own: a full node is alive
    kShared,    // through the accept queue and the slots of the clients
  };
  Way way = Way::kNone;
  absl::Duration interval = absl::Seconds(5), timeout = absl::Seconds(1);
  int failures_max = 3;                     // so many in a row: the node is killed ...
  absl::Duration down = absl::Seconds(30);  // ... and serves again after so long
};

// What nodes bear of the data, where they are no gateways. A request goes to a node by the share of its data that the
// node has: one that has just come gets few, until it has received the rest. Those of the start have theirs.
struct DataSettings {
  int64_t bytes_per_node = 0;  // 0: any node serves everything
  int64_t capacity_bytes = int64_t{1} << 40;
  int64_t received_per_second = 0;  // by a node that lacks some
};

// A storage node. Service of a request that starts as the k-th active one takes, in the mean,
// service_time x (1 + linear x (k-1) + (1-linear)/knee^2 x k (k-1)): past the knee, more in service is less done.
// On top, requests wait for the cores where there are too few.
struct NodeSettings {
  int64_t connection_limit = 200;  // 0: none
  int backlog = 128;               // as listen(2): one more than it waits; -1: nobody waits
  absl::Duration idle_timeout = absl::Seconds(30);
  absl::Duration service_time = absl::Milliseconds(20);  // mean of an exponential, on an idle node
  double linear = 0;
  int64_t knee = 300;  // 0: none, the node never gets slower
  double cores = 2;
  absl::Duration processor_time = absl::Microseconds(150);  // of one request, part of service_time
  int64_t fd_count_max = 65'536;
  int64_t object_bytes = 16 << 10;
  absl::Duration restart = absl::Seconds(5);  // of the server, after a kill
  MemorySettings memory;
  ProbeSettings probes;
  DataSettings data;  // only where requests are spread
};

// What is wrong with one node, or with the way to it. As made: nothing.
struct NodeCondition {
  double device_slowness = 1;  // the device takes so many times as long
  double code_slowness = 1;    // the server takes so many times as long, waiting for itself: no device, no core
  double processor_cost = 1;   // a request costs so many times the processor time
  double error_ratio = 0;      // of the requests that are answered with a server error
  double loss_ratio = 0;       // of the segments between clients and the node, each way
  double attraction = 0;       // of all choices of a node (see Spread) that fall on this one before any other
  bool shunned = false;        // whoever chooses does not know it; it keeps the connections that it has
  bool operator==(const NodeCondition&) const = default;
};

// What is wrong with the clients. Absent: as in ClientSettings.
struct ClientCondition {
  std::optional<absl::Duration> request_timeout, backoff;
  std::optional<int> retries_max;
  // Connections that clients open, never use and never close, on top of their own.
  double leaked_per_second = 0;
  int64_t leaking_clients = 1;
  bool operator==(const ClientCondition&) const = default;
};

// What a node's server is.
struct Release {
  std::string version = "simulated/1";
  std::string config_hash;
};

// How a node goes down, to come back.
enum class Outage : uint8_t {
  kRestart,    // in good order, it says so; connections are reset
  kCrash,      // the server dies; its stream breaks, connections are reset
  kPowerLoss,  // nothing is said, nothing answers; clients keep choosing it for ClientSettings::detection
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
  // Tokens that a success earns, a retry costs one; without one a failed attempt is a failed request. All clients draw
  // on one account of at most kRetryTokensMax, a tenth of it at the start. 0: no budget.
  double retry_budget_ratio = 0;
  static constexpr double kRetryTokensMax = 100;
  bool tells_attempts = false;                  // requests say which attempt they are, so that nodes count retries
  absl::Duration detection = absl::Seconds(6);  // until a node that does not answer is chosen no more
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
  enum class What : uint8_t { kServing, kStopped, kCrashed, kTurned, kSilent };  // kSilent: only the model knows
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
  virtual absl::Status SetSlowness(absl::string_view node,
                                   double factor) = 0;  // the device takes so many times as long
  // What is wrong from now on (faults.h does it by a schedule). UNIMPLEMENTED: this model has no such thing; as given
  // here: any but slow devices and restarts in good order.
  virtual absl::Status SetCondition(absl::string_view node, const NodeCondition& condition);
  virtual absl::Status SetCondition(const ClientCondition& condition);
  virtual absl::Status TakeDown(absl::string_view node, Outage how, absl::Duration down);
  virtual absl::Status SetRelease(absl::string_view node, const Release& release);  // told in the next hello

  virtual std::vector<Machine> Machines() const = 0;
  virtual bool Exists(absl::string_view node) const = 0;
  virtual bool IsServing(absl::string_view node) const = 0;  // or draining: it reports
  // Of nodes that report (else a bug). Taking a report ends what was urgent.
  virtual const LimitsInForce& Limits(absl::string_view node) const = 0;
  virtual NodeHello Hello(absl::string_view node) const = 0;
  virtual void FillReport(absl::string_view node, NodeReport& fresh) = 0;
  NodeReport Report(absl::string_view node) {
    NodeReport report;
    FillReport(node, report);
    return report;
  }
  virtual int64_t OpenCount(absl::string_view node) const = 0;  // connections

  // Clients. Statistics are kept for kSecondsMax seconds, whole seconds from `from` to before `to`.
  static constexpr int64_t kSecondsMax = 7200;
  virtual ClientStatistics Statistics(absl::Time from, absl::Time to) const = 0;
  virtual const ClientStatistics& total() const = 0;
};

}  // namespace headroom::sim
