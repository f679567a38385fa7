#include "storage_node/gate/gate.h"

#include <atomic>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace headroom {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<ConnectionSlot> Take(Gate& gate, int count) {
  std::vector<ConnectionSlot> slots;
  for (int i = 0; i < count; ++i) {
    auto slot = gate.TryConnect();
    if (slot) slots.push_back(*std::move(slot));
  }
  return slots;
}

TEST(GateTest, AdmitsUpToTheLimitAndAgainWhenASlotIsGivenBack) {
  Gate gate({.connections = 2});
  auto slots = Take(gate, 3);
  ASSERT_EQ(slots.size(), 2u);
  EXPECT_FALSE(gate.TryConnect());
  slots.pop_back();
  EXPECT_TRUE(gate.TryConnect());
  EXPECT_EQ(gate.Read().open, 1);
  EXPECT_EQ(gate.Read().accepted, 3);
}

TEST(GateTest, ARaisedLimitAdmitsAtOnceAndALoweredOneClosesNobody) {
  Gate gate({.connections = 1});
  auto slots = Take(gate, 1);
  EXPECT_FALSE(gate.TryConnect());
  gate.SetConnectionLimit(3);
  for (auto& slot : Take(gate, 2)) slots.push_back(std::move(slot));
  EXPECT_EQ(gate.open(), 3);
  gate.SetConnectionLimit(2);
  EXPECT_EQ(gate.open(), 3);
  slots.pop_back();
  EXPECT_FALSE(gate.TryConnect()) << "2 of 2 are still held";
  slots.pop_back();
  EXPECT_TRUE(gate.TryConnect());
}

TEST(GateTest, ReservedSlotsAreThereWhenClientsHaveTakenAllTheirs) {
  Gate gate({.connections = 1});
  auto slots = Take(gate, 1);
  auto probe = gate.TryConnect(SlotClass::kReserved);
  EXPECT_TRUE(probe);
  EXPECT_EQ(gate.Read().reserved_open, 1);
  EXPECT_EQ(gate.Read().open, 1);
  EXPECT_EQ(gate.Read().accepted, 1) << "a probe is no client";
}

TEST(GateTest, ReservedSlotsHaveABoundOfTheirOwn) {
  Gate gate({.connections = 5000});
  EXPECT_EQ(gate.reserved_limit(), 100);
  gate.SetConnectionLimit(10);
  EXPECT_EQ(gate.reserved_limit(), 16);
  std::vector<ConnectionSlot> probes;
  while (auto probe = gate.TryConnect(SlotClass::kReserved)) probes.push_back(*std::move(probe));
  EXPECT_EQ(probes.size(), 16u);
  EXPECT_TRUE(gate.TryConnect());
}

TEST(GateTest, AnAbandonedSlotWasNeverAccepted) {
  Gate gate({.connections = 1});
  gate.TryConnect()->Abandon();
  EXPECT_EQ(gate.Read().accepted, 0);
  EXPECT_EQ(gate.open(), 0);
}

TEST(GateTest, RefusesRequestsBeyondTheInFlightLimitAndCountsThem) {
  Gate gate({.in_flight = 1});
  {
    auto first = gate.TryBegin();
    EXPECT_TRUE(first);
    EXPECT_FALSE(gate.TryBegin());
    EXPECT_EQ(gate.Read().in_flight, 1);
  }
  EXPECT_TRUE(gate.TryBegin());
  EXPECT_EQ(gate.Read().requests_rejected, 1);
  gate.SetInFlightLimit(0);
  std::vector<RequestSlot> slots;
  for (int i = 0; i < 100; ++i) slots.push_back(gate.TryBegin().value());
  EXPECT_EQ(gate.Read().limits.in_flight, 0);
}

TEST(GateTest, CountsWhatWasServedAndWhetherErrorsCameWhileSlotsWereFree) {
  Gate gate({.connections = 1});
  gate.Record({.status = 200, .bytes_in = 3, .bytes_out = 7, .latency = absl::Milliseconds(5)});
  gate.Record({.status = 404, .latency = absl::Milliseconds(5)});
  gate.Record({.status = 500});
  auto slot = gate.TryConnect();
  gate.Record({.status = 503});
  const GateCounters read = gate.Read();
  EXPECT_EQ(read.completed, 4);
  EXPECT_EQ(read.errors_5xx, 2);
  EXPECT_EQ(read.errors_while_slots_free, 1);
  EXPECT_EQ(read.bytes_in, 3);
  EXPECT_EQ(read.bytes_out, 7);
  EXPECT_EQ(read.latency.Total(), 4);
  EXPECT_EQ(read.latency.counts[static_cast<size_t>(LatencyHistogram::BucketOf(5000))], 2);
}

TEST(GateTest, CallsOutOncePerEpisodeOfPressure) {
  Gate gate({.connections = 20});
  std::vector<Pressure> heard;
  gate.OnPressure([&](Pressure pressure) { heard.push_back(pressure); });
  auto slots = Take(gate, 19);
  EXPECT_THAT(heard, IsEmpty());
  slots.push_back(*gate.TryConnect());
  EXPECT_THAT(heard, ElementsAre(Pressure::kLimitReached));
  gate.NoteWaiting(3, 3);
  gate.NoteWaiting(2, 5);
  EXPECT_THAT(heard, ElementsAre(Pressure::kLimitReached, Pressure::kRejecting));
  EXPECT_EQ(gate.Read().rejected, 5);
  EXPECT_EQ(gate.Read().waiting, 5);

  slots.clear();
  EXPECT_EQ(heard.size(), 2u) << "somebody still waits";
  gate.NoteWaiting(0, 0);
  EXPECT_THAT(heard, ElementsAre(Pressure::kLimitReached, Pressure::kRejecting, Pressure::kRelieved));
  slots = Take(gate, 20);
  EXPECT_EQ(heard.back(), Pressure::kLimitReached);
}

