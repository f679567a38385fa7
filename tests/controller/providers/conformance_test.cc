// What every provider must do, whatever its nodes are.
#include <memory>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "controller/providers/provider.h"
#include "controller/providers/simulated.h"
#include "tests/controller/providers/local_cluster.h"

namespace headroom {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr absl::Duration kTimeout = absl::Seconds(20);

// A provider without nodes, and what it lives in.
class World {
 public:
  virtual ~World() = default;
  virtual Provider& provider() = 0;
};

class LocalWorld final : public World {
 public:
  LocalWorld() : provider_(cluster_.Open()) {}
  Provider& provider() override { return provider_; }

 private:
  LocalCluster cluster_;
  LocalProvider& provider_;
};

class SimulatedWorld final : public World {
 public:
  Provider& provider() override { return provider_; }

 private:
  SimulatedProvider provider_{SimulatedProviderOptions{}};
};

struct Kind {
  std::string name;
  std::unique_ptr<World> (*make)();
};

class ProviderConformance : public ::testing::TestWithParam<Kind> {
 protected:
  Provider& provider() { return world_->provider(); }
  std::vector<Machine> List() {
    const auto machines = provider().List(kTimeout);
    EXPECT_TRUE(machines.ok()) << machines.status();
    return machines.value_or(std::vector<Machine>());
  }

 private:
  std::unique_ptr<World> world_ = GetParam().make();
};

TEST_P(ProviderConformance, HasNoNodesBeforeTheFirstLaunch) {
  EXPECT_THAT(List(), IsEmpty());
}

TEST_P(ProviderConformance, ListsWhatItLaunchedWithItsAction) {
  const auto node = provider().Launch({.id = "c-1-1-0", .zone = "z"}, kTimeout);
  ASSERT_TRUE(node.ok()) << node.status();
  const auto machines = List();
  ASSERT_THAT(machines, SizeIs(1));
  EXPECT_EQ(machines[0].node, *node);
  EXPECT_EQ(machines[0].launch_id, "c-1-1-0");
  EXPECT_NE(machines[0].state, Machine::State::kStopping);
}

TEST_P(ProviderConformance, LaunchesOnceForOneAction) {
  const auto first = provider().Launch({.id = "c-1-1-0"}, kTimeout);
  const auto again = provider().Launch({.id = "c-1-1-0"}, kTimeout);
  const auto other = provider().Launch({.id = "c-1-1-1"}, kTimeout);
  ASSERT_TRUE(first.ok() && again.ok() && other.ok());
  EXPECT_EQ(*first, *again);
  EXPECT_NE(*first, *other);
  EXPECT_THAT(List(), SizeIs(2));
}

TEST_P(ProviderConformance, RefusesALaunchWithoutAnAction) {
  EXPECT_EQ(provider().Launch({.id = ""}, kTimeout).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(List(), IsEmpty());
}

TEST_P(ProviderConformance, TerminatesTheNodeThatIsNamedAndNoOther) {
  const NodeId kept = provider().Launch({.id = "a"}, kTimeout).value();
  const NodeId gone = provider().Launch({.id = "b"}, kTimeout).value();
  ASSERT_TRUE(provider().Terminate(gone, kTimeout).ok());
  const auto machines = List();
  ASSERT_THAT(machines, SizeIs(1));
  EXPECT_EQ(machines[0].node, kept);
}

TEST_P(ProviderConformance, TakesAlreadyGoneForDone) {
  const NodeId node = provider().Launch({.id = "a"}, kTimeout).value();
  EXPECT_TRUE(provider().Terminate(node, kTimeout).ok());
  EXPECT_TRUE(provider().Terminate(node, kTimeout).ok());
  EXPECT_TRUE(provider().Terminate("never-there", kTimeout).ok());
}

TEST_P(ProviderConformance, DoesNotLaunchAgainForAnActionWhoseNodeIsGone) {
  const NodeId node = provider().Launch({.id = "a"}, kTimeout).value();
  ASSERT_TRUE(provider().Terminate(node, kTimeout).ok());
  EXPECT_TRUE(provider().Launch({.id = "a"}, kTimeout).ok());
  EXPECT_THAT(List(), IsEmpty());
}

TEST_P(ProviderConformance, KeepsItsDeadlines) {
  const NodeId node = provider().Launch({.id = "a"}, kTimeout).value();
  const absl::Time begin = absl::Now();
  const absl::Status status = provider().Terminate(node, absl::ZeroDuration());
  EXPECT_TRUE(status.ok() || absl::IsDeadlineExceeded(status)) << status;
  EXPECT_LT(absl::Now() - begin, absl::Seconds(5));
  EXPECT_TRUE(provider().Terminate(node, kTimeout).ok());
}

template <class Made>
std::unique_ptr<World> Make() {
  return std::make_unique<Made>();
}

INSTANTIATE_TEST_SUITE_P(Providers, ProviderConformance,
                         ::testing::Values(Kind{"Local", &Make<LocalWorld>}, Kind{"Simulated", &Make<SimulatedWorld>}),
                         [](const auto& kind) { return kind.param.name; });

}  // namespace
}  // namespace headroom
