// A controller that is killed at every write of a surge, up and down, and started again.

#include <atomic>
#include <cstdlib>
#include <string>
#include <vector>

#include <gmock/gmock.h>

#include "tests/ha/ha_case.h"

namespace headroom {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class KillTest : public HaTest, public ::testing::WithParamInterface<int> {
 protected:
  static constexpr int kNodesMax = 6;
  KillTest() : HaTest(1, kNodesMax) {}

  // The numbers of replicas that were asked for, in order.
  std::vector<int> Scales() const {
    std::vector<int> scales;
    for (const FakeApiServer::Request& request : server().requests()) {
      if (request.method == "PUT" && absl::EndsWith(request.path, "/scale") && request.code == 200)
        scales.push_back(request.body.value("/spec/replicas"_json_pointer, 0));
    }
    return scales;
  }
  // Kills the controller as this write of the workload takes effect, before it hears of it.
  void KillAt(int write) {
    server().OnWrite([this, write](const FakeApiServer::Request& request) {
      if (absl::StrContains(request.path, "/statefulsets/files") && ++writes_ == write) {
        Daemon(0).Signal(SIGKILL);
        killed_ = true;
      }
    });
  }
  // Until it holds; a controller that was killed is started again.
  bool Comes(const std::function<bool()>& holds) {
    return Eventually(
        [&] {
          if (killed_.exchange(false)) {
            Daemon(0).Wait();
            Start(0);
          }
          return holds();
        },
        absl::Minutes(3));
  }
  bool Reaches(int replicas) {
    return Comes([&] { return cluster_.replicas() == replicas; });
  }

  std::atomic<int> writes_{0};
  std::atomic<bool> killed_{false};
};

TEST_P(KillTest, NothingIsLaunchedOrRemovedTwice) {
  KillAt(GetParam());
  StartAll();
  reporters_->Demand(150);
  ASSERT_TRUE(Comes([&] { return !killed_ && reporters_->terms().size() >= 1; }));
  absl::SleepFor(absl::Seconds(1));
  reporters_->Demand(900);  // more than all nodes carry
  ASSERT_TRUE(Reaches(kNodesMax));
  absl::SleepFor(absl::Seconds(2));
  reporters_->Demand(150);
  ASSERT_TRUE(Reaches(3));
  absl::SleepFor(absl::Seconds(2));
  EXPECT_GE(writes_, GetParam()) << "it was never killed";
  EXPECT_THAT(Scales(), ElementsAre(4, 5, 6, 5, 4, 3));
  EXPECT_THAT(reporters_->undrained(), IsEmpty());
}

// Each launch and each removal is two writes; the fence of each life is one more. $HEADROOM_EVERY_WRITE: all of them.
std::vector<int> Writes() {
  if (std::getenv("HEADROOM_EVERY_WRITE") != nullptr) return {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13};
  return {1, 2, 6, 9};
}
INSTANTIATE_TEST_SUITE_P(AtWrite, KillTest, ::testing::ValuesIn(Writes()));

}  // namespace
}  // namespace headroom
