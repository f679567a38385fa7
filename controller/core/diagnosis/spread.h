#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "absl/time/time.h"

#include "controller/core/fleet/fleet.h"

namespace headroom {

// The nodes beside each other. Medians are of the lower middle, so that one of two can stand out; a healthy node is one
// of the lowest quarter, so that one can be found beside many sick ones.
struct SpreadEvidence {
  int nodes = 0;
  NodeId busiest;
  double demand = 0, median_demand = 0;
  double rejected = 0;                            // at the busiest
  double rejected_share = 0;                      // of all rejections
  bool is_full = false;                           // the busiest is at its limit, or would be had nobody raised it
  double busy_share = 0;                          // nodes that carry at least 2/3 of what the busiest does
  double median_taken = 0;                        // demand over limit
  std::optional<double> busiest_p50, median_p50;  // seconds
  // The node that answers most.
  NodeId hardest;
  double work = 0, median_work = 0;   // answers a second
  std::optional<double> hardest_p50;  // seconds
  double hard_share = 0;              // nodes that answer at least 2/3 of what the hardest does
  // The node with the slowest device.
  NodeId slowest_device_node;
  std::optional<double> slowest_device, median_device;  // seconds
  double healthy_device = 0, healthy_p50 = 0;           // of the best quarter
  std::optional<double> slowest_device_p50;             // what its clients see
  std::optional<double> slowest_device_io_full;
  // The node to which most segments are sent again, where there are enough of them to tell.
  std::optional<double> lossiest, healthy_loss;  // share of the segments
  // The node that uses its cores most.
  std::optional<double> most_cores, most_cores_p50;  // share; seconds
  double most_cost = 0, healthy_cost = 0;            // core seconds an answer; 0: unknown
  double median_cost = 0;
  // The node that fails most, while slots are free.
  double most_errors = 0;                              // a second
  double most_error_ratio = 0, other_error_ratio = 0;  // of the answers, there and of all others
  // Nodes that have served for a while, not long, and get nothing to do.
  int idle_nodes = 0;
  NodeId idle_node;         // the first of them
  double idle_seconds = 0;  // for so long it has served
  double busy_work = 0;     // answers a second of each of the others
};

// Makes it, node by node. Nodes that were added must outlive it.
class SpreadView {
 public:
  // A node that came within `newcomers` and gets nothing is one that nobody was told of; an older one may be a spare.
  SpreadView(absl::Time now, absl::Duration newcomers) : now_(now), newcomers_(newcomers) {}
  void Add(const Node& node);
  SpreadEvidence Evidence() &&;

 private:
  void AddCores(const Node& node);
  bool IsUnfound(const Node& node) const;
  void TellWork(SpreadEvidence& spread);
  void TellDevices(SpreadEvidence& spread);
  void TellErrors(SpreadEvidence& spread) const;
  void TellIdle(SpreadEvidence& spread) const;
  bool ClientsAskAll() const;

  const absl::Time now_;
  const absl::Duration newcomers_;
  std::vector<double> demands_, takens_, p50s_, devices_, works_, losses_, costs_;
  size_t told_ = 0;
  double rejected_ = 0, knocked_ = 0, work_ = 0, errors_ = 0, most_cores_ = 0, most_cost_ = 0;
  const Node* busiest_ = nullptr;
  const Node* slowest_ = nullptr;
  const Node* hardest_ = nullptr;
  const Node* most_busy_ = nullptr;  // its cores
  const Node* failing_ = nullptr;    // most
  std::vector<const Node*> idle_;
  std::vector<const Node*> busy_;  // the first few that are not
};

// Connections that a node turned away, a second.
double Rejections(const Node& node);

}  // namespace headroom
