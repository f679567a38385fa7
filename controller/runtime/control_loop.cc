#include "controller/runtime/control_loop.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "controller/runtime/records.h"

namespace headroom {

ControlLoop::ControlLoop(Autoscaler core, Executor& executor, Journal& journal)
    : core_(std::move(core)),
      executor_(&executor),
      mode_(core_.policy().mode),
      journal_(journal),
      last_nanos_(absl::ToUnixNanos(core_.Save().last_tick_at)),
      wanted_nanos_(last_nanos_.load()),
      journal_error_(core_.Save().journal_error) {}

absl::Status ControlLoop::Ask(Question question, absl::Duration timeout) {
  const auto asked = std::make_shared<Asked>(Asked{std::move(question)});
  {
    absl::MutexLock lock(&questions_mutex_);
    if (questions_.size() >= kQuestionsMax) return absl::ResourceExhaustedError("too many questions wait already");
    questions_.push_back(asked);
  }
  Wake();
  absl::MutexLock lock(&questions_mutex_);
  const auto over = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(questions_mutex_) { return asked->answered || finished_; };
  questions_mutex_.AwaitWithTimeout(absl::Condition(&over), timeout);
  // A question that runs now refers to what its asker owns: the asker stays for the end of it.
  if (asked->taken) questions_mutex_.Await(absl::Condition(&asked->answered));
  if (asked->answered) return absl::OkStatus();
  questions_.erase(std::find(questions_.begin(), questions_.end(), asked));
  if (finished_) return absl::UnavailableError("the control loop has ended");
  return absl::DeadlineExceededError("the control loop did not answer in time");
}

void ControlLoop::AnswerQuestions() {
  std::deque<std::shared_ptr<Asked>> questions;
  {
    absl::MutexLock lock(&questions_mutex_);
    questions.swap(questions_);
    for (const auto& asked : questions) asked->taken = true;
  }
  for (const auto& asked : questions) {
    asked->question(core_);
    absl::MutexLock lock(&questions_mutex_);
    asked->answered = true;
  }
}

std::shared_ptr<const Decision> ControlLoop::Latest() const {
  absl::MutexLock lock(&latest_mutex_);
  return latest_;
}

absl::Time ControlLoop::RunOnce(absl::Time wall) {
  const absl::Time now = Advance(wall);
  ObserveAll(now);
  AnswerQuestions();
  if (now >= core_.next_tick()) Tick(now);
  if (now >= committed_at_ + kCommitInterval) Commit(now);
  const absl::Time next =
      uncommitted_ ? std::min(core_.next_tick(), committed_at_ + kCommitInterval) : core_.next_tick();
  wanted_nanos_ = absl::ToUnixNanos(next);
  return next - (now - wall);
}

void ControlLoop::ObserveAll(absl::Time now) {
  do {
    if (core_.policy().mode != mode_) {
      mode_ = core_.policy().mode;
      if (executor_of_) executor_ = &executor_of_(mode_);
    }
    batch_ = mailbox_.Drain(std::move(batch_));
    for (Event& event : batch_) Observe(now, std::move(event));
  } while (core_.policy().mode != mode_);
}

absl::Time ControlLoop::CoreTime(absl::Time wall) const {
  const absl::Time last = absl::FromUnixNanos(last_nanos_.load());
  const absl::Time ahead = std::max(wall + absl::Nanoseconds(ahead_nanos_.load()), last);
  const absl::Time wanted = absl::FromUnixNanos(wanted_nanos_.load());
  return ahead <= wanted + kOversleptMax ? ahead : std::max({wall, wanted, last});
}

absl::Time ControlLoop::Advance(absl::Time wall) {
  last_nanos_ = absl::ToUnixNanos(CoreTime(wall));
  const absl::Time now = absl::FromUnixNanos(last_nanos_);
  ahead_nanos_ = absl::ToInt64Nanoseconds(now - wall);
  return now;
}

void ControlLoop::Observe(absl::Time now, Event&& event) {
  core_.Observe(now, event);
  const auto* joined = std::get_if<NodeJoined>(&event);
  if (joined != nullptr && refused_ && core_.fleet().Find(joined->node) == nullptr) refused_(joined->node);
  journal_.RecordEvent(now, std::move(event));
  uncommitted_ = true;
}

void ControlLoop::Tick(absl::Time now) {
  const auto decision = std::make_shared<const Decision>(core_.Tick(now));
  journal_.RecordTick(now, decision);
  uncommitted_ = true;
  Carry(now, *decision);
  {
    absl::MutexLock lock(&latest_mutex_);
    latest_ = decision;
  }
  if (listener_) listener_(decision);
}

void ControlLoop::Carry(absl::Time now, const Decision& decision) {
  std::vector<Action> machine_actions;
  for (const Action& action : decision.actions) {
    if (ChangesMachines(action)) {
      machine_actions.push_back(action);
      continue;
    }
    // A renewal starts nothing: it is no fact worth remembering.
    if (!IsRenewal(action)) Observe(now, ActionStarted{action});
    executor_->Start(action);
  }
  if (!machine_actions.empty()) CarryMachines(now, decision.mode, machine_actions);
}

void ControlLoop::CarryMachines(absl::Time now, Mode mode, const std::vector<Action>& actions) {
  for (const Action& action : actions) Observe(now, ActionStarted{action});
  // A dry run intends nothing: what it imagines must not be taken for something that was asked once it is over.
  const absl::Status written = mode == Mode::kLive ? journal_.CommitIntents(now, actions) : absl::OkStatus();
  if (!written.ok()) TellHealth(now, written);  // that all is well again is Commit()'s to say
  for (const Action& action : actions) {
    if (written.ok() || std::holds_alternative<LaunchNode>(action.body)) {
      executor_->Start(action);
    } else {
      Observe(now, ActionFinished{.id = action.id,
                                  .code = absl::StatusCode::kUnavailable,
                                  .message = "it was not asked, since the intent cannot be written to the journal",
                                  .node = action.node});
    }
  }
}

void ControlLoop::Commit(absl::Time now) {
  if (now >= snapshot_at_ + kSnapshotInterval) {
    journal_.RecordSnapshot(now, core_);
    snapshot_at_ = now;
    uncommitted_ = true;
  }
  if (!uncommitted_) return;
  committed_at_ = now;
  uncommitted_ = false;
  const absl::Status health = journal_.Commit();
  TellHealth(now, health);
  uncommitted_ = uncommitted_ || !health.ok();
}

void ControlLoop::TellHealth(absl::Time now, const absl::Status& health) {
  std::string error = health.ok() ? "" : std::string(health.message());
  if (error == journal_error_) return;
  journal_error_ = error;
  Observe(now, JournalChanged{std::move(error)});
}

absl::Status ControlLoop::Finish(absl::Time wall) {
  {
    absl::MutexLock lock(&questions_mutex_);
    finished_ = true;
  }
  const absl::Time now = Advance(wall);
  journal_.RecordLastSnapshot(now, core_);
  return journal_.CommitIntents(now, {});
}

}  // namespace headroom
