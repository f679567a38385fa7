#include "controller/runtime/replay.h"

#include <cstdio>

#include "gtest/gtest.h"

#include "controller/runtime/records.h"
#include "tests/controller/runtime/hostile_events.h"

namespace headroom {
namespace {

class ReplayTest : public ::testing::TestWithParam<uint64_t> {
 protected:
  ReplayTest() {
    std::printf("seed %llu\n", static_cast<unsigned long long>(GetParam()));
    Autoscaler core(HostilePolicy());
    records_ = HostileEvents(GetParam()).Run(core, 120);
  }
  std::vector<Recorded> records_;
};

TEST_P(ReplayTest, TheSameRecordsGiveTheSameBytesTwice) {
  const std::string first = Replay(records_, HostilePolicy());
  ASSERT_GT(first.size(), 10'000u);
  EXPECT_EQ(Replay(records_, HostilePolicy()), first);
}

TEST_P(ReplayTest, ASavedStateInTheMiddleContinuesWithTheSameBytes) {
  const std::string whole = Replay(records_, HostilePolicy());
  for (const size_t part : {records_.size() / 7, records_.size() / 2, records_.size() - 30}) {
    const auto middle = records_.begin() + static_cast<std::ptrdiff_t>(part);
    Autoscaler core(HostilePolicy());
    std::string bytes = Replay({records_.begin(), middle}, core);
    absl::StatusOr<State> state = DecodeState(EncodeState(core.Save()));
    ASSERT_TRUE(state.ok()) << state.status();
    Autoscaler continued = Autoscaler::Load(HostilePolicy(), *std::move(state));
    bytes += Replay({middle, records_.end()}, continued);
    EXPECT_TRUE(bytes == whole) << "cut at record " << part;
  }
}

TEST_P(ReplayTest, RecordsThatWentThroughTheArchiveGiveTheSameBytes) {
  const absl::StatusOr<std::vector<Recorded>> back = DecodeRecords(EncodeRecords(records_));
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_TRUE(Replay(*back, HostilePolicy()) == Replay(records_, HostilePolicy()));
}

INSTANTIATE_TEST_SUITE_P(Seeds, ReplayTest, ::testing::Values(1u, 2u, 3u, 20260401u));

}  // namespace
}  // namespace headroom
