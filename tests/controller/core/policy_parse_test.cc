#include "controller/core/policy_parse.h"

#include <set>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <google/protobuf/descriptor.h>

namespace headroom {
namespace {

using ::testing::HasSubstr;

v1::Policy Good() {
  v1::Policy message;
  message.mutable_nodes()->set_max(5);
  return message;
}

template <typename T>
std::set<std::string> FieldsOf() {
  std::set<std::string> names;
  const T value{};
  T::Fields(value, [&](const char* name, const auto&) { names.insert(name); });
  return names;
}

std::set<std::string> FieldsOf(const google::protobuf::Descriptor& type) {
  std::set<std::string> names;
  for (int i = 0; i < type.field_count(); ++i) names.insert(type.field(i)->name());
  return names;
}

TEST(PolicyParseTest, ThePolicyAndItsSchemaHaveTheSameFields) {
  EXPECT_EQ(FieldsOf<NodePolicy>(), FieldsOf(*v1::Nodes::descriptor()));
  EXPECT_EQ(FieldsOf<FleetLimitPolicy>(), FieldsOf(*v1::Limits::descriptor()));
  EXPECT_EQ(FieldsOf<ConnectionSignalPolicy>(), FieldsOf(*v1::ConnectionSignal::descriptor()));
  EXPECT_EQ(FieldsOf<ThroughputSignalPolicy>(), FieldsOf(*v1::ThroughputSignal::descriptor()));
  EXPECT_EQ(FieldsOf<LatencySignalPolicy>(), FieldsOf(*v1::LatencySignal::descriptor()));
  EXPECT_EQ(FieldsOf<InFlightSignalPolicy>(), FieldsOf(*v1::InFlightSignal::descriptor()));
  EXPECT_EQ(FieldsOf<StoredSignalPolicy>(), FieldsOf(*v1::StoredSignal::descriptor()));
  EXPECT_EQ(FieldsOf<HotNodeSignalPolicy>(), FieldsOf(*v1::HotNodeSignal::descriptor()));
  EXPECT_EQ(FieldsOf<ControlPolicy>(), FieldsOf(*v1::Control::descriptor()));
}

TEST(PolicyParseTest, WhatIsNotSaidKeepsTheDefaultOfThePolicy) {
  const absl::StatusOr<Policy> policy = ParsePolicy(Good());
  ASSERT_TRUE(policy.ok()) << policy.status();
  const Policy defaults;
  EXPECT_EQ(policy->nodes.max, 5);
  EXPECT_EQ(policy->nodes.cooldown, defaults.nodes.cooldown);
  EXPECT_EQ(policy->limits.law.ceiling_count, defaults.limits.law.ceiling_count);
  EXPECT_EQ(policy->mode, Mode::kDryRun);
}

TEST(PolicyParseTest, ThePolicyOfItsOwnMessageIsTheSame) {
  v1::Policy message = Good();
  message.set_mode(v1::MODE_LIVE);
  message.mutable_nodes()->set_data(v1::DATA_PLACEMENT_BEARING);
  message.mutable_nodes()->add_zones("a");
  message.mutable_limits()->set_reserve(0);
  message.mutable_limits()->set_budget(5000);
  message.mutable_signals()->mutable_latency()->mutable_objective()->set_nanos(50'000'000);
  const absl::StatusOr<Policy> policy = ParsePolicy(message);
  ASSERT_TRUE(policy.ok()) << policy.status();
  EXPECT_EQ(policy->nodes.data, DataPlacement::kBearing);
  EXPECT_EQ(policy->limits.law.reserve_count, 0);
  EXPECT_EQ(policy->latency.objective, absl::Milliseconds(50));
  const v1::Policy filled = PolicyToMessage(*policy);
  EXPECT_FALSE(filled.signals().has_throughput());
  EXPECT_EQ(filled.limits().floor(), 16);
  const absl::StatusOr<Policy> again = ParsePolicy(filled);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(PolicyToMessage(*again).SerializeAsString(), filled.SerializeAsString());
}

TEST(PolicyParseTest, AllFaultsAreToldWithTheirPaths) {
  v1::Policy message = Good();
  message.set_cluster("No Good");
  message.mutable_nodes()->set_min(9);
  message.mutable_limits()->set_headroom(-1);
  message.mutable_limits()->set_floor(30'000);
  message.mutable_signals()->mutable_throughput();
  message.mutable_control()->mutable_lost_after()->set_seconds(1);
  const absl::Status status = ParsePolicy(message).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  const std::string text(status.message());
  EXPECT_THAT(text, HasSubstr("cluster: must be"));
  EXPECT_THAT(text, HasSubstr("nodes.min: 9 exceeds nodes.max 5"));
  EXPECT_THAT(text, HasSubstr("limits.headroom: -1 is outside 0 to 10"));
  EXPECT_THAT(text, HasSubstr("limits.floor: 30000 exceeds limits.ceiling 20000"));
  EXPECT_THAT(text, HasSubstr("signals.throughput.bytes_per_node: is required"));
  EXPECT_THAT(text, HasSubstr("control.silent_after: 5s exceeds control.lost_after 1s"));
}

v1::CalendarEntry& AddEntry(v1::Policy& message, const std::string& start, const std::string& end) {
  v1::CalendarEntry& entry = *message.add_calendar();
  entry.set_name("campaign " + std::to_string(message.calendar_size()));
  entry.set_start(start);
  entry.set_end(end);
  return entry;
}

TEST(PolicyParseTest, ACalendarIsReadAndShownAgain) {
  v1::Policy message = Good();
  AddEntry(message, "Friday 18:00", "Friday 22:00").set_multiply(3);
  v1::CalendarEntry& sale = AddEntry(message, "2026-11-27 00:00", "2026-11-28 00:00");
  sale.set_time_zone("+01:00");
  sale.set_nodes(5);
  const absl::StatusOr<Policy> policy = ParsePolicy(message);
  ASSERT_TRUE(policy.ok()) << policy.status();
  ASSERT_EQ(policy->calendar.size(), 2u);
  EXPECT_EQ(policy->calendar[0].multiply_ratio, 3);
  const v1::Policy again = PolicyToMessage(*policy);
  EXPECT_EQ(again.calendar(0).start(), "Friday 18:00");
  EXPECT_EQ(again.calendar(0).time_zone(), "UTC");
  EXPECT_EQ(again.calendar(1).SerializeAsString(), sale.SerializeAsString());
}

TEST(PolicyParseTest, BadCalendarEntriesAreToldInWordsThatMendThem) {
  v1::Policy message = Good();
  AddEntry(message, "Freitag 18:00", "Friday 22:00").set_multiply(3);
  AddEntry(message, "2026-11-27 18:00", "2026-11-27 17:00").set_nodes(50);
  AddEntry(message, "18:00", "Friday 22:00").set_time_zone("Europe/Berlin");
  AddEntry(message, "18:00", "").set_multiply(3);
  message.mutable_calendar(3)->set_connections(7);
  message.mutable_calendar(1)->set_name("");
  message.mutable_calendar(3)->set_name("campaign 1");
  const std::string text(ParsePolicy(message).status().message());
  EXPECT_THAT(text, HasSubstr("calendar[0].start: \"Freitag 18:00\" is none of \"2026-11-27 18:00\" (once), \"Friday"));
  EXPECT_THAT(text, HasSubstr("calendar[1].name: is required"));
  EXPECT_THAT(text, HasSubstr("calendar[1].end: \"2026-11-27 17:00\" is not after start \"2026-11-27 18:00\""));
  EXPECT_THAT(text, HasSubstr("calendar[1].nodes: 50 exceeds nodes.max 5"));
  EXPECT_THAT(text, HasSubstr("calendar[2].time_zone: \"Europe/Berlin\" is no fixed offset such as UTC or +01:00"));
  EXPECT_THAT(text, HasSubstr("calendar[2]: needs exactly one of multiply, connections and nodes"));
  EXPECT_THAT(text, HasSubstr("calendar[3]: needs exactly one of multiply, connections and nodes"));
  EXPECT_THAT(text, HasSubstr("calendar[3].end: is required: \"2026-11-27 18:00\" (once)"));
  EXPECT_THAT(text, HasSubstr("calendar[3].name: \"campaign 1\" stands twice"));
}

TEST(PolicyParseTest, StoredBytesOfGatewaysAreRefusedSinceEachWouldTellTheSame) {
  v1::Policy message = Good();
  message.mutable_signals()->mutable_stored()->set_target(0.8);
  EXPECT_THAT(std::string(ParsePolicy(message).status().message()),
              HasSubstr("signals.stored: needs nodes.data: bearing"));
  message.mutable_nodes()->set_data(v1::DATA_PLACEMENT_BEARING);
  EXPECT_TRUE(ParsePolicy(message).ok()) << ParsePolicy(message).status();
  message.mutable_signals()->mutable_in_flight();
  EXPECT_THAT(std::string(ParsePolicy(message).status().message()),
              HasSubstr("signals.in_flight.per_node: is required where the signal is used"));
}

TEST(PolicyParseTest, ATickThatComesTooSeldomToRenewALeaseIsAFault) {
  v1::Policy message = Good();
  message.mutable_limits()->mutable_lease()->set_seconds(30);
  message.mutable_control()->mutable_tick()->set_seconds(10);
  EXPECT_TRUE(ParsePolicy(message).ok()) << ParsePolicy(message).status();
  message.mutable_control()->mutable_tick()->set_seconds(11);
  EXPECT_THAT(std::string(ParsePolicy(message).status().message()),
              HasSubstr("control.tick: 11s exceeds a third of limits.lease, 10s"));
}

TEST(PolicyParseTest, ANumberThatIsNoneIsAFault) {
  v1::Policy message = Good();
  message.mutable_limits()->set_raise_at(std::numeric_limits<double>::quiet_NaN());
  EXPECT_THAT(std::string(ParsePolicy(message).status().message()), HasSubstr("limits.raise_at: nan is outside"));
}

TEST(PolicyParseTest, AnEnumeratorOfAnotherReleaseIsAFault) {
  v1::Policy message = Good();
  message.set_mode(static_cast<v1::Mode>(17));
  EXPECT_THAT(std::string(ParsePolicy(message).status().message()), HasSubstr("mode: is none of dry_run, live"));
}

}  // namespace
}  // namespace headroom
