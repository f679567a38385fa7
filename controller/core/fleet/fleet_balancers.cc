#include <algorithm>
#include <utility>

#include "controller/base/median.h"
#include "controller/core/fleet/fleet.h"

// The part of Fleet that knows what balancers say of the nodes.

namespace headroom {
namespace {

// A balancer that restarts or has lost its agent is back within minutes, and after half an hour of an unknown signal a
// person is called (control.unknown_alarm). One that stays away longer was taken away; what it said would keep the
// fleet from shrinking for ever.
constexpr absl::Duration kStaleMax = absl::Hours(1);
// Of one that was there when the controller was killed, and of which no word is written. Agents are back within
// seconds, unless they come under another name: one that is not by then is taken for gone.
constexpr absl::Duration kUnshownMax = absl::Minutes(10);
// The limits that it came with are remembered longer: when it returns, it may show ours.
constexpr absl::Duration kGoneAfter = absl::Hours(24);

bool IsStale(const BalancerWord& word) {
  return word.stale_since != absl::InfiniteFuture();
}

void AddTo(BalancerView& view, const BalancerWord& word) {
  view.holds_slots |= word.holds_slots;
  view.session_count += word.session_count;
  view.queue_count += word.queue_count;
  view.limit_count += word.limit_count;
  view.told_at = std::max(view.told_at, word.told_at);
  if (!word.holds_slots) return;
  view.configured_count += word.configured_count;
  view.usual_count += std::max(word.configured_count, word.usual_count);
}

bool IsUsable(const BalancerWord& word, absl::Time now) {
  return word.holds_slots && (!IsStale(word) || now - word.stale_since < kStaleMax);
}

bool IsKnown(const Balancer& balancer, absl::Time now) {
  return std::any_of(balancer.words.begin(), balancer.words.end(),
                     [now](const auto& entry) { return IsUsable(entry.second, now); });
}

// What it has of the slots is known, so that it can have a share. To look at each word of one that holds none is too
// much for each tick.
bool HasSlots(const Balancer& balancer, absl::Time now) {
  return balancer.report.slot_place == SlotPlace::kBalancer && IsKnown(balancer, now);
}

// The limit that most servers of it came with.
int64_t UsualCount(const Balancer& balancer) {
  std::vector<int64_t> counts;
  for (const auto& [id, word] : balancer.words) {
    if (word.configured_count > 0) counts.push_back(word.configured_count);
  }
  return UpperMedian(counts);
}

// Its agent is back, and its proxy is down.
bool ShowsNothing(const Balancer& balancer) {
  return balancer.connected && balancer.silent && balancer.words.empty();
}

// The controller has restarted, and it is on its way back: it has not left.
bool Returns(const Balancer& balancer, absl::Time now, const Policy& policy) {
  return balancer.unheard && !balancer.connected && now - balancer.last_report_at <= policy.control.lost_after;
}

void GrowStale(Balancer& balancer, absl::Time at) {
  for (auto& [id, word] : balancer.words) word.stale_since = std::min(word.stale_since, at);
}

void Take(BalancerWord& word, const BalancedServer& server, SlotPlace place, absl::Time at) {
  word.told_at = at;
  word.holds_slots = place == SlotPlace::kBalancer && server.session_count_max > 0;
  word.session_count = server.session_count;
  word.queue_count = server.queue_count;
  word.limit_count = server.session_count_max;
  if (word.holds_slots && word.configured_count == 0) word.configured_count = server.session_count_max;
  word.stale_since = absl::InfiniteFuture();
}

// Those that will list a node that is new.
std::vector<const Balancer*> Listers(const std::map<BalancerId, Balancer>& balancers, absl::Time now) {
  std::vector<const Balancer*> listers;
  for (const auto& [id, balancer] : balancers) {
    const bool speaks = balancer.connected && !balancer.silent;
    if (speaks && (balancer.words.empty() || IsKnown(balancer, now))) listers.push_back(&balancer);
  }
  return listers;
}

// Balancers list a new server one after the other. Until all have, what the first ones give it is not its limit.
bool IsHalfListed(const Node& node, const std::vector<const Balancer*>& listers, absl::Time now) {
  constexpr absl::Duration kListedWithin = absl::Minutes(1);
  if (now - node.state_since >= kListedWithin) return false;
  return std::any_of(listers.begin(), listers.end(),
                     [&node](const Balancer* balancer) { return !balancer->words.contains(node.id); });
}

// Where no budget is shared, one whose limits become known brings them as far as they are tested: what the node was
// granted before was the others' alone.
void TakeIn(Node& node) {
  if (!node.behind.holds_slots || node.granted_count == 0) return;
  node.granted_count = std::max(node.granted_count, std::min(node.LimitCount(), node.ConfiguredCount()));
  node.limit.limit_count = std::max(node.limit.limit_count, node.granted_count);
  node.limit.wanted_count = std::max(node.limit.wanted_count, node.granted_count);
}

}  // namespace

// An agent may come under another name with each start.
bool Fleet::HasRoomForBalancer(const BalancerId& id, absl::Time at) {
  if (balancers_.size() < kBalancersMax || balancers_.contains(id)) return true;
  auto oldest = balancers_.end();
  for (auto it = balancers_.begin(); it != balancers_.end(); ++it) {
    if (it->second.connected) continue;
    if (oldest == balancers_.end() || it->second.last_report_at < oldest->second.last_report_at) oldest = it;
  }
  if (oldest == balancers_.end()) return false;
  balancers_.erase(oldest);
  GatherBalancerViews(at);
  return true;
}

void Fleet::TakeWords(Balancer& balancer, absl::Time at) const {
  constexpr absl::Duration kKnownWithin = absl::Minutes(1);
  const BalancerReport& report = balancer.report;
  // A server that is not in the list may be on its way back into a balancer that restarted.
  GrowStale(balancer, at);
  bool doubts = false;
  for (const BalancedServer& server : report.servers) {
    const Node* node = Find(server.node);
    if (node == nullptr) continue;
    BalancerWord& word = balancer.words[server.node];
    const bool is_new = word.configured_count == 0;
    Take(word, server, report.slot_place, at);
    // What it shows may be what an earlier controller made of it, whose state is lost.
    const bool had_another = node->unheard || node->hello.term_max_seen > 0;
    if (!is_new || !had_another || at - balancer.known_since >= kKnownWithin) continue;
    word.usual_count = word.configured_count;
    doubts = true;
  }
  if (!doubts) return;
  const int64_t usual = UsualCount(balancer);
  for (auto& [id, word] : balancer.words) {
    if (word.usual_count > 0) word.usual_count = usual;
  }
}

bool Fleet::On(absl::Time at, const BalancerReported& event, const Policy&) {
  if (!HasRoomForBalancer(event.balancer, at)) return false;
  Balancer& balancer = balancers_[event.balancer];
  const bool replayed =
      balancer.report.boot_id == event.report.boot_id && event.report.sequence <= balancer.report.sequence;
  if (replayed) {
    ++reports_dropped_old_;
    return false;
  }
  balancer.report = event.report;
  balancer.connected = true;
  const bool first = std::exchange(balancer.unheard, false);
  balancer.awaited = false;
  balancer.last_report_at = at;
  if (first || balancer.words.empty()) balancer.known_since = at;
  TakeWords(balancer, at);
  GatherBalancerViews(at);
  if (first && balancer.shares) AdoptShares();
  return std::any_of(event.report.servers.begin(), event.report.servers.end(),
                     [](const BalancedServer& server) { return server.queue_count > 0; });
}

bool Fleet::On(absl::Time at, const BalancerJoined& event, const Policy&) {
  if (!HasRoomForBalancer(event.balancer, at)) return false;
  Balancer& balancer = balancers_[event.balancer];
  balancer.connected = balancer.awaited = true;
  balancer.last_report_at = at;
  GatherBalancerViews(at);
  return true;
}

bool Fleet::On(absl::Time at, const BalancerLeft& event, const Policy&) {
  const auto found = balancers_.find(event.balancer);
  if (found == balancers_.end()) return false;
  Balancer& balancer = found->second;
  balancer.connected = false;
  balancer.last_report_at = at;
  GrowStale(balancer, at);
  if (balancer.words.empty() && !balancer.unheard) balancers_.erase(found);
  GatherBalancerViews(at);
  return false;
}

void Fleet::AgeBalancers(absl::Time now, const Policy& policy) {
  bool changed = now >= views_due_;
  for (auto it = balancers_.begin(); it != balancers_.end();) {
    Balancer& balancer = it->second;
    const absl::Duration silent = now - balancer.last_report_at;
    const bool falls_silent = silent > policy.control.silent_after && !balancer.silent;
    balancer.silent = silent > policy.control.silent_after;
    if (falls_silent) GrowStale(balancer, now);
    changed |= falls_silent;
    if (silent >= (balancer.words.empty() ? kUnshownMax : kStaleMax) || ShowsNothing(balancer))
      balancer.unheard = false;
    it = !balancer.connected && silent > kGoneAfter ? balancers_.erase(it) : std::next(it);
  }
  changed |= SplitAnew(now, policy);
  if (changed) GatherBalancerViews(now);
}

// The first words of a balancer since the controller restarted: what balancers have is what was granted, and those that
// have not spoken yet have a like part of it.
void Fleet::AdoptShares() {
  for (const auto& [id, node] : nodes_) {
    if (!node.behind.holds_slots || node.granted_count == 0) continue;
    int64_t sharing = 0, heard = 0, shown = 0;
    for (const auto& [balancer_id, balancer] : balancers_) {
      if (!balancer.shares) continue;
      ++sharing;
      if (balancer.unheard || !balancer.connected) continue;
      ++heard;
      const auto word = balancer.words.find(id);
      if (word != balancer.words.end() && !IsStale(word->second)) shown += word->second.limit_count;
    }
    if (shown == 0) continue;
    node.granted_count = node.limit.limit_count = node.limit.wanted_count = shown * sharing / heard;
    node.passed_count = 0;
  }
}

int64_t Fleet::SplitCount(const Policy& policy) const {
  // What was granted before the controller restarted is told to nobody before it is known to be in force.
  const bool unheard = std::any_of(balancers_.begin(), balancers_.end(), [](const auto& entry) {
    const Balancer& balancer = entry.second;
    return balancer.connected && balancer.unheard && !balancer.silent;
  });
  if (unheard) return 0;
  if (policy.limits.budget_count == 0) return split_count_;
  const bool awaited = std::any_of(balancers_.begin(), balancers_.end(), [](const auto& entry) {
    const Balancer& balancer = entry.second;
    return balancer.connected && !balancer.shares && balancer.awaited && !balancer.silent;
  });
  return awaited ? 0 : split_count_;
}

std::vector<BalancerId> Fleet::BalancersWithoutShare() const {
  std::vector<BalancerId> without;
  for (const auto& [id, balancer] : balancers_) {
    if (balancer.connected && !balancer.shares) without.push_back(id);
  }
  return without;
}

// One that leaves takes its share along: it is none of the others' while it may be in use. One that joins brings what
// it has: to split what the others have would cut them all, with each restart of one. Until it is known to have any it
// has no share, so that one whose proxy is down cuts nobody. True: the split has changed.
bool Fleet::SplitAnew(absl::Time now, const Policy& policy) {
  const bool unknown = split_count_ == 0;  // nothing was split yet, or a release that did not say so saved it
  NewSplit split{.before = split_count_};
  for (auto& [id, balancer] : balancers_) {
    if (unknown) balancer.shares = HasSlots(balancer, now);
    const bool stays = balancer.connected || (policy.limits.budget_count == 0 && Returns(balancer, now, policy));
    split.staying += balancer.shares && stays ? 1 : 0;
    if (balancer.shares && !stays) split.leavers.push_back(&balancer);
    const bool speaks = balancer.connected && !balancer.awaited;
    if (!balancer.shares && speaks && HasSlots(balancer, now)) split.joiners.push_back(&balancer);
  }
  const int64_t sharing = split.staying + static_cast<int64_t>(split.joiners.size());
  if (sharing == 0) return false;  // who comes back first finds that the others have left
  if (unknown) split.before = sharing + static_cast<int64_t>(split.leavers.size());
  split_count_ = sharing;
  if (sharing == split.before && split.joiners.empty()) return false;
  for (const auto& [id, node] : nodes_) {
    if (policy.limits.budget_count > 0)
      SplitGrant(node, split);
    else if (!split.joiners.empty())
      TakeIn(node);
  }
  for (Balancer* leaver : split.leavers) leaver->shares = false;
  for (Balancer* joiner : split.joiners) joiner->shares = true;
  return true;
}

void Fleet::SplitGrant(Node& node, const NewSplit& split) {
  if (!node.behind.holds_slots || node.granted_count == 0) return;
  const int64_t share = std::max<int64_t>(1, node.granted_count / split.before);  // 0 is no limit
  for (Balancer* leaver : split.leavers) {
    const auto word = leaver->words.find(node.id);
    if (word != leaver->words.end()) word->second.limit_count = std::max(word->second.limit_count, share);
  }
  int64_t brought = 0;
  for (const Balancer* joiner : split.joiners) {
    const auto word = joiner->words.find(node.id);
    // One that it does not show it does not have: what it said of it before its restart is no more.
    if (word != joiner->words.end() && word->second.holds_slots && !IsStale(word->second))
      brought += std::min(word->second.limit_count, share);
  }
  const int64_t kept = std::max(split.staying, node.granted_count * split.staying / split.before);
  node.granted_count = kept + brought;
  if (split.joiners.empty()) return;
  node.limit.limit_count = std::max(node.limit.limit_count, node.granted_count);
  node.limit.wanted_count = std::max(node.limit.wanted_count, node.granted_count);
}

// What those say that are heard now; where none is, what was said last.
BalancerView Fleet::ViewOf(const NodeId& id, absl::Time now) {
  BalancerView fresh, stale;
  int64_t quiet = 0, silent = 0;
  bool heard = false;
  for (const auto& [balancer_id, balancer] : balancers_) {
    const auto found = balancer.words.find(id);
    if (found == balancer.words.end()) continue;
    const BalancerWord& word = found->second;
    if (!IsStale(word)) {
      heard = true;
      AddTo(fresh, word);
    } else if (word.holds_slots && now - word.stale_since < kStaleMax) {
      AddTo(stale, word);
      (balancer.connected ? quiet : silent) += word.limit_count;
      views_due_ = std::min(views_due_, word.stale_since + kStaleMax);
    }
  }
  // What a silent one came with is still what the node was given: one of two that fails halves no node.
  if (heard && fresh.holds_slots) {
    fresh.configured_count += stale.configured_count;
    fresh.usual_count += stale.usual_count;
    fresh.quiet_count = quiet;
    fresh.silent_count = silent;
  }
  if (heard) return fresh;
  stale.is_stale = stale.holds_slots;
  stale.queue_count = 0;  // a queue is gone in seconds
  return stale;
}

void Fleet::GatherBalancerViews(absl::Time now) {
  views_due_ = absl::InfiniteFuture();
  const std::vector<const Balancer*> listers = Listers(balancers_, now);
  for (const auto& [id, node] : nodes_) {
    const bool held_slots = node.behind.holds_slots;
    node.behind = ViewOf(id, now);
    if (!held_slots && node.behind.holds_slots) node.behind.holds_slots = !IsHalfListed(node, listers, now);
    if (node.behind.holds_slots == held_slots) continue;
    // The slots have moved: what was known of the limit at the other place says nothing about this one.
    node.ForgetGrants();
  }
}

}  // namespace headroom
