#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "absl/time/time.h"

#include "controller/core/diagnosis/diagnosis.h"
#include "controller/core/fleet/fleet.h"
#include "controller/core/policy.h"

namespace headroom {

// What one node goes through in one second, before noise. The rest follows: connections beyond the limit wait and are
// rejected, work in service is rate times latency, and what is in service needs a connection.
struct NodeWeather {
  double requests = 150;     // first attempts a second
  double retries = 0.01;     // further attempts for each
  double connections = 115;  // that clients want to hold
  double arrivals = 4;       // new connections a second
  double service_ms = 20;    // median latency
  double device_ms = 12;     // of it at the device
  double error_ratio = 0.0002;
  double retransmit_ratio = 0.0002;
  double cpu_ms = 0.6;  // of CPU for each request
  double cpu_some = 0.01;
  double io_full = 0.01;
  double clients = 80;
  double largest_client = 3;   // its connections
  double old_idle = 0.05;      // share of connections that have been idle for over a minute
  double failed_connects = 0;  // that balancers see, a second
  // Connections of established clients, which hold on to them and do the everyday requests; beyond the limit only
  // newcomers are shut out. 0: whoever comes is shut out, old or new.
  double established = 0;
  bool reports = true;
  bool serves = true;  // false: it is restarting
};

// More of the same traffic, from more clients.
void Scale(NodeWeather& weather, double factor);

// A diagnosis with all its sentences, for messages.
std::string Explain(const Diagnosis& diagnosis);

// What can be seen of the cluster.
struct ClusterSetup {
  int nodes = 4;
  int64_t limit = 200, backlog = 128;
  double cores = 2;
  bool keeps_clients = false;  // each client keeps to one node; else all nodes have the same
  bool tells_clients = true;   // false: behind a TCP balancer, all clients have its address
  bool tells_retries = false;
  bool tells_device = true;
  bool tells_kernel = true;  // retransmits and overflows
  bool has_balancer = false;
  bool balancer_sees_up = true;
  absl::Duration idle_timeout = absl::Minutes(5);
  absl::Duration version_age = absl::Hours(48);  // at the beginning
};

// GeneratedCluster: plays a cluster's reports into a fleet, second by second, and diagnoses twice a second. The same
// seed gives the same reports. For tests.
class GeneratedCluster {
 public:
  GeneratedCluster(ClusterSetup setup, uint64_t seed);

  // What happens to node `index` in this second.
  using Incident = std::function<void(int index, NodeWeather& weather)>;
  // One second passes. Returns the diagnoses made in it.
  std::vector<Diagnosis> Second(const Incident& incident);
  // A node restarts with another version or configuration.
  void Change(int index, const std::string& version, const std::string& config);
  void AddNode() { nodes_.push_back({}); }

  absl::Time now() const { return now_; }
  Policy& policy() { return policy_; }
  DiagnosisMemory& memory() { return memory_; }
  const Fleet& fleet() const { return fleet_; }

 private:
  struct NodeModel {
    int boot = 0;  // 0: not joined yet
    uint64_t sequence = 0;
    NodeCounters counters;
    std::string version = "server/1.4.2", config = "cfg-1";
    absl::Time changed_at;
    bool served = true;
  };

  double Noisy(double value, double share);
  int64_t Count(double rate);
  void Join(int index);
  void Report(int index, const NodeWeather& weather);
  void ReportBalancer();
  Diagnosis DiagnoseAt(absl::Time at);

  ClusterSetup setup_;
  std::mt19937_64 random_;
  absl::Time now_ = absl::FromUnixSeconds(1'800'000'000);
  Policy policy_;
  Fleet fleet_;
  DiagnosisMemory memory_;
  std::vector<NodeModel> nodes_;
  int64_t failed_connects_ = 0;
  uint64_t balancer_sequence_ = 0;
};

// Plays `seconds` and counts what was said.
using Week = std::function<void(int seconds, int index, NodeWeather&)>;
std::map<Cause, int> PlayFor(GeneratedCluster& cluster, int seconds, const Week& week);
inline void Everyday(int, int, NodeWeather&) {}

}  // namespace headroom
