#include "controller/core/windows.h"

#include <vector>

#include <gtest/gtest.h>

namespace headroom {
namespace {

NodeCounters At(double seconds, int64_t completed) {
  NodeCounters counters;
  counters.uptime = absl::Seconds(seconds);
  counters.completed = completed;
  counters.latency.counts[40] = completed;
  return counters;
}

// 100 a second in the first five seconds, and 300 from then on, told every half second.
CounterWindow Busier(double seconds) {
  CounterWindow window;
  for (double at = 0; at <= seconds; at += 0.5) {
    window.Add(At(at, static_cast<int64_t>(at < 5 ? 100 * at : 500 + 300 * (at - 5))));
  }
  return window;
}

TEST(CounterWindow, TellsRatesOfTheStretchThatItIsAskedFor) {
  const CounterWindow window = Busier(8);
  EXPECT_DOUBLE_EQ(window.Rates(absl::Seconds(1)).completed, 300);
  EXPECT_DOUBLE_EQ(window.Rates(absl::Seconds(1)).seconds, 1);
  EXPECT_DOUBLE_EQ(window.GoodputOver(absl::Seconds(5)).per_second, 220) << "2 s at 100 and 3 s at 300";
  EXPECT_EQ(window.LatencyOver(absl::Seconds(1)).Total(), 300);
}

TEST(CounterWindow, TellsOfTheOldestThatItHasWhereAskedForMore) {
  EXPECT_DOUBLE_EQ(Busier(3).Rates(absl::Seconds(60)).seconds, 3);
  EXPECT_NEAR(Busier(100).Rates(absl::Seconds(60)).seconds, CounterWindow::kSnapshots, 1);
}

TEST(CounterWindow, ANewBootBeginsAnew) {
  CounterWindow window = Busier(8);
  window.Add(At(0.5, 7));
  EXPECT_EQ(window.Rates(absl::Seconds(1)).seconds, 0) << "of one look nothing is known";
  window.Add(At(1.5, 17));
  EXPECT_DOUBLE_EQ(window.Rates(absl::Seconds(1)).completed, 10);
}

TEST(CounterWindow, NothingIsKnownBeforeTheFirstReport) {
  EXPECT_EQ(CounterWindow().Rates(absl::Seconds(1)).seconds, 0);
  EXPECT_EQ(CounterWindow().GoodputOver(absl::Seconds(1)).seconds, 0);
  EXPECT_EQ(CounterWindow().LatencyOver(absl::Seconds(1)).Total(), 0);
}

}  // namespace
}  // namespace headroom
