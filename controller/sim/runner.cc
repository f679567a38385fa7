#include "controller/sim/runner.h"

#include <algorithm>
#include <string>

#include "controller/base/check.h"
#include "controller/runtime/recovery.h"
#include "controller/sim/cluster_model.h"

namespace headroom::sim {
namespace {

// A list that is not answered is given up.
constexpr absl::Duration kNoAnswerAfter = absl::Seconds(20);

ActionFinished Finished(const Action& action, const absl::Status& status) {
  return {.id = action.id, .code = status.code(), .message = std::string(status.message())};
}

}  // namespace

// Carries decisions out in the simulated cluster.
class SimRunner::LiveExecutor final : public Executor {
 public:
  explicit LiveExecutor(SimRunner& run) : run_(run), process_(run.process_) {}

  void Start(const Action& action) override {
    if (std::holds_alternative<ListMachines>(action.body)) return run_.List(action);
    if (ChangesMachines(action)) return run_.Change(action);
    const absl::Status sent = run_.control_.OrderArrives() ? run_.cluster_.Send(action) : absl::OkStatus();
    run_.After(absl::ZeroDuration(), [&run = run_, process = process_, finished = Finished(action, sent)] {
      run.Tell({.until_told = absl::ZeroDuration()}, process, {finished});
    });
  }

 private:
  SimRunner& run_;
  const int process_;
};

// Answers what would have become of an action; only lists are real. Mirrors the daemon's.
class SimRunner::DryRunExecutor final : public Executor {
 public:
  explicit DryRunExecutor(SimRunner& run) : run_(run), process_(run.process_) {}

  void Start(const Action& action) override {
    if (std::holds_alternative<ListMachines>(action.body)) return run_.List(action);
    ActionFinished finished = Finished(action, absl::OkStatus());
    finished.hypothetical = true;
    const bool launch = std::holds_alternative<LaunchNode>(action.body);
    run_.After(launch ? run_.scenario_.policy.nodes.lead_time : absl::ZeroDuration(),
               [&run = run_, process = process_, finished] {
                 run.Tell({.until_told = absl::ZeroDuration()}, process, {finished});
               });
  }

