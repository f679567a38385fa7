#include "storage_node/reporter/stream_client.h"

#include <atomic>
#include <memory>
#include <optional>
#include <thread>

#include "absl/time/clock.h"
#include <gtest/gtest.h>

#include "tests/storage_node/reporter/fake_controller.h"

namespace headroom {
namespace {

using Arrival = FakeController::Arrival;

v1::Directive Live(absl::Duration interval) {
  v1::Directive directive;
  directive.set_term(1);
  directive.set_mode(v1::DIRECTIVE_MODE_LIVE);
  directive.mutable_report_interval()->set_seconds(absl::ToInt64Seconds(interval));
  directive.mutable_report_interval()->set_nanos(
      static_cast<int>(absl::ToInt64Nanoseconds(interval - absl::Floor(interval, absl::Seconds(1)))));
  return directive;
}

bool IsReport(const Arrival& arrival) {
  return arrival.report.has_node();
}

bool Eventually(const std::function<bool()>& condition) {
  const absl::Time deadline = absl::Now() + kPatience;
  while (!condition()) {
    if (absl::Now() > deadline) return false;
    absl::SleepFor(absl::Milliseconds(2));
  }
  return true;
}

// A reporter whose state is one number, so that a test sees how old a report is.
class Reporter {
 public:
  explicit Reporter(std::vector<std::string> controllers, absl::Duration interval = absl::Hours(1))
      : Reporter(Options(std::move(controllers), interval)) {}
  explicit Reporter(StreamOptions options) : client_(std::move(options), Handlers()) {}

  static StreamOptions Options(std::vector<std::string> controllers, absl::Duration interval) {
    StreamOptions options;
    options.controllers = std::move(controllers);
    options.report_interval = interval;
    options.answer_timeout = kPatience;  // most of these controllers say nothing
    options.backoff_min = absl::Milliseconds(20);
    options.backoff_max = absl::Milliseconds(200);
    return options;
  }

  StreamClient& client() { return client_; }
  std::atomic<int64_t> state{0};
  std::atomic<int> directive_count{0};
  std::atomic<int> lost_count{0};
  std::atomic<bool> silent{false};
  std::atomic<int> silent_count{0};
  size_t padding_bytes = 0;
  std::atomic<int64_t> term_min{0};

 private:
  StreamHandlers Handlers() {
    StreamHandlers handlers;
    handlers.hello = [] {
      v1::Hello hello;
      hello.set_protocol_version(1);
      hello.set_reporter_id("node-1");
      return hello;
    };
    handlers.report = [this](v1::Urgency urgency) -> std::optional<v1::LoadReport> {
      silent_count += silent ? 1 : 0;
      if (silent) return std::nullopt;
      v1::LoadReport report;
      report.mutable_node()->set_sequence(static_cast<uint64_t>(++sequence_));
      report.mutable_node()->set_urgency(urgency);
      report.mutable_node()->mutable_connections()->set_open_count(state);
      report.mutable_node()->set_boot_id(std::string(padding_bytes, 'x'));
      return report;
    };
    handlers.directive = [this](const v1::Directive& directive) {
      ++directive_count;
      return directive.term() < term_min ? absl::FailedPreconditionError("older") : absl::OkStatus();
    };
    handlers.link = [this](absl::string_view, const absl::Status& status) { lost_count += status.ok() ? 0 : 1; };
    return handlers;
  }

