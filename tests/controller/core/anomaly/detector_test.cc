#include "controller/core/anomaly/detector.h"

#include <cmath>
#include <functional>
#include <limits>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "controller/runtime/archive.h"

namespace headroom {
namespace {

constexpr absl::Duration kStep = absl::Minutes(5);
constexpr int kDay = 288;

// Nearly normal noise with deviation 1, the same on every machine.
class Noise {
 public:
  explicit Noise(uint64_t seed) : random_(seed) {}
  double Next() {
    double sum = 0;
    for (int i = 0; i < 12; ++i) sum += static_cast<double>(random_() % 1000000) / 1000000 - 0.5;
    return sum;
  }

 private:
  std::mt19937_64 random_;
};

// A detector and the series that it watches.
class Watch {
 public:
  explicit Watch(uint64_t seed = 1) : noise_(seed) {}

  // `count` samples of course(row) + noise; the verdicts.
  std::vector<AnomalyVerdict> Show(int count, const std::function<double(int)>& course, double noise = 1) {
    std::vector<AnomalyVerdict> verdicts;
    for (int i = 0; i < count; ++i, ++row_) {
      verdicts.push_back(detector_.Observe(At(row_), course(row_) + noise * noise_.Next()));
    }
    return verdicts;
  }
  std::vector<AnomalyVerdict> Calm(int count) {
    return Show(count, [](int) { return 100; });
  }

