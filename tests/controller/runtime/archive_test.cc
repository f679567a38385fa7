#include "controller/runtime/archive.h"

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <random>

#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "controller/runtime/records.h"
#include "tests/controller/runtime/hostile_events.h"

namespace headroom {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

enum class Colour : uint8_t { kRed, kGreen };

struct Circle {
  double radius = 0;
  bool operator==(const Circle&) const = default;
  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("radius", self.radius);
  }
};
struct Nothing {
  bool operator==(const Nothing&) const = default;
  template <class Self, class Visitor>
  static void Fields(Self&, Visitor&&) {}
};

struct Everything {
  bool flag = false;
  int small = 0;
  int64_t large = 0;
  uint64_t huge = 0;
  Colour colour = Colour::kRed;
  double ratio = 0;
  std::string name;
  absl::Time at;
  absl::Duration length;
  std::optional<int> maybe;
  std::vector<std::string> names;
  std::deque<double> points;
  std::array<int64_t, 6> counts{};
  std::map<std::string, Circle> circles;
  std::variant<Circle, Nothing, std::string> either;
  absl::StatusCode code = absl::StatusCode::kOk;
  bool operator==(const Everything&) const = default;
  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("flag", self.flag);
    visit("small", self.small);
    visit("large", self.large);
    visit("huge", self.huge);
    visit("colour", self.colour);
    visit("ratio", self.ratio);
    visit("name", self.name);
    visit("at", self.at);
    visit("length", self.length);
    visit("maybe", self.maybe);
    visit("names", self.names);
    visit("points", self.points);
    visit("counts", self.counts);
    visit("circles", self.circles);
    visit("either", self.either);
    visit("code", self.code);
  }
};

Everything Full() {
  Everything value;
  value.flag = true;
  value.small = -7;
  value.large = std::numeric_limits<int64_t>::min();
  value.huge = std::numeric_limits<uint64_t>::max();
  value.colour = Colour::kGreen;
  value.ratio = 0.1 + 0.2;
  value.name = std::string("a\0b\xff", 4);
  value.at = absl::FromUnixNanos(1234567890123456789) + absl::Nanoseconds(1) / 4;
  value.length = -absl::Seconds(3) / 7;
  value.maybe = 0;
  value.names = {"", "x"};
  value.points = {1e300, -std::numeric_limits<double>::infinity()};
  value.counts = {0, 0, 5, 0, 0, 0};
  value.circles = {{"big", {9.5}}, {"none", {0}}};
  value.either = std::string("text");
  value.code = absl::StatusCode::kUnavailable;
  return value;
}

TEST(ArchiveTest, EveryKindOfFieldComesBackAsItWas) {
  const Everything value = Full();
  const absl::StatusOr<Everything> back = FromArchive<Everything>(ToArchive(value));
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(*back, value);
}

TEST(ArchiveTest, InfiniteTimesComeBackAsTheyWere) {
  Everything value;
  for (const absl::Duration length : {absl::InfiniteDuration(), -absl::InfiniteDuration(), absl::ZeroDuration()}) {
    value.length = length;
    value.at = absl::UnixEpoch() + length;
    EXPECT_EQ(*FromArchive<Everything>(ToArchive(value)), value);
  }
}

TEST(ArchiveTest, EqualValuesHaveEqualBytesWhateverTheSignOfZeroAndTheKindOfNan) {
  Circle plus{0.0}, minus{-0.0};
  EXPECT_EQ(ToArchive(plus), ToArchive(minus));
  plus.radius = std::numeric_limits<double>::quiet_NaN();
  minus.radius = -std::nan("7");
  EXPECT_EQ(ToArchive(plus), ToArchive(minus));
  EXPECT_NE(ToArchive(Circle{1.0}), ToArchive(Circle{std::nextafter(1.0, 2.0)}));
}

