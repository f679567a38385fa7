#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "controller/base/monitor.h"
#include "controller/providers/aws/credentials.h"

namespace headroom::aws {
namespace {

using ::testing::HasSubstr;

constexpr absl::Duration kPatience = absl::Seconds(20);  // for what comes at once, unless it is broken
constexpr absl::Duration kLife = absl::Hours(1);

Deadline Plenty() {
  return Deadline(kPatience);
}

// A clock that knows how often it was looked at, by which a test knows how far a call is: the chain looks before it
// waits, under the lock that it then waits with.
class WatchedClock final : public Clock {
 public:
  absl::Time Now() const override {
    const MonitorLock lock(mutex_);
    ++looks_;
    mutex_.Notify();
    return time_.Now();
  }
  void Advance(absl::Duration by) { time_.Advance(by); }
  int looks() const {
    const MonitorLock lock(mutex_);
    return looks_;
  }
  void AwaitLooks(int least) const {
    const Deadline deadline = Plenty();
    const MonitorLock lock(mutex_);
    while (looks_ < least && !deadline.is_over()) mutex_.Wait(deadline.left());
  }

 private:
  ManualClock time_{absl::FromUnixSeconds(1'763'000'000)};
  mutable Monitor mutex_;
  mutable int looks_ ABSL_GUARDED_BY(mutex_) = 0;
};

class CredentialChainTest : public ::testing::Test {
 protected:
  // Gives key-1, key-2, ... of an hour, or what `fails` says; where it is gated, from the time `asked` on, when it is
  // let.
  absl::StatusOr<Credentials> Ask(const Deadline& deadline) {
    const int count = ++asked_count_;
    given_ = deadline.left();
    const absl::Status outcome = outcome_;
    if (count == gated_) {
      asked_.Notify();
      answer_.WaitForNotificationWithTimeout(kPatience);
    }
    if (!outcome.ok()) return outcome;
    return Credentials{.access_key_id = absl::StrCat("key-", count), .expires_at = clock_.Now() + kLife};
  }
  std::string Get(const Deadline& deadline = Plenty()) {
    const absl::StatusOr<Credentials> keys = chain_.Get(deadline);
    return keys.ok() ? keys->access_key_id : std::string(keys.status().message());
  }
  // How often the source was asked in a time in which keys are wanted each second.
  int AskedIn(absl::Duration time) {
    const int before = asked_count_;
    for (; time > absl::ZeroDuration(); time -= absl::Seconds(1)) {
      clock_.Advance(absl::Seconds(1));
      Get();
    }
    return asked_count_ - before;
  }
  // Until they are renewed, which is due.
  void GetKeysThatAreDue() {
    ASSERT_EQ(Get(), "key-1");
    clock_.Advance(kLife - CredentialChain::kRenewBefore);
  }

  WatchedClock clock_;
  std::atomic<int> asked_count_ = 0;
  absl::Duration given_;
  absl::Status outcome_;
  int gated_ = 0;  // this asking says so, and waits
  absl::Notification asked_, answer_;
  CredentialChain chain_{{[](const Deadline&) { return absl::NotFoundError("not here"); },
                          [this](const Deadline& deadline) { return Ask(deadline); }},
                         clock_};
};

TEST_F(CredentialChainTest, TheFirstPlaceThatHasKeysIsAskedAndAgainBeforeTheyEnd) {
  EXPECT_EQ(Get(), "key-1");
  clock_.Advance(absl::Minutes(49));
  EXPECT_EQ(Get(), "key-1");
  clock_.Advance(absl::Minutes(2));
  EXPECT_EQ(Get(), "key-2");
  outcome_ = absl::UnavailableError("down");
  clock_.Advance(absl::Minutes(55));
  EXPECT_EQ(Get(), "key-2") << "they hold still";
  clock_.Advance(absl::Minutes(6));
  EXPECT_EQ(chain_.Get(Plenty()).status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(CredentialChainTest, WhileOneCallRenewsTheOthersUseTheOldKeys) {
  GetKeysThatAreDue();
  gated_ = 2;
  std::thread renewer([this] { EXPECT_EQ(Get(), "key-2"); });
  asked_.WaitForNotification();
  EXPECT_EQ(Get(), "key-1");
  EXPECT_EQ(Get(Deadline(absl::ZeroDuration())), "key-1") << "it costs no time";
  answer_.Notify();
  renewer.join();
  EXPECT_EQ(Get(), "key-2");
  EXPECT_EQ(asked_count_, 2);
}

TEST_F(CredentialChainTest, WithoutKeysTheOthersWaitNoLongerThanTheirTime) {
  gated_ = 1;
  std::thread renewer([this] { EXPECT_EQ(Get(), "key-1"); });
  asked_.WaitForNotification();
  const absl::Status told = chain_.Get(Deadline(absl::Milliseconds(20))).status();
  EXPECT_EQ(told.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(told.message()), HasSubstr("AWS credentials, which another call asks for"));
  answer_.Notify();
  renewer.join();
  EXPECT_EQ(asked_count_, 1);
}

TEST_F(CredentialChainTest, WithoutKeysAllWaitForTheOneThatAsks) {
  gated_ = 1;
  std::vector<std::thread> calls;
  for (int i = 0; i < 4; ++i) calls.emplace_back([this] { EXPECT_EQ(Get(), "key-1"); });
  asked_.WaitForNotification();
  clock_.AwaitLooks(4);
  answer_.Notify();
  for (std::thread& call : calls) call.join();
  EXPECT_EQ(asked_count_, 1);
}

TEST_F(CredentialChainTest, WhoWaitsHearsWhyItFailedAndDoesNotAskAgain) {
  outcome_ = absl::UnavailableError("down");
  gated_ = 1;
  std::vector<std::thread> calls;
  for (int i = 0; i < 4; ++i) calls.emplace_back([this] { EXPECT_EQ(Get(), "down"); });
  asked_.WaitForNotification();
  clock_.AwaitLooks(4);
  answer_.Notify();
  for (std::thread& call : calls) call.join();
  EXPECT_EQ(asked_count_, 1);
}

TEST_F(CredentialChainTest, WhoHasMoreTimeThanTheOneThatAskedAsksAnew) {
  outcome_ = absl::DeadlineExceededError("it has gone silent");
  gated_ = 1;
  std::thread hurried([this] { EXPECT_EQ(Get(), "it has gone silent"); });
  asked_.WaitForNotification();
  outcome_ = absl::OkStatus();
  const int looks = clock_.looks();
  std::thread patient([this] { EXPECT_EQ(Get(), "key-2"); });
  clock_.AwaitLooks(looks + 1);
  answer_.Notify();
  hurried.join();
  patient.join();
}

TEST_F(CredentialChainTest, NoLockIsHeldWhileASourceIsAsked) {
  GetKeysThatAreDue();
  gated_ = 2;
  std::thread renewer([this] { EXPECT_EQ(Get(), "key-2"); });
  asked_.WaitForNotification();
  absl::Notification forgotten;
  std::thread refused([&] {
    chain_.Forget();
    forgotten.Notify();
  });
  EXPECT_TRUE(forgotten.WaitForNotificationWithTimeout(kPatience / 2));
  answer_.Notify();
  renewer.join();
  refused.join();
}

TEST_F(CredentialChainTest, ASourceIsGivenTheTimeOfTheCall) {
  EXPECT_EQ(Get(Deadline(absl::Seconds(5))), "key-1");
  EXPECT_LE(given_, absl::Seconds(5));
  EXPECT_GT(given_, absl::Seconds(4));
}

TEST_F(CredentialChainTest, WhereTheOldKeysHoldARenewalLeavesTheCallTimeToUseThem) {
  GetKeysThatAreDue();
  outcome_ = absl::DeadlineExceededError("it has gone silent");
  EXPECT_EQ(Get(Deadline(absl::Seconds(4))), "key-1");
  EXPECT_EQ(asked_count_, 2);
  EXPECT_LE(given_, absl::Seconds(2));
}

TEST_F(CredentialChainTest, WithNoTimeNobodyIsAsked) {
  const absl::Status told = chain_.Get(Deadline(absl::ZeroDuration())).status();
  EXPECT_EQ(told.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(told.message()), HasSubstr("AWS credentials"));
  EXPECT_EQ(asked_count_, 0);
}

TEST_F(CredentialChainTest, APlaceThatComesAfterTheEndOfTheTimeIsNotAskedNorSaidToHaveNone) {
  const Deadline deadline(absl::Milliseconds(10));
  CredentialChain chain({[&deadline](const Deadline&) {
                           while (!deadline.is_over()) std::this_thread::yield();
                           return absl::NotFoundError("not here");
                         },
                         [this](const Deadline& left) { return Ask(left); }},
                        clock_);
  const absl::Status told = chain.Get(deadline).status();
  EXPECT_EQ(told.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(told.message()), HasSubstr("not here"));
  EXPECT_EQ(asked_count_, 0);
}

TEST_F(CredentialChainTest, AfterARenewalThatFailedTheNextComesAfterAPauseThatGrows) {
  GetKeysThatAreDue();
  outcome_ = absl::UnavailableError("down");
  EXPECT_EQ(Get(), "key-1");
  EXPECT_EQ(asked_count_, 2);
  for (const int seconds : {5, 10, 20, 40, 60, 60}) {
    EXPECT_EQ(AskedIn(absl::Seconds(seconds - 1)), 0) << seconds;
    EXPECT_EQ(AskedIn(absl::Seconds(1)), 1) << seconds;
  }
  outcome_ = absl::OkStatus();
  EXPECT_EQ(AskedIn(absl::Seconds(60)), 1);
  EXPECT_EQ(Get(), "key-9");
  clock_.Advance(kLife - CredentialChain::kRenewBefore);
  outcome_ = absl::UnavailableError("down");
  Get();
  EXPECT_EQ(AskedIn(absl::Seconds(5)), 1) << "it begins anew";
}

TEST_F(CredentialChainTest, KeysThatEndInAPauseAreRenewedNevertheless) {
  GetKeysThatAreDue();
  outcome_ = absl::UnavailableError("down");
  clock_.Advance(CredentialChain::kRenewBefore - absl::Seconds(2));
  EXPECT_EQ(Get(), "key-1");
  clock_.Advance(absl::Seconds(2));
  EXPECT_EQ(Get(), "down") << "they have ended";
  outcome_ = absl::OkStatus();
  EXPECT_EQ(Get(), "key-4");
}

TEST_F(CredentialChainTest, KeysThatAreNotAcceptedAreRenewedWithoutAPause) {
  GetKeysThatAreDue();
  outcome_ = absl::UnavailableError("down");
  EXPECT_EQ(Get(), "key-1");
  outcome_ = absl::OkStatus();
  chain_.Forget();
  EXPECT_EQ(Get(), "key-3");
}

// The instance has new ones only five minutes before the old ones end.
TEST_F(CredentialChainTest, WhoGivesTheSameKeysOnceMoreIsNotAskedByEveryCall) {
  const absl::Time end = clock_.Now() + absl::Minutes(9);
  CredentialChain chain({[&](const Deadline&) -> absl::StatusOr<Credentials> {
                          ++asked_count_;
                          return Credentials{.access_key_id = "same", .expires_at = end};
                        }},
                        clock_);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(chain.Get(Plenty())->access_key_id, "same");
  EXPECT_EQ(asked_count_, 1);
  clock_.Advance(absl::Seconds(5));
  EXPECT_TRUE(chain.Get(Plenty()).ok());
  EXPECT_EQ(asked_count_, 2);
}

}  // namespace
}  // namespace headroom::aws