  static absl::Time At(int row) { return absl::FromUnixSeconds(1'400'000'000) + row * kStep; }
  AnomalyDetector& detector() { return detector_; }
  int row() const { return row_; }

 private:
  AnomalyDetector detector_;
  Noise noise_;
  int row_ = 0;
};

int Alarms(const std::vector<AnomalyVerdict>& verdicts) {
  int alarms = 0;
  for (const AnomalyVerdict& verdict : verdicts) alarms += verdict.alarm ? 1 : 0;
  return alarms;
}

std::set<AnomalyKind> Kinds(const std::vector<AnomalyVerdict>& verdicts) {
  std::set<AnomalyKind> kinds;
  for (const AnomalyVerdict& verdict : verdicts) {
    if (verdict.score > 0.3) kinds.insert(verdict.kind);
  }
  return kinds;
}

double DailyCourse(int row) {
  return 100 + 30 * std::sin(2 * M_PI * row / kDay);
}

using ::testing::Contains;

TEST(AnomalyDetectorTest, ASurgeIsAnAlarmAtOnceWithItsEvidence) {
  Watch watch;
  watch.Calm(1000);
  const AnomalyVerdict verdict = watch.Show(1, [](int) { return 150; })[0];
  EXPECT_TRUE(verdict.alarm);
  EXPECT_EQ(verdict.kind, AnomalyKind::kSurge);
  EXPECT_NEAR(verdict.seen, 150, 5);
  EXPECT_NEAR(verdict.expected, 100, 5);
  EXPECT_GT(verdict.sigmas, 20);
  EXPECT_GT(verdict.score, 0.5);
}

TEST(AnomalyDetectorTest, ADropIsTold) {
  Watch watch;
  watch.Calm(1000);
  const AnomalyVerdict verdict = watch.Show(1, [](int) { return 20; })[0];
  EXPECT_TRUE(verdict.alarm);
  EXPECT_EQ(verdict.kind, AnomalyKind::kDrop);
  EXPECT_LT(verdict.sigmas, -20);
}

TEST(AnomalyDetectorTest, AnIncidentHasOneAlarmHoweverItGoesOn) {
  Watch watch;
  watch.Calm(1000);
  std::vector<AnomalyVerdict> incident = watch.Show(60, [](int row) { return row % 2 == 0 ? 160 + row / 50.0 : 90; });
  EXPECT_EQ(Alarms(incident), 1);
  EXPECT_TRUE(incident[0].alarm || incident[1].alarm);
}

TEST(AnomalyDetectorTest, TheScoreStaysUpWhileASeriesIsAwayAndFallsWhenItIsBack) {
  const auto mean_score = [](const std::vector<AnomalyVerdict>& verdicts, size_t from, size_t to) {
    double sum = 0;
    for (size_t i = from; i < to; ++i) sum += verdicts[i].score;
    return sum / static_cast<double>(to - from);
  };
  Watch watch;
  watch.Show(30 * kDay, DailyCourse);
  const auto away = watch.Show(200, [](int row) { return DailyCourse(row) - 60; });
  const auto back = watch.Show(400, DailyCourse);
  ASSERT_GE(Alarms(away), 1);
  const double began = mean_score(away, 20, 60), goes_on = mean_score(away, 150, 200),
               over = mean_score(back, 200, 300);
  EXPECT_GT(goes_on, 0.99 * began);
  EXPECT_GT(goes_on, 1.09 * over);
}

TEST(AnomalyDetectorTest, ASecondIncidentAfterACalmIsAnAlarmAgain) {
  Watch watch;
  watch.Calm(1000);
  ASSERT_EQ(Alarms(watch.Show(3, [](int) { return 150; })), 1);
  watch.Calm(800);
  EXPECT_EQ(Alarms(watch.Show(3, [](int) { return 30; })), 1);
}

TEST(AnomalyDetectorTest, AWorseIncidentOnTopOfOneIsToldToo) {
  Watch watch;
  watch.Calm(1000);
  ASSERT_EQ(Alarms(watch.Show(40, [](int) { return 103; })), 1);
  EXPECT_EQ(Alarms(watch.Show(5, [](int) { return 1000; })), 1);
}

TEST(AnomalyDetectorTest, ASmallShiftThatHoldsIsFound) {
  Watch watch;
  watch.Calm(2000);
  const auto shifted = watch.Show(100, [](int) { return 102; });
  EXPECT_GE(Alarms(shifted), 1);
  const std::set<AnomalyKind> kinds = Kinds(shifted);
  EXPECT_TRUE(kinds.count(AnomalyKind::kLevelShift) + kinds.count(AnomalyKind::kDrift) > 0);
}

TEST(AnomalyDetectorTest, AStepOfTheLevelIsNoDrift) {
  Watch watch;
  watch.Calm(2000);
  const auto shifted = watch.Show(100, [](int) { return 106; });
  EXPECT_EQ(Alarms(shifted), 1);
  EXPECT_THAT(Kinds(shifted), Contains(AnomalyKind::kLevelShift));
}

TEST(AnomalyDetectorTest, ASlowDriftIsFoundAndNamed) {
  Watch watch;
  watch.Calm(2000);
  const auto drifting = watch.Show(400, [](int row) { return 100 + (row - 2000) * 0.02; });
  EXPECT_GE(Alarms(drifting), 1);
  EXPECT_THAT(Kinds(drifting), Contains(AnomalyKind::kDrift));
}

TEST(AnomalyDetectorTest, RestlessnessIsFoundAndNamed) {
  Watch watch;
  watch.Calm(2000);
  const auto restless = watch.Show(
      60, [](int) { return 100; }, 3);
  EXPECT_GE(Alarms(restless), 1);
  EXPECT_THAT(Kinds(restless), Contains(AnomalyKind::kVariance));
}

TEST(AnomalyDetectorTest, PureNoiseIsNearlyNeverAnAlarm) {
  int alarms = 0;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Watch watch(seed);
    watch.Calm(100);
    alarms += Alarms(watch.Calm(7 * kDay));
  }
  EXPECT_LE(alarms, 20 * 7 / 5) << "one in five days at most";
}

TEST(AnomalyDetectorTest, AYoungSeriesHasAScoreButNoAlarm) {
  Watch watch;
  watch.Calm(200);
  const AnomalyVerdict verdict = watch.Show(1, [](int) { return 1000; })[0];
  EXPECT_FALSE(verdict.alarm) << "what was seen a few times only is not yet usual";
  EXPECT_GT(verdict.score, 0.5);
}

TEST(AnomalyDetectorTest, ADayIsLearnedAndTheMorningIsNoAlarm) {
  int alarms = 0;
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    Watch watch(seed);
    watch.Show(3 * kDay, DailyCourse);
    alarms += Alarms(watch.Show(7 * kDay, DailyCourse));
  }
  EXPECT_LE(alarms, 10 * 7 / 5);
}

TEST(AnomalyDetectorTest, ADayWithoutItsMorningIsAnAlarm) {
  Watch watch;
  watch.Show(7 * kDay, DailyCourse);
  const auto night = watch.Show(kDay / 2, [](int) { return 100; });
  EXPECT_GE(Alarms(night), 1) << "every value was seen before, but not at this time of day";
}

TEST(AnomalyDetectorTest, SilenceIsOneAlarmUntilSamplesComeAgain) {
  Watch watch;
  watch.Calm(100);
  const absl::Time last = Watch::At(99);
  EXPECT_FALSE(watch.detector().CheckSilence(last + 3 * kStep).alarm);
  const AnomalyVerdict verdict = watch.detector().CheckSilence(last + 30 * kStep);
  EXPECT_TRUE(verdict.alarm);
  EXPECT_EQ(verdict.kind, AnomalyKind::kSilence);
  EXPECT_NEAR(verdict.seen, 30 * 300, 1);
  EXPECT_NEAR(verdict.expected, 300, 1);
  EXPECT_FALSE(watch.detector().CheckSilence(last + 31 * kStep).alarm);
  watch.detector().Observe(last + 32 * kStep, 100);
  EXPECT_FALSE(watch.detector().CheckSilence(last + 33 * kStep).alarm);
  EXPECT_TRUE(watch.detector().CheckSilence(last + 90 * kStep).alarm);
}

TEST(AnomalyDetectorTest, ANewSeriesIsNeverSilent) {
  AnomalyDetector detector;
  EXPECT_FALSE(detector.CheckSilence(absl::FromUnixSeconds(1)).alarm);
  detector.Observe(absl::FromUnixSeconds(1), 1);
  EXPECT_FALSE(detector.CheckSilence(absl::FromUnixSeconds(1'000'000)).alarm);
}

TEST(AnomalyDetectorTest, WhatIsNoNumberIsNoSample) {
  Watch watch;
  watch.Calm(100);
  for (double value :
       {std::nan(""), std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()}) {
    const AnomalyVerdict verdict = watch.detector().Observe(Watch::At(100), value);
    EXPECT_EQ(verdict.score, 0);
    EXPECT_FALSE(verdict.alarm);
  }
  EXPECT_EQ(watch.detector().samples(), 100);
}

TEST(AnomalyDetectorTest, ExtremeAndConstantValuesDoNoHarm) {
  AnomalyDetector detector;
  int row = 0;
  for (double value : {0.0, 0.0, 1e300, -1e300, 1e-300, 0.0, 5.0, 5.0}) {
    for (int i = 0; i < 50; ++i) {
      const double score = detector.Observe(Watch::At(row++), value).score;
      EXPECT_TRUE(score >= 0 && score <= 1) << value << " " << score;
    }
  }
  AnomalyDetector constant;
  for (int i = 0; i < 3000; ++i) EXPECT_FALSE(constant.Observe(Watch::At(i), 7).alarm);
}

TEST(AnomalyDetectorTest, TimesThatRepeatOrGoBackAreTaken) {
  AnomalyDetector detector;
  for (int i = 0; i < 500; ++i) {
    const double score = detector.Observe(Watch::At(i % 60 == 0 ? std::max(0, i - 12) : i), 100 + i % 5).score;
    EXPECT_TRUE(score >= 0 && score <= 1);
  }
}

TEST(AnomalyDetectorTest, TheScaleAndTheOffsetOfASeriesDoNotMatter) {
  AnomalyDetector plain, scaled;
  Noise noise(5);
  for (int row = 0; row < 2000; ++row) {
    const double value = DailyCourse(row) + noise.Next() + (row == 1500 ? 80 : 0);
    const AnomalyVerdict first = plain.Observe(Watch::At(row), value);
    const AnomalyVerdict second = scaled.Observe(Watch::At(row), 4096 * value);
    EXPECT_NEAR(first.score, second.score, 0.02) << row;
  }
}

TEST(AnomalyDetectorTest, SavedAndLoadedItGoesOnAsIfNothingHappened) {
  Watch watch;
  watch.Show(1000, DailyCourse);
  const std::string saved = ToArchive(watch.detector());
  absl::StatusOr<AnomalyDetector> loaded = FromArchive<AnomalyDetector>(saved);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(ToArchive(*loaded), saved);
  Noise noise(9);
  for (int row = 1000; row < 1500; ++row) {
    const double value = DailyCourse(row) + noise.Next() + (row % 200 == 0 ? 50 : 0);
    const AnomalyVerdict first = watch.detector().Observe(Watch::At(row), value);
    const AnomalyVerdict second = loaded->Observe(Watch::At(row), value);
    ASSERT_EQ(first.score, second.score) << row;
    ASSERT_EQ(first.alarm, second.alarm) << row;
    ASSERT_EQ(first.kind, second.kind) << row;
  }
}

TEST(AnomalyDetectorTest, ItsMemoryIsBoundedWhateverTheLength) {
  static_assert(sizeof(AnomalyDetector) <= 16 * 1024);
  Watch watch;
  watch.Show(30000, DailyCourse);
  EXPECT_LE(ToArchive(watch.detector()).size(), 16u * 1024);
}

}  // namespace
}  // namespace headroom
