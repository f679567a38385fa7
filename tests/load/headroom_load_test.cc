// The program itself: flags, exit status and what it writes. Runs $HEADROOM_BIN/headroom-load.

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "yaml-cpp/yaml.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/load/test_server.h"

namespace headroom::load {
namespace {

using ::testing::HasSubstr;

struct Ended {
  int status = -1;
  std::string output, errors;
};

class Program : public ::testing::Test {
 protected:
  ~Program() override {
    for (const std::string& path : {profile_, output_, errors_}) std::remove(path.c_str());
  }

  void WriteProfile(absl::string_view yaml) { std::ofstream(profile_) << yaml; }

  // `before` is put in front of the command line.
  Ended Run(absl::string_view flags, absl::string_view before = "") {
    const char* folder = std::getenv("HEADROOM_BIN");
    const std::string command = absl::StrCat(before, " ", folder == nullptr ? "build/release/bin" : folder,
                                             "/headroom-load ", profile_, " ", flags, " >", output_, " 2>", errors_);
    Ended ended;
    ended.status = WEXITSTATUS(std::system(command.c_str()));
    ended.output = Text(output_);
    ended.errors = Text(errors_);
    return ended;
  }

 private:
  static std::string Text(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  const std::string stem_ = absl::StrCat(::testing::TempDir(), "/headroom_load_", getpid());
  const std::string profile_ = stem_ + ".yaml", output_ = stem_ + ".out", errors_ = stem_ + ".err";
};

void AnswerAll(Conversation& conversation) {
  while (conversation.ReadRequest()) conversation.Answer("hello");
}

TEST_F(Program, RunsAProfileWithItsFlagsOnTop) {
  TestServer server(AnswerAll);
  WriteProfile(
      "paths: [/a]\nrequest_timeout: 20s\npool_wait: 20s\nphases: [{name: only, duration: 1s, rate: 500, clients: "
      "2}]\n");
  const Ended ended =
      Run(absl::StrCat("--direct ", server.endpoint().ToString(), " --seed 9 --scale-rate 0.1 --json - --progress"));
  const YAML::Node report = YAML::Load(ended.output);
  EXPECT_TRUE(ended.status == 0 || report["void"].as<bool>()) << ended.errors;
  EXPECT_EQ(report["seed"].as<int>(), 9);
  EXPECT_EQ(report["phases"][0]["rate"].as<double>(), 50);
  EXPECT_GT(report["completed"].as<int>(), 20);
  EXPECT_EQ(report["failed"].as<int>(), 0);
  EXPECT_EQ(report["targets"][0].as<std::string>(), server.endpoint().ToString());
  EXPECT_THAT(ended.errors, HasSubstr("t=0s phase=only"));
}

TEST_F(Program, AnInterruptEndsTheRunAndLeavesAReport) {
  TestServer server(AnswerAll);
  WriteProfile("paths: [/a]\nphases: [{duration: 10m, rate: 50, clients: 2}]\n");
  const Ended ended =
      Run(absl::StrCat("--target ", server.endpoint().ToString(), " --json -"), "timeout --preserve-status -s INT 2");
  const YAML::Node report = YAML::Load(ended.output);
  EXPECT_TRUE(ended.status == 130 || report["void"].as<bool>()) << ended.errors;
  EXPECT_TRUE(report["interrupted"].as<bool>());
  EXPECT_GT(report["completed"].as<int>(), 0);
}

TEST_F(Program, RefusesATargetThatIsNotOnThisMachine) {
  WriteProfile("paths: [/a]\nphases: [{duration: 1s, rate: 1, clients: 1}]\n");
  const Ended ended = Run("--target 10.0.0.1:80");
  EXPECT_EQ(ended.status, 2);
  EXPECT_THAT(ended.errors, HasSubstr("sends load to 127.0.0.0/8 on this machine only"));
}

TEST_F(Program, SaysThatThereIsNoTarget) {
  WriteProfile("paths: [/a]\nphases: [{duration: 1s, rate: 1, clients: 1}]\n");
  const Ended ended = Run("");
  EXPECT_EQ(ended.status, 1);
  EXPECT_THAT(ended.errors, HasSubstr("no target"));
}

TEST_F(Program, RefusesAProfileThatNeedsMoreFilesThanItMayOpen) {
  WriteProfile("paths: [/a]\nphases: [{duration: 1s, rate: 1, clients: 500}]\n");
  const Ended ended = Run("--target 127.0.0.1:1", "ulimit -Sn 200; ulimit -Hn 200;");
  EXPECT_EQ(ended.status, 1);
  EXPECT_THAT(ended.errors, HasSubstr("can need 1064 open files, but the hard limit is 200"));
}

TEST_F(Program, RefusesARateThatBreaksTheBoundOnceScaled) {
  WriteProfile("paths: [/a]\nphases: [{duration: 10s, rate: 1000, clients: 1}]\n");
  const Ended ended = Run("--target 127.0.0.1:1 --scale-rate 2000");
  EXPECT_EQ(ended.status, 2);
  EXPECT_THAT(ended.errors, HasSubstr("a run is bounded to 10000000"));
}

TEST_F(Program, WrongUsageIsAnErrorAndHelpIsNot) {
  WriteProfile("paths: [/a]\nphases: [{duration: 1s, rate: 1, clients: 1}]\n");
  EXPECT_EQ(Run("--no-such-flag").status, 2);
  const Ended help = Run("--help");
  EXPECT_EQ(help.status, 0);
  EXPECT_THAT(help.output, HasSubstr("Examples:"));
}

}  // namespace
}  // namespace headroom::load
