#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "controller/base/clock.h"
#include "controller/base/monitor.h"
#include "controller/providers/aws/sigv4.h"
#include "controller/providers/http/transport.h"

// Where the keys of an AWS account come from, in the order of its own tools: the environment, a web identity token
// (IRSA), the shared files, the container's endpoint (ECS, EKS Pod Identity), the instance (IMDSv2, never v1).

namespace headroom::aws {

using Environment = std::map<std::string, std::string>;

// One request to a URL's host, over plain HTTP where the URL says so. So that tests stand in for AWS.
using Fetch = std::function<absl::StatusOr<HttpResponse>(const std::string& base_url, const HttpRequest& request)>;
// Over the transport of this project, trusting whom the system trusts.
Fetch RealFetch();

// One place. NOT_FOUND: nothing here says that it is to be used. Every other error: it is to be used, and fails.
using CredentialSource = std::function<absl::StatusOr<Credentials>()>;

CredentialSource FromEnvironment(Environment environment);
// At the STS of the region, or where AWS_ENDPOINT_URL_STS says.
CredentialSource FromWebIdentity(Environment environment, std::string region, Fetch fetch);
CredentialSource FromSharedFiles(Environment environment);
CredentialSource FromContainer(Environment environment, Fetch fetch);
CredentialSource FromInstance(Environment environment, Fetch fetch);

// CredentialChain: the first place that has keys, asked again ten minutes before they end; keys that could not be
// renewed are used for as long as they hold. Thread-safe.
class CredentialChain {
 public:
  static constexpr absl::Duration kRenewBefore = absl::Minutes(10);

  CredentialChain(std::vector<CredentialSource> sources, const Clock& clock)
      : sources_(std::move(sources)), clock_(clock) {}

  // PERMISSION_DENIED with every place that was asked, where none has any.
  absl::StatusOr<Credentials> Get();
  // These are not accepted any more, whatever they say of their end: the next Get() asks anew.
  void Forget();

 private:
  absl::StatusOr<Credentials> Ask();

  const std::vector<CredentialSource> sources_;
  const Clock& clock_;
  Monitor mutex_;
  std::optional<Credentials> last_ ABSL_GUARDED_BY(mutex_);
};

// All of them, in AWS's order.
std::vector<CredentialSource> DefaultSources(const Environment& environment, const std::string& region, Fetch fetch);

}  // namespace headroom::aws
