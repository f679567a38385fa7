#include "tests/load/arrivals.h"

#include <array>
#include <numeric>

#include <gtest/gtest.h>

namespace headroom::load {
namespace {

Profile TwoPhases() {
  Profile profile;
  profile.objects.resize(10, {.path = "/x"});
  profile.phases = {{.name = "low", .duration = absl::Seconds(100), .rate = 50, .clients = 10},
                    {.name = "high", .duration = absl::Seconds(100), .rate = 500, .clients = 100}};
  return profile;
}

std::vector<Arrival> All(const Profile& profile) {
  std::vector<Arrival> arrivals;
  Arrivals source(profile);
  while (std::optional<Arrival> arrival = source.Next()) arrivals.push_back(*arrival);
  return arrivals;
}

// How often each bin of 100 ms of the phase holds an arrival.
std::vector<double> Bins(const std::vector<Arrival>& arrivals, int phase) {
  std::vector<double> bins(1000);
  for (const Arrival& arrival : arrivals) {
    if (arrival.phase != phase) continue;
    ++bins.at(static_cast<size_t>((arrival.at - phase * absl::Seconds(100)) / absl::Milliseconds(100)));
  }
  return bins;
}

TEST(Arrivals, ArePoisson) {
  const std::vector<Arrival> arrivals = All(TwoPhases());
  for (const auto& [phase, mean] : {std::pair{0, 5.0}, std::pair{1, 50.0}}) {
    const std::vector<double> bins = Bins(arrivals, phase);
    const double average = std::accumulate(bins.begin(), bins.end(), 0.0) / 1000;
    double variance = 0;
    for (const double count : bins) variance += (count - average) * (count - average) / 999;
    EXPECT_NEAR(average, mean, 0.05 * mean);
    EXPECT_NEAR(variance / mean, 1.0, 0.15);  // a Poisson count varies by as much as its mean
  }
}

TEST(Arrivals, ComeInOrderAndInsideTheirPhase) {
  absl::Duration last;
  for (const Arrival& arrival : All(TwoPhases())) {
    EXPECT_GE(arrival.at, last);
    EXPECT_EQ(arrival.phase, arrival.at < absl::Seconds(100) ? 0 : 1);
    last = arrival.at;
  }
  EXPECT_LT(last, absl::Seconds(200));
  EXPECT_GT(last, absl::Seconds(199));
}

TEST(Arrivals, EveryClientOfThePhaseGetsItsShare) {
  std::vector<int> of_client(100);
  int high = 0;
  for (const Arrival& arrival : All(TwoPhases())) {
    ASSERT_LT(arrival.client, arrival.phase == 0 ? 10 : 100);
    if (arrival.phase == 0) continue;
    ++of_client.at(static_cast<size_t>(arrival.client));
    ++high;
  }
  for (const int count : of_client) EXPECT_NEAR(count, high / 100.0, 120);
}

TEST(Arrivals, TheSameSeedGivesTheSameAndAnotherSeedAnother) {
  Profile profile = TwoPhases();
  const std::vector<Arrival> first = All(profile), second = All(profile);
  ASSERT_EQ(first.size(), second.size());
  for (size_t i = 0; i < first.size(); ++i) {
    ASSERT_EQ(first[i].at, second[i].at);
    ASSERT_EQ(first[i].client, second[i].client);
    ASSERT_EQ(first[i].object, second[i].object);
  }
  profile.seed = 2;
  EXPECT_NE(All(profile).front().at, first.front().at);
}

TEST(Arrivals, AreTheSameInEveryBuild) {
  // Worked out apart from this code, from the published definition of MT19937-64 and seed 1.
  const std::vector<Arrival> arrivals = All(TwoPhases());
  ASSERT_GT(arrivals.size(), 3u);
  const std::array<int64_t, 3> at = {2'874'559, 3'299'527, 16'025'495};
  const std::array<int, 3> client = {1, 3, 0}, object = {4, 9, 5};
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(absl::ToInt64Nanoseconds(arrivals[i].at), at[i]);
    EXPECT_EQ(arrivals[i].client, client[i]);
    EXPECT_EQ(arrivals[i].object, object[i]);
  }
}

TEST(Arrivals, APauseHasNone) {
  Profile profile = TwoPhases();
  profile.phases[0].rate = 0;
  const std::vector<Arrival> arrivals = All(profile);
  ASSERT_FALSE(arrivals.empty());
  EXPECT_EQ(arrivals.front().phase, 1);
  EXPECT_GE(arrivals.front().at, absl::Seconds(100));
}

TEST(Arrivals, ZipfAsksForTheFirstObjectMostOften) {
  Profile profile = TwoPhases();
  profile.zipf_exponent = 1;
  std::vector<double> of_object(10);
  double all = 0;
  for (const Arrival& arrival : All(profile)) ++of_object.at(static_cast<size_t>(arrival.object)), ++all;
  constexpr double kHarmonic10 = 2.928968;
  EXPECT_NEAR(of_object[0] / all, 1 / kHarmonic10, 0.01);
  EXPECT_NEAR(of_object[9] / all, 0.1 / kHarmonic10, 0.005);
}

TEST(Arrivals, UploadsHaveTheirFraction) {
  Profile profile = TwoPhases();
  profile.puts.fraction = 0.25;
  double puts = 0, all = 0;
  for (const Arrival& arrival : All(profile)) puts += arrival.method == Method::kPut ? 1 : 0, ++all;
  EXPECT_NEAR(puts / all, 0.25, 0.01);
}

}  // namespace
}  // namespace headroom::load
