#include "controller/server/admin_router.h"

#include <memory>

#include "controller/server/cluster.h"
#include "controller/server/grpc_status.h"

namespace headroom {
namespace {

// Says one thing and ends.
class Refusal final : public grpc::ServerWriteReactor<v1::WatchDecisionsResponse> {
 public:
  explicit Refusal(const absl::Status& status) { Finish(ToGrpc(status)); }
  void OnDone() override { delete this; }
};

}  // namespace

template <typename Method, typename Request, typename Response>
grpc::Status AdminRouter::Lead(grpc::ServerContext* context, const Request* request, Response* response,
                               Method method) {
  const absl::StatusOr<std::shared_ptr<Cluster>> cluster = clusters_.Find(request->cluster());
  if (cluster.ok()) return ((*cluster)->admin().*method)(context, request, response);
  context->AddTrailingMetadata(AdminService::kVersionKey, version_);
  return ToGrpc(cluster.status());
}

grpc::Status AdminRouter::GetStatus(grpc::ServerContext* context, const v1::GetStatusRequest* request,
                                    v1::GetStatusResponse* response) {
  return Lead(context, request, response, &AdminService::GetStatus);
}

grpc::Status AdminRouter::ListNodes(grpc::ServerContext* context, const v1::ListNodesRequest* request,
                                    v1::ListNodesResponse* response) {
  return Lead(context, request, response, &AdminService::ListNodes);
}

grpc::Status AdminRouter::ListDecisions(grpc::ServerContext* context, const v1::ListDecisionsRequest* request,
                                        v1::ListDecisionsResponse* response) {
  return Lead(context, request, response, &AdminService::ListDecisions);
}

grpc::Status AdminRouter::GetDecision(grpc::ServerContext* context, const v1::GetDecisionRequest* request,
                                      v1::GetDecisionResponse* response) {
  return Lead(context, request, response, &AdminService::GetDecision);
}

grpc::Status AdminRouter::SetHold(grpc::ServerContext* context, const v1::SetHoldRequest* request,
                                  v1::SetHoldResponse* response) {
  return Lead(context, request, response, &AdminService::SetHold);
}

grpc::Status AdminRouter::SetOverride(grpc::ServerContext* context, const v1::SetOverrideRequest* request,
                                      v1::SetOverrideResponse* response) {
  return Lead(context, request, response, &AdminService::SetOverride);
}

grpc::Status AdminRouter::SetNodeLimit(grpc::ServerContext* context, const v1::SetNodeLimitRequest* request,
                                       v1::SetNodeLimitResponse* response) {
  return Lead(context, request, response, &AdminService::SetNodeLimit);
}

grpc::Status AdminRouter::DrainNode(grpc::ServerContext* context, const v1::DrainNodeRequest* request,
                                    v1::DrainNodeResponse* response) {
  return Lead(context, request, response, &AdminService::DrainNode);
}

grpc::Status AdminRouter::UndrainNode(grpc::ServerContext* context, const v1::UndrainNodeRequest* request,
                                      v1::UndrainNodeResponse* response) {
  return Lead(context, request, response, &AdminService::UndrainNode);
}

grpc::Status AdminRouter::PinNode(grpc::ServerContext* context, const v1::PinNodeRequest* request,
                                  v1::PinNodeResponse* response) {
  return Lead(context, request, response, &AdminService::PinNode);
}

grpc::Status AdminRouter::UndoDecision(grpc::ServerContext* context, const v1::UndoDecisionRequest* request,
                                       v1::UndoDecisionResponse* response) {
  return Lead(context, request, response, &AdminService::UndoDecision);
}

grpc::Status AdminRouter::ApplyPolicy(grpc::ServerContext* context, const v1::ApplyPolicyRequest* request,
                                      v1::ApplyPolicyResponse* response) {
  return Lead(context, request, response, &AdminService::ApplyPolicy);
}

grpc::Status AdminRouter::SetMode(grpc::ServerContext* context, const v1::SetModeRequest* request,
                                  v1::SetModeResponse* response) {
  return Lead(context, request, response, &AdminService::SetMode);
}

grpc::Status AdminRouter::GetPolicy(grpc::ServerContext* context, const v1::GetPolicyRequest* request,
                                    v1::GetPolicyResponse* response) {
  return Lead(context, request, response, &AdminService::GetPolicy);
}

grpc::ServerWriteReactor<v1::WatchDecisionsResponse>* AdminRouter::WatchDecisions(
    grpc::CallbackServerContext* context, const v1::WatchDecisionsRequest* request) {
  const absl::StatusOr<std::shared_ptr<Cluster>> cluster = clusters_.Find(request->cluster());
  if (cluster.ok()) return (*cluster)->admin().WatchDecisions(context, request);
  context->AddTrailingMetadata(AdminService::kVersionKey, version_);
  return new Refusal(cluster.status());
}

}  // namespace headroom
