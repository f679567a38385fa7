#include "controller/providers/aws/credentials.h"

#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/controller/runtime/temp_dir.h"

namespace headroom::aws {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

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
    EXPECT_FALSE(FromWebIdentity(more, region, endpoints_.fetch())().ok()) << "nobody answers";
    return endpoints_.asked.size() == 1 ? endpoints_.asked[0] : absl::StrCat(endpoints_.asked.size(), " requests");
  }
  TempDir folder_;
  Endpoints endpoints_;
};

TEST_F(CredentialsTest, OfTheEnvironment) {
  const auto keys =
      FromEnvironment({{"AWS_ACCESS_KEY_ID", "A"}, {"AWS_SECRET_ACCESS_KEY", "B"}, {"AWS_SESSION_TOKEN", "C"}})();
  ASSERT_TRUE(keys.ok());
  EXPECT_EQ(keys->session_token, "C");
  EXPECT_EQ(FromEnvironment({})().status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(FromEnvironment({{"AWS_ACCESS_KEY_ID", "A"}})().status().code(), absl::StatusCode::kFailedPrecondition);
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
  const auto keys = source();
  ASSERT_TRUE(keys.ok()) << keys.status();
  EXPECT_EQ(keys->access_key_id, "A");
  EXPECT_EQ(keys->session_token, "C");
  EXPECT_EQ(keys->expires_at, absl::FromCivil(absl::CivilHour(2026, 11, 20, 12), absl::UTCTimeZone()));
  EXPECT_THAT(endpoints_.requests[0].body, HasSubstr("WebIdentityToken=jwt-1"));
  EXPECT_THAT(endpoints_.requests[0].body, HasSubstr("RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr"));
  Write("token", "jwt-2");
  ASSERT_TRUE(source().ok());
  EXPECT_THAT(endpoints_.requests[1].body, HasSubstr("WebIdentityToken=jwt-2"));
  endpoints_.answers[call] = {.code = 403,
                              .body =
                                  "<ErrorResponse><Error><Code>AccessDenied</Code><Message>Not authorized"
                                  "</Message></Error></ErrorResponse>"};
  EXPECT_THAT(std::string(source().status().message()), HasSubstr("role/r: AccessDenied Not authorized"));
}

TEST_F(CredentialsTest, AnAnswerOfStsWithoutKeysIsAnError) {
  const std::string call = "POST https://sts.eu-central-1.amazonaws.com/";
  for (const char* body :
       {"", "<html>welcome</html>",
        "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>A</AccessKeyId>"
        "</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"}) {
    endpoints_.answers[call] = {.code = 200, .body = body};
    const auto keys = FromWebIdentity(WebIdentity(), "eu-central-1", endpoints_.fetch())();
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
  const auto keys = FromSharedFiles({{"AWS_SHARED_CREDENTIALS_FILE", file}})();
  ASSERT_TRUE(keys.ok()) << keys.status();
  EXPECT_EQ(keys->secret_access_key, "B");
  const auto named = FromSharedFiles({{"AWS_SHARED_CREDENTIALS_FILE", file}, {"AWS_PROFILE", "storage"}})();
  ASSERT_TRUE(named.ok());
  EXPECT_EQ(named->secret_access_key, "D=");
  const auto none = FromSharedFiles({{"AWS_SHARED_CREDENTIALS_FILE", file}, {"AWS_PROFILE", "none"}})();
  EXPECT_EQ(none.status().code(), absl::StatusCode::kFailedPrecondition) << "it was named";
  EXPECT_EQ(FromSharedFiles({{"HOME", "/nowhere"}})().status().code(), absl::StatusCode::kNotFound);
}

TEST_F(CredentialsTest, OfAContainer) {
  endpoints_.answers["GET http://169.254.170.2/v2/x"] = {.code = 200, .body = kKeys};
  const auto task = FromContainer({{"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/x"}}, endpoints_.fetch())();
  ASSERT_TRUE(task.ok()) << task.status();
  EXPECT_EQ(task->access_key_id, "AKID");
  const std::string file = Write("token", "bearer");
  endpoints_.answers["GET http://169.254.170.23/v1/credentials"] = {.code = 200, .body = kKeys};
  const auto pod = FromContainer({{"AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.170.23/v1/credentials"},
                                  {"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file}},
                                 endpoints_.fetch())();
  ASSERT_TRUE(pod.ok()) << pod.status();
  EXPECT_EQ(endpoints_.requests.back().headers[0].value, "bearer");
}

TEST_F(CredentialsTest, ATokenGoesToNobodyElseInTheClear) {
  Environment role = WebIdentity();
  for (const char* url :
       {"http://evil.example/x", "http://169.254.170.2.evil.example/x", "http://localhost.evil.example/"}) {
    const auto refused = FromContainer({{"AWS_CONTAINER_CREDENTIALS_FULL_URI", url}}, endpoints_.fetch())();
    EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition) << url;
    role["AWS_ENDPOINT_URL_STS"] = url;
    const auto sts = FromWebIdentity(role, "eu-west-1", endpoints_.fetch())();
    EXPECT_EQ(sts.status().code(), absl::StatusCode::kFailedPrecondition) << url;
  }
  EXPECT_TRUE(endpoints_.asked.empty());
}

TEST_F(CredentialsTest, OfAnInstanceByVersionTwoOnly) {
  const std::string base = "http://169.254.169.254", roles = base + "/latest/meta-data/iam/security-credentials/";
  endpoints_.answers["PUT " + base + "/latest/api/token"] = {.code = 200, .body = "session"};
  endpoints_.answers["GET " + roles] = {.code = 200, .body = "storage\n"};
  endpoints_.answers["GET " + roles + "storage"] = {.code = 200, .body = kKeys};
  const auto keys = FromInstance({}, endpoints_.fetch())();
  ASSERT_TRUE(keys.ok()) << keys.status();
  EXPECT_EQ(keys->session_token, "token");
  EXPECT_EQ(endpoints_.requests.back().headers[0].value, "session");
  endpoints_.answers.erase("PUT " + base + "/latest/api/token");
  endpoints_.asked.clear();
  EXPECT_EQ(FromInstance({}, endpoints_.fetch())().status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(endpoints_.asked.size(), 1u) << "without a token it asks for nothing";
  EXPECT_FALSE(FromInstance({{"AWS_EC2_METADATA_DISABLED", "true"}}, endpoints_.fetch())().ok());
  EXPECT_EQ(endpoints_.asked.size(), 1u);
}

TEST_F(CredentialsTest, TheFirstPlaceThatHasKeysIsAskedAndAgainBeforeTheyEnd) {
  ManualClock clock(absl::FromUnixSeconds(1'763'000'000));
  int asked = 0;
  bool fails = false;
  const auto temporary = [&]() -> absl::StatusOr<Credentials> {
    if (fails) return absl::UnavailableError("down");
    return Credentials{.access_key_id = absl::StrCat("key-", ++asked), .expires_at = clock.Now() + absl::Hours(1)};
  };
  CredentialChain chain({[] { return absl::NotFoundError("not here"); }, temporary}, clock);
  EXPECT_EQ(chain.Get()->access_key_id, "key-1");
  clock.Advance(absl::Minutes(49));
  EXPECT_EQ(chain.Get()->access_key_id, "key-1");
  clock.Advance(absl::Minutes(2));
  EXPECT_EQ(chain.Get()->access_key_id, "key-2");
  fails = true;
  clock.Advance(absl::Minutes(55));
  EXPECT_EQ(chain.Get()->access_key_id, "key-2") << "they hold still";
  clock.Advance(absl::Minutes(6));
  EXPECT_EQ(chain.Get().status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(CredentialsTest, WhereThereAreNoneEveryPlaceIsNamed) {
  const SystemClock clock;
  CredentialChain chain(DefaultSources({{"HOME", "/nowhere"}}, "us-east-1", endpoints_.fetch()), clock);
  const auto none = chain.Get();
  EXPECT_EQ(none.status().code(), absl::StatusCode::kPermissionDenied);
  for (const char* place : {"AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "/nowhere/.aws/credentials",
                            "AWS_CONTAINER_CREDENTIALS", "hop limit"})
    EXPECT_THAT(std::string(none.status().message()), HasSubstr(place));
}

}  // namespace
}  // namespace headroom::aws
