#include <gtest/gtest.h>

#include "controller/providers/aws/auto_scaling.h"
#include "tests/controller/providers/aws/fake_auto_scaling.h"
#include "tests/controller/providers/conformance/provider_under_test.h"

namespace headroom {
namespace {

using aws::AutoScalingProvider;
using aws::FakeAutoScaling;

constexpr char kNote[] = "CreateOrUpdateTags", kRaise[] = "SetDesiredCapacity",
               kEnd[] = "TerminateInstanceInAutoScalingGroup", kDescribe[] = "DescribeAutoScalingGroups";

class AutoScalingUnderTest final : public ProviderUnderTest {
 public:
  AutoScalingUnderTest() { Reopen(); }
  Provider& provider() override { return *provider_; }
  std::vector<NodeId> Nodes() override { return aws_.instances(); }
  int Asked() override { return aws_.capacity(); }
  bool Reopen() override {
    auto provider = AutoScalingProvider::Open(
        {.group = "files",
         .region = "eu-west-1",
         .endpoint = aws_.url(),
         .credentials = {aws::FromEnvironment({{"AWS_ACCESS_KEY_ID", "AKID"}, {"AWS_SECRET_ACCESS_KEY", "secret"}})},
         .wait = [](absl::Duration) {}},
        clock_);
    EXPECT_TRUE(provider.ok()) << provider.status();
    provider_ = *std::move(provider);
    return true;
  }
  int Writes() override { return aws_.Writes(); }
  bool Inject(Trouble trouble, Verb verb) override {
    const std::string last = verb == Verb::kList ? kDescribe : verb == Verb::kLaunch ? kRaise : kEnd;
    const std::string first = verb == Verb::kLaunch ? kNote : last;
    // One that may be done twice is asked three times.
    const int tries = verb == Verb::kTerminate ? 1 : 3;
    switch (trouble) {
      case Trouble::kThrottled:
        aws_.Inject({.action = last, .code = 429, .error = "Throttling", .retry_after = "1"});
        return true;
      case Trouble::kServerError:
        aws_.Inject({.action = first, .code = 500, .error = "InternalFailure", .times = tries});
        return true;
      case Trouble::kPartialEffect:
        if (verb != Verb::kLaunch) return false;
        aws_.Inject({.action = last, .code = 503, .error = "ServiceUnavailable", .times = tries});
        return true;
      case Trouble::kLostAnswer:
        aws_.Inject({.action = last, .after_effect = true});
        return verb != Verb::kList;
      case Trouble::kConflict:
        return false;  // it compares nothing
      case Trouble::kForbidden:
        aws_.Inject({.code = 403,
                     .error = "AccessDenied",
                     .message = "User: arn:aws:iam::1:user/a is not authorized to perform: autoscaling:X",
                     .times = 1'000'000});
        return true;
      case Trouble::kSilence:
        aws_.Inject({.action = last, .never_answers = true, .times = 3});
        return true;
    }
    return false;
  }
  bool SayUnknownWord() override {
    aws_.SetState(aws_.instances()[0], "Hibernating:Deeply");
    return true;
  }
  bool RunOutOfStock() override {
    aws_.RunOutOfStock("We currently do not have sufficient m5.large capacity in the zone you requested");
    return true;
  }
  bool ComeLate() override {
    aws_.ComeLate();
    return true;
  }

 private:
  SystemClock clock_;
  FakeAutoScaling aws_{kNodesAtFirst};
  std::unique_ptr<AutoScalingProvider> provider_;
};

}  // namespace

std::unique_ptr<ProviderUnderTest> MakeAutoScalingGroup() {
  return std::make_unique<AutoScalingUnderTest>();
}

}  // namespace headroom
