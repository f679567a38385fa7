#include "controller/core/policy_parse.h"

#include <algorithm>
#include <optional>
#include <set>
#include <type_traits>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include "controller/base/check.h"
#include "controller/core/calendar/calendar_text.h"
#include "controller/core/fleet/fleet.h"

namespace headroom {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

constexpr absl::Duration kLongest = absl::Hours(24 * 30);
constexpr int64_t kConnectionsMax = 10'000'000;

absl::Duration FromMessage(const google::protobuf::Duration& message) {
  return absl::Seconds(message.seconds()) + absl::Nanoseconds(message.nanos());
}

google::protobuf::Duration ToMessage(absl::Duration duration) {
  google::protobuf::Duration message;
  message.set_seconds(absl::IDivDuration(duration, absl::Seconds(1), &duration));
  message.set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(duration)));
  return message;
}

const FieldDescriptor& FieldOf(const Message& message, const char* name) {
  const FieldDescriptor* field = message.GetDescriptor()->FindFieldByName(name);
  HR_CHECK(field != nullptr);  // both sides use one set of names
  return *field;
}

// Takes what the message has; the rest keeps its default. Enumerators: those of the schema begin with "unspecified".
struct FromFields {
  const Message& message;

  template <typename T>
  void operator()(const char* name, T& member) const {
    const FieldDescriptor& field = FieldOf(message, name);
    const google::protobuf::Reflection& reflection = *message.GetReflection();
    if constexpr (std::is_same_v<T, std::vector<std::string>>) {
      for (int i = 0; i < reflection.FieldSize(message, &field); ++i) {
        member.push_back(reflection.GetRepeatedString(message, &field, i));
      }
    } else if (reflection.HasField(message, &field)) {
      if constexpr (std::is_same_v<T, bool>)
        member = reflection.GetBool(message, &field);
      else if constexpr (std::is_same_v<T, int>)
        member = reflection.GetInt32(message, &field);
      else if constexpr (std::is_same_v<T, int64_t>)
        member = reflection.GetInt64(message, &field);
      else if constexpr (std::is_same_v<T, double>)
        member = reflection.GetDouble(message, &field);
      else if constexpr (std::is_enum_v<T>)
        member = static_cast<T>(reflection.GetEnumValue(message, &field) - 1);
      else
        member = FromMessage(static_cast<const google::protobuf::Duration&>(reflection.GetMessage(message, &field)));
    }
  }
};

struct ToFields {
  Message& message;

  template <typename T>
  void operator()(const char* name, const T& member) const {
    const FieldDescriptor& field = FieldOf(message, name);
    const google::protobuf::Reflection& reflection = *message.GetReflection();
    if constexpr (std::is_same_v<T, std::vector<std::string>>) {
      for (const std::string& text : member) reflection.AddString(&message, &field, text);
    } else if constexpr (std::is_same_v<T, bool>) {
      reflection.SetBool(&message, &field, member);
    } else if constexpr (std::is_same_v<T, int>) {
      reflection.SetInt32(&message, &field, member);
    } else if constexpr (std::is_same_v<T, int64_t>) {
      reflection.SetInt64(&message, &field, member);
    } else if constexpr (std::is_same_v<T, double>) {
      reflection.SetDouble(&message, &field, member);
    } else if constexpr (std::is_enum_v<T>) {
      reflection.SetEnumValue(&message, &field, static_cast<int>(member) + 1);
    } else {
      reflection.MutableMessage(&message, &field)->CopyFrom(ToMessage(member));
    }
  }
};

template <typename T>
void Take(const Message& message, T& part) {
  T::Fields(part, FromFields{message});
}
template <typename T>
void Put(const T& part, Message& message) {
  T::Fields(part, ToFields{message});
}

std::string Show(absl::Duration duration) {
  return absl::FormatDuration(duration);
}
template <typename T>
std::string Show(T number) {
  return absl::StrCat(number);
}

// The list of what is wrong.
class Faults {
 public:
  void Add(absl::string_view path, std::string text) { faults_.push_back({std::string(path), std::move(text)}); }

  // Both bounds included; also refuses what compares to nothing.
  template <typename T>
  void Within(absl::string_view path, T value, T low, T high) {
    if (value >= low && value <= high) return;
    Add(path, absl::StrCat(Show(value), " is outside ", Show(low), " to ", Show(high)));
  }
  template <typename T>
  void AtMost(absl::string_view path, T value, absl::string_view other_path, T other) {
    if (value > other) Add(path, absl::StrCat(Show(value), " exceeds ", other_path, " ", Show(other)));
  }
  std::vector<PolicyFault> Take() { return std::move(faults_); }

