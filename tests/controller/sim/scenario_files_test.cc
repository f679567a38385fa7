// Every file in tests/scenarios, as operators run it.
#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "gtest/gtest.h"

#include "controller/lab/scenario_curve.h"
#include "controller/sim/scenario_run.h"

namespace headroom::sim {
namespace {

std::vector<std::string> Files() {
  std::vector<std::string> files;
  std::error_code ignored;  // without the folder there are none, and the test program fails for it
  for (const auto& entry : std::filesystem::directory_iterator("tests/scenarios", ignored)) {
    if (entry.path().extension() == ".yaml") files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

class ScenarioFiles : public testing::TestWithParam<std::string> {};

TEST_P(ScenarioFiles, MeetTheirExpectations) {
  const absl::StatusOr<ScenarioFile> file = LoadScenario(GetParam(), lab::ReadScenarioCurve);
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_FALSE(file->expectations.empty());
  const absl::StatusOr<ScenarioResult> result = RunScenario(*file, {});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_GT(result->total.offered, 0);
  for (const Outcome& outcome : result->outcomes) EXPECT_TRUE(outcome.met) << outcome.text << ": " << outcome.got;
}

INSTANTIATE_TEST_SUITE_P(All, ScenarioFiles, testing::ValuesIn(Files()),
                         [](const auto& of) { return std::filesystem::path(of.param).stem().string(); });

}  // namespace
}  // namespace headroom::sim
