#include "storage_node/file_server/device_model.h"

#include <gtest/gtest.h>

namespace headroom {
namespace {

const absl::Time kStart = absl::FromUnixSeconds(1000);

TEST(DeviceModelTest, ServesAnyNumberAtOnceWithoutALimit) {
  DeviceModel device({.latency = absl::Milliseconds(20)});
  EXPECT_TRUE(device.enabled());
  for (int i = 0; i < 100; ++i) EXPECT_EQ(device.Reserve(kStart), kStart + absl::Milliseconds(20));
}

TEST(DeviceModelTest, QueuesInOrderOfArrivalBeyondItsParallelism) {
  DeviceModel device({.latency = absl::Milliseconds(10), .parallel = 2});
  EXPECT_EQ(device.Reserve(kStart), kStart + absl::Milliseconds(10));
  EXPECT_EQ(device.Reserve(kStart + absl::Milliseconds(4)), kStart + absl::Milliseconds(14));
  EXPECT_EQ(device.Reserve(kStart + absl::Milliseconds(5)), kStart + absl::Milliseconds(20)) << "waits for the first";
  EXPECT_EQ(device.Reserve(kStart + absl::Milliseconds(6)), kStart + absl::Milliseconds(24)) << "waits for the second";
  const absl::Time later = kStart + absl::Seconds(1);
  EXPECT_EQ(device.Reserve(later), later + absl::Milliseconds(10)) << "an idle device owes nothing";
}

TEST(DeviceModelTest, IsOffByDefault) {
  EXPECT_FALSE(DeviceModel({}).enabled());
}

}  // namespace
}  // namespace headroom
