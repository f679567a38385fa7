#include "controller/providers/kubernetes/kubernetes.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "tests/controller/providers/conformance/provider_under_test.h"
#include "tests/controller/providers/kubernetes/fake_cluster.h"

namespace headroom {
namespace {

using kubernetes::FakeApiServer;
using kubernetes::FakeCluster;
using kubernetes::KubernetesProvider;

class KubernetesUnderTest final : public ProviderUnderTest {
 public:
  explicit KubernetesUnderTest(FakeCluster::Kind kind) : cluster_(kind, kNodesAtFirst) { Reopen(); }
  Provider& provider() override { return *provider_; }
  std::vector<NodeId> Nodes() override { return cluster_.pods(); }
  int Asked() override { return cluster_.replicas(); }
  bool Reopen() override {
    kubernetes::Access access{.url = server().url(), .name_space = "storage"};
    access.headers = [] { return std::vector<HttpHeader>(); };
    auto provider = KubernetesProvider::Open(
        {.access = std::move(access), .workload = cluster_.reference(), .api = {.wait = [](absl::Duration) {}}});
    EXPECT_TRUE(provider.ok()) << provider.status();
    provider_ = *std::move(provider);
    return true;
  }
  int Writes() override {
    const auto requests = server().requests();
    return static_cast<int>(
        std::count_if(requests.begin(), requests.end(), [](const auto& request) { return request.method != "GET"; }));
  }
  bool Inject(Trouble trouble, Verb verb) override {
    if (trouble == Trouble::kForbidden) {
      server().Inject({.path_contains = cluster_.path(), .code = 403, .times = 1'000'000});
      return true;
    }
    FakeApiServer::Fault fault = FaultOf(trouble);
    if (verb == Verb::kList) {
      fault.method = "GET";
      fault.path_contains = cluster_.path();
      if (trouble == Trouble::kConflict || trouble == Trouble::kLostAnswer || trouble == Trouble::kPartialEffect)
        return false;
    }
    server().Inject(fault);
    return true;
  }
  bool SayUnknownWord() override {
    const std::string path = FakeCluster::PodPath(cluster_.pods()[0]);
    nlohmann::json pod = server().Get(path);
    pod["status"]["phase"] = "Hibernating";
    pod["status"]["conditions"].push_back({{"type", "NextYear"}, {"status", "Perhaps"}});
    server().Put(path, pod);
    return true;
  }
  bool ComeLate() override {
    cluster_.ComeLate();
    return true;
  }
  bool Compact() override {
    server().Compact();
    return true;
  }

 private:
  FakeApiServer& server() { return cluster_.server(); }
  // A change is the note of it (PATCH) and the number of replicas (PUT).
  static FakeApiServer::Fault FaultOf(Trouble trouble) {
    switch (trouble) {
      case Trouble::kThrottled:
        return {.method = "PUT", .path_contains = "/scale", .code = 429, .retry_after = "1"};
      case Trouble::kServerError:
        return {.method = "PATCH", .code = 500};
      case Trouble::kPartialEffect:
        return {.method = "PUT", .path_contains = "/scale", .code = 503};
      case Trouble::kLostAnswer:
        return {.method = "PUT", .path_contains = "/scale", .after_effect = true};
      case Trouble::kConflict:
        return {.method = "PUT", .path_contains = "/scale", .code = 409, .times = 2};
      case Trouble::kSilence:
        return {.path_contains = "/scale", .never_answers = true};
      case Trouble::kForbidden:
        break;
    }
    return {.code = 403};
  }

  FakeCluster cluster_;
  std::unique_ptr<KubernetesProvider> provider_;
};

}  // namespace

std::unique_ptr<ProviderUnderTest> MakeStatefulSet() {
  return std::make_unique<KubernetesUnderTest>(FakeCluster::Kind::kStatefulSet);
}

std::unique_ptr<ProviderUnderTest> MakeDeployment() {
  return std::make_unique<KubernetesUnderTest>(FakeCluster::Kind::kDeployment);
}

std::unique_ptr<ProviderUnderTest> MakeCustomResource() {
  return std::make_unique<KubernetesUnderTest>(FakeCluster::Kind::kCustom);
}

}  // namespace headroom
