#include "controller/providers/aws/query_api.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

#include "controller/base/status.h"
#include "controller/providers/aws/sigv4.h"
#include "controller/providers/sentence.h"

namespace headroom::aws {
namespace {

constexpr absl::Duration kAttempt = absl::Seconds(10);  // one attempt does not eat the time of the others
constexpr absl::Duration kPauseMax = absl::Seconds(20);
constexpr absl::Duration kSkewLeast = absl::Minutes(4);  // AWS allows five to fifteen
constexpr int kRetryCost = 5, kTimeoutCost = 10;

template <size_t count>
bool IsOneOf(absl::string_view code, const std::array<absl::string_view, count>& codes) {
  return std::find(codes.begin(), codes.end(), code) != codes.end();
}

bool IsThrottling(int http, absl::string_view code) {
  static constexpr std::array<absl::string_view, 13> kCodes = {"Throttling",
                                                               "ThrottlingException",
                                                               "ThrottledException",
                                                               "RequestThrottled",
                                                               "RequestThrottledException",
                                                               "TooManyRequestsException",
                                                               "RequestLimitExceeded",
                                                               "BandwidthLimitExceeded",
                                                               "LimitExceededException",
                                                               "TransactionInProgressException",
                                                               "PriorRequestNotComplete",
                                                               "SlowDown",
                                                               "EC2ThrottledException"};
  return http == 429 || IsOneOf(code, kCodes);
}

bool IsTransient(int http, absl::string_view code) {
  static constexpr std::array<absl::string_view, 4> kCodes = {"RequestTimeout", "RequestTimeoutException",
                                                              "InternalError", "ServiceUnavailable"};
  return http >= 500 || IsOneOf(code, kCodes);
}

bool IsOfTheClock(absl::string_view code) {
  static constexpr std::array<absl::string_view, 6> kCodes = {
      "RequestExpired",        "RequestTimeTooSkewed",      "RequestInTheFuture",
      "SignatureDoesNotMatch", "InvalidSignatureException", "AuthFailure"};
  return IsOneOf(code, kCodes);
}

bool IsExpired(absl::string_view code) {
  static constexpr std::array<absl::string_view, 2> kCodes = {"ExpiredToken", "ExpiredTokenException"};
  return IsOneOf(code, kCodes);
}

struct Remedy {
  absl::StatusCode code;
  absl::string_view advice;
};

Remedy RemedyOf(absl::string_view code, absl::string_view message) {
  static constexpr std::array<absl::string_view, 4> kDenied = {"AccessDenied", "AccessDeniedException",
                                                               "UnauthorizedOperation", "UnauthorizedAccess"};
  static constexpr std::array<absl::string_view, 5> kUnknownKey = {"InvalidClientTokenId",
                                                                   "UnrecognizedClientException", "InvalidAccessKeyId",
                                                                   "AuthFailure", "MissingAuthenticationToken"};
  if (absl::StrContains(message, "valid region"))
    return {absl::StatusCode::kFailedPrecondition, "; set provider.aws.region to the region of the endpoint"};
  if (IsOneOf(code, kDenied))
    return {absl::StatusCode::kPermissionDenied, "; allow it in the policy of this role or user"};
  if (IsOneOf(code, kUnknownKey))
    return {absl::StatusCode::kPermissionDenied, "; AWS does not know this access key: use one of this account"};
  if (IsExpired(code)) return {absl::StatusCode::kPermissionDenied, "; renew the session, its time is over"};
  if (code == "SignatureDoesNotMatch")
    return {absl::StatusCode::kPermissionDenied, "; the secret access key does not belong to the access key id"};
  if (IsOfTheClock(code)) return {absl::StatusCode::kFailedPrecondition, "; set the clock of this machine"};
  if (code == "ResourceContention" || code == "ScalingActivityInProgress") return {absl::StatusCode::kUnavailable, ""};
  if (code == "LimitExceeded")
    return {absl::StatusCode::kResourceExhausted, "; ask AWS to raise this limit of the account"};
  return {absl::StatusCode::kInvalidArgument, ""};
}

std::string HostOf(const std::string& url) {
  const size_t begin = url.find("://") + 3;
  return url.substr(begin, url.find('/', begin) - begin);
}

}  // namespace

absl::StatusOr<std::unique_ptr<QueryApi>> QueryApi::Connect(Options options,
                                                            std::unique_ptr<CredentialChain> credentials,
                                                            const Clock& clock) {
  HR_ASSIGN_OR_RETURN(std::unique_ptr<HttpTransport> transport, MakeHttpTransport({.url = options.endpoint}));
  if (options.wait == nullptr)
    options.wait = [](absl::Duration time) { std::this_thread::sleep_for(absl::ToChronoNanoseconds(time)); };
  return std::unique_ptr<QueryApi>(
      new QueryApi(std::move(options), std::move(credentials), clock, std::move(transport)));
}

QueryApi::QueryApi(Options options, std::unique_ptr<CredentialChain> credentials, const Clock& clock,
                   std::unique_ptr<HttpTransport> transport)
    : options_(std::move(options)),
      host_(HostOf(options_.endpoint)),
      credentials_(std::move(credentials)),
      clock_(clock),
      transport_(std::move(transport)),
      random_(options_.seed) {}

absl::StatusOr<QueryApi::Answer> QueryApi::Call(const QueryCall& call) {
  const Deadline deadline(call.timeout);
  bool was_set_right = false;  // the clock, or the keys: once
  absl::Status unknown;        // of an attempt that may have had its effect, which no later lack of keys undoes
  for (int attempts = 1;; ++attempts) {
    const absl::StatusOr<Credentials> credentials = AwaitCredentials(call, deadline);
    if (!credentials.ok()) return unknown.ok() ? credentials.status() : unknown;
    Attempt attempt = Try(call, *credentials, std::min(deadline.left(), kAttempt));
    using Kind = Attempt::Kind;
    if (attempt.kind == Kind::kDone) {
      const MonitorLock lock(mutex_);
      tokens_ = std::min(kTokensMax, tokens_ + (attempts > 1 ? kRetryCost : 1));
      return std::move(attempt.answer);
    }
    const bool is_wrong = attempt.kind == Kind::kSkewed || attempt.kind == Kind::kExpired;
    if (is_wrong && !deadline.is_over() && !std::exchange(was_set_right, true)) {
      --attempts;
      continue;
    }
    if (IsUnknown(attempt)) unknown = attempt.status;
    const absl::Duration pause = PauseAfter(attempts, attempt);
    if (attempts >= kAttemptsMax || pause >= deadline.left() || !MayRepeat(attempt, call)) return attempt.status;
    options_.wait(pause);
    if (deadline.is_over()) return attempt.status;
  }
}

absl::StatusOr<Credentials> QueryApi::AwaitCredentials(const QueryCall& call, const Deadline& deadline) {
  if (deadline.is_over())
    return absl::DeadlineExceededError(absl::StrCat(call.action, ": not sent, for no time was left"));
  HR_ASSIGN_OR_RETURN(Credentials credentials, Annotate(credentials_->Get(deadline), call.action));
  if (!deadline.is_over()) return credentials;
  return absl::DeadlineExceededError(
      absl::StrCat(call.action, ": not sent, for AWS credentials came only when its time was over"));
}

bool QueryApi::IsUnknown(const Attempt& attempt) {
  return attempt.kind == Attempt::Kind::kUnknown || attempt.kind == Attempt::Kind::kTimedOut;
}

bool QueryApi::MayRepeat(const Attempt& attempt, const QueryCall& call) {
  using Kind = Attempt::Kind;
  if (attempt.kind != Kind::kRefusedForNow && !(IsUnknown(attempt) && call.repeat == Repeat::kAlways)) return false;
  const int cost = attempt.kind == Kind::kTimedOut ? kTimeoutCost : kRetryCost;
  const MonitorLock lock(mutex_);
  if (tokens_ < cost) return false;
  tokens_ -= cost;
  return true;
}

absl::Duration QueryApi::PauseAfter(int attempts, const Attempt& attempt) {
  const MonitorLock lock(mutex_);
  const double chance = static_cast<double>(random_() >> 11) * 0x1p-53;
  return std::max(attempt.pause, chance * std::min(absl::Seconds(std::exp2(attempts - 1)), kPauseMax));
}

QueryApi::Attempt QueryApi::Try(const QueryCall& call, const Credentials& credentials, absl::Duration timeout) {
  using Kind = Attempt::Kind;
  std::vector<std::pair<std::string, std::string>> fields = {{"Action", call.action}, {"Version", options_.version}};
  fields.insert(fields.end(), call.fields.begin(), call.fields.end());
  HttpRequest request{.method = "POST",
                      .headers = {{"Content-Type", "application/x-www-form-urlencoded; charset=utf-8"}},
                      .body = FormOf(fields),
                      .timeout = timeout};
  absl::Duration skew;
  {
    const MonitorLock lock(mutex_);
    skew = skew_;
  }
  Sign(request, host_, credentials,
       {.region = options_.region, .service = options_.service, .at = clock_.Now() + skew});
  request.headers.push_back({"User-Agent", "headroom"});
  const absl::StatusOr<HttpResponse> response = transport_->Send(request, never_);
  if (response.ok()) return Judge(call, *response);
  const absl::Status status = Annotate(response.status(), call.action);
  if (absl::IsDeadlineExceeded(status)) return {.kind = Kind::kTimedOut, .status = status};
  return {.kind = absl::IsUnavailable(status) ? Kind::kUnknown : Kind::kFinal, .status = status};
}

QueryApi::Attempt QueryApi::Judge(const QueryCall& call, const HttpResponse& response) {
  using Kind = Attempt::Kind;
  auto document = std::make_unique<pugi::xml_document>();
  const bool is_xml = static_cast<bool>(document->load_buffer(response.body.data(), response.body.size()));
  const pugi::xml_node root = document->child((call.action + "Response").c_str());
  if (response.code == 200 && is_xml && root) {
    const pugi::xml_node result = root.child((call.action + "Result").c_str());
    return {.answer = {.document = std::move(document), .result = result}};
  }
  const pugi::xml_node error = document->child("ErrorResponse").child("Error");
  const std::string code = SentenceOf(error.child_value("Code")), message = error.child_value("Message");
  // AWS shows what it has signed, the session's token among it.
  const std::string words = absl::StrContains(code, "Signature") ? "" : SentenceOf(message);
  const std::string text =
      absl::StrCat(call.action, ": ", code.empty() ? absl::StrCat("HTTP ", response.code) : code,
                   words.empty() ? "" : absl::StrCat(": ", words), response.code == 200 ? " without an answer" : "");
  int seconds = 0;
  const bool told = absl::SimpleAtoi(response.Header("Retry-After"), &seconds) && seconds > 0;
  const absl::Duration pause = told ? absl::Seconds(seconds) : absl::ZeroDuration();
  if (IsThrottling(response.code, code))
    return {
        Kind::kRefusedForNow, absl::UnavailableError(absl::StrCat(text, "; AWS slows this account down")), {}, pause};
  if (IsTransient(response.code, code) || response.code == 200)
    return {Kind::kUnknown, absl::UnavailableError(text), {}, pause};
  const Remedy remedy = RemedyOf(code, message);
  const absl::Status status(remedy.code, absl::StrCat(text, remedy.advice));
  if (remedy.code == absl::StatusCode::kPermissionDenied) credentials_->Forget();  // a person may replace them
  if (IsExpired(code)) return {.kind = Kind::kExpired, .status = status};
  if (IsOfTheClock(code) && CorrectClock(response)) return {.kind = Kind::kSkewed, .status = status};
  return {.kind = remedy.code == absl::StatusCode::kUnavailable ? Kind::kRefusedForNow : Kind::kFinal,
          .status = status};
}

bool QueryApi::CorrectClock(const HttpResponse& response) {
  absl::Time theirs;
  std::string ignored;
  if (!absl::ParseTime("%a, %d %b %E4Y %H:%M:%S GMT", response.Header("Date"), &theirs, &ignored)) return false;
  const absl::Duration skew = theirs - clock_.Now();
  const MonitorLock lock(mutex_);
  if (absl::AbsDuration(skew - skew_) < kSkewLeast) return false;
  skew_ = skew;
  return true;
}

}  // namespace headroom::aws
