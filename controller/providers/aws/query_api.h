#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include <pugixml.hpp>

#include "controller/base/clock.h"
#include "controller/base/deadline.h"
#include "controller/base/monitor.h"
#include "controller/providers/aws/credentials.h"
#include "controller/providers/http/transport.h"

namespace headroom::aws {

// Whether a call whose fate is unknown may be made again. One that AWS says it refused always may.
enum class Repeat : uint8_t { kAlways, kIfRefused };

struct QueryCall {
  std::string action;
  std::vector<std::pair<std::string, std::string>> fields;
  Repeat repeat = Repeat::kAlways;
  absl::Duration timeout = absl::Seconds(20);  // with all of its attempts, and with what it takes to get credentials
};

// QueryApi: one AWS service that takes forms and answers in XML. Signs, repeats as botocore's "standard" mode does (up
// to three attempts, pauses that double with chance in them, a bucket of 500 tokens that retries take from and
// successes fill: when everything fails, nearly nothing is repeated), and sets its clock by AWS's when that is what is
// wrong.
//
// Credentials come first, within the call's time; when that is over, nothing more is sent. An error about credentials
// says that the call has had no effect.
//
// Errors begin with the action. By remedy: UNAVAILABLE, DEADLINE_EXCEEDED (throttled, 5xx, cut off: later);
// RESOURCE_EXHAUSTED (a limit of the account); PERMISSION_DENIED (keys, or a permission that is missing: the message
// names it); FAILED_PRECONDITION (wrong region, wrong clock, certificates); INVALID_ARGUMENT (all else: AWS's words).
//
// Blocking, for worker threads. Thread-safe. Sources: the AWS query protocol; botocore's retries/standard.py.
class QueryApi {
 public:
  static constexpr int kAttemptsMax = 3;
  static constexpr int kTokensMax = 500;

  struct Options {
    std::string endpoint;  // https://HOST
    std::string region, service, version;
    std::function<void(absl::Duration)> wait;  // null: sleeps
    uint64_t seed = 1;                         // of the chance in pauses
  };
  // INVALID_ARGUMENT: the endpoint is no URL.
  static absl::StatusOr<std::unique_ptr<QueryApi>> Connect(Options options,
                                                           std::unique_ptr<CredentialChain> credentials,
                                                           const Clock& clock);

  // The answer's "<action>Result", in a document that is kept with it.
  struct Answer {
    std::unique_ptr<pugi::xml_document> document;
    pugi::xml_node result;
  };
  absl::StatusOr<Answer> Call(const QueryCall& call);

 private:
  // What one attempt came to.
  struct Attempt {
    enum class Kind : uint8_t { kDone, kRefusedForNow, kUnknown, kTimedOut, kSkewed, kExpired, kFinal };
    Kind kind = Kind::kDone;
    absl::Status status;
    Answer answer;
    absl::Duration pause;  // that AWS asks for
  };

  QueryApi(Options options, std::unique_ptr<CredentialChain> credentials, const Clock& clock,
           std::unique_ptr<HttpTransport> transport);
  // DEADLINE_EXCEEDED also where there are some, and no time is left to use them.
  absl::StatusOr<Credentials> AwaitCredentials(const QueryCall& call, const Deadline& deadline);
  Attempt Try(const QueryCall& call, const Credentials& credentials, absl::Duration timeout);
  Attempt Judge(const QueryCall& call, const HttpResponse& response);
  // Whether it may have had its effect.
  static bool IsUnknown(const Attempt& attempt);
  // Whether it is worth another attempt that begins after the pause.
  bool MayRepeat(const Attempt& attempt, const QueryCall& call);
  absl::Duration PauseAfter(int attempts, const Attempt& attempt);
  bool CorrectClock(const HttpResponse& response);

  const Options options_;
  const std::string host_;
  const std::unique_ptr<CredentialChain> credentials_;
  const Clock& clock_;
  const std::unique_ptr<HttpTransport> transport_;
  Cancellation never_;
  Monitor mutex_;
  std::mt19937_64 random_ ABSL_GUARDED_BY(mutex_);
  int tokens_ ABSL_GUARDED_BY(mutex_) = kTokensMax;
  absl::Duration skew_ ABSL_GUARDED_BY(mutex_);  // AWS's clock less ours
};

}  // namespace headroom::aws
