// headroom-node as a process, with a controller that the test speaks for.

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "storage_node/proto_time.h"
#include "tests/storage_node/reporter/fake_controller.h"

namespace headroom {
namespace {

using Arrival = FakeController::Arrival;

class HeadroomNodeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = absl::StrCat(::testing::TempDir(), "/headroom_node_test.XXXXXX");
    ASSERT_NE(mkdtemp(folder_.data()), nullptr);
  }
  void TearDown() override {
    for (const int client : clients_) close(client);
    if (process_ > 0) {
      kill(process_, SIGKILL);
      waitpid(process_, nullptr, 0);
    }
    std::filesystem::remove_all(folder_);
  }

  void StartNode(const std::string& controllers, const std::vector<std::string>& more = {}) {
    const char* const programs = std::getenv("HEADROOM_BIN");
    ASSERT_NE(programs, nullptr) << "run by ctest, or set HEADROOM_BIN to the folder of the programs";
    std::vector<std::string> words = {absl::StrCat(programs, "/headroom-node"),
                                      "--data-dir=" + folder_,
                                      "--listen=" + listen_,
                                      "--admin-listen=127.0.0.1:0",
                                      "--connection-limit=8",
                                      "--backlog=8",
                                      "--stop-delay=0s",
                                      "--controller=" + controllers,
                                      "--node-id=node-1",
                                      "--zone=east",
                                      "--launch-id=launch-7",
                                      "--state-file=" + state_file()};
    words.insert(words.end(), more.begin(), more.end());
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, log_file().c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    posix_spawn_file_actions_adddup2(&files, STDOUT_FILENO, STDERR_FILENO);
    ASSERT_EQ(posix_spawn(&process_, argv[0], &files, nullptr, argv.data(), environ), 0);
    posix_spawn_file_actions_destroy(&files);
  }
  int EndNode() {
    if (process_ <= 0) return -1;  // zero would be this test's whole process group
    kill(process_, SIGTERM);
    int status = 0;
    waitpid(process_, &status, 0);
    process_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  // Clients that come, send nothing and stay.
  void Come(const std::string& address, int count) {
    int port = 0;
    ASSERT_TRUE(absl::SimpleAtoi(address.substr(address.rfind(':') + 1), &port));
    const sockaddr_in server{.sin_family = AF_INET,
                             .sin_port = htons(static_cast<uint16_t>(port)),
                             .sin_addr = {htonl(INADDR_LOOPBACK)},
                             .sin_zero = {}};
    for (int i = 0; i < count; ++i) {
      clients_.push_back(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
      (void)connect(clients_.back(), reinterpret_cast<const sockaddr*>(&server), sizeof server);
    }
  }
  std::string state_file() const { return folder_ + "/node.state"; }
  std::string log_file() const { return folder_ + "/node.log"; }
  static std::string TextOf(const std::string& path) {
    std::stringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  }
  std::string StateText() const { return TextOf(state_file()); }
  static bool Eventually(const std::function<bool()>& condition) {
    const absl::Time deadline = absl::Now() + kPatience;
    while (!condition() && absl::Now() < deadline) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    return condition();
  }

  std::string folder_, listen_ = "127.0.0.1:0";
  pid_t process_ = 0;
  std::vector<int> clients_;
};

v1::Directive Grant(int64_t count) {
  v1::Directive directive;
  directive.set_term(5);
  directive.set_mode(v1::DIRECTIVE_MODE_LIVE);
  directive.mutable_grant()->set_grant_id(1);
  directive.mutable_grant()->set_connection_count_max(count);
  *directive.mutable_grant()->mutable_lease() = ToProto(absl::Minutes(10));
  return directive;
}

TEST_F(HeadroomNodeTest, FromARejectionToTheRaisedLimitAndAnOrderlyEnd) {
  FakeController controller;
  StartNode(controller.address());
  ASSERT_TRUE(controller.AwaitCount(2));
  const v1::Hello hello = controller.Arrivals()[0].report.hello();
  EXPECT_EQ(hello.reporter_id(), "node-1");
  EXPECT_EQ(hello.launch_id(), "launch-7");
  EXPECT_EQ(hello.limits().connection_count_max(), 8);
  EXPECT_FALSE(hello.config_hash().empty());

  const absl::Time begin = absl::Now();
  Come(hello.address(), 20);
  const std::optional<Arrival> rejected =
      controller.Await([](const Arrival& a) { return a.report.node().connections().rejected_count() > 0; });
  ASSERT_TRUE(rejected);
  EXPECT_EQ(rejected->report.node().urgency(), v1::URGENCY_REJECTION);
  ASSERT_TRUE(controller.Say(Grant(32)));
  const std::optional<Arrival> applied =
      controller.Await([](const Arrival& a) { return a.report.node().limits().connection_count_max() == 32; });
  ASSERT_TRUE(applied);
  std::printf("surge to rejection report %.1f ms, to the raised limit in force %.1f ms\n",
              absl::ToDoubleMilliseconds(rejected->at - begin), absl::ToDoubleMilliseconds(applied->at - begin));
  EXPECT_TRUE(controller.Await([](const Arrival& a) { return a.report.node().connections().open_count() == 20; }));

  v1::Directive drain = Grant(32);
  drain.clear_grant();
  drain.set_lifecycle(v1::LIFECYCLE_DRAIN);
  ASSERT_TRUE(controller.Say(drain));
  EXPECT_TRUE(controller.Await([](const Arrival& a) { return a.report.node().state() == v1::SERVER_STATE_DRAINING; }));

  EXPECT_EQ(EndNode(), 0);
  EXPECT_TRUE(controller.Await([](const Arrival& a) { return a.report.has_goodbye(); }));
  EXPECT_TRUE(absl::StrContains(StateText(), "term_max_seen: 5")) << StateText();
}

TEST_F(HeadroomNodeTest, IdleConnectionsMakeRoomForThoseThatWait) {
  FakeController controller;
  StartNode(controller.address(), {"--shed-idle-min-age=100ms"});
  ASSERT_TRUE(controller.AwaitCount(2));
  Come(controller.Arrivals()[0].report.hello().address(), 12);
  EXPECT_TRUE(
      controller.Await([](const Arrival& a) { return a.report.node().connections().closed_idle_count() >= 4; }));
}

TEST_F(HeadroomNodeTest, APortThatIsTakenDuringTheBootDelayIsSaidAndEndsIt) {
  // Bound as the node binds, and not listening yet: as another node in its boot delay.
  const int other = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  clients_.push_back(other);
  const int on = 1;
  setsockopt(other, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{.sin_family = AF_INET, .sin_port = 0, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
  ASSERT_EQ(bind(other, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  socklen_t length = sizeof address;
  ASSERT_EQ(getsockname(other, reinterpret_cast<sockaddr*>(&address), &length), 0);
  listen_ = absl::StrCat("127.0.0.1:", ntohs(address.sin_port));
  StartNode("127.0.0.1:1", {"--boot-delay=2s"});
  ASSERT_TRUE(Eventually([&] { return absl::StrContains(TextOf(log_file()), "event=started"); })) << "it is bound then";
  ASSERT_EQ(listen(other, 1), 0);
  int status = 0;
  ASSERT_EQ(waitpid(process_, &status, 0), process_);
  process_ = 0;
  ASSERT_TRUE(WIFEXITED(status)) << "aborted";
  EXPECT_EQ(WEXITSTATUS(status), 1);
}

TEST_F(HeadroomNodeTest, ServesAndEndsWithoutAnyControllerToBeFound) {
  StartNode("127.0.0.1:1,127.0.0.1:2");
  EXPECT_TRUE(Eventually([&] { return absl::StrContains(StateText(), "headroom-node/"); }));
  EXPECT_EQ(EndNode(), 0);
}

}  // namespace
}  // namespace headroom
