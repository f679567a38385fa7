#include "controller/lab/baselines/kpa.h"

#include "gtest/gtest.h"

namespace headroom::lab {
namespace {

TEST(KpaTest, ItScrapesASample) {
  EXPECT_EQ(KpaSampleSize(3), 3);
  EXPECT_EQ(KpaSampleSize(10), 7);
  EXPECT_EQ(KpaSampleSize(100), 14);
  EXPECT_EQ(KpaSampleSize(1000), 16);
}

TEST(KpaTest, ExcessBurstCapacityPutsTheProxyIntoThePath) {
  EXPECT_EQ(KpaExcessBurst({.ready = 3, .panic_average = 50}), 39);
  EXPECT_EQ(KpaExcessBurst({.ready = 3, .panic_average = 100}), -11);
}

TEST(KpaTest, APanicScalesAtOnceAndNeverDownUntilItIsOver) {
  KpaScaler scaler(70);
  scaler.Start(0, 1);
  EXPECT_EQ(scaler.Scale(1, {.stable_average = 40, .panic_average = 300, .ready = 1}), 5);
  for (int step = 2; step <= 12; ++step) {
    EXPECT_EQ(scaler.Scale(step, {.stable_average = 40, .panic_average = 0, .ready = 5}), 5) << step;
  }
  EXPECT_EQ(scaler.Scale(13, {.stable_average = 40, .panic_average = 0, .ready = 5}), 5) << "60 s are not over";
  EXPECT_EQ(scaler.Scale(14, {.stable_average = 40, .panic_average = 0, .ready = 5}), 2) << "halving at most";
  EXPECT_EQ(scaler.Scale(15, {.stable_average = 40, .panic_average = 0, .ready = 2}), 1);
}

TEST(KpaTest, ARestartWithSeveralPodsBeginsInPanic) {
  KpaScaler scaler(70);
  scaler.Start(0, 8);
  EXPECT_EQ(scaler.Scale(1, {.stable_average = 40, .panic_average = 40, .ready = 8}), 8);
}

}  // namespace
}  // namespace headroom::lab
