#include "controller/server/convert.h"

#include <cmath>
#include <functional>
#include <limits>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace headroom {
namespace {

using ::testing::HasSubstr;

v1::NodeLoad GoodLoad() {
  v1::NodeLoad load;
  load.set_boot_id("boot-1");
  load.set_sequence(7);
  load.mutable_uptime()->set_seconds(60);
  load.mutable_connections()->set_open_count(150);
  load.mutable_connections()->set_active_count(20);
  for (int i = 0; i < NodeReport::kIdleAges; ++i) load.mutable_connections()->add_idle_age_counts(i);
  v1::Client* client = load.mutable_connections()->add_top_clients();
  client->set_address("10.0.0.9");
  client->set_open_count(12);
  load.mutable_limits()->set_connection_count_max(200);
  load.mutable_limits()->set_source(v1::LimitsInForce::SOURCE_GRANT);
  load.mutable_work()->set_completed_count(1000);
  load.mutable_work()->set_sent_bytes(int64_t{1} << 55);
  load.mutable_resources()->set_cpu_some_ratio(1.005);
  for (int i = 0; i < LatencyHistogram::kBuckets; ++i) load.add_latency_bucket_counts(i);
  load.set_urgency(v1::URGENCY_REJECTION);
  return load;
}

TEST(ConvertTest, TakesAGoodReportWhole) {
  const absl::StatusOr<NodeReport> report = ToNodeReport(GoodLoad());
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->boot_id, "boot-1");
  EXPECT_EQ(report->sequence, 7u);
  EXPECT_EQ(report->open_count, 150);
  EXPECT_EQ(report->idle_age_counts[6], 6);
  ASSERT_EQ(report->top_clients.size(), 1u);
  EXPECT_EQ(report->top_clients[0].open_count, 12);
  EXPECT_EQ(report->limits.source, LimitSource::kGrant);
  EXPECT_EQ(report->counters.sent_bytes, int64_t{1} << 55);
  EXPECT_EQ(report->counters.latency.counts[119], 119);
  EXPECT_EQ(report->urgency, Urgency::kRejection);
}

TEST(ConvertTest, KeepsWhatIsWithinToleranceAsItIsAndNeverClamps) {
  EXPECT_EQ(ToNodeReport(GoodLoad())->cpu_some_ratio, 1.005);
}

TEST(ConvertTest, LeavesWhatIsAbsentUnknown) {
  const absl::StatusOr<NodeReport> report = ToNodeReport(GoodLoad());
  ASSERT_TRUE(report.ok());
  EXPECT_FALSE(report->counters.retries.has_value());
  EXPECT_FALSE(report->counters.overflows.has_value());
  EXPECT_FALSE(report->io_full_ratio.has_value());
  EXPECT_FALSE(report->ceiling_fd_count.has_value());
}

struct Refused {
  std::string name;
  std::function<void(v1::NodeLoad&)> spoil;
  std::string field, value, label;
};

class RefusedReportTest : public ::testing::TestWithParam<Refused> {};

TEST_P(RefusedReportTest, IsRefusedWholeAndNamesFieldAndValue) {
  v1::NodeLoad load = GoodLoad();
  GetParam().spoil(load);
  const absl::Status status = ToNodeReport(load).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr(GetParam().field));
  EXPECT_THAT(std::string(status.message()), HasSubstr(GetParam().value));
  EXPECT_EQ(std::string(RefusalLabel(status)), GetParam().label);
}

const double kNan = std::numeric_limits<double>::quiet_NaN();
const double kInfinity = std::numeric_limits<double>::infinity();

