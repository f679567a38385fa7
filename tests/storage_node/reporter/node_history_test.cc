#include "storage_node/reporter/node_history.h"

#include <gtest/gtest.h>

#include "storage_node/proto_time.h"

namespace headroom {
namespace {

// A node that lives second by second.
class NodeHistoryTest : public ::testing::Test {
 protected:
  struct Second {
    int64_t open = 0, active = 0;
    int64_t completed = 0, errors = 0;
    absl::Duration latency = absl::Milliseconds(10);
    int64_t rejected = 0, dropped = 0, queue = 0;
  };
  void Live(const Second& second) {
    now_ += absl::Seconds(1);
    GateCounters& gate = sample_.gate;
    gate.open = second.open;
    gate.active = second.active;
    gate.completed += second.completed;
    gate.errors_5xx += second.errors;
    gate.rejected += second.rejected;
    for (int64_t i = 0; i < second.completed; ++i) gate.latency.Add(second.latency);
    v1::Listener& listener = sample_.kernel.listener;
    listener.set_drop_count(listener.drop_count() + second.dropped);
    listener.set_accept_queue_count(second.queue);
    history_.Add(sample_, now_);
  }
  void Live(const Second& second, int times) {
    for (int i = 0; i < times; ++i) Live(second);
  }
  void SetUp() override {
    sample_.gate.limits.connections = 200;
    history_.Add(sample_, now_);
  }
  absl::Duration Baseline() const { return FromProto(history_.Learned().baseline_latency()); }

  absl::Time now_ = absl::FromUnixSeconds(5000);
  NodeSample sample_;
  NodeHistory history_{LimitPolicy{}};
};

TEST_F(NodeHistoryTest, SaysHowTheLastSecondWas) {
  Live({.open = 50, .active = 10, .completed = 100, .errors = 4});
  const LimitInputs inputs = history_.Inputs();
  EXPECT_EQ(inputs.open_count, 50);
  EXPECT_EQ(inputs.active_count, 10);
  EXPECT_EQ(inputs.waiting_count, 0);
  EXPECT_DOUBLE_EQ(inputs.goodput_per_second, 96);
  ASSERT_TRUE(inputs.latency_p50);
  EXPECT_NEAR(absl::ToDoubleMilliseconds(*inputs.latency_p50), 10, 1);
  EXPECT_FALSE(inputs.memory_full_ratio);  // missing is not zero
}

TEST_F(NodeHistoryTest, CountsThoseWhoWaitOnce) {
  Live({.open = 200, .rejected = 30, .queue = 30});
  EXPECT_EQ(history_.Inputs().waiting_count, 30);
  Live({.open = 200, .rejected = 10, .dropped = 25, .queue = 129});
  EXPECT_EQ(history_.Inputs().waiting_count, 154);
  Live({.open = 150});  // those who were rejected are in by now
  EXPECT_EQ(history_.Inputs().waiting_count, 0);
}

TEST_F(NodeHistoryTest, SeesDemandGrow) {
  for (int64_t open = 0; open <= 100; open += 10) Live({.open = open});
  EXPECT_NEAR(history_.Inputs().open_slope_per_second, 10, 0.1);
  EXPECT_EQ(history_.Inputs().open_peak_count, 100);
}

TEST_F(NodeHistoryTest, APeakIsForgottenAfterAnHour) {
  Live({.open = 180});
  Live({.open = 20}, 3500);
  EXPECT_EQ(history_.Inputs().open_peak_count, 180);
  Live({.open = 20}, 200);
  EXPECT_EQ(history_.Inputs().open_peak_count, 20);
}

TEST_F(NodeHistoryTest, LearnsTheLatencyOfLightLoadOnly) {
  Live({.open = 50, .active = 10, .completed = 20}, 30);
  EXPECT_NEAR(absl::ToDoubleMilliseconds(Baseline()), 10, 1);
  Live({.open = 200, .active = 180, .completed = 20, .latency = absl::Milliseconds(300)}, 300);
  EXPECT_NEAR(absl::ToDoubleMilliseconds(Baseline()), 10, 1);
  Live({.open = 200, .active = 10, .completed = 20, .latency = absl::Milliseconds(300), .rejected = 5}, 300);
  EXPECT_NEAR(absl::ToDoubleMilliseconds(Baseline()), 10, 1);
}

TEST_F(NodeHistoryTest, SaysNothingOfABaselineThatItDoesNotKnow) {
  Live({.open = 50, .active = 10, .completed = 20}, 5);
  EXPECT_FALSE(history_.Learned().has_baseline_latency());
  EXPECT_FALSE(history_.Inputs().latency_baseline);
}

TEST_F(NodeHistoryTest, ARestartIntoAnOverloadDoesNotPassForHealth) {
  v1::Learned learned;
  *learned.mutable_baseline_latency() = ToProto(absl::Milliseconds(10));
  learned.set_proven_connection_count(120);
  history_.Recall(learned);
  Live({.open = 80, .active = 60, .completed = 20, .latency = absl::Milliseconds(300)}, 60);
  EXPECT_EQ(Baseline(), absl::Milliseconds(10));
  EXPECT_EQ(history_.Learned().proven_connection_count(), 120);
}

TEST_F(NodeHistoryTest, OnlyGoodHealthProvesANumberOfConnections) {
  Live({.open = 100, .active = 10, .completed = 20}, 20);
  EXPECT_EQ(history_.Learned().proven_connection_count(), 100);
  Live({.open = 190, .active = 150, .completed = 20, .latency = absl::Milliseconds(300)});
  Live({.open = 180, .active = 10, .completed = 20, .errors = 10});
  EXPECT_EQ(history_.Learned().proven_connection_count(), 100);
  Live({.open = 170, .active = 10, .completed = 20});
  EXPECT_EQ(history_.Learned().proven_connection_count(), 170);
}

}  // namespace
}  // namespace headroom
