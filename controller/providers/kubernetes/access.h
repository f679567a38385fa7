#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "controller/providers/http/transport.h"

// How an API server is reached, and as whom: from inside of a pod, or by a kubeconfig file, as client-go does (tools/
// clientcmd, rest/config.go). Any thread.

namespace headroom::kubernetes {

struct Access {
  std::string url;          // https://host:port
  std::string server_name;  // what its certificate must name, where that is not the host
  std::string name_space;   // where nothing else is said
  std::function<absl::StatusOr<TlsMaterial>()> tls;
  // The headers that say who calls, for each call anew: files rotate. An error is told with the file.
  std::function<absl::StatusOr<std::vector<HttpHeader>>()> headers;
  std::string described_as;  // "context dev of /home/ada/.kube/config", for messages
};

// Variables of the process's environment; what is not in it is not set.
using Environment = std::map<std::string, std::string>;
Environment ProcessEnvironment();

// From inside of a pod, by its service account. The token and the authority are read again for each call and
// connection: the kubelet replaces the token long before it ends. FAILED_PRECONDITION: this is no pod.
absl::StatusOr<Access> InCluster(const Environment& environment,
                                 const std::string& folder = "/var/run/secrets/kubernetes.io/serviceaccount");

struct KubeconfigChoice {
  std::string path;     // empty: $KUBECONFIG, a list in which the first that names a thing wins, or ~/.kube/config
  std::string context;  // empty: the file's current one
};
// FAILED_PRECONDITION with the file and what is to be changed in it; NOT_FOUND: there is no such file.
absl::StatusOr<Access> ReadKubeconfig(const KubeconfigChoice& choice, const Environment& environment);

// A kubeconfig where one is named, else the pod's service account, else the kubeconfig that kubectl would take.
absl::StatusOr<Access> FindAccess(const KubeconfigChoice& choice, const Environment& environment);

}  // namespace headroom::kubernetes
