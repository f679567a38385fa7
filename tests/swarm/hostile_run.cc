#include "tests/swarm/hostile_run.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

#include "controller/base/check.h"
#include "controller/runtime/records.h"
#include "controller/runtime/recovery.h"

// The driver: the controller, its disk, its executor, and the walk through time. How decisions are judged stands in
// hostile_judge.cc, what happens to the cluster and how it must end in hostile_events.cc.

namespace headroom::swarm {
namespace {

absl::Status Unavailable(absl::string_view why) {
  return absl::UnavailableError(why);
}

}  // namespace

// Every tick is judged when it is recorded, that is before anything of it is carried out.
class HostileRun::Disk final : public Journal {
 public:
  Disk(HostileRun& run, sim::CrashJournal::Reports reports) : run_(run), journal_(reports) {}
  sim::CrashJournal& journal() { return journal_; }

  absl::StatusOr<Recovered> Recover() override { return journal_.Recover(); }
  absl::Status WriteTerm(int64_t term, absl::Duration longest) override { return journal_.WriteTerm(term, longest); }
  void RecordEvent(absl::Time at, Event&& event) override {
    if (const auto* changed = std::get_if<JournalChanged>(&event))
      run_.core_knows_disk_fails_ = !changed->error.empty();
    journal_.RecordEvent(at, std::move(event));
  }
  void RecordTick(absl::Time at, std::shared_ptr<const Decision> decision) override {
    run_.Judge(*decision);
    journal_.RecordTick(at, std::move(decision));
  }
  void RecordSnapshot(absl::Time at, const Autoscaler& core) override {
    constexpr size_t kStateBytesMax = size_t{512} << 10, kNodeBytesMax = 20'000;
    State durable = core.Save();
    const size_t nodes = durable.fleet.nodes().size(), whole = EncodeState(durable).size(), most = run_.MostNodes();
    if (nodes > most) run_.Violate("bounded", absl::StrCat("the state has ", nodes, " nodes of ", most));
    durable.fleet = {};  // what is learned of a node lives at the node
    const size_t bytes = EncodeState(durable).size();
    if (bytes > kStateBytesMax) run_.Violate("bounded", absl::StrCat("the state of the cluster has ", bytes, " bytes"));
    if (whole - bytes > kNodeBytesMax * (most + 1))
      run_.Violate("bounded", absl::StrCat("the state of ", nodes, " nodes has ", whole - bytes, " bytes"));
    journal_.RecordSnapshot(at, core);
  }
  absl::Status CommitIntents(absl::Time at, const std::vector<Action>& intents) override {
    return journal_.CommitIntents(at, intents);
  }
  absl::Status Commit() override { return journal_.Commit(); }
  absl::Status Sync(absl::Duration longest) override { return journal_.Sync(longest); }
  absl::StatusOr<std::vector<JournalEntry>> Decisions(const Page& page) const override {
    return journal_.Decisions(page);
  }
  absl::StatusOr<JournalEntry> FindDecision(uint64_t sequence) const override {
    return journal_.FindDecision(sequence);
  }

 private:
  HostileRun& run_;
  sim::CrashJournal journal_;
};

class HostileRun::LiveExecutor final : public Executor {
 public:
  explicit LiveExecutor(HostileRun& run) : run_(run), process_(run.process_) {}

  void Start(const Action& action) override {
    if (std::holds_alternative<ListMachines>(action.body)) return run_.List(process_, action);
    if (ChangesMachines(action)) {
      if (std::holds_alternative<TerminateNode>(action.body) && run_.disk_fails_)
        run_.Violate("journal", absl::StrCat("terminates ", action.node, " without a written intent"));
      return run_.Change(process_, action);
    }
    absl::Status sent = run_.faults_.OrderArrives() ? run_.world_.Send(action) : absl::OkStatus();
    if (!sent.ok()) sent = Unavailable(sent.message());
    run_.After(absl::ZeroDuration(), [this, action, sent] { run_.Finish(process_, action, sent, ""); });
  }

