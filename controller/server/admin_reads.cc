#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

#include "controller/base/near_match.h"
#include "controller/base/status.h"
#include "controller/core/fleet/fleet_summary.h"
#include "controller/core/nodes/learning.h"
#include "controller/server/admin_service.h"
#include "controller/server/convert.h"
#include "controller/server/grpc_status.h"

namespace headroom {
namespace {

constexpr absl::Duration kAskTimeout = absl::Seconds(2);
constexpr int kNodesPage = 1000;
constexpr int kNodesPageMax = 5000;
constexpr int kDecisionsPage = 50;
constexpr int kDecisionsPageMax = 500;

bool Exists(const Node& node) {
  return !node.hypothetical;
}

// The dry run's world: what it would have added is there, what it would have removed is not.
bool WouldExist(const Node& node) {
  return !node.shadow_gone;
}

v1::NodeCounts CountNodes(const Autoscaler& core, absl::Time now, bool (*counts)(const Node&)) {
  v1::NodeCounts out;
  for (const auto& [id, node] : core.fleet().nodes()) {
    if (!counts(node)) continue;
    const bool silent = !node.hypothetical && now - node.last_report_at > core.policy().control.silent_after;
    switch (node.state) {
      case NodeState::kLaunching:
      case NodeState::kJoining:
        out.set_launching(out.launching() + 1);
        break;
      case NodeState::kServing:
        silent ? out.set_silent(out.silent() + 1) : out.set_serving(out.serving() + 1);
        break;
      case NodeState::kRestarting:
        out.set_restarting(out.restarting() + 1);
        break;
      case NodeState::kLost:
        out.set_silent(out.silent() + 1);
        break;
      case NodeState::kDraining:
      case NodeState::kDrained:
      case NodeState::kTerminating:
        out.set_draining(out.draining() + 1);
        break;
    }
  }
  return out;
}

// The reason of the first thing that a decision did.
const Reason* FirstAct(const Decision& decision) {
  for (const Action& action : decision.actions) {
    Decision alone;
    alone.actions = {action};
    if (Acts(alone)) return &action.reason;
  }
  return nullptr;
}

void SetSums(const FleetSummary& summary, v1::GetStatusResponse* out) {
  out->set_open_count(summary.open);
  out->set_active_count(summary.active);
  out->set_waiting_count(summary.waiting);
  out->set_limit_count(summary.limit);
  out->set_requests_per_second(summary.completed);
  out->set_errors_per_second(summary.errors);
}

void SetBounds(const Autoscaler& core, absl::Time now, v1::GetStatusResponse* out) {
  const State& state = core.Save();
  const bool overridden = state.override_set.has_value() && state.override_set->until > now;
  if (overridden) *out->mutable_override() = ToWire(*state.override_set);
  const OverrideSet bounds = overridden ? *state.override_set : OverrideSet{};
  out->set_nodes_min(bounds.nodes_min > 0 ? bounds.nodes_min : core.policy().nodes.min);
  out->set_nodes_max(bounds.nodes_max > 0 ? bounds.nodes_max : core.policy().nodes.max);
  for (const HoldChanged& hold : state.holds) {
    if (hold.until > now) *out->add_holds() = ToWire(hold);
  }
}

void SetState(const Autoscaler& core, absl::Time now, v1::GetStatusResponse* out) {
  const State& state = core.Save();
  out->set_cluster(core.policy().cluster);
  out->set_mode(ToWire(core.policy().mode));
  out->set_term(state.term);
  out->set_leader(true);
  out->set_journal(state.journal_error.empty() ? "ok" : state.journal_error);
  *out->mutable_nodes() = CountNodes(core, now, Exists);
  if (core.policy().mode == Mode::kDryRun) *out->mutable_hypothetical() = CountNodes(core, now, WouldExist);
  const FleetSummary summary = Summarize(core.fleet(), core.policy(), now);
  SetSums(summary, out);
  if (core.policy().limits.budget_count > 0) out->set_budget_count(summary.limit);
  SetBounds(core, now, out);
}

void SetLatest(const Decision& decision, v1::GetStatusResponse* out) {
  SetTime(decision.at, out->mutable_last_tick_time());
  out->set_desired_count(decision.desired_count);
  *out->mutable_diagnosis() = ToWire(decision.diagnosis, Rendering::kSentences);
  for (const Reason& alarm : decision.alarms) *out->add_alarms() = ToWire(alarm, Rendering::kSentences);
}

void SetLearning(const Autoscaler& core, const Decision& latest, absl::Time now, v1::GetStatusResponse* out) {
  const Learning learning = LearningOf(core, latest.demands, now);
  for (const Reason& open : learning.open) *out->add_learning() = ToWire(open, Rendering::kSentences);
  out->set_learning_of(learning.total);
  *out->mutable_trial() = ToWire(core.Save().trial);
}

absl::StatusOr<int> PageSize(int32_t asked, int usual, int max) {
  if (asked < 0) return absl::InvalidArgumentError(absl::StrCat("page_size: ", asked, " is negative"));
  return asked == 0 ? usual : std::min<int>(asked, max);
}

v1::Decision ToWire(const JournalEntry& entry) {
  v1::Decision out = headroom::ToWire(entry.decision, Rendering::kSentences);
  SetTime(entry.until, out.mutable_until_time());
  return out;
}

}  // namespace

absl::Status AdminService::Begin(grpc::ServerContextBase& context, const std::string& cluster) const {
  context.AddTrailingMetadata(kVersionKey, ports_.version);
  HR_RETURN_IF_ERROR(ports_.access.MayOperate(*context.auth_context()));
  const std::string ours = ports_.policy.config().policy.cluster;
  if (cluster.empty() || cluster == ours) return absl::OkStatus();
  return absl::NotFoundError(
      absl::StrCat("cluster \"", cluster, "\" is not here; this controller serves \"", ours, "\""));
}

absl::Status AdminService::Ask(const ControlLoop::Question& question) const {
  const absl::Status asked = ports_.loop.Ask(question, kAskTimeout);
  if (asked.ok()) return asked;
  return absl::UnavailableError(
      absl::StrCat("the control loop does not answer (", asked.message(), "); see the log of headroomd and try again"));
}

grpc::Status AdminService::GetStatus(grpc::ServerContext* context, const v1::GetStatusRequest* request,
                                     v1::GetStatusResponse* out) {
  if (absl::Status status = Begin(*context, request->cluster()); !status.ok()) return ToGrpc(status);
  absl::StatusOr<v1::GetStatusResponse> status = ReadStatus();
  if (status.ok()) *out = *std::move(status);
  return ToGrpc(status.status());
}

absl::StatusOr<v1::GetStatusResponse> AdminService::ReadStatus() const {
  v1::GetStatusResponse out;
  const absl::Time now = ports_.clock.Now();
  const auto latest = ports_.loop.Latest();
  const auto read = [&](const Autoscaler& core) {
    SetState(core, now, &out);
    if (latest != nullptr) SetLearning(core, *latest, now, &out);
  };
  HR_RETURN_IF_ERROR(Ask(read));
  if (latest != nullptr) SetLatest(*latest, &out);
  if (const auto acting = ports_.feed.last_acting(); acting != nullptr) {
    *out.mutable_last_action() = headroom::ToWire(*FirstAct(*acting), Rendering::kSentences);
    SetTime(acting->at, out.mutable_last_action_time());
  }
  for (const std::string& fault : ports_.policy.faults()) out.add_policy_faults(fault);
  out.set_version(ports_.version);
  return out;
}

grpc::Status AdminService::ListNodes(grpc::ServerContext* context, const v1::ListNodesRequest* request,
                                     v1::ListNodesResponse* out) {
  if (absl::Status status = Begin(*context, request->cluster()); !status.ok()) return ToGrpc(status);
  const absl::StatusOr<int> size = PageSize(request->page_size(), kNodesPage, kNodesPageMax);
  if (!size.ok()) return ToGrpc(size.status());
  const absl::Time now = ports_.clock.Now();
  return ToGrpc(Ask([&](const Autoscaler& core) {
    const auto& nodes = core.fleet().nodes();
    // The token is the last id of the page before, so that nodes that come and go move nobody else.
    for (auto it = nodes.upper_bound(request->page_token()); it != nodes.end(); ++it) {
      if (out->nodes_size() == *size) {
        out->set_next_page_token(out->nodes(*size - 1).node_id());
        return;
      }
      *out->add_nodes() = headroom::ToWire(it->second, core.policy(), now);
    }
  }));
}

grpc::Status AdminService::ListDecisions(grpc::ServerContext* context, const v1::ListDecisionsRequest* request,
                                         v1::ListDecisionsResponse* out) {
  if (absl::Status status = Begin(*context, request->cluster()); !status.ok()) return ToGrpc(status);
  const absl::StatusOr<int> size = PageSize(request->page_size(), kDecisionsPage, kDecisionsPageMax);
  if (!size.ok()) return ToGrpc(size.status());
  Journal::Page page{.count = *size, .only_acting = request->only_acting()};
  if (!request->page_token().empty() && !absl::SimpleAtoi(request->page_token(), &page.before_sequence)) {
    return ToGrpc(absl::InvalidArgumentError("page_token: send what the page before gave as next_page_token"));
  }
  if (request->has_since_time()) page.since = FromWire(request->since_time());
  const absl::StatusOr<std::vector<JournalEntry>> entries = ports_.journal.Decisions(page);
  if (!entries.ok()) return ToGrpc(Annotate(entries.status(), "read decisions from the journal"));
  for (const JournalEntry& entry : *entries) *out->add_decisions() = ToWire(entry);
  if (static_cast<int>(entries->size()) == *size) {
    out->set_next_page_token(absl::StrCat(entries->back().decision.sequence));
  }
  return grpc::Status::OK;
}

grpc::Status AdminService::GetDecision(grpc::ServerContext* context, const v1::GetDecisionRequest* request,
                                       v1::GetDecisionResponse* out) {
  if (absl::Status status = Begin(*context, request->cluster()); !status.ok()) return ToGrpc(status);
  const auto latest = ports_.loop.Latest();
  const bool newest = latest != nullptr && (request->sequence() == 0 || request->sequence() == latest->sequence);
  if (newest) {
    *out->mutable_decision() = headroom::ToWire(*latest, Rendering::kSentences);
    return grpc::Status::OK;
  }
  if (request->sequence() == 0) {
    return ToGrpc(absl::FailedPreconditionError("no decision was made yet; try again in a second"));
  }
  const absl::StatusOr<JournalEntry> entry = ports_.journal.FindDecision(request->sequence());
  if (absl::IsNotFound(entry.status())) {
    return ToGrpc(absl::NotFoundError(
        absl::StrCat("decision ", request->sequence(),
                     " is not in the journal (any more); `headroomctl decisions` lists those that are")));
  }
  if (!entry.ok()) return ToGrpc(Annotate(entry.status(), "read the decision from the journal"));
  *out->mutable_decision() = ToWire(*entry);
  return grpc::Status::OK;
}

grpc::Status AdminService::GetPolicy(grpc::ServerContext* context, const v1::GetPolicyRequest* request,
                                     v1::GetPolicyResponse* out) {
  if (absl::Status status = Begin(*context, request->cluster()); !status.ok()) return ToGrpc(status);
  *out->mutable_policy() = ports_.policy.config().message;
  out->set_yaml(ports_.policy.yaml());
  // An operator may have chosen another mode than the text's.
  return ToGrpc(Ask([&](const Autoscaler& core) { out->mutable_policy()->set_mode(ToWire(core.policy().mode)); }));
}

absl::StatusOr<Node> AdminService::FindNode(const std::string& node_id) const {
  if (node_id.empty()) return absl::InvalidArgumentError("node_id: say which node");
  std::optional<Node> found;
  std::vector<std::string> known;
  HR_RETURN_IF_ERROR(Ask([&](const Autoscaler& core) {
    if (const Node* node = core.fleet().Find(node_id); node != nullptr) {
      found = *node;
    } else {
      for (const auto& [id, other] : core.fleet().nodes()) known.push_back(id);
    }
  }));
  if (found.has_value()) return *std::move(found);
  return absl::NotFoundError(
      absl::StrCat("there is no node \"", node_id, "\"", DidYouMean(NearMatches(node_id, known))));
}

}  // namespace headroom
