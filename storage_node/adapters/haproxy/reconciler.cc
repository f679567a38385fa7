#include "storage_node/adapters/haproxy/reconciler.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

namespace headroom::haproxy {
namespace {

// Order of execution: what adds capacity first, what takes it away last.
enum Rank { kGrow, kChange, kRaise, kCut, kShrink };

struct RankedStep {
  Rank rank;
  Step step;
};

class Planner {
 public:
  Planner(const DesiredServers& desired, const BackendView& view, const Memory& memory, absl::Time now)
      : desired_(desired), view_(view), memory_(memory), now_(now) {
    serving_count_ = std::count_if(view.servers.begin(), view.servers.end(),
                                   [](const ServerView& server) { return server.IsServing(); });
  }

  std::vector<Step> Make(const ReconcileOptions& options) && {
    session_count_first_ = options.session_count_first;
    AddMissing();
    for (const ServerView& shown : view_.servers) {
      if (!CheckServerName(shown.name).ok()) continue;
      const auto wanted = desired_.find(shown.name);
      if (wanted == desired_.end()) {
        RetireAbsent(shown, options.absence_grace);
      } else if (!wanted->second.frozen) {
        Align(wanted->second, shown);
      }
    }
    std::stable_sort(steps_.begin(), steps_.end(), [](const auto& a, const auto& b) { return a.rank < b.rank; });
    std::vector<Step> steps;
    const size_t count = std::min(steps_.size(), static_cast<size_t>(options.steps_per_round_max));
    for (size_t i = 0; i < count; ++i) steps.push_back(std::move(steps_[i].step));
    return steps;
  }

 private:
  void Push(Rank rank, StepKind kind, DesiredServer server) {
    const auto held = memory_.held_until.find({kind, server.name});
    if (held != memory_.held_until.end() && now_ < held->second) return;
    steps_.push_back({rank, {kind, std::move(server)}});
  }

  void AddMissing() {
    std::set<std::string> shown;
    for (const ServerView& server : view_.servers) shown.insert(server.name);
    for (const auto& [name, server] : desired_) {
      if (!server.draining && !server.frozen && shown.count(name) == 0) Push(kGrow, StepKind::kAdd, server);
    }
  }

  void Align(const DesiredServer& wanted, const ServerView& shown) {
    if (shown.maintenance && !shown.half_added) return;
    if (IsElsewhere(wanted, shown)) {
      // Alone: what else is due waits until the server is known to lead to the right place.
      Push(kGrow, StepKind::kSetEndpoints, wanted);
      return;
    }
    if (shown.half_added) Push(kGrow, StepKind::kEnable, wanted);
    if (!wanted.draining && shown.draining) Push(kGrow, StepKind::kReady, wanted);
    AlignSettings(wanted, shown);
    if (wanted.draining && !shown.draining) DrainUnlessLast(wanted, shown);
  }

  bool IsElsewhere(const DesiredServer& wanted, const ServerView& shown) const {
    // An empty address: hidden from us, or a name that HAProxy resolves.
    if (shown.address.empty()) return false;
    const std::string& check = wanted.endpoints.check.empty() ? wanted.endpoints.data : wanted.endpoints.check;
    const bool moved = shown.address != wanted.endpoints.data;
    const bool check_moved = !shown.check_address.empty() && shown.check_address != check;
    return memory_.added.count(shown.name) != 0 ? moved || check_moved : moved && !shown.up;
  }

  void AlignSettings(const DesiredServer& wanted, const ServerView& shown) {
    if (wanted.weight != 0 && wanted.weight != shown.weight) Push(kChange, StepKind::kSetWeight, wanted);
    const bool unlimited = shown.session_count_max == 0;
    DesiredServer limited = wanted;
    if (limited.session_count_max == 0 && unlimited) limited.session_count_max = session_count_first_;
    const int64_t limit = limited.session_count_max;
    if (!view_.holds_slots || limit == 0 || limit == shown.session_count_max) return;
    const bool raise = !unlimited && limit > shown.session_count_max;
    Push(raise ? kRaise : kCut, StepKind::kSetLimit, std::move(limited));
  }

  void RetireAbsent(const ServerView& shown, absl::Duration grace) {
    const DesiredServer server{.name = shown.name, .draining = true};
    if (shown.draining || shown.maintenance) {
      const bool empty = shown.session_count == 0 && shown.queue_count == 0;
      if (empty && (shown.draining || IsLongAbsent(shown, grace))) {
        Push(kShrink, StepKind::kRemove, server);
      }
    } else if (IsLongAbsent(shown, grace)) {
      DrainUnlessLast(server, shown);
    }
  }

