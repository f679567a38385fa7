#include <algorithm>

#include "absl/strings/str_cat.h"
#include <gtest/gtest.h>

#include "controller/core/autoscaler.h"
#include "tests/controller/core/world.h"

// Which nodes are remembered, and for how long.

namespace headroom {
namespace {

World UnlistedNodes() {
  World world = ThreeNodes();
  world.broken.insert("list");  // no provider knows them
  world.Run(absl::Seconds(10), Spread(world, 330));
  return world;
}

TEST(Names, ARenamedServersOldNameIsForgotten) {
  World world = UnlistedNodes();
  world.core.Observe(world.now, NodeLeft{"node-3", world.nodes["node-3"].boot, NodeLeft::How::kStopping});
  world.nodes.erase("node-3");
  world.AddNode("node-9");
  world.Run(absl::Minutes(1), Spread(world, 330));
  EXPECT_NE(world.core.fleet().Find("node-3"), nullptr) << "it may be restarting";
  world.Run(absl::Minutes(2), Spread(world, 330));
  EXPECT_EQ(world.core.fleet().Find("node-3"), nullptr);
}

TEST(Names, OneThatWentWithoutAWordIsForgottenAfterADay) {
  World world = UnlistedNodes();
  world.core.Observe(world.now, NodeLeft{"node-3", world.nodes["node-3"].boot, NodeLeft::How::kLost});
  world.nodes.erase("node-3");
  world.Run(absl::Hours(23), Spread(world, 220));
  EXPECT_NE(world.core.fleet().Find("node-3"), nullptr);
  world.Run(absl::Hours(2), Spread(world, 220));
  EXPECT_EQ(world.core.fleet().Find("node-3"), nullptr);
}

TEST(Names, AJoinBeyondTheMostIsRefusedAloud) {
  Autoscaler core(LivePolicy());
  const absl::Time now = absl::FromUnixSeconds(1'700'000'000);
  MachinesListed listed;
  for (size_t i = 0; i < Fleet::kNodesMax; ++i) listed.machines.push_back({absl::StrCat("machine-", 100'000 + i)});
  core.Observe(now, listed);
  ASSERT_EQ(core.fleet().nodes().size(), Fleet::kNodesMax);
  core.Observe(now, NodeJoined{"one-more", {}});
  EXPECT_EQ(core.fleet().Find("one-more"), nullptr);
  const std::vector<Reason> alarms = core.Tick(now).alarms;
  const auto full = std::find_if(alarms.begin(), alarms.end(),
                                 [](const Reason& reason) { return reason.code == ReasonCode::kAlarmFleetFull; });
  ASSERT_NE(full, alarms.end());
  EXPECT_EQ(RenderReason(*full), "one-more is refused: 20,000 nodes are known already.");
}

}  // namespace
}  // namespace headroom
