// What becomes of connections: the limit and the accept queue, timeouts, bad requests, draining and stopping.
#include <deque>
#include <list>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/storage_node/file_server/server_fixture.h"

namespace headroom {
namespace {

constexpr char kGet[] = "GET /f HTTP/1.1\r\nHost: t\r\n\r\n";
constexpr absl::Duration kAWhile = absl::Milliseconds(150);  // long enough for a server that errs to show it

class ConnectionsTest : public ServerTest {
 protected:
  ConnectionsTest() { directory_.Put("f", "x"); }
  // Clients that have each been answered once, and so hold a slot.
  void Fill(int count) {
    for (int i = 0; i < count; ++i) {
      clients_.emplace_back(server_->port());
      ASSERT_EQ(clients_.back().Call("GET", "/f").status, 200);
    }
  }
  std::list<TestClient> clients_;
};

TEST_F(ConnectionsTest, AtTheLimitArrivalsWaitInTheAcceptQueueUntilItIsRaised) {
  limits_.connections = 2;
  Start();
  Fill(2);
  TestClient third(server_->port()), fourth(server_->port());
  EXPECT_TRUE(third.connected()) << "by the kernel, not by the server";
  ASSERT_TRUE(third.Send(kGet));
  ASSERT_TRUE(fourth.Send(kGet));
  ASSERT_TRUE(Eventually([&] { return gate_->Read().rejected == 2; }));
  EXPECT_FALSE(third.HasBytesWithin(kAWhile));
  EXPECT_EQ(gate_->Read().rejected, 2) << "each is counted once";
  EXPECT_EQ(gate_->Read().waiting, 2);
  EXPECT_EQ(gate_->open(), 2);
  const auto applied = server_->ApplyConnectionLimit(4);
  ASSERT_TRUE(applied.ok());
  EXPECT_EQ(applied->in_force, 4);
  EXPECT_EQ(third.Read().status, 200);
  EXPECT_EQ(fourth.Read().status, 200);
  EXPECT_TRUE(Eventually([&] { return gate_->Read().waiting == 0; }));
  EXPECT_EQ(gate_->Read().rejected, 2);
  EXPECT_EQ(gate_->Read().accepted, 4);
}

TEST_F(ConnectionsTest, ASlotGivenBackAdmitsTheNextInLine) {
  limits_.connections = 1;
  Start();
  Fill(1);
  TestClient next(server_->port());
  ASSERT_TRUE(next.Send(kGet));
  ASSERT_TRUE(Eventually([&] { return gate_->Read().rejected == 1; }));
  clients_.front().Close();
  EXPECT_EQ(next.Read().status, 200);
}

TEST_F(ConnectionsTest, PressureIsCalledOutOnceAndEnds) {
  limits_.connections = 2;
  gate_ = std::make_unique<Gate>(limits_);
  std::mutex mutex;
  std::vector<Pressure> heard;
  gate_->OnPressure([&](Pressure pressure) {
    std::lock_guard lock(mutex);
    heard.push_back(pressure);
  });
  server_ = *FileServer::Start(*gate_, options_);
  Fill(2);
  const auto count = [&] {
    std::lock_guard lock(mutex);
    return heard.size();
  };
  TestClient third(server_->port());
  ASSERT_TRUE(Eventually([&] { return count() == 2; }));
  ASSERT_TRUE(server_->ApplyConnectionLimit(10).ok());
  ASSERT_TRUE(Eventually([&] { return count() == 3; }));
  EXPECT_THAT(heard, ::testing::ElementsAre(Pressure::kLimitReached, Pressure::kRejecting, Pressure::kRelieved));
}

TEST_F(ConnectionsTest, WithoutLeaveNoIdleConnectionIsShedHoweverManyWait) {
  limits_.connections = 1;
  Start();
  Fill(1);
  TestClient waiting(server_->port());
  ASSERT_TRUE(Eventually([&] { return gate_->Read().waiting == 1; }));
  EXPECT_FALSE(clients_.front().HasBytesWithin(kAWhile));
  EXPECT_EQ(gate_->Read().closed_idle, 0);
}

TEST_F(ConnectionsTest, WithLeaveTheLongestIdleMakesRoomForWhoWaits) {
  limits_.connections = 2;
  Start();
  Fill(1);
  ASSERT_TRUE(Eventually([&] { return gate_->Read().idle == 1; }));
  Fill(1);
  ASSERT_TRUE(Eventually([&] { return gate_->Read().idle == 2; }));
  TestClient third(server_->port());
  ASSERT_TRUE(third.Send(kGet));
  ASSERT_TRUE(Eventually([&] { return gate_->Read().waiting == 1; }));
  gate_->SetShedIdleMinAge(absl::Milliseconds(1));
  EXPECT_EQ(third.Read().status, 200);
  EXPECT_TRUE(clients_.front().ReadsEnd()) << "the oldest";
  EXPECT_EQ(clients_.back().Call("GET", "/f").status, 200) << "one was enough";
  EXPECT_EQ(gate_->Read().closed_idle, 1);
}

TEST_F(ConnectionsTest, WithoutDescriptorsItBacksOffAndGoesOnWhenThereAreSome) {
  Start();
  Fill(1);
  rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  rlimit low = before;
  low.rlim_cur = 128;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &low), 0);
  std::deque<int> hoard;
  // For a while: the server may still be about to close the file that it has just sent.
  for (const absl::Time end = absl::Now() + kAWhile; absl::Now() < end; absl::SleepFor(absl::Milliseconds(5))) {
    for (int fd; (fd = ::fcntl(0, F_DUPFD_CLOEXEC, 0)) >= 0;) hoard.push_back(fd);
  }
  ASSERT_FALSE(hoard.empty());
  ::close(hoard.back());
  hoard.pop_back();
  TestClient client(server_->port());  // takes the last descriptor
  ASSERT_TRUE(client.Send(kGet));
  EXPECT_TRUE(Eventually([&] { return gate_->Read().accept_failures >= 2; }));
  absl::SleepFor(kAWhile);
  EXPECT_LT(gate_->Read().accept_failures, 20) << "it must not spin";
  for (const int fd : hoard) ::close(fd);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(client.Read().status, 200);
  EXPECT_EQ(gate_->Read().accepted, 2) << "failed accepts took no slot";
}

