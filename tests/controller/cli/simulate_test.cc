#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <unistd.h>

#include "controller/cli/app.h"

namespace headroom {
namespace {

using ::testing::HasSubstr;

constexpr char kSmall[] = R"(about: A calm minute.
policy: {mode: dry_run, nodes: {min: 2, max: 4}}
curve:
  phases: [{duration: 60s, requests_per_second: 100, clients: 20}]
expect:
)";

class SimulateTest : public ::testing::Test {
 protected:
  SimulateTest() : folder_(absl::StrCat(testing::TempDir(), "simulate_", getpid())) {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  ~SimulateTest() override { std::filesystem::remove_all(folder_); }

  // There is no server: whoever asks for one crashes.
  int Run(const std::vector<std::string>& arguments) {
    std::ostringstream out, err;
    const Terminal terminal{.out = out, .err = err, .now = [] { return absl::UnixEpoch(); }, .actor = "ann@desk"};
    const int code = RunHeadroomctl(arguments, terminal);
    out_ = out.str(), err_ = err.str();
    return code;
  }
  std::string Write(const std::string& name, const std::string& text) const {
    std::string path = absl::StrCat(folder_, "/", name);
    std::ofstream(path) << text;
    return path;
  }
  static std::string Text(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }

  const std::string folder_;
  std::string out_, err_;
};

TEST_F(SimulateTest, AScenarioIsRunAndJudged) {
  const std::string json = absl::StrCat(folder_, "/out.json");
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
  EXPECT_EQ(Run({"simulate", absl::StrCat(folder_, "/nowhere.yaml")}), 3);
  EXPECT_THAT(err_, HasSubstr("cannot read the scenario"));
  EXPECT_EQ(Run({"simulate"}), 2);
  EXPECT_EQ(Run({"simulate", file, "--model", "best"}), 2);
}

}  // namespace
}  // namespace headroom