 private:
  std::vector<PolicyFault> faults_;
};

bool IsClusterWord(absl::string_view word) {
  return !word.empty() && word.size() <= 63 && std::all_of(word.begin(), word.end(), [](char c) {
    return absl::ascii_islower(static_cast<unsigned char>(c)) || absl::ascii_isdigit(static_cast<unsigned char>(c)) ||
           c == '-';
  });
}

// Where one controller keeps the clusters of several namespaces, the namespace and a dot stand before the name.
void CheckCluster(absl::string_view name, Faults& faults) {
  const size_t dot = name.find('.');
  const bool good = dot == absl::string_view::npos
                        ? IsClusterWord(name)
                        : IsClusterWord(name.substr(0, dot)) && IsClusterWord(name.substr(dot + 1));
  if (!good) faults.Add("cluster", "must be 1 to 63 of a-z, 0-9 and -");
}

void CheckNodes(const NodePolicy& nodes, const v1::Nodes& message, Faults& faults) {
  constexpr int kMax = static_cast<int>(Fleet::kNodesMax);
  if (!message.has_max()) faults.Add("nodes.max", "is required");
  faults.Within("nodes.min", nodes.min, 1, kMax);
  faults.Within("nodes.max", nodes.max, 1, kMax);
  if (message.has_max()) {
    faults.AtMost("nodes.min", nodes.min, "nodes.max", nodes.max);
    faults.AtMost("nodes.data_floor", nodes.data_floor, "nodes.max", nodes.max);
  }
  faults.Within("nodes.data_floor", nodes.data_floor, 0, kMax);
  faults.Within("nodes.stabilization", nodes.stabilization, absl::ZeroDuration(), kLongest);
  faults.Within("nodes.cooldown", nodes.cooldown, absl::ZeroDuration(), kLongest);
  faults.Within("nodes.remove_count_max", nodes.remove_count_max, 0, kMax);
  faults.Within("nodes.growth_ratio_max", nodes.growth_ratio_max, 1.01, 100.0);
  faults.Within("nodes.lead_time", nodes.lead_time, absl::Milliseconds(100), kLongest);
  faults.Within("nodes.drain_timeout", nodes.drain_timeout, absl::Seconds(1), kLongest);
  faults.Within("nodes.launch_timeout", nodes.launch_timeout, absl::Seconds(1), kLongest);
  faults.Within("nodes.restart_grace", nodes.restart_grace, absl::ZeroDuration(), kLongest);
  faults.Within("nodes.launch_failures_max", nodes.launch_failures_max, 1, 1000);
  faults.Within("nodes.launch_backoff", nodes.launch_backoff, absl::Milliseconds(10), kLongest);
  faults.Within("nodes.paid_min", nodes.paid_min, absl::ZeroDuration(), kLongest);
  std::set<std::string> seen;
  for (size_t i = 0; i < nodes.zones.size(); ++i) {
    const std::string path = absl::StrCat("nodes.zones[", i, "]");
    if (nodes.zones[i].empty()) faults.Add(path, "is empty");
    if (!seen.insert(nodes.zones[i]).second) faults.Add(path, absl::StrCat("\"", nodes.zones[i], "\" stands twice"));
  }
}

