#include <fstream>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/controller/cli/command_case.h"

namespace headroom {
namespace {

using ::testing::HasSubstr;

constexpr char kSmall[] = R"(about: A calm minute.
policy: {mode: dry_run, nodes: {min: 2, max: 4}}
curve:
  phases: [{duration: 60s, requests_per_second: 100, clients: 20}]
expect:
)";

class SimulateTest : public CommandTest {};

TEST_F(SimulateTest, AScenarioIsRunAndJudged) {
  const std::string json = absl::StrCat(folder_.path(), "/out.json");
  const std::string file = Write("calm.yaml", absl::StrCat(kSmall, "  - {failed_ratio: {most: 0}}\n"));
  ASSERT_EQ(Run({"simulate", file, "--seed", "7", "--json", json}), 0) << err_;
  EXPECT_THAT(out_, HasSubstr("A calm minute."));
  EXPECT_THAT(out_, HasSubstr("OFFERED/S"));
  EXPECT_THAT(out_, HasSubstr("seed 7: "));
  EXPECT_THAT(out_, HasSubstr("failed_ratio at most 0  0    met"));
  EXPECT_THAT(Text(json), HasSubstr("\"met\": true"));
  EXPECT_THAT(Text(json), HasSubstr("{\"seconds\": 60, "));
}

TEST_F(SimulateTest, ABrokenExpectationIsExitCode1) {
  const std::string file =
      Write("calm.yaml", absl::StrCat(kSmall, "  - {failed_ratio: {most: 0}}\n  - {nodes: {least: 3}}\n"));
  EXPECT_EQ(Run({"simulate", file}), 1);
  EXPECT_THAT(out_, HasSubstr("NOT MET"));
  EXPECT_THAT(err_, HasSubstr("1 of 2 expectations are not met"));
}

TEST_F(SimulateTest, TheIntervalModelRunsItToo) {
  EXPECT_EQ(Run({"simulate", Write("calm.yaml", absl::StrCat(kSmall, "  - {nodes: {least: 2}}\n")), "--model",
                 "interval", "-o", "json"}),
            0)
      << err_;
  EXPECT_THAT(out_, HasSubstr("\"samples\": ["));
}

TEST_F(SimulateTest, WhatIsWrongIsSaidWithItsLine) {
  const std::string file = Write("bad.yaml", "policy: {nodes: {max: 3}}\ncurve:\n  phase: 1\n");
  EXPECT_EQ(Run({"simulate", file}), 1);
  EXPECT_THAT(err_, HasSubstr("bad.yaml:3: curve.phase: unknown field; did you mean phases?"));
  EXPECT_EQ(Run({"simulate", absl::StrCat(folder_.path(), "/nowhere.yaml")}), 3);
  EXPECT_THAT(err_, HasSubstr("cannot read the scenario"));
  EXPECT_EQ(Run({"simulate"}), 2);
  EXPECT_EQ(Run({"simulate", file, "--model", "best"}), 2);
  EXPECT_EQ(Run({"simulate", file, "--seed", "-1"}), 2);
}

}  // namespace
}  // namespace headroom
