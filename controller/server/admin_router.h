#pragma once

#include <string>

#include "controller/server/clusters.h"
#include "headroom/v1/admin.grpc.pb.h"

namespace headroom {

// AdminRouter: the operators' end of the port. Leads each call to the AdminService of the cluster that it names, which
// checks who calls. Thread-safe; must outlive the server that it is registered with.
class AdminRouter final : public v1::AdminService::WithCallbackMethod_WatchDecisions<v1::AdminService::Service> {
 public:
  AdminRouter(const Clusters& clusters, std::string version) : clusters_(clusters), version_(std::move(version)) {}

  grpc::Status GetStatus(grpc::ServerContext*, const v1::GetStatusRequest*, v1::GetStatusResponse*) override;
  grpc::Status ListNodes(grpc::ServerContext*, const v1::ListNodesRequest*, v1::ListNodesResponse*) override;
  grpc::Status ListDecisions(grpc::ServerContext*, const v1::ListDecisionsRequest*,
                             v1::ListDecisionsResponse*) override;
  grpc::Status GetDecision(grpc::ServerContext*, const v1::GetDecisionRequest*, v1::GetDecisionResponse*) override;
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
  grpc::ServerWriteReactor<v1::WatchDecisionsResponse>* WatchDecisions(
      grpc::CallbackServerContext* context, const v1::WatchDecisionsRequest* request) override;

 private:
  template <typename Method, typename Request, typename Response>
  grpc::Status Lead(grpc::ServerContext* context, const Request* request, Response* response, Method method);

  const Clusters& clusters_;
  const std::string version_;
};

}  // namespace headroom