// Two releases of one struct.
struct Old {
  int kept = 1;
  std::string dropped = "old";
  std::vector<int64_t> numbers;
  std::variant<Circle, Nothing> either;
  int retyped = 4;
  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("dropped", self.dropped);
    visit("numbers", self.numbers);
    visit("kept", self.kept);
    visit("either", self.either);
    visit("retyped", self.retyped);
  }
};
struct New {
  std::string added = "default";
  std::variant<std::string, Nothing, Circle> either;
  int kept = 0;
  std::string retyped = "default";
  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("added", self.added);
    visit("either", self.either);
    visit("kept", self.kept);
    visit("retyped", self.retyped);
  }
};

TEST(ArchiveTest, AnotherReleaseReadsWhatItKnowsAndKeepsDefaultsForTheRest) {
  Old old;
  old.kept = 42;
  old.numbers = {0, 0, 0, 8, 0};
  old.either = Circle{2.5};
  const absl::StatusOr<New> read = FromArchive<New>(ToArchive(old));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->kept, 42);
  EXPECT_EQ(read->added, "default");
  EXPECT_EQ(read->retyped, "default");
  ASSERT_TRUE(std::holds_alternative<Circle>(read->either));
  EXPECT_EQ(std::get<Circle>(read->either).radius, 2.5);
}

TEST(ArchiveTest, AnAlternativeThatThisReleaseLacksIsDataLoss) {
  New value;
  value.either = "only the new release has strings";
  EXPECT_EQ(FromArchive<Old>(ToArchive(value)).status().code(), absl::StatusCode::kDataLoss);
}

template <typename T>
struct Number {
  T value{};
  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("value", self.value);
  }
};

TEST(ArchiveTest, NumbersThatDoNotFitAreDataLoss) {
  const std::string bytes = ToArchive(Number<int64_t>{int64_t{1} << 40});
  EXPECT_TRUE(FromArchive<Number<int64_t>>(bytes).ok());
  EXPECT_EQ(FromArchive<Number<int>>(bytes).status().code(), absl::StatusCode::kDataLoss);
}

TEST(ArchiveTest, EveryTruncationIsDataLoss) {
  const std::string bytes = ToArchive(Full());
  for (size_t size = 0; size < bytes.size(); ++size) {
    ASSERT_EQ(FromArchive<Everything>(bytes.substr(0, size)).status().code(), absl::StatusCode::kDataLoss) << size;
  }
  EXPECT_EQ(FromArchive<Everything>(bytes + "x").status().code(), absl::StatusCode::kDataLoss);
}

TEST(ArchiveTest, ALengthBeyondTheArchiveDoesNotAllocate) {
  std::string bytes = ToArchive(std::vector<std::string>());
  bytes.back() = '\xff';
  bytes += "\xff\xff\xff\xff\xff\xff\xff\x7f";
  EXPECT_EQ(FromArchive<std::vector<std::string>>(bytes).status().code(), absl::StatusCode::kDataLoss);
}

TEST(ArchiveTest, ASchemaThatNestsForEverIsDataLoss) {
  std::string bytes = "HRA1";
  bytes += '\x7f';
  bytes += std::string(127, '?');
  EXPECT_EQ(FromArchive<int>(bytes).status().code(), absl::StatusCode::kDataLoss);
}

TEST(ArchiveTest, RandomCorruptionGivesAValueOrDataLossAndNothingElse) {
  constexpr uint64_t kSeed = 20260401;
  std::printf("seed %llu\n", static_cast<unsigned long long>(kSeed));
  std::mt19937_64 random(kSeed);
  Autoscaler core(HostilePolicy());
  HostileEvents(kSeed).Run(core, 20);
  const std::string good = EncodeState(core.Save());
  int refused = 0;
  for (int i = 0; i < 3000; ++i) {
    std::string bytes = good;
    for (uint64_t flips = 1 + random() % 4; flips > 0; --flips)
      bytes[random() % bytes.size()] = static_cast<char>(random());
    if (random() % 8 == 0) bytes.resize(random() % bytes.size());
    const absl::StatusOr<State> state = DecodeState(bytes);
    if (state.ok()) continue;
    ++refused;
    ASSERT_EQ(state.status().code(), absl::StatusCode::kDataLoss);
  }
  EXPECT_GT(refused, 300);
}

