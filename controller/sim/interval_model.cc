// The course of time: phases, steps and what is counted.
#include "controller/sim/interval_model.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "controller/base/check.h"
#include "controller/sim/interval_parts.h"

namespace headroom::sim {
namespace {

constexpr double kFew = 1e-3;  // requests or connections: fewer are none
constexpr double kNanos = 1e9;

double QuadraticPart(const NodeSettings& law) {
  const auto knee = static_cast<double>(law.knee);
  return law.knee > 0 ? (1 - law.linear) / (knee * knee) : 0;
}

}  // namespace

IntervalModel::IntervalModel(ClusterSettings settings)
    : settings_(std::move(settings)),
      ranks_(settings_.client.connections_max > 0 ? std::min(settings_.client.connections_max, kRanks) : kRanks),
      request_timeout_(absl::ToDoubleSeconds(settings_.client.request_timeout)),
      connect_timeout_(absl::ToDoubleSeconds(settings_.client.connect_timeout)),
      backoff_(absl::ToDoubleSeconds(settings_.client.backoff)),
      service_time_(absl::ToDoubleSeconds(settings_.node.service_time)),
      quadratic_(QuadraticPart(settings_.node)),
      spreads_requests_(settings_.client.spread == Spread::kRequests),
      latencies_(std::make_unique<std::array<Latencies, kAttemptsMax>>()) {
  HR_CHECK(settings_.client.retries_max < kAttemptsMax);
  for (const Phase& phase : settings_.phases) HR_CHECK(phase.duration > absl::ZeroDuration() && phase.clients > 0);
  phase_ = settings_.phases.empty() ? 0 : settings_.phases.size() - 1;
  if (settings_.phases.empty()) phase_end_nanos_ = std::numeric_limits<int64_t>::max();
}

IntervalModel::~IntervalModel() = default;

absl::Time IntervalModel::AdvanceTo(absl::Time until) {
  const int64_t until_nanos = absl::ToInt64Nanoseconds(until - settings_.start);
  while (true) {
    EnterPhases();
    for (Node* node : std::vector(booting_)) {
      if (node->boots_at_nanos <= now_nanos_) Boot(*node);
    }
    if (!changes_.empty() || now_nanos_ >= until_nanos) return now();
    const int64_t step = StepNanos(until_nanos);
    now_nanos_ += step;
    Advance(static_cast<double>(step) / kNanos);
  }
}

std::vector<NodeChange> IntervalModel::TakeChanges() {
  return std::exchange(changes_, {});
}

void IntervalModel::EnterPhases() {
  while (now_nanos_ >= phase_end_nanos_) {
    phase_ = (phase_ + 1) % settings_.phases.size();
    const Phase& phase = settings_.phases[phase_];
    phase_end_nanos_ += absl::ToInt64Nanoseconds(phase.duration);
    const double jump = std::abs(phase.requests_per_second - rate_);
    if (jump > 0.1 * std::max(rate_, phase.requests_per_second)) turned_at_ = now_;
    rate_ = phase.requests_per_second;
    SetClients(static_cast<double>(phase.clients));
  }
}

// Clients that no longer call leave their connections to the idle time-out; those that call again find them. Who came
// last leaves first, and where connections are short it is the newcomers that have none. What the ones that leave have
// under way without a connection is taken for failed.
void IntervalModel::SetClients(double clients) {
  if (clients < clients_) {
    for (const auto& pool : pools_) Leave(*pool, clients_ - clients);
  } else if (clients > clients_ && clients_max_ > clients_) {
    const double back = std::min(1.0, (clients - clients_) / (clients_max_ - clients_));
    for (Node* node : heard_) node->dormant.MoveShare(back, node->kept[0]);
  }
  clients_ = clients;
  clients_max_ = std::max(clients_max_, clients);
  for (const auto& pool : pools_) Settle(*pool);
}

void IntervalModel::Leave(Pool& pool, double clients) {
  const double outside = pool.Exactly(0), newcomers = std::min(outside, clients);
  const double others = pool.with[1] > 0 ? std::min(1.0, (clients - newcomers) / pool.with[1]) : 0;
  for (size_t state = 0; state < Pool::kStates; ++state) {
    const double leave = state > 0 ? others : outside > 0 ? newcomers / outside : 1;
    for (WaitingLine* line : {&pool.queued[state], &pool.knocking[state], &pool.pooled[state]}) {
      failed_.sum += Sum(line->TakeShare(leave));
    }
    failed_.sum += Sum(pool.pausing[state]) * leave;
    pool.pausing[state] = Scaled(pool.pausing[state], 1 - leave);
  }
  double waiting = 0, alive = 0;
  for (const WaitingLine& line : pool.queued) waiting += line.count();
  for (const Node* node : pool.nodes) alive += node->alive;
  for (Node* node : heard_) {
    if (node->pool != &pool) continue;
    for (IdleAges& rank : node->kept) rank.MoveShare(others, node->dormant);
    const double left = alive > 0 ? node->alive * std::min(1.0, waiting / alive) : 0;
    node->stale += node->alive - left;
    node->alive = left;
  }
}

void IntervalModel::RefreshServing() {
  heard_.clear();
  booting_.clear();
  std::vector<Node*> serving;
  for (const auto& [id, node] : nodes_) {
    (node->state == NodeState::kBooting ? booting_ : heard_).push_back(node.get());
    if (node->state == NodeState::kServing) serving.push_back(node.get());
  }
  if (!spreads_requests_) {
    if (pools_.empty()) pools_.push_back(std::make_unique<Pool>());
    for (Node* node : heard_) node->pool = pools_[0].get();
    pools_[0]->nodes = std::move(serving);
    return;
  }
  std::vector<std::unique_ptr<Pool>> pools;
  for (Node* node : serving) {
    const auto old = std::find_if(pools_.begin(), pools_.end(),
                                  [node](const auto& pool) { return pool != nullptr && pool.get() == node->pool; });
    pools.push_back(old == pools_.end() ? std::make_unique<Pool>() : std::move(*old));
    node->pool = pools.back().get();
    node->pool->nodes = {node};
  }
  for (Node* node : heard_) {
    if (node->state == NodeState::kDraining) node->pool = nullptr;
  }
  pools_ = std::move(pools);
}

int64_t IntervalModel::StepNanos(int64_t until_nanos) const {
  int64_t end = std::min(until_nanos, phase_end_nanos_);
  double seconds = absl::ToDoubleSeconds(kCalmStepMax);
  for (const Node* node : booting_) end = std::min(end, node->boots_at_nanos);
  for (const Node* node : heard_) {
    const double timeout = node->idle_seconds_max;
    if (timeout > 0) seconds = std::min(seconds, std::max(timeout / 3, 0.25));
    if (node->service > 0.1 * seconds) seconds = std::max(0.02, 0.1 * node->service);
  }
  for (const auto& pool : pools_) seconds = std::min(seconds, Pace(*pool));
  if (pools_.empty()) seconds = 0.1;  // retries only
  const auto step = static_cast<int64_t>(std::max(seconds, absl::ToDoubleSeconds(kStepMin)) * kNanos);
  // No sliver at the end: a step that nearly gets there goes all the way.
  return end - now_nanos_ < step + step / 4 ? end - now_nanos_ : step;
}

// Seconds in which not much changes: newcomers get connections, room fills, and what waits is seen to.
double IntervalModel::Pace(const Pool& pool) const {
  const double since = now_ - turned_at_;
  const double thick = 0.02 + std::min(0.08, since / 100);
  double pausing = Sum(pausing_), opening = 0;
  for (const ByAttempt& state : pool.pausing) pausing += Sum(state);
  if (pool.waiting() > 0.5 || pausing > 0.5) return thick;
  if (pool.clients <= 0) return kRanks;
  const double per_client =
      rate_ / static_cast<double>(std::max<size_t>(1, spreads_requests_ ? pools_.size() : 1)) / pool.clients;
  double seconds = since < 1 ? thick : absl::ToDoubleSeconds(kCalmStepMax);
  const double offered = pool.nodes.empty() ? 0 : per_client * pool.nodes[0]->service;
  for (size_t state = 0; state < static_cast<size_t>(ranks_); ++state) {
    opening += pool.Exactly(state) * per_client * AllBusy(state, offered);
  }
  if (pool.Exactly(0) > 0.02 * pool.clients && since < 60)
    seconds = std::min(seconds, std::max(0.05, 0.2 / per_client));
  double room = 0;
  for (const Node* node : pool.nodes) room += node->room();
  if (opening > kFew) seconds = std::min(seconds, std::max(thick, 0.2 * room / opening));
  return seconds;
}

void IntervalModel::Advance(double seconds) {
  ++steps_;
  now_ = static_cast<double>(now_nanos_) / kNanos;
  const size_t pools = pools_.size();
  offered_.sum += rate_ * seconds;
  ByAttempt back = Return(pausing_, seconds);
  back[0] += rate_ * seconds;
  attempts_.sum += Sum(back);
  served_ = {};
  service_seconds_ = 0;
  if (pools == 0) {  // nobody to ask
    Pool nobody;
    Fail(nobody, 0, back);
    AddTo(pausing_, nobody.pausing[0]);
  }
  for (const auto& pool : pools_) {
    Step step{.seconds = seconds};
    step.offered[0] = Scaled(back, 1.0 / static_cast<double>(pools));
    AdvancePool(*pool, step);
  }
  for (Node* node : heard_) Announce(*node);
  Count();
}

// What comes back from its pause, as the next attempt.
ByAttempt IntervalModel::Return(ByAttempt& pausing, double seconds) const {
  ByAttempt back{};
  for (size_t attempt = 0; attempt + 1 < back.size(); ++attempt) {
    const double mean = 0.5 * backoff_ * std::ldexp(1.0, static_cast<int>(attempt));
    const double count = pausing[attempt] * (mean > 0 ? -std::expm1(-seconds / mean) : 1);
    back[attempt + 1] += count;
    pausing[attempt] -= count;
  }
  return back;
}

void IntervalModel::AdvancePool(Pool& pool, Step& step) {
  Settle(pool);
  Offer(pool, step);
  if (pool.nodes.empty()) {
    for (size_t state = 0; state <= static_cast<size_t>(ranks_); ++state) {
      Fail(pool, static_cast<int>(state), step.offered[state]);
    }
  } else {
    AcceptWaiting(pool, step);
    Open(pool, step);
    Knock(pool, step);
    KnockAgain(pool, step.seconds);
    Spread(pool, step);
  }
  GiveUp(pool);
  for (Node* node : heard_) {
    if (node->pool != &pool && !(node->pool == nullptr && &pool == pools_[0].get())) continue;
    Serve(*node, pool, step);
    Use(*node, pool, step);
  }
  AddTo(served_, step.served);
}

void IntervalModel::Count() {
  const int64_t second = (now_nanos_ - 1) / static_cast<int64_t>(kNanos);
  while (first_second_ + static_cast<int64_t>(statistics_.size()) <= second) {
    statistics_.emplace_back();
    if (static_cast<int64_t>(statistics_.size()) > kSecondsMax) {
      statistics_.pop_front();
      ++first_second_;
    }
  }
  const double served = Sum(served_);
  retry_tokens_ =
      std::min(ClientSettings::kRetryTokensMax, retry_tokens_ + settings_.client.retry_budget_ratio * served);
  ClientStatistics now;
  now.offered = offered_.Take();
  now.failed = failed_.Take();
  now.attempts = attempts_.Take();
  now.syn_drops = syn_drops_.Take();
  now.completed = completed_.Take();
  int64_t counted = 0;
  double running = 0;
  for (size_t attempt = 0; attempt < served_.size() && served > 0; ++attempt) {
    running += served_[attempt];
    const int64_t count = std::llround(running / served * static_cast<double>(now.completed)) - counted;
    counted += count;
    const double mean = service_seconds_ / served, least = static_cast<double>(attempt) * request_timeout_;
    (*latencies_)[attempt].Aim(mean, least);
    (*latencies_)[attempt].Add(count, now.latency);
    now.latency_sum += static_cast<double>(count) * absl::Seconds(mean + least);
  }
  statistics_.back() += now;
  total_ += now;
}

ClientStatistics IntervalModel::Statistics(absl::Time from, absl::Time to) const {
  const int64_t begin = std::max(absl::ToInt64Seconds(from - settings_.start), first_second_);
  const int64_t end =
      std::min(absl::ToInt64Seconds(to - settings_.start), first_second_ + static_cast<int64_t>(statistics_.size()));
  ClientStatistics sum;
  for (int64_t second = begin; second < end; ++second) sum += statistics_[static_cast<size_t>(second - first_second_)];
  return sum;
}

}  // namespace headroom::sim
