#include <fstream>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/controller/cli/command_case.h"

namespace headroom {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class LabCommandTest : public CommandTest {};

TEST_F(LabCommandTest, ATraceIsMadeAndCompared) {
  ASSERT_EQ(Run({"lab", "trace", "--shape", "diurnal", "--length", "6h", "--out", Path("day.csv.gz")}), 0) << err_;
  EXPECT_THAT(err_, HasSubstr("360 rows, seed 1"));
  std::ofstream(Path("coarse.csv")) << "unix_seconds,v\n0,1\n1800,2\n3600,1\n";
  std::ofstream(Path("broken.csv")) << "unix_seconds,v\n0,1\n60,x\n";
  std::ofstream(Path("README.md")) << "traces\n";
  ASSERT_EQ(Run({"lab", "compare", "--traces", folder_.path(), "--json", Path("r.json")}), 0) << err_;
  EXPECT_THAT(out_, HasSubstr("hpa_legacy"));
  EXPECT_THAT(out_, HasSubstr("day "));
  EXPECT_THAT(out_, Not(HasSubstr("coarse")));
  EXPECT_THAT(err_, HasSubstr("coarse.csv: its step of 30m is over 5m"));
  EXPECT_THAT(err_, HasSubstr("broken.csv: line 3: \"x\" is no number"));
  EXPECT_THAT(err_, HasSubstr("README.md: line 1: its header does not begin with unix_seconds"));
  EXPECT_THAT(Text(Path("r.json")), HasSubstr("\"name\": \"spanner_linear\""));
}

TEST_F(LabCommandTest, ForecastsAreJudgedOnEverySeriesThatIsLongEnough) {
  ASSERT_EQ(Run({"lab", "trace", "--shape", "diurnal", "--length", "96h", "--out", Path("days.csv.gz")}), 0) << err_;
  ASSERT_EQ(Run({"lab", "trace", "--shape", "diurnal", "--length", "6h", "--out", Path("short.csv")}), 0) << err_;
  ASSERT_EQ(Run({"lab", "forecast", "--traces", folder_.path(), "--json", Path("f.json")}), 0) << err_;
  EXPECT_THAT(out_, HasSubstr("crane_dsp"));
  EXPECT_THAT(out_, HasSubstr("of 1 series"));
  EXPECT_THAT(err_, HasSubstr("short.csv: too short"));
  EXPECT_THAT(Text(Path("f.json")), HasSubstr("\"wape_over_last\""));
}

TEST_F(LabCommandTest, ForecastsOfNothingAreAnError) {
  ASSERT_EQ(Run({"lab", "trace", "--shape", "diurnal", "--length", "6h", "--out", Path("short.csv")}), 0) << err_;
  EXPECT_EQ(Run({"lab", "forecast", "--traces", Path("short.csv")}), 3);
  EXPECT_THAT(err_, HasSubstr("no series that can be scored"));
}

TEST_F(LabCommandTest, ATraceGoesToStandardOutput) {
  ASSERT_EQ(Run({"lab", "trace", "--shape", "step", "--length", "3m"}), 0) << err_;
  EXPECT_THAT(out_, HasSubstr("unix_seconds,value\n1704067200,"));
}

TEST_F(LabCommandTest, WhatCannotBeComparedIsAnError) {
  EXPECT_EQ(Run({"lab", "compare", "--traces", Path("nowhere")}), 3);
  EXPECT_THAT(err_, HasSubstr("there is no trace that can be scored"));
  EXPECT_THAT(err_, HasSubstr("nowhere: cannot be opened"));
  EXPECT_EQ(Run({"lab", "trace", "--shape", "square"}), 2);
  EXPECT_THAT(err_, HasSubstr("square"));
  EXPECT_THAT(err_, HasSubstr("bursty"));
  EXPECT_EQ(Run({"lab", "trace", "--shape", "step", "--length", "long"}), 2);
  EXPECT_EQ(Run({"lab"}), 2);
}

}  // namespace
}  // namespace headroom
