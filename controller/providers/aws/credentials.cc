#include "controller/providers/aws/credentials.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include <nlohmann/json.hpp>
#include <pugixml.hpp>

#include "controller/base/read_file.h"
#include "controller/base/status.h"
#include "controller/providers/aws/endpoint.h"
#include "controller/providers/sentence.h"

namespace headroom::aws {
namespace {

using Json = nlohmann::json;

constexpr absl::Duration kShort = absl::Seconds(1);  // an address that is no instance's answers never
constexpr char kInstance[] = "http://169.254.169.254";
constexpr char kRoles[] = "/latest/meta-data/iam/security-credentials/";

std::string Variable(const Environment& environment, const std::string& name) {
  const auto found = environment.find(name);
  return found == environment.end() ? "" : found->second;
}

absl::StatusOr<std::string> ReadSecret(const std::string& path) {
  constexpr size_t kBytesMax = 1 << 20;
  absl::StatusOr<std::string> text = ReadFile(path, kBytesMax);
  if (!text.ok()) return absl::FailedPreconditionError(text.status().message());
  absl::StripAsciiWhitespace(&*text);
  return text;
}

absl::Time ParseMoment(const std::string& text) {
  absl::Time time;
  std::string ignored;
  return absl::ParseTime(absl::RFC3339_full, text, &time, &ignored) ? time : absl::InfiniteFuture();
}

std::string TextOf(const Json& json, const char* name) {
  const auto found = json.is_object() ? json.find(name) : json.end();
  return json.is_object() && found != json.end() && found->is_string() ? found->get<std::string>() : "";
}

// `credentials` as they were answered, or that they are none.
absl::StatusOr<Credentials> Checked(Credentials credentials, absl::string_view where) {
  if (credentials.access_key_id.empty() || credentials.secret_access_key.empty())
    return absl::UnavailableError(absl::StrCat(where, ": the answer has no keys"));
  return credentials;
}

// Within what is left of the time.
absl::StatusOr<HttpResponse> Send(const Fetch& fetch, const std::string& base, HttpRequest request,
                                  const Deadline& deadline) {
  const absl::Duration left = deadline.left();
  if (left <= absl::ZeroDuration())
    return absl::DeadlineExceededError(absl::StrCat(request.method, " ", base, ": no time was left to ask"));
  request.timeout = std::min(request.timeout, left);
  return fetch(base, request);
}

// What the container's endpoint and the instance answer with.
absl::StatusOr<Credentials> CredentialsOf(const HttpResponse& response, const std::string& where) {
  if (response.code != 200)
    return absl::UnavailableError(absl::StrCat(where, ": HTTP ", response.code, " ", SentenceOf(response.body)));
  const Json json = Json::parse(response.body, nullptr, /*allow_exceptions=*/false);
  return Checked({.access_key_id = TextOf(json, "AccessKeyId"),
                  .secret_access_key = TextOf(json, "SecretAccessKey"),
                  .session_token = TextOf(json, "Token"),
                  .expires_at = ParseMoment(TextOf(json, "Expiration"))},
                 where);
}

// One section of a file of "[name]", "key = value" and comments.
std::map<std::string, std::string> Section(const std::string& text, const std::string& name) {
  std::map<std::string, std::string> fields;
  std::string current;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    line = absl::StripAsciiWhitespace(line);
    if (line.empty() || line[0] == '#' || line[0] == ';') continue;
    if (absl::ConsumePrefix(&line, "[")) {
      current = std::string(absl::StripAsciiWhitespace(line.substr(0, line.find(']'))));
    } else if (current == name) {
      const std::pair<absl::string_view, absl::string_view> both = absl::StrSplit(line, absl::MaxSplits('=', 1));
      fields[std::string(absl::StripAsciiWhitespace(both.first))] =
          std::string(absl::StripAsciiWhitespace(both.second));
    }
  }
  return fields;
}

std::pair<std::string, std::string> Split(const std::string& url) {
  const size_t path = url.find('/', url.find("://") + 3);
  if (path == std::string::npos) return {url, "/"};
  return {url.substr(0, path), url.substr(path)};
}

// Only there may a token be sent in the clear.
bool IsTrustedHost(const std::string& url) {
  if (absl::StartsWith(url, "https://")) return true;
  const std::string base = Split(url).first;
  absl::string_view host = base;
  if (!absl::ConsumePrefix(&host, "http://")) return false;
  const size_t port = host.find_last_not_of("0123456789");
  if (port != absl::string_view::npos && host[port] == ':') host = host.substr(0, port);
  if (absl::StartsWith(host, "127.")) return host.find_first_not_of("0123456789.") == absl::string_view::npos;
  static constexpr std::array<absl::string_view, 5> kHosts = {"localhost", "[::1]", "169.254.170.2", "169.254.170.23",
                                                              "[fd00:ec2::23]"};
  return std::find(kHosts.begin(), kHosts.end(), host) != kHosts.end();
}

// AWS_ENDPOINT_URL_STS as AWS's own tools have it; AWS_ENDPOINT_URL, which would be for all services, is not followed.
absl::StatusOr<std::string> StsEndpoint(const Environment& environment, const std::string& region) {
  const bool ignored = absl::EqualsIgnoreCase(Variable(environment, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"), "true");
  const std::string given = ignored ? "" : Variable(environment, "AWS_ENDPOINT_URL_STS");
  if (given.empty()) return EndpointOf("sts", region);
  if (!IsTrustedHost(given))
    return absl::FailedPreconditionError(
        absl::StrCat("AWS_ENDPOINT_URL_STS must be https or an address of this host, not ", given));
  return std::string(absl::StripSuffix(given, "/"));
}

absl::StatusOr<Credentials> CredentialsOfSts(const HttpResponse& response, const std::string& where) {
  pugi::xml_document document;
  document.load_string(response.body.c_str());
  const pugi::xml_node error = document.child("ErrorResponse").child("Error");
  if (response.code != 200)
    return absl::PermissionDeniedError(absl::StrCat(where, ": ", SentenceOf(error.child_value("Code")), " ",
                                                    SentenceOf(error.child_value("Message"))));
  const pugi::xml_node keys =
      document.child("AssumeRoleWithWebIdentityResponse").child("AssumeRoleWithWebIdentityResult").child("Credentials");
  return Checked({.access_key_id = keys.child_value("AccessKeyId"),
                  .secret_access_key = keys.child_value("SecretAccessKey"),
                  .session_token = keys.child_value("SessionToken"),
                  .expires_at = ParseMoment(keys.child_value("Expiration"))},
                 where);
}

// One for each address, for good: a transport whose request was given up may take seconds to end, for which nobody that
// waits for keys has the time. The addresses are those of the environment, a handful.
class KeptTransports {
 public:
  absl::StatusOr<std::shared_ptr<HttpTransport>> At(const std::string& url) {
    const MonitorLock lock(mutex_);
    std::shared_ptr<HttpTransport>& kept = kept_[url];
    if (kept == nullptr) {
      HR_ASSIGN_OR_RETURN(kept, MakeHttpTransport({.url = url}));
    }
    return kept;
  }

 private:
  Monitor mutex_;
  std::map<std::string, std::shared_ptr<HttpTransport>> kept_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

Fetch RealFetch() {
  return [kept = std::make_shared<KeptTransports>()](const std::string& base_url,
                                                     const HttpRequest& request) -> absl::StatusOr<HttpResponse> {
    HR_ASSIGN_OR_RETURN(const auto transport, kept->At(base_url));
    Cancellation never;
    return transport->Send(request, never);
  };
}

CredentialSource FromEnvironment(Environment environment) {
  return [environment = std::move(environment)](const Deadline&) -> absl::StatusOr<Credentials> {
    Credentials credentials{.access_key_id = Variable(environment, "AWS_ACCESS_KEY_ID"),
                            .secret_access_key = Variable(environment, "AWS_SECRET_ACCESS_KEY"),
                            .session_token = Variable(environment, "AWS_SESSION_TOKEN")};
    if (credentials.access_key_id.empty()) return absl::NotFoundError("AWS_ACCESS_KEY_ID is not set");
    if (credentials.secret_access_key.empty())
      return absl::FailedPreconditionError("AWS_ACCESS_KEY_ID is set and AWS_SECRET_ACCESS_KEY is not");
    return credentials;
  };
}

CredentialSource FromWebIdentity(const Environment& environment, const std::string& region, const Fetch& fetch) {
  return [=](const Deadline& deadline) -> absl::StatusOr<Credentials> {
    const std::string file = Variable(environment, "AWS_WEB_IDENTITY_TOKEN_FILE"),
                      role = Variable(environment, "AWS_ROLE_ARN");
    if (file.empty() || role.empty()) return absl::NotFoundError("AWS_WEB_IDENTITY_TOKEN_FILE is not set");
    const std::string session = Variable(environment, "AWS_ROLE_SESSION_NAME");
    HR_ASSIGN_OR_RETURN(const std::string endpoint, StsEndpoint(environment, region));
    HR_ASSIGN_OR_RETURN(const std::string token, ReadSecret(file));  // anew each time: it is replaced
    const HttpRequest request{.method = "POST",
                              .headers = {{"Content-Type", "application/x-www-form-urlencoded; charset=utf-8"}},
                              .body = FormOf({{"Action", "AssumeRoleWithWebIdentity"},
                                              {"Version", "2011-06-15"},
                                              {"RoleArn", role},
                                              {"RoleSessionName", session.empty() ? "headroom" : session},
                                              {"WebIdentityToken", token}})};
    HR_ASSIGN_OR_RETURN(const HttpResponse response, Send(fetch, endpoint, request, deadline));
    return CredentialsOfSts(response, absl::StrCat("AssumeRoleWithWebIdentity of ", role));
  };
}

CredentialSource FromSharedFiles(Environment environment) {
  return [environment = std::move(environment)](const Deadline&) -> absl::StatusOr<Credentials> {
    const std::string named = Variable(environment, "AWS_PROFILE"), profile = named.empty() ? "default" : named;
    const std::string given = Variable(environment, "AWS_SHARED_CREDENTIALS_FILE");
    const std::string path = given.empty() ? Variable(environment, "HOME") + "/.aws/credentials" : given;
    const absl::StatusOr<std::string> text = ReadSecret(path);
    const auto fields = Section(text.value_or(""), profile);
    const auto field = [&fields](const char* name) { return Variable(fields, name); };
    Credentials credentials{.access_key_id = field("aws_access_key_id"),
                            .secret_access_key = field("aws_secret_access_key"),
                            .session_token = field("aws_session_token")};
    if (!credentials.access_key_id.empty() && !credentials.secret_access_key.empty()) return credentials;
    const std::string what = absl::StrCat(path, " has no keys of the profile ", profile);
    return named.empty() ? absl::NotFoundError(what) : absl::FailedPreconditionError(what);
  };
}

CredentialSource FromContainer(const Environment& environment, const Fetch& fetch) {
  return [=](const Deadline& deadline) -> absl::StatusOr<Credentials> {
    const std::string relative = Variable(environment, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
                      full = Variable(environment, "AWS_CONTAINER_CREDENTIALS_FULL_URI");
    if (relative.empty() && full.empty()) return absl::NotFoundError("AWS_CONTAINER_CREDENTIALS_*_URI is not set");
    const std::string url = relative.empty() ? full : absl::StrCat("http://169.254.170.2", relative);
    if (!IsTrustedHost(url))
      return absl::FailedPreconditionError(
          absl::StrCat("AWS_CONTAINER_CREDENTIALS_FULL_URI must be https or an address of this host, not ", url));
    std::string token = Variable(environment, "AWS_CONTAINER_AUTHORIZATION_TOKEN");
    if (const std::string file = Variable(environment, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"); !file.empty()) {
      HR_ASSIGN_OR_RETURN(token, ReadSecret(file));
    }
    const auto [base, path] = Split(url);
    HttpRequest request{.target = path, .timeout = absl::Seconds(5)};
    if (!token.empty()) request.headers.push_back({"Authorization", token});
    HR_ASSIGN_OR_RETURN(const HttpResponse response, Send(fetch, base, request, deadline));
    return CredentialsOf(response, url);
  };
}

CredentialSource FromInstance(const Environment& environment, const Fetch& fetch) {
  return [=](const Deadline& deadline) -> absl::StatusOr<Credentials> {
    if (absl::EqualsIgnoreCase(Variable(environment, "AWS_EC2_METADATA_DISABLED"), "true"))
      return absl::NotFoundError("AWS_EC2_METADATA_DISABLED is set");
    const std::string given = Variable(environment, "AWS_EC2_METADATA_SERVICE_ENDPOINT"),
                      base = given.empty() ? kInstance : std::string(absl::StripSuffix(given, "/"));
    const absl::StatusOr<HttpResponse> token = Send(fetch, base,
                                                    {.method = "PUT",
                                                     .target = "/latest/api/token",
                                                     .headers = {{"X-aws-ec2-metadata-token-ttl-seconds", "21600"}},
                                                     .timeout = kShort},
                                                    deadline);
    if (!token.ok() && deadline.is_over()) return token.status();  // who was not given its second may be there
    if (!token.ok() || token->code != 200)
      return absl::NotFoundError(
          absl::StrCat("no instance metadata at ", base, " (in a pod the instance's hop limit must be 2)"));
    HttpRequest request{.target = kRoles, .headers = {{"X-aws-ec2-metadata-token", token->body}}, .timeout = kShort};
    HR_ASSIGN_OR_RETURN(const HttpResponse roles, Send(fetch, base, request, deadline));
    if (roles.code != 200) return absl::NotFoundError("the instance has no role");
    absl::StrAppend(&request.target, absl::StripAsciiWhitespace(roles.body));
    HR_ASSIGN_OR_RETURN(const HttpResponse keys, Send(fetch, base, request, deadline));
    return CredentialsOf(keys, absl::StrCat(base, request.target));
  };
}

absl::StatusOr<Credentials> CredentialChain::Ask(const Deadline& deadline) const {
  std::vector<std::string> asked;
  for (const CredentialSource& source : sources_) {
    if (deadline.is_over())
      return absl::DeadlineExceededError(absl::StrCat("no time was left to look for AWS credentials",
                                                      asked.empty() ? "" : " further: ", absl::StrJoin(asked, "; ")));
    absl::StatusOr<Credentials> found = source(deadline);
    if (!absl::IsNotFound(found.status())) return found;
    asked.emplace_back(found.status().message());
  }
  return absl::PermissionDeniedError(absl::StrCat("no AWS credentials: ", absl::StrJoin(asked, "; ")));
}

absl::StatusOr<Credentials> CredentialChain::Get(const Deadline& deadline) {
  const auto renewal = std::make_shared<Renewal>();
  absl::Duration longest;
  {
    const MonitorLock lock(mutex_);
    while (true) {
      const absl::Time now = clock_.Now();
      const bool hold = last_.has_value() && now < last_->expires_at;
      if (hold && (under_way_ != nullptr || now < renew_at_)) return *last_;
      longest = hold ? deadline.left() / 2 : deadline.left();
      if (under_way_ == nullptr) break;
      absl::StatusOr<Credentials> theirs = Await(deadline);
      if (!absl::IsDeadlineExceeded(theirs.status()) || deadline.is_over()) return theirs;
    }
    under_way_ = renewal;
  }
  return Settle(*renewal, Ask(Deadline(longest)));
}

absl::StatusOr<Credentials> CredentialChain::Await(const Deadline& deadline) {
  const std::shared_ptr<const Renewal> renewal = under_way_;
  while (!renewal->has_value() && !deadline.is_over()) mutex_.Wait(deadline.left());
  if (renewal->has_value()) return **renewal;
  return absl::DeadlineExceededError("AWS credentials, which another call asks for, did not come in time");
}

absl::StatusOr<Credentials> CredentialChain::Settle(Renewal& renewal, absl::StatusOr<Credentials> outcome) {
  const MonitorLock lock(mutex_);
  const absl::Time now = clock_.Now();
  if (outcome.ok()) last_ = *outcome;
  const absl::Time due = outcome.ok() ? outcome->expires_at - kRenewBefore : absl::InfinitePast();
  const bool is_fresh = now < due;
  renew_at_ = is_fresh ? due : now + pause_;
  pause_ = is_fresh ? kPauseFirst : std::min(2 * pause_, kPauseMax);
  if (!outcome.ok() && last_.has_value() && now < last_->expires_at) outcome = *last_;
  renewal = outcome;
  under_way_.reset();
  mutex_.Notify();
  return outcome;
}

void CredentialChain::Forget() {
  const MonitorLock lock(mutex_);
  last_.reset();
}

std::vector<CredentialSource> DefaultSources(const Environment& environment, const std::string& region,
                                             const Fetch& fetch) {
  return {FromEnvironment(environment), FromWebIdentity(environment, region, fetch), FromSharedFiles(environment),
          FromContainer(environment, fetch), FromInstance(environment, fetch)};
}

}  // namespace headroom::aws
