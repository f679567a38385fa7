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
  EXPECT_THAT(out_, HasSubstr("GAP CLOSED")) << "our own figures stand beside the best rival's";
  EXPECT_THAT(out_, HasSubstr("ABOVE SAFE"));
  EXPECT_THAT(Text(Path("r.json")), HasSubstr("\"worst_actions_over_hpa_on_daily\": null"));
}

TEST_F(LabCommandTest, TracesOfOneNameAreToldApartAndAFigureIsNotLostForAFile) {
  ASSERT_EQ(Run({"lab", "trace", "--shape", "step", "--length", "1h", "--out", Path("a.csv")}), 0) << err_;
  ASSERT_EQ(Run({"lab", "trace", "--shape", "step", "--length", "1h", "--out", Path("a.csv.gz")}), 0) << err_;
  EXPECT_EQ(Run({"lab", "compare", "--traces", folder_.path(), "-o", "json", "--json", "/no/such/r.json"}), 4);
  EXPECT_THAT(out_, HasSubstr(absl::StrCat("\"name\": \"", Path("a.csv"), "\"")));
  EXPECT_THAT(out_, HasSubstr(absl::StrCat("\"name\": \"", Path("a.csv.gz"), "\"")));
  EXPECT_THAT(err_, HasSubstr("/no/such/r.json: cannot be written"));
}

TEST_F(LabCommandTest, AFolderOfTracesThatCannotBeScoredIsAResult) {
  Write("coarse.csv", "unix_seconds,v\n0,1\n1800,2\n3600,1\n");
  Write("zero.csv", "unix_seconds,v\n0,0\n60,0\n120,0\n");
  EXPECT_EQ(Run({"lab", "compare", "--traces", folder_.path(), "--json", Path("r.json")}), 0) << err_;
  EXPECT_THAT(err_, HasSubstr("zero.csv: its demand cannot be scaled: it is all zero"));
  EXPECT_THAT(Text(Path("r.json")), HasSubstr("\"traces\": []"));
  EXPECT_THAT(Text(Path("r.json")), HasSubstr("coarse.csv: its step of 30m is over 5m"));
}

TEST_F(LabCommandTest, AConstantSeriesLeavesTheForecastsOfOthersAlone) {
  ASSERT_EQ(Run({"lab", "trace", "--shape", "diurnal", "--length", "96h", "--out", Path("days.csv.gz")}), 0) << err_;
  std::string flat = "unix_seconds,v\n";
  for (int i = 0; i < 1152; ++i) absl::StrAppend(&flat, 1'704'067'200 + 300 * i, ",5\n");
  Write("flat.csv", flat);
  ASSERT_EQ(Run({"lab", "forecast", "--traces", folder_.path(), "--json", Path("f.json")}), 0) << err_;
  EXPECT_THAT(out_, Not(HasSubstr("nan")));
  EXPECT_THAT(out_, Not(HasSubstr("inf")));
  EXPECT_THAT(err_, HasSubstr("flat: 5m ahead the last value never errs"));
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
  EXPECT_EQ(Run({"lab", "trace", "--shape", "step", "--seed", "-1"}), 2);
  EXPECT_EQ(Run({"lab"}), 2);
}

}  // namespace
}  // namespace headroom
