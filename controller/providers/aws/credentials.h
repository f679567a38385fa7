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
#include "controller/base/deadline.h"
#include "controller/base/monitor.h"
#include "controller/providers/aws/sigv4.h"
#include "controller/providers/http/transport.h"

// Where the keys of an AWS account come from, in the order of its own tools: the environment, a web identity token
// (IRSA), the shared files, the container's endpoint (ECS, EKS Pod Identity), the instance (IMDSv2, never v1).

namespace headroom::aws {

using Environment = std::map<std::string, std::string>;

// One request to a URL's host, over plain HTTP where the URL says so, that takes no longer than it says. So that tests
// stand in for AWS.
using Fetch = std::function<absl::StatusOr<HttpResponse>(const std::string& base_url, const HttpRequest& request)>;
// Over the transport of this project, trusting whom the system trusts.
Fetch RealFetch();

// One place, on the calling thread. NOT_FOUND: nothing here says that it is to be used. Every other error: it is to be
// used, and fails; DEADLINE_EXCEEDED: perhaps for want of time. No request outlasts the deadline; what a file of the
// environment's takes is not bounded.
using CredentialSource = std::function<absl::StatusOr<Credentials>(const Deadline& deadline)>;

CredentialSource FromEnvironment(Environment environment);
// At the STS of the region, or where AWS_ENDPOINT_URL_STS says.
CredentialSource FromWebIdentity(const Environment& environment, const std::string& region, const Fetch& fetch);
CredentialSource FromSharedFiles(Environment environment);
CredentialSource FromContainer(const Environment& environment, const Fetch& fetch);
CredentialSource FromInstance(const Environment& environment, const Fetch& fetch);

// CredentialChain: the first place that has keys, asked again ten minutes before they end; keys that could not be
// renewed are used for as long as they hold.
//
// One call at a time asks, within its own time, and where the old keys hold within half of it, so that the other half
// is left to use them. Meanwhile the others use the old keys, and where those do not hold wait for the new ones, no
// longer than their own time; why it failed they hear, too, and only who has more time than the one that asked asks
// anew. No lock is held while a place is asked. Blocking, for worker threads. Thread-safe.
class CredentialChain {
 public:
  static constexpr absl::Duration kRenewBefore = absl::Minutes(10);
  // Between renewals of keys that hold, where one has failed or has brought none that last. Most hiccups are over after
  // some seconds; once a minute is a dozen chances in the ten minutes that are left, at the cost of half of one call's
  // time in each.
  static constexpr absl::Duration kPauseFirst = absl::Seconds(5), kPauseMax = absl::Minutes(1);

  CredentialChain(std::vector<CredentialSource> sources, const Clock& clock)
      : sources_(std::move(sources)), clock_(clock) {}

  // Never an error where there are keys that hold. PERMISSION_DENIED with every place that was asked, where none has
  // any. DEADLINE_EXCEEDED with what was awaited. Else what the place says.
  absl::StatusOr<Credentials> Get(const Deadline& deadline);
  // These are not accepted any more, whatever they say of their end: the next Get() asks anew, without a pause.
  void Forget();

 private:
  // What a renewal came to, once it has ended; for those who wait for it.
  using Renewal = std::optional<absl::StatusOr<Credentials>>;

  absl::StatusOr<Credentials> Ask(const Deadline& deadline) const;
  // What the renewal under way comes to.
  absl::StatusOr<Credentials> Await(const Deadline& deadline) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Ends the renewal. The old keys where they still hold and there are no new ones.
  absl::StatusOr<Credentials> Settle(Renewal& renewal, absl::StatusOr<Credentials> outcome);

  const std::vector<CredentialSource> sources_;
  const Clock& clock_;
  Monitor mutex_;
  std::optional<Credentials> last_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<Renewal> under_way_ ABSL_GUARDED_BY(mutex_);  // null: nobody asks
  absl::Time renew_at_ ABSL_GUARDED_BY(mutex_);                 // while the last ones hold
  absl::Duration pause_ ABSL_GUARDED_BY(mutex_) = kPauseFirst;  // after the next renewal that brings none that last
};

// All of them, in AWS's order.
std::vector<CredentialSource> DefaultSources(const Environment& environment, const std::string& region,
                                             const Fetch& fetch);

}  // namespace headroom::aws
