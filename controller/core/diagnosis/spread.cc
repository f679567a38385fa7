#include "controller/core/diagnosis/spread.h"

#include <algorithm>
#include <cstddef>
#include <map>

#include "absl/strings/string_view.h"

namespace headroom {
namespace {

constexpr double kLowerMiddle = 0.5, kHealthy = 0.25;
// Of fewer segments a second that were sent again it is chance which node has most.
constexpr double kRetransmitsMin = 4;
// A node that serves for less may not have been found yet.
constexpr absl::Duration kFound = absl::Seconds(10);
constexpr double kIdleAnswers = 0.2;
constexpr int64_t kIdleDemand = 3;
constexpr size_t kBusyMax = 6;

// The value below which so much of them lies; zero when empty.
double Lower(std::vector<double>& values, double share) {
  if (values.empty()) return 0;
  const auto rank = static_cast<std::ptrdiff_t>(static_cast<double>(values.size() - 1) * share);
  std::nth_element(values.begin(), values.begin() + rank, values.end());
  return values[static_cast<size_t>(rank)];
}

std::optional<double> Seconds(absl::Duration latency) {
  if (latency <= absl::ZeroDuration()) return std::nullopt;
  return absl::ToDoubleSeconds(latency);
}

double ShareOfThoseNear(const std::vector<double>& values, double most) {
  const auto near = std::count_if(values.begin(), values.end(), [&](double value) { return 1.5 * value >= most; });
  return values.empty() ? 0 : static_cast<double>(near) / static_cast<double>(values.size());
}

}  // namespace

double Rejections(const Node& node) {
  return std::max(node.rates.rejected, std::max(node.rates.overflows.value_or(0), node.rates.drops));
}

void SpreadView::Add(const Node& node) {
  const auto demand = static_cast<double>(node.DemandCount());
  // Beside new nodes that nobody has found yet every other one would look hot, and no surge broad.
  const bool unfound = IsUnfound(node);
  if (!unfound) demands_.push_back(demand);
  if (node.LimitCount() > 0 && !unfound) takens_.push_back(demand / static_cast<double>(node.OwnLimitCount()));
  if (node.latency_p50 > absl::ZeroDuration()) p50s_.push_back(absl::ToDoubleSeconds(node.latency_p50));
  if (busiest_ == nullptr || demand > static_cast<double>(busiest_->DemandCount())) busiest_ = &node;
  rejected_ += Rejections(node);
  const NodeRates& rates = node.rates;
  if (rates.seconds <= 0) return;
  ++told_;
  work_ += rates.completed;
  knocked_ += rates.accepted + Rejections(node);
  errors_ += rates.errors_slots_free;
  const bool settled = now_ - node.state_since >= kFound;  // who starts or stops fails a little
  if (settled && (failing_ == nullptr || rates.errors_slots_free > failing_->rates.errors_slots_free)) failing_ = &node;
  // Nodes that were launched lately are still filling; beside them every other one would look hot.
  const bool fills = unfound || (node.launched_at != absl::InfinitePast() && now_ - node.state_since <= newcomers_);
  if (!fills) works_.push_back(rates.completed);
  if (!fills && (hardest_ == nullptr || rates.completed > hardest_->rates.completed)) hardest_ = &node;
  if (unfound && now_ - node.state_since >= kFound) idle_.push_back(&node);
  if (!unfound && busy_.size() < kBusyMax) busy_.push_back(&node);
  AddCores(node);
  if (rates.segments_out.value_or(0) > 0 && rates.retransmits.has_value())
    losses_.push_back(*rates.retransmits < kRetransmitsMin ? 0 : *rates.retransmits / *rates.segments_out);
  if (!rates.device_latency.has_value()) return;
  devices_.push_back(absl::ToDoubleSeconds(*rates.device_latency));
  if (slowest_ == nullptr || *rates.device_latency > *slowest_->rates.device_latency) slowest_ = &node;
}

void SpreadView::AddCores(const Node& node) {
  if (node.report.cpu_count <= 0 || node.rates.completed < 1) return;
  const double cores = node.rates.cpu_cores / node.report.cpu_count;
  const double cost = node.rates.cpu_cores / node.rates.completed;
  costs_.push_back(cost);
  if (most_busy_ != nullptr && cores <= most_cores_) return;
  most_busy_ = &node;
  most_cores_ = cores;
  most_cost_ = cost;
}

bool SpreadView::IsUnfound(const Node& node) const {
  const bool is_new = node.state == NodeState::kServing && now_ - node.state_since <= newcomers_;
  return is_new && std::max(node.rates.completed, node.goodput.per_second) <= kIdleAnswers &&
         node.DemandCount() <= kIdleDemand;
}

SpreadEvidence SpreadView::Evidence() && {
  SpreadEvidence spread;
  spread.nodes = static_cast<int>(demands_.size());  // that have been found
  if (busiest_ == nullptr) return spread;
  spread.busiest = busiest_->id;
  spread.demand = static_cast<double>(busiest_->DemandCount());
  spread.busy_share = ShareOfThoseNear(demands_, spread.demand);
  spread.median_demand = Lower(demands_, kLowerMiddle);
  spread.rejected = Rejections(*busiest_);
  spread.rejected_share = rejected_ > 0 ? spread.rejected / rejected_ : 0;
  spread.is_full = busiest_->LimitCount() > 0 && spread.demand >= static_cast<double>(busiest_->OwnLimitCount());
  spread.median_taken = Lower(takens_, kLowerMiddle);
  spread.busiest_p50 = Seconds(busiest_->latency_p50);
  if (!p50s_.empty()) spread.median_p50 = Lower(p50s_, kLowerMiddle);
  TellIdle(spread);
  TellWork(spread);
  TellDevices(spread);
  TellErrors(spread);
  return spread;
}

// Whether the same clients have connections to all of the busy nodes: they choose one for each request. Few addresses
// are those of balancers, which do not say so.
bool SpreadView::ClientsAskAll() const {
  constexpr int64_t kManyClients = 16;
  constexpr double kShared = 0.5;
  std::map<absl::string_view, int> nodes_of;
  for (const Node* node : busy_) {
    if (node->report.client_count < kManyClients) return false;
    for (const ClientConnections& client : node->report.top_clients) ++nodes_of[client.address];
  }
  int told = 0, elsewhere = 0;
  for (const auto& [address, nodes] : nodes_of) {
    told += nodes;
    elsewhere += nodes * (nodes - 1);
  }
  return elsewhere > 0 && elsewhere >= kShared * told * static_cast<double>(busy_.size() - 1);
}

// Clients keep to the nodes that they know: one that is new is passed over only where others are newly connected to, or
// where clients choose among all that they know.
void SpreadView::TellIdle(SpreadEvidence& spread) const {
  constexpr double kPassedOver = 8;   // connections that came to each of the others meanwhile
  constexpr double kKnownToAll = 20;  // seconds until clients that choose have learned of it
  const double others = static_cast<double>(told_ - idle_.size());
  if (idle_.empty() || others <= 0) return;
  const bool clients_choose = ClientsAskAll();
  for (const Node* node : idle_) {
    const double seconds = absl::ToDoubleSeconds(now_ - node->state_since);
    const bool chosen_from = clients_choose && seconds >= kKnownToAll;
    if (!chosen_from && knocked_ / others * seconds < kPassedOver) continue;
    if (spread.idle_nodes++ > 0) continue;
    spread.idle_node = node->id;
    spread.idle_seconds = seconds;
  }
  spread.busy_work = work_ / others;
}

void SpreadView::TellWork(SpreadEvidence& spread) {
  if (hardest_ == nullptr) return;
  spread.hardest = hardest_->id;
  spread.work = hardest_->rates.completed;
  spread.hardest_p50 = Seconds(hardest_->latency_p50);
  spread.hard_share = ShareOfThoseNear(works_, spread.work);
  spread.median_work = Lower(works_, kLowerMiddle);
  if (!losses_.empty()) {
    spread.lossiest = *std::max_element(losses_.begin(), losses_.end());
    spread.healthy_loss = Lower(losses_, kHealthy);
  }
  if (most_busy_ == nullptr) return;
  spread.most_cores = most_cores_;
  spread.most_cores_p50 = Seconds(most_busy_->latency_p50);
  spread.most_cost = most_cost_;
  spread.healthy_cost = Lower(costs_, kHealthy);
  spread.median_cost = Lower(costs_, kLowerMiddle);
}

void SpreadView::TellErrors(SpreadEvidence& spread) const {
  if (failing_ == nullptr) return;
  const double errors = failing_->rates.errors_slots_free, answers = failing_->rates.completed;
  spread.most_errors = errors;
  if (answers > 0) spread.most_error_ratio = errors / answers;
  if (work_ > answers) spread.other_error_ratio = (errors_ - errors) / (work_ - answers);
}

void SpreadView::TellDevices(SpreadEvidence& spread) {
  if (slowest_ == nullptr) return;
  spread.slowest_device_node = slowest_->id;
  spread.slowest_device = absl::ToDoubleSeconds(*slowest_->rates.device_latency);
  spread.median_device = Lower(devices_, kLowerMiddle);
  spread.healthy_device = Lower(devices_, kHealthy);
  spread.healthy_p50 = Lower(p50s_, kHealthy);
  spread.slowest_device_p50 = Seconds(slowest_->latency_p50);
  spread.slowest_device_io_full = slowest_->report.io_full_ratio;
}

}  // namespace headroom
