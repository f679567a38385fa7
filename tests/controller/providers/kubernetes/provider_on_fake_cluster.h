#pragma once

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include <gtest/gtest.h>

#include "controller/providers/kubernetes/kubernetes.h"
#include "tests/controller/providers/kubernetes/fake_cluster.h"

namespace headroom::kubernetes {

// KubernetesProviderTest: a provider on a FakeCluster.
class KubernetesProviderTest : public ::testing::Test {
 protected:
  using Kind = FakeCluster::Kind;
  static constexpr absl::Duration kPatience = absl::Seconds(20), kMoment = absl::Milliseconds(300);
  // Of a Deployment, at first.
  static constexpr char kOldest[] = "files-7d9f-31337", kSecondOldest[] = "files-7d9f-62674";

  void Start(Kind kind, int replicas = 3) {
    cluster_ = std::make_unique<FakeCluster>(kind, replicas);
    provider_ = Open();
  }
  std::unique_ptr<KubernetesProvider> Open() {
    absl::StatusOr<std::unique_ptr<KubernetesProvider>> provider = TryOpen(cluster_->reference());
    EXPECT_TRUE(provider.ok()) << provider.status();
    return provider.ok() ? *std::move(provider) : nullptr;
  }
  absl::StatusOr<std::unique_ptr<KubernetesProvider>> TryOpen(const std::string& workload) {
    Access access{.url = cluster_->server().url(), .name_space = "storage"};
    access.headers = [] { return std::vector<HttpHeader>(); };
    return KubernetesProvider::Open({.access = std::move(access),
                                     .workload = workload,
                                     .api = {.wait = [this](absl::Duration time) { waits_.push_back(time); }},
                                     .say = [this](absl::string_view text) { said_.emplace_back(text); }});
  }
  absl::StatusOr<NodeId> Launch(const ActionId& id, int64_t term = 1) {
    return provider_->Launch({.id = id, .term = term}, kPatience);
  }
  absl::Status Terminate(const NodeId& node) { return provider_->Terminate(node, kPatience); }
  std::vector<Machine> List() { return provider_->List(kPatience).value_or(std::vector<Machine>()); }
  // "files-3 launch-1", of those that were launched.
  std::vector<std::string> Launched() {
    std::vector<std::string> launched;
    for (const Machine& machine : List()) {
      if (!machine.launch_id.empty()) launched.push_back(absl::StrCat(machine.node, " ", machine.launch_id));
    }
    return launched;
  }
  std::optional<Machine::State> StateOf(const NodeId& node) {
    for (const Machine& machine : List()) {
      if (machine.node == node) return machine.state;
    }
    return std::nullopt;
  }
  std::string CostOf(const std::string& pod) {
    return cluster_->server()
        .Get(FakeCluster::PodPath(pod))
        .value("/metadata/annotations/controller.kubernetes.io~1pod-deletion-cost"_json_pointer, "");
  }
  static bool Soon(const std::function<bool()>& is_so) {
    const auto deadline = std::chrono::steady_clock::now() + absl::ToChronoSeconds(kPatience);
    while (!is_so() && std::chrono::steady_clock::now() < deadline)
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    return is_so();
  }
  int Writes() {
    const auto requests = cluster_->server().requests();
    return static_cast<int>(
        std::count_if(requests.begin(), requests.end(), [](const auto& one) { return one.method != "GET"; }));
  }

  std::vector<absl::Duration> waits_;  // of one thread, as what is said: the test's own
  std::vector<std::string> said_;
  std::unique_ptr<FakeCluster> cluster_;
  std::unique_ptr<KubernetesProvider> provider_;
};

}  // namespace headroom::kubernetes
