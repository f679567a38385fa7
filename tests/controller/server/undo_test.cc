#include "controller/server/undo.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace headroom {
namespace {

using ::testing::HasSubstr;

const absl::Time kDecided = absl::FromUnixSeconds(1'700'000'000);
const absl::Time kNow = kDecided + absl::Minutes(5);

class UndoTest : public ::testing::Test {
 protected:
  UndoTest() {
    decision_.at = kDecided;
    request_.set_sequence(7);
  }
  Node& Add(const NodeId& id, NodeState state) {
    Node& node = (*fleet_.mutable_nodes().emplace(id, Node()).first).second;
    node.id = id;
    node.state = state;
    return node;
  }
  void Drained(const NodeId& id) {
    Action action;
    action.node = id;
    action.body = DrainNode{};
    decision_.actions.push_back(action);
  }
  void Limited(const NodeId& id) { decision_.limits.push_back({.node = id, .before = 200, .after = 400}); }
  Undo Plan() const { return PlanUndo(decision_, fleet_, request_, kNow); }
  // Nothing is done, and the only thing that is said is this.
  void ExpectNotUndone(const std::string& why) const {
    const Undo undo = Plan();
    EXPECT_TRUE(undo.events.empty());
    EXPECT_EQ(undo.response.undone_size(), 0);
    ASSERT_EQ(undo.response.not_undone_size(), 1);
    EXPECT_THAT(undo.response.not_undone(0).text(), HasSubstr(why));
  }

  Decision decision_;
  Fleet fleet_;
  v1::UndoDecisionRequest request_;
};

TEST_F(UndoTest, ADrainThatGoesOnIsCancelled) {
  Add("a", NodeState::kDraining);
  Drained("a");
  const Undo undo = Plan();
  ASSERT_EQ(undo.events.size(), 1u);
  EXPECT_FALSE(std::get<DrainRequested>(undo.events[0]).drain);
  EXPECT_EQ(undo.response.undone(0).code(), "drain_cancelled");
}

TEST_F(UndoTest, ADrainOfANodeThatIsGoneIsNotUndone) {
  Drained("a");
  ExpectNotUndone("a is gone");
}

TEST_F(UndoTest, ADrainOfANodeThatServesAgainIsNotUndone) {
  Add("a", NodeState::kServing);
  Drained("a");
  ExpectNotUndone("a is serving, not draining");
}

TEST_F(UndoTest, ADrainOfANodeThatIsBeingTerminatedIsNotUndone) {
  Add("a", NodeState::kTerminating);
  Drained("a");
  ExpectNotUndone("a is terminating, not draining");
}

TEST_F(UndoTest, ALimitGoesBackAndIsFixedForTenMinutes) {
  Add("a", NodeState::kServing);
  Limited("a");
  const Undo undo = Plan();
  ASSERT_EQ(undo.events.size(), 1u);
  const auto& fixed = std::get<NodeLimitFixed>(undo.events[0]);
  EXPECT_EQ(fixed.limit_count, 200);
  EXPECT_EQ(fixed.until, kNow + absl::Minutes(10));
  EXPECT_EQ(fixed.reason, "undo of decision 7");
}

TEST_F(UndoTest, ANewMachineUnderTheNameOfADeadOneDoesNotGetItsLimit) {
  Add("a", NodeState::kServing).launched_at = kDecided + absl::Minutes(1);
  Limited("a");
  ExpectNotUndone("a is another machine now");
}

TEST_F(UndoTest, WhatIsStillThereIsUndoneAndTheRestIsListed) {
  Add("a", NodeState::kServing);
  Limited("a");
  Limited("b");
  const Undo undo = Plan();
  EXPECT_EQ(undo.events.size(), 1u);
  EXPECT_EQ(undo.response.undone_size(), 1);
  EXPECT_EQ(undo.response.not_undone_size(), 1);
}

}  // namespace
}  // namespace headroom
