#include "controller/server/admin_service.h"

#include <functional>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "controller/base/status.h"
#include "controller/core/fleet/fleet_summary.h"
#include "controller/core/nodes/learning.h"
#include "controller/server/admin_checks.h"
#include "controller/server/convert.h"
#include "controller/server/grpc_status.h"
#include "controller/server/undo.h"

namespace headroom {
namespace {

constexpr size_t kRequestIdMax = 128;
constexpr absl::Duration kSyncMax = absl::Milliseconds(500);

// What the mutating requests have in common.
template <typename Request>
absl::Status CheckCommon(const Request& request, ReasonRule rule) {
  HR_RETURN_IF_ERROR(CheckReason(request.reason(), rule));
  return CheckActor(request.actor());
}

absl::Status NothingToUndo(const v1::UndoDecisionRequest& request, const v1::UndoDecisionResponse& response) {
  if (response.not_undone().empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "decision ", request.sequence(), " changed no limit and drained no node, so there is nothing to undo"));
  }
  return absl::FailedPreconditionError(
      absl::StrJoin(response.not_undone(), " ",
                    [](std::string* out, const v1::Reason& reason) { absl::StrAppend(out, reason.text()); }));
}

}  // namespace

const AnswerMemory::Answer* AnswerMemory::Find(const std::string& key) const {
  const auto found = answers_.find(key);
  return found == answers_.end() ? nullptr : &found->second;
}

void AnswerMemory::Remember(const std::string& key, Answer answer) {
  if (order_.size() >= kAnswersMax) {
    answers_.erase(order_.front());
    order_.pop_front();
  }
  order_.push_back(key);
  answers_[key] = std::move(answer);
}

template <typename Request, typename Response>
grpc::Status AdminService::Once(grpc::ServerContext& context, const Request& request, Response* response,
                                absl::StatusOr<Response> (AdminService::*apply)(const Request&)) {
  if (absl::Status status = Begin(context, request.cluster()); !status.ok()) return ToGrpc(status);
  if (request.request_id().size() > kRequestIdMax) {
    return ToGrpc(absl::InvalidArgumentError(absl::StrCat("request_id: longer than ", kRequestIdMax, " bytes")));
  }
  absl::MutexLock lock(&mutate_mutex_);
  const std::string key = absl::StrCat(Request::descriptor()->name(), "/", request.request_id());
  const size_t hash = std::hash<std::string>()(request.SerializeAsString());
  if (const AnswerMemory::Answer* answer = answers_.Find(key); answer != nullptr) {
    if (answer->request_hash != hash) {
      return ToGrpc(absl::InvalidArgumentError("request_id: was used for another request; make a new one"));
    }
    response->ParseFromString(answer->response);
    return grpc::Status::OK;
  }
  absl::StatusOr<Response> result = (this->*apply)(request);
  if (!result.ok()) return ToGrpc(result.status());
  if (!request.request_id().empty() && !request.validate_only()) {
    answers_.Remember(key, {hash, result->SerializeAsString()});
  }
  *response = *std::move(result);
  return grpc::Status::OK;
}

absl::Status AdminService::Carry(Events events, const ControlLoop::Question& question) {
  for (Event& event : events) HR_RETURN_IF_ERROR(ports_.loop.Post(std::move(event)));
  HR_RETURN_IF_ERROR(Ask(question));
  if (!events.empty()) ports_.journal.Sync(kSyncMax).IgnoreError();
  return absl::OkStatus();
}

absl::StatusOr<v1::Node> AdminService::CarryNode(Events events, const std::string& node_id) {
  std::optional<v1::Node> node;
  const absl::Time now = ports_.clock.Now();
  HR_RETURN_IF_ERROR(Carry(std::move(events), [&](const Autoscaler& core) {
    const Node* found = core.fleet().Find(node_id);
    if (found != nullptr) node = headroom::ToWire(*found, core.policy(), now);
  }));
  if (node.has_value()) return *std::move(node);
  return absl::NotFoundError(absl::StrCat("node \"", node_id, "\" has just left"));
}

