#include "controller/server/access.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include <grpc/grpc_security_constants.h>

#include "controller/base/status.h"

namespace headroom {
namespace {

constexpr absl::string_view kOurUris = "spiffe://headroom/";
constexpr size_t kNameBytesMax = 253;
constexpr std::array<std::pair<absl::string_view, Caller::Role>, 4> kRoles = {{{"node", Caller::Role::kNode},
                                                                               {"balancer", Caller::Role::kBalancer},
                                                                               {"operator", Caller::Role::kOperator},
                                                                               {"admin", Caller::Role::kAdmin}}};

bool IsName(absl::string_view text) {
  return !text.empty() && text.size() <= kNameBytesMax && std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || absl::StrContains("._-@+", c);
  });
}

absl::Status Denied(const std::string& text) {
  return absl::PermissionDeniedError(text);
}

std::string Described(const Caller& caller) {
  return absl::StrCat("the certificate is that of ", RoleName(caller.role), " \"", caller.name, "\"");
}

}  // namespace

absl::string_view RoleName(Caller::Role role) {
  return kRoles[static_cast<size_t>(role)].first;
}

absl::StatusOr<Caller> ParseCaller(absl::string_view uri) {
  if (absl::ConsumePrefix(&uri, kOurUris)) {
    const std::vector<absl::string_view> parts = absl::StrSplit(uri, '/');
    const auto* const role = std::find_if(
        kRoles.begin(), kRoles.end(), [&](const auto& known) { return parts.size() == 3 && known.first == parts[1]; });
    if (role != kRoles.end() && IsName(parts[0]) && IsName(parts[2])) {
      return Caller{std::string(parts[0]), role->second, std::string(parts[2])};
    }
  }
  return absl::InvalidArgumentError(
      "no URI like spiffe://headroom/CLUSTER/ROLE/NAME with the role node, balancer, operator or admin");
}

absl::StatusOr<Caller> Access::Identify(const grpc::AuthContext& connection) const {
  std::vector<std::string> uris;
  if (connection.IsPeerAuthenticated()) {
    for (const grpc::string_ref& uri : connection.FindPropertyValues(GRPC_PEER_URI_PROPERTY_NAME)) {
      if (absl::StartsWith({uri.data(), uri.size()}, kOurUris)) uris.emplace_back(uri.data(), uri.size());
    }
  }
  const absl::StatusOr<Caller> caller = uris.size() == 1 ? ParseCaller(uris.front()) : absl::InvalidArgumentError("");
  if (!caller.ok()) {
    return Denied(absl::StrCat("the certificate says not who this is; it needs one URI in its subjectAltName, like ",
                               kOurUris, cluster_, "/node/NODE-ID or ", kOurUris, cluster_, "/operator/NAME"));
  }
  if (caller->cluster != cluster_) {
    return Denied(absl::StrCat(Described(*caller), " of cluster \"", caller->cluster, "\"; this controller serves \"",
                               cluster_, "\""));
  }
  return caller;
}

absl::Status Access::MayReport(const grpc::AuthContext& connection, const v1::Hello& hello) const {
  if (rule_ == Rule::kAnybody) return absl::OkStatus();
  HR_ASSIGN_OR_RETURN(const Caller caller, Identify(connection));
  const bool is_balancer = hello.role() == v1::ROLE_BALANCER;
  const Caller::Role role = is_balancer ? Caller::Role::kBalancer : Caller::Role::kNode;
  if (caller.role == role && caller.name == hello.reporter_id()) return absl::OkStatus();
  return Denied(absl::StrCat(Described(caller), ", who may not report as ", RoleName(role), " \"",
                             hello.reporter_id().substr(0, kNameBytesMax), "\"; ",
                             caller.role == role ? "give it this name, or a certificate of its own"
                                                 : "give it a certificate of that role and name"));
}

absl::Status Access::MayOperate(const grpc::AuthContext& connection) const {
  if (rule_ == Rule::kAnybody) return absl::OkStatus();
  HR_ASSIGN_OR_RETURN(const Caller caller, Identify(connection));
  if (caller.role == Caller::Role::kOperator || caller.role == Caller::Role::kAdmin) return absl::OkStatus();
  return Denied(absl::StrCat(Described(caller),
                             ", who may only report; operators have certificates of the role operator or admin"));
}

}  // namespace headroom
