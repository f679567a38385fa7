#include "controller/providers/simulated.h"
#include "tests/controller/providers/conformance/provider_under_test.h"
#include "tests/controller/providers/local_cluster.h"

namespace headroom {
namespace {

std::vector<NodeId> StayingOf(Provider& provider) {
  std::vector<NodeId> nodes;
  for (const Machine& machine : provider.List(ProviderUnderTest::kPatience).value_or(std::vector<Machine>())) {
    if (machine.state != Machine::State::kStopping) nodes.push_back(machine.node);
  }
  return nodes;
}

class LocalUnderTest final : public ProviderUnderTest {
 public:
  LocalUnderTest() : provider_(&cluster_.Open()) {}
  Provider& provider() override { return *provider_; }
  std::vector<NodeId> Nodes() override { return StayingOf(*provider_); }
  bool Reopen() override {
    provider_ = &cluster_.Open();
    return true;
  }

 private:
  LocalCluster cluster_;
  LocalProvider* provider_;
};

class SimulatedUnderTest final : public ProviderUnderTest {
 public:
  Provider& provider() override { return provider_; }
  std::vector<NodeId> Nodes() override { return StayingOf(provider_); }

 private:
  SimulatedProvider provider_{SimulatedProviderOptions{}};
};

}  // namespace

std::unique_ptr<ProviderUnderTest> MakeLocal() {
  return std::make_unique<LocalUnderTest>();
}

std::unique_ptr<ProviderUnderTest> MakeSimulated() {
  return std::make_unique<SimulatedUnderTest>();
}

}  // namespace headroom