 private:
  HostileRun& run_;
  const int process_;
};

// As the daemon's: only lists are real.
class HostileRun::DryRunExecutor final : public Executor {
 public:
  explicit DryRunExecutor(HostileRun& run) : run_(run), process_(run.process_) {}

  void Start(const Action& action) override {
    if (std::holds_alternative<ListMachines>(action.body)) return run_.List(process_, action);
    const bool launch = std::holds_alternative<LaunchNode>(action.body);
    ActionFinished finished{.id = action.id, .hypothetical = true};
    run_.After(launch ? run_.policy_.nodes.lead_time : absl::ZeroDuration(),
               [&run = run_, process = process_, finished] {
                 if (run.process_ == process && run.loop_ != nullptr) run.Post(finished);
               });
  }

 private:
  HostileRun& run_;
  const int process_;
};

HostileRun::HostileRun(Plan plan, Say say)
    : plan_(std::move(plan)),
      say_(std::move(say)),
      random_(plan_.seed * 2 + 1),
      policy_(plan_.policy),
      world_(plan_.world),
      faults_(plan_.seed * 3 + 1),
      now_(plan_.world.start),
      step_at_(now_) {
  using Reports = sim::CrashJournal::Reports;
  disk_ = std::make_unique<Disk>(*this, plan_.reports_are_journalled ? Reports::kKept : Reports::kLeftOut);
  demand_goal_ = plan_.demand_high * 0.5;
  world_.SetDemand(demand_goal_);
}

HostileRun::~HostileRun() = default;

Outcome HostileRun::Run() {
  constexpr absl::Duration kLook = absl::Seconds(5), kStays = absl::Minutes(1);
  Line(Describe(plan_));
  restart_at_ = now_;
  AdvanceTo(now_ + plan_.hostile);
  MakeWell();
  const absl::Time calm = now_, deadline = now_ + plan_.ConvergesWithin();
  absl::Time well_since = absl::InfiniteFuture();
  while (now_ < deadline && now_ - well_since < kStays && outcome_.ok()) {
    AdvanceTo(now_ + kLook);
    const std::optional<std::string> missing = NotYet();
    if (missing.has_value()) Line(absl::StrCat("not yet: ", *missing));
    if (missing.has_value()) well_since = absl::InfiniteFuture();
    if (!missing.has_value() && well_since == absl::InfiniteFuture()) well_since = now_;
  }
  if (const std::optional<std::string> missing = NotYet(); missing.has_value() && outcome_.ok()) {
    Violate("converges", absl::StrCat("after ", absl::FormatDuration(now_ - calm), ": ", *missing));
  } else if (now_ - well_since < kStays && outcome_.ok()) {
    Violate("converges", "it does not stay as it should be");
  }
  outcome_.converged_after = well_since == absl::InfiniteFuture() ? now_ - calm : well_since - calm;
  over_ = true;
  if (loop_ != nullptr && outcome_.ok() && policy_.mode == Mode::kLive) HR_CHECK(loop_->Finish(Wall()).ok());
  return outcome_;
}

void HostileRun::Line(const std::string& text) const {
  if (say_) say_(absl::StrCat(absl::FormatDuration(now_ - plan_.world.start), " ", text));
}

void HostileRun::Violate(std::string rule, std::string what) {
  Line(absl::StrCat("VIOLATION ", rule, ": ", what));
  if (outcome_.violations.size() < Outcome::kViolationsMax)
    outcome_.violations.push_back({std::move(rule), std::move(what), now_});
}

absl::Time HostileRun::CoreNow() const {
  return loop_ == nullptr ? now_ : loop_->CoreTime(Wall());
}

// --- Time.

void HostileRun::AdvanceTo(absl::Time end) {
  constexpr int kStandingMax = 1000;  // rounds without a step of time: a loop that asks for ever is a bug
  int standing = 0;
  while (now_ < end && outcome_.ok()) {
    const absl::Time before = now_;
    absl::Time next = std::min({end, step_at_, faults_.next_due(), wake_});
    if (!due_.empty()) next = std::min(next, due_.begin()->first);
    // A clock has whole nanoseconds; whole milliseconds are enough here.
    now_ = std::max(now_, plan_.world.start + absl::Ceil(next - plan_.world.start, absl::Milliseconds(1)));
    if (now_ >= step_at_) Step();
    for (Event& event : world_.TakeEvents()) faults_.Take(now_, std::move(event));
    for (Event& event : faults_.Due(now_)) {
      if (loop_ != nullptr) Post(std::move(event));
    }
    while (!due_.empty() && due_.begin()->first <= now_) {
      const std::function<void()> work = std::move(due_.begin()->second);
      due_.erase(due_.begin());
      work();
    }
    if (loop_ == nullptr && now_ >= restart_at_) Start();
    wake_ = loop_ == nullptr ? restart_at_ : loop_->RunOnce(Wall()) + clock_behind_;
    standing = now_ > before ? 0 : standing + 1;
    HR_CHECK(standing < kStandingMax);
  }
}

void HostileRun::Step() {
  step_at_ += World::kStep;
  Wander();
  if (hostile_) Trouble();
  world_.Step();
}

// --- The controller.

void HostileRun::Start() {
  ++process_;
  was_judged_ = false;
  listed_at_ = absl::InfinitePast();
  for (auto& [node, heard] : heard_) heard.connected = false;
  ++outcome_.starts;
  core_knows_disk_fails_ = false;
  absl::StatusOr<Autoscaler> core = Recover(*disk_, policy_, Wall());
  if (!core.ok()) {
    Line(absl::StrCat("the controller cannot start: ", core.status().message()));
    restart_at_ = now_ + absl::Seconds(3);
    return;
  }
  term_ = core->Save().term;
  core_knows_disk_fails_ = !core->Save().journal_error.empty();
  Line(absl::StrCat("the controller starts with term ", term_));
  if (policy_.mode == Mode::kLive) {
    executor_ = std::make_unique<LiveExecutor>(*this);
  } else {
    executor_ = std::make_unique<DryRunExecutor>(*this);
  }
  std::vector<Action> machine_actions, lists;
  for (const auto& [id, flight] : core->fleet().in_flight()) {
    if (ChangesMachines(flight.action)) machine_actions.push_back(flight.action);
    if (std::holds_alternative<ListMachines>(flight.action.body)) lists.push_back(flight.action);
  }
  const auto is_forgotten = [&core](const NodeId& node) { return core->fleet().Find(node) == nullptr; };
  std::erase_if(orders_.pinned, is_forgotten);
  std::erase_if(orders_.drained, is_forgotten);
  std::vector<NodeId> forgotten_orders;
  for (const auto& [id, node] : core->fleet().nodes()) {
    if (node.drained_by_operator && !orders_.drained.contains(id)) forgotten_orders.push_back(id);
  }
  loop_ = std::make_unique<ControlLoop>(*std::move(core), *executor_, *disk_);
  world_.OpenStreams();
  OrderAgain();
  for (const NodeId& node : forgotten_orders) Post(DrainRequested{node, false, "swarm", "operator"});
  for (const Action& list : lists) executor_->Start(list);
  if (policy_.mode == Mode::kLive) return Resolve(machine_actions);
  for (const Action& action : machine_actions) executor_->Start(action);
}

// What operators ordered last may be forgotten; they look, and order it again. What concerned a node that is forgotten
// with it is no more in force.
void HostileRun::OrderAgain() {
  for (const HoldChanged& hold : orders_.holds) Post(hold);
  if (orders_.override_set.has_value()) Post(*orders_.override_set);
  for (const NodeId& node : orders_.pinned) Post(NodePinned{node, true, "swarm", "operator"});
  for (const NodeId& node : orders_.drained) Post(DrainRequested{node, true, "swarm", "operator"});
  for (const auto& [node, fixed] : orders_.fixed) Post(fixed);
}

// kill -9: what was not committed is forgotten, streams break, calls that are on their way are made or not.
void HostileRun::Crash() {
  if (loop_ == nullptr) return;
  const absl::Duration down = absl::Seconds(Between(random_, 0.5, Chance(random_, 0.2) ? 120.0 : 10.0));
  forgot_ = disk_fails_ || (forgot_ && !was_judged_);  // nobody was told that the last one did
  for (auto& [node, heard] : heard_) {
    if (disk_fails_) heard = {.forgotten_boot_id = heard.boot_id, .draining = heard.draining};
  }
  // That a list named it is forgotten too.
  for (const auto& [id, server] : world_.servers()) {
    if (disk_fails_ && server.launch_id.empty() && named_.erase(id) > 0) nobodys_.insert(id);
  }
  for (auto& [launch, at] : launched_at_) {
    if (disk_fails_) at = absl::InfinitePast();
  }
  Line(absl::StrCat("the controller is killed for ", absl::FormatDuration(down)));
  disk_->journal().Crash(Chance(random_, 0.5) ? sim::CrashJournal::Landed::kYes : sim::CrashJournal::Landed::kNo);
  loop_.reset();
  executor_.reset();
  faults_.DropAll();
  restart_at_ = now_ + down;
  world_.CloseStreams();
}

void HostileRun::TellDisk(const absl::Status& health) {
  if (disk_fails_ == health.ok()) Line(absl::StrCat("the disk: ", health.ToString()));
  disk_fails_ = !health.ok();
  disk_->journal().Fail(health);
}

void HostileRun::Post(Event event) {
  Hear(event);
  const absl::Status posted = loop_->Post(std::move(event));
  HR_CHECK(posted.ok());
}

// What the controller could know, in the plainest way.
void HostileRun::Hear(const Event& event) {
  if (const auto* joined = std::get_if<NodeJoined>(&event)) {
    Heard& heard = heard_[joined->node];
    if (joined->hello.launch_id.empty() && !named_.contains(joined->node)) nobodys_.insert(joined->node);
    heard.is_told = heard.connected = true;
    if (heard.boot_id != joined->hello.boot_id) heard.sequence = 0;
    heard.boot_id = joined->hello.boot_id;
    heard.limit = joined->hello.limits.connection_count_max;
    // As the daemon: a term that a node has seen is overtaken, and the disk knows first.
    if (joined->hello.term_max_seen > term_ && disk_->WriteTerm(joined->hello.term_max_seen + 1, {}).ok()) {
      term_ = joined->hello.term_max_seen + 1;
      HR_CHECK(loop_->Post(TermChanged{term_}).ok());
    }
  } else if (const auto* reported = std::get_if<NodeReported>(&event)) {
    const auto found = heard_.find(reported->node);
    if (found == heard_.end()) return;
    Heard& heard = found->second;
    const NodeReport& report = reported->report;
    // After a crash that forgot much, the snapshot knows the process that it was before.
    const std::string& boot_id = heard.boot_id.empty() ? heard.forgotten_boot_id : heard.boot_id;
    if (boot_id != report.boot_id || report.sequence <= heard.sequence) return;
    heard.sequence = report.sequence;
    heard.at = CoreNow();
    heard.process = process_;
    heard.serving = report.state == ServerState::kServing;
    heard.draining = !heard.serving;
    heard.open = report.open_count;
    heard.active = report.active_count;
    heard.waiting = report.accept_queue_count;
    heard.limit = report.limits.connection_count_max;
  } else if (const auto* left = std::get_if<NodeLeft>(&event)) {
    heard_[left->node].connected = false;
    if (!world_.servers().contains(left->node)) heard_[left->node].is_told = false;
  } else if (const auto* balanced = std::get_if<BalancerReported>(&event)) {
    balancers_heard_.insert(balanced->report.boot_id);
  } else if (const auto* listed = std::get_if<MachinesListed>(&event)) {
    listed_at_ = CoreNow();
    for (auto& [node, heard] : heard_) {
      if (!world_.servers().contains(node)) heard.is_told = false;
      heard.denied = true;
    }
    for (const Machine& machine : listed->machines) {
      heard_[machine.node].is_told = true;
      heard_[machine.node].denied = false;
      named_.insert(machine.node);
      nobodys_.erase(machine.node);
    }
  } else if (const auto* finished = std::get_if<ActionFinished>(&event)) {
    checker_.Ended(*finished);
    if (!finished->node.empty() && world_.servers().contains(finished->node)) heard_[finished->node].is_told = true;
  }
}

void HostileRun::Finish(int process, const Action& action, const absl::Status& status, const NodeId& node) {
  if (process != process_ || loop_ == nullptr) return;
  if (!status.ok()) Line(absl::StrCat(action.id, " ", ActionKind(action), " failed: ", status.message()));
  Post(ActionFinished{.id = action.id, .code = status.code(), .message = std::string(status.message()), .node = node});
}

void HostileRun::List(int process, const Action& action) {
  const sim::ControlFaults::Call call = faults_.CallProvider(action);
  After(call.until_done, [this, call, process, action] {
    const std::vector<Machine> machines = world_.Machines();
    if (!call.until_told.has_value()) return;
    After(*call.until_told - call.until_done, [this, call, process, action, machines] {
      if (process != process_ || loop_ == nullptr) return;
      if (call.refused.ok()) Post(MachinesListed{machines});
      Finish(process, action, call.refused, "");
    });
  });
}

// A call that was made goes on without its caller.
void HostileRun::Change(int process, const Action& action) {
  ++outcome_.deeds;
  const sim::ControlFaults::Call call = faults_.CallProvider(action);
  const auto* launch = std::get_if<LaunchNode>(&action.body);
  if (launch != nullptr) launched_at_[action.id] = CoreNow();
  const World::Boots boots = !hostile_ || !plan_.hazards.provider || Chance(random_, 0.8) ? World::Boots::kWell
                             : Chance(random_, 0.5)                                       ? World::Boots::kSlowly
                                                                                          : World::Boots::kNever;
  After(call.until_done, [this, call, process, action, launch_zone = launch == nullptr ? "" : launch->zone, boots] {
    if (process != process_ && Chance(random_, 0.5)) return;
    NodeId node;
    if (call.refused.ok() && std::holds_alternative<LaunchNode>(action.body)) {
      node = world_.Launch(action.id, launch_zone, boots);
    } else if (call.refused.ok()) {
      world_.Terminate(action.node);
    }
    if (!call.until_told.has_value()) return;
    After(*call.until_told - call.until_done,
          [this, call, process, action, node] { Finish(process, action, call.refused, node); });
  });
}

// As LiveExecutor::Resolve: actions of the last process, held against what the provider runs.
void HostileRun::Resolve(const std::vector<Action>& actions) {
  if (actions.empty()) return;
  const sim::ControlFaults::Call call = faults_.CallProvider({.body = ListMachines{}});
  After(call.until_told.value_or(absl::Seconds(20)), [this, call, actions, process = process_] {
    const std::vector<Machine> machines = world_.Machines();
    for (const Action& action : actions) {
      const bool launch = std::holds_alternative<LaunchNode>(action.body);
      const auto found = std::find_if(machines.begin(), machines.end(), [&](const Machine& machine) {
        return launch ? machine.launch_id == action.id : machine.node == action.node;
      });
      const bool there = found != machines.end();
      absl::Status status = call.refused;
      if (!call.until_told.has_value()) status = absl::DeadlineExceededError("no list came");
      if (status.ok() && launch != there) status = Unavailable("the controller restarted before it was carried out");
      Finish(process, action, status, status.ok() && launch ? found->node : "");
    }
  });
}

}  // namespace headroom::swarm
