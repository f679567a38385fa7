#include "storage_node/gate/connection_table.h"

#include <list>

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "storage_node/gate/gate.h"

namespace headroom {
namespace {

using ::testing::ElementsAre;

ClientAddress Address(const char* text) {
  sockaddr_storage storage{};
  auto& v4 = reinterpret_cast<sockaddr_in&>(storage);
  auto& v6 = reinterpret_cast<sockaddr_in6&>(storage);
  if (inet_pton(AF_INET, text, &v4.sin_addr) == 1) {
    storage.ss_family = AF_INET;
  } else {
    inet_pton(AF_INET6, text, &v6.sin6_addr);
    storage.ss_family = AF_INET6;
  }
  return ClientAddress::Of(storage);
}

// One end is the server's; `client` sees what the server does to it.
struct Pair {
  Pair() {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    server = ends[0];
    client = ends[1];
  }
  ~Pair() {
    ::close(server);
    ::close(client);
  }
  bool ServerReadsEnd() const {
    char byte;
    return ::recv(server, &byte, 1, MSG_DONTWAIT) == 0;
  }
  int server, client;
};

class ConnectionTableTest : public ::testing::Test {
 protected:
  // A connection that has been idle for `age`.
  TrackedConnection Idle(const Pair& pair, absl::Duration age, const char* client = "127.0.0.1") {
    return table_.Track({.descriptor = pair.server, .client = Address(client)}, now_ - age);
  }
  const absl::Time now_ = absl::FromUnixSeconds(10'000);
  ConnectionTable table_;
};

TEST_F(ConnectionTableTest, CountsIdleConnectionsByAge) {
  std::list<TrackedConnection> tracked;
  const Pair pair;
  for (int seconds : {0, 1, 4, 5, 20, 40, 100, 299, 300, 5000}) tracked.push_back(Idle(pair, absl::Seconds(seconds)));
  tracked.back().MarkBusy(absl::InfiniteFuture());
  const ConnectionCensus census = table_.Census(now_, 0);
  EXPECT_EQ(census.tracked, 10);
  EXPECT_EQ(census.idle, 9);
  EXPECT_THAT(census.idle_ages, ElementsAre(1, 2, 1, 1, 1, 2, 1));
}

TEST_F(ConnectionTableTest, NamesTheClientsWithMostConnections) {
  std::list<TrackedConnection> tracked;
  const Pair pair;
  for (const char* client : {"10.0.0.1", "10.0.0.2", "10.0.0.2", "2001:db8::7", "2001:db8::7", "2001:db8::7"}) {
    tracked.push_back(Idle(pair, absl::ZeroDuration(), client));
  }
  const ConnectionCensus census = table_.Census(now_, 2);
  ASSERT_EQ(census.top_clients.size(), 2u);
  EXPECT_EQ(census.top_clients[0].address.ToString(), "2001:db8::7");
  EXPECT_EQ(census.top_clients[0].connections, 3);
  EXPECT_EQ(census.top_clients[1].address.ToString(), "10.0.0.2");
  EXPECT_EQ(census.top_clients[1].connections, 2);
}

TEST_F(ConnectionTableTest, ClosesTheLongestIdleFirstAndOnlyOldEnoughOnes) {
  const Pair young, old, older, busy;
  auto a = Idle(young, absl::Seconds(1)), b = Idle(old, absl::Seconds(20)), c = Idle(older, absl::Seconds(30));
  auto d = Idle(busy, absl::Seconds(99));
  EXPECT_TRUE(d.MarkBusy(absl::InfiniteFuture()));
  EXPECT_EQ(table_.CloseIdle(now_, 1, absl::Seconds(10)), 1);
  EXPECT_TRUE(older.ServerReadsEnd());
  EXPECT_TRUE(c.closing());
  EXPECT_FALSE(old.ServerReadsEnd());
  EXPECT_EQ(table_.live(), 3);
  EXPECT_EQ(table_.Census(now_, 0).closing, 1);
  EXPECT_EQ(table_.CloseIdle(now_, 99, absl::Seconds(10)), 1);
  EXPECT_TRUE(old.ServerReadsEnd());
  EXPECT_FALSE(young.ServerReadsEnd());
  EXPECT_FALSE(busy.ServerReadsEnd());
}

TEST_F(ConnectionTableTest, ARequestThatHasArrivedIsStillReadAfterItsConnectionWasChosen) {
  const Pair pair;
  auto tracked = Idle(pair, absl::Seconds(5));
  ASSERT_EQ(::send(pair.client, "GET", 3, 0), 3);
  ASSERT_EQ(table_.CloseIdle(now_, 1, absl::ZeroDuration()), 1);
  EXPECT_FALSE(tracked.MarkBusy(absl::InfiniteFuture())) << "it must know that it is to close";
  char bytes[8];
  EXPECT_EQ(::recv(pair.server, bytes, sizeof bytes, MSG_DONTWAIT), 3);
  EXPECT_EQ(::send(pair.server, "200", 3, 0), 3) << "the answer can still go out";
  EXPECT_TRUE(pair.ServerReadsEnd());
  EXPECT_FALSE(tracked.MarkIdle(now_));
}

TEST_F(ConnectionTableTest, ShutsDownRequestsThatMissTheirDeadlineAndNoOthers) {
  const Pair late, in_time, idle;
  auto a = Idle(late, absl::ZeroDuration()), b = Idle(in_time, absl::ZeroDuration());
  auto c = Idle(idle, absl::Seconds(500));
  EXPECT_TRUE(a.MarkBusy(now_ - absl::Seconds(1)));
  EXPECT_TRUE(b.MarkBusy(now_ - absl::Seconds(1)));
  b.SetDeadline(now_ + absl::Seconds(1));
  EXPECT_EQ(table_.Expire(now_), 1);
  EXPECT_TRUE(late.ServerReadsEnd());
  EXPECT_FALSE(in_time.ServerReadsEnd());
  EXPECT_FALSE(idle.ServerReadsEnd());
  EXPECT_EQ(table_.Expire(now_), 0) << "once is enough";
}

TEST_F(ConnectionTableTest, AConnectionThatLeftIsNoLongerCounted) {
  const Pair pair;
  {
    auto a = Idle(pair, absl::ZeroDuration()), b = Idle(pair, absl::ZeroDuration());
    EXPECT_EQ(table_.idle(), 2);
  }
  EXPECT_EQ(table_.Census(now_, 3).tracked, 0);
}

TEST(GateShedTest, ShedsOnRequestAndCountsIt) {
  Gate gate;
  const Pair pair;
  const absl::Time now = MonotonicNow();
  auto tracked = gate.connections().Track({.descriptor = pair.server}, now - absl::Seconds(10));
  EXPECT_EQ(gate.ShedIdle(now, 5, absl::Seconds(20)), 0);
  EXPECT_EQ(gate.ShedIdle(now, 5, absl::Seconds(5)), 1);
  EXPECT_EQ(gate.Read().closed_idle, 1);
  EXPECT_TRUE(pair.ServerReadsEnd());
}

}  // namespace
}  // namespace headroom