  int64_t sequence_ = 0;
  StreamClient client_;
};

TEST(StreamClientTest, SaysHelloFirstAndReportsRightAfter) {
  FakeController controller;
  Reporter reporter({controller.address()});
  reporter.client().Start();
  ASSERT_TRUE(controller.AwaitCount(2));
  const std::vector<Arrival> arrivals = controller.Arrivals();
  EXPECT_TRUE(arrivals[0].report.has_hello());
  EXPECT_EQ(arrivals[0].report.hello().reporter_id(), "node-1");
  EXPECT_TRUE(arrivals[1].report.has_node());
  EXPECT_EQ(arrivals[1].report.node().urgency(), v1::URGENCY_UNSPECIFIED);
}

TEST(StreamClientTest, IsConnectedOnceTheControllerHasAnswered) {
  FakeController controller;
  Reporter reporter({controller.address()});
  reporter.client().Start();
  ASSERT_TRUE(controller.AwaitCount(2));
  EXPECT_FALSE(reporter.client().IsConnected());
  EXPECT_EQ(reporter.client().LastDirectiveTime(), absl::InfinitePast());
  ASSERT_TRUE(controller.Say(Live(absl::Minutes(1))));
  ASSERT_TRUE(Eventually([&] { return reporter.directive_count == 1; }));
  EXPECT_EQ(reporter.client().Controller(), controller.address());
  EXPECT_GT(reporter.client().LastDirectiveTime(), absl::Now() - kPatience);
}

TEST(StreamClientTest, KeepsTheGrantedPace) {
  FakeController controller;
  controller.Greet(Live(absl::Milliseconds(50)));
  Reporter reporter({controller.address()});  // its own pace is an hour
  const absl::Time begin = absl::Now();
  reporter.client().Start();
  ASSERT_TRUE(controller.AwaitCount(8));
  // Seven reports are six intervals: however slow the machine is, none is sent before its time.
  EXPECT_GE(absl::Now() - begin, absl::Milliseconds(6 * 50));
}

TEST(StreamClientTest, ATurnWithNothingToTellIsLeftOut) {
  FakeController controller;
  controller.Greet(Live(absl::Milliseconds(50)));
  Reporter reporter({controller.address()});
  reporter.silent = true;
  reporter.client().Start();
  ASSERT_TRUE(Eventually([&] { return reporter.silent_count > 5; }));
  EXPECT_EQ(controller.Arrivals().size(), 1u) << "the hello alone";
  EXPECT_EQ(reporter.lost_count, 0);
  reporter.silent = false;
  EXPECT_TRUE(controller.AwaitCount(2));
}

TEST(StreamClientTest, RefusesAnAbsurdPace) {
  FakeController controller;
  Reporter reporter({controller.address()});
  reporter.client().Start();
  ASSERT_TRUE(controller.AwaitCount(2));
  for (const absl::Duration pace : {absl::Microseconds(1), -absl::Seconds(1), absl::Hours(24)}) {
    ASSERT_TRUE(controller.Say(Live(pace)));
  }
  ASSERT_TRUE(Eventually([&] { return reporter.directive_count == 3; }));
  reporter.client().Urgent(v1::URGENCY_STATE);
  ASSERT_TRUE(controller.AwaitCount(3));
  EXPECT_EQ(controller.Arrivals().size(), 3u);  // hello, first, and the one that was asked for
}

TEST(StreamClientTest, ReportsAtOnceWhenUrgent) {
  FakeController controller;
  Reporter reporter({controller.address()});
  reporter.client().Start();
  ASSERT_TRUE(controller.AwaitCount(2));
  reporter.state = 7;
  reporter.client().Urgent(v1::URGENCY_REJECTION);
  const std::optional<Arrival> urgent = controller.Await(IsReport, 2);
  ASSERT_TRUE(urgent);  // its own pace is an hour
  EXPECT_EQ(urgent->report.node().urgency(), v1::URGENCY_REJECTION);
  EXPECT_EQ(urgent->report.node().connections().open_count(), 7);
}

TEST(StreamClientTest, ManyUrgentCallsAreOneReportWithTheGravestReason) {
  FakeController controller;
  Reporter reporter({controller.address()});
  reporter.client().Start();
  ASSERT_TRUE(controller.AwaitCount(2));
  const absl::Time begin = absl::Now();
  const auto storm = [&] {
    for (int i = 0; i < 20'000; ++i) reporter.client().Urgent(i % 2 == 0 ? v1::URGENCY_STATE : v1::URGENCY_REJECTION);
  };
  std::thread other(storm);
  storm();
  other.join();
  const absl::Duration took = absl::Now() - begin;
  ASSERT_TRUE(controller.Await([](const Arrival& a) { return a.report.node().urgency() == v1::URGENCY_REJECTION; }));
  const double reports = static_cast<double>(controller.Arrivals().size() - 2);
  EXPECT_LE(reports, 3 + took / absl::Milliseconds(20));
}

TEST(StreamClientTest, ComesBackWhenTheControllerRestarts) {
  auto controller = std::make_unique<FakeController>();
  const int port = controller->port();
  Reporter reporter({controller->address()});
  reporter.client().Start();
  ASSERT_TRUE(controller->AwaitCount(2));
  controller.reset();
  ASSERT_TRUE(Eventually([&] { return reporter.lost_count >= 2; }));
  EXPECT_FALSE(reporter.client().IsConnected());
  FakeController restarted(port);
  ASSERT_TRUE(restarted.AwaitCount(2));
  EXPECT_TRUE(restarted.Arrivals()[0].report.has_hello());
}

TEST(StreamClientTest, TriesTheNextControllerWhenOneIsGoneOrDoesNotLead) {
  std::string gone;
  { gone = FakeController().address(); }
  FakeController standby, leader;
  standby.Refuse({grpc::StatusCode::FAILED_PRECONDITION, "does not lead"});
  Reporter reporter({gone, standby.address(), leader.address()});
  reporter.client().Start();
  ASSERT_TRUE(leader.AwaitCount(2));
  EXPECT_EQ(reporter.lost_count, 2);
  EXPECT_TRUE(standby.Arrivals()[0].report.has_hello());
  EXPECT_TRUE(leader.Arrivals()[0].report.has_hello());
}

TEST(StreamClientTest, ASlowControllerGetsFewerAndNewerReports) {
  FakeController controller;
  controller.Greet(Live(absl::Milliseconds(20)));
  Reporter reporter({controller.address()});
  reporter.padding_bytes = 256 << 10;  // more than the transport takes for a reader that does not read
  reporter.client().Start();
  ASSERT_TRUE(controller.AwaitCount(2));
  controller.SetReading(FakeController::Reading::kOff);
  const absl::Time until = absl::Now() + absl::Milliseconds(600);  // thirty intervals
  while (absl::Now() < until) {
    ++reporter.state;
    reporter.client().Urgent(v1::URGENCY_STATE);
    absl::SleepFor(absl::Milliseconds(5));
  }
  const int64_t last_state = reporter.state;
  const size_t before = controller.Arrivals().size();
  controller.SetReading(FakeController::Reading::kOn);
  const auto newest = [&](const Arrival& a) { return a.report.node().connections().open_count() == last_state; };
  ASSERT_TRUE(controller.Await(newest));
  size_t stale = 0;
  for (const Arrival& a : controller.Arrivals()) stale += newest(a) ? 0 : 1;
  EXPECT_LT(stale - before, 20u);
}

TEST(StreamClientTest, StopSaysGoodbyeAndWhy) {
  FakeController controller;
  Reporter reporter({controller.address()});
  reporter.client().Start();
  ASSERT_TRUE(controller.AwaitCount(2));
  reporter.client().Stop(v1::Goodbye::REASON_RESTARTING);
  const std::optional<Arrival> goodbye = controller.Await([](const Arrival& a) { return a.report.has_goodbye(); });
  ASSERT_TRUE(goodbye);
  EXPECT_EQ(goodbye->report.goodbye().reason(), v1::Goodbye::REASON_RESTARTING);
}

TEST(StreamClientTest, StopIsBoundedWhenNobodyListensOrNobodyReads) {
  FakeController deaf;
  deaf.Greet(Live(absl::Milliseconds(20)));
  Reporter unheard({deaf.address()});
  unheard.padding_bytes = 256 << 10;
  unheard.client().Start();
  ASSERT_TRUE(deaf.AwaitCount(2));
  deaf.SetReading(FakeController::Reading::kOff);
  Reporter alone({"127.0.0.1:1"});
  alone.client().Start();
  ASSERT_TRUE(Eventually([&] { return alone.lost_count >= 1; }));
  const absl::Time begin = absl::Now();
  alone.client().Stop(v1::Goodbye::REASON_STOPPING);
  unheard.client().Stop(v1::Goodbye::REASON_STOPPING);
  EXPECT_LT(absl::Now() - begin, absl::Seconds(10));
}

}  // namespace
}  // namespace headroom
