// A real headroomd over a simulated cluster, steered by a real headroomctl.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/controller/server/notify_socket.h"

namespace headroom {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr absl::Duration kPatience = absl::Seconds(60);

constexpr char kPolicy[] = R"(cluster: e2e
mode: live
nodes:
  min: 2
  max: 6
provider:
  simulated:
    seed: 7
)";

std::string Program(const std::string& name) {
  const char* folder = std::getenv("HEADROOM_BIN");
  return absl::StrCat(folder != nullptr ? folder : "build/release/bin", "/", name);
}

std::string Read(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

void Write(const std::string& path, const std::string& text) {
  std::ofstream(path) << text;
}

bool Eventually(const std::function<bool()>& holds) {
  const absl::Time end = absl::Now() + kPatience;
  while (absl::Now() < end) {
    if (holds()) return true;
    absl::SleepFor(absl::Milliseconds(50));
  }
  return false;
}

struct Outcome {
  int code = -1;
  std::string out;  // both streams
};

Outcome Shell(const std::string& command) {
  Outcome outcome;
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  char buffer[4096];
  for (size_t size; (size = fread(buffer, 1, sizeof buffer, pipe)) > 0;) outcome.out.append(buffer, size);
  const int status = pclose(pipe);
  outcome.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return outcome;
}

class DaemonE2eTest : public ::testing::Test {
 protected:
  DaemonE2eTest() {
    char folder[] = "/tmp/headroom-e2e-XXXXXX";
    folder_ = mkdtemp(folder);
    Write(policy(), kPolicy);
  }
  ~DaemonE2eTest() override {
    Stop(SIGKILL);
    fs::remove_all(folder_);
  }

  std::string policy() const { return folder_ + "/policy.yaml"; }
  std::string log() const { return Read(folder_ + "/log"); }
  std::string Command() const {
    return absl::StrCat(Program("headroomd"), " --config ", policy(), " --state-dir ", folder_, "/state --http-port 0");
  }

  void Start() {
    fs::remove(folder_ + "/log");
    pid_ = fork();
    if (pid_ == 0) {
      const int out = open((folder_ + "/log").c_str(), O_CREAT | O_WRONLY | O_APPEND, 0600);
      dup2(out, STDERR_FILENO);
      execl("/bin/sh", "sh", "-c", absl::StrCat("exec ", Command(), " --grpc-port 0").c_str(), nullptr);
      _exit(127);
    }
    ASSERT_TRUE(Eventually([&] { return log().find("http_port=") != std::string::npos; })) << log();
    grpc_ = Field("grpc_port=");
    http_ = Field("http_port=");
    ASSERT_TRUE(Eventually([&] { return Ctl("status").code == 0; }));
  }
  // The exit code, or minus the signal.
  int Stop(int signal) {
    if (pid_ <= 0) return 0;
    kill(pid_, signal);
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  std::string Field(const std::string& name) const {
    const std::string text = log();
    const size_t begin = text.find(name) + name.size();
    return text.substr(begin, text.find_first_of(" \n", begin) - begin);
  }
  Outcome Ctl(const std::string& arguments) const {
    return Shell(absl::StrCat(Program("headroomctl"), " --server 127.0.0.1:", grpc_, " ", arguments));
  }

  std::string folder_, grpc_, http_;
  pid_t pid_ = -1;
};

TEST_F(DaemonE2eTest, ShowsItsClusterAndStopsInGoodOrder) {
  Start();
  EXPECT_TRUE(Eventually([&] { return Ctl("status").out.find("2 serving") != std::string::npos; }))
      << Ctl("status").out;
  EXPECT_THAT(Ctl("nodes").out, HasSubstr("serving"));
  EXPECT_THAT(Ctl("explain").out, HasSubstr("Signals"));
  EXPECT_THAT(Ctl("policy get").out, HasSubstr("max: 6"));
  EXPECT_EQ(Ctl("drain nod --reason test").code, 3);
  EXPECT_EQ(Stop(SIGTERM), 0);
  EXPECT_THAT(log(), HasSubstr("stopped"));
}

TEST_F(DaemonE2eTest, AHoldOutlivesKillMinusNine) {
  Start();
  ASSERT_EQ(Ctl("hold down --reason 'moving house' --for 1h").code, 0);
  // Commits are in order: two that began after the hold was answered are on disk, so the hold is.
  for (int commit = 0; commit < 2; ++commit) {
    const std::string before = Ctl("decisions --all -n 1 -o json").out;
    ASSERT_TRUE(Eventually([&] { return Ctl("decisions --all -n 1 -o json").out != before; }));
  }
  EXPECT_EQ(Stop(SIGKILL), -SIGKILL);
  Start();
  EXPECT_THAT(Ctl("status").out, HasSubstr("moving house"));
  EXPECT_THAT(Ctl("status").out, HasSubstr("term 2"));
}

TEST_F(DaemonE2eTest, ABadPolicyKeepsTheOldOneAndSaysSo) {
  Start();
  Write(policy(), absl::StrCat(kPolicy, "nonsense: 1\n"));
  kill(pid_, SIGHUP);
  ASSERT_TRUE(Eventually([&] { return Ctl("status").out.find("nonsense") != std::string::npos; })) << log();
  EXPECT_THAT(log(), HasSubstr("policy_refused"));
  EXPECT_THAT(Ctl("policy get").out, HasSubstr("max: 6"));
  std::string good = kPolicy;
  good.replace(good.find("max: 6"), 6, "max: 5");
  good.replace(good.find("min: 2"), 6, "min: 1");
  Write(policy(), good);  // the file's change alone is enough
  EXPECT_TRUE(Eventually([&] { return Ctl("policy get").out.find("max: 5") != std::string::npos; })) << log();
  EXPECT_TRUE(Eventually([&] { return Ctl("status").out.find("policy fault") == std::string::npos; }));
  const std::string text = log();
  ASSERT_NE(text.find("policy_reloaded"), std::string::npos) << text;
  const std::string reloaded = text.substr(text.find("policy_reloaded"));
  EXPECT_THAT(reloaded.substr(0, reloaded.find('\n')),
              HasSubstr("changes=3 change="));  // nodes.min takes the provider's first count along
  EXPECT_EQ(reloaded.find(" change="), reloaded.rfind(" change=")) << "a key of JSON stands once";
}

TEST_F(DaemonE2eTest, TellsSystemdWhenItServesReadsItsPolicyAnewAndStops) {
  const NotifySocket systemd;
  std::vector<std::string> heard;
  const auto hears = [&](const std::string& words) {
    return Eventually([&] {
      for (std::string& word : systemd.Heard()) heard.push_back(std::move(word));
      return std::find(heard.begin(), heard.end(), words) != heard.end();
    });
  };
  setenv("WATCHDOG_USEC", "30000000", 1);
  Start();
  unsetenv("WATCHDOG_USEC");
  EXPECT_TRUE(hears("STATUS=cluster e2e: deciding"));
  ASSERT_FALSE(heard.empty());
  EXPECT_EQ(heard[0], "READY=1");
  EXPECT_TRUE(hears("WATCHDOG=1"));
  heard.clear();
  kill(pid_, SIGHUP);
  EXPECT_TRUE(hears("RELOADING=1"));
  EXPECT_TRUE(hears("READY=1"));
  heard.clear();
  EXPECT_EQ(Stop(SIGTERM), 0);
  EXPECT_TRUE(hears("STOPPING=1"));
}

TEST_F(DaemonE2eTest, SaysInOneSentenceWhyItCannotStart) {
  Start();
  const Outcome same_state = Shell(absl::StrCat(Command(), " --grpc-port 0"));
  EXPECT_EQ(same_state.code, 1);
  EXPECT_THAT(same_state.out, HasSubstr("in use by another headroomd"));
  const std::string other =
      absl::StrCat(Program("headroomd"), " --config ", policy(), " --state-dir ", folder_, "/other");
  const Outcome grpc = Shell(absl::StrCat(other, " --http-port 0 --grpc-port ", grpc_));
  EXPECT_EQ(grpc.code, 1);
  EXPECT_THAT(grpc.out, HasSubstr("--grpc-port"));
  const Outcome http = Shell(absl::StrCat(other, " --grpc-port 0 --http-port ", http_));
  EXPECT_EQ(http.code, 1);
  EXPECT_THAT(http.out, HasSubstr("--http-port"));
  const Outcome nowhere = Shell(absl::StrCat(Program("headroomd"), " --config ", policy(), " --state-dir /proc/no"));
  EXPECT_EQ(nowhere.code, 1);
  EXPECT_THAT(nowhere.out, HasSubstr("/proc/no"));
  EXPECT_EQ(Shell(absl::StrCat(Program("headroomd"), " --config ", folder_, "/none.yaml")).code, 1);
  const Outcome nothing = Shell(Program("headroomd"));
  EXPECT_EQ(nothing.code, 2);
  EXPECT_THAT(nothing.out, HasSubstr("--config FILE"));
  const Outcome both = Shell(absl::StrCat(Program("headroomd"), " --operator --config ", policy()));
  EXPECT_EQ(both.code, 2);
  EXPECT_THAT(both.out, HasSubstr("leave --config out"));
  const Outcome election = Shell(absl::StrCat(Program("headroomd"), " --election zookeeper --config ", policy()));
  EXPECT_NE(election.code, 0);
  EXPECT_THAT(election.out, HasSubstr("none, file, kubernetes or etcd"));
}

}  // namespace
}  // namespace headroom