TEST_F(ConnectionsTest, IdleConnectionsAreClosedAfterATimeoutThatMayChange) {
  limits_.idle_timeout = absl::Seconds(600);
  Start();
  Fill(1);
  TestClient silent(server_->port());
  ASSERT_TRUE(Eventually([&] { return gate_->Read().idle == 2; }));
  EXPECT_EQ(gate_->Read().active, 0);
  EXPECT_FALSE(clients_.front().HasBytesWithin(kAWhile));
  gate_->SetIdleTimeout(absl::Milliseconds(10));
  EXPECT_TRUE(clients_.front().ReadsEnd());
  EXPECT_TRUE(silent.ReadsEnd()) << "who never asked is idle too";
  EXPECT_TRUE(Eventually([&] { return gate_->open() == 0; }));
  EXPECT_TRUE(Eventually([&] { return gate_->Read().closed_idle == 2; })) << "counted just after the slot is free";
}

TEST_F(ConnectionsTest, SlowHeadersAndSlowBodiesAreCutOff) {
  options_.session.header_timeout = absl::Milliseconds(50);
  options_.session.body_timeout = absl::Milliseconds(50);
  Start();
  TestClient header(server_->port()), body(server_->port());
  ASSERT_TRUE(header.Send("GET /f HTT"));
  ASSERT_TRUE(body.Send("PUT /g HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\nabc"));
  EXPECT_TRUE(header.ReadsEnd());
  EXPECT_NE(body.Read().status, 201);
  EXPECT_TRUE(Eventually([&] { return gate_->open() == 0; }));
  EXPECT_FALSE(directory_.Has("g"));
}

TEST_F(ConnectionsTest, AClientThatDoesNotReadItsAnswerIsCutOff) {
  options_.session.body_timeout = absl::Milliseconds(50);
  directory_.Put("large", std::string(32 << 20, 'x'));
  Start();
  TestClient client(server_->port());
  ASSERT_TRUE(client.Send("GET /large HTTP/1.1\r\nHost: t\r\n\r\n"));
  ASSERT_TRUE(Eventually([&] { return gate_->Read().active == 1; }));
  EXPECT_TRUE(Eventually([&] { return gate_->open() == 0; }));
  EXPECT_LT(gate_->Read().bytes_out, 32 << 20);
}

