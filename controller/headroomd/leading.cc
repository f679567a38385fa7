#include "controller/headroomd/leading.h"

#include <filesystem>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include <unistd.h>

#include "controller/base/status.h"
#include "controller/providers/kubernetes/access.h"
#include "controller/providers/kubernetes/api.h"
#include "controller/server/file_watch.h"
#include "controller/server/log.h"
#include "controller/server/operator/operator.h"

namespace headroom {
namespace {

void LogStart(const Flags& flags, const Daemon& daemon, absl::string_view cluster, absl::string_view mode) {
  LogLine(LogLevel::kInfo, "started")
      .Add("cluster", cluster)
      .Add("mode", mode)
      .Add("listen", flags.daemon.listen)
      .Add("wire", flags.tls.empty() ? "plaintext" : "tls")
      .Add("grpc_port", int64_t{daemon.grpc_port()})
      .Add("http_port", int64_t{daemon.http_port()})
      .Add("state_dir", std::filesystem::absolute(flags.state_dir).string())
      .Add("version", HEADROOM_VERSION);
}

class OneCluster final : public Leading {
 public:
  OneCluster(std::string path, absl::StatusOr<FileWatch> watch, std::unique_ptr<Daemon> daemon,
             std::shared_ptr<Cluster> cluster)
      : path_(std::move(path)), watch_(std::move(watch)), daemon_(std::move(daemon)), cluster_(std::move(cluster)) {}

  int fd() const override { return watch_.ok() ? watch_->fd() : -1; }
  bool Changed() override { return watch_.ok() && watch_->Changed(); }
  void Reload() override { cluster_->ReloadPolicy(path_).IgnoreError(); }  // it has said so
  absl::Status CheckHealth() override { return daemon_->CheckHealth(); }

 private:
  const std::string path_;
  absl::StatusOr<FileWatch> watch_;
  const std::unique_ptr<Daemon> daemon_;
  const std::shared_ptr<Cluster> cluster_;
};

// The operator's health, as long as there is one: probes ask the daemon, which outlives it.
class OperatorHealth {
 public:
  void Set(const Operator* asked) {
    absl::MutexLock lock(&mutex_);
    operator_ = asked;
  }
  absl::Status Get() const {
    absl::MutexLock lock(&mutex_);
    return operator_ == nullptr ? absl::OkStatus() : operator_->Health();
  }

 private:
  mutable absl::Mutex mutex_;
  const Operator* operator_ ABSL_GUARDED_BY(mutex_) = nullptr;
};

class ManyClusters final : public Leading {
 public:
  ManyClusters(std::unique_ptr<kubernetes::Api> api, std::shared_ptr<OperatorHealth> health,
               std::unique_ptr<Daemon> daemon)
      : api_(std::move(api)), health_(std::move(health)), daemon_(std::move(daemon)) {}
  ~ManyClusters() override { health_->Set(nullptr); }
  void Begin(Operator::Options options) {
    operator_.emplace(*api_, *daemon_, std::move(options));
    health_->Set(&*operator_);
  }

  absl::Status CheckHealth() override { return daemon_->CheckHealth(); }

 private:
  const std::unique_ptr<kubernetes::Api> api_;
  const std::shared_ptr<OperatorHealth> health_;
  const std::unique_ptr<Daemon> daemon_;
  std::optional<Operator> operator_;
};

std::string HostName() {
  char name[256] = "";
  return gethostname(name, sizeof name - 1) == 0 ? name : "headroomd";
}

// The state of a cluster is in a folder of its own, named as the cluster is: that of a journal shared is, too.
Operator::Open Opener(const Flags& flags, const Leadership& leadership) {
  return [flags, &leadership](const ObjectKey&, Config config, std::string yaml) {
    const std::string folder = absl::StrCat(flags.state_dir, "/clusters/", config.policy.cluster);
    std::error_code ignored;  // the journal says it better
    std::filesystem::create_directories(folder, ignored);
    return OpenParts(flags, leadership, folder, {std::move(config), std::move(yaml)});
  };
}

}  // namespace

absl::StatusOr<GoodPolicy> ReadPolicy(const std::string& path) {
  GoodPolicy policy;
  HR_ASSIGN_OR_RETURN(policy.yaml, ReadPolicyFile(path));
  HR_ASSIGN_OR_RETURN(policy.config, ParseConfig(policy.yaml, path));
  return policy;
}

absl::StatusOr<std::unique_ptr<Leading>> LeadOne(const Flags& flags, const Leadership& leadership, GoodPolicy policy) {
  const std::string name = policy.config.policy.cluster;
  const bool is_live = policy.config.policy.mode == Mode::kLive;
  absl::StatusOr<FileWatch> watch = FileWatch::Open(flags.config, policy.yaml);
  HR_ASSIGN_OR_RETURN(Cluster::Parts parts, OpenParts(flags, leadership, flags.state_dir, std::move(policy)));
  HR_ASSIGN_OR_RETURN(std::unique_ptr<Daemon> daemon, Daemon::Start(flags.daemon, std::move(parts)));
  LogStart(flags, *daemon, name, is_live ? "live" : "dry_run");
  if (!watch.ok()) LogLine(LogLevel::kWarning, "policy_not_watched").Add("error", watch.status().message());
  std::shared_ptr<Cluster> cluster = daemon->Find(name);
  auto leading = std::make_unique<OneCluster>(flags.config, std::move(watch), std::move(daemon), std::move(cluster));
  if (leading->Changed()) leading->Reload();  // between the reading and the watching
  return leading;
}

absl::StatusOr<std::unique_ptr<Leading>> LeadMany(const Flags& flags, const Leadership& leadership) {
  HR_ASSIGN_OR_RETURN(
      kubernetes::Access access,
      Annotate(kubernetes::FindAccess({.path = flags.kubeconfig}, kubernetes::ProcessEnvironment()), "--operator"));
  std::vector<std::string> namespaces = flags.namespaces;
  if (namespaces.empty()) namespaces.push_back(access.name_space);
  HR_ASSIGN_OR_RETURN(std::unique_ptr<kubernetes::Api> api, kubernetes::Api::Connect(std::move(access), {}));
  const auto health = std::make_shared<OperatorHealth>();
  Daemon::Options options = flags.daemon;
  options.keeper_health = [health] { return health->Get(); };
  HR_ASSIGN_OR_RETURN(std::unique_ptr<Daemon> daemon, Daemon::Start(options));
  LogStart(flags, *daemon, "", "operator");
  auto leading = std::make_unique<ManyClusters>(std::move(api), health, std::move(daemon));
  const auto reach = flags.allow_foreign_providers ? Operator::Reach::kBeyondTheCluster : Operator::Reach::kTheCluster;
  leading->Begin(
      {.namespaces = std::move(namespaces), .reach = reach, .instance = HostName(), .open = Opener(flags, leadership)});
  return leading;
}

}  // namespace headroom