TEST(ArchiveTest, AStateThatIsSavedAndLoadedHasTheSameBytes) {
  Autoscaler core(HostilePolicy());
  HostileEvents(7).Run(core, 30);
  const std::string bytes = EncodeState(core.Save());
  ASSERT_FALSE(core.fleet().nodes().empty());
  const absl::StatusOr<State> state = DecodeState(bytes);
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_EQ(EncodeState(*state), bytes);
}

TEST(ArchiveTest, CountersOfLatelyThatAreSavedAndLoadedGoOnAsIfNothingHadHappened) {
  const auto after = [](int seconds) {
    NodeCounters counters;
    counters.uptime = absl::Seconds(seconds);
    counters.completed = int64_t{seconds} * seconds;
    return counters;
  };
  CounterWindow window;
  for (int seconds = 1; seconds <= CounterWindow::kSnapshots + 5; ++seconds) {
    window.Add(after(seconds));
    const auto read = FromArchive<CounterWindow>(ToArchive(window));
    ASSERT_TRUE(read.ok());
    CounterWindow loaded = *read, going_on = window;
    for (int later = seconds + 1; later <= seconds + CounterWindow::kSnapshots; ++later) {
      loaded.Add(after(later));
      going_on.Add(after(later));
      ASSERT_EQ(loaded.GoodputOver(absl::Seconds(5)).per_second, going_on.GoodputOver(absl::Seconds(5)).per_second);
    }
    EXPECT_EQ(ToArchive(loaded), ToArchive(going_on)) << seconds;
  }
  // The mean of the last five seconds of squares.
  EXPECT_EQ(window.GoodputOver(absl::Seconds(5)).per_second, (11 * 11 - 6 * 6) / 5);
}

TEST(ArchiveTest, AForecastThatIsSavedAndLoadedGoesOnAsIfNothingHadHappened) {
  forecast::DemandForecast forecast;
  const auto feed = [](forecast::DemandForecast& to, int from, int until) {
    for (int minute = from; minute < until; ++minute) {
      const double demand = 1000 + 500 * std::sin(minute / 229.0) + minute % 11;
      to.Observe(absl::UnixEpoch() + absl::Minutes(minute), demand, {.lead = absl::Minutes(3)});
    }
  };
  feed(forecast, 0, 2500);
  const std::string bytes = ToArchive(forecast);
  EXPECT_LT(bytes.size(), 500'000u);
  auto loaded = FromArchive<forecast::DemandForecast>(bytes);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(ToArchive(*loaded), bytes);
  feed(forecast, 2500, 2600);
  feed(*loaded, 2500, 2600);
  EXPECT_EQ(ToArchive(*loaded), ToArchive(forecast));
  EXPECT_EQ(loaded->Ahead(absl::Minutes(3))->upper, forecast.Ahead(absl::Minutes(3))->upper);
}

// As written by a release that has options and nothing else that we know.
struct OtherForecaster {
  forecast::ForecasterOptions options{absl::Minutes(1), {1, 2, 4, 6, 9, 12}};
  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("options", self.options);
  }
};

TEST(ArchiveTest, AForecastOfAnotherShapeIsNotUsed) {
  const auto loaded = FromArchive<forecast::Forecaster>(ToArchive(OtherForecaster{}));
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_FALSE(loaded->IsWhole());
}

