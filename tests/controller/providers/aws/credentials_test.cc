#include "controller/providers/aws/credentials.h"

#include <atomic>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/controller/providers/http/scripted_server.h"
#include "tests/controller/runtime/temp_dir.h"

namespace headroom::aws {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::SizeIs;

Deadline Plenty() {
  return Deadline(absl::Hours(1));
}

constexpr char kKeys[] =
    R"({"AccessKeyId":"AKID","SecretAccessKey":"secret","Token":"token","Expiration":"2026-11-20T12:00:00Z"})";

// Says what AWS's endpoints say, and notes what they are asked.
class Endpoints {
 public:
  Fetch fetch() {
    return [this](const std::string& base, const HttpRequest& request) -> absl::StatusOr<HttpResponse> {
      requests.push_back(request);
      asked.push_back(absl::StrCat(request.method, " ", base, request.target));
      const auto found = answers.find(asked.back());
      if (found == answers.end()) return absl::DeadlineExceededError("no route");
      return found->second;
    };
  }
  std::map<std::string, HttpResponse> answers;
  std::vector<std::string> asked;
  std::vector<HttpRequest> requests;
};

class CredentialsTest : public ::testing::Test {
 protected:
  std::string Write(const std::string& name, const std::string& text) {
    const std::string path = absl::StrCat(folder_.path(), "/", name);
    std::ofstream(path) << text;
    return path;
  }
  // The environment of a pod with a role.
  Environment WebIdentity() {
    return {{"AWS_WEB_IDENTITY_TOKEN_FILE", Write("token", "jwt")}, {"AWS_ROLE_ARN", "arn:aws:iam::1:role/r"}};
  }
  // The one request for keys of a role.
  std::string StsOf(Environment more, const std::string& region) {
    more.merge(WebIdentity());
    endpoints_.asked.clear();
    EXPECT_FALSE(FromWebIdentity(more, region, endpoints_.fetch())(Plenty()).ok()) << "nobody answers";
    return endpoints_.asked.size() == 1 ? endpoints_.asked[0] : absl::StrCat(endpoints_.asked.size(), " requests");
  }
  TempDir folder_;
  Endpoints endpoints_;
};

TEST_F(CredentialsTest, OfTheEnvironment) {
  const auto keys = FromEnvironment(
      {{"AWS_ACCESS_KEY_ID", "A"}, {"AWS_SECRET_ACCESS_KEY", "B"}, {"AWS_SESSION_TOKEN", "C"}})(Plenty());
  ASSERT_TRUE(keys.ok());
  EXPECT_EQ(keys->session_token, "C");
  EXPECT_EQ(FromEnvironment({})(Plenty()).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(FromEnvironment({{"AWS_ACCESS_KEY_ID", "A"}})(Plenty()).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(CredentialsTest, OfAWebIdentity) {
  const std::string file = Write("token", "jwt-1\n");
  const auto source =
      FromWebIdentity({{"AWS_WEB_IDENTITY_TOKEN_FILE", file}, {"AWS_ROLE_ARN", "arn:aws:iam::1:role/r"}},
                      "eu-central-1", endpoints_.fetch());
  const std::string call = "POST https://sts.eu-central-1.amazonaws.com/";
  endpoints_.answers[call] = {
      .code = 200, .body = R"(<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
    <AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>A</AccessKeyId><SecretAccessKey>B</SecretAccessKey>
    <SessionToken>C</SessionToken><Expiration>2026-11-20T12:00:00Z</Expiration></Credentials>
    </AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>)"};
  const auto keys = source(Plenty());
  ASSERT_TRUE(keys.ok()) << keys.status();
  EXPECT_EQ(keys->access_key_id, "A");
  EXPECT_EQ(keys->session_token, "C");
  EXPECT_EQ(keys->expires_at, absl::FromCivil(absl::CivilHour(2026, 11, 20, 12), absl::UTCTimeZone()));
  EXPECT_THAT(endpoints_.requests[0].body, HasSubstr("WebIdentityToken=jwt-1"));
  EXPECT_THAT(endpoints_.requests[0].body, HasSubstr("RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr"));
  Write("token", "jwt-2");
  ASSERT_TRUE(source(Plenty()).ok());
  EXPECT_THAT(endpoints_.requests[1].body, HasSubstr("WebIdentityToken=jwt-2"));
  endpoints_.answers[call] = {.code = 403,
                              .body =
                                  "<ErrorResponse><Error><Code>AccessDenied</Code><Message>Not authorized"
                                  "</Message></Error></ErrorResponse>"};
  EXPECT_THAT(std::string(source(Plenty()).status().message()), HasSubstr("role/r: AccessDenied Not authorized"));
}

TEST_F(CredentialsTest, AnAnswerOfStsWithoutKeysIsAnError) {
  const std::string call = "POST https://sts.eu-central-1.amazonaws.com/";
  for (const char* body :
       {"", "<html>welcome</html>",
        "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>A</AccessKeyId>"
        "</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"}) {
    endpoints_.answers[call] = {.code = 200, .body = body};
    const auto keys = FromWebIdentity(WebIdentity(), "eu-central-1", endpoints_.fetch())(Plenty());
    EXPECT_EQ(keys.status().code(), absl::StatusCode::kUnavailable) << body;
    EXPECT_THAT(std::string(keys.status().message()), HasSubstr("role/r: the answer has no keys"));
  }
}

TEST_F(CredentialsTest, StsIsAskedWhereTheRegionHasIt) {
  EXPECT_EQ(StsOf({}, "us-gov-west-1"), "POST https://sts.us-gov-west-1.amazonaws.com/");
  EXPECT_EQ(StsOf({}, "cn-north-1"), "POST https://sts.cn-north-1.amazonaws.com.cn/");
}

TEST_F(CredentialsTest, StsIsAskedWhereTheEnvironmentSays) {
  const std::string regions = "POST https://sts.eu-west-1.amazonaws.com/";
  EXPECT_EQ(StsOf({{"AWS_ENDPOINT_URL_STS", "https://vpce-1.example/"}}, "eu-west-1"), "POST https://vpce-1.example/");
  EXPECT_EQ(StsOf({{"AWS_ENDPOINT_URL_STS", ""}}, "eu-west-1"), regions);
  EXPECT_EQ(StsOf({{"AWS_ENDPOINT_URL_STS", "https://vpce-1.example"}, {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true"}},
                  "eu-west-1"),
            regions);
}

TEST_F(CredentialsTest, OfASharedFile) {
  const std::string file = Write("credentials",
                                 "# mine\n[default]\naws_access_key_id = A\naws_secret_access_key=B\n\n"
                                 "[ storage ]\naws_access_key_id=C\naws_secret_access_key = D=\n");
  const auto keys = FromSharedFiles({{"AWS_SHARED_CREDENTIALS_FILE", file}})(Plenty());
  ASSERT_TRUE(keys.ok()) << keys.status();
  EXPECT_EQ(keys->secret_access_key, "B");
  const auto named = FromSharedFiles({{"AWS_SHARED_CREDENTIALS_FILE", file}, {"AWS_PROFILE", "storage"}})(Plenty());
  ASSERT_TRUE(named.ok());
  EXPECT_EQ(named->secret_access_key, "D=");
  const auto none = FromSharedFiles({{"AWS_SHARED_CREDENTIALS_FILE", file}, {"AWS_PROFILE", "none"}})(Plenty());
  EXPECT_EQ(none.status().code(), absl::StatusCode::kFailedPrecondition) << "it was named";
  EXPECT_EQ(FromSharedFiles({{"HOME", "/nowhere"}})(Plenty()).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(CredentialsTest, OfAContainer) {
  endpoints_.answers["GET http://169.254.170.2/v2/x"] = {.code = 200, .body = kKeys};
  const auto task = FromContainer({{"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/x"}}, endpoints_.fetch())(Plenty());
  ASSERT_TRUE(task.ok()) << task.status();
  EXPECT_EQ(task->access_key_id, "AKID");
  const std::string file = Write("token", "bearer");
  endpoints_.answers["GET http://169.254.170.23/v1/credentials"] = {.code = 200, .body = kKeys};
  const auto pod = FromContainer({{"AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.170.23/v1/credentials"},
                                  {"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file}},
                                 endpoints_.fetch())(Plenty());
  ASSERT_TRUE(pod.ok()) << pod.status();
  EXPECT_EQ(endpoints_.requests.back().headers[0].value, "bearer");
}

TEST_F(CredentialsTest, ATokenGoesToNobodyElseInTheClear) {
  Environment role = WebIdentity();
  for (const char* url :
       {"http://evil.example/x", "http://169.254.170.2.evil.example/x", "http://localhost.evil.example/",
        "http://127.0.0.1.evil.example/", "http://127.evil.example/", "http://localhost:80@evil.example/",
        "http://127.0.0.1@evil.example/"}) {
    const auto refused = FromContainer({{"AWS_CONTAINER_CREDENTIALS_FULL_URI", url}}, endpoints_.fetch())(Plenty());
    EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition) << url;
    role["AWS_ENDPOINT_URL_STS"] = url;
    const auto sts = FromWebIdentity(role, "eu-west-1", endpoints_.fetch())(Plenty());
    EXPECT_EQ(sts.status().code(), absl::StatusCode::kFailedPrecondition) << url;
  }
  EXPECT_TRUE(endpoints_.asked.empty());
  for (const char* url :
       {"http://127.1.2.3:8080/x", "http://[::1]:80/x", "http://localhost", "https://evil.example/"}) {
    const auto unanswered = FromContainer({{"AWS_CONTAINER_CREDENTIALS_FULL_URI", url}}, endpoints_.fetch())(Plenty());
    EXPECT_EQ(unanswered.status().code(), absl::StatusCode::kDeadlineExceeded) << url;
  }
}

TEST_F(CredentialsTest, OfAnInstanceByVersionTwoOnly) {
  const std::string base = "http://169.254.169.254", roles = base + "/latest/meta-data/iam/security-credentials/";
  endpoints_.answers["PUT " + base + "/latest/api/token"] = {.code = 200, .body = "session"};
  endpoints_.answers["GET " + roles] = {.code = 200, .body = "storage\n"};
  endpoints_.answers["GET " + roles + "storage"] = {.code = 200, .body = kKeys};
  const auto keys = FromInstance({}, endpoints_.fetch())(Plenty());
  ASSERT_TRUE(keys.ok()) << keys.status();
  EXPECT_EQ(keys->session_token, "token");
  EXPECT_EQ(endpoints_.requests.back().headers[0].value, "session");
  endpoints_.answers.erase("PUT " + base + "/latest/api/token");
  endpoints_.asked.clear();
  EXPECT_EQ(FromInstance({}, endpoints_.fetch())(Plenty()).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(endpoints_.asked.size(), 1u) << "without a token it asks for nothing";
  EXPECT_FALSE(FromInstance({{"AWS_EC2_METADATA_DISABLED", "true"}}, endpoints_.fetch())(Plenty()).ok());
  EXPECT_EQ(endpoints_.asked.size(), 1u);
}

TEST_F(CredentialsTest, NoRequestIsGivenMoreTimeThanTheCallHas) {
  const std::string base = "http://169.254.169.254", roles = base + "/latest/meta-data/iam/security-credentials/";
  endpoints_.answers["PUT " + base + "/latest/api/token"] = {.code = 200, .body = "session"};
  endpoints_.answers["GET " + roles] = {.code = 200, .body = "storage"};
  constexpr absl::Duration kCall = absl::Milliseconds(700);
  for (const CredentialSource& source :
       {FromWebIdentity(WebIdentity(), "eu-west-1", endpoints_.fetch()),
        FromContainer({{"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/x"}}, endpoints_.fetch()),
        FromInstance({}, endpoints_.fetch())})
    EXPECT_FALSE(source(Deadline(kCall)).ok());
  EXPECT_THAT(endpoints_.requests, SizeIs(5));
  for (const HttpRequest& request : endpoints_.requests)
    EXPECT_LE(request.timeout, kCall) << request.method << " " << request.target;
}

TEST_F(CredentialsTest, ACallWhoseTimeIsOverAsksNobody) {
  const Deadline over(absl::ZeroDuration());
  for (const CredentialSource& source :
       {FromWebIdentity(WebIdentity(), "eu-west-1", endpoints_.fetch()),
        FromContainer({{"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/x"}}, endpoints_.fetch()),
        FromInstance({}, endpoints_.fetch())}) {
    const absl::Status told = source(over).status();
    EXPECT_EQ(told.code(), absl::StatusCode::kDeadlineExceeded);
    EXPECT_THAT(std::string(told.message()), AllOf(HasSubstr("http"), HasSubstr("no time was left")));
  }
  EXPECT_TRUE(endpoints_.asked.empty());
}

TEST_F(CredentialsTest, AnInstanceThatHadNoTimeToAnswerIsNotNone) {
  const Deadline deadline(absl::Milliseconds(10));
  const Fetch slow = [&deadline](const std::string&, const HttpRequest&) -> absl::StatusOr<HttpResponse> {
    while (!deadline.is_over()) std::this_thread::yield();
    return absl::DeadlineExceededError("it has gone silent");
  };
  EXPECT_EQ(FromInstance({}, slow)(deadline).status().code(), absl::StatusCode::kDeadlineExceeded);
}

TEST_F(CredentialsTest, TheRealOneAsksAServerAndWaitsNoLongerThanItIsTold) {
  std::atomic<int> asked = 0;
  ScriptedServer server([&asked](Peer& peer) {
    const std::string request = peer.ReadRequest();
    if (++asked <= 2) return peer.Answer(request.substr(0, request.find(' ')));
    peer.AwaitEnd();
  });
  const Fetch fetch = RealFetch();
  for (const char* method : {"PUT", "POST"}) {
    const auto answer = fetch(server.url(), {.method = method, .body = "x"});
    ASSERT_TRUE(answer.ok()) << answer.status();
    EXPECT_EQ(answer->body, method);
  }
  const auto none = fetch(server.url(), {.method = "POST", .body = "x", .timeout = absl::Milliseconds(100)});
  EXPECT_EQ(none.status().code(), absl::StatusCode::kDeadlineExceeded);
}

TEST_F(CredentialsTest, WhereThereAreNoneEveryPlaceIsNamed) {
  const SystemClock clock;
  CredentialChain chain(DefaultSources({{"HOME", "/nowhere"}}, "us-east-1", endpoints_.fetch()), clock);
  const auto none = chain.Get(Plenty());
  EXPECT_EQ(none.status().code(), absl::StatusCode::kPermissionDenied);
  for (const char* place : {"AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "/nowhere/.aws/credentials",
                            "AWS_CONTAINER_CREDENTIALS", "hop limit"})
    EXPECT_THAT(std::string(none.status().message()), HasSubstr(place));
}

}  // namespace
}  // namespace headroom::aws