void CheckLimits(const FleetLimitPolicy& limits, Faults& faults) {
  const LimitPolicy& law = limits.law;
  faults.Within("limits.floor", law.floor_count, int64_t{1}, kConnectionsMax);
  faults.Within("limits.ceiling", law.ceiling_count, int64_t{1}, kConnectionsMax);
  faults.AtMost("limits.floor", law.floor_count, "limits.ceiling", law.ceiling_count);
  faults.Within("limits.reserve", law.reserve_count, int64_t{0}, kConnectionsMax);
  faults.Within("limits.raise_at", law.raise_at_ratio, 0.05, 1.0);
  faults.Within("limits.headroom", law.headroom_ratio, 0.0, 10.0);
  faults.Within("limits.step_max", law.step_ratio_max, 1.01, 100.0);
  faults.Within("limits.decay_at", law.decay_at_ratio, 0.0, 1.0);
  faults.AtMost("limits.decay_at", law.decay_at_ratio, "limits.raise_at", law.raise_at_ratio);
  faults.Within("limits.decay_after", law.decay_after, absl::ZeroDuration(), kLongest);
  faults.Within("limits.decay_half_life", law.decay_half_life, absl::Milliseconds(100), kLongest);
  faults.Within("limits.peak_window", limits.peak_window, absl::Seconds(1), kLongest);
  faults.Within("limits.idle_timeout_min", law.idle_timeout_min, absl::Milliseconds(100), kLongest);
  faults.Within("limits.lease", limits.lease, absl::Seconds(1), absl::Hours(1));
  faults.Within("limits.watch", law.watch, absl::ZeroDuration(), absl::Hours(24));
  faults.Within("limits.latency_ratio_max", law.latency_ratio_max, 1.01, 1000.0);
  faults.Within("limits.budget", limits.budget_count, int64_t{0}, int64_t{1'000'000'000});
}

void CheckSignals(const Policy& policy, const v1::Signals& message, Faults& faults) {
  faults.Within("signals.connections.per_node", policy.connections.per_node_count, int64_t{0}, kConnectionsMax);
  faults.Within("signals.connections.target", policy.connections.target_ratio, 0.05, 1.0);
  faults.Within("signals.forecast.quantile", policy.forecast.quantile_ratio, 0.5, 0.995);
  faults.Within("signals.throughput.target", policy.throughput.target_ratio, 0.05, 1.0);
  if (message.has_throughput()) {
    const int64_t bytes = policy.throughput.bytes_per_second_per_node;
    if (bytes == 0) faults.Add("signals.throughput.bytes_per_node", "is required where the signal is used");
    if (bytes < 0) faults.Add("signals.throughput.bytes_per_node", absl::StrCat(bytes, " is negative"));
  }
  if (!message.has_latency()) return;
  if (!message.latency().has_objective())
    faults.Add("signals.latency.objective", "is required where the signal is used");
  else
    faults.Within("signals.latency.objective", policy.latency.objective, absl::Microseconds(10), absl::Hours(1));
}

void CheckNodeSignals(const Policy& policy, const v1::Signals& message, Faults& faults) {
  faults.Within("signals.in_flight.target", policy.in_flight.target_ratio, 0.05, 1.0);
  faults.Within("signals.in_flight.per_node", policy.in_flight.per_node_count, int64_t{0}, kConnectionsMax);
  if (message.has_in_flight() && policy.in_flight.per_node_count == 0)
    faults.Add("signals.in_flight.per_node", "is required where the signal is used");
  faults.Within("signals.hot_nodes.at", policy.hot_nodes.at_ratio, 0.1, 4.0);
  faults.Within("signals.hot_nodes.skew_max", policy.hot_nodes.skew_ratio_max, 1.0, 10.0);
  if (!message.has_stored()) return;
  if (policy.stored.bytes_per_node < 0)
    faults.Add("signals.stored.bytes_per_node", absl::StrCat(policy.stored.bytes_per_node, " is negative"));
  if (!message.stored().has_target())
    faults.Add("signals.stored.target", "is required where the signal is used");
  else
    faults.Within("signals.stored.target", policy.stored.target_ratio, 0.05, 1.0);
  // Gateways over one store would each report the same bytes.
  if (policy.nodes.data != DataPlacement::kBearing) faults.Add("signals.stored", "needs nodes.data: bearing");
}

// When an entry is; nothing: a fault says why not.
std::optional<CalendarEntry> ReadTimes(const v1::CalendarEntry& message, const std::string& path, Faults& faults) {
  constexpr char kForms[] = "\"2026-11-27 18:00\" (once), \"Friday 18:00\" (every week) or \"18:00\" (every day)";
  const auto read = [&](const char* name, const std::string& text) {
    const std::optional<CalendarTime> time = ReadCalendarTime(text);
    if (!time.has_value() && text.empty()) faults.Add(path + name, absl::StrCat("is required: ", kForms));
    if (!time.has_value() && !text.empty()) faults.Add(path + name, absl::StrCat("\"", text, "\" is none of ", kForms));
    return time;
  };
  const std::string zone = message.time_zone().empty() ? "UTC" : message.time_zone();
  const std::optional<int> offset = ReadOffset(zone);
  if (!offset.has_value()) {
    faults.Add(path + ".time_zone",
               absl::StrCat("\"", zone,
                            "\" is no fixed offset such as UTC or +01:00; the rules of named zones differ "
                            "between machines"));
  }
  const std::optional<CalendarTime> start = read(".start", message.start()), end = read(".end", message.end());
  if (!start.has_value() || !end.has_value() || !offset.has_value()) return std::nullopt;
  const std::optional<CalendarEntry> entry = EntryOf({*start, *end, *offset});
  if (!entry.has_value()) {
    faults.Add(path + ".end", start->repeats == end->repeats
                                  ? absl::StrCat("\"", message.end(), "\" is not after start \"", message.start(), "\"")
                                  : absl::StrCat("must be written as start is: ", kForms));
  }
  return entry;
}

void CheckAmount(const v1::CalendarEntry& entry, const std::string& path, const NodePolicy& nodes, Faults& faults) {
  const int given = (entry.multiply() != 0 ? 1 : 0) + (entry.connections() != 0 ? 1 : 0) + (entry.nodes() != 0 ? 1 : 0);
  if (given != 1) return faults.Add(path, "needs exactly one of multiply, connections and nodes");
  if (entry.multiply() != 0) faults.Within(path + ".multiply", entry.multiply(), 0.1, 1000.0);
  if (entry.connections() != 0)
    faults.Within(path + ".connections", entry.connections(), int64_t{1}, int64_t{1'000'000'000});
  if (entry.nodes() == 0) return;
  faults.Within(path + ".nodes", entry.nodes(), 1, static_cast<int>(Fleet::kNodesMax));
  faults.AtMost(path + ".nodes", entry.nodes(), "nodes.max", nodes.max);
}

std::vector<CalendarEntry> ReadCalendar(const v1::Policy& message, const NodePolicy& nodes, Faults& faults) {
  constexpr int kEntriesMax = 200;
  constexpr size_t kNameMax = 100;
  std::vector<CalendarEntry> calendar;
  if (message.calendar_size() > kEntriesMax)
    faults.Add("calendar", absl::StrCat("has ", message.calendar_size(), " entries, more than ", kEntriesMax));
  std::set<std::string> names;
  for (int i = 0; i < std::min(message.calendar_size(), kEntriesMax); ++i) {
    const v1::CalendarEntry& entry = message.calendar(i);
    const std::string path = absl::StrCat("calendar[", i, "]");
    if (entry.name().empty()) faults.Add(path + ".name", "is required");
    if (entry.name().size() > kNameMax) faults.Add(path + ".name", absl::StrCat("is longer than ", kNameMax, " bytes"));
    if (!names.insert(entry.name()).second && !entry.name().empty())
      faults.Add(path + ".name", absl::StrCat("\"", entry.name(), "\" stands twice"));
    CheckAmount(entry, path, nodes, faults);
    std::optional<CalendarEntry> read = ReadTimes(entry, path, faults);
    if (!read.has_value()) continue;
    read->name = entry.name();
    read->multiply_ratio = entry.multiply();
    read->connection_count = entry.connections();
    read->node_count = entry.nodes();
    calendar.push_back(*std::move(read));
  }
  return calendar;
}

void PutCalendar(const Policy& policy, v1::Policy& message) {
  for (const CalendarEntry& entry : policy.calendar) {
    v1::CalendarEntry& out = *message.add_calendar();
    const CalendarSpan span = SpanOf(entry);
    out.set_name(entry.name);
    out.set_start(ShowCalendarTime(span.start));
    out.set_end(ShowCalendarTime(span.end));
    out.set_time_zone(ShowOffset(entry.offset_minutes));
    if (entry.multiply_ratio != 0) out.set_multiply(entry.multiply_ratio);
    if (entry.connection_count != 0) out.set_connections(entry.connection_count);
    if (entry.node_count != 0) out.set_nodes(entry.node_count);
  }
}

void CheckControl(const Policy& policy, Faults& faults) {
  const ControlPolicy& control = policy.control;
  faults.Within("control.tick", control.tick, absl::Milliseconds(10), absl::Minutes(10));
  faults.Within("control.urgent_tick", control.urgent_tick, absl::Milliseconds(1), absl::Minutes(10));
  faults.AtMost("control.urgent_tick", control.urgent_tick, "control.tick", control.tick);
  faults.Within("control.report_interval", control.report_interval, absl::Milliseconds(20), absl::Minutes(5));
  faults.AtMost("control.report_interval", control.report_interval, "control.silent_after", control.silent_after);
  faults.Within("control.silent_after", control.silent_after, absl::Milliseconds(20), kLongest);
  faults.AtMost("control.silent_after", control.silent_after, "control.lost_after", control.lost_after);
  faults.Within("control.lost_after", control.lost_after, absl::Milliseconds(20), kLongest);
  faults.Within("control.quorum", control.quorum_ratio, 0.01, 1.0);
  faults.Within("control.list_interval", control.list_interval, absl::Milliseconds(100), absl::Hours(24));
  faults.Within("control.unknown_alarm", control.unknown_alarm, absl::Seconds(1), kLongest);
  faults.Within("control.baseline_window", control.baseline_window, absl::Seconds(1), kLongest);
  faults.Within("control.deploy_window", control.deploy_window, absl::ZeroDuration(), kLongest);
  // A grant is renewed by a tick, at a third of its lease.
  faults.AtMost("control.tick", control.tick, "a third of limits.lease,", policy.limits.lease / 3);
}

}  // namespace

PolicyReading ReadPolicy(const v1::Policy& message) {
  PolicyReading reading;
  Policy& policy = reading.policy;
  if (!message.cluster().empty()) policy.cluster = message.cluster();
  if (message.mode() != v1::MODE_UNSPECIFIED) policy.mode = static_cast<Mode>(message.mode() - 1);
  Take(message.nodes(), policy.nodes);
  Take(message.limits(), policy.limits);
  Take(message.signals().connections(), policy.connections);
  Take(message.signals().latency(), policy.latency);
  Take(message.signals().throughput(), policy.throughput);
  Take(message.signals().forecast(), policy.forecast);
  Take(message.signals().in_flight(), policy.in_flight);
  Take(message.signals().stored(), policy.stored);
  Take(message.signals().hot_nodes(), policy.hot_nodes);
  Take(message.anomaly(), policy.anomaly);
  Take(message.control(), policy.control);

  Faults faults;
  CheckCluster(policy.cluster, faults);
  if (message.mode() < 0 || message.mode() > v1::MODE_LIVE) faults.Add("mode", "is none of dry_run, live");
  if (policy.nodes.data > DataPlacement::kBearing) faults.Add("nodes.data", "is none of gateway, bearing");
  if (policy.nodes.removal > Removal::kHighestOrdinal) faults.Add("nodes.removal", "is none of named, highest_ordinal");
  CheckNodes(policy.nodes, message.nodes(), faults);
  CheckLimits(policy.limits, faults);
  CheckSignals(policy, message.signals(), faults);
  CheckNodeSignals(policy, message.signals(), faults);
  policy.calendar = ReadCalendar(message, policy.nodes, faults);
  CheckControl(policy, faults);
  faults.Within("anomaly.hold", policy.anomaly.hold, absl::ZeroDuration(), absl::Hours(24));
  reading.faults = faults.Take();
  return reading;
}

absl::StatusOr<Policy> ParsePolicy(const v1::Policy& message) {
  PolicyReading reading = ReadPolicy(message);
  if (reading.faults.empty()) return std::move(reading.policy);
  return absl::InvalidArgumentError(absl::StrJoin(reading.faults, "\n", [](std::string* out, const PolicyFault& fault) {
    absl::StrAppend(out, fault.path, ": ", fault.text);
  }));
}

v1::Policy PolicyToMessage(const Policy& policy) {
  v1::Policy message;
  message.set_cluster(policy.cluster);
  message.set_mode(static_cast<v1::Mode>(static_cast<int>(policy.mode) + 1));
  Put(policy.nodes, *message.mutable_nodes());
  Put(policy.limits, *message.mutable_limits());
  v1::Signals& signals = *message.mutable_signals();
  Put(policy.connections, *signals.mutable_connections());
  Put(policy.forecast, *signals.mutable_forecast());
  Put(policy.hot_nodes, *signals.mutable_hot_nodes());
  if (policy.in_flight.per_node_count > 0) Put(policy.in_flight, *signals.mutable_in_flight());
  if (policy.stored.target_ratio > 0) Put(policy.stored, *signals.mutable_stored());
  if (policy.throughput.bytes_per_second_per_node > 0) Put(policy.throughput, *signals.mutable_throughput());
  if (policy.latency.objective > absl::ZeroDuration()) Put(policy.latency, *signals.mutable_latency());
  Put(policy.anomaly, *message.mutable_anomaly());
  Put(policy.control, *message.mutable_control());
  PutCalendar(policy, message);
  return message;
}

}  // namespace headroom