TEST(ArchiveTest, TenThousandNodesAreSavedInWellUnderASecond) {
  Autoscaler core(HostilePolicy());
  const absl::Time start = absl::FromUnixSeconds(1'700'000'000);
  for (int n = 0; n < 10'000; ++n) {
    const NodeId id = absl::StrCat("node-", n);
    NodeHello hello;
    hello.boot_id = "boot";
    core.Observe(start, NodeJoined{id, hello});
    for (int i = 1; i <= 5; ++i) {
      NodeReport report;
      report.boot_id = "boot";
      report.sequence = static_cast<uint64_t>(i);
      report.open_count = 100 + n % 50;
      report.counters.uptime = absl::Seconds(i);
      report.counters.completed = 100 * i;
      for (int k = 0; k < 40; ++k) report.counters.latency.counts[static_cast<size_t>(30 + k)] = 1000 * i + k;
      core.Observe(start + absl::Seconds(i), NodeReported{id, report});
    }
  }
  const absl::Time began = absl::Now();
  const std::string bytes = EncodeState(core.Save());
  const absl::Duration saving = absl::Now() - began;
  const absl::StatusOr<State> state = DecodeState(bytes);
  const absl::Duration both = absl::Now() - began;
  std::printf("10,000 nodes: %zu bytes, saved in %s, loaded in %s\n", bytes.size(),
              absl::FormatDuration(saving).c_str(), absl::FormatDuration(both - saving).c_str());
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_EQ(state->fleet.nodes().size(), 10'000u);
  EXPECT_LT(saving, absl::Seconds(5)) << "a shared machine is slow, but not so slow";
}

// A cluster of one node that has seen two busy days.
State OfTwoDays() {
  Policy policy;
  Autoscaler core(policy);
  absl::Time now = absl::FromUnixSeconds(1'700'000'000);
  NodeHello hello;
  hello.boot_id = "boot";
  hello.configured_count_max = 200;
  core.Observe(now, NodeJoined{"node", hello});
  std::mt19937_64 random(7);
  NodeReport report;
  report.boot_id = "boot";
  report.limits.connection_count_max = 200;
  constexpr absl::Duration kStep = absl::Seconds(5);
  for (int i = 0; i < 2 * 17'280; ++i) {
    ++report.sequence;
    report.open_count = 100 + static_cast<int64_t>(60 * std::sin(i * 0.0007)) + static_cast<int64_t>(random() % 20);
    report.active_count = report.open_count / 10;
    report.counters.uptime += kStep;
    report.counters.completed += report.open_count * 5;
    report.counters.accepted += report.open_count;
    report.counters.sent_bytes += report.open_count * 5000 + static_cast<int64_t>(random() % 1000);
    report.counters.errors += random() % 7 == 0 ? 1 : 0;
    report.counters.cpu_time += absl::Milliseconds(report.open_count);
    report.counters.latency.Add(absl::Microseconds(static_cast<int64_t>(10'000 + random() % 10'000)));
    core.Observe(now += kStep, NodeReported{"node", report});
    (void)core.Tick(now);
  }
  return core.Save();
}

TEST(RecordsTest, TheStateOfAClusterThatHasSeenDaysIsUnderHalfAMegabyteBesideItsNodes) {
  State state = OfTwoDays();
  const size_t whole = EncodeState(state).size();
  state.fleet = {};  // what is learned of a node lives at the node
  const size_t durable = EncodeState(state).size();
  EXPECT_LE(durable, size_t{512} << 10);
  EXPECT_GE(durable, size_t{400} << 10) << "it remembers its demand";
  EXPECT_LE(whole - durable, 20'000u);
}

TEST(RecordsTest, DecisionsThatDifferOnlyInTimeNumberLooksAndRenewalsSayTheSame) {
  Decision first, second;
  first.sequence = 1;
  second.sequence = 2;
  second.at = absl::UnixEpoch() + absl::Hours(1);
  second.next_tick = second.at + absl::Seconds(1);
  GrantLimits renewal;
  renewal.renewal = true;
  second.actions.push_back({"a", 1, "node", {}, renewal});
  second.actions.push_back({"b", 1, "", {}, ListMachines{}});
  EXPECT_EQ(ContentBytes(first), ContentBytes(second));
  EXPECT_NE(CanonicalBytes(first), CanonicalBytes(second));
  second.desired_count = 3;
  EXPECT_NE(ContentBytes(first), ContentBytes(second));
}

}  // namespace
}  // namespace headroom
