#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

#include "controller/runtime/control_loop.h"
#include "controller/runtime/memory_journal.h"

namespace headroom {

inline Policy LoopPolicy() {
  Policy policy;
  policy.mode = Mode::kLive;
  policy.nodes.min = 1;
  policy.nodes.max = 6;
  policy.nodes.stabilization = absl::Seconds(5);
  policy.nodes.restart_grace = absl::Seconds(5);  // the nodes of a test are newcomers, too
  policy.nodes.cooldown = absl::ZeroDuration();
  return policy;
}

// SpyJournal: a journal in memory that notes what the loop asked of it, in one list with the executor's.
class SpyJournal final : public Journal {
 public:
  explicit SpyJournal(std::vector<std::string>& log) : log_(log) {}
  absl::Status intents_health, health;

  absl::StatusOr<Recovered> Recover() override { return memory_.Recover(); }
  absl::Status WriteTerm(int64_t term, absl::Duration longest) override { return memory_.WriteTerm(term, longest); }
  absl::Status Sync(absl::Duration longest) override { return memory_.Sync(longest); }
  void RecordEvent(absl::Time at, Event&& event) override { memory_.RecordEvent(at, std::move(event)); }
  void RecordTick(absl::Time at, std::shared_ptr<const Decision> decision) override {
    memory_.RecordTick(at, std::move(decision));
  }
  void RecordSnapshot(absl::Time, const Autoscaler&) override { ++snapshots; }
  absl::Status CommitIntents(absl::Time, const std::vector<Action>& intents) override {
    for (const Action& intent : intents) log_.push_back(absl::StrCat("intent ", ActionKind(intent)));
    return intents_health;
  }
  absl::Status Commit() override {
    ++commits;
    return health;
  }
  absl::StatusOr<std::vector<JournalEntry>> Decisions(const Page& page) const override {
    return memory_.Decisions(page);
  }
  absl::StatusOr<JournalEntry> FindDecision(uint64_t sequence) const override { return memory_.FindDecision(sequence); }

  const std::deque<Recorded>& records() const { return memory_.records(); }
  int commits = 0, snapshots = 0;

 private:
  std::vector<std::string>& log_;
  MemoryJournal memory_{100'000};
};

// SpyExecutor: notes what is started and answers nothing by itself.
class SpyExecutor final : public Executor {
 public:
  explicit SpyExecutor(std::vector<std::string>& log) : log_(log) {}
  void Start(const Action& action) override {
    log_.push_back(absl::StrCat("start ", ActionKind(action)));
    started.push_back(action);
  }
  std::vector<Action> started;

 private:
  std::vector<std::string>& log_;
};

// LoopWorld: a control loop with nodes that report once a second and do as they are told, in virtual time.
class LoopWorld {
 public:
  explicit LoopWorld(Autoscaler core, Journal& journal, std::vector<std::string>& log)
      : executor(log), loop(std::move(core), executor, journal) {}

  void Add(const NodeId& id, int64_t open) {
    open_[id] = open;
    Join(id);
  }
  void Join(const NodeId& id) {
    NodeHello hello;
    hello.boot_id = "boot";
    hello.configured_count_max = hello.limits.connection_count_max = 200;
    hello.address = "10.0.0.1:80";
    Post(NodeJoined{id, hello});
  }
  void Post(Event event) { ASSERT_TRUE(loop.Post(std::move(event)).ok()); }

  // A second at a time, and as often in between as the loop asks for it.
  void Run(int seconds) {
    for (const absl::Time end = now + absl::Seconds(seconds); now < end;) {
      now += absl::Seconds(1);
      Report();
      absl::Time next = loop.RunOnce(now);
      for (int i = 0; i < 20 && next <= now; ++i) next = loop.RunOnce(now);
      Answer();
    }
  }

  SpyExecutor executor;
  ControlLoop loop;
  absl::Time now = absl::FromUnixSeconds(1'700'000'000);

 private:
  void Report() {
    for (const auto& [id, open] : open_) {
      NodeReport& report = reports_[id];
      report.boot_id = "boot";
      ++report.sequence;
      report.open_count = draining_.contains(id) ? 0 : open;
      report.limits.connection_count_max = 200;
      report.state = draining_.contains(id) ? ServerState::kDraining : ServerState::kServing;
      report.counters.uptime += absl::Seconds(1);
      report.counters.completed += 10;
      Post(NodeReported{id, report});
    }
  }

  void Answer() {
    for (const Action& action : std::exchange(executor.started, {})) {
      if (std::holds_alternative<DrainNode>(action.body)) draining_.insert(action.node);
      if (std::holds_alternative<ListMachines>(action.body)) {
        MachinesListed listed;
        for (const auto& [id, open] : open_) listed.machines.push_back({id, Machine::State::kRunning, "", ""});
        Post(std::move(listed));
      }
      const bool ends =
          std::holds_alternative<DrainNode>(action.body) || std::holds_alternative<ListMachines>(action.body);
      if (ends) Post(ActionFinished{.id = action.id});
    }
  }

  std::map<NodeId, int64_t> open_;
  std::map<NodeId, NodeReport> reports_;
  std::set<NodeId> draining_;
};

}  // namespace headroom
