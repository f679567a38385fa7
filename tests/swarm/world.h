#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

#include "controller/core/action.h"
#include "controller/core/event.h"
#include "controller/sim/random.h"

namespace headroom::swarm {

// Where connections meet their nodes.
enum class Balancing : uint8_t {
  kNone,         // clients find the nodes by themselves
  kConnections,  // balancers below HTTP: slots are at the nodes
  kRequests,     // balancers that reuse connections: slots and queues are theirs
};

// One machine as it really is.
struct Server {
  enum class Life : uint8_t { kBooting, kUp, kDown, kDead };  // down: its process comes back; dead: nobody brings it
  NodeId id;
  std::string zone;
  ActionId launch_id;
  Life life = Life::kBooting;
  absl::Time life_until;  // of kBooting and kDown
  int boot = 0;
  bool draining = false, drain_sticks = false;  // one client never goes
  double open = 0, queue = 0, active = 0;
  int64_t open_count = 0;  // in whole connections: all servers together have as many as there are
  double error_ratio = 0;
  LimitsInForce limits;
  absl::Time lease_until = absl::InfiniteFuture();
  int64_t term_seen = 0;
  uint64_t sequence = 0;
  NodeCounters counters;
  absl::Time booted_at;
  bool connected = false;
  absl::Time connect_at = absl::InfinitePast();  // not before
  absl::Time report_at;

  bool IsUp() const { return life == Life::kUp; }
  bool Serves() const { return IsUp() && !draining; }
};

// One balancer as it really is. Its servers are what it was last told.
struct BalancerProcess {
  struct Entry {
    bool draining = false;
    int64_t session_count_max = 0;
    double sessions = 0, queue = 0;
    int64_t session_count = 0;  // whole, as above
  };
  std::string id;
  int boot = 1;
  std::map<NodeId, Entry> servers;
  uint64_t sequence = 0;
  bool connected = false;
  absl::Time connect_at = absl::InfinitePast();
};

struct WorldSettings {
  int initial_count = 3;
  std::vector<std::string> zones;  // of the first machines, in turn
  int64_t connection_limit = 200;
  absl::Duration idle_timeout = absl::Seconds(30);
  absl::Duration boot = absl::Seconds(20);
  double bytes_per_connection = 1000;  // a second
  Balancing balancing = Balancing::kNone;
  int balancers = 0;
  absl::Duration report_interval = absl::Seconds(1);
  absl::Time start;
  uint64_t seed = 1;
};

// World: a cluster small enough to run thousands of hostile hours: connections are numbers that flow to the nodes that
// serve, in steps of kStep. Nodes boot, drain, restart, die and are partitioned; streams break and come back; grants
// are leased and fenced by term; a balancer routes to whom it was told of and knows to be up. All chance from one seed.
class World {
 public:
  static constexpr absl::Duration kStep = absl::Milliseconds(500);
  explicit World(WorldSettings settings);

  static std::string BootId(const Server& server);
  // One step. What reporters say at its end goes to TakeEvents().
  void Step();
  absl::Time now() const { return now_; }
  std::vector<Event> TakeEvents() { return std::exchange(events_, {}); }

  // Connections that clients want open, of all nodes together.
  void SetDemand(double connections) { demand_ = connections; }
  double demand() const { return demand_; }

  // The provider. The same launch id again is the same machine, gone or not. A boot that fails never speaks.
  enum class Boots : uint8_t { kWell, kSlowly, kNever };
  NodeId Launch(const ActionId& launch_id, const std::string& zone, Boots boots);
  void Terminate(const NodeId& node);
  std::vector<Machine> Machines() const;

  // Orders of a controller. UNAVAILABLE: no stream. FAILED_PRECONDITION: an older term.
  absl::Status Send(const Action& action);

  // What the world does by itself.
  void Restart(const NodeId& node, absl::Duration down);
  void Kill(const NodeId& node);                         // nobody brings it back but Heal()
  void Partition(const NodeId& node, absl::Time until);  // it serves, and is not heard
  void DrainByHand(const NodeId& node, bool drain);
  void SetLimitByHand(const NodeId& node, int64_t limit);
  void SetErrors(const NodeId& node, double ratio);
  void RestartBalancer(size_t index);
  void CloseStreams();  // the controller is gone
  void OpenStreams();   // ... and back: they come within seconds
  void Heal();          // all that is broken is well again; what others have set is the controller's to set right
  void LeaveLimits();   // nobody steers limits any more: nodes go back to their own

  const std::map<NodeId, Server>& servers() const { return servers_; }
  const std::vector<BalancerProcess>& balancers() const { return balancers_; }
  const WorldSettings& settings() const { return settings_; }

 private:
  Server& At(const NodeId& node) { return servers_.at(node); }
  int64_t SessionsFirst() const;
  void Live(Server& server);
  void Flow();
  void CountWhole();
  void FlowAtNode(Server& server, double share);
  void FlowAtBalancer(BalancerProcess& balancer, double demand);
  void Count(Server& server) const;
  void Talk(Server& server);
  void Say(Server& server, Urgency urgency);
  void Say(BalancerProcess& balancer);
  void Leave(Server& server, NodeLeft::How how);
  std::vector<NodeId> RoutedBy(const BalancerProcess& balancer) const;
  std::vector<NodeId> Routed() const;

  const WorldSettings settings_;
  sim::Random random_;
  absl::Time now_;
  double demand_ = 0;
  bool listens_ = false;  // a controller
  int made_ = 0;
  std::map<NodeId, Server> servers_;
  std::map<ActionId, NodeId> launches_;
  std::vector<BalancerProcess> balancers_;
  std::vector<Event> events_;
};

}  // namespace headroom::swarm
