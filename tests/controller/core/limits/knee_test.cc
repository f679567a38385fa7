#include "controller/core/limits/knee.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <random>
#include <vector>

#include "gtest/gtest.h"

namespace headroom {
namespace {

// A node whose requests take W(n); n wavers about a course, measured with noise.
class Lab {
 public:
  explicit Lab(uint64_t seed) : random_(seed) {}

  // Some two hours, the load swinging between `low` and `high`, each second a look.
  struct Course {
    double low = 1, high = 100, noise = 0.05;
    int seconds = 7200;
  };
  void Run(KneeEstimator& estimator, const Course& course, const std::function<double(double)>& seconds_of) {
    for (int i = 0; i < course.seconds; ++i) {
      now += absl::Seconds(1);
      const double swing = 0.5 - 0.5 * std::cos(i / 190.0);
      const double n = course.low + (course.high - course.low) * swing * swing;
      const double seconds = seconds_of(n) * std::exp(course.noise * Normal());
      const double active = std::max(0.0, std::round(n + std::sqrt(n) * 0.5 * Normal()));
      estimator.Add(now, {active, n / seconds, absl::Seconds(seconds)});
      if (estimator.knee().has_value()) {
        EXPECT_LE(estimator.knee()->count, 1.25 * estimator.knee()->proven + 1e-9);
        EXPECT_LE(estimator.knee()->low, estimator.knee()->count);
        EXPECT_GE(estimator.knee()->high, estimator.knee()->count);
      }
    }
  }
  absl::Time now = absl::FromUnixSeconds(1'700'000'000);

 private:
  double Uniform() { return static_cast<double>(random_() >> 11) * 0x1p-53; }
  double Normal() { return std::sqrt(-2 * std::log(1 - Uniform())) * std::cos(6.283185307179586 * Uniform()); }
  std::mt19937_64 random_;
};

std::function<double(double)> WithKnee(double knee, double sigma = 0.02) {
  return [=](double n) { return 0.02 * (1 + sigma * (n - 1) + (1 - sigma) / (knee * knee) * n * (n - 1)); };
}

TEST(KneeEstimator, FindsAKneeThatTheLoadHasPassed) {
  for (const double knee : {20.0, 40.0, 100.0}) {
    int found = 0, inside = 0;
    for (uint64_t seed = 1; seed <= 20; ++seed) {
      KneeEstimator estimator;
      Lab(seed).Run(estimator, {.high = 1.3 * knee}, WithKnee(knee));
      if (!estimator.knee().has_value()) continue;
      ++found;
      EXPECT_NEAR(estimator.knee()->count, knee, 0.3 * knee) << seed;
      inside += estimator.knee()->low <= 1.1 * knee && estimator.knee()->high >= 0.9 * knee ? 1 : 0;
    }
    EXPECT_GE(found, 19) << knee;
    EXPECT_GE(inside, found * 8 / 10) << knee;
  }
}

TEST(KneeEstimator, OfAKneeFarBeyondTheLoadItKnowsNothing) {
  int found = 0;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    KneeEstimator estimator;
    Lab(seed).Run(estimator, {.high = 20, .noise = 0.1}, WithKnee(100));
    found += estimator.knee().has_value() ? 1 : 0;
  }
  EXPECT_LE(found, 2);
}

TEST(KneeEstimator, WhereTheTimeDoesNotDependOnTheLoadThereIsNone) {
  int found = 0;
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    KneeEstimator estimator;
    Lab(seed).Run(estimator, {.high = 200, .noise = 0.1}, [](double) { return 0.02; });
    found += estimator.knee().has_value() ? 1 : 0;
  }
  EXPECT_LE(found, 2) << "slots or clients bind, not the node";
}

TEST(KneeEstimator, ADependencyThatWavesByItselfIsNoKnee) {
  int found = 0;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    KneeEstimator estimator;
    int second = 0;
    Lab(seed).Run(estimator, {.high = 60}, [&](double) { return 0.02 * (1 + 0.3 * std::sin(second++ / 47.0)); });
    found += estimator.knee().has_value() ? 1 : 0;
  }
  EXPECT_LE(found, 2);
}

TEST(KneeEstimator, AfterARegimeChangeItBeginsAnew) {
  KneeEstimator estimator;
  Lab lab(3);
  lab.Run(estimator, {.high = 50}, WithKnee(40));
  ASSERT_TRUE(estimator.knee().has_value());
  lab.Run(estimator, {.high = 50, .seconds = 120}, [](double n) { return 3 * WithKnee(40)(n); });
  EXPECT_FALSE(estimator.knee().has_value());
}

TEST(KneeEstimator, WhatItAdoptedStandsUntilItKnowsBetter) {
  KneeEstimator estimator;
  estimator.Adopt({.count = 30, .low = 25, .high = 36, .proven = 28});
  Lab lab(5);
  lab.Run(estimator, {.high = 5, .seconds = 300}, WithKnee(40));
  ASSERT_TRUE(estimator.knee().has_value());
  EXPECT_EQ(estimator.knee()->count, 30);
}

}  // namespace
}  // namespace headroom
