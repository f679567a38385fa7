#include "controller/server/live_executor.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

#include "controller/base/status.h"

namespace headroom {
namespace {

constexpr WorkerPool::Options kPool{.threads = 4, .queue_max = 1000};

ActionFinished Resolved(const Action& action, const absl::StatusOr<std::vector<Machine>>& machines) {
  if (!machines.ok()) return ToFinished(action, Annotate(machines.status(), "list machines after a restart"));
  const bool launch = std::holds_alternative<LaunchNode>(action.body);
  const auto found = std::find_if(machines->begin(), machines->end(), [&](const Machine& machine) {
    return launch ? machine.launch_id == action.id : machine.node == action.node;
  });
  const bool done = launch == (found != machines->end());
  if (!done) {
    return ToFinished(action, absl::UnavailableError("the controller restarted before this was carried out"));
  }
  ActionFinished finished = ToFinished(action, absl::OkStatus());
  if (launch) finished.node = found->node;
  return finished;
}

}  // namespace

ActionFinished ToFinished(const Action& action, const absl::Status& status) {
  return {.id = action.id, .code = status.code(), .message = std::string(status.message())};
}

LiveExecutor::LiveExecutor(Ports ports, ProviderDeadlines deadlines)
    : ports_(std::move(ports)), deadlines_(deadlines), pool_(kPool), terminations_(kPool) {}

void LiveExecutor::Start(const Action& action) {
  if (std::holds_alternative<LaunchNode>(action.body)) {
    Dispatch(pool_, action, [this](const Action& launch) { return Launch(launch); });
  } else if (std::holds_alternative<TerminateNode>(action.body)) {
    Dispatch(terminations_, action, [this](const Action& terminate) { return Terminate(terminate); });
  } else if (std::holds_alternative<ListMachines>(action.body)) {
    Dispatch(pool_, action, [this](const Action& list) { return List(list); });
  } else {
    const absl::Status sent = ports_.nodes.Send(action);
    // A node that is away is no fault of anybody: the next tick sees it and decides anew.
    ports_.finish(action, ToFinished(action, sent.ok() ? sent : absl::UnavailableError(sent.message())));
  }
}

void LiveExecutor::Resolve(const std::vector<Action>& open_intents, std::function<int64_t()> term) {
  if (open_intents.empty()) return;
  const auto resolve = [this, open_intents, term = std::move(term)] { TryToResolve(open_intents, term, 1); };
  if (!pool_.Submit(resolve)) resolve();
}

absl::StatusOr<std::vector<Machine>> LiveExecutor::Look(int64_t term) {
  if (term > 0) HR_RETURN_IF_ERROR(Fence(term));
  return ports_.provider.List(deadlines_.list);
}

void LiveExecutor::TryToResolve(const std::vector<Action>& open_intents, const std::function<int64_t()>& term,
                                int tries) {
  const absl::StatusOr<std::vector<Machine>> machines = Look(term());
  const auto again = [this, open_intents, term, tries] { TryToResolve(open_intents, term, tries + 1); };
  if (!machines.ok() && tries < deadlines_.looks_max && pool_.Submit(again, deadlines_.look_pause)) return;
  for (const Action& action : open_intents) ports_.finish(action, Resolved(action, machines));
}

void LiveExecutor::Dispatch(WorkerPool& pool, const Action& action, std::function<ActionFinished(const Action&)> work) {
  const bool queued = pool.Submit([this, action, era = era_.load(), work = std::move(work)] {
    const bool dropped = ChangesMachines(action) && era != era_;
    ports_.finish(action, dropped ? ToFinished(action, absl::UnavailableError("it was disabled before it was asked"))
                                  : work(action));
  });
  if (queued) return;
  ports_.finish(action, ToFinished(action, absl::UnavailableError(absl::StrCat("more than ", kPool.queue_max,
                                                                               " calls wait for the provider"))));
}

absl::Status LiveExecutor::Fence(int64_t term) {
  const MonitorLock lock(fence_mutex_);
  if (term <= fenced_term_) return absl::OkStatus();
  HR_ASSIGN_OR_RETURN(const int64_t seen, Annotate(ports_.provider.Fence(term, deadlines_.list), "fence"));
  if (seen > term) {
    if (ports_.saw_term) ports_.saw_term(seen);
    return absl::UnavailableError(
        absl::StrCat("a controller of term ", seen, " has acted on these nodes; this one takes a higher term first"));
  }
  fenced_term_ = term;
  return absl::OkStatus();
}

ActionFinished LiveExecutor::Launch(const Action& action) {
  if (const absl::Status fenced = Fence(action.term); !fenced.ok()) return ToFinished(action, fenced);
  const LaunchRequest request{action.id, std::get<LaunchNode>(action.body).zone, action.term};
  absl::StatusOr<NodeId> node = ports_.provider.Launch(request, deadlines_.launch);
  ActionFinished finished = ToFinished(action, node.status());
  if (node.ok()) finished.node = *std::move(node);
  return finished;
}

ActionFinished LiveExecutor::Terminate(const Action& action) {
  if (const absl::Status fenced = Fence(action.term); !fenced.ok()) return ToFinished(action, fenced);
  return ToFinished(action, ports_.provider.Terminate(action.node, deadlines_.terminate));
}

ActionFinished LiveExecutor::List(const Action& action) {
  if (const absl::Status fenced = Fence(action.term); !fenced.ok()) return ToFinished(action, fenced);
  absl::StatusOr<std::vector<Machine>> machines = ports_.provider.List(deadlines_.list);
  const absl::Status status = machines.status();
  if (machines.ok()) ports_.post(MachinesListed{*std::move(machines)}).IgnoreError();  // the next list tells the same
  return ToFinished(action, status);
}

}  // namespace headroom