TEST(GateTest, OneSlotToAndFroAtTheLimitIsNotANewEpisode) {
  Gate gate({.connections = 100});
  int calls = 0;
  gate.OnPressure([&](Pressure) { ++calls; });
  auto slots = Take(gate, 100);
  for (int i = 0; i < 50; ++i) {
    slots.pop_back();
    slots.push_back(*gate.TryConnect());
  }
  EXPECT_EQ(calls, 1);
}

TEST(GateTest, ARaisedLimitEndsThePressure) {
  Gate gate({.connections = 2});
  std::vector<Pressure> heard;
  gate.OnPressure([&](Pressure pressure) { heard.push_back(pressure); });
  auto slots = Take(gate, 2);
  gate.SetConnectionLimit(10);
  EXPECT_THAT(heard, ElementsAre(Pressure::kLimitReached, Pressure::kRelieved));
}

TEST(GateTest, WakesTheWaiterOnceWhenASlotIsGivenBackOrTheLimitRises) {
  Gate gate({.connections = 2});
  int woken = 0;
  gate.OnSlotFree([&] { ++woken; });
  auto slots = Take(gate, 2);
  slots.pop_back();
  EXPECT_EQ(woken, 0) << "nobody asked";
  slots.push_back(*gate.TryConnect());
  EXPECT_TRUE(gate.WaitForSlot());
  slots.pop_back();
  EXPECT_EQ(woken, 1);
  slots.pop_back();
  EXPECT_EQ(woken, 1) << "one call for one wait";
  slots = Take(gate, 2);
  EXPECT_TRUE(gate.WaitForSlot());
  gate.SetConnectionLimit(3);
  EXPECT_EQ(woken, 2);
  EXPECT_FALSE(gate.WaitForSlot()) << "a slot is free: try again";
}

TEST(GateTest, ReadsBackTheLimitsInForce) {
  Gate gate({.connections = 7, .in_flight = 5, .idle_timeout = absl::Seconds(9)});
  gate.SetShedIdleMinAge(absl::Seconds(2));
  gate.SetIdleTimeout(absl::ZeroDuration());
  EXPECT_EQ(gate.limits().connections, 7);
  EXPECT_EQ(gate.limits().in_flight, 5);
  EXPECT_EQ(gate.limits().idle_timeout, absl::Milliseconds(1));
  EXPECT_EQ(gate.limits().shed_idle_min_age, absl::Seconds(2));
  gate.SetConnectionLimit(int64_t{1} << 60);
  EXPECT_EQ(gate.limits().connections, SlotCounter::kMost);
}

TEST(GateTest, NeverAdmitsMoreThanTheLimitFromManyThreadsAndEndsAtZero) {
  constexpr int kThreads = 4, kRounds = 20'000, kLimit = 3;
  Gate gate({.connections = kLimit, .in_flight = kLimit});
  std::atomic<int> connected{0}, serving{0}, most_connected{0}, most_serving{0};
  std::atomic<int64_t> admitted{0};
  const auto raise = [](std::atomic<int>& most, int value) {
    for (int seen = most.load(); seen < value && !most.compare_exchange_weak(seen, value);) {
    }
  };
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kRounds; ++i) {
        auto slot = gate.TryConnect();
        if (!slot) continue;
        ++admitted;
        raise(most_connected, ++connected);
        if (auto request = gate.TryBegin()) {
          raise(most_serving, ++serving);
          if (i % 64 == 0) std::this_thread::yield();  // so that holders overlap on one core too
          --serving;
        }
        --connected;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_LE(most_connected, kLimit);
  EXPECT_LE(most_serving, kLimit);
  EXPECT_GE(most_connected, 2) << "the threads never met";
  EXPECT_EQ(gate.open(), 0);
  EXPECT_EQ(gate.Read().in_flight, 0);
  EXPECT_EQ(gate.Read().accepted, admitted);
}

TEST(GateTest, NoWaiterIsForgottenWhileSlotsComeAndGo) {
  constexpr int kWaits = 300;
  Gate gate({.connections = 1});
  std::atomic<int> woken{0};
  gate.OnSlotFree([&] { ++woken; });
  std::atomic<bool> done{false};
  std::thread other([&] {
    while (!done) {
      auto slot = gate.TryConnect();
      std::this_thread::yield();  // with the slot in hand, so that the other finds the gate full on one core too
    }
  });
  bool forgotten = false;
  for (int waits = 0; waits < kWaits && !forgotten;) {
    if (gate.TryConnect()) continue;
    const int before = woken.load();
    if (!gate.WaitForSlot()) continue;
    ++waits;
    const absl::Time deadline = MonotonicNow() + absl::Seconds(30);
    while (woken.load() == before && MonotonicNow() < deadline) std::this_thread::yield();
    forgotten = woken.load() == before;
  }
  done = true;
  other.join();
  EXPECT_FALSE(forgotten);
}

}  // namespace
}  // namespace headroom
