#include "storage_node/sampler/listener_queue.h"

#include <gtest/gtest.h>

#include "tests/storage_node/sampler/crowd.h"

namespace headroom {
namespace {

TEST(ListenerQueueTest, AnIdleListenerHasAnEmptyQueue) {
  const CrowdedListener listener(8);
  const absl::StatusOr<ListenerQueue> queue = ReadOwnListener(listener.socket_fd());
  ASSERT_TRUE(queue.ok()) << queue.status();
  EXPECT_EQ(*queue, (ListenerQueue{.waiting_count = 0, .waiting_count_max = 8, .drop_count = 0}));
}

TEST(ListenerQueueTest, BacklogEightHoldsNineAndDropsTheRest) {
  CrowdedListener listener(8);
  listener.Come(30);
  ASSERT_TRUE(Eventually([&] {
    const absl::StatusOr<ListenerQueue> queue = ReadOwnListener(listener.socket_fd());
    return queue.ok() && queue->waiting_count == 9 && queue->drop_count.value_or(0) >= 21;
  }));
  EXPECT_EQ(ReadOwnListener(listener.socket_fd())->waiting_count_max, 8);
}

TEST(ListenerQueueTest, SockDiagTellsTheSameOfAListenerThatIsNotOurs) {
  CrowdedListener listener(8), other(4);
  listener.Come(30);
  other.Come(1);
  ASSERT_TRUE(Eventually([&] {
    const absl::StatusOr<ListenerQueue> queue = ReadListenersOn(listener.port());
    return queue.ok() && queue->waiting_count == 9 && queue->drop_count.value_or(0) >= 21;
  })) << ReadListenersOn(listener.port()).status();
  EXPECT_EQ(ReadListenersOn(listener.port())->waiting_count_max, 8);
  EXPECT_EQ(ReadListenersOn(other.port())->waiting_count, 1);
  EXPECT_EQ(ReadListenersOn(other.port())->drop_count, 0);
}

TEST(ListenerQueueTest, SaysSoWhenNobodyListens) {
  uint16_t port = 0;
  { port = CrowdedListener(1).port(); }
  EXPECT_EQ(ReadListenersOn(port).status().code(), absl::StatusCode::kNotFound);
  EXPECT_FALSE(ReadOwnListener(-1).ok());
  const int plain = socket(AF_INET, SOCK_STREAM, 0);
  EXPECT_EQ(ReadOwnListener(plain).status().code(), absl::StatusCode::kFailedPrecondition);
  close(plain);
}

}  // namespace
}  // namespace headroom
