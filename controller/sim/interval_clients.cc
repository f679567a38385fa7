// The side of the clients: who has connections, who wants one, who waits, and who gives up.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "controller/sim/interval_parts.h"

namespace headroom::sim {
namespace {

constexpr double kFew = 1e-3;  // requests or connections: fewer are none

ByAttempt Less(ByAttempt flow, const ByAttempt& other) {
  for (size_t i = 0; i < flow.size(); ++i) flow[i] = std::max(0.0, flow[i] - other[i]);
  return flow;
}

}  // namespace

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
  service = kept > 0 ? service / kept : service_time_;
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
    pool.used[rank] = -std::expm1(-pool.use_rate[rank] * step.seconds);
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
      node->kept[rank].Add(now_, now_, share, node->idle_grain());
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
    for (size_t state = 0; state < static_cast<size_t>(ranks_); ++state) {
      node.kept[state].Add(now_ - step.seconds, now_, here * wishes[state] / wished, node.idle_grain());
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

// The share of so many retries that the clients' budget pays for.
double IntervalModel::Afford(double retries) {
  if (settings_.client.retry_budget_ratio <= 0 || retries <= 0) return 1;
  const double share = std::min(1.0, retry_tokens_ / retries);
  retry_tokens_ -= share * retries;
  return share;
}

void IntervalModel::Fail(Pool& pool, int state, const ByAttempt& attempts) {
  ByAttempt& pausing = spreads_requests_ ? pausing_ : pool.pausing[static_cast<size_t>(state)];
  const auto last = static_cast<size_t>(settings_.client.retries_max);
  const double sum = Sum(attempts), wanted = std::accumulate(attempts.begin(), attempts.begin() + last, 0.0);
  const double share = Afford(wanted);
  for (size_t attempt = 0; attempt < last; ++attempt) pausing[attempt] += share * attempts[attempt];
  failed_.sum += sum - share * wanted;
}

}  // namespace headroom::sim
