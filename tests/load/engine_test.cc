#include "tests/load/engine.h"

#include <atomic>
#include <cstdio>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/load/socket.h"
#include "tests/load/test_server.h"

namespace headroom::load {
namespace {

// One client that asks for /x 100 times a second, half a second long, without retries.
Profile Steady(const Endpoint& target) {
  Profile profile;
  profile.targets = {target};
  profile.sources = {INADDR_LOOPBACK + 1, INADDR_LOOPBACK + 2};
  profile.objects = {{.path = "/x"}};
  profile.phases = {{.name = "steady", .duration = absl::Milliseconds(500), .rate = 100, .clients = 1, .pool_max = 2}};
  profile.retries = 0;
  // Wide, so that a slow machine does not add failures of its own.
  profile.request_timeout = profile.pool_wait = profile.connect_timeout = absl::Seconds(20);
  return profile;
}

RunResult RunOrDie(const Profile& profile, const RunOptions& options = {}) {
  absl::StatusOr<RunResult> result = RunProfile(profile, options);
  EXPECT_TRUE(result.ok()) << result.status();
  return result.ok() ? *std::move(result) : RunResult();
}

int64_t Count(const std::array<int64_t, kFailures>& failures, Failure failure) {
  return failures[static_cast<size_t>(failure)];
}

void AnswerAll(Conversation& conversation) {
  while (conversation.ReadRequest()) conversation.Answer("hello");
}

// A port on which nobody listens and that nobody else can take.
class ClosedPort {
 public:
  ClosedPort() : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address = endpoint_.ToSocketAddress();
    socklen_t size = sizeof address;
    EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    endpoint_.port = ntohs(address.sin_port);
  }
  ~ClosedPort() { close(fd_); }
  Endpoint endpoint() const { return endpoint_; }

