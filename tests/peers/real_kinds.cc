// The kinds of the suite on a real API server with its controllers: HEADROOM_PEER_KUBECONFIG is its administrator, and
// somebody plays the kubelets (kubernetes_conformance_test.py).
#include <atomic>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include <gtest/gtest.h>

#include "controller/base/check.h"
#include "controller/providers/kubernetes/kubernetes.h"
#include "tests/controller/providers/conformance/provider_under_test.h"

namespace headroom {
namespace {

using kubernetes::Access;
using kubernetes::Api;
using kubernetes::ApiCall;
using kubernetes::Json;
using kubernetes::KubernetesProvider;

constexpr char kUser[] = "headroom-under-test";  // as control_plane.py names it

// One workload in a namespace of its own.
class RealWorkload final : public ProviderUnderTest {
 public:
  explicit RealWorkload(const std::string& plural) : plural_(plural) {
    static std::atomic<int> made = 0;
    space_ = absl::StrCat("conformance-", absl::ToUnixSeconds(absl::Now()), "-", ++made);
    admin_ = *Api::Connect(Credentials("HEADROOM_PEER_KUBECONFIG"), {});
    Do("POST", "/api/v1/namespaces", {{"metadata", {{"name", space_}}}});
    Do("POST", Bindings(), Binding());
    Do("POST", absl::StrCat("/apis/apps/v1/namespaces/", space_, "/", plural_), Workload());
    Nodes();
    Reopen();
  }
  ~RealWorkload() override {
    Calm();
    provider_.reset();
    Call({.method = "DELETE", .path = Path()}).IgnoreError();
  }

  Provider& provider() override { return *provider_; }
  // Once all that was asked for is there, and all else is gone.
  std::vector<NodeId> Nodes() override {
    const absl::Time end = absl::Now() + 3 * kPatience;
    while (absl::Now() < end) {
      if (const auto settled = Settled(); settled.has_value()) return *settled;
      absl::SleepFor(kPause);
    }
    ADD_FAILURE() << space_ << " does not settle: " << Get(Pods()).dump().substr(0, 2000);
    return {};
  }
  int Asked() override { return static_cast<int>(kubernetes::Number(Get(Path() + "/scale"), {"spec", "replicas"})); }
  bool Reopen() override {
    auto provider = Open();
    // The server's authorizer may have yet to hear of the binding.
    for (const absl::Time end = absl::Now() + kPatience; !provider.ok() && absl::Now() < end; provider = Open())
      absl::SleepFor(kPause);
    EXPECT_TRUE(provider.ok()) << provider.status();
    provider_ = *std::move(provider);
    return true;
  }
  bool Inject(Trouble trouble, Verb verb) override {
    if (trouble == Trouble::kForbidden) {
      Do("DELETE", Bindings() + "/headroom", Json());
      return IsForbiddenSoon();
    }
    if (trouble != Trouble::kConflict || verb == Verb::kList) return false;
    Disturb();
    return true;
  }

 private:
  static constexpr absl::Duration kPause = absl::Milliseconds(50);

