#include "controller/providers/kubernetes/api.h"

#include <chrono>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

#include "controller/base/deadline.h"
#include "controller/base/monitor.h"
#include "controller/base/status.h"

namespace headroom::kubernetes {
namespace {

constexpr int kRetriesMax = 10;  // as client-go
constexpr absl::Duration kRetryLeast = absl::Milliseconds(100);

absl::StatusCode CodeOf(int code, absl::string_view reason) {
  if (code == 401 || code == 403) return absl::StatusCode::kPermissionDenied;
  if (code == 404) return absl::StatusCode::kNotFound;
  if (code == 409) return reason == "AlreadyExists" ? absl::StatusCode::kAlreadyExists : absl::StatusCode::kAborted;
  if (code == 410) return absl::StatusCode::kOutOfRange;
  if (code == 429 || code >= 500) return absl::StatusCode::kUnavailable;
  return absl::StatusCode::kInvalidArgument;
}

// A metav1.Status as an error. The server's message names verb, resource and user where a permission is missing.
absl::Status ErrorOf(int code, const Json& status, const std::string& what) {
  const std::string message = Text(status, {"message"});
  const char* hint = code == 401   ? "; the credentials are not accepted"
                     : code == 403 ? "; the roles that headroomd needs are in deploy/kustomize/base/role.yaml"
                                   : "";
  return absl::Status(CodeOf(code, Text(status, {"reason"})),
                      absl::StrCat(what, ": ", message.empty() ? absl::StrCat("HTTP ", code) : message, hint));
}

absl::StatusOr<Json> Parse(absl::string_view text, const std::string& what) {
  Json json = Json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return absl::UnavailableError(absl::StrCat(what, ": the answer is no JSON"));
  return json;
}

absl::StatusOr<WatchEvent> EventOf(absl::string_view line, const std::string& what) {
  HR_ASSIGN_OR_RETURN(Json json, Parse(line, what));
  const std::string type = Text(json, {"type"});
  const Json& object = Part(json, {"object"});
  if (!object.is_object()) return absl::UnavailableError(absl::StrCat(what, ": an event without an object"));
  if (type == "ERROR") return ErrorOf(static_cast<int>(Number(object, {"code"})), object, what);
  WatchEvent event{.object = std::move(json["object"])};
  if (type == "ADDED") return event;
  event.kind = type == "MODIFIED"  ? WatchEvent::Kind::kModified
               : type == "DELETED" ? WatchEvent::Kind::kDeleted
                                   : WatchEvent::Kind::kBookmark;
  if (event.kind == WatchEvent::Kind::kBookmark && type != "BOOKMARK")
    return absl::UnavailableError(absl::StrCat(what, ": an event of the unknown type ", type));
  return event;
}

// Until that has passed, or the cancellation comes.
void WaitFor(absl::Duration time, Cancellation& cancellation) {
  const Deadline deadline(time);
  Monitor mutex;
  bool cancelled = false;
  const Cancellation::Listener listener(cancellation, [&] {
    const MonitorLock lock(mutex);
    cancelled = true;
    mutex.Notify();
  });
  const MonitorLock lock(mutex);
  while (!cancelled && !deadline.is_over()) mutex.Wait(deadline.left());
}

}  // namespace

const Json& Part(const Json& json, std::initializer_list<const char*> path) {
  static const Json* const kNone = new Json();
  const Json* at = &json;
  for (const char* name : path) {
    if (!at->is_object()) return *kNone;
    const auto found = at->find(name);
    if (found == at->end()) return *kNone;
    at = &*found;
  }
  return *at;
}

std::string Text(const Json& json, std::initializer_list<const char*> path) {
  const Json& found = Part(json, path);
  return found.is_string() ? found.get<std::string>() : "";
}

int64_t Number(const Json& json, std::initializer_list<const char*> path) {
  const Json& found = Part(json, path);
  return found.is_number_integer() ? found.get<int64_t>() : 0;
}

absl::StatusOr<std::unique_ptr<Api>> Api::Connect(Access access, Options options) {
  HttpEndpoint endpoint{.url = access.url,
                        .server_name = access.server_name,
                        .tls = access.tls,
                        .connect_timeout = options.connect_timeout};
  HR_ASSIGN_OR_RETURN(std::unique_ptr<HttpTransport> calls, MakeHttpTransport(endpoint));
  endpoint.idle_timeout = options.watch_idle;  // and its own connections, so that no call waits behind it
  HR_ASSIGN_OR_RETURN(std::unique_ptr<HttpTransport> watches, MakeHttpTransport(endpoint));
  return std::unique_ptr<Api>(new Api(std::move(access), std::move(options), std::move(calls), std::move(watches)));
}

Api::Api(Access access, Options options, std::unique_ptr<HttpTransport> calls, std::unique_ptr<HttpTransport> watches)
    : access_(std::move(access)),
      options_(std::move(options)),
      calls_(std::move(calls)),
      watches_(std::move(watches)) {}

absl::StatusOr<HttpRequest> Api::RequestOf(const ApiCall& call) const {
  HttpRequest request{.method = call.method, .target = call.path, .timeout = call.timeout};
  HR_ASSIGN_OR_RETURN(request.headers, access_.headers());
  request.headers.push_back({"Accept", "application/json"});
  request.headers.push_back({"User-Agent", "headroom"});
  if (call.body.is_null()) return request;
  request.headers.push_back({"Content-Type", call.content_type});
  request.body = call.body.dump(-1, ' ', false, Json::error_handler_t::replace);
  return request;
}

// 429 and 5xx with Retry-After are waited for as long as there is time.
absl::StatusOr<HttpResponse> Api::Patiently(HttpRequest request, Cancellation& cancellation) {
  const auto began = std::chrono::steady_clock::now();
  const absl::Duration whole = request.timeout;
  for (int retry = 0;; ++retry) {
    request.timeout = whole - absl::FromChrono(std::chrono::steady_clock::now() - began);
    if (request.timeout <= absl::ZeroDuration()) return absl::DeadlineExceededError("no time is left for the call");
    absl::StatusOr<HttpResponse> response = calls_->Send(request, cancellation);
    int seconds = 0;
    const bool told = response.ok() && (response->code == 429 || response->code >= 500) &&
                      absl::SimpleAtoi(response->Header("Retry-After"), &seconds) && seconds >= 0;
    if (!told || retry == kRetriesMax || cancellation.is_cancelled()) return response;
    const absl::Duration wait = std::max(absl::Seconds(seconds), kRetryLeast);
    if (absl::FromChrono(std::chrono::steady_clock::now() - began) + wait >= whole) return response;
    options_.wait == nullptr ? WaitFor(wait, cancellation) : options_.wait(wait);
  }
}

absl::StatusOr<Json> Api::Call(const ApiCall& call) {
  HR_ASSIGN_OR_RETURN(HttpRequest request, RequestOf(call));
  HR_ASSIGN_OR_RETURN(const HttpResponse response,
                      Patiently(std::move(request), call.cancellation == nullptr ? never_ : *call.cancellation));
  const std::string what = absl::StrCat(call.method, " ", call.path);
  if (response.code / 100 == 2) return Parse(response.body, what);
  return ErrorOf(response.code, Parse(response.body, what).value_or(Json()), what);
}

absl::Status Api::Watch(const std::string& path, const Sink& sink, Cancellation& cancellation) {
  const std::string what = absl::StrCat("watch ", path);
  HR_ASSIGN_OR_RETURN(const HttpRequest request, RequestOf({.path = path, .timeout = absl::InfiniteDuration()}));
  const auto take = [&](absl::string_view line) -> absl::Status {
    HR_ASSIGN_OR_RETURN(const WatchEvent event, EventOf(line, what));
    return sink(event);
  };
  HR_ASSIGN_OR_RETURN(const HttpResponse response, watches_->StreamLines(request, take, cancellation));
  if (response.code / 100 == 2) return absl::OkStatus();
  return ErrorOf(response.code, Parse(response.body, what).value_or(Json()), what);
}

}  // namespace headroom::kubernetes
