#include "tests/load/report.h"

#include "absl/strings/str_split.h"
#include "yaml-cpp/yaml.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/load/json.h"

namespace headroom::load {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

Profile OnePhase() {
  Profile profile;
  profile.name = "a \"quoted\"\nname";
  profile.phases = {{.name = "base", .duration = absl::Seconds(2), .rate = 2, .clients = 1}};
  return profile;
}

RunResult TwoRequests() {
  Recorder recorder(1, absl::Milliseconds(500));
  for (int second = 0; second < 2; ++second) {
    recorder.Offered(absl::Seconds(second), absl::Seconds(second), 0);
    recorder.AttemptStarted(absl::Seconds(second), 1);
  }
  recorder.Finished({.intended = absl::ZeroDuration(), .finished = absl::Milliseconds(20)});
  recorder.Finished({.intended = absl::Seconds(1), .finished = absl::Seconds(1.5), .failure = Failure::kRefused});
  return {.summary = recorder.Summarise(absl::Seconds(2)), .started_at = absl::FromUnixMillis(1'700'000'000'123)};
}

TEST(Report, TheJsonHoldsTheNumbersOfTheRun) {
  // JSON is YAML, so the parser that we have reads it.
  const YAML::Node json = YAML::Load(ReportJson(OnePhase(), TwoRequests()));
  EXPECT_EQ(json["profile"].as<std::string>(), OnePhase().name);
  EXPECT_EQ(json["started_at"].Scalar(), "1700000000.123");
  EXPECT_EQ(json["requests"].as<int>(), 2);
  EXPECT_EQ(json["failed"].as<int>(), 1);
  EXPECT_EQ(json["failed_ratio"].as<double>(), 0.5);
  EXPECT_EQ(json["failures"]["refused"].as<int>(), 1);
  EXPECT_EQ(json["failures"]["timeout"].as<int>(), 0);
  EXPECT_EQ(json["max_ms"].as<double>(), 20);
  EXPECT_EQ(json["first_failure_s"].as<double>(), 1.5);
  EXPECT_TRUE(json["relief_s"].IsNull());
  EXPECT_FALSE(json["void"].as<bool>());
  EXPECT_EQ(json["phases"][0]["name"].as<std::string>(), "base");
  EXPECT_EQ(json["phases"][0]["failed"].as<int>(), 1);
  ASSERT_EQ(json["series"].size(), 2u);
  EXPECT_EQ(json["series"][1]["failed"].as<int>(), 1);
  EXPECT_EQ(json["series"][1]["over_objective"].as<int>(), 1);
  EXPECT_EQ(json["series"][0]["over_objective"].as<int>(), 0);
}

TEST(Report, AVoidRunSaysWhy) {
  RunResult result = TwoRequests();
  result.summary.void_reasons = {"too late"};
  const YAML::Node json = YAML::Load(ReportJson(OnePhase(), result));
  EXPECT_TRUE(json["void"].as<bool>());
  EXPECT_EQ(json["void_reasons"][0].as<std::string>(), "too late");
  EXPECT_THAT(ReportTable(OnePhase(), result), HasSubstr("VOID: too late"));
}

TEST(Report, TheSeriesHasAsManyColumnsAsNames) {
  const std::vector<std::string> lines = absl::StrSplit(ReportSeriesCsv(OnePhase(), TwoRequests()), '\n');
  ASSERT_EQ(lines.size(), 4u);  // names, two seconds, and the end
  EXPECT_THAT(lines[0], StartsWith("second,offered,completed,failed,"));
  const auto columns = [](const std::string& line) { return std::count(line.begin(), line.end(), ','); };
  EXPECT_EQ(columns(lines[1]), columns(lines[0]));
  EXPECT_THAT(lines[2], StartsWith("1,1,0,1,"));
}

TEST(Json, WhatIsNotANumberIsNull) {
  Json json;
  json.Open('[').Value(0.1).Value(std::nan("")).Value(std::optional<double>()).Value(true).Value("\x01\"").Close(']');
  EXPECT_EQ(json.text(), "[0.1,null,null,true,\"\\u0001\\\"\"]");
}

}  // namespace
}  // namespace headroom::load
