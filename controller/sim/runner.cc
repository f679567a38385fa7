#include "controller/sim/runner.h"

#include <algorithm>
#include <string>

#include "controller/base/check.h"
#include "controller/sim/cluster_model.h"

namespace headroom::sim {
namespace {

ActionFinished Finished(const Action& action, const absl::Status& status) {
  return {.id = action.id, .code = status.code(), .message = std::string(status.message())};
}

}  // namespace

// Carries decisions out in the simulated cluster.
class SimRunner::LiveExecutor final : public Executor {
 public:
  explicit LiveExecutor(SimRunner& run) : run_(run) {}

  void Start(const Action& action) override {
    if (std::holds_alternative<ListMachines>(action.body)) return run_.List(action);
    if (ChangesMachines(action)) {
      run_.After(run_.scenario_.provider_latency, [this, action] { run_.Post(ChangeMachines(action)); });
    } else {
      run_.After(absl::ZeroDuration(),
                 [&run = run_, finished = Finished(action, run_.cluster_.Send(action))] { run.Post(finished); });
    }
  }

 private:
  ActionFinished ChangeMachines(const Action& action) {
    ActionFinished finished = Finished(action, absl::OkStatus());
    if (const auto* launch = std::get_if<LaunchNode>(&action.body)) {
      finished.node = run_.cluster_.Launch(action.id, launch->zone);
    } else {
      run_.cluster_.model().Terminate(action.node).IgnoreError();  // already gone is done
    }
    return finished;
  }

  SimRunner& run_;
};

// Answers what would have become of an action; only lists are real. Mirrors the daemon's.
class SimRunner::DryRunExecutor final : public Executor {
 public:
  explicit DryRunExecutor(SimRunner& run) : run_(run) {}

  void Start(const Action& action) override {
    if (std::holds_alternative<ListMachines>(action.body)) return run_.List(action);
    ActionFinished finished = Finished(action, absl::OkStatus());
    finished.hypothetical = true;
    const bool launch = std::holds_alternative<LaunchNode>(action.body);
    run_.After(launch ? run_.scenario_.policy.nodes.lead_time : absl::ZeroDuration(),
               [&run = run_, finished] { run.Post(finished); });
  }

 private:
  SimRunner& run_;
};

SimRunner::SimRunner(const Scenario& scenario)
    : SimRunner(scenario, std::make_unique<ClusterModel>(scenario.cluster.settings)) {}

SimRunner::SimRunner(Scenario scenario, std::unique_ptr<World> world)
    : scenario_(std::move(scenario)),
      start_(scenario_.cluster.settings.start),
      now_(start_),
      wake_(start_),
      cluster_(scenario_.cluster, std::move(world)) {
  if (scenario_.policy.mode == Mode::kLive) {
    executor_ = std::make_unique<LiveExecutor>(*this);
  } else {
    executor_ = std::make_unique<DryRunExecutor>(*this);
  }
  loop_ = std::make_unique<ControlLoop>(Autoscaler(scenario_.policy), *executor_,
                                        scenario_.journal == nullptr ? memory_ : *scenario_.journal);
  loop_->OnDecision([this](const std::shared_ptr<const Decision>& decision) { Note(*decision); });
  Post(TermChanged{1});
}

SimRunner::~SimRunner() = default;

void SimRunner::Post(Event&& event) {
  const absl::Status posted = loop_->Post(std::move(event));
  HR_CHECK(posted.ok());  // its size is bounded by far more than one run can make between two looks
}

void SimRunner::List(const Action& action) {
  After(scenario_.provider_latency, [this, action] {
    Post(MachinesListed{cluster_.model().Machines()});
    Post(Finished(action, absl::OkStatus()));
  });
}

void SimRunner::RunUntil(absl::Time end) {
  // Rounds without a step of time: a loop that asks for ever is a bug. Ten for each node of the largest scenario, since
  // nodes that turn at one instant come one by one.
  constexpr int kStandingMax = 100'000;
  int standing = 0;
  while (now_ < end) {
    const absl::Time before = now_;
    absl::Time until = std::min(end, wake_);
    if (!due_.empty()) until = std::min(until, due_.begin()->first);
    now_ = cluster_.AdvanceTo(std::max(until, now_));
    events_ = cluster_.TakeEvents(std::move(events_));
    for (Event& event : events_) {
      if (!heard_ || heard_(now_, event)) Post(std::move(event));
    }
    while (!due_.empty() && due_.begin()->first <= now_) {
      const std::function<void()> work = std::move(due_.begin()->second);
      due_.erase(due_.begin());
      work();
    }
    wake_ = loop_->RunOnce(now_);
    standing = now_ > before ? 0 : standing + 1;
    HR_CHECK(standing < kStandingMax);
  }
}

void SimRunner::Note(const Decision& decision) {
  if (listener_) listener_(decision);
  ++summary_.decisions;
  if (decision.diagnosis.cause != Cause::kNone) summary_.causes.insert(decision.diagnosis.cause);
  for (const Action& action : decision.actions) {
    const auto* grant = std::get_if<GrantLimits>(&action.body);
    if (grant != nullptr && !grant->renewal) ++summary_.limit_changes;
    if (std::holds_alternative<LaunchNode>(action.body)) ++summary_.launches;
    if (std::holds_alternative<TerminateNode>(action.body)) ++summary_.terminations;
  }
}

}  // namespace headroom::sim
