#include "controller/providers/external.h"

#include <cstdio>
#include <cstdlib>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/controller/providers/conformance/provider_under_test.h"
#include "tests/controller/providers/external/fake_platform.h"
#include "tests/controller/runtime/temp_dir.h"

namespace headroom {
namespace {

std::unique_ptr<ExternalProvider> OpenAt(const std::string& address) {
  auto provider = ExternalProvider::Open(
      {.address = address, .cluster = "test", .open_timeout = ProviderUnderTest::kPatience, .wait = [](absl::Duration) {
       }});
  EXPECT_TRUE(provider.ok()) << provider.status();
  return provider.ok() ? *std::move(provider) : nullptr;
}

class ExternalUnderTest final : public ProviderUnderTest {
 public:
  ExternalUnderTest() { Reopen(); }
  Provider& provider() override { return *provider_; }
  std::vector<NodeId> Nodes() override { return platform_.nodes(); }
  int Asked() override { return platform_.asked(); }
  bool Reopen() override {
    provider_ = OpenAt(platform_.address());
    return true;
  }
  int Writes() override { return platform_.writes(); }
  bool Inject(Trouble trouble, Verb verb) override {
    FakePlatform::Fault fault{.call = verb == Verb::kList     ? "ListMachines"
                                      : verb == Verb::kLaunch ? "LaunchMachine"
                                                              : "TerminateMachine"};
    const auto say = [&](grpc::StatusCode code) { fault.answer = {code, "the platform is in trouble"}; };
    switch (trouble) {
      case Trouble::kThrottled:
        say(grpc::StatusCode::UNAVAILABLE);
        break;
      case Trouble::kServerError:
        say(grpc::StatusCode::INTERNAL);
        fault.times = ExternalProvider::kAttemptsMax;
        break;
      case Trouble::kPartialEffect:
        return false;  // one call is one change
      case Trouble::kLostAnswer:
        say(grpc::StatusCode::UNAVAILABLE);
        fault.after_effect = true;
        break;
      case Trouble::kConflict:
        say(grpc::StatusCode::ABORTED);
        break;
      case Trouble::kForbidden:
        say(grpc::StatusCode::PERMISSION_DENIED);
        fault.call = "";
        fault.times = 1'000'000;
        break;
      case Trouble::kSilence:
        say(grpc::StatusCode::CANCELLED);
        fault.never_answers = true;
        break;
    }
    platform_.Inject(fault);
    return true;
  }
  bool SayUnknownWord() override {
    platform_.SetState(platform_.nodes()[0], 77);
    return true;
  }
  bool RunOutOfStock() override {
    platform_.RunOutOfStock("all racks are full");
    return true;
  }
  bool ComeLate() override {
    platform_.ComeLate();
    return true;
  }

 private:
  static v1::GetCapabilitiesResponse Can() {
    v1::GetCapabilitiesResponse can;
    can.set_named_termination(true);
    can.set_zones(true);
    can.set_fenced(true);
    return can;
  }
  FakePlatform platform_{Can(), kNodesAtFirst};
  std::unique_ptr<ExternalProvider> provider_;
};

#ifdef HEADROOM_PYTHON_PROTO
// deploy/examples/external_provider/provider.py as it is, whose machines are processes that only wait.
class PythonExampleUnderTest final : public ProviderUnderTest {
 public:
  PythonExampleUnderTest() { Start(); }
  ~PythonExampleUnderTest() override {
    if (provider_ != nullptr) {
      for (const NodeId& node : Nodes()) provider_->Terminate(node, kPatience).IgnoreError();
    }
    End();
  }
  Provider& provider() override { return *provider_; }
  std::vector<NodeId> Nodes() override {
    std::vector<NodeId> nodes;
    for (const Machine& machine : provider_->List(kPatience).value_or(std::vector<Machine>()))
      nodes.push_back(machine.node);
    return nodes;
  }
  // Another controller, and another life of the program, too.
  bool Reopen() override {
    End();
    Start();
    return true;
  }

 private:
  void Start() {
    int out[2];
    ASSERT_EQ(pipe(out), 0);
    const char* source = std::getenv("HEADROOM_SOURCE");
    const std::string program =
        absl::StrCat(source == nullptr ? "." : source, "/deploy/examples/external_provider/provider.py");
    process_ = fork();
    if (process_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGTERM);
      dup2(out[1], STDOUT_FILENO);
      close(out[0]);
      setenv("PYTHONPATH", HEADROOM_PYTHON_PROTO, 1);
      setenv("PYTHONDONTWRITEBYTECODE", "1", 1);
      execl(HEADROOM_PYTHON, HEADROOM_PYTHON, program.c_str(), "--listen", "127.0.0.1:0", "--state-dir",
            folder_.path().c_str(), "--machines-max", "8", "--", "sleep", "120", nullptr);
      _exit(127);
    }
    close(out[1]);
    FILE* const lines = fdopen(out[0], "r");
    char line[256] = "";
    const bool told = fgets(line, sizeof line, lines) != nullptr;
    fclose(lines);
    ASSERT_TRUE(told) << "provider.py has not started";
    provider_ = OpenAt(std::string(absl::StripPrefix(absl::StripAsciiWhitespace(line), "listening on ")));
  }
  void End() {
    if (process_ <= 0) return;
    kill(process_, SIGKILL);
    waitpid(process_, nullptr, 0);
    process_ = -1;
  }

  TempDir folder_;
  pid_t process_ = -1;
  std::unique_ptr<ExternalProvider> provider_;
};
#endif

}  // namespace

std::unique_ptr<ProviderUnderTest> MakeExternal() {
  return std::make_unique<ExternalUnderTest>();
}

#ifdef HEADROOM_PYTHON_PROTO
std::unique_ptr<ProviderUnderTest> MakePythonExample() {
  return std::make_unique<PythonExampleUnderTest>();
}
#endif

}  // namespace headroom
