#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <CLI/CLI.hpp>

#include "controller/cli/commands.h"
#include "tests/controller/runtime/temp_dir.h"

namespace headroom {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// A program with this one command.
class LabDetectTest : public ::testing::Test {
 protected:
  absl::Status Run(std::vector<std::string> arguments) {
    Session session(*terminal_of_run_);
    session.format = format_;
    CLI::App app;
    CLI::App* lab = app.add_subcommand("lab");
    AddLabDetect(*lab, session);
    arguments.insert(arguments.begin(), {"lab", "detect"});
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
    try {
      app.parse(reversed);
    } catch (const CLI::ParseError& error) {
      return absl::InvalidArgumentError(absl::StrCat("usage: ", error.what()));
    }
    return session.command();
  }

  // Two days at 5 minutes with a surge at noon of the second.
  void WriteNab() {
    std::filesystem::create_directories(folder_.path() + "/data/some");
    std::filesystem::create_directories(folder_.path() + "/labels");
    std::ofstream file(folder_.path() + "/data/some/series.csv");
    file << "timestamp,value\n";
    for (int row = 0; row < 576; ++row) {
      const absl::Time at = absl::FromCivil(absl::CivilMinute(2014, 4, 1, 0, 5 * row), absl::UTCTimeZone());
      file << absl::FormatTime("%Y-%m-%d %H:%M:%S", at, absl::UTCTimeZone()) << ","
           << 100 + row % 7 + (row >= 432 && row < 440 ? 500 : 0) << "\n";
    }
    std::ofstream(folder_.path() + "/labels/combined_windows.json")
        << R"({"some/series.csv": [["2014-04-02 11:00:00.000000", "2014-04-02 13:00:00.000000"]]})";
  }

  static std::string ReadFile(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }

