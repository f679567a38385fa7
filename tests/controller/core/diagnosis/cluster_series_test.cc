#include "controller/core/diagnosis/cluster_series.h"

#include <gtest/gtest.h>

namespace headroom {
namespace {

const absl::Time kStart = absl::FromUnixSeconds(1'800'000'000);

ClusterSample At(int second, double demand) {
  ClusterSample sample;
  sample.at = kStart + absl::Seconds(second);
  sample.Set(Metric::kDemand, demand);
  return sample;
}

void AddCalm(ClusterSeries& series, int from, int to, double demand, absl::Duration window = absl::Minutes(10)) {
  for (int s = from; s < to; ++s) series.Add(At(s, demand), ClusterSeries::Weather::kCalm, window);
}

TEST(ClusterSeries, KnowsNothingUsualBeforeEightCalmSeconds) {
  ClusterSeries series;
  AddCalm(series, 0, 7, 100);
  EXPECT_FALSE(series.usual().has_value());
  AddCalm(series, 7, 8, 100);
  ASSERT_TRUE(series.usual().has_value());
  EXPECT_EQ(series.usual()->Get(Metric::kDemand), 100);
  EXPECT_FALSE(series.usual()->Get(Metric::kDevice).has_value()) << "what no source tells stays unknown";
}

TEST(ClusterSeries, LeavesTroubleAndIdlenessOutOfWhatIsUsual) {
  ClusterSeries series;
  AddCalm(series, 0, 100, 0);
  EXPECT_FALSE(series.usual().has_value());
  AddCalm(series, 100, 130, 100);
  for (int s = 130; s < 400; ++s) series.Add(At(s, 900), ClusterSeries::Weather::kTrouble, absl::Minutes(10));
  EXPECT_EQ(series.usual()->Get(Metric::kDemand), 100);
}

TEST(ClusterSeries, ForgetsWhatIsOlderThanTheWindow) {
  ClusterSeries series;
  AddCalm(series, 0, 300, 100, absl::Minutes(1));
  AddCalm(series, 300, 420, 250, absl::Minutes(1));
  EXPECT_EQ(series.usual()->Get(Metric::kDemand), 250);
}

TEST(ClusterSeries, IsNotMovedByAShortPeak) {
  ClusterSeries series;
  AddCalm(series, 0, 300, 100);
  AddCalm(series, 300, 360, 900);
  AddCalm(series, 360, 420, 100);
  EXPECT_EQ(series.usual()->Get(Metric::kDemand), 100);
}

TEST(ClusterSeries, TakesAtMostOneSampleASecond) {
  ClusterSeries series;
  for (int i = 0; i < 70; ++i) {
    ClusterSample sample = At(0, 100);
    sample.at += i * absl::Milliseconds(50);
    series.Add(sample, ClusterSeries::Weather::kCalm, absl::Minutes(10));
  }
  EXPECT_FALSE(series.usual().has_value()) << "3.5 s are four samples";
}

TEST(ClusterSeries, SteadiesRatesOverTheLastSeconds) {
  ClusterSeries series;
  AddCalm(series, 0, 10, 100);
  EXPECT_DOUBLE_EQ(*series.Smooth(At(10, 400), Metric::kDemand), 200) << "this one and the two before it";
  EXPECT_FALSE(series.Smooth(At(10, 400), Metric::kDevice).has_value());
}

Node Running(const std::string& version) {
  Node node;
  node.hello.server_version = version;
  node.variant = VariantOf(version, "");
  return node;
}

TEST(ClusterSeries, AVersionThatWasThereFromTheBeginningIsNoChange) {
  ClusterSeries series;
  EXPECT_EQ(series.newest_variant(), nullptr);
  series.SeeVariant(Running("1"), kStart);
  AddCalm(series, 0, 120, 100);
  EXPECT_EQ(series.newest_variant()->since, absl::InfinitePast());
  series.SeeVariant(Running("2"), kStart + absl::Seconds(120));
  EXPECT_EQ(series.newest_variant()->version, "2");
  EXPECT_EQ(series.newest_variant()->since, kStart + absl::Seconds(120));
}

TEST(ClusterSeries, AVersionThatComesBackIsAChangeAgain) {
  ClusterSeries series;
  series.SeeVariant(Running("1"), kStart);
  AddCalm(series, 0, 120, 100);
  for (int s = 120; s < 300; ++s) {
    series.SeeVariant(Running("2"), kStart + absl::Seconds(s));
    series.ForgetVariants(kStart + absl::Seconds(s));
  }
  series.SeeVariant(Running("1"), kStart + absl::Seconds(300));
  EXPECT_EQ(series.newest_variant()->version, "1");
  EXPECT_EQ(series.newest_variant()->since, kStart + absl::Seconds(300));
}

TEST(ClusterSeries, VariantsAreBounded) {
  ClusterSeries series;
  AddCalm(series, 0, 120, 100);
  for (int i = 0; i < 100; ++i) series.SeeVariant(Running(std::to_string(i)), kStart + absl::Seconds(120 + i));
  int fields = 0;
  ClusterSeries::Fields(series, [&](const char* name, auto& value) {
    if constexpr (std::is_same_v<std::decay_t<decltype(value)>, std::vector<ServerVariant>>) {
      EXPECT_LE(value.size(), ClusterSeries::kVariantsMax) << name;
      ++fields;
    }
  });
  EXPECT_EQ(fields, 1);
}

// A configuration of its own on each node, and nobody tells since when.
void SeeAll(ClusterSeries& series, int from, int to, int second) {
  const absl::Time now = kStart + absl::Seconds(second);
  series.ForgetVariants(now);
  for (int i = from; i < to; ++i) series.SeeVariant(Running(std::to_string(i)), now);
}

TEST(ClusterSeries, MoreVariantsThanItHoldsAreNoChangeThatNeverEnds) {
  ClusterSeries series;
  SeeAll(series, 0, 40, 0);
  AddCalm(series, 0, 120, 100);
  for (int second = 1; second < 300; ++second) SeeAll(series, 0, 40, second);
  EXPECT_EQ(series.newest_variant()->since, absl::InfinitePast());
}

TEST(ClusterSeries, OfMoreVariantsThanItHoldsOneThatLeavesMakesNoneNew) {
  ClusterSeries series;
  SeeAll(series, 0, 40, 0);
  AddCalm(series, 0, 300, 100);
  for (int second = 1; second < 300; ++second) SeeAll(series, second < 150 ? 0 : 1, 40, second);
  EXPECT_EQ(series.newest_variant()->since, absl::InfinitePast());
}

TEST(ClusterSeries, AToldTimeIsBelievedHoweverManyVariantsThereAre) {
  ClusterSeries series;
  SeeAll(series, 0, 40, 0);
  AddCalm(series, 0, 120, 100);
  for (int second = 1; second <= 120; ++second) SeeAll(series, 0, 40, second);
  Node told = Running("told");
  told.hello.config_time = kStart + absl::Seconds(110);
  series.SeeVariant(told, kStart + absl::Seconds(120));
  EXPECT_EQ(series.newest_variant()->version, "told");
}

Balancer Counted(const std::string& boot, int second, int64_t failed) {
  Balancer balancer;
  balancer.connected = true;
  balancer.report.boot_id = boot;
  balancer.report.servers.push_back({.node = "a", .connect_errors = failed});
  balancer.last_report_at = kStart + absl::Seconds(second);
  return balancer;
}

TEST(ClusterSeries, CountsFailedConnectsFromCountersThatMayBeginAnew) {
  ClusterSeries series;
  EXPECT_FALSE(series.CountFailedConnects({}).has_value());
  EXPECT_FALSE(series.CountFailedConnects({{"b", Counted("x", 0, 500)}}).has_value()) << "one look is no rate";
  EXPECT_EQ(series.CountFailedConnects({{"b", Counted("x", 2, 530)}}), 15);
  EXPECT_EQ(series.CountFailedConnects({{"b", Counted("x", 2, 530)}}), 15) << "no news";
  EXPECT_EQ(series.CountFailedConnects({{"b", Counted("x", 4, 100)}}), 0) << "a server left with its count";
  EXPECT_FALSE(series.CountFailedConnects({{"b", Counted("y", 5, 100)}}).has_value()) << "a new boot";
}

}  // namespace
}  // namespace headroom
