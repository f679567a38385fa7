#include "controller/headroomd/parts.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "absl/strings/str_cat.h"

#include "controller/base/address.h"
#include "controller/base/status.h"
#include "controller/providers/open_provider.h"
#include "controller/providers/simulated.h"
#include "controller/runtime/shared_journal.h"
#include "controller/runtime/sqlite_journal.h"
#include "controller/server/election/guarded_provider.h"
#include "controller/server/log.h"

namespace headroom {
namespace {

// One line of the log, that of `cluster` where there are several.
using Say = std::function<void(absl::string_view)>;
Say Sayer(const Flags& flags, LogLevel level, const std::string& event, const std::string& cluster) {
  return [level, event, label = flags.is_operator ? cluster : ""](absl::string_view text) {
    LogLine(level, event, label).Add("text", text);
  };
}

ProviderSurroundings SurroundingsOf(const Flags& flags, const Leadership& leadership, const std::string& state_dir,
                                    const std::string& cluster) {
  const bool any = flags.daemon.listen == "0.0.0.0" || flags.daemon.listen == "::";
  ProviderSurroundings surroundings{
      .state_dir = state_dir,
      .controller_address = HostPort(any ? "127.0.0.1" : flags.daemon.listen, flags.daemon.grpc_port),
      .say = Sayer(flags, LogLevel::kWarning, "provider", cluster)};
  surroundings.kubeconfig = flags.kubeconfig;
  if (leadership.elector != nullptr) surroundings.still_leads = [&leadership] { return leadership.StillLeads(); };
  return surroundings;
}

absl::StatusOr<std::unique_ptr<Journal>> OpenJournal(const std::string& state_dir, Say say) {
  SqliteJournal::Options options;
  options.state_dir = state_dir;
  options.say = std::move(say);
  HR_ASSIGN_OR_RETURN(std::unique_ptr<SqliteJournal> journal,
                      Annotate(SqliteJournal::Open(std::move(options)), absl::StrCat("--state-dir ", state_dir)));
  return std::unique_ptr<Journal>(std::move(journal));
}

// Puts between the daemon and the world what leadership asks for.
void Guard(const Leadership& leadership, const std::string& cluster, Say say, Cluster::Parts& parts) {
  if (leadership.elector == nullptr) return;
  const Elector& elector = *leadership.elector;
  if (std::unique_ptr<StateStore> store = leadership.election->OpenState(cluster); store != nullptr) {
    parts.journal = std::make_unique<SharedJournal>(
        std::move(parts.journal), std::move(store),
        SharedJournal::Options{.term_min = elector.standing().number,
                               .still_leads = [&leadership] { return leadership.StillLeads(); },
                               .say = std::move(say)});
  }
  parts.provider = std::make_unique<GuardedProvider>(
      std::move(parts.provider),
      GuardedProvider::Leadership{.time_left = [&elector] { return elector.TimeLeft(); },
                                  .led_for = [since = leadership.since] { return SteadyNow() - since; }});
}

// A simulated world is the nodes and their time, too.
absl::Status TakeProvider(const ProviderSurroundings& surroundings, Cluster::Parts& parts) {
  HR_ASSIGN_OR_RETURN(OpenedProvider opened, OpenProvider(parts.config, surroundings));
  parts.provider = std::move(opened.provider);
  parts.first_nodes = std::move(opened.first_nodes);
  SimulatedProvider* const world = opened.world;
  if (world == nullptr) return absl::OkStatus();
  parts.nodes = world;
  parts.clock = world;
  parts.clock_speed = std::max(0.001, parts.config.message.provider().simulated().speed());
  parts.start_nodes = [world](Post post) { world->Start(std::move(post)); };
  parts.stop_nodes = [world] { world->Stop(); };
  return absl::OkStatus();
}

// Who fences refuses a late call by itself; any other is only asked while leadership outlasts the call.
absl::Status CheckLease(const ElectionOptions& election, const Provider& provider) {
  const absl::Duration least = LeastLease(election.kind, GuardedProvider::kCallMax);
  if (provider.capabilities().fenced || election.lease_duration > least) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("--lease-seconds ", absl::ToInt64Seconds(election.lease_duration),
                   " is too short for a call to this provider, which does not refuse those of an earlier leader; give "
                   "--lease-seconds ",
                   absl::ToInt64Seconds(absl::Ceil(least, absl::Seconds(1))), " or more"));
}

}  // namespace

absl::StatusOr<Cluster::Parts> OpenParts(const Flags& flags, const Leadership& leadership, const std::string& state_dir,
                                         GoodPolicy policy) {
  if (policy.config.message.provider().has_local() && !flags.tls.empty()) {
    return absl::FailedPreconditionError(
        "provider local starts nodes that have no certificates of their own: run it without --tls-cert, --tls-key and "
        "--tls-ca, on loopback");
  }
  Cluster::Parts parts;
  parts.config = std::move(policy.config);
  parts.yaml = std::move(policy.yaml);
  const std::string name = parts.config.policy.cluster;
  HR_ASSIGN_OR_RETURN(parts.journal, OpenJournal(state_dir, Sayer(flags, LogLevel::kWarning, "journal", name)));
  HR_RETURN_IF_ERROR(TakeProvider(SurroundingsOf(flags, leadership, state_dir, name), parts));
  HR_RETURN_IF_ERROR(CheckLease(flags.election, *parts.provider));
  Guard(leadership, name, Sayer(flags, LogLevel::kError, "state", name), parts);
  return parts;
}

}  // namespace headroom
