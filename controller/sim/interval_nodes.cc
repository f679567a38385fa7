// The side of the nodes: limits, service, idle time-outs, and what they report.
#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"

#include "controller/base/check.h"
#include "controller/base/status.h"
#include "controller/sim/interval_parts.h"

namespace headroom::sim {
namespace {

constexpr int64_t kCpuMicrosPerRequest = 150;
constexpr double kIdleAgeBounds[NodeReport::kIdleAges - 1] = {1, 5, 15, 30, 60, 300};
}  // namespace

void Latencies::Aim(double mean, double least) {
  if (std::abs(mean - mean_) <= 0.002 * mean_ && least == least_) return;
  mean_ = mean;
  least_ = least;
  for (size_t point = 0; point < kPoints; ++point) {
    const double seconds = least - mean * std::log1p(-(static_cast<double>(point) + 0.5) / kPoints);
    buckets_[point] = static_cast<uint8_t>(LatencyHistogram::BucketOf(static_cast<int64_t>(seconds * 1e6)));
  }
}

void Latencies::Add(int64_t count, LatencyHistogram& histogram) {
  if (count >= kPoints) {
    for (const uint8_t bucket : buckets_) histogram.counts[bucket] += count / kPoints;
  }
  constexpr int64_t kStride = 7;  // visits all points, far apart from each other
  for (int64_t i = 0; i < count % kPoints; ++i) {
    cursor_ = (cursor_ + kStride) % kPoints;
    ++histogram.counts[buckets_[static_cast<size_t>(cursor_)]];
  }
}

absl::StatusOr<IntervalModel::Node*> IntervalModel::Find(absl::string_view id) const {
  const auto found = nodes_.find(id);
  if (found == nodes_.end()) return absl::NotFoundError(absl::StrCat("no node ", id));
  return found->second.get();
}

const IntervalModel::Node& IntervalModel::Heard(absl::string_view id) const {
  const auto found = nodes_.find(id);
  HR_CHECK(found != nodes_.end() && found->second->state != NodeState::kBooting);
  return *found->second;
}

bool IntervalModel::IsServing(absl::string_view id) const {
  const auto found = nodes_.find(id);
  return found != nodes_.end() && found->second->state != NodeState::kBooting;
}

NodeId IntervalModel::Launch(const LaunchSettings& settings) {
  auto node = std::make_unique<Node>();
  node->id = absl::StrCat("sim-", ++launched_);
  node->zone = settings.zone;
  node->launch_id = settings.launch_id;
  node->boots_at_nanos = now_nanos_ + absl::ToInt64Nanoseconds(settings.boot);
  const NodeId id = node->id;
  const auto by_id = [](const Node* a, const Node* b) { return a->id < b->id; };
  booting_.insert(std::upper_bound(booting_.begin(), booting_.end(), node.get(), by_id), node.get());
  nodes_.emplace(id, std::move(node));
  return id;
}

void IntervalModel::Boot(Node& node) {
  const int boots = node.boots + 1;
  Node fresh;
  fresh.id = node.id;
  fresh.zone = node.zone;
  fresh.launch_id = node.launch_id;
  fresh.slowness = node.slowness;
  fresh.boots = boots;
  // Unlike that of any other run: a controller that remembers an earlier one must not take this for it.
  fresh.boot_id = absl::StrCat(node.id, "-", absl::ToUnixSeconds(settings_.start), "-", boots);
  fresh.state = NodeState::kServing;
  fresh.booted_nanos = now_nanos_;
  fresh.SetLimits(
      {.connection_count_max = settings_.node.connection_limit, .idle_timeout = settings_.node.idle_timeout});
  node = std::move(fresh);
  node.service = ServiceSeconds(node, 0);
  changes_.push_back({.node = node.id, .what = NodeChange::What::kServing});
  RefreshServing();
}

// All of the node's connections are gone, and what was under way on them has failed.
void IntervalModel::Reset(Node& node) {
  if (node.pool == nullptr) return;
  Pool& pool = *node.pool;
  const double alive = std::exchange(node.alive, 0);
  const double waiting = std::max(alive, pool.waiting());
  for (int state = 0; state <= ranks_; ++state) {
    const double count = waiting > 0 ? pool.queued[static_cast<size_t>(state)].count() * alive / waiting : 0;
    Fail(pool, state, pool.queued[static_cast<size_t>(state)].TakeFirst(count));
  }
  ByAttempt under_way{};
  under_way[0] = std::min(node.active, node.kept_count());
  for (size_t rank = 0; rank < kRanks; ++rank) {
    const double lost = node.kept[rank].count();
    node.kept[rank].Clear();
    if (rank + 1 >= kRanks || pool.with[rank + 1] <= 0 || lost <= 0) continue;
    // A client that has a second connection elsewhere has one still: its second is its first now.
    const double higher = pool.with[rank + 2], gone = std::min(higher, node.kept[rank + 1].count());
    const double moved = lost / pool.with[rank + 1] * (higher - gone);
    for (Node* other : heard_) {
      if (other->pool == &pool && higher > gone) {
        other->kept[rank + 1].MoveShare(moved / (higher - gone), other->kept[rank]);
      }
    }
  }
  Fail(pool, 0, under_way);
  node.dormant.Clear();
  node.stale = node.leaving = node.active = 0;
  node.pool = nullptr;  // its own one ends with the next RefreshServing()
}

absl::Status IntervalModel::Terminate(absl::string_view id) {
  HR_ASSIGN_OR_RETURN(Node * node, Find(id));
  const bool was_heard = node->state != NodeState::kBooting;
  Reset(*node);
  if (was_heard) changes_.push_back({.node = node->id, .what = NodeChange::What::kStopped});
  nodes_.erase(nodes_.find(id));
  RefreshServing();
  return absl::OkStatus();
}

absl::Status IntervalModel::Restart(absl::string_view id, absl::Duration down) {
  HR_ASSIGN_OR_RETURN(Node * node, Find(id));
  const bool was_heard = node->state != NodeState::kBooting;
  Reset(*node);
  node->state = NodeState::kBooting;
  node->boots = std::max(node->boots, 1);  // a machine that is there, however early
  node->boots_at_nanos = now_nanos_ + absl::ToInt64Nanoseconds(down);
  RefreshServing();
  if (was_heard) changes_.push_back({.node = node->id, .what = NodeChange::What::kStopped});
  return absl::OkStatus();
}

absl::Status IntervalModel::SetLimits(absl::string_view id, const LimitsInForce& limits) {
  HR_ASSIGN_OR_RETURN(Node * node, Find(id));
  node->SetLimits(limits);
  return absl::OkStatus();
}

absl::Status IntervalModel::Shed(absl::string_view id, const ShedConnections& order) {
  HR_ASSIGN_OR_RETURN(Node * node, Find(id));
  const double before = now_ - absl::ToDoubleSeconds(order.idle_min);
  double left = std::min(static_cast<double>(order.connection_count), std::max(0.0, node->open() - node->active));
  double closed = node->dormant.TakeOldest(left, before);
  for (int rank = kRanks - 1; rank >= 0; --rank) {
    closed += node->kept[static_cast<size_t>(rank)].TakeOldest(left - closed, before);
  }
  node->shed.sum += closed;
  return absl::OkStatus();
}

absl::Status IntervalModel::Drain(absl::string_view id) {
  HR_ASSIGN_OR_RETURN(Node * node, Find(id));
  if (node->state != NodeState::kServing) return absl::FailedPreconditionError(absl::StrCat(id, " does not serve"));
  node->state = NodeState::kDraining;
  const double busy = std::min(node->active, node->open());
  node->shed.sum += node->open() - busy;
  for (IdleAges& rank : node->kept) rank.Clear();
  node->dormant.Clear();
  node->leaving = busy;
  RefreshServing();
  return absl::OkStatus();
}

absl::Status IntervalModel::Undrain(absl::string_view id) {
  HR_ASSIGN_OR_RETURN(Node * node, Find(id));
  if (node->state == NodeState::kDraining) node->state = NodeState::kServing;
  RefreshServing();
  return absl::OkStatus();
}

absl::Status IntervalModel::SetSlowness(absl::string_view id, double factor) {
  HR_ASSIGN_OR_RETURN(Node * node, Find(id));
  node->slowness = factor;
  turned_at_ = now_;
  return absl::OkStatus();
}

std::vector<Machine> IntervalModel::Machines() const {
  std::vector<Machine> machines;
  for (const auto& [id, node] : nodes_) {
    const bool starting = node->state == NodeState::kBooting && node->boots == 0;
    machines.push_back({.node = id,
                        .state = starting ? Machine::State::kStarting : Machine::State::kRunning,
                        .zone = node->zone,
                        .launch_id = node->launch_id});
  }
  return machines;
}

const LimitsInForce& IntervalModel::Limits(absl::string_view id) const {
  return Heard(id).limits;
}

NodeHello IntervalModel::Hello(absl::string_view id) const {
  const Node& node = Heard(id);
  return {.boot_id = node.boot_id,
          .capabilities = {"limit", "idle_timeout", "shed", "drain"},
          .server_version = "simulated/1",
          .limits = node.limits,
          .address = absl::StrCat(node.id, ":80"),
          .zone = node.zone,
          .launch_id = node.launch_id,
          .fd_count_max = settings_.node.fd_count_max,
          .configured_count_max = settings_.node.connection_limit,
          .configured_idle_timeout = settings_.node.idle_timeout};
}

namespace {

using Ages = std::array<double, NodeReport::kIdleAges>;

// Whole numbers that add up to `total`, in the proportions of `ages`.
void Round(const Ages& ages, int64_t total, std::array<int64_t, NodeReport::kIdleAges>& counts) {
  double sum = 0;
  for (const double age : ages) sum += age;
  if (sum <= 0) return;
  double running = 0;
  int64_t given = 0;
  for (size_t i = 0; i < ages.size(); ++i) {
    running += ages[i];
    const int64_t until = Whole(running / sum * static_cast<double>(total));
    counts[i] = until - given;
    given = until;
  }
}

}  // namespace

// All clients are alike: the first have as many connections here as anybody.
void IntervalModel::FillClients(const Node& node, NodeReport& report) {
  static const std::array<std::string, NodeReport::kTopClientsMax> names = {
      "client-0", "client-1", "client-2", "client-3", "client-4", "client-5", "client-6", "client-7"};
  report.client_count = Whole(node.kept[0].count() + node.dormant.count());
  std::array<int64_t, kRanks> with{};
  for (size_t rank = 0; rank < kRanks; ++rank) with[rank] = Whole(node.kept[rank].count());
  report.top_clients.resize(std::min(names.size(), static_cast<size_t>(with[0])));
  for (size_t client = 0; client < report.top_clients.size(); ++client) {
    report.top_clients[client].address = names[client];
    report.top_clients[client].open_count = std::count_if(
        with.begin(), with.end(), [client](int64_t clients) { return clients > static_cast<int64_t>(client); });
  }
}

int64_t IntervalModel::OpenCount(absl::string_view id) const {
  return Whole(Heard(id).open());
}

// They mostly speak in the order of their ids.
IntervalModel::Node& IntervalModel::Speaker(absl::string_view id) {
  const auto is_before = [](const Node* node, absl::string_view wanted) { return node->id < wanted; };
  const bool in_order = speaks_next_ < heard_.size() && heard_[speaks_next_]->id == id;
  const auto found = in_order ? heard_.begin() + static_cast<std::ptrdiff_t>(speaks_next_)
                              : std::lower_bound(heard_.begin(), heard_.end(), id, is_before);
  HR_CHECK(found != heard_.end() && (*found)->id == id);
  speaks_next_ = static_cast<size_t>(found + 1 - heard_.begin()) % heard_.size();
  return **found;
}

void IntervalModel::FillReport(absl::string_view id, NodeReport& report) {
  Node& node = Speaker(id);
  report.boot_id = node.boot_id;
  report.sequence = ++node.sequence;
  report.open_count = Whole(node.open());
  report.active_count = report.in_flight_count = std::min(Whole(node.active), report.open_count);
  report.limits = node.limits;
  report.accept_queue_count = Whole(node.alive + node.stale);
  report.accept_queue_count_max = settings_.node.backlog;
  report.fd_count = report.open_count + 32;
  report.fd_count_max = settings_.node.fd_count_max;
  report.cpu_count = 2;
  if (node.state == NodeState::kDraining) report.state = ServerState::kDraining;

  NodeCounters& counters = report.counters;
  counters.uptime = absl::Nanoseconds(now_nanos_ - node.booted_nanos);
  for (Tally* tally : {&node.accepted, &node.rejected, &node.closed_idle, &node.shed, &node.drops}) tally->Take();
  counters.accepted = node.accepted.counted;
  counters.rejected = node.rejected.counted;
  counters.closed_idle = node.closed_idle.counted;
  counters.shed = node.shed.counted;
  counters.completed = node.completed.counted;
  counters.drops = node.drops.counted;
  counters.overflows = node.drops.counted;
  counters.cpu_time = absl::Microseconds(counters.completed * kCpuMicrosPerRequest);
  counters.device_time = absl::Seconds(node.device_seconds);
  counters.sent_bytes = counters.completed * settings_.node.object_bytes;
  counters.latency = node.latency;

  FillClients(node, report);

  Ages ages{};
  std::array<double, NodeReport::kIdleAges - 1> ends;
  for (size_t i = 0; i < ends.size(); ++i) ends[i] = now_ - kIdleAgeBounds[i];
  for (const IdleAges& rank : node.kept) rank.AddUp(ends, ages);
  node.dormant.AddUp(ends, ages);
  Round(ages, report.open_count - report.active_count, report.idle_age_counts);

  node.is_calm = node.room() >= 0.5 && counters.rejected == node.rejected_reported;
  node.rejected_reported = counters.rejected;
}

void IntervalModel::Turn(Node& node, Urgency urgency) {
  if (!node.is_calm) return;
  node.is_calm = false;
  changes_.push_back({.node = node.id, .what = NodeChange::What::kTurned, .urgency = urgency});
}

void IntervalModel::Announce(Node& node) {
  if (!node.is_calm) return;
  if (static_cast<int64_t>(node.rejected.sum) > node.rejected_reported) return Turn(node, Urgency::kRejection);
  if (node.room() < 0.5) Turn(node, Urgency::kLimitReached);
}

double IntervalModel::ServiceSeconds(const Node& node, double active) const {
  // A request that comes finds a Poisson number with this mean in service: the k-th finds k - 1, and the mean of
  // k (k - 1) is mean^2 + 2 mean.
  const double factor = 1 + settings_.node.linear * active + quadratic_ * active * (active + 2);
  return node.slowness * factor * service_time_;
}

// How many requests are in service at the end of a step in which `arrived` came: what comes in, less what this many
// finish (the root that is nearest to what was, since past the knee there are two).
double IntervalModel::Settled(const Node& node, double seconds) const {
  const double all = node.active + node.arrived;
  // What is left over times the seconds that a request takes: of the same sign, and without a division.
  const auto surplus = [&](double active) { return (all - active) * ServiceSeconds(node, active) - seconds * active; };
  // Newton's steps from what was; where they are long, they may lead to another root: halving.
  double near = node.active;
  for (int i = 0; i < 4; ++i) {
    const double rise = node.slowness * service_time_ * (settings_.node.linear + 2 * quadratic_ * (near + 1));
    const double slope = (all - near) * rise - ServiceSeconds(node, near) - seconds;
    if (slope >= 0) break;
    const double step = surplus(near) / -slope;
    if (std::abs(step) > 0.25 * near + 0.5) break;
    near = std::clamp(near + step, 0.0, all);
    if (std::abs(step) <= 1e-3 + 1e-3 * near) return near;
  }
  double low = node.active, high = node.active;
  while (high < all && surplus(high) > 0) low = std::exchange(high, std::min(all, 1.25 * high + 0.5));
  while (low > 0 && surplus(low) < 0) high = std::exchange(low, std::max(0.0, low / 1.25 - 0.5));
  for (int i = 0; i < 30 && high - low > 1e-3 + 1e-4 * high; ++i) {
    const double middle = 0.5 * (low + high);
    (surplus(middle) > 0 ? low : high) = middle;
  }
  return 0.5 * (low + high);
}

// A client takes of its idle connections the one that it used last. Of two that were busy at the same time either is as
// likely to be done last: where the second was used it is the first from then on, in half of all cases.
void IntervalModel::Use(Node& node, const Pool& pool, const Step& step) {
  const double timeout = node.idle_seconds_max, grain = node.idle_grain();
  const double began = now_ - step.seconds + node.service, ended = now_ + node.service;
  const auto ranks = static_cast<size_t>(ranks_);
  std::array<double, kRanks> used{};
  for (size_t rank = 0; rank < ranks; ++rank) used[rank] = node.kept[rank].TakeShare(pool.used[rank + 1]);
  const std::array<double, kRanks> before = used;
  for (size_t rank = 1; rank < ranks; ++rank) {
    const double above = pool.with[rank] * pool.used[rank], here = pool.with[rank + 1] * pool.used[rank + 1];
    const double up = 0.5 * before[rank], down = above > 0 ? 0.5 * before[rank - 1] * std::min(1.0, here / above) : 0;
    used[rank - 1] += up - down;
    used[rank] += down - up;
  }
  for (size_t rank = 0; rank < ranks; ++rank) {
    IdleAges& kept = node.kept[rank];
    kept.Add(began, ended, used[rank], grain);
    if (timeout > 0) node.closed_idle.sum += kept.TakeOlder(now_ - timeout);
  }
  if (timeout > 0 && node.dormant.count() > 0) node.closed_idle.sum += node.dormant.TakeOlder(now_ - timeout);
}

void IntervalModel::Serve(Node& node, Pool& pool, const Step& step) {
  const double before = node.active;
  node.active = Settled(node, step.seconds);
  node.service = ServiceSeconds(node, node.active);
  const double finished = std::max(0.0, before + node.arrived - node.active);
  node.arrived = 0;
  node.completed.sum += finished;
  node.device_seconds += finished * node.service;
  node.latencies.Aim(node.service, 0);
  node.latencies.Add(node.completed.Take(), node.latency);
  node.leaving = std::min(node.leaving, node.active);
  // Clients that gave up in the middle: the work was for nobody, and the connection closes.
  const double late = node.service * 30 < request_timeout_ ? 0 : std::exp(-request_timeout_ / node.service);
  completed_.sum += finished * (1 - late);
  service_seconds_ += finished * node.service;
  if (late <= 0) return;
  const double kept = node.kept_count(), served = Sum(step.served);
  const double share = kept > 0 ? std::min(1.0, finished * late / kept) : 0;
  for (IdleAges& rank : node.kept) rank.TakeShare(share);
  if (served > 0) Fail(pool, 0, Scaled(step.served, finished * late / served));
}

}  // namespace headroom::sim