TEST_F(ConnectionsTest, PipelinedRequestsAreAnsweredInOrder) {
  directory_.Put("g", "gg");
  Start();
  TestClient client(server_->port());
  ASSERT_TRUE(client.Send(
      absl::StrCat(kGet, "GET /g HTTP/1.1\r\nHost: t\r\n\r\nPUT /p HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc",
                   kGet, "GET /p HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")));
  EXPECT_EQ(client.Read().body, "x");
  EXPECT_EQ(client.Read().body, "gg");
  EXPECT_EQ(client.Read().status, 201);
  EXPECT_EQ(client.Read().body, "x");
  EXPECT_EQ(client.Read().body, "abc");
  EXPECT_TRUE(client.ReadsEnd());
}

TEST_F(ConnectionsTest, OldClientsGetWhatTheyExpect) {
  Start();
  TestClient closing(server_->port());
  ASSERT_TRUE(closing.Send("GET /f HTTP/1.0\r\n\r\n"));
  const TestResponse last = closing.Read();
  EXPECT_EQ(last.status, 200);
  EXPECT_EQ(last.headers.at("connection"), "close");
  EXPECT_TRUE(closing.ReadsEnd());
  TestClient keeping(server_->port());
  ASSERT_TRUE(keeping.Send("GET /f HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
  EXPECT_EQ(keeping.Read().headers.at("connection"), "keep-alive");
  EXPECT_EQ(keeping.Call("GET", "/f").status, 200);
}

struct BadRequest {
  std::string request;
  int status;
};

TEST_F(ConnectionsTest, BadRequestsGetAnAnswerAndNeverASecondMeaning) {
  Start();
  const std::vector<BadRequest> cases = {
      {"nonsense\r\n\r\n", 400},
      {"GET /f HTTP/1.1\r\n\r\n", 400},
      {"GET /f HTTP/9.9\r\nHost: t\r\n\r\n", 505},
      {"GET /f HTTP/1.1\r\nHost: t\r\nX: " + std::string(20000, 'x') + "\r\n\r\n", 431},
      {"PUT /f HTTP/1.1\r\nHost: t\r\n\r\n", 411},
      {"PUT /f HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
      {"PUT /f HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400},
      {"PUT /f HTTP/1.1\r\nHost: t\r\nContent-Length: -1\r\n\r\n", 400},
      {"PUT /f HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400},
      {"PUT /f HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\nContent-Range: bytes 0-0/9\r\n\r\nx", 400},
      {"PUT /d/ HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\n\r\nx", 400},
      {"POST /f HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n", 405},
  };
  for (const BadRequest& bad : cases) {
    TestClient client(server_->port());
    ASSERT_TRUE(client.Send(bad.request));
    EXPECT_EQ(client.Read().status, bad.status) << bad.request.substr(0, 60);
  }
  EXPECT_EQ(directory_.Get("f"), "x");
  EXPECT_TRUE(Eventually([&] { return gate_->Read().in_flight == 0; }));
}

TEST_F(ConnectionsTest, RequestsBeyondTheInFlightLimitGet503AndMayComeBack) {
  limits_.in_flight = 1;
  options_.device.latency = absl::Seconds(1);
  Start();
  TestClient first(server_->port()), second(server_->port());
  ASSERT_TRUE(first.Send(kGet));
  ASSERT_TRUE(Eventually([&] { return gate_->Read().in_flight == 1; }));
  const TestResponse refused = second.Call("GET", "/f");
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(refused.headers.at("retry-after"), "1");
  EXPECT_EQ(first.Read().status, 200);
  EXPECT_EQ(gate_->Read().requests_rejected, 1);
  gate_->SetInFlightLimit(0);
  EXPECT_EQ(second.Call("GET", "/f").status, 200) << "on the same connection";
}

TEST_F(ConnectionsTest, TheDeviceModelDelaysWithoutHoldingAThread) {
  options_.threads = 1;
  options_.device.latency = absl::Milliseconds(200);
  Start();
  std::list<TestClient> clients;
  const absl::Time begin = MonotonicNow();
  for (int i = 0; i < 20; ++i) {
    clients.emplace_back(server_->port());
    ASSERT_TRUE(clients.back().Send(kGet));
  }
  for (TestClient& client : clients) EXPECT_EQ(client.Read().status, 200);
  const absl::Duration took = MonotonicNow() - begin;
  EXPECT_GE(took, absl::Milliseconds(200));
  EXPECT_LT(took, absl::Milliseconds(200) * 20) << "one after the other";
  EXPECT_TRUE(Eventually([&] { return gate_->Read().completed == 20; }));
  EXPECT_GE(gate_->Read().latency.Quantile(0.5), absl::Milliseconds(180));
}

TEST_F(ConnectionsTest, ADrainEndsKeepAliveAndIdleConnectionsButFailsNoRequest) {
  options_.device.latency = absl::Seconds(1);
  Start();
  Fill(1);
  TestClient busy(server_->port());
  ASSERT_TRUE(busy.Send(kGet));
  ASSERT_TRUE(Eventually([&] { return gate_->Read().in_flight == 1; }));
  server_->Drain();
  EXPECT_EQ(Admin("GET", "/readyz").status, 503);
  const TestResponse answer = busy.Read();
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.headers.at("connection"), "close");
  EXPECT_TRUE(busy.ReadsEnd());
  EXPECT_TRUE(clients_.front().ReadsEnd()) << "idle";
  EXPECT_TRUE(Eventually([&] { return gate_->open() == 0; }));
  TestClient late(server_->port());
  EXPECT_EQ(late.Call("GET", "/f").status, 200) << "the balancer may not know yet";
  EXPECT_TRUE(late.ReadsEnd());
  server_->Undrain();
  EXPECT_EQ(Admin("GET", "/readyz").status, 200);
  EXPECT_EQ(Once("GET", "/f").headers.count("connection"), 0u);
}

TEST_F(ConnectionsTest, AStopFinishesWhatIsInFlight) {
  options_.device.latency = absl::Seconds(1);
  Start();
  TestClient busy(server_->port()), idle(server_->port());
  ASSERT_TRUE(busy.Send(kGet));
  ASSERT_TRUE(Eventually([&] { return gate_->Read().in_flight == 1; }));
  EXPECT_TRUE(server_->Stop());
  EXPECT_EQ(busy.Read().status, 200);
  EXPECT_TRUE(idle.ReadsEnd());
  EXPECT_EQ(gate_->open(), 0);
}

TEST_F(ConnectionsTest, AStopDoesNotWaitForEverForAClient) {
  options_.drain_timeout = absl::Milliseconds(50);
  Start();
  TestClient slow(server_->port());
  ASSERT_TRUE(slow.Send("PUT /g HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\nabc"));
  ASSERT_TRUE(Eventually([&] { return gate_->Read().in_flight == 1; }));
  EXPECT_FALSE(server_->Stop());
  server_.reset();
  EXPECT_EQ(gate_->open(), 0) << "slots come back whatever happens";
  EXPECT_EQ(directory_.UnfinishedUploads(), 0u);
}

TEST_F(ConnectionsTest, StopIsNotReadyFromItsFirstMomentButStillServes) {
  options_.stop_delay = absl::Seconds(2);
  Start();
  std::thread stop([&] { server_->Stop(); });
  EXPECT_TRUE(Eventually([&] { return Admin("GET", "/readyz").status == 503; }));
  const TestResponse served = Once("GET", "/f");
  EXPECT_EQ(served.status, 200);
  EXPECT_EQ(served.headers.count("connection"), 0u) << "the drain has not begun";
  stop.join();
}

TEST_F(ConnectionsTest, BootsAfterItsDelayAndIsNotReadyBefore) {
  options_.boot_delay = absl::Milliseconds(500);
  Start();
  const TestResponse early = Admin("GET", "/readyz");
  const bool refused = !TestClient(server_->port()).connected();
  if (server_->state() == ServerState::kStarting) {  // else the machine was too slow to look in time
    EXPECT_EQ(early.status, 503);
    EXPECT_TRUE(refused);
    EXPECT_EQ(Admin("GET", "/healthz").status, 200);
  }
  EXPECT_TRUE(Eventually([&] { return server_->state() == ServerState::kServing; }));
  EXPECT_EQ(Once("GET", "/f").status, 200);
}

TEST_F(ConnectionsTest, ManyClientsFromManyThreadsAreAllServedAndLeaveNothingBehind) {
  limits_.connections = 5;
  Start();
  std::atomic<int> served{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) {
        TestClient client(server_->port());
        for (int r = 0; r < 3; ++r) served += client.Call("GET", "/f").status == 200;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(served, 600);
  EXPECT_TRUE(Eventually([&] { return gate_->open() == 0; }));
  EXPECT_EQ(gate_->Read().completed, 600);
  EXPECT_EQ(gate_->connections().Census(MonotonicNow(), 1).tracked, 0);
}

}  // namespace
}  // namespace headroom
