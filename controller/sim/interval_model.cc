// The side of the clients: who has connections, who wants one, who waits, and how long a step is.
#include "controller/sim/interval_model.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "controller/base/check.h"
#include "controller/sim/interval_parts.h"

namespace headroom::sim {
namespace {

constexpr double kFew = 1e-3;  // requests or connections: fewer are none
constexpr double kNanos = 1e9;

// Erlang's loss formula: the share of calls that finds all of `lines` busy.
double AllBusy(size_t lines, double offered) {
  double busy = 1;
  for (size_t line = 1; line <= lines; ++line) busy = offered * busy / (static_cast<double>(line) + offered * busy);
  return busy;
}

ByAttempt Less(ByAttempt flow, const ByAttempt& other) {
  for (size_t i = 0; i < flow.size(); ++i) flow[i] = std::max(0.0, flow[i] - other[i]);
  return flow;
}

}  // namespace

IntervalModel::IntervalModel(ClusterSettings settings)
    : settings_(std::move(settings)),
      ranks_(settings_.client.connections_max > 0 ? std::min(settings_.client.connections_max, kRanks) : kRanks),
      request_timeout_(absl::ToDoubleSeconds(settings_.client.request_timeout)),
      connect_timeout_(absl::ToDoubleSeconds(settings_.client.connect_timeout)),
      backoff_(absl::ToDoubleSeconds(settings_.client.backoff)),
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
    for (auto& [id, node] : nodes_) {
      if (node->state == NodeState::kBooting && node->boots_at_nanos <= now_nanos_) Boot(*node);
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
  std::vector<Node*> serving;
  for (const auto& [id, node] : nodes_) {
    if (node->state != NodeState::kBooting) heard_.push_back(node.get());
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
  for (const auto& [id, node] : nodes_) {
    if (node->state == NodeState::kBooting) {
      end = std::min(end, node->boots_at_nanos);
      continue;
    }
    const double timeout = absl::ToDoubleSeconds(node->limits.idle_timeout);
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

// How many clients have how many connections. Who lost his first and has a second has one.
void IntervalModel::Settle(Pool& pool) const {
  pool.clients = clients_;
  pool.with = {};
  pool.with[0] = clients_;
  for (const Node* node : heard_) {
    if (node->pool != &pool) continue;
    for (size_t rank = 0; rank < kRanks; ++rank) pool.with[rank + 1] += node->kept[rank].count();
  }
  for (size_t rank = kRanks; rank > 1; --rank) {
    const double excess = pool.with[rank] - pool.with[rank - 1];
    if (excess <= 1e-6) continue;
    for (Node* node : heard_) {
      if (node->pool == &pool) node->kept[rank - 1].MoveShare(0.5 * excess / pool.with[rank], node->kept[rank - 2]);
    }
    pool.with[rank] -= 0.5 * excess;
    pool.with[rank - 1] += 0.5 * excess;
  }
}

// Sets what each kind of client asks for, and how much of it finds no idle connection.
void IntervalModel::Offer(Pool& pool, Step& step) {
  const ByAttempt fresh = step.offered[0];
  double service = 0, kept = 0;
  for (const Node* node : pool.nodes) {
    const double count = node->kept_count() + 1e-9;
    service += count * node->service;
    kept += count;
  }
  service = kept > 0 ? service / kept : absl::ToDoubleSeconds(settings_.node.service_time);
  double asked = 0;
  for (size_t state = 0; state <= static_cast<size_t>(ranks_); ++state) {
    const double clients = pool.Exactly(state);
    step.offered[state] = Scaled(fresh, pool.clients > 0 ? clients / pool.clients : 0);
    const ByAttempt back = Return(pool.pausing[state], step.seconds);
    attempts_.sum += Sum(back);
    AddTo(step.offered[state], back);
    if (state == 0) continue;
    const double sum = Sum(step.offered[state]);
    asked += sum;
    step.blocked[state] = clients > kFew ? AllBusy(state, sum / step.seconds / clients * service) : 0;
  }
  step.blocked[0] = 1;
  const double per_client = pool.with[1] > kFew ? asked / step.seconds / pool.with[1] : 0;
  for (size_t rank = 1; rank <= static_cast<size_t>(ranks_); ++rank) {
    const double beyond = rank == static_cast<size_t>(ranks_) ? 0 : AllBusy(rank, per_client * service);
    pool.use_rate[rank] = per_client * (AllBusy(rank - 1, per_client * service) - beyond);
  }
}

// Slots that became free go to those who wait in the accept queue, in their order.
void IntervalModel::AcceptWaiting(Pool& pool, Step& step) {
  double waiting = 0;
  for (const WaitingLine& line : pool.queued) waiting += line.count();
  for (Node* node : pool.nodes) {
    const double room = node->room();
    if (room < kFew || node->alive + node->stale <= 0) continue;
    const double taken = std::min(room, node->alive);
    node->accepted.sum += taken + node->stale;
    node->stale = 0;  // those before them have gone: seen and closed on the way
    node->alive -= taken;
    if (waiting <= 0) continue;
    for (size_t state = 0; state <= static_cast<size_t>(ranks_); ++state) {
      const double share = pool.queued[state].count() / waiting * taken;
      if (share <= 0) continue;
      const ByAttempt flow = pool.queued[state].TakeFirst(share);
      const size_t rank = std::min(state, static_cast<size_t>(ranks_) - 1);
      node->kept[rank].Add(now_, now_, share, absl::ToDoubleSeconds(node->limits.idle_timeout) / IdleAges::kCohorts);
      node->arrived += Sum(flow);
      AddTo(step.served, flow);
      Promote(pool, static_cast<int>(state), share, step);
    }
    waiting -= taken;
  }
}

// So many clients of this state have one connection more: what else they have under way goes with them.
void IntervalModel::Promote(Pool& pool, int state, double clients, Step& step) {
  const auto from = static_cast<size_t>(state), to = from + 1;
  const double before = pool.Exactly(from);
  if (to > static_cast<size_t>(ranks_)) return;
  const double share = before > kFew ? std::min(1.0, clients / before) : 1;
  pool.with[to] += clients;
  AddTo(pool.pausing[to], Scaled(pool.pausing[from], share));
  pool.pausing[from] = Scaled(pool.pausing[from], 1 - share);
  pool.queued[from].MoveShare(share, pool.queued[to]);
  pool.knocking[from].MoveShare(share, pool.knocking[to]);
  // What waited in the client for a connection has one.
  AddTo(step.served, pool.pooled[from].TakeFirst(share * pool.pooled[from].count()));
}

namespace {

// How high the level is when whoever has least has got `total`, so that all who got any have as much.
double Level(std::vector<double> sorted, double total) {
  std::sort(sorted.begin(), sorted.end());
  double water = sorted.empty() ? 0 : sorted[0], left = total;
  for (size_t i = 0; i < sorted.size(); ++i) {
    const double next = i + 1 < sorted.size() ? sorted[i + 1] : std::numeric_limits<double>::infinity();
    const double takes = (next - water) * static_cast<double>(i + 1);
    if (takes >= left) {
      water += left / static_cast<double>(i + 1);
      break;
    }
    left -= takes;
    water = next;
  }
  return water;
}

}  // namespace

// Gives `total` new connections to the nodes with the fewest, waiting ones counted. Sets how many each gets.
void IntervalModel::FillUp(Pool& pool, double total) {
  std::vector<double>& shares = pool.shares;
  shares.clear();
  for (const Node* node : pool.nodes) shares.push_back(node->open() + node->alive + node->stale);
  const double level = Level(shares, total);
  for (double& share : shares) share = std::max(0.0, level - share);
}

// New connections: as many clients as ask and find all of theirs busy, as far as the nodes have room. What finds room
// is served, what does not knocks.
void IntervalModel::Open(Pool& pool, Step& step) {
  std::array<double, Pool::kStates> wishes{};
  double wished = 0;
  for (size_t state = 0; state < static_cast<size_t>(ranks_); ++state) {
    const double clients = pool.Exactly(state), asking = Sum(step.offered[state]) * step.blocked[state];
    wishes[state] = clients > 0 ? -clients * std::expm1(-asking / std::max(clients, kFew)) : 0;
    wished += wishes[state];
  }
  if (wished > 0) FillUp(pool, wished);
  double opened = 0;
  for (size_t i = 0; i < pool.nodes.size() && wished > 0; ++i) {
    Node& node = *pool.nodes[i];
    const double here = std::min(pool.shares[i], node.room());
    const double grain = absl::ToDoubleSeconds(node.limits.idle_timeout) / IdleAges::kCohorts;
    for (size_t state = 0; state < static_cast<size_t>(ranks_); ++state) {
      node.kept[state].Add(now_ - step.seconds, now_, here * wishes[state] / wished, grain);
    }
    node.accepted.sum += here;
    node.arrived += here;
    opened += here;
  }
  const double open_share = wished > 0 ? opened / wished : 1;
  for (size_t state = 0; state <= static_cast<size_t>(ranks_); ++state) {
    const ByAttempt blocked = Scaled(step.offered[state], step.blocked[state]);
    const double open_here = state < static_cast<size_t>(ranks_) ? open_share : 0;
    AddTo(step.served, Scaled(step.offered[state], 1 - step.blocked[state] * (1 - open_here)));
    if (open_here < 1) Wait(pool, static_cast<int>(state), Scaled(blocked, 1 - open_here), step);
  }
  for (size_t state = 0; state < static_cast<size_t>(ranks_); ++state) {
    if (wishes[state] > 0) Promote(pool, static_cast<int>(state), open_share * wishes[state], step);
  }
}

// Requests that found no connection and no room: they knock as far as their clients may make connections, or wait in
// the client for one of those that it has.
void IntervalModel::Wait(Pool& pool, int rank, const ByAttempt& flow, Step& step) {
  const auto state = static_cast<size_t>(rank);
  WaitingLine& pooled = pool.pooled[state];
  double may = std::max(0.0, (ranks_ - rank) * pool.Exactly(state) - pool.Stuck(state));
  step.knocks[state] = pooled.TakeFirst(std::min(may, pooled.count()));
  may -= Sum(step.knocks[state]);
  const double sum = Sum(flow), share = sum > 0 ? std::min(1.0, may / sum) : 0;
  const ByAttempt direct = Scaled(flow, share);
  AddTo(step.knocks[state], direct);
  const ByAttempt rest = Less(flow, direct);
  if (rank == 0) {
    pooled.Add(now_, rest);
  } else {
    AddTo(step.served, rest);  // one of its own is free again in a moment
  }
}

void IntervalModel::Knock(Pool& pool, Step& step) {
  double total = 0;
  for (const ByAttempt& knocks : step.knocks) total += Sum(knocks);
  if (total <= 0) return;
  FillUp(pool, total);
  const std::vector<double>& shares = pool.shares;
  double queued = 0;
  for (size_t i = 0; i < pool.nodes.size(); ++i) {
    Node& node = *pool.nodes[i];
    const double space = std::max(0.0, settings_.node.backlog + 1 - node.alive - node.stale);
    const double enters = std::min(shares[i], space);
    node.rejected.sum += shares[i];
    node.drops.sum += shares[i] - enters;
    syn_drops_.sum += shares[i] - enters;
    node.alive += enters;
    queued += enters;
  }
  for (size_t state = 0; state <= static_cast<size_t>(ranks_); ++state) {
    pool.queued[state].Add(now_, Scaled(step.knocks[state], queued / total));
    pool.knocking[state].Add(now_, Scaled(step.knocks[state], 1 - queued / total));
  }
}

// SYNs that were dropped are sent again after a second.
void IntervalModel::KnockAgain(Pool& pool, double seconds) {
  double total = 0, space = 0;
  for (const WaitingLine& line : pool.knocking) total += line.count();
  const double again = total * std::min(1.0, seconds);
  if (again < kFew || pool.nodes.empty()) return;
  const auto space_of = [this](const Node& node) {
    return std::max(0.0, settings_.node.backlog + 1 - node.alive - node.stale);
  };
  for (const Node* node : pool.nodes) space += space_of(*node);
  const double enters = std::min(again, space);
  for (Node* node : pool.nodes) {
    const double here = space > 0 ? enters * space_of(*node) / space : 0;
    const double each = again / static_cast<double>(pool.nodes.size());
    node->rejected.sum += each;
    node->drops.sum += (again - enters) / static_cast<double>(pool.nodes.size());
    node->alive += here;
  }
  syn_drops_.sum += again - enters;
  for (size_t state = 0; state <= static_cast<size_t>(ranks_); ++state) {
    pool.queued[state].Add(now_, pool.knocking[state].TakeFirst(pool.knocking[state].count() / total * enters));
  }
}

// What was served through kept connections falls on the nodes as these are used.
void IntervalModel::Spread(Pool& pool, Step& step) {
  double already = 0, weight = 0;
  std::vector<double>& weights = pool.shares;
  weights.clear();
  for (const Node* node : pool.nodes) {
    already += node->arrived;
    double uses = 1e-9;
    for (size_t rank = 0; rank < static_cast<size_t>(ranks_); ++rank) {
      uses += pool.use_rate[rank + 1] * node->kept[rank].count();
    }
    weights.push_back(uses);
    weight += uses;
  }
  const double rest = std::max(0.0, Sum(step.served) - already);
  for (size_t i = 0; i < weights.size(); ++i) pool.nodes[i]->arrived += rest * weights[i] / weight;
}

void IntervalModel::GiveUp(Pool& pool) {
  double waiting = 0, gone = 0;
  for (const WaitingLine& line : pool.queued) waiting += line.count();
  for (size_t state = 0; state <= static_cast<size_t>(ranks_); ++state) {
    const ByAttempt left = pool.queued[state].TakeOlder(now_ - request_timeout_);
    gone += Sum(left);
    Fail(pool, static_cast<int>(state), left);
    Fail(pool, static_cast<int>(state), pool.knocking[state].TakeOlder(now_ - connect_timeout_));
    Fail(pool, static_cast<int>(state), pool.pooled[state].TakeOlder(now_ - request_timeout_));
  }
  if (gone <= 0) return;
  const double share = std::min(1.0, gone / waiting);
  for (Node* node : pool.nodes) {
    node->stale += node->alive * share;
    node->alive -= node->alive * share;
  }
}

void IntervalModel::Fail(Pool& pool, int state, const ByAttempt& attempts) {
  ByAttempt& pausing = spreads_requests_ ? pausing_ : pool.pausing[static_cast<size_t>(state)];
  for (size_t attempt = 0; attempt < attempts.size(); ++attempt) {
    if (attempt >= static_cast<size_t>(settings_.client.retries_max)) {
      failed_.sum += attempts[attempt];
    } else {
      pausing[attempt] += attempts[attempt];
    }
  }
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
