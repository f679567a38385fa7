#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include <unistd.h>

#include "controller/base/status.h"
#include "controller/providers/kubernetes/access.h"
#include "controller/providers/kubernetes/secret_file.h"

namespace headroom::kubernetes {

Environment ProcessEnvironment() {
  Environment environment;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const size_t equals = text.find('=');
    if (equals != std::string::npos) environment.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return environment;
}

absl::StatusOr<Access> InCluster(const Environment& environment, const std::string& folder) {
  const auto host = environment.find("KUBERNETES_SERVICE_HOST"), port = environment.find("KUBERNETES_SERVICE_PORT");
  if (host == environment.end() || port == environment.end() || host->second.empty() || port->second.empty())
    return absl::FailedPreconditionError(
        "this is no pod: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set; name a kubeconfig file");
  const bool ipv6 = absl::StrContains(host->second, ":");
  const auto token = std::make_shared<SecretFile>(absl::StrCat(folder, "/token"));
  const auto authority = std::make_shared<SecretFile>(absl::StrCat(folder, "/ca.crt"));
  SecretFile name_space(absl::StrCat(folder, "/namespace"));
  HR_RETURN_IF_ERROR(token->Read().status());
  Access access{.url = absl::StrCat("https://", ipv6 ? "[" : "", host->second, ipv6 ? "]" : "", ":", port->second),
                .name_space = name_space.Read().value_or("default"),
                .described_as = "the service account of this pod"};
  access.tls = [authority]() -> absl::StatusOr<TlsMaterial> {
    HR_ASSIGN_OR_RETURN(std::string pem, authority->Read());
    return TlsMaterial{.authorities = std::move(pem)};
  };
  access.headers = [token]() -> absl::StatusOr<std::vector<HttpHeader>> {
    HR_ASSIGN_OR_RETURN(const std::string text, token->Read());
    return std::vector<HttpHeader>{{"Authorization", absl::StrCat("Bearer ", text)}};
  };
  return access;
}

}  // namespace headroom::kubernetes
