#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

#include "controller/base/clock.h"
#include "controller/runtime/control_loop.h"
#include "controller/runtime/journal.h"
#include "controller/server/access.h"
#include "controller/server/decision_feed.h"
#include "controller/server/policy_keeper.h"
#include "headroom/v1/admin.grpc.pb.h"

namespace headroom {

// AnswerMemory: the answers to mutating calls by request id, so that a call that is sent twice is done once. Bounded:
// the oldest are forgotten. Thread-compatible.
class AnswerMemory {
 public:
  static constexpr size_t kAnswersMax = 1000;
  struct Answer {
    size_t request_hash = 0;  // a request may be megabytes long
    std::string response;     // serialized
  };
  // Null: not seen, or forgotten.
  const Answer* Find(const std::string& key) const;
  void Remember(const std::string& key, Answer answer);

 private:
  std::map<std::string, Answer> answers_;
  std::list<std::string> order_;  // oldest first
};

// AdminService: what operators see and do. Reads are questions to the loop or the journal; a mutation is checked,
// posted as an event, and answered when the loop has observed it and the journal has it, with the state that it led to.
// `validate_only` runs the same checks and posts nothing. Mutations run one after the other: operators are few, and two
// at once would each check a state that the other changes. Every error is one sentence that says what to do.
// Thread-safe. Watching takes no thread per watcher.
class AdminService final : public v1::AdminService::WithCallbackMethod_WatchDecisions<v1::AdminService::Service> {
 public:
  // In the trailing metadata of every answer, errors included: who has it was answered by headroomd and not by the
  // network.
  static constexpr char kVersionKey[] = "headroomd-version";

  struct Ports {
    const Access& access;
    ControlLoop& loop;
    Journal& journal;
    PolicyKeeper& policy;
    DecisionFeed& feed;
    const Clock& clock;  // the core's
    std::string version;
  };
  explicit AdminService(Ports ports) : ports_(std::move(ports)) {}

  // What GetStatus answers.
  absl::StatusOr<v1::GetStatusResponse> ReadStatus() const;

  grpc::Status GetStatus(grpc::ServerContext*, const v1::GetStatusRequest*, v1::GetStatusResponse*) override;
  grpc::Status ListNodes(grpc::ServerContext*, const v1::ListNodesRequest*, v1::ListNodesResponse*) override;
  grpc::Status ListDecisions(grpc::ServerContext*, const v1::ListDecisionsRequest*,
                             v1::ListDecisionsResponse*) override;
  grpc::Status GetDecision(grpc::ServerContext*, const v1::GetDecisionRequest*, v1::GetDecisionResponse*) override;
  grpc::ServerWriteReactor<v1::WatchDecisionsResponse>* WatchDecisions(
      grpc::CallbackServerContext*, const v1::WatchDecisionsRequest* request) override;
  grpc::Status SetHold(grpc::ServerContext*, const v1::SetHoldRequest*, v1::SetHoldResponse*) override;
  grpc::Status SetOverride(grpc::ServerContext*, const v1::SetOverrideRequest*, v1::SetOverrideResponse*) override;
  grpc::Status SetNodeLimit(grpc::ServerContext*, const v1::SetNodeLimitRequest*, v1::SetNodeLimitResponse*) override;
  grpc::Status DrainNode(grpc::ServerContext*, const v1::DrainNodeRequest*, v1::DrainNodeResponse*) override;
  grpc::Status UndrainNode(grpc::ServerContext*, const v1::UndrainNodeRequest*, v1::UndrainNodeResponse*) override;
  grpc::Status PinNode(grpc::ServerContext*, const v1::PinNodeRequest*, v1::PinNodeResponse*) override;
  grpc::Status UndoDecision(grpc::ServerContext*, const v1::UndoDecisionRequest*, v1::UndoDecisionResponse*) override;
  grpc::Status ApplyPolicy(grpc::ServerContext*, const v1::ApplyPolicyRequest*, v1::ApplyPolicyResponse*) override;
  grpc::Status SetMode(grpc::ServerContext*, const v1::SetModeRequest*, v1::SetModeResponse*) override;
  grpc::Status GetPolicy(grpc::ServerContext*, const v1::GetPolicyRequest*, v1::GetPolicyResponse*) override;

 private:
  // What a mutation is, checked: the events that carry it out.
  using Events = std::vector<Event>;

  // Runs `apply` unless this request id was answered before. One mutation at a time.
  template <typename Request, typename Response>
  grpc::Status Once(grpc::ServerContext& context, const Request& request, Response* response,
                    absl::StatusOr<Response> (AdminService::*apply)(const Request&));
  absl::StatusOr<v1::SetHoldResponse> ApplyHold(const v1::SetHoldRequest& request);
  absl::StatusOr<v1::SetOverrideResponse> ApplyOverride(const v1::SetOverrideRequest& request);
  absl::StatusOr<v1::SetNodeLimitResponse> ApplyNodeLimit(const v1::SetNodeLimitRequest& request);
  absl::StatusOr<v1::DrainNodeResponse> ApplyDrain(const v1::DrainNodeRequest& request);
  absl::StatusOr<v1::UndrainNodeResponse> ApplyUndrain(const v1::UndrainNodeRequest& request);
  absl::StatusOr<v1::PinNodeResponse> ApplyPin(const v1::PinNodeRequest& request);
  absl::StatusOr<v1::UndoDecisionResponse> ApplyUndo(const v1::UndoDecisionRequest& request);
  absl::StatusOr<v1::SetModeResponse> ApplyMode(const v1::SetModeRequest& request);
  absl::Status ReadTrial(v1::SetModeResponse& response) const;
  absl::StatusOr<v1::ApplyPolicyResponse> ApplyNewPolicy(const v1::ApplyPolicyRequest& request);

  // What every call begins with: puts kVersionKey into the answer, checks who calls and that the cluster is ours.
  absl::Status Begin(grpc::ServerContextBase& context, const std::string& cluster) const;
  // Runs on the loop, between ticks.
  absl::Status Ask(const ControlLoop::Question& question) const;
  // Posts all of them and returns when they were observed, with what `question` says of the state then, and are on
  // disk. A disk that does not answer stops no operator: the status of the cluster tells of it.
  absl::Status Carry(Events events, const ControlLoop::Question& question);
  // NOT_FOUND names near matches.
  absl::StatusOr<Node> FindNode(const std::string& node_id) const;
  absl::StatusOr<v1::Node> CarryNode(Events events, const std::string& node_id);

  Ports ports_;
  absl::Mutex mutate_mutex_;
  AnswerMemory answers_ ABSL_GUARDED_BY(mutate_mutex_);
};

}  // namespace headroom