 private:
  SimRunner& run_;
  const int process_;
};

SimRunner::SimRunner(const Scenario& scenario)
    : SimRunner(scenario, std::make_unique<ClusterModel>(scenario.cluster.settings)) {}

SimRunner::SimRunner(Scenario scenario, std::unique_ptr<World> world)
    : scenario_(std::move(scenario)),
      start_(scenario_.cluster.settings.start),
      now_(start_),
      wake_(start_),
      cluster_(scenario_.cluster, std::move(world)),
      troubles_(scenario_.troubles, start_),
      turn_at_(troubles_.empty() ? absl::InfiniteFuture() : start_),
      control_(scenario_.cluster.settings.seed * 3 + 1),
      journal_(scenario_.journal != nullptr  ? *scenario_.journal
               : troubles_.KillsController() ? static_cast<Journal&>(disk_)
                                             : memory_) {
  HR_CHECK(scenario_.journal == nullptr || !troubles_.KillsController());  // a journal on disk knows its own process
  if (troubles_.KillsController()) HR_CHECK(journal_.WriteTerm(1, absl::ZeroDuration()).ok());
  Begin(Autoscaler(scenario_.policy));
  Post(TermChanged{1});
}

SimRunner::~SimRunner() = default;

// --- The controller.

void SimRunner::Begin(Autoscaler core) {
  ++process_;
  ++summary_.starts;
  if (scenario_.policy.mode == Mode::kLive) {
    executor_ = std::make_unique<LiveExecutor>(*this);
  } else {
    executor_ = std::make_unique<DryRunExecutor>(*this);
  }
  loop_ = std::make_unique<ControlLoop>(std::move(core), *executor_, journal_);
  loop_->OnDecision([this](const std::shared_ptr<const Decision>& decision) { Note(*decision); });
}

void SimRunner::Restart() {
  absl::StatusOr<Autoscaler> core = Recover(journal_, scenario_.policy, Wall());
  HR_CHECK(core.ok());  // this disk is never full
  std::vector<Action> machine_actions, others;
  for (const auto& [id, flight] : core->fleet().in_flight()) {
    const bool resolved = scenario_.policy.mode == Mode::kLive && ChangesMachines(flight.action);
    const bool again = ChangesMachines(flight.action) || std::holds_alternative<ListMachines>(flight.action.body);
    if (resolved) machine_actions.push_back(flight.action);
    if (again && !resolved) others.push_back(flight.action);
  }
  Begin(*std::move(core));
  cluster_.Rejoin();
  for (const Action& action : others) executor_->Start(action);
  Resolve(machine_actions);
}

// What was not committed is forgotten, streams break, and calls that are on their way go on without their caller.
void SimRunner::Kill() {
  disk_.Crash(CrashJournal::Landed::kNo);
  loop_.reset();
  executor_.reset();
  control_.DropAll();
  wake_ = absl::InfiniteFuture();
}

// As the daemon's executor: actions of the last process, held against what the provider runs.
void SimRunner::Resolve(const std::vector<Action>& actions) {
  if (actions.empty()) return;
  const ControlFaults::Call call = Call({.body = ListMachines{}});
  After(call.until_done, [this, call, actions, process = process_] {
    const std::vector<Machine> machines = cluster_.model().Machines();
    std::vector<Event> answers;
    for (const Action& action : actions) {
      const bool launch = std::holds_alternative<LaunchNode>(action.body);
      const auto found = std::find_if(machines.begin(), machines.end(), [&](const Machine& machine) {
        return launch ? machine.launch_id == action.id : machine.node == action.node;
      });
      const bool done = launch == (found != machines.end());
      absl::Status status = call.until_told ? call.refused : absl::DeadlineExceededError("no list came");
      if (status.ok() && !done) status = absl::UnavailableError("the controller restarted before this was carried out");
      ActionFinished finished = Finished(action, status);
      if (launch && status.ok()) finished.node = found->node;
      answers.emplace_back(std::move(finished));
    }
    Tell({.until_done = call.until_done, .until_told = call.until_told.value_or(kNoAnswerAfter)}, process, answers);
  });
}

// What begins or ends now.
void SimRunner::Turn() {
  turn_at_ = troubles_.NextAfter(now_);
  clock_behind_ = troubles_.ClockBehind(now_);
  control_.Set(troubles_.SettingsAt(now_, scenario_.provider_latency));
  const bool down = troubles_.IsControllerDown(now_);
  if (down && loop_ != nullptr) Kill();
  if (!down && loop_ == nullptr) Restart();
}

void SimRunner::Post(Event&& event) {
  if (loop_ == nullptr) return;
  const absl::Status posted = loop_->Post(std::move(event));
  HR_CHECK(posted.ok());  // its size is bounded by far more than one run can make between two looks
}

void SimRunner::Hear() {
  events_ = cluster_.TakeEvents(std::move(events_));
  if (loop_ != nullptr && !heard_ && IsCalm()) {
    const absl::Status posted = loop_->PostAll(events_);
    HR_CHECK(posted.ok());  // as in Post()
    events_.clear();
  }
  for (Event& event : events_) {
    if (loop_ == nullptr || (heard_ && !heard_(now_, event))) continue;
    if (IsCalm()) {
      Post(std::move(event));
    } else {
      control_.Take(now_, std::move(event));
    }
  }
  for (Event& event : control_.Due(now_)) Post(std::move(event));
}

// --- The provider.

ControlFaults::Call SimRunner::Call(const Action& action) {
  if (!IsCalm()) return control_.CallProvider(action);
  return {.until_done = scenario_.provider_latency, .until_told = scenario_.provider_latency};
}

void SimRunner::Tell(const ControlFaults::Call& call, int process, const std::vector<Event>& events) {
  if (!call.until_told.has_value()) return;
  const auto tell = [this, process, events] {
    if (process != process_) return;
    for (Event event : events) Post(std::move(event));
  };
  const absl::Duration later = *call.until_told - call.until_done;
  if (later > absl::ZeroDuration()) return After(later, tell);
  tell();
}

void SimRunner::List(const Action& action) {
  const ControlFaults::Call call = Call(action);
  After(call.until_done, [this, call, action, process = process_] {
    std::vector<Event> answers;
    if (call.refused.ok()) answers.emplace_back(MachinesListed{cluster_.model().Machines()});
    answers.emplace_back(Finished(action, call.refused));
    Tell(call, process, answers);
  });
}

void SimRunner::Change(const Action& action) {
  const ControlFaults::Call call = Call(action);
  using Boots = SimulatedCluster::Boots;
  const bool launches = std::holds_alternative<LaunchNode>(action.body);
  const Boots boots = !launches || control_.BootSucceeds() ? Boots::kWell : Boots::kNever;
  After(call.until_done, [this, call, action, boots, process = process_] {
    ActionFinished finished = Finished(action, call.refused);
    const auto* launch = std::get_if<LaunchNode>(&action.body);
    if (call.refused.ok() && launch != nullptr) {
      finished.node = cluster_.Launch(action.id, launch->zone, boots);
    } else if (call.refused.ok()) {
      cluster_.model().Terminate(action.node).IgnoreError();  // already gone is done
    }
    Tell(call, process, {finished});
  });
}

// --- Time.

void SimRunner::RunUntil(absl::Time end) {
  // Rounds without a step of time: a loop that asks for ever is a bug. Ten for each node of the largest scenario, since
  // nodes that turn at one instant come one by one.
  constexpr int kStandingMax = 100'000;
  int standing = 0;
  while (now_ < end) {
    const absl::Time before = now_;
    absl::Time until = std::min({end, wake_, turn_at_, control_.next_due()});
    if (!due_.empty()) until = std::min(until, due_.begin()->first);
    now_ = cluster_.AdvanceTo(std::max(until, now_));
    if (now_ >= turn_at_) Turn();
    Hear();
    while (!due_.empty() && due_.begin()->first <= now_) {
      const std::function<void()> work = std::move(due_.begin()->second);
      due_.erase(due_.begin());
      work();
    }
    if (loop_ != nullptr) wake_ = loop_->RunOnce(Wall()) + clock_behind_;
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
