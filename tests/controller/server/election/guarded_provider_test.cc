#include "controller/server/election/guarded_provider.h"

#include <memory>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace headroom {
namespace {

struct Calls {
  int launches = 0, terminations = 0, fences = 0;
  absl::Duration timeout;
};

class CountingProvider final : public Provider {
 public:
  CountingProvider(Calls& calls, bool fenced) : calls_(calls), fenced_(fenced) {}
  ProviderCapabilities capabilities() const override { return {.fenced = fenced_}; }
  absl::StatusOr<int64_t> Fence(int64_t term, absl::Duration) override {
    ++calls_.fences;
    return term;
  }
  absl::StatusOr<std::vector<Machine>> List(absl::Duration) override { return std::vector<Machine>(); }
  absl::StatusOr<NodeId> Launch(const LaunchRequest&, absl::Duration timeout) override {
    ++calls_.launches;
    calls_.timeout = timeout;
    return NodeId("n");
  }
  absl::Status Terminate(const NodeId&, absl::Duration timeout) override {
    ++calls_.terminations;
    calls_.timeout = timeout;
    return absl::OkStatus();
  }

 private:
  Calls& calls_;
  const bool fenced_;
};

class GuardedProviderTest : public ::testing::Test {
 protected:
  GuardedProvider Guarded(bool fenced) {
    return {std::make_unique<CountingProvider>(calls_, fenced),
            {.time_left = [this] { return left_; }, .led_for = [this] { return led_for_; }}};
  }
  bool Launches(GuardedProvider& provider) {
    const int before = calls_.launches;
    const auto launched = provider.Launch({.id = "l"}, absl::Seconds(60));
    EXPECT_EQ(launched.ok(), calls_.launches > before);
    EXPECT_TRUE(launched.ok() || launched.status().code() == absl::StatusCode::kUnavailable) << launched.status();
    return launched.ok();
  }
  Calls calls_;
  absl::Duration left_ = absl::Seconds(14), led_for_ = absl::Hours(1);
};

TEST_F(GuardedProviderTest, WhoDoesNotLeadAsksForNothing) {
  for (const bool fenced : {true, false}) {
    GuardedProvider provider = Guarded(fenced);
    left_ = absl::ZeroDuration();
    EXPECT_FALSE(Launches(provider));
    EXPECT_FALSE(provider.Terminate("n", absl::Seconds(60)).ok());
    EXPECT_FALSE(provider.Fence(3, absl::Seconds(60)).ok());
    EXPECT_TRUE(provider.List(absl::Seconds(60)).ok()) << "to look changes nothing";
    left_ = absl::Seconds(14);
  }
  EXPECT_EQ(calls_.launches + calls_.terminations + calls_.fences, 0);
}

TEST_F(GuardedProviderTest, AFencedOneIsAskedAtOnceAndMayTakeItsTime) {
  GuardedProvider provider = Guarded(true);
  led_for_ = absl::ZeroDuration();
  left_ = absl::Seconds(1);
  EXPECT_TRUE(Launches(provider));
  EXPECT_EQ(calls_.timeout, absl::Seconds(60));
}

TEST_F(GuardedProviderTest, AnUnfencedOneWaitsUntilALateCallOfTheLeaderBeforeHasEnded) {
  GuardedProvider provider = Guarded(false);
  led_for_ = GuardedProvider::kCallMax - absl::Milliseconds(1);
  EXPECT_FALSE(Launches(provider));
  led_for_ = GuardedProvider::kCallMax;
  EXPECT_TRUE(Launches(provider));
}

TEST_F(GuardedProviderTest, AnUnfencedOneIsAskedOnlyWhatLeadershipOutlasts) {
  GuardedProvider provider = Guarded(false);
  EXPECT_TRUE(Launches(provider));
  EXPECT_EQ(calls_.timeout, GuardedProvider::kCallMax);
  left_ = GuardedProvider::kCallMax;
  EXPECT_FALSE(Launches(provider));
}

}  // namespace
}  // namespace headroom
