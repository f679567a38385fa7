#include "controller/headroomd/leading.h"

#include <filesystem>
#include <optional>
#include <utility>

#include "controller/base/status.h"
#include "controller/server/file_watch.h"
#include "controller/server/log.h"

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

}  // namespace

absl::StatusOr<GoodPolicy> ReadPolicy(const std::string& path) {
  GoodPolicy policy;
  HR_ASSIGN_OR_RETURN(policy.config, LoadConfig(path));
  HR_ASSIGN_OR_RETURN(policy.yaml, ReadPolicyFile(path));
  return policy;
}

absl::StatusOr<std::unique_ptr<Leading>> LeadOne(const Flags& flags, const Leadership& leadership, GoodPolicy policy) {
  const std::string name = policy.config.policy.cluster;
  const bool is_live = policy.config.policy.mode == Mode::kLive;
  absl::StatusOr<FileWatch> watch = FileWatch::Open(flags.config);
  HR_ASSIGN_OR_RETURN(Cluster::Parts parts, OpenParts(flags, leadership, flags.state_dir, std::move(policy)));
  HR_ASSIGN_OR_RETURN(std::unique_ptr<Daemon> daemon, Daemon::Start(flags.daemon, std::move(parts)));
  LogStart(flags, *daemon, name, is_live ? "live" : "dry_run");
  if (!watch.ok()) LogLine(LogLevel::kWarning, "policy_not_watched").Add("error", watch.status().message());
  std::shared_ptr<Cluster> cluster = daemon->Find(name);
  return std::make_unique<OneCluster>(flags.config, std::move(watch), std::move(daemon), std::move(cluster));
}

}  // namespace headroom