absl::StatusOr<v1::SetHoldResponse> AdminService::ApplyHold(const v1::SetHoldRequest& request) {
  HR_ASSIGN_OR_RETURN(const HoldDirection direction, CheckDirection(request.direction()));
  const bool lifts = direction == HoldDirection::kNone;
  HR_RETURN_IF_ERROR(CheckCommon(request, lifts ? ReasonRule::kOptional : ReasonRule::kRequired));
  HR_ASSIGN_OR_RETURN(const absl::Duration duration, CheckDuration(request.has_duration(), request.duration()));
  const absl::Time now = ports_.clock.Now();
  Events events;
  if (!request.validate_only()) {
    events.push_back(HoldChanged{direction, now + duration, request.reason(), request.actor()});
  }
  v1::SetHoldResponse response;
  HR_RETURN_IF_ERROR(Carry(std::move(events), [&](const Autoscaler& core) {
    for (const HoldChanged& hold : core.Save().holds) {
      if (hold.until > now) *response.add_holds() = headroom::ToWire(hold);
    }
  }));
  return response;
}

absl::StatusOr<v1::SetOverrideResponse> AdminService::ApplyOverride(const v1::SetOverrideRequest& request) {
  const bool lifts = request.nodes_min() == 0 && request.nodes_max() == 0 && request.nodes() == 0;
  HR_RETURN_IF_ERROR(CheckCommon(request, lifts ? ReasonRule::kOptional : ReasonRule::kRequired));
  HR_ASSIGN_OR_RETURN(const absl::Duration duration, CheckDuration(request.has_duration(), request.duration()));
  if (!lifts) HR_RETURN_IF_ERROR(CheckOverride(request, ports_.policy.config().policy.nodes));
  const absl::Time now = ports_.clock.Now();
  Events events;
  if (!request.validate_only()) {
    events.push_back(OverrideSet{request.nodes_min(), request.nodes_max(), request.nodes(), now + duration,
                                 request.reason(), request.actor()});
  }
  v1::SetOverrideResponse response;
  HR_RETURN_IF_ERROR(Carry(std::move(events), [&](const Autoscaler& core) {
    const auto& set = core.Save().override_set;
    const bool holds = set.has_value() && set->until > now && (set->nodes_min | set->nodes_max | set->nodes) != 0;
    if (holds) *response.mutable_override() = headroom::ToWire(*set);
  }));
  return response;
}

absl::StatusOr<v1::SetNodeLimitResponse> AdminService::ApplyNodeLimit(const v1::SetNodeLimitRequest& request) {
  const bool lifts = request.limit_count() == 0;
  HR_RETURN_IF_ERROR(CheckCommon(request, lifts ? ReasonRule::kOptional : ReasonRule::kRequired));
  HR_ASSIGN_OR_RETURN(const absl::Duration duration, CheckDuration(request.has_duration(), request.duration()));
  HR_RETURN_IF_ERROR(CheckNodeLimit(request.limit_count(), ports_.policy.config().policy.limits));
  HR_RETURN_IF_ERROR(FindNode(request.node_id()).status());
  Events events;
  if (!request.validate_only()) {
    events.push_back(NodeLimitFixed{request.node_id(), request.limit_count(), ports_.clock.Now() + duration,
                                    request.reason(), request.actor()});
  }
  v1::SetNodeLimitResponse response;
  HR_ASSIGN_OR_RETURN(*response.mutable_node(), CarryNode(std::move(events), request.node_id()));
  return response;
}

absl::StatusOr<v1::DrainNodeResponse> AdminService::ApplyDrain(const v1::DrainNodeRequest& request) {
  HR_RETURN_IF_ERROR(CheckCommon(request, ReasonRule::kRequired));
  HR_ASSIGN_OR_RETURN(const Node node, FindNode(request.node_id()));
  if (node.hypothetical) {
    return absl::FailedPreconditionError(
        absl::StrCat(node.id, " exists only in the dry run; there is nothing to drain"));
  }
  Events events;
  if (!request.validate_only()) {
    events.push_back(DrainRequested{request.node_id(), true, request.reason(), request.actor()});
  }
  v1::DrainNodeResponse response;
  HR_ASSIGN_OR_RETURN(*response.mutable_node(), CarryNode(std::move(events), request.node_id()));
  return response;
}

