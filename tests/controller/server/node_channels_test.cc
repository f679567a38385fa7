#include "controller/server/node_channels.h"

#include <memory>
#include <vector>

#include "gtest/gtest.h"

namespace headroom {
namespace {

class FakeStream : public DirectiveStream {
 public:
  void Deliver(const v1::Directive& directive) override { MergeDirective(directive, waiting); }
  void EndWith(const absl::Status& status) override { taken_over = absl::IsAlreadyExists(status); }
  v1::Directive waiting;
  bool taken_over = false;
};

StreamRegistry::Options Some(size_t reporters_max = 10, Mode mode = Mode::kLive) {
  return {.reporters_max = reporters_max,
          .report_interval = absl::Seconds(2),
          .term = [] { return int64_t{4}; },
          .mode = mode};
}

const ReporterKey kNode{v1::ROLE_NODE, "node-1"};

Action Grant(uint64_t id, int64_t count) {
  Action action;
  action.term = 4;
  action.node = "node-1";
  action.body = GrantLimits{.grant_id = id, .connection_count_max = count, .lease = absl::Seconds(30)};
  return action;
}

Action Of(ActionBody body) {
  Action action;
  action.term = 4;
  action.node = "node-1";
  action.body = std::move(body);
  return action;
}

TEST(NodeChannelsTest, GreetsLiveWithTermAndPace) {
  StreamRegistry registry(Some());
  NodeChannels channels(registry);
  auto stream = std::make_shared<FakeStream>();
  ASSERT_TRUE(registry.Open(kNode, stream).ok());
  EXPECT_EQ(stream->waiting.mode(), v1::DIRECTIVE_MODE_LIVE);
  EXPECT_EQ(stream->waiting.term(), 4);
  EXPECT_EQ(stream->waiting.report_interval().seconds(), 2);
}

TEST(NodeChannelsTest, TheDryRunSaysObserveAndNothingElse) {
  StreamRegistry observe(Some(10, Mode::kDryRun));
  auto stream = std::make_shared<FakeStream>();
  ASSERT_TRUE(observe.Open(kNode, stream).ok());
  observe.SetReportInterval(absl::Seconds(5));
  EXPECT_EQ(stream->waiting.mode(), v1::DIRECTIVE_MODE_OBSERVE);
  EXPECT_EQ(stream->waiting.report_interval().seconds(), 5);
  EXPECT_FALSE(stream->waiting.has_grant());
  EXPECT_FALSE(stream->waiting.has_shed());
  EXPECT_FALSE(stream->waiting.has_servers());
  static_assert(!std::is_base_of_v<NodeControl, StreamRegistry>);
}

TEST(NodeChannelsTest, WhileItObservesNothingGoesThroughAndEverybodyHearsOfTheChange) {
  StreamRegistry registry(Some());
  NodeChannels channels(registry);
  auto stream = std::make_shared<FakeStream>();
  ASSERT_TRUE(registry.Open(kNode, stream).ok());
  registry.SetMode(Mode::kDryRun);
  EXPECT_EQ(stream->waiting.mode(), v1::DIRECTIVE_MODE_OBSERVE);
  EXPECT_TRUE(absl::IsFailedPrecondition(channels.Send(Grant(1, 100))));
  EXPECT_FALSE(stream->waiting.has_grant());
  registry.SetMode(Mode::kLive);
  EXPECT_EQ(stream->waiting.mode(), v1::DIRECTIVE_MODE_LIVE);
  EXPECT_TRUE(channels.Send(Grant(2, 100)).ok());
  EXPECT_TRUE(stream->waiting.has_grant());
}

TEST(NodeChannelsTest, TheNewestStreamWinsAndTheOlderOnesEndIsNoLoss) {
  StreamRegistry registry(Some());
  NodeChannels channels(registry);
  auto older = std::make_shared<FakeStream>(), newer = std::make_shared<FakeStream>();
  ASSERT_TRUE(registry.Open(kNode, older).ok());
  ASSERT_TRUE(registry.Open(kNode, newer).ok());
  EXPECT_TRUE(older->taken_over);
  EXPECT_FALSE(newer->taken_over);
  EXPECT_FALSE(registry.Close(kNode, older.get()));
  ASSERT_TRUE(channels.Send(Grant(1, 100)).ok());
  EXPECT_FALSE(older->waiting.has_grant());
  EXPECT_TRUE(newer->waiting.has_grant());
  EXPECT_TRUE(registry.Close(kNode, newer.get()));
  EXPECT_TRUE(absl::IsNotFound(channels.Send(Grant(2, 100))));
}

TEST(NodeChannelsTest, ABalancerIsNotTheNodeOfThatName) {
  StreamRegistry registry(Some());
  NodeChannels channels(registry);
  auto node = std::make_shared<FakeStream>(), balancer = std::make_shared<FakeStream>();
  ASSERT_TRUE(registry.Open(kNode, node).ok());
  ASSERT_TRUE(registry.Open({v1::ROLE_BALANCER, "node-1"}, balancer).ok());
  EXPECT_FALSE(node->taken_over);
  ASSERT_TRUE(channels.Send(Of(SetServers{{{.node = "node-1", .address = "a:1"}}})).ok());
  EXPECT_FALSE(node->waiting.has_servers());
  ASSERT_EQ(balancer->waiting.servers_size(), 1);
}

TEST(NodeChannelsTest, ABalancerWithoutAShareIsToldItsServersAndNoLimit) {
  StreamRegistry registry(Some());
  NodeChannels channels(registry);
  auto old = std::make_shared<FakeStream>(), empty = std::make_shared<FakeStream>();
  ASSERT_TRUE(registry.Open({v1::ROLE_BALANCER, "old"}, old).ok());
  ASSERT_TRUE(registry.Open({v1::ROLE_BALANCER, "empty"}, empty).ok());
  const SetServers set{.servers = {{.node = "node-1", .address = "a:1", .session_count_max = 50}},
                       .without_share = {"empty"}};
  ASSERT_TRUE(channels.Send(Of(set)).ok());
  ASSERT_EQ(old->waiting.servers_size(), 1);
  EXPECT_EQ(old->waiting.servers(0).session_count_max(), 50);
  ASSERT_EQ(empty->waiting.servers_size(), 1);
  EXPECT_EQ(empty->waiting.servers(0).address(), "a:1");
  EXPECT_EQ(empty->waiting.servers(0).session_count_max(), 0);
}

TEST(NodeChannelsTest, WhatWaitsForASlowStreamIsOneDirectiveWithTheLatestOfEachSlot) {
  StreamRegistry registry(Some());
  NodeChannels channels(registry);
  auto stream = std::make_shared<FakeStream>();
  ASSERT_TRUE(registry.Open(kNode, stream).ok());
  ASSERT_TRUE(channels.Send(Of(DrainNode{})).ok());
  ASSERT_TRUE(channels.Send(Of(ShedConnections{.connection_count = 9})).ok());
  for (uint64_t i = 1; i <= 1000; ++i) ASSERT_TRUE(channels.Send(Grant(i, 100 + static_cast<int64_t>(i))).ok());
  EXPECT_EQ(stream->waiting.grant().grant_id(), 1000u);
  EXPECT_EQ(stream->waiting.grant().connection_count_max(), 1100);
  EXPECT_EQ(stream->waiting.shed().connection_count(), 9);
  EXPECT_EQ(stream->waiting.lifecycle(), v1::LIFECYCLE_DRAIN);
  EXPECT_EQ(stream->waiting.report_interval().seconds(), 2);
  EXPECT_LT(stream->waiting.ByteSizeLong(), 200u);
}

TEST(NodeChannelsTest, AnEmptyServerListIsSaidAndReplacesTheOlderOne) {
  v1::Directive pending, update;
  pending.set_has_servers(true);
  pending.add_servers()->set_node_id("node-1");
  update.set_has_servers(true);
  MergeDirective(update, pending);
  EXPECT_TRUE(pending.has_servers());
  EXPECT_EQ(pending.servers_size(), 0);
}

TEST(NodeChannelsTest, RefusesReportersBeyondItsBoundButTakesKnownOnesBack) {
  StreamRegistry registry(Some(1));
  ASSERT_TRUE(registry.Open(kNode, std::make_shared<FakeStream>()).ok());
  const absl::Status refused = registry.Open({v1::ROLE_NODE, "node-2"}, std::make_shared<FakeStream>());
  EXPECT_TRUE(absl::IsResourceExhausted(refused)) << refused;
  EXPECT_TRUE(registry.Open(kNode, std::make_shared<FakeStream>()).ok());
  EXPECT_EQ(registry.size(), 1u);
}

}  // namespace
}  // namespace headroom