INSTANTIATE_TEST_SUITE_P(
    Faults, RefusedReportTest,
    ::testing::Values(
        Refused{"nan", [](auto& l) { l.mutable_resources()->set_cpu_count(kNan); }, "resources.cpu_count", "nan",
                "not_finite"},
        Refused{"infinite", [](auto& l) { l.mutable_resources()->set_cpu_count(kInfinity); }, "resources.cpu_count",
                "inf", "not_finite"},
        Refused{"nan_ratio", [](auto& l) { l.mutable_resources()->set_io_full_ratio(kNan); }, "resources.io_full_ratio",
                "nan", "not_finite"},
        Refused{"ratio_above", [](auto& l) { l.mutable_resources()->set_cpu_some_ratio(1.2); },
                "resources.cpu_some_ratio", "1.2", "ratio"},
        Refused{"ratio_below", [](auto& l) { l.mutable_resources()->set_memory_full_ratio(-0.5); },
                "resources.memory_full_ratio", "-0.5", "ratio"},
        Refused{"negative_open", [](auto& l) { l.mutable_connections()->set_open_count(-5); }, "connections.open_count",
                "-5", "negative"},
        Refused{"absurd_open", [](auto& l) { l.mutable_connections()->set_open_count(10'000'001); },
                "connections.open_count", "10000001", "too_large"},
        Refused{"absurd_limit", [](auto& l) { l.mutable_limits()->set_connection_count_max(20'000'000); },
                "limits.connection_count_max", "20000000", "too_large"},
        Refused{"negative_counter", [](auto& l) { l.mutable_work()->set_error_count(-1); }, "work.error_count", "-1",
                "negative"},
        Refused{"absurd_counter", [](auto& l) { l.mutable_work()->set_completed_count((int64_t{1} << 53) + 1); },
                "work.completed_count", "9007199254740993", "too_large"},
        Refused{"few_buckets",
                [](auto& l) {
                  l.clear_latency_bucket_counts();
                  l.add_latency_bucket_counts(1);
                },
                "latency_bucket_counts", "1 counts", "buckets"},
        Refused{"negative_bucket", [](auto& l) { l.set_latency_bucket_counts(3, -2); }, "latency_bucket_counts", "-2",
                "negative"},
        Refused{"few_ages",
                [](auto& l) {
                  l.mutable_connections()->clear_idle_age_counts();
                  l.mutable_connections()->add_idle_age_counts(1);
                },
                "connections.idle_age_counts", "1 counts", "buckets"},
        Refused{"many_clients",
                [](auto& l) {
                  for (int i = 0; i < 9; ++i) l.mutable_connections()->add_top_clients();
                },
                "connections.top_clients", "10 entries", "too_many"},
        Refused{"negative_client", [](auto& l) { l.mutable_connections()->mutable_top_clients(0)->set_open_count(-3); },
                "connections.top_clients[0].open_count", "-3", "negative"},
        Refused{"long_boot", [](auto& l) { l.set_boot_id(std::string(65, 'b')); }, "boot_id", "65 bytes", "too_long"},
        Refused{"no_boot", [](auto& l) { l.clear_boot_id(); }, "boot_id", "missing", "missing"},
        Refused{"no_connections", [](auto& l) { l.clear_connections(); }, "connections", "missing", "missing"},
        Refused{"no_work", [](auto& l) { l.clear_work(); }, "work", "missing", "missing"},
        Refused{"negative_time", [](auto& l) { l.mutable_uptime()->set_seconds(-1); }, "uptime", "-1", "negative"},
        Refused{"bad_nanos", [](auto& l) { l.mutable_uptime()->set_nanos(2'000'000'000); }, "uptime", "2000000000",
                "time"},
        Refused{"control_characters", [](auto& l) { l.mutable_limits()->set_bound_by("a\x1b[31m"); }, "limits.bound_by",
                "control", "text"}),
    [](const auto& test) { return test.param.name; });

TEST(ConvertTest, RefusesIdsThatAreNotNames) {
  for (const char* id : {"", "Node-1", "a_b", "a/b", "a b", "~x"}) {
    EXPECT_EQ(std::string(RefusalLabel(CheckReporterId(id))), "id") << id;
  }
  EXPECT_EQ(std::string(RefusalLabel(CheckReporterId(std::string(254, 'a')))), "id");
  EXPECT_TRUE(CheckReporterId(std::string(253, 'a')).ok());
  EXPECT_TRUE(CheckReporterId("node-1.zone.example").ok());
}

TEST(ConvertTest, RefusesABalancerWithOneBadServer) {
  v1::BalancerLoad load;
  load.set_boot_id("b");
  load.add_servers()->set_node_id("node-1");
  load.add_servers()->set_node_id("node-2");
  ASSERT_TRUE(ToBalancerReport(load).ok());
  load.mutable_servers(1)->set_queue_count(-4);
  EXPECT_THAT(std::string(ToBalancerReport(load).status().message()), HasSubstr("servers[1].queue_count: -4"));
  load.mutable_servers(1)->set_queue_count(0);
  load.mutable_servers(1)->set_node_id("NODE");
  EXPECT_THAT(std::string(ToBalancerReport(load).status().message()), HasSubstr("servers[1].node_id: \"NODE\""));
}

TEST(ConvertTest, RefusesAHelloWithAnAbsurdTerm) {
  v1::Hello hello;
  hello.set_boot_id("b");
  ASSERT_TRUE(ToNodeHello(hello).ok());
  hello.set_term_max_seen(-1);
  EXPECT_THAT(std::string(ToNodeHello(hello).status().message()), HasSubstr("term_max_seen: -1"));
}

TEST(ConvertTest, RendersSentencesOnlyWhenAsked) {
  const Reason reason = MakeReason(ReasonCode::kLimitDemand, "node-1", 180, 200, 400);
  const v1::Reason codes = ToWire(reason, Rendering::kCodesOnly);
  EXPECT_EQ(codes.code(), "limit_demand");
  EXPECT_TRUE(codes.text().empty());
  ASSERT_EQ(codes.arguments_size(), 4);
  EXPECT_EQ(codes.arguments(0).text(), "node-1");
  EXPECT_EQ(codes.arguments(3).number(), 400);
  EXPECT_THAT(ToWire(reason, Rendering::kSentences).text(), HasSubstr("raised to 400"));
}

TEST(ConvertTest, DurationsSurviveTheWire) {
  for (const absl::Duration duration : {absl::ZeroDuration(), absl::Milliseconds(1500), absl::Milliseconds(-1500)}) {
    google::protobuf::Duration wire;
    SetDuration(duration, &wire);
    EXPECT_EQ(FromWire(wire), duration);
  }
}

}  // namespace
}  // namespace headroom
