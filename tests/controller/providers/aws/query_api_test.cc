#include "controller/providers/aws/query_api.h"

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/controller/providers/aws/fake_auto_scaling.h"

namespace headroom::aws {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::Ge;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

constexpr char kRead[] = "DescribeAutoScalingGroups";

class QueryApiTest : public ::testing::Test {
 protected:
  void Connect(const std::string& region, const std::string& key, const std::string& secret) {
    ConnectWith(region, [=, this](const Deadline&) -> absl::StatusOr<Credentials> {
      ++asked_for_keys_;
      return Credentials{.access_key_id = key, .secret_access_key = secret};
    });
  }
  void ConnectWith(const std::string& region, CredentialSource source) {
    auto api = QueryApi::Connect(
        {.endpoint = aws_.url(),
         .region = region,
         .service = "autoscaling",
         .version = "2011-01-01",
         .wait =
             [this](absl::Duration time) {
               waited_.push_back(time);
               if (while_waiting_ != nullptr) while_waiting_();
             }},
        std::make_unique<CredentialChain>(std::vector<CredentialSource>{std::move(source)}, clock_), clock_);
    ASSERT_TRUE(api.ok()) << api.status();
    api_ = *std::move(api);
  }
  void SetUp() override { Connect("eu-west-1", "AKID", "secret"); }
  absl::Status Call(const std::string& action = kRead, Repeat repeat = Repeat::kAlways,
                    absl::Duration timeout = absl::Seconds(20)) {
    return api_
        ->Call({.action = action,
                .fields = {{"AutoScalingGroupNames.member.1", "files"}, {"InstanceId", "i-1"}},
                .repeat = repeat,
                .timeout = timeout})
        .status();
  }
  absl::Status CallWithin(absl::Duration timeout) { return Call(kRead, Repeat::kAlways, timeout); }
  std::string Told() { return std::string(Call().message()); }