  TempDir folder_;
  std::ostringstream out_, err_;
  std::string format_ = "table";
  Terminal terminal_{
      .out = out_, .err = err_, .now = [] { return absl::UnixEpoch(); }, .actor = "ann@desk", .connect = {}};
  const Terminal* terminal_of_run_ = &terminal_;
};

TEST_F(LabDetectTest, ANabFolderIsJudgedAndItsResultsAreWritten) {
  WriteNab();
  const std::string json = folder_.path() + "/figures.json", results = folder_.path() + "/results";
  const absl::Status status = Run({"--nab", folder_.path(), "--json", json, "--results", results});
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_THAT(out_.str(), HasSubstr("some/series.csv"));
  EXPECT_THAT(out_.str(), HasSubstr("1 of 1 incidents found"));
  EXPECT_THAT(out_.str(), HasSubstr("NAB        standard "));
  EXPECT_THAT(ReadFile(json), HasSubstr("\"reward_low_fp\": "));
  EXPECT_THAT(ReadFile(json), Not(HasSubstr("null")));
  EXPECT_THAT(ReadFile(results + "/headroom/some/headroom_series.csv"), HasSubstr("2014-04-02 12:00:00,"));
}

TEST_F(LabDetectTest, NabsResultFilesAreWrittenWithoutBeingAskedFor) {
  WriteNab();
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(folder_.path());
  const absl::Status status = Run({"--nab", "."});
  std::filesystem::current_path(before);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_THAT(err_.str(), HasSubstr("written: 1 files of scores in results/headroom"));
  EXPECT_THAT(ReadFile(folder_.path() + "/results/headroom/some/headroom_series.csv"),
              HasSubstr("timestamp,value,anomaly_score,label"));
}

TEST_F(LabDetectTest, FiguresAreNoErrorWhereTheResultFilesCannotBeKept) {
  WriteNab();
  std::ofstream(folder_.path() + "/results") << "a file";
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(folder_.path());
  const absl::Status unasked = Run({"--nab", "."}), asked = Run({"--nab", ".", "--results", "results"});
  std::filesystem::current_path(before);
  EXPECT_TRUE(unasked.ok()) << unasked;
  EXPECT_THAT(err_.str(), HasSubstr("no files of scores: --results: cannot write results/headroom/"));
  EXPECT_THAT(asked.message(), HasSubstr("--results: cannot write results/headroom/"));
}

TEST_F(LabDetectTest, ASubsetOfNabIsJudgedAndWhatIsSkippedIsNamed) {
  WriteNab();
  std::filesystem::copy(folder_.path() + "/data/some/series.csv", folder_.path() + "/data/other.csv");
  std::ofstream(folder_.path() + "/labels/combined_windows.json")
      << R"({"some/series.csv": [["2014-04-02 11:00:00", "2014-04-02 13:00:00"]], "some/missing.csv": []})";
  format_ = "json";
  const absl::Status status = Run({"--nab", folder_.path(), "--results", folder_.path() + "/results"});
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_THAT(err_.str(), HasSubstr("skipped some/missing.csv: there is no such file"));
  EXPECT_THAT(err_.str(), HasSubstr("skipped other.csv: the labels do not name it"));
  EXPECT_THAT(out_.str(), HasSubstr("\"skipped\": [\"some/missing.csv: "));
  EXPECT_THAT(out_.str(), Not(HasSubstr("\"standard\": null")));
}

TEST_F(LabDetectTest, ATraceWithoutLabelsSaysSo) {
  const std::string trace = folder_.path() + "/trace.csv";
  std::ofstream(trace) << "unix_seconds,value,truth\n60,1,0\n120,2,1\n";
  format_ = "json";
  ASSERT_TRUE(Run({"--csv", trace}).ok());
  EXPECT_THAT(err_.str(), HasSubstr("no column says what is an anomaly"));
  EXPECT_THAT(out_.str(), HasSubstr("\"notes\": [\"no column says what is an anomaly"));
}

TEST_F(LabDetectTest, ProgressIsOnTheTerminalOfErrorsWhereverTheFiguresGo) {
  WriteNab();
  const Terminal terminal{.out = out_,
                          .err = err_,
                          .progress = Progress::kLine,
                          .now = [] { return absl::UnixEpoch(); },
                          .actor = "ann@desk",
                          .connect = {}};
  terminal_of_run_ = &terminal;
  ASSERT_TRUE(Run({"--nab", folder_.path(), "--results", folder_.path() + "/results"}).ok());
  EXPECT_THAT(err_.str(), HasSubstr("judging: 0 of 1 series"));
}

TEST_F(LabDetectTest, LabelledTracesAreJudgedWithoutNabsFigures) {
  const std::string trace = folder_.path() + "/trace.csv";
  std::ofstream file(trace);
  file << "unix_seconds,value,label\n";
  for (int row = 0; row < 3000; ++row) {
    const bool surge = row >= 2000 && row < 2020;
    file << 60 * row << "," << 100 + row % 5 + (surge ? 300 : 0) << "," << (surge ? 1 : 0) << "\n";
  }
  file.close();
  format_ = "json";
  const absl::Status status = Run({"--csv", trace});
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_THAT(out_.str(), HasSubstr("\"standard\": null"));
  EXPECT_THAT(out_.str(), HasSubstr("\"found\": 1"));
}

TEST_F(LabDetectTest, WhatCannotBeReadOrWrittenIsNamed) {
  EXPECT_THAT(Run({"--nab", folder_.path() + "/nowhere"}).message(), HasSubstr("--nab: cannot read"));
  EXPECT_THAT(Run({"--csv", folder_.path() + "/none.csv"}).message(), HasSubstr("none.csv: cannot be opened"));
  WriteNab();
  EXPECT_THAT(Run({"--nab", folder_.path(), "--json", "/no/such/folder/x.json"}).message(),
              HasSubstr("--json: /no/such/folder/x.json: cannot be written"));
  EXPECT_THAT(out_.str(), HasSubstr("NAB        standard ")) << "what was found is shown";
}

TEST_F(LabDetectTest, OneInputIsNeededAndOneOnly) {
  EXPECT_THAT(Run({}).message(), HasSubstr("usage: "));
  EXPECT_THAT(Run({"--nab", "x", "--csv", "y"}).message(), HasSubstr("usage: "));
  EXPECT_THAT(Run({"--csv", "y", "--results", "z"}).message(), HasSubstr("usage: "));
}

}  // namespace
}  // namespace headroom
