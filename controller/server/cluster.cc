#include "controller/server/cluster.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "controller/base/status.h"
#include "controller/runtime/recovery.h"
#include "controller/server/decision_log.h"
#include "controller/server/log.h"

namespace headroom {
namespace {

constexpr absl::Duration kRoundMax = absl::Seconds(1);
constexpr absl::Duration kScrapeWait = absl::Milliseconds(300);
constexpr absl::Duration kHealthyMin = absl::Seconds(3);
constexpr absl::Duration kTermRetry = absl::Minutes(1);

// The outcomes that the core waits for; it sees the effect of anything else in the reports.
bool IsAwaited(const Action& action) {
  return ChangesMachines(action) || std::holds_alternative<ListMachines>(action.body) ||
         std::holds_alternative<DrainNode>(action.body);
}

}  // namespace

Cluster::Cluster(const Options& options, Parts parts)
    : options_(options),
      name_(parts.config.policy.cluster),
      clock_(parts.clock != nullptr ? *parts.clock : system_clock_),
      clock_speed_(parts.clock_speed),
      nodes_(parts.nodes),
      first_nodes_(std::move(parts.first_nodes)),
      start_nodes_(std::move(parts.start_nodes)),
      stop_nodes_(std::move(parts.stop_nodes)),
      provider_(std::move(parts.provider)),
      journal_(std::move(parts.journal)),
      policy_(std::move(parts.config), std::move(parts.yaml), [this](const Config& config) { OnPolicy(config); }),
      metrics_(options_.version, Label()),
      access_(options_.access, name_),
      provider_health_(absl::UnknownError("the machines have not been listed yet")) {}

absl::StatusOr<std::shared_ptr<Cluster>> Cluster::Open(const Options& options, Parts parts) {
  std::shared_ptr<Cluster> cluster(new Cluster(options, std::move(parts)));
  HR_RETURN_IF_ERROR(cluster->Recover());
  cluster->MakeServices();
  return cluster;
}

absl::Status Cluster::Run() {
  if (first_nodes_) HR_RETURN_IF_ERROR(first_nodes_());
  loop_thread_ = std::thread([this] { RunLoop(); });
  if (start_nodes_) start_nodes_(poster());
  return absl::OkStatus();
}

Cluster::~Cluster() {
  Stop();
}

void Cluster::StopDeciding() {
  if (stopping_.exchange(true)) return;
  if (stop_nodes_) stop_nodes_();
  if (!loop_thread_.joinable()) return;
  loop_->Wake();
  loop_thread_.join();
}

// Calls of operators may be under way still, so nothing that they use ends before the cluster itself.
void Cluster::Stop() {
  StopDeciding();
  if (std::exchange(stopped_, true)) return;
  const absl::Status over = absl::UnavailableError(absl::StrCat("cluster ", name_, " is no longer run here"));
  feed_.Close(over);
  if (registry_ != nullptr) registry_->EndAll(over);
  if (live_ != nullptr) live_->Stop();  // their threads post to the loop
  if (dry_run_ != nullptr) dry_run_->Stop();
}

absl::Status Cluster::Recover() {
  HR_ASSIGN_OR_RETURN(Autoscaler core, headroom::Recover(*journal_, policy_.config().policy, clock_.Now()));
  term_ = std::make_unique<TermKeeper>(core.Save().term, [this] { loop_->Wake(); });
  const Policy& policy = core.policy();
  registry_ =
      std::make_unique<StreamRegistry>(StreamRegistry::Options{.report_interval = policy.control.report_interval,
                                                               .term = [this] { return term_->current(); },
                                                               .mode = policy.mode});
  policy_.SetModeInForce(policy.mode);
  dry_run_ = std::make_unique<DryRunExecutor>(DryRunExecutor::Ports{MachineLister(*provider_), poster(), Finisher()},
                                              policy.nodes.lead_time / clock_speed_);
  Executor& executor = ExecutorOf(policy.mode);
  const Autoscaler before = core;
  loop_ = std::make_unique<ControlLoop>(std::move(core), executor, *journal_);
  loop_->OnMode([this](Mode mode) -> Executor& { return SwitchMode(mode); });
  core_clock_ = std::make_unique<CoreClock>(clock_, *loop_);
  loop_->OnDecision([this](const std::shared_ptr<const Decision>& decision) { OnDecision(decision); });
  loop_->OnRefused([this](const NodeId& node) { OnRefused(node); });
  ResumeInFlight(before);
  return absl::OkStatus();
}

Finish Cluster::Finisher() {
  return [this](const Action& action, ActionFinished outcome) { OnFinished(action, std::move(outcome)); };
}

Executor& Cluster::ExecutorOf(Mode mode) {
  if (mode == Mode::kDryRun) return *dry_run_;
  if (live_ == nullptr) {
    channels_ = std::make_unique<NodeChannels>(*registry_);
    NodeControl& nodes = nodes_ != nullptr ? *nodes_ : *channels_;
    live_ = std::make_unique<LiveExecutor>(LiveExecutor::Ports{
        nodes, *provider_, poster(), Finisher(), [this](int64_t term) { term_->Saw(term, "the nodes' platform"); }});
  }
  return *live_;
}

// Of the loop thread, between the word of the operator and the first decision in the new mode.
Executor& Cluster::SwitchMode(Mode mode) {
  if (mode == Mode::kDryRun && live_ != nullptr) live_->DropWaiting();
  Executor& executor = ExecutorOf(mode);
  policy_.SetModeInForce(mode);
  term_->Raise();
  term_retry_at_ = absl::InfinitePast();
  SettleTerm();
  registry_->SetMode(mode);
  LogLine(LogLevel::kWarning, "mode_changed", Label())
      .Add("mode", mode == Mode::kLive ? "live" : "dry_run")
      .Add("term", term_->current());
  return executor;
}

// What was under way when the last process ended. What a provider was asked is held against what it runs, in a dry run
// too: it was real, and to look changes nothing. A list, and what a dry run only imagines, is begun again.
void Cluster::ResumeInFlight(const Autoscaler& core) {
  std::vector<Action> asked;
  for (const auto& [id, flight] : core.fleet().in_flight()) {
    if (std::holds_alternative<ListMachines>(flight.action.body)) ExecutorOf(core.policy().mode).Start(flight.action);
    if (!ChangesMachines(flight.action)) continue;
    if (flight.dry_run)
      dry_run_->Start(flight.action);
    else
      asked.push_back(flight.action);
  }
  if (asked.empty()) return;
  ExecutorOf(Mode::kLive);
  const bool is_live = core.policy().mode == Mode::kLive;
  live_->Resolve(asked, [this, is_live] { return is_live ? term_->current() : 0; });
}

void Cluster::MakeServices() {
  intake_ = std::make_unique<LoadIntake>(
      LoadIntake::Options{.access = access_,
                          .post = poster(),
                          .saw_term = [this](int64_t term, absl::string_view reporter) { term_->Saw(term, reporter); }},
      *registry_);
  admin_ = std::make_unique<AdminService>(
      AdminService::Ports{access_, *loop_, *journal_, policy_, feed_, *core_clock_, options_.version});
}

Metrics::Families Cluster::CollectMetrics() {
  metrics_.Reports(intake_->counters(), registry_->size());
  // A loop that hangs must not hang the scrape: the last figures stand, and their age is in a metric.
  loop_->Ask([this](const Autoscaler& core) { metrics_.Cluster(core, core_clock_->Now()); }, kScrapeWait).IgnoreError();
  return metrics_.Collect();
}

void Cluster::RunLoop() {
  while (!stopping_) {
    SettleTerm();
    const absl::Time began = system_clock_.Now();
    const absl::Time next = loop_->RunOnce(clock_.Now());
    const absl::Time ended = system_clock_.Now();
    metrics_.Loop(ended, ended - began);
    const absl::Duration pause = std::clamp((next - clock_.Now()) / clock_speed_, absl::ZeroDuration(), kRoundMax);
    loop_->Wait([ended] { return ended; }, ended + pause);
  }
  const absl::Status finished = loop_->Finish(clock_.Now());
  if (!finished.ok()) LogLine(LogLevel::kError, "last_commit_failed", Label()).Add("error", finished.message());
}

void Cluster::SettleTerm() {
  if (clock_.Now() < term_retry_at_) return;
  const absl::StatusOr<std::optional<int64_t>> term = term_->Settle(*journal_);
  if (!term.ok()) {
    // A disk that does not answer costs seconds, and limits must not wait for it.
    term_retry_at_ = clock_.Now() + kTermRetry;
    LogLine(LogLevel::kError, "term_not_written", Label()).Add("error", term.status().message());
  } else if (term->has_value()) {
    LogLine(LogLevel::kInfo, "term_raised", Label()).Add("term", **term);
    loop_->Post(TermChanged{**term}).IgnoreError();  // the mailbox takes terms
    registry_->Announce();
  }
}

void Cluster::OnDecision(const std::shared_ptr<const Decision>& decision) {
  decided_at_nanos_ = absl::ToUnixNanos(system_clock_.Now());
  metrics_.Decided(*decision);
  LogDecision(feed_.Publish(decision), Label());
}

void Cluster::OnRefused(const NodeId& node) {
  const absl::Status full = absl::ResourceExhaustedError(
      absl::StrCat("this controller has ", Fleet::kNodesMax,
                   " nodes, lost ones included, and takes no more; run another controller for another cluster"));
  LogLine(LogLevel::kWarning, "node_refused", Label()).Add("node", node).Add("why", full.message());
  registry_->Refuse({v1::ROLE_NODE, node}, full);
}

void Cluster::OnFinished(const Action& action, ActionFinished outcome) {
  metrics_.Finished(action, outcome);
  if (std::holds_alternative<ListMachines>(action.body)) {
    absl::MutexLock lock(&provider_mutex_);
    provider_health_ =
        outcome.code == absl::StatusCode::kOk ? absl::OkStatus() : absl::Status(outcome.code, outcome.message);
  }
  LogOutcome(action, outcome, Label());
  if (IsAwaited(action)) loop_->Post(std::move(outcome)).IgnoreError();  // the mailbox takes outcomes
}

void Cluster::OnPolicy(const Config& config) {
  registry_->SetReportInterval(config.policy.control.report_interval);
  dry_run_->set_lead_time(config.policy.nodes.lead_time / clock_speed_);
  const absl::Status posted = loop_->Post(PolicyChanged{config.policy});
  if (!posted.ok()) LogLine(LogLevel::kError, "policy_not_taken", Label()).Add("error", posted.message());
}

absl::Status Cluster::ReloadPolicy(const std::string& path) {
  const absl::StatusOr<PolicyKeeper::Change> change = policy_.Reload(path);
  metrics_.PolicyReloaded(change.ok());
  if (!change.ok()) {
    for (const std::string& fault : policy_.faults()) {
      LogLine(LogLevel::kError, "policy_refused", Label())
          .Add("fault", fault)
          .Add("text", "the old policy stays in force");
    }
    return change.status();
  }
  LogLine line(LogLevel::kInfo, "policy_reloaded", Label());
  line.Add("file", path).Add("changes", static_cast<int64_t>(change->changes.size()));
  if (!change->changes.empty()) line.Add("change", absl::StrJoin(change->changes, "; "));
  return absl::OkStatus();
}

absl::Status Cluster::ProviderHealth() const {
  absl::MutexLock lock(&provider_mutex_);
  return provider_health_;
}

absl::Status Cluster::Health() const {
  const int64_t nanos = decided_at_nanos_;
  if (nanos == 0) return absl::UnavailableError("no decision was made yet");
  const absl::Duration age = system_clock_.Now() - absl::FromUnixNanos(nanos);
  const absl::Duration allowed = std::max(kHealthyMin, 3 * policy_.config().policy.control.tick / clock_speed_);
  if (age <= allowed) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat("the last decision is ", absl::FormatDuration(age), " old, at most ",
                                             absl::FormatDuration(allowed), " is healthy; see the log of headroomd"));
}

}  // namespace headroom
