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

void LiveExecutor::Resolve(const std::vector<Action>& open_intents) {
  if (open_intents.empty()) return;
  const auto resolve = [this, open_intents] {
    const absl::StatusOr<std::vector<Machine>> machines = ports_.provider.List(deadlines_.list);
    for (const Action& action : open_intents) ports_.finish(action, Resolved(action, machines));
  };
  if (!pool_.Submit(resolve)) resolve();
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

ActionFinished LiveExecutor::Launch(const Action& action) {
  const LaunchRequest request{action.id, std::get<LaunchNode>(action.body).zone, action.term};
  absl::StatusOr<NodeId> node = ports_.provider.Launch(request, deadlines_.launch);
  ActionFinished finished = ToFinished(action, node.status());
  if (node.ok()) finished.node = *std::move(node);
  return finished;
}

ActionFinished LiveExecutor::Terminate(const Action& action) {
  return ToFinished(action, ports_.provider.Terminate(action.node, deadlines_.terminate));
}

ActionFinished LiveExecutor::List(const Action& action) {
  absl::StatusOr<std::vector<Machine>> machines = ports_.provider.List(deadlines_.list);
  const absl::Status status = machines.status();
  if (machines.ok()) ports_.post(MachinesListed{*std::move(machines)}).IgnoreError();  // the next list tells the same
  return ToFinished(action, status);
}

}  // namespace headroom
