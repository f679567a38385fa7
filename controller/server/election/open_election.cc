#include "controller/server/election/open_election.h"

#include <random>
#include <utility>

#include "absl/strings/str_cat.h"

#include "controller/base/status.h"
#include "controller/providers/kubernetes/access.h"
#include "controller/providers/kubernetes/api.h"
#include "controller/server/election/etcd_election.h"
#include "controller/server/election/file_election.h"
#include "controller/server/election/kubernetes_lease.h"
#include "controller/server/election/kubernetes_state.h"

namespace headroom {
namespace {

class FileEngine final : public Election {
 public:
  explicit FileEngine(const ElectionOptions& options)
      : path_(absl::StrCat(options.state_dir, "/leader.lock")), identity_(options.identity) {}
  std::unique_ptr<Candidate> TakeCandidate() override { return std::make_unique<FileElection>(path_, identity_); }
  std::unique_ptr<StateStore> OpenState(const std::string&) override { return nullptr; }

 private:
  const std::string path_, identity_;
};

// The lease has connections of its own: its renewals wait behind nothing.
class KubernetesEngine final : public Election {
 public:
  static absl::StatusOr<std::unique_ptr<Election>> Open(const ElectionOptions& options) {
    // client-go's proportions: 15, 10 and 2 seconds.
    const LeaseTiming timing{.duration = options.lease_duration,
                             .renew_deadline = options.lease_duration * 2 / 3,
                             .retry = options.lease_duration * 2 / 15};
    HR_RETURN_IF_ERROR(CheckTiming(timing));
    HR_ASSIGN_OR_RETURN(kubernetes::Access access,
                        kubernetes::FindAccess({.path = options.kubeconfig, .context = options.context},
                                               kubernetes::ProcessEnvironment()));
    std::unique_ptr<KubernetesEngine> engine(new KubernetesEngine);
    engine->name_space_ = options.name_space.empty() ? access.name_space : options.name_space;
    engine->timing_ = timing;
    engine->identity_ = options.identity;
    HR_ASSIGN_OR_RETURN(engine->leases_, kubernetes::Api::Connect(access, {}));
    HR_ASSIGN_OR_RETURN(engine->states_, kubernetes::Api::Connect(std::move(access), {}));
    engine->lease_ = std::make_unique<KubernetesLease>(*engine->leases_, engine->name_space_, options.name);
    return engine;
  }
  std::unique_ptr<Candidate> TakeCandidate() override {
    return std::make_unique<LeaseElection>(
        *lease_, LeaseElection::Options{.identity = identity_, .timing = timing_, .seed = std::random_device()()});
  }
  std::unique_ptr<StateStore> OpenState(const std::string& cluster) override {
    return std::make_unique<KubernetesState>(*states_, name_space_, cluster);
  }

 private:
  KubernetesEngine() = default;
  std::string name_space_, identity_;
  LeaseTiming timing_;
  std::unique_ptr<kubernetes::Api> leases_, states_;
  std::unique_ptr<KubernetesLease> lease_;
};

class EtcdEngine final : public Election {
 public:
  explicit EtcdEngine(const ElectionOptions& options)
      : folder_(absl::StrCat("/headroom/", options.name)),
        elections_(options.endpoints, grpc::InsecureChannelCredentials()),
        states_(options.endpoints, grpc::InsecureChannelCredentials()),
        candidate_(
            std::make_unique<EtcdElection>(elections_, EtcdElection::Options{.key = absl::StrCat(folder_, "/leader"),
                                                                             .identity = options.identity,
                                                                             .former_identity = options.former_identity,
                                                                             .time_to_live = options.lease_duration})),
        election_(candidate_.get()) {}
  std::unique_ptr<Candidate> TakeCandidate() override { return std::move(candidate_); }
  std::unique_ptr<StateStore> OpenState(const std::string& cluster) override {
    return std::make_unique<EtcdState>(states_, *election_, absl::StrCat(folder_, "/state/", cluster));
  }

 private:
  const std::string folder_;
  etcd::Client elections_, states_;
  std::unique_ptr<EtcdElection> candidate_;
  const EtcdElection* const election_;
};

}  // namespace

// A Lease is held for all of its duration and renewed each 2/15 of it, an etcd key for 2/3 and each 1/5.
absl::Duration LeastLease(ElectionKind kind, absl::Duration left) {
  if (kind == ElectionKind::kKubernetes) return left * 15 / 13;
  if (kind == ElectionKind::kEtcd) return left * 15 / 7;
  return absl::ZeroDuration();
}

absl::StatusOr<std::unique_ptr<Election>> OpenElection(const ElectionOptions& options) {
  switch (options.kind) {
    case ElectionKind::kNone:
      return nullptr;
    case ElectionKind::kFile:
      return std::make_unique<FileEngine>(options);
    case ElectionKind::kKubernetes:
      return KubernetesEngine::Open(options);
    case ElectionKind::kEtcd:
      if (options.endpoints.empty())
        return absl::InvalidArgumentError(
            "etcd's members are missing: --etcd 10.0.0.1:2379,10.0.0.2:2379,10.0.0.3:2379");
      return std::make_unique<EtcdEngine>(options);
  }
  return nullptr;
}

}  // namespace headroom
