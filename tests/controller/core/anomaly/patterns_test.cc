#include "controller/core/anomaly/patterns.h"

#include <algorithm>
#include <cmath>

#include "gtest/gtest.h"

namespace headroom {
namespace {

constexpr double kNew = 0.7, kRate = 0.05;

TEST(PatternBookTest, ItIsTooEarlyToTellAtFirst) {
  PatternBook book;
  for (size_t i = 0; i < PatternBook::kLength; ++i) EXPECT_LT(book.Add(1, kNew, kRate), 0);
  EXPECT_GE(book.Add(1, kNew, kRate), 0);
}

TEST(PatternBookTest, WhatRepeatsIsNearAndWhatDoesNotIsFar) {
  PatternBook book;
  double distance = 0;
  for (int i = 0; i < 500; ++i) distance = book.Add(2 * std::sin(2 * M_PI * i / 20), kNew, kRate);
  EXPECT_LT(distance, kNew);
  double farthest = 0;
  for (size_t i = 0; i < PatternBook::kLength; ++i) {
    farthest = std::max(farthest, book.Add(i % 2 == 0 ? 2 : -2, kNew, kRate));
  }
  EXPECT_GT(farthest, 1.5 * kNew) << "the values are usual, their order is not";
}

TEST(PatternBookTest, TheDistanceIsTheRootMeanSquare) {
  PatternBook book;
  for (size_t i = 0; i < 2 * PatternBook::kLength; ++i) book.Add(0, kNew, kRate);
  EXPECT_NEAR(book.Add(3, kNew, kRate), 3 / std::sqrt(12.0), 0.01);
}

TEST(PatternBookTest, ANewPatternIsKnownTheNextTime) {
  PatternBook book;
  const auto show = [&](double sign) {
    double farthest = 0;
    for (size_t i = 0; i < 3 * PatternBook::kLength; ++i) book.Add(0, kNew, kRate);
    for (size_t i = 0; i < PatternBook::kLength; ++i) {
      farthest = std::max(farthest, book.Add(sign * static_cast<double>(i), kNew, kRate));
    }
    return farthest;
  };
  show(0);
  EXPECT_GT(show(1), kNew);
  EXPECT_LT(show(1), kNew);
}

TEST(PatternBookTest, ExtremeDeviationsAreEquallyStrange) {
  PatternBook book;
  for (size_t i = 0; i < 2 * PatternBook::kLength; ++i) book.Add(0, kNew, kRate);
  const double huge = PatternBook(book).Add(1e300, kNew, kRate);
  EXPECT_NEAR(huge, PatternBook(book).Add(12, kNew, kRate), 1e-9);
  EXPECT_NEAR(huge, PatternBook(book).Add(-1e300, kNew, kRate), 1e-9);
}

TEST(PatternBookTest, AfterABreakTheSamplesBeforeDoNotCount) {
  PatternBook book;
  for (size_t i = 0; i < 2 * PatternBook::kLength; ++i) book.Add(0, kNew, kRate);
  book.Break();
  for (size_t i = 1; i < PatternBook::kLength; ++i) EXPECT_LT(book.Add(5, kNew, kRate), 0);
  EXPECT_NEAR(book.Add(5, kNew, kRate), 5, 0.01);
}

}  // namespace
}  // namespace headroom
