#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include <grpcpp/security/auth_context.h>

#include "headroom/v1/load.pb.h"

namespace headroom {

// Who makes a call, as the certificate says: the one URI spiffe://headroom/CLUSTER/ROLE/NAME of its subjectAltName.
struct Caller {
  enum class Role { kNode, kBalancer, kOperator, kAdmin };
  std::string cluster;
  Role role = Role::kNode;
  std::string name;  // of a node or balancer: its reporter_id
};
absl::string_view RoleName(Caller::Role role);  // as in the URI
// INVALID_ARGUMENT: it is another URI, or none of ours.
absl::StatusOr<Caller> ParseCaller(absl::string_view uri);

// Access: who may make which call on the port of nodes and operators. The only place that decides it, anew for each
// call, from the connection's certificate and nothing that the caller says. Thread-safe.
class Access {
 public:
  // kAnybody: the port is plaintext, whoever reaches it may do everything.
  enum class Rule { kAnybody, kByCertificate };
  Access(Rule rule, std::string cluster) : rule_(rule), cluster_(std::move(cluster)) {}

  // PERMISSION_DENIED, in one sentence, unless the certificate is that of the node or balancer that the hello is of.
  absl::Status MayReport(const grpc::AuthContext& connection, const v1::Hello& hello) const;
  // PERMISSION_DENIED, in one sentence, unless the certificate is an operator's or an admin's of this cluster.
  absl::Status MayOperate(const grpc::AuthContext& connection) const;

 private:
  absl::StatusOr<Caller> Identify(const grpc::AuthContext& connection) const;

  const Rule rule_;
  const std::string cluster_;
};

}  // namespace headroom