  bool IsLongAbsent(const ServerView& shown, absl::Duration grace) const {
    const auto since = memory_.absent_since.find(shown.name);
    return since != memory_.absent_since.end() && now_ - since->second >= grace;
  }

  void DrainUnlessLast(const DesiredServer& server, const ServerView& shown) {
    if (shown.IsServing()) {
      if (serving_count_ <= 1) return;
      --serving_count_;
    }
    Push(kShrink, StepKind::kDrain, server);
  }

  const DesiredServers& desired_;
  const BackendView& view_;
  const Memory& memory_;
  const absl::Time now_;
  int64_t session_count_first_ = 0;
  int64_t serving_count_ = 0;
  std::vector<RankedStep> steps_;
};

NewServer ToNewServer(const DesiredServer& server, int64_t session_count_first) {
  NewServer added{.name = server.name, .endpoints = server.endpoints};
  if (server.weight != 0) added.weight = server.weight;
  const int64_t limit = server.session_count_max != 0 ? server.session_count_max : session_count_first;
  if (limit != 0) added.session_count_max = limit;
  return added;
}

absl::Status Execute(HaproxyControl& control, const Step& step, int64_t session_count_first) {
  const DesiredServer& server = step.server;
  switch (step.kind) {
    case StepKind::kAdd:
      return control.Add(ToNewServer(server, session_count_first));
    case StepKind::kEnable:
      return control.Enable(server.name);
    case StepKind::kReady:
      return control.Ready(server.name);
    case StepKind::kSetEndpoints:
      return control.SetEndpoints(server.name, server.endpoints);
    case StepKind::kSetLimit:
      return control.SetServerLimit(server.name, server.session_count_max);
    case StepKind::kSetWeight:
      return control.SetWeight(server.name, server.weight);
    case StepKind::kDrain:
      return control.Drain(server.name);
    case StepKind::kRemove:
      return control.Remove(server.name);
  }
  return absl::InternalError("no such step");
}

}  // namespace

bool DesiredServer::operator==(const DesiredServer& other) const {
  return name == other.name && endpoints.data == other.endpoints.data && endpoints.check == other.endpoints.check &&
         draining == other.draining && session_count_max == other.session_count_max && weight == other.weight &&
         frozen == other.frozen;
}

absl::string_view Name(StepKind kind) {
  constexpr std::array<absl::string_view, 8> kNames = {"add",       "enable", "ready", "address",
                                                       "set-limit", "weight", "drain", "remove"};
  return kNames[static_cast<size_t>(kind)];
}

std::vector<Step> Plan(const DesiredServers& desired, const BackendView& view, const Memory& memory,
                       const ReconcileOptions& options, absl::Time now) {
  if (desired.empty()) return {};
  return Planner(desired, view, memory, now).Make(options);
}

void Reconciler::Remember(const DesiredServers& desired, const BackendView& view, absl::Time now) {
  if (memory_.life != view.life) memory_ = {.life = view.life};
  std::map<std::string, absl::Time> absent_since;
  for (const ServerView& shown : view.servers) {
    if (desired.count(shown.name) != 0) continue;
    const auto known = memory_.absent_since.find(shown.name);
    absent_since.emplace(shown.name, known == memory_.absent_since.end() ? now : known->second);
  }
  memory_.absent_since = std::move(absent_since);
  std::erase_if(memory_.held_until, [now](const auto& held) { return held.second <= now; });
}

std::vector<Outcome> Reconciler::Round(HaproxyControl& control, const DesiredServers& desired, const BackendView& view,
                                       absl::Time now) {
  Remember(desired, view, now);
  std::vector<Outcome> outcomes;
  for (Step& step : Plan(desired, view, memory_, options_, now)) {
    absl::Status status = Execute(control, step, options_.session_count_first);
    // A half-done addition is ours as well.
    if (step.kind == StepKind::kAdd && status.code() != absl::StatusCode::kAlreadyExists) {
      memory_.added.insert(step.server.name);
    }
    if (step.kind == StepKind::kRemove && status.ok()) memory_.added.erase(step.server.name);
    if (!status.ok()) memory_.held_until[{step.kind, step.server.name}] = now + options_.retry_pause;
    const bool gone = status.code() == absl::StatusCode::kUnavailable;
    outcomes.push_back({std::move(step), std::move(status)});
    if (gone) break;
  }
  return outcomes;
}

}  // namespace headroom::haproxy
