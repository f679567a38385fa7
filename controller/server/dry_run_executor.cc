#include "controller/server/dry_run_executor.h"

#include <utility>

namespace headroom {
namespace {

// One thread waits out lead times while another is in a list.
constexpr WorkerPool::Options kPool{.threads = 2, .queue_max = 10'000};
constexpr absl::Duration kListTimeout = absl::Seconds(20);

}  // namespace

DryRunExecutor::DryRunExecutor(Ports ports, absl::Duration lead_time)
    : ports_(std::move(ports)), lead_time_nanos_(absl::ToInt64Nanoseconds(lead_time)), pool_(kPool) {}

void DryRunExecutor::Start(const Action& action) {
  if (std::holds_alternative<ListMachines>(action.body)) {
    if (pool_.Submit([this, action] { List(action); })) return;
    ports_.finish(action, ToFinished(action, absl::UnavailableError("too much waits to be done")));
    return;
  }
  const auto answer = [this, action] {
    ActionFinished finished = ToFinished(action, absl::OkStatus());
    finished.hypothetical = true;
    ports_.finish(action, std::move(finished));
  };
  const bool later = std::holds_alternative<LaunchNode>(action.body) &&
                     pool_.Submit(answer, absl::Nanoseconds(lead_time_nanos_.load()));
  if (!later) answer();
}

void DryRunExecutor::List(const Action& action) {
  absl::StatusOr<std::vector<Machine>> machines = ports_.lister.List(kListTimeout);
  const absl::Status status = machines.status();
  if (machines.ok()) ports_.post(MachinesListed{*std::move(machines)}).IgnoreError();  // the next list tells the same
  ports_.finish(action, ToFinished(action, status));
}

}  // namespace headroom