 private:
  int fd_;
  Endpoint endpoint_;
};

TEST(Engine, KeepAliveConnectionsAreReused) {
  TestServer server(AnswerAll);
  const Summary summary = RunOrDie(Steady(server.endpoint())).summary;
  EXPECT_GT(summary.total.offered, 20);
  EXPECT_EQ(summary.total.completed, summary.total.offered);
  EXPECT_EQ(summary.unfinished, 0);
  EXPECT_LE(summary.incidents.connects, 2);
  EXPECT_EQ(server.accepted(), summary.incidents.connects);
  EXPECT_EQ(summary.relief, absl::ZeroDuration());
}

TEST(Engine, AConnectionThatTheServerSaysItClosesIsNotUsedAgain) {
  TestServer server([](Conversation& conversation) {
    if (conversation.ReadRequest()) conversation.Write(Conversation::Response("200 OK", "x", "Connection: close\r\n"));
  });
  const Summary summary = RunOrDie(Steady(server.endpoint())).summary;
  EXPECT_GT(summary.total.completed, 20);
  EXPECT_EQ(summary.total.completed, summary.total.offered);
  EXPECT_EQ(summary.incidents.connects, summary.total.offered);
  EXPECT_EQ(summary.incidents.stale_retries, 0);
}

TEST(Engine, ABodyThatEndsWithTheConnectionIsComplete) {
  TestServer server([](Conversation& conversation) {
    if (conversation.ReadRequest()) conversation.Write("HTTP/1.0 200 OK\r\n\r\nall of it");
  });
  const Summary summary = RunOrDie(Steady(server.endpoint())).summary;
  EXPECT_GT(summary.total.completed, 20);
  EXPECT_EQ(summary.total.failed(), 0);
}

TEST(Engine, ARefusedConnectionIsTriedAgainAndThenCountedOnce) {
  const ClosedPort nobody;
  Profile profile = Steady(nobody.endpoint());
  profile.retries = 2;
  profile.backoff = absl::Milliseconds(1);
  const Summary summary = RunOrDie(profile).summary;
  EXPECT_GT(summary.total.offered, 20);
  EXPECT_EQ(Count(summary.total.failures, Failure::kRefused), summary.total.offered);
  EXPECT_EQ(Count(summary.incidents.attempt_failures, Failure::kRefused), 3 * summary.total.offered);
  EXPECT_EQ(summary.incidents.retries, 2 * summary.total.offered);
  EXPECT_EQ(summary.incidents.connects, 0);
  EXPECT_EQ(summary.relief, std::nullopt);
}

TEST(Engine, ARetryBudgetBoundsTheRetriesOfAllClients) {
  const ClosedPort nobody;
  Profile profile = Steady(nobody.endpoint());
  profile.retries = 3;
  profile.backoff = absl::Milliseconds(1);
  profile.retry_budget = RetryBudget{.per_success = 0.1, .capacity = 2};
  const Summary summary = RunOrDie(profile).summary;
  EXPECT_EQ(summary.incidents.retries, 2);
  EXPECT_EQ(summary.incidents.retry_budget_refused, summary.total.offered);
}

TEST(Engine, AResetInTheMiddleOfAResponseIsAReset) {
  TestServer server([](Conversation& conversation) {
    if (!conversation.ReadRequest()) return;
    conversation.Write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    conversation.Reset();
  });
  const Summary summary = RunOrDie(Steady(server.endpoint())).summary;
  EXPECT_GT(summary.total.offered, 20);
  EXPECT_EQ(Count(summary.total.failures, Failure::kReset), summary.total.offered);
  EXPECT_EQ(summary.incidents.stale_retries, 0);
}

TEST(Engine, ABodyShorterThanItsLengthIsABadBody) {
  TestServer server([](Conversation& conversation) {
    if (conversation.ReadRequest()) conversation.Write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
  });
  const Summary summary = RunOrDie(Steady(server.endpoint())).summary;
  EXPECT_GT(summary.total.offered, 20);
  EXPECT_EQ(Count(summary.total.failures, Failure::kBadBody), summary.total.offered);
}

TEST(Engine, ABodyOfAnotherSizeThanTheProfileExpectsIsABadBody) {
  TestServer server(AnswerAll);
  Profile profile = Steady(server.endpoint());
  profile.objects = {{.path = "/right", .bytes = 5}, {.path = "/wrong", .bytes = 6}};
  const Summary summary = RunOrDie(profile).summary;
  EXPECT_GT(summary.total.completed, 0);
  EXPECT_GT(Count(summary.total.failures, Failure::kBadBody), 0);
  EXPECT_EQ(summary.total.completed + Count(summary.total.failures, Failure::kBadBody), summary.total.offered);
}

TEST(Engine, ARequestThatTimesOutIsTriedAgainOnAnotherConnection) {
  TestServer server([](Conversation& conversation) {
    if (conversation.number() == 0) return conversation.WaitForTheEnd();
    AnswerAll(conversation);
  });
  Profile profile = Steady(server.endpoint());
  profile.request_timeout = absl::Milliseconds(300);
  profile.retries = 10;
  const Summary summary = RunOrDie(profile).summary;
  EXPECT_EQ(summary.total.completed, summary.total.offered);
  EXPECT_GE(Count(summary.incidents.attempt_failures, Failure::kTimeout), 1);
  EXPECT_GE(summary.incidents.retries, 1);
  EXPECT_GE(summary.total.latency.max(), profile.request_timeout);
}

TEST(Engine, AServerThatNeverAcceptsCausesTimeoutsOfEachKind) {
  TestServer server(nullptr, 1);
  Profile profile = Steady(server.endpoint());
  profile.phases = {{.name = "shut out", .duration = absl::Seconds(1), .rate = 200, .clients = 20, .pool_max = 1}};
  profile.connect_timeout = absl::Milliseconds(300);
  profile.request_timeout = absl::Milliseconds(200);
  profile.pool_wait = absl::Milliseconds(100);
  const Summary summary = RunOrDie(profile).summary;
  EXPECT_EQ(summary.total.completed, 0);
  EXPECT_EQ(summary.total.failed(), summary.total.offered);
  EXPECT_GT(Count(summary.total.failures, Failure::kConnectTimeout), 0);
  EXPECT_GT(Count(summary.total.failures, Failure::kPoolTimeout), 0);
  EXPECT_GT(Count(summary.total.failures, Failure::kTimeout), 0);  // the two that the kernel's queue has room for
  EXPECT_LE(summary.incidents.open_connections_peak, 20);
}

TEST(Engine, AStallIsSeenByEveryRequestThatWasDueInIt) {
  static constexpr absl::Duration kStall = absl::Milliseconds(900);
  TestServer server([](Conversation& conversation) {
    if (!conversation.ReadRequest()) return;
    conversation.Stall(kStall);
    conversation.Answer("late");
    AnswerAll(conversation);
  });
  Profile profile = Steady(server.endpoint());
  profile.phases.front().pool_max = 1;
  const Summary summary = RunOrDie(profile).summary;
  // All 50 were due within 500 ms, so each had to wait for the rest of the stall. A closed loop would have sent one.
  EXPECT_GT(summary.total.offered, 20);
  EXPECT_EQ(summary.total.over_250ms, summary.total.offered);
  EXPECT_GE(summary.total.latency.max(), kStall);
  EXPECT_EQ(summary.seconds_over_objective, 1);
}

TEST(Engine, ADeadKeepAliveConnectionIsReplacedWithoutAFailedAttempt) {
  TestServer server([](Conversation& conversation) {
    if (conversation.ReadRequest()) conversation.Answer("only once");
    conversation.ReadRequest();
  });
  const Summary summary = RunOrDie(Steady(server.endpoint())).summary;
  EXPECT_GT(summary.total.offered, 20);
  EXPECT_EQ(summary.total.completed, summary.total.offered);
  EXPECT_GT(summary.incidents.stale_retries, 5);
  EXPECT_EQ(summary.incidents.attempts, summary.total.offered);
  EXPECT_EQ(Count(summary.incidents.attempt_failures, Failure::kReset), 0);
}

TEST(Engine, AFreshConnectionThatClosesUnheardIsAFailedAttempt) {
  TestServer server([](Conversation& conversation) { conversation.ReadRequest(); });
  const Summary summary = RunOrDie(Steady(server.endpoint())).summary;
  EXPECT_GT(summary.total.offered, 20);
  EXPECT_EQ(Count(summary.total.failures, Failure::kReset), summary.total.offered);
  EXPECT_EQ(summary.incidents.stale_retries, 0);
}

TEST(Engine, ServerErrorsAreTriedAgainAndClientErrorsAreNot) {
  TestServer server([](Conversation& conversation) {
    while (conversation.ReadRequest()) {
      const bool is_missing = absl::StartsWith(conversation.head(), "GET /missing ");
      conversation.Write(Conversation::Response(is_missing ? "404 Not Found" : "503 Slow Down", ""));
    }
  });
  Profile profile = Steady(server.endpoint());
  profile.objects = {{.path = "/missing"}, {.path = "/busy"}};
  profile.retries = 1;
  profile.backoff = absl::Milliseconds(1);
  const Summary summary = RunOrDie(profile).summary;
  const int64_t missing = Count(summary.total.failures, Failure::kHttp4xx);
  const int64_t busy = Count(summary.total.failures, Failure::kHttp5xx);
  EXPECT_GT(missing, 0);
  EXPECT_GT(busy, 0);
  EXPECT_EQ(missing + busy, summary.total.offered);
  EXPECT_EQ(summary.incidents.retries, busy);
}

TEST(Engine, ARequestTellsWhichAttemptItIs) {
  std::atomic<int> first{0}, second{0};
  TestServer server([&](Conversation& conversation) {
    while (conversation.ReadRequest()) {
      first += absl::StrContains(conversation.head(), "amz-sdk-request: attempt=1; max=2") ? 1 : 0;
      second += absl::StrContains(conversation.head(), "amz-sdk-request: attempt=2; max=2") ? 1 : 0;
      conversation.Write(Conversation::Response("500 Oops", ""));
    }
  });
  Profile profile = Steady(server.endpoint());
  profile.retries = 1;
  profile.backoff = absl::Milliseconds(1);
  const Summary summary = RunOrDie(profile).summary;
  EXPECT_GT(summary.total.offered, 20);
  EXPECT_EQ(first, summary.total.offered);
  EXPECT_EQ(second, summary.total.offered);
}

TEST(Engine, UploadsLargerThanTheSocketBuffersArriveWhole) {
  constexpr int64_t kBytes = 8'000'000;
  std::atomic<int> whole{0};
  TestServer server([&](Conversation& conversation) {
    while (conversation.ReadRequest()) {
      if (absl::StartsWith(conversation.head(), "PUT /up-0 ") && conversation.body_bytes() == kBytes) ++whole;
      conversation.Write(Conversation::Response("201 Created", ""));
    }
  });
  Profile profile = Steady(server.endpoint());
  profile.phases.front().rate = 20;
  profile.puts = {.fraction = 1, .bytes = kBytes, .path_prefix = "/up-"};
  const Summary summary = RunOrDie(profile).summary;
  EXPECT_GT(summary.total.offered, 2);
  EXPECT_EQ(summary.total.completed, summary.total.offered);
  EXPECT_EQ(whole, summary.total.offered);
}

// 20 clients, then only one of them; returns the connections that are open at the end.
int64_t OpenAfterLeaving(Leavers leavers) {
  TestServer server(AnswerAll);
  Profile profile = Steady(server.endpoint());
  profile.phases = {{.name = "many", .duration = absl::Seconds(1), .rate = 300, .clients = 20, .pool_max = 1},
                    {.name = "one", .duration = absl::Seconds(2), .rate = 20, .clients = 1, .pool_max = 1}};
  profile.leavers = leavers;
  const Summary summary = RunOrDie(profile).summary;
  EXPECT_EQ(summary.total.completed, summary.total.offered);
  EXPECT_EQ(summary.incidents.open_connections_peak, 20);
  return summary.seconds.at(2).open_connections;
}

TEST(Engine, ClientsThatLeaveKeepTheirIdleConnections) {
  EXPECT_EQ(OpenAfterLeaving(Leavers::kIdle), 20);
}

TEST(Engine, ClientsThatLeaveCloseTheirConnectionsWhereTheProfileSaysSo) {
  EXPECT_EQ(OpenAfterLeaving(Leavers::kClose), 1);
}

TEST(Engine, ConnectionsThatAreIdleForTooLongAreClosedByTheClient) {
  TestServer server(AnswerAll);
  Profile profile = Steady(server.endpoint());
  profile.phases.push_back({.name = "pause", .duration = absl::Seconds(3), .rate = 0, .clients = 1, .pool_max = 2});
  profile.idle_timeout = absl::Milliseconds(100);
  const Summary summary = RunOrDie(profile).summary;
  EXPECT_GE(summary.incidents.open_connections_peak, 1);
  EXPECT_EQ(summary.seconds.at(2).open_connections, 0);
}

TEST(Engine, AStopReportsWhatThereIs) {
  TestServer server([](Conversation& conversation) { conversation.WaitForTheEnd(); });
  Profile profile = Steady(server.endpoint());
  profile.phases.front().duration = absl::Minutes(10);
  std::atomic<bool> stop{false};
  const Summary summary =
      RunOrDie(profile, {.stop = &stop, .on_second = [&](const Progress&) { stop = true; }}).summary;
  EXPECT_TRUE(summary.interrupted);
  EXPECT_GT(summary.total.offered, 20);
  EXPECT_EQ(summary.unfinished, summary.total.offered);
  EXPECT_EQ(summary.total.failed(), 0);
  EXPECT_LT(summary.observed, absl::Minutes(1));
}

TEST(Engine, TheTargetsFileIsFollowedAndAFaultyOneIsNot) {
  TestServer before(AnswerAll), after(AnswerAll);
  const std::string path = absl::StrCat(::testing::TempDir(), "/headroom_load_targets_", getpid());
  const auto write = [&](const std::string& text) { std::ofstream(path, std::ios::trunc) << text; };
  write(absl::StrCat("# nodes\n", before.endpoint().ToString(), "\n"));
  Profile profile = Steady({});
  profile.phases.front().duration = absl::Seconds(4);
  std::vector<std::string> notices;
  RunOptions options{.targets_file = path};
  options.on_notice = [&](const std::string& notice) { notices.push_back(notice); };
  options.on_second = [&](const Progress& progress) {
    if (progress.second == 0) {
      EXPECT_EQ(after.accepted(), 0);
      write("10.1.1.1:80\n");
    }
    if (progress.second == 1) {
      EXPECT_EQ(after.accepted(), 0);
      write(after.endpoint().ToString());
    }
  };
  const RunResult result = RunOrDie(profile, options);
  const Summary& summary = result.summary;
  std::remove(path.c_str());
  EXPECT_EQ(result.targets, (std::vector<Endpoint>{before.endpoint(), after.endpoint()}));
  EXPECT_GE(before.accepted(), 1);
  EXPECT_GE(after.accepted(), 1);
  EXPECT_EQ(summary.total.completed, summary.total.offered);
  ASSERT_GE(notices.size(), 2u);
  EXPECT_TRUE(absl::StrContains(notices.front(), "not a loopback address")) << notices.front();
  EXPECT_EQ(notices.back(), "targets now: 1");
}

TEST(Engine, EverySecondIsToldOnceAndInOrder) {
  TestServer server(AnswerAll);
  Profile profile = Steady(server.endpoint());
  profile.phases.front().duration = absl::Seconds(2);
  std::vector<int> told;
  RunOptions options;
  options.on_second = [&](const Progress& progress) { told.push_back(progress.second); };
  RunOrDie(profile, options);
  ASSERT_GE(told.size(), 2u);  // a drain may add one
  for (size_t i = 0; i < told.size(); ++i) EXPECT_EQ(told[i], static_cast<int>(i));
}

TEST(Engine, SeveralTargetsShareTheAttempts) {
  TestServer left(AnswerAll), right(AnswerAll);
  Profile profile = Steady(left.endpoint());
  profile.targets.push_back(right.endpoint());
  const Summary summary = RunOrDie(profile).summary;
  EXPECT_EQ(summary.total.completed, summary.total.offered);
  EXPECT_GE(left.accepted(), 1);
  EXPECT_GE(right.accepted(), 1);
}

TEST(Engine, AProfileWithoutATargetCannotRun) {
  Profile profile = Steady({});
  profile.targets.clear();
  EXPECT_EQ(RunProfile(profile, {}).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(Engine, AProfileThatNeedsMoreFilesThanAllowedIsRefusedWithBothNumbers) {
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  if (limit.rlim_max == RLIM_INFINITY) GTEST_SKIP() << "NOT TESTED: no hard limit of open files here";
  const absl::Status status = RaiseFileLimit(static_cast<int64_t>(limit.rlim_max) + 1);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(absl::StrContains(status.message(), absl::StrCat(limit.rlim_max))) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), absl::StrCat(limit.rlim_max + 1))) << status;
}

}  // namespace
}  // namespace headroom::load