  absl::StatusOr<std::unique_ptr<KubernetesProvider>> Open() const {
    return KubernetesProvider::Open({.access = Credentials("HEADROOM_PEER_KUBECONFIG_OF_USER"),
                                     .name_space = space_,
                                     .workload = absl::StrCat(plural_.substr(0, plural_.size() - 1), "/files")});
  }
  static Access Credentials(const char* variable) {
    const char* path = std::getenv(variable);
    HR_CHECK(path != nullptr);
    return *kubernetes::ReadKubeconfig({.path = path}, {});
  }
  absl::Status Call(const ApiCall& call) { return admin_->Call(call).status(); }
  void Do(const std::string& method, const std::string& path, const Json& body) {
    const absl::Status done = Call({.method = method, .path = path, .body = body});
    EXPECT_TRUE(done.ok()) << done;
  }
  // What there is. A server that is busy is asked again: no answer does not mean that there is nothing.
  Json Get(const std::string& path) {
    absl::StatusOr<Json> found = admin_->Call({.path = path});
    for (const absl::Time end = absl::Now() + kPatience; !found.ok() && absl::Now() < end;
         found = admin_->Call({.path = path}))
      absl::SleepFor(kPause);
    EXPECT_TRUE(found.ok()) << found.status();
    return found.value_or(Json());
  }
  std::string Pods() const { return absl::StrCat("/api/v1/namespaces/", space_, "/pods"); }
  std::string Path() const { return absl::StrCat("/apis/apps/v1/namespaces/", space_, "/", plural_, "/files"); }
  std::string Bindings() const {
    return absl::StrCat("/apis/rbac.authorization.k8s.io/v1/namespaces/", space_, "/rolebindings");
  }
  static Json Binding() {
    return {
        {"metadata", {{"name", "headroom"}}},
        {"roleRef", {{"apiGroup", "rbac.authorization.k8s.io"}, {"kind", "ClusterRole"}, {"name", "cluster-admin"}}},
        {"subjects", {{{"apiGroup", "rbac.authorization.k8s.io"}, {"kind", "User"}, {"name", kUser}}}}};
  }
  Json Workload() const {
    Json spec = {
        {"replicas", kNodesAtFirst},
        {"selector", {{"matchLabels", {{"app", "files"}}}}},
        {"template",
         {{"metadata", {{"labels", {{"app", "files"}}}}},
          {"spec",
           {{"terminationGracePeriodSeconds", 1}, {"containers", {{{"name", "files"}, {"image", "files"}}}}}}}}};
    if (plural_ == "statefulsets") spec["serviceName"] = "files";
    return {{"metadata", {{"name", "files"}}}, {"spec", spec}};
  }
  std::optional<std::vector<NodeId>> Settled() {
    std::vector<NodeId> names;
    const Json list = Get(Pods());
    for (const Json& object : kubernetes::Part(list, {"items"})) {
      const kubernetes::Pod pod = kubernetes::PodOf(object);
      if (pod.leaving || !pod.ready) return std::nullopt;
      names.push_back(pod.name);
    }
    if (static_cast<int>(names.size()) != Asked()) return std::nullopt;
    return names;
  }
  // The server's authorizer watches the bindings.
  bool IsForbiddenSoon() {
    const auto user = *Api::Connect(Credentials("HEADROOM_PEER_KUBECONFIG_OF_USER"), {});
    const absl::Time end = absl::Now() + kPatience;
    while (absl::Now() < end) {
      if (absl::IsPermissionDenied(user->Call({.path = Path()}).status())) return true;
      absl::SleepFor(absl::Milliseconds(20));
    }
    return false;
  }
  // Somebody who touches the workload all the time, for as long as a few tries take.
  void Disturb() {
    Calm();
    other_ = std::thread([this] {
      for (int i = 0; i < 60; ++i) {
        const Json touched = {{"metadata", {{"annotations", {{"somebody/else", absl::StrCat(i)}}}}}};
        Call({.method = "PATCH", .path = Path(), .content_type = "application/merge-patch+json", .body = touched})
            .IgnoreError();
      }
    });
    absl::SleepFor(absl::Milliseconds(20));
  }
  void Calm() {
    if (other_.joinable()) other_.join();
  }

  const std::string plural_;
  std::string space_;
  std::unique_ptr<Api> admin_;
  std::unique_ptr<KubernetesProvider> provider_;
  std::thread other_;
};

std::unique_ptr<ProviderUnderTest> MakeRealStatefulSet() {
  return std::make_unique<RealWorkload>("statefulsets");
}
std::unique_ptr<ProviderUnderTest> MakeRealDeployment() {
  return std::make_unique<RealWorkload>("deployments");
}

}  // namespace

std::vector<ProviderKind> KindsUnderTest() {
  return {{"RealStatefulSet", &MakeRealStatefulSet, {.named_termination = false, .zones = false, .fenced = true}},
          {"RealDeployment", &MakeRealDeployment, {.named_termination = true, .zones = false, .fenced = true}}};
}

}  // namespace headroom