absl::StatusOr<v1::UndrainNodeResponse> AdminService::ApplyUndrain(const v1::UndrainNodeRequest& request) {
  HR_RETURN_IF_ERROR(CheckCommon(request, ReasonRule::kOptional));
  HR_ASSIGN_OR_RETURN(const Node node, FindNode(request.node_id()));
  const bool draining = node.state == NodeState::kDraining || node.state == NodeState::kDrained;
  if (!draining && !node.drained_by_operator) {
    return absl::FailedPreconditionError(
        absl::StrCat(node.id, " is ", NodeStateName(node.state), ", not draining; there is nothing to take back"));
  }
  Events events;
  if (!request.validate_only()) {
    events.push_back(DrainRequested{request.node_id(), false, request.reason(), request.actor()});
  }
  v1::UndrainNodeResponse response;
  HR_ASSIGN_OR_RETURN(*response.mutable_node(), CarryNode(std::move(events), request.node_id()));
  return response;
}

absl::StatusOr<v1::PinNodeResponse> AdminService::ApplyPin(const v1::PinNodeRequest& request) {
  HR_RETURN_IF_ERROR(CheckCommon(request, ReasonRule::kOptional));
  HR_RETURN_IF_ERROR(FindNode(request.node_id()).status());
  Events events;
  if (!request.validate_only()) {
    events.push_back(NodePinned{request.node_id(), request.pinned(), request.reason(), request.actor()});
  }
  v1::PinNodeResponse response;
  HR_ASSIGN_OR_RETURN(*response.mutable_node(), CarryNode(std::move(events), request.node_id()));
  return response;
}

absl::StatusOr<v1::UndoDecisionResponse> AdminService::ApplyUndo(const v1::UndoDecisionRequest& request) {
  HR_RETURN_IF_ERROR(CheckCommon(request, ReasonRule::kOptional));
  const absl::StatusOr<JournalEntry> entry = ports_.journal.FindDecision(request.sequence());
  if (absl::IsNotFound(entry.status())) {
    return absl::NotFoundError(absl::StrCat("decision ", request.sequence(),
                                            " is not in the journal; `headroomctl decisions` lists those that are"));
  }
  if (!entry.ok()) return Annotate(entry.status(), "read the decision from the journal");
  if (entry->decision.mode == Mode::kDryRun) {
    return absl::FailedPreconditionError(absl::StrCat(
        "decision ", request.sequence(), " was made in dry run and touched nothing, so there is nothing to undo"));
  }
  const absl::Time now = ports_.clock.Now();
  Undo undo;
  HR_RETURN_IF_ERROR(
      Ask([&](const Autoscaler& core) { undo = PlanUndo(entry->decision, core.fleet(), request, now); }));
  if (undo.events.empty()) return NothingToUndo(request, undo.response);
  if (!request.validate_only()) {
    HR_RETURN_IF_ERROR(Carry(std::move(undo.events), [](const Autoscaler&) {}));
  }
  return std::move(undo.response);
}

absl::StatusOr<v1::ApplyPolicyResponse> AdminService::ApplyNewPolicy(const v1::ApplyPolicyRequest& request) {
  HR_RETURN_IF_ERROR(CheckCommon(request, ReasonRule::kOptional));
  HR_ASSIGN_OR_RETURN(const PolicyKeeper::Change change, request.validate_only()
                                                             ? ports_.policy.Check(request.yaml(), "policy")
                                                             : ports_.policy.Apply(request.yaml(), "policy"));
  if (!request.validate_only()) {
    HR_RETURN_IF_ERROR(Ask([](const Autoscaler&) {}));
    ports_.journal.Sync(kSyncMax).IgnoreError();
  }
  v1::ApplyPolicyResponse response;
  *response.mutable_policy() = change.config.message;
  for (const std::string& line : change.changes) response.add_changes(line);
  return response;
}

