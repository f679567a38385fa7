#include "storage_node/gate/limit_applier.h"

#include <vector>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

namespace headroom {
namespace {

class LimitApplierTest : public ::testing::Test {
 protected:
  void SetUp() override {
    listener_ = ::socket(AF_INET, SOCK_STREAM, 0);
    address_.sin_family = AF_INET;
    address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASSERT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&address_), sizeof address_), 0);
    ASSERT_EQ(::listen(listener_, 8), 0);
    socklen_t size = sizeof address_;
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address_), &size);
    ::getrlimit(RLIMIT_NOFILE, &before_);
  }
  void TearDown() override {
    ::close(listener_);
    ::setrlimit(RLIMIT_NOFILE, &before_);
  }
  LimitApplier Applier() { return LimitApplier(gate_, {.listener = listener_, .connection_limit = 10, .backlog = 8}); }

  int listener_ = -1;
  sockaddr_in address_{};
  rlimit before_{};
  Gate gate_{{.connections = 10}};
};

TEST_F(LimitApplierTest, RaisesTheBacklogOfALiveListenerWithTheLimitAndReadsBothBack) {
  LimitApplier applier = Applier();
  const auto applied = applier.Apply(40);
  ASSERT_TRUE(applied.ok()) << applied.status();
  EXPECT_EQ(applied->requested, 40);
  EXPECT_EQ(applied->in_force, 40);
  EXPECT_EQ(applied->bound_by, LimitBound::kNone);
  EXPECT_EQ(applied->backlog, 32);
  EXPECT_EQ(gate_.limits().connections, 40);
  const auto back = applier.Apply(10);
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(back->in_force, 10);
  EXPECT_EQ(back->backlog, 8);
  EXPECT_EQ(applier.Apply(5)->backlog, 8) << "never below the configured backlog";
}

TEST_F(LimitApplierTest, RaisesTheSoftDescriptorLimitFirst) {
  rlimit low = before_;
  low.rlim_cur = 256;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &low), 0);
  const auto applied = Applier().Apply(100);
  ASSERT_TRUE(applied.ok());
  EXPECT_EQ(applied->in_force, 100);
  EXPECT_GE(applied->descriptors, 256 + 2 * 100);
}

TEST_F(LimitApplierTest, BringsALimitDownToWhatDescriptorsCanCarryAndSaysSo) {
  LimitApplier applier = Applier();
  const auto applied = applier.Apply(SlotCounter::kMost);
  ASSERT_TRUE(applied.ok());
  EXPECT_EQ(applied->in_force, applier.Ceiling());
  EXPECT_EQ(applied->bound_by == LimitBound::kDescriptors, applier.Ceiling() < SlotCounter::kMost);
  EXPECT_STREQ(Name(LimitBound::kDescriptors), "fds");
}

TEST_F(LimitApplierTest, RefusesALimitThatWouldAdmitNobody) {
  EXPECT_EQ(Applier().Apply(0).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Applier().Apply(-3).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(gate_.limits().connections, 10);
}

TEST_F(LimitApplierTest, ReadsHowManyConnectionsWaitInTheAcceptQueue) {
  std::vector<int> clients;
  for (int i = 0; i < 3; ++i) {
    clients.push_back(::socket(AF_INET, SOCK_STREAM, 0));
    ASSERT_EQ(::connect(clients.back(), reinterpret_cast<sockaddr*>(&address_), sizeof address_), 0);
  }
  const auto queue = ReadAcceptQueue(listener_);
  ASSERT_TRUE(queue.ok());
  EXPECT_EQ(queue->waiting, 3);
  EXPECT_EQ(queue->capacity, 8);
  for (int client : clients) ::close(client);
  EXPECT_FALSE(ReadAcceptQueue(-1).ok());
}

}  // namespace
}  // namespace headroom
