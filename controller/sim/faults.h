#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "controller/sim/world.h"

namespace headroom::sim {

// What can go wrong with the world. Each holds for the fault's duration on the nodes it is aimed at; what two faults do
// to one node adds up. Ratios are 0..1, slowness and cost are factors.
struct SlowDisk {
  double slowness = 10;
};
struct BusyProcessor {  // a request costs so many times the processor time
  double cost = 100;
};
struct SoftwareErrors {  // while slots are free
  double error_ratio = 0.2;
};
struct PacketLoss {
  double loss_ratio = 0.05;
};
struct HotNode {  // so large a share of all choices of a node falls on the first of those it is aimed at
  double share = 0.6;
};
// Whoever chooses does not come to know nodes that begin to serve while it lasts: old ones keep all traffic.
struct Imbalance {};
struct NodeCrash {};  // the server dies, and is back at the end
struct PowerLoss {};  // nothing is said, nothing answers, until the end; nodes that are launched there, too. Zone loss
struct RollingRestart {
  absl::Duration gap = absl::Seconds(10), down = absl::Seconds(3);  // from node to node; of each
};
// A rolling restart into another version or configuration, which is worse by what is given; rolled back at the end.
// Aimed at all nodes, those that come meanwhile have it too.
struct BadDeploy {
  Release release = {.version = "simulated/2"};
  double error_ratio = 0, code_slowness = 1, processor_cost = 1;
  absl::Duration gap = absl::Seconds(5), down = absl::Seconds(2);
};
struct ForeignWriter {  // somebody else sets the connection limit, and sets it again
  int64_t limit_count = 50;
  absl::Duration each = absl::Seconds(10);
};
// Of the clients; aimed at no node.
struct ClientLeak {  // connections that are opened, never used and never closed
  double connections_per_second = 10;
  int64_t clients = 1;
};
struct RetryStorm {  // clients give up early and try again often
  absl::Duration request_timeout = absl::Milliseconds(15), backoff = absl::Milliseconds(10);
  int retries_max = 10;
};

using FaultKind = std::variant<SlowDisk, BusyProcessor, SoftwareErrors, PacketLoss, HotNode, Imbalance, NodeCrash,
                               PowerLoss, RollingRestart, BadDeploy, ClientLeak, RetryStorm, ForeignWriter>;
// "slow_disk", "busy_processor", ...
absl::string_view FaultName(const FaultKind& what);

// Which nodes: the named ones, else those of the zone, else the first `count` that serve at the onset, else all, and
// all that come while it lasts. A crash, power loss or hot node that is aimed at nothing takes the first one.
struct FaultTarget {
  std::vector<NodeId> nodes;
  std::string zone;
  int count = 0;
};

struct Fault {
  absl::Duration at;        // from the start of the world
  absl::Duration duration;  // zero: for ever
  FaultTarget where;
  FaultKind what;
};

// Faults: a schedule of what goes wrong, carried out on any world. Deterministic; chance is the world's. It owns the
// conditions of the world's nodes and clients while any fault is under way.
//
//   Faults faults({{.at = absl::Minutes(5), .duration = absl::Minutes(2), .where = {.count = 1}, .what = SlowDisk{}}},
//                 world.now());
//
// SimulatedCluster::Options::faults does all of this for a run.
class Faults {
 public:
  Faults() = default;
  Faults(std::vector<Fault> faults, absl::Time start);

  // When something is to be done next; InfiniteFuture: nothing.
  absl::Time NextAt() const;
  // Does all that is due by world.now(). UNIMPLEMENTED: the world's model knows no such thing; the rest is done.
  absl::Status Advance(World& world);
  // To be told of each node that begins to serve, before anybody hears of it.
  absl::Status NodeServes(const NodeId& node, World& world);

 private:
  enum class Stage : uint8_t { kWaiting, kUnderWay, kRollingBack, kOver };
  struct Course {
    Fault fault;
    absl::Time begin, end;
    Stage stage = Stage::kWaiting;
    std::set<NodeId> hit;
    std::vector<NodeId> pending;  // of a rolling restart, the next one last
    absl::Time step_at = absl::InfiniteFuture();
  };

  void Begin(Course& course, World& world);
  void End(Course& course, absl::Time now);
  void Step(Course& course, World& world);
  void Write(Course& course, World& world);
  void TakeDown(const Course& course, const NodeId& node, World& world);
  void Refresh(World& world);
  void Note(const absl::Status& status);
  absl::Status Told();
  bool IsAimedAt(const Course& course, const Machine& machine) const;

  std::vector<Course> courses_;
  ClientCondition client_;
  absl::Status status_;
};

}  // namespace headroom::sim