absl::Status AdminService::ReadTrial(v1::SetModeResponse& response) const {
  constexpr int kShown = 5;
  const std::shared_ptr<const Decision> latest = ports_.loop.Latest();
  const absl::Time now = ports_.clock.Now();
  HR_RETURN_IF_ERROR(Ask([&](const Autoscaler& core) {
    response.set_mode_before(headroom::ToWire(core.policy().mode));
    *response.mutable_trial() = headroom::ToWire(core.Save().trial);
    if (latest == nullptr) return;
    const Learning learning = LearningOf(core, latest->demands, now);
    for (const Reason& open : learning.open) *response.add_learning() = headroom::ToWire(open, Rendering::kSentences);
    response.set_learning_of(learning.total);
  }));
  const auto entries = ports_.journal.Decisions({.count = kShown, .only_acting = true});
  if (!entries.ok()) return absl::OkStatus();  // a journal that fails keeps nobody from stopping the controller
  for (const JournalEntry& entry : *entries)
    *response.add_decisions() = headroom::ToWire(entry.decision, Rendering::kSentences);
  return absl::OkStatus();
}

absl::StatusOr<v1::SetModeResponse> AdminService::ApplyMode(const v1::SetModeRequest& request) {
  HR_ASSIGN_OR_RETURN(const Mode mode, CheckMode(request.mode()));
  HR_RETURN_IF_ERROR(CheckCommon(request, request.validate_only() ? ReasonRule::kOptional : ReasonRule::kRequired));
  v1::SetModeResponse response;
  HR_RETURN_IF_ERROR(ReadTrial(response));
  Events events;
  if (!request.validate_only() && request.mode() != response.mode_before()) {
    events.push_back(ModeChosen{mode, ports_.policy.config().policy.mode, request.reason(), request.actor()});
  }
  const absl::Time now = ports_.clock.Now();
  HR_RETURN_IF_ERROR(Carry(std::move(events), [&](const Autoscaler& core) {
    response.set_mode(headroom::ToWire(core.policy().mode));
    response.set_term(core.Save().term);
    response.set_leaving_count(Summarize(core.fleet(), core.policy(), now).Leaving());
  }));
  return response;
}

grpc::Status AdminService::SetHold(grpc::ServerContext* context, const v1::SetHoldRequest* request,
                                   v1::SetHoldResponse* response) {
  return Once(*context, *request, response, &AdminService::ApplyHold);
}
grpc::Status AdminService::SetOverride(grpc::ServerContext* context, const v1::SetOverrideRequest* request,
                                       v1::SetOverrideResponse* response) {
  return Once(*context, *request, response, &AdminService::ApplyOverride);
}
grpc::Status AdminService::SetNodeLimit(grpc::ServerContext* context, const v1::SetNodeLimitRequest* request,
                                        v1::SetNodeLimitResponse* response) {
  return Once(*context, *request, response, &AdminService::ApplyNodeLimit);
}
grpc::Status AdminService::DrainNode(grpc::ServerContext* context, const v1::DrainNodeRequest* request,
                                     v1::DrainNodeResponse* response) {
  return Once(*context, *request, response, &AdminService::ApplyDrain);
}
grpc::Status AdminService::UndrainNode(grpc::ServerContext* context, const v1::UndrainNodeRequest* request,
                                       v1::UndrainNodeResponse* response) {
  return Once(*context, *request, response, &AdminService::ApplyUndrain);
}
grpc::Status AdminService::PinNode(grpc::ServerContext* context, const v1::PinNodeRequest* request,
                                   v1::PinNodeResponse* response) {
  return Once(*context, *request, response, &AdminService::ApplyPin);
}
grpc::Status AdminService::UndoDecision(grpc::ServerContext* context, const v1::UndoDecisionRequest* request,
                                        v1::UndoDecisionResponse* response) {
  return Once(*context, *request, response, &AdminService::ApplyUndo);
}
grpc::Status AdminService::SetMode(grpc::ServerContext* context, const v1::SetModeRequest* request,
                                   v1::SetModeResponse* response) {
  return Once(*context, *request, response, &AdminService::ApplyMode);
}
grpc::Status AdminService::ApplyPolicy(grpc::ServerContext* context, const v1::ApplyPolicyRequest* request,
                                       v1::ApplyPolicyResponse* response) {
  return Once(*context, *request, response, &AdminService::ApplyNewPolicy);
}

}  // namespace headroom
