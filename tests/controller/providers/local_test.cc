#include "controller/providers/local.h"

#include <set>

#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/controller/providers/local_cluster.h"

namespace headroom {
namespace {

using ::testing::_;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr absl::Duration kTimeout = absl::Seconds(20);

NodeId LaunchNode(LocalProvider& provider, const ActionId& id) {
  const auto node = provider.Launch({.id = id}, kTimeout);
  EXPECT_TRUE(node.ok()) << node.status();
  return node.value_or("");
}

std::vector<NodeId> Nodes(LocalProvider& provider) {
  std::vector<NodeId> nodes;
  const auto machines = provider.List(kTimeout);
  for (const Machine& machine : machines.value()) nodes.push_back(machine.node);
  return nodes;
}

TEST(LocalProvider, StartsAProcessThatIsNamedAfterTheLowestFreeNumber) {
  LocalCluster cluster;
  LocalProvider& provider = cluster.Open();
  EXPECT_EQ(LaunchNode(provider, "a"), "node-1");
  EXPECT_EQ(LaunchNode(provider, "b"), "node-2");
  EXPECT_TRUE(IsAlive(cluster.Record("node-1").process));
  EXPECT_TRUE(IsAlive(cluster.Record("node-2").process));
  EXPECT_EQ(getsid(cluster.Record("node-1").process.pid), cluster.Record("node-1").process.pid);
  ASSERT_TRUE(provider.Terminate("node-1", kTimeout).ok());
  EXPECT_EQ(LaunchNode(provider, "c"), "node-1");
}

TEST(LocalProvider, TellsTheNodeWhoItIsAndWhereToReport) {
  LocalCluster cluster;
  cluster.options.settings.set_connection_limit(200);
  cluster.options.settings.mutable_idle_timeout()->set_seconds(30);
  cluster.options.settings.add_arguments("--device-latency=20ms");
  cluster.options.settings.set_first_port(21000);
  LocalProvider& provider = cluster.Open();
  ASSERT_TRUE(provider.Launch({.id = "demo-1-7-0", .zone = "z1"}, kTimeout).ok());
  ASSERT_TRUE(Eventually([&] { return cluster.Starts().size() == 1; }));
  const std::string start = cluster.Starts()[0];
  for (const char* argument : {"--node-id=node-1", "--listen=127.0.0.1:21001", "--admin-listen=127.0.0.1:22001",
                               "--controller=127.0.0.1:1", "--cluster=test", "--zone=z1", "--launch-id=demo-1-7-0",
                               "--connection-limit=200", "--idle-timeout=30s", "--device-latency=20ms"}) {
    EXPECT_THAT(start, HasSubstr(argument));
  }
}

TEST(LocalProvider, ChoosesPortsThatNoOtherNodeHas) {
  LocalCluster cluster;
  LocalProvider& provider = cluster.Open();
  std::set<int> ports;
  for (const char* id : {"a", "b", "c"}) {
    const LocalRecord record = cluster.Record(LaunchNode(provider, id));
    ports.insert({record.port, record.admin_port});
  }
  EXPECT_THAT(ports, SizeIs(6));
  EXPECT_GT(*ports.begin(), 1024);
}

TEST(LocalProvider, AdoptsItsNodesAfterARestartOfTheController) {
  LocalCluster cluster;
  const NodeId node = LaunchNode(cluster.Open(), "a");
  const Process process = cluster.Record(node).process;
  cluster.Close();
  EXPECT_TRUE(IsAlive(process));
  LocalProvider& provider = cluster.Open();
  EXPECT_THAT(Nodes(provider), ElementsAre(node));
  EXPECT_EQ(cluster.Record(node).process, process);
  EXPECT_EQ(LaunchNode(provider, "a"), node);
  EXPECT_TRUE(provider.Terminate(node, kTimeout).ok());
  EXPECT_FALSE(IsAlive(process));
}

TEST(LocalProvider, AControllerThatDoesNotComeToServeStartsNoNodes) {
  LocalCluster cluster;
  const NodeId node = LaunchNode(cluster.Open(), "a");
  ASSERT_TRUE(Eventually([&] { return cluster.Starts().size() == 1; }));
  cluster.Close();
  Signal(cluster.Record(node).process, SIGKILL);
  ASSERT_TRUE(Eventually([&] { return !IsAlive(cluster.Record(node).process); }));
  cluster.OpenOnly();
  for (int step = 0; step < 30; ++step) {
    ASSERT_THAT(cluster.Starts(), SizeIs(1));
    absl::SleepFor(absl::Milliseconds(10));
  }
  cluster.Open();
  EXPECT_TRUE(Eventually([&] { return cluster.Starts().size() == 2; }));
}

TEST(LocalProvider, AnAdoptedNodeReportsToTheControllerOfNowFromItsNextStartOn) {
  LocalCluster cluster;
  const NodeId node = LaunchNode(cluster.Open(), "a");
  ASSERT_TRUE(Eventually([&] { return cluster.Starts().size() == 1; }));
  cluster.Close();
  std::vector<std::string> said;
  cluster.options.controller_address = "127.0.0.1:2";
  cluster.options.say = [&said](absl::string_view text) { said.emplace_back(text); };
  cluster.Open();
  EXPECT_THAT(said, ElementsAre(HasSubstr("node-1 was started to report to 127.0.0.1:1")));
  cluster.Open();
  EXPECT_THAT(said, ElementsAre(_, HasSubstr("node-1 was started to report to 127.0.0.1:1"))) << "it still does";
  EXPECT_THAT(cluster.Starts(), SizeIs(1)) << "it runs on";
  Signal(cluster.Record(node).process, SIGKILL);
  ASSERT_TRUE(Eventually([&] { return cluster.Starts().size() == 2; }));
  EXPECT_THAT(cluster.Starts()[1], HasSubstr("--controller=127.0.0.1:2"));
}

TEST(LocalProvider, DoesNotStartTwiceWhenItDiedBeforeThePidWasRecorded) {
  LocalCluster cluster;
  const NodeId node = LaunchNode(cluster.Open(), "a");
  ASSERT_TRUE(Eventually([&] { return cluster.Starts().size() == 1; }));
  const Process process = cluster.Record(node).process;
  cluster.Close();
  LocalRecord intent = cluster.Record(node);
  intent.process = {};
  cluster.Write(intent);
  LocalProvider& provider = cluster.Open();
  EXPECT_EQ(cluster.Record(node).process, process);
  EXPECT_EQ(LaunchNode(provider, "a"), node);
  EXPECT_THAT(cluster.Starts(), SizeIs(1));
}

TEST(LocalProvider, FinishesALaunchThatWasOnlyIntended) {
  LocalCluster cluster;
  cluster.options.settings.set_restart(false);
  const NodeId node = LaunchNode(cluster.Open(), "a");
  ASSERT_TRUE(Eventually([&] { return cluster.Starts().size() == 1; }));
  cluster.Close();
  LocalRecord intent = cluster.Record(node);
  Signal(intent.process, SIGKILL);
  ASSERT_TRUE(Eventually([&] { return !IsAlive(intent.process); }));
  intent.process = {};
  cluster.Write(intent);
  LocalProvider& provider = cluster.Open();
  EXPECT_EQ(LaunchNode(provider, "a"), node);
  ASSERT_TRUE(Eventually([&] { return IsAlive(cluster.Record(node).process); }));
  EXPECT_THAT(cluster.Starts(), SizeIs(2));
}

TEST(LocalProvider, DoesNotAdoptAProcessThatOnlyHasTheSamePid) {
  LocalCluster cluster;
  cluster.options.settings.set_restart(false);
  const NodeId node = LaunchNode(cluster.Open(), "a");
  cluster.Close();
  LocalRecord record = cluster.Record(node);
  const Process process = record.process;
  record.process.start_ticks += 1;
  record.incarnation = "another";
  cluster.Write(record);
  LocalProvider& provider = cluster.Open();
  EXPECT_TRUE(Eventually([&] { return Nodes(provider).empty(); }));
  EXPECT_TRUE(IsAlive(process)) << "a stranger must not be signalled";
  Signal(process, SIGKILL);
  EXPECT_TRUE(Eventually([&] { return !IsAlive(process); }));
}

TEST(LocalProvider, StartsANodeAgainAsItWasWhenItEndsUnasked) {
  LocalCluster cluster;
  LocalProvider& provider = cluster.Open();
  const NodeId node = LaunchNode(provider, "a");
  ASSERT_TRUE(Eventually([&] { return cluster.Starts().size() == 1; }));
  const LocalRecord before = cluster.Record(node);
  Signal(before.process, SIGTERM);
  ASSERT_TRUE(Eventually([&] { return cluster.Starts().size() == 2; }));
  ASSERT_TRUE(Eventually([&] { return cluster.Record(node).process.pid != before.process.pid; }));
  EXPECT_EQ(cluster.Starts()[0], cluster.Starts()[1]);
  EXPECT_EQ(cluster.Record(node).port, before.port);
  EXPECT_EQ(cluster.Record(node).launch_id, "a");
}

TEST(LocalProvider, StartsAnAdoptedNodeAgainToo) {
  LocalCluster cluster;
  const NodeId node = LaunchNode(cluster.Open(), "a");
  ASSERT_TRUE(Eventually([&] { return cluster.Starts().size() == 1; }));
  cluster.Open();
  Signal(cluster.Record(node).process, SIGTERM);
  EXPECT_TRUE(Eventually([&] { return cluster.Starts().size() == 2; }));
}

TEST(LocalProvider, ANodeIsAskedToEndEvenIfThatCannotBeWrittenDown) {
  LocalCluster cluster;
  cluster.SetProgram(
      "trap 'echo asked > \"$0.asked\"; exit 0' TERM; echo ready >> \"$0.ready\"; while :; do sleep 0.05; done");
  const std::string program = cluster.options.settings.program();
  LocalProvider& provider = cluster.Open();
  const NodeId node = LaunchNode(provider, "a");
  ASSERT_TRUE(Eventually([&] { return std::filesystem::exists(program + ".ready"); }));
  // What a state file is written to first: nothing can be written there now, as on a full disk.
  ASSERT_TRUE(std::filesystem::create_directory(cluster.RecordPath(node) + ".new"));
  EXPECT_TRUE(provider.Terminate(node, kTimeout).ok());
  EXPECT_TRUE(std::filesystem::exists(program + ".asked")) << "killed without having been asked";
  EXPECT_THAT(Nodes(provider), IsEmpty());
}

TEST(LocalProvider, PausesLongerBetweenTheStartsOfANodeThatDoesNotStay) {
  LocalCluster cluster;
  cluster.SetProgram("exit 1");
  cluster.options.restart_pause = absl::Milliseconds(1);
  cluster.options.restart_pause_max = absl::Hours(1);
  LocalProvider& provider = cluster.Open();
  const NodeId node = LaunchNode(provider, "a");
  // Pauses of 1, 2, 4, ... ms: the hundredth start would be due long after the sun is gone.
  ASSERT_TRUE(Eventually([&] { return cluster.Starts().size() >= 4; }));
  EXPECT_LT(cluster.Starts().size(), 30U);
  const auto machines = provider.List(kTimeout);
  ASSERT_THAT(*machines, SizeIs(1));
  EXPECT_TRUE(provider.Terminate(node, kTimeout).ok());
  EXPECT_THAT(Nodes(provider), IsEmpty());
}

TEST(LocalProvider, ForgetsANodeThatEndsWhereItIsNotToBeStartedAgain) {
  LocalCluster cluster;
  cluster.options.settings.set_restart(false);
  LocalProvider& provider = cluster.Open();
  const NodeId node = LaunchNode(provider, "a");
  Signal(cluster.Record(node).process, SIGKILL);
  EXPECT_TRUE(Eventually([&] { return Nodes(provider).empty(); }));
}

TEST(LocalProvider, KillsANodeThatDoesNotEndWithinTheGrace) {
  LocalCluster cluster;
  cluster.SetProgram("trap '' TERM; echo ready >> \"$0.ready\"; while :; do sleep 0.2; done");
  cluster.options.terminate_grace = absl::Milliseconds(300);
  LocalProvider& provider = cluster.Open();
  const NodeId node = LaunchNode(provider, "a");
  ASSERT_TRUE(Eventually([&] { return std::filesystem::exists(cluster.options.settings.program() + ".ready"); }));
  const Process process = cluster.Record(node).process;
  EXPECT_EQ(provider.Terminate(node, absl::Milliseconds(50)).code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(provider.List(kTimeout)->at(0).state, Machine::State::kStopping);
  EXPECT_TRUE(provider.Terminate(node, kTimeout).ok());
  EXPECT_FALSE(IsAlive(process));
}

TEST(LocalProvider, NeverStartsATerminatedNodeAgain) {
  LocalCluster cluster;
  cluster.SetProgram("trap '' TERM; echo ready >> \"$0.ready\"; while :; do sleep 0.2; done");
  LocalProvider& first = cluster.Open();
  const NodeId node = LaunchNode(first, "a");
  ASSERT_TRUE(Eventually([&] { return std::filesystem::exists(cluster.options.settings.program() + ".ready"); }));
  EXPECT_EQ(first.Terminate(node, absl::Milliseconds(10)).code(), absl::StatusCode::kDeadlineExceeded);
  const Process process = cluster.Record(node).process;
  cluster.Close();
  Signal(process, SIGKILL);
  ASSERT_TRUE(Eventually([&] { return !IsAlive(process); }));
  LocalProvider& provider = cluster.Open();
  EXPECT_TRUE(Eventually([&] { return Nodes(provider).empty(); }));
  EXPECT_EQ(LaunchNode(provider, "a"), node) << "the launch is remembered though its machine is gone";
  EXPECT_THAT(Nodes(provider), IsEmpty());
  EXPECT_THAT(cluster.Starts(), SizeIs(1));
}

TEST(LocalProvider, MakesTheInitialNodesOnce) {
  LocalCluster cluster;
  LocalProvider& first = cluster.Open();
  ASSERT_TRUE(first.Begin(3).ok());
  EXPECT_THAT(Nodes(first), ElementsAre("node-1", "node-2", "node-3"));
  EXPECT_EQ(first.List(kTimeout)->at(0).launch_id, "");
  ASSERT_TRUE(first.Terminate("node-2", kTimeout).ok());
  ASSERT_TRUE(first.Begin(3).ok());
  LocalProvider& second = cluster.Open();
  ASSERT_TRUE(second.Begin(3).ok());
  EXPECT_THAT(Nodes(second), ElementsAre("node-1", "node-3"));
}

TEST(LocalProvider, RefusesSettingsThatCannotWork) {
  LocalCluster cluster;
  cluster.options.settings.set_address("0.0.0.0");
  EXPECT_THAT(LocalProvider::Open(cluster.options).status().message(), HasSubstr("0.0.0.0 is no loopback address"));
  cluster.options.settings.set_address("");
  cluster.options.settings.set_program("/no/such/program");
  const absl::Status missing = LocalProvider::Open(cluster.options).status();
  EXPECT_EQ(missing.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(missing.message(), HasSubstr("/no/such/program"));
}

TEST(LocalProvider, RefusesToGuessFromAnUnreadableRecord) {
  LocalCluster cluster;
  cluster.Open();
  cluster.Close();
  ASSERT_TRUE(WriteStateFile(cluster.RecordPath("node-1"), "node node-1\n").ok());
  const absl::Status status = LocalProvider::Open(cluster.options).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(status.message(), HasSubstr("node-1"));
}

// Whether a node answers on its admin port that it is ready.
bool IsReady(int port) {
  const int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_port = htons(static_cast<uint16_t>(port));
  name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const absl::string_view request = "GET /readyz HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n";
  char answer[13] = {};
  const bool asked = connect(descriptor, reinterpret_cast<const sockaddr*>(&name), sizeof(name)) == 0 &&
                     send(descriptor, request.data(), request.size(), MSG_NOSIGNAL) > 0 &&
                     recv(descriptor, answer, 12, MSG_WAITALL) == 12;
  close(descriptor);
  return asked && absl::string_view(answer) == "HTTP/1.1 200";
}

TEST(LocalProvider, StartsAndStopsTheRealStorageNode) {
  const char* programs = getenv("HEADROOM_BIN");
  ASSERT_NE(programs, nullptr) << "run it through ctest, or set HEADROOM_BIN to the folder of the programs";
  LocalCluster cluster;
  cluster.options.settings.set_program(std::string(programs) + "/headroom-node");
  cluster.options.settings.set_connection_limit(200);
  cluster.options.settings.mutable_idle_timeout()->set_seconds(30);
  cluster.options.settings.add_arguments("--stop-delay=0s");
  LocalProvider& provider = cluster.Open();
  const NodeId node = LaunchNode(provider, "a");
  const LocalRecord record = cluster.Record(node);
  ASSERT_TRUE(Eventually([&] { return IsReady(record.admin_port); }));
  Signal(record.process, SIGTERM);
  ASSERT_TRUE(Eventually([&] { return cluster.Record(node).process.pid != record.process.pid; }));
  ASSERT_TRUE(Eventually([&] { return IsReady(record.admin_port); })) << "the same ports after its restart";
  const Process process = cluster.Record(node).process;
  EXPECT_TRUE(provider.Terminate(node, kTimeout).ok());
  EXPECT_FALSE(IsAlive(process));
  EXPECT_FALSE(IsReady(record.admin_port));
}

TEST(LocalRecord, IsReadAsItWasWritten) {
  const LocalRecord written{.node = "node-7",
                            .number = 7,
                            .launch_id = "c-1-2-3",
                            .zone = "a b",
                            .incarnation = "00ff",
                            .port = 1,
                            .admin_port = 2,
                            .terminated = true,
                            .boot_id = "boot",
                            .process = {.pid = 42, .start_ticks = 99},
                            .argv = {"/p", "--a=b c\nd"}};
  const auto read = ParseRecord(FormatRecord(written));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(FormatRecord(*read), FormatRecord(written));
  EXPECT_EQ(read->argv, written.argv);
  EXPECT_EQ(read->process, written.process);
}

}  // namespace
}  // namespace headroom
