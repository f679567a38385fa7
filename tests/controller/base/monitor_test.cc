#include "controller/base/monitor.h"

#include <chrono>
#include <thread>

#include <gtest/gtest.h>

namespace headroom {
namespace {

using SteadyClock = std::chrono::steady_clock;

TEST(MonitorTest, AWaitEndsWhenItIsNotified) {
  Monitor monitor;
  bool done = false;
  std::thread other([&] {
    MonitorLock lock(monitor);
    done = true;
    monitor.Notify();
  });
  {
    MonitorLock lock(monitor);
    while (!done) monitor.Wait(absl::InfiniteDuration());
  }
  other.join();
}

TEST(MonitorTest, AWaitEndsByItself) {
  Monitor monitor;
  MonitorLock lock(monitor);
  const auto until = SteadyClock::now() + std::chrono::milliseconds(20);
  while (SteadyClock::now() < until) monitor.Wait(absl::Milliseconds(5));
  monitor.Wait(absl::InfinitePast() - absl::UnixEpoch());  // less than nothing
}

}  // namespace
}  // namespace headroom
