#include "storage_node/sampler/sampler.h"

#include <gtest/gtest.h>

#include "tests/storage_node/sampler/crowd.h"

namespace headroom {
namespace {

constexpr absl::Time kStart = absl::FromUnixSeconds(1000);

TEST(SamplerTest, KnowsItsListenersAndTheProcess) {
  CrowdedListener own(8), foreign(4);
  own.Come(3);
  foreign.Come(2);
  Sampler sampler(
      {.own_listeners = {own.socket_fd()}, .listener_ports = {foreign.port()}, .sole_reporter = SoleReporter::kNo});
  ASSERT_TRUE(Eventually([&] { return sampler.Sample(kStart).listener.accept_queue_count() == 5; }));
  const KernelSample sample = sampler.Sample(kStart);
  EXPECT_EQ(sample.listener.accept_queue_count_max(), 12);
  EXPECT_FALSE(sample.listener.has_overflow_count());
  EXPECT_GT(sample.resources.fd_count(), 0);
  EXPECT_GT(sample.resources.fd_count_max(), sample.resources.fd_count());
  EXPECT_GT(sample.resources.memory_bytes(), 1 << 20);
  EXPECT_GT(sample.resources.memory_bytes_max(), sample.resources.memory_bytes());
  EXPECT_GT(sample.resources.cpu_count(), 0);
}

TEST(SamplerTest, CountsDescriptors) {
  const std::optional<int64_t> before = OpenDescriptorCount();
  ASSERT_TRUE(before);
  const CrowdedListener one(1), two(1), three(1);
  EXPECT_EQ(OpenDescriptorCount(), *before + 3);
}

TEST(SamplerTest, TheCostlyPartIsReadAtMostFiveTimesASecond) {
  Sampler sampler({.sole_reporter = SoleReporter::kNo});
  const int64_t before = sampler.Sample(kStart).resources.fd_count();
  const CrowdedListener one(1);
  EXPECT_EQ(sampler.Sample(kStart + absl::Milliseconds(100)).resources.fd_count(), before);
  EXPECT_EQ(sampler.Sample(kStart + absl::Milliseconds(200)).resources.fd_count(), before + 1);
}

TEST(SamplerTest, TellsNamespaceCountersWhereItIsTheSoleReporter) {
  Sampler sampler({.sole_reporter = SoleReporter::kYes});
  const KernelSample sample = sampler.Sample(kStart);
  EXPECT_TRUE(sample.listener.has_overflow_count());
  EXPECT_TRUE(sample.listener.has_segment_out_count());
  EXPECT_TRUE(sample.listener.has_retransmit_count());
}

TEST(SamplerTest, AListenerThatIsGoneIsNoFailure) {
  Sampler sampler({.own_listeners = {-1}, .listener_ports = {1}, .sole_reporter = SoleReporter::kNo});
  const KernelSample sample = sampler.Sample(kStart);
  EXPECT_EQ(sample.listener.accept_queue_count_max(), 0);
  EXPECT_GT(sample.resources.fd_count(), 0);
}

}  // namespace
}  // namespace headroom
