#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include <nlohmann/json.hpp>

#include "controller/providers/http/transport.h"
#include "controller/providers/kubernetes/access.h"

namespace headroom::kubernetes {

using Json = nlohmann::json;

// One call. Paths are those of the API, with their query: "/apis/apps/v1/namespaces/storage/statefulsets/files/scale".
struct ApiCall {
  std::string method = "GET";
  std::string path;
  std::string content_type = "application/json";
  Json body;  // null: none
  absl::Duration timeout = absl::Seconds(10);
  Cancellation* cancellation = nullptr;  // ends the call with CANCELLED; null: nobody does
};

// One line of a watch.
struct WatchEvent {
  enum class Kind { kAdded, kModified, kDeleted, kBookmark };
  Kind kind = Kind::kAdded;
  Json object;
};

// Api: a Kubernetes API server. Blocking, thread-safe. Codes are remedies, with the server's own words:
//   UNAVAILABLE, DEADLINE_EXCEEDED  later: unreachable, 5xx, still 429 when the time is over (Retry-After is waited
//   for) ABORTED                         409: somebody else has written; read again NOT_FOUND                       404
//   OUT_OF_RANGE                    410: too old a resourceVersion; list again
//   ALREADY_EXISTS                  409 of a POST
//   PERMISSION_DENIED               401, 403: which permission is missing
//   INVALID_ARGUMENT                400, 422 and every other 4xx
//   FAILED_PRECONDITION             certificates and token files
class Api {
 public:
  struct Options {
    absl::Duration connect_timeout = absl::Seconds(5);
    absl::Duration watch_idle = absl::Minutes(6);  // a bookmark comes about every minute
    // How to wait where the server says for how long; one that says nothing is not waited for. Null: until that is over
    // or the call is cancelled. Of tests.
    std::function<void(absl::Duration)> wait;
  };
  static absl::StatusOr<std::unique_ptr<Api>> Connect(Access access, Options options);

  absl::StatusOr<Json> Call(const ApiCall& call);

  // Every event of `path` ("...?watch=1&resourceVersion=..."), until the server ends the stream (OK), the sink says
  // otherwise, or `cancellation`. An ERROR event is an error of the same codes.
  using Sink = std::function<absl::Status(const WatchEvent&)>;
  absl::Status Watch(const std::string& path, const Sink& sink, Cancellation& cancellation);

  const Access& access() const { return access_; }

 private:
  Api(Access access, Options options, std::unique_ptr<HttpTransport> calls, std::unique_ptr<HttpTransport> watches);
  absl::StatusOr<HttpRequest> RequestOf(const ApiCall& call) const;
  absl::StatusOr<HttpResponse> Patiently(HttpRequest request, Cancellation& cancellation);

  const Access access_;
  const Options options_;
  Cancellation never_;
  const std::unique_ptr<HttpTransport> calls_, watches_;
};

// The field at a path of names, null where there is none, whatever stands there: Text(pod, {"metadata", "name"}).
const Json& Part(const Json& json, std::initializer_list<const char*> path);
const Json& Part(Json&& json, std::initializer_list<const char*> path) = delete;  // it would not live long enough
// Its value where it is of that type, else "" and 0.
std::string Text(const Json& json, std::initializer_list<const char*> path);
int64_t Number(const Json& json, std::initializer_list<const char*> path);

}  // namespace headroom::kubernetes