  SystemClock clock_;
  FakeAutoScaling aws_{1};
  std::vector<absl::Duration> waited_;
  std::function<void()> while_waiting_;
  int asked_for_keys_ = 0;
  std::unique_ptr<QueryApi> api_;
};

TEST_F(QueryApiTest, ThrottlingIsWaitedOutWithGrowingPauses) {
  aws_.Inject({.code = 400, .error = "Throttling", .message = "Rate exceeded", .times = 2});
  EXPECT_TRUE(Call().ok());
  ASSERT_THAT(waited_, SizeIs(2));
  EXPECT_LE(waited_[0], absl::Seconds(1));
  EXPECT_LE(waited_[1], absl::Seconds(2));
}

TEST_F(QueryApiTest, ItDoesNotTryForEver) {
  aws_.Inject({.code = 400, .error = "Throttling", .message = "Rate exceeded", .times = 100});
  const absl::Status told = Call();
  EXPECT_EQ(told.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(told.message()), AllOf(HasSubstr(kRead), HasSubstr("AWS slows this account down")));
  EXPECT_EQ(aws_.CountOf(kRead), QueryApi::kAttemptsMax);
}

TEST_F(QueryApiTest, APauseThatAwsAsksForIsKept) {
  aws_.Inject({.code = 429, .error = "TooManyRequestsException", .retry_after = "7"});
  EXPECT_TRUE(Call().ok());
  EXPECT_THAT(waited_, AllOf(SizeIs(1), Each(Ge(absl::Seconds(7)))));
}

TEST_F(QueryApiTest, APauseThatIsLongerThanTheCallEndsIt) {
  aws_.Inject({.code = 503, .error = "ServiceUnavailable", .retry_after = "3600"});
  EXPECT_EQ(Call().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(aws_.CountOf(kRead), 1);
}

TEST_F(QueryApiTest, WhenEverythingFailsNearlyNothingIsRepeated) {
  aws_.Inject({.code = 500, .error = "InternalFailure", .times = 100'000});
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(Call().ok());
  EXPECT_EQ(aws_.CountOf(kRead), 100 + QueryApi::kTokensMax / 5);
}

TEST_F(QueryApiTest, WhatMayNotBeDoneTwiceIsRepeatedOnlyWhereItWasRefused) {
  constexpr char kEnd[] = "TerminateInstanceInAutoScalingGroup";
  aws_.Inject({.action = kEnd, .after_effect = true});
  EXPECT_EQ(Call(kEnd, Repeat::kIfRefused).code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(aws_.CountOf(kEnd), 1);
  aws_.Inject({.action = kEnd, .code = 400, .error = "Throttling"});
  EXPECT_FALSE(Call(kEnd, Repeat::kIfRefused).ok());
  EXPECT_EQ(aws_.CountOf(kEnd), 3);
}

TEST_F(QueryApiTest, AClockThatIsWrongIsSetByAwssOnce) {
  aws_.SetAhead(absl::Minutes(40));
  EXPECT_TRUE(Call().ok());
  EXPECT_TRUE(Call().ok());
  EXPECT_EQ(aws_.CountOf(kRead), 2) << "those that were understood";
}

TEST_F(QueryApiTest, EveryRefusalSaysWhatToDo) {
  struct Case {
    std::string error, message;
    absl::StatusCode code;
    std::string advice;
    int times = 1;  // until it is told
  };
  for (const Case& one : {
           Case{"AccessDenied",
                "User: arn:aws:iam::1:user/a is not authorized to perform: autoscaling:SetDesiredCapacity",
                absl::StatusCode::kPermissionDenied, "SetDesiredCapacity; allow it in the policy of this role or user"},
           Case{"ExpiredToken", "The security token included in the request is expired",
                absl::StatusCode::kPermissionDenied, "renew the session", 2},
           Case{"LimitExceeded", "You have reached a limit", absl::StatusCode::kResourceExhausted, "raise this limit"},
           Case{"ScalingActivityInProgress", "busy", absl::StatusCode::kUnavailable, "busy", 3},
           Case{"ResourceContention", "busy", absl::StatusCode::kUnavailable, "busy", 3},
           Case{"ValidationError", "1 validation error detected", absl::StatusCode::kInvalidArgument,
                "validation error"},
           Case{"SomethingNew", "of next year", absl::StatusCode::kInvalidArgument, "SomethingNew: of next year"},
       }) {
    aws_.Inject({.code = 400, .error = one.error, .message = one.message, .times = one.times});
    const absl::Status told = Call();
    EXPECT_EQ(told.code(), one.code) << one.error;
    EXPECT_THAT(std::string(told.message()), HasSubstr(one.advice));
    ASSERT_TRUE(Call().ok()) << one.error;
  }
}

TEST_F(QueryApiTest, WrongKeysAndAWrongRegionSayWhatToDo) {
  Connect("eu-west-1", "OTHER", "secret");
  EXPECT_THAT(Told(), HasSubstr("AWS does not know this access key"));
  Connect("eu-west-1", "AKID", "wrong");
  EXPECT_THAT(Told(), HasSubstr("the secret access key does not belong to the access key id"));
  Connect("us-east-1", "AKID", "secret");
  EXPECT_THAT(Told(), HasSubstr("set provider.aws.region to the region of the endpoint"));
}

TEST_F(QueryApiTest, NoSecretOfARequestIsEchoedAndAwssWordsAreOneLine) {
  const std::string echo =
      "The request signature we calculated does not match. The Canonical String should have been\n"
      "'POST\n/\n\nx-amz-security-token:FwoGZXIvYXdzEBYaD\n'";
  for (const char* code : {"SignatureDoesNotMatch", "InvalidSignatureException", "IncompleteSignature"}) {
    aws_.Inject({.code = 403, .error = code, .message = echo});
    const std::string told = Told();
    EXPECT_THAT(told, AllOf(HasSubstr(code), Not(HasSubstr("FwoGZXIvYXdzEBYaD")), Not(HasSubstr("\n"))));
  }
  aws_.Inject({.code = 400, .error = "ValidationError", .message = "one\ntwo" + std::string(10'000, '.')});
  const std::string told = Told();
  EXPECT_THAT(told, HasSubstr("one two"));
  EXPECT_LT(told.size(), 500u);
}

TEST_F(QueryApiTest, KeysThatWereNotAcceptedAreAskedForAnewByTheNextCall) {
  aws_.Inject({.code = 403, .error = "InvalidClientTokenId"});
  EXPECT_EQ(Call().code(), absl::StatusCode::kPermissionDenied);
  EXPECT_TRUE(Call().ok());
  EXPECT_EQ(asked_for_keys_, 2) << "somebody may have replaced them";
}

TEST_F(QueryApiTest, ASessionWhoseTimeIsOverIsAskedForAnewOnce) {
  aws_.Inject({.code = 403, .error = "ExpiredToken"});
  EXPECT_TRUE(Call().ok());
  EXPECT_EQ(asked_for_keys_, 2);
}

TEST_F(QueryApiTest, AnAnswerThatIsNoneIsNotTakenForOne) {
  aws_.Inject({.code = 200, .error = "x", .times = 3});
  const auto answer = api_->Call({.action = kRead});
  EXPECT_EQ(answer.status().code(), absl::StatusCode::kUnavailable) << "a proxy's page, perhaps";
}

TEST_F(QueryApiTest, ASilentServerCostsTheTimeThatWasGiven) {
  aws_.Inject({.never_answers = true, .times = 3});
  const auto answer = api_->Call({.action = kRead, .timeout = absl::Milliseconds(200)});
  EXPECT_EQ(answer.status().code(), absl::StatusCode::kDeadlineExceeded);
}

void AwaitEndOf(const Deadline& deadline) {
  while (!deadline.is_over()) std::this_thread::yield();
}

TEST_F(QueryApiTest, AStallWhereTheKeysAreCostsTheTimeThatWasGiven) {
  constexpr absl::Duration kCall = absl::Milliseconds(200);
  absl::Duration given;
  ConnectWith("eu-west-1", [&given](const Deadline& deadline) -> absl::StatusOr<Credentials> {
    given = deadline.left();
    AwaitEndOf(deadline);
    return absl::DeadlineExceededError("POST https://sts.eu-west-1.amazonaws.com: it has gone silent");
  });
  const absl::Status told = CallWithin(kCall);
  EXPECT_LE(given, kCall);
  EXPECT_EQ(told.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(told.message()), AllOf(HasSubstr(kRead), HasSubstr("sts.eu-west-1")));
  EXPECT_THAT(aws_.requests(), SizeIs(0));
}

TEST_F(QueryApiTest, WithKeysThatComeTooLateNothingIsSent) {
  ConnectWith("eu-west-1", [](const Deadline& deadline) -> absl::StatusOr<Credentials> {
    AwaitEndOf(deadline);
    return Credentials{.access_key_id = "AKID", .secret_access_key = "secret"};
  });
  const absl::Status told = CallWithin(absl::Milliseconds(50));
  EXPECT_EQ(told.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(told.message()), AllOf(HasSubstr(kRead), HasSubstr("credentials"), HasSubstr("not sent")));
  EXPECT_THAT(aws_.requests(), SizeIs(0));
}

TEST_F(QueryApiTest, WithNoTimeLeftNothingIsSent) {
  ASSERT_TRUE(Call().ok()) << "there are keys";
  const absl::Status told = CallWithin(absl::ZeroDuration());
  EXPECT_EQ(told.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(told.message()), AllOf(HasSubstr(kRead), HasSubstr("not sent")));
  EXPECT_THAT(aws_.requests(), SizeIs(1));
}

TEST_F(QueryApiTest, AfterAPauseThatTookAllOfItsTimeNothingIsSent) {
  constexpr absl::Duration kCall = absl::Milliseconds(400);  // the seed's first pause is 134 ms
  const Deadline deadline(kCall);
  while_waiting_ = [&deadline] { AwaitEndOf(deadline); };
  aws_.Inject({.code = 400, .error = "Throttling", .message = "Rate exceeded"});
  const absl::Status told = CallWithin(kCall - absl::Milliseconds(100));
  EXPECT_EQ(told.code(), absl::StatusCode::kUnavailable) << told;
  EXPECT_THAT(std::string(told.message()), HasSubstr("AWS slows this account down"));
  EXPECT_THAT(aws_.requests(), SizeIs(1));
}

TEST_F(QueryApiTest, ARenewalThatTakesTheRestOfTheTimeEndsTheCall) {
  ConnectWith("eu-west-1", [this](const Deadline& deadline) -> absl::StatusOr<Credentials> {
    if (++asked_for_keys_ > 1) AwaitEndOf(deadline);
    return Credentials{.access_key_id = "AKID", .secret_access_key = "secret"};
  });
  aws_.Inject({.code = 403, .error = "ExpiredToken"});
  const absl::Status told = CallWithin(absl::Milliseconds(500));
  EXPECT_EQ(told.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(aws_.requests(), SizeIs(1));
}

TEST_F(QueryApiTest, ThatThereAreNoKeysForARepetitionDoesNotHideThatTheFirstMayHaveBeenHeard) {
  ConnectWith("eu-west-1", [this](const Deadline&) -> absl::StatusOr<Credentials> {
    if (++asked_for_keys_ > 1) return absl::PermissionDeniedError("no keys");
    return Credentials{
        .access_key_id = "AKID", .secret_access_key = "secret", .expires_at = clock_.Now() + absl::Milliseconds(100)};
  });
  while_waiting_ = [] { AwaitEndOf(Deadline(absl::Milliseconds(100))); };  // until they have ended
  aws_.Inject({.code = 500, .error = "InternalFailure", .message = "x"});
  EXPECT_EQ(Call().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(asked_for_keys_, 2);
}

}  // namespace
}  // namespace headroom::aws
