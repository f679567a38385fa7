#include "controller/sim/simulated_cluster.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

#include "controller/base/status.h"
#include "controller/sim/cluster_model.h"

namespace headroom::sim {
namespace {

// The world's time has none smaller: short of a part of one it would stand for ever.
absl::Time WholeNanosecond(absl::Time at) {
  return absl::UnixEpoch() + absl::Ceil(at - absl::UnixEpoch(), absl::Nanoseconds(1));
}

}  // namespace

SimulatedCluster::SimulatedCluster(const Options& options)
    : SimulatedCluster(options, std::make_unique<ClusterModel>(options.settings)) {}

SimulatedCluster::SimulatedCluster(const Options& options, std::unique_ptr<World> world)
    : boot_(options.boot),
      report_interval_(options.report_interval),
      pace_(options.pace),
      model_(std::move(world)),
      faults_(options.faults, model_->now()) {
  for (size_t node = 0; node < static_cast<size_t>(options.initial_count); ++node) {
    model_->Launch({.zone = options.zones.empty() ? "" : options.zones[node % options.zones.size()]});
  }
}

absl::Time SimulatedCluster::AdvanceTo(absl::Time until) {
  while (events_.empty() && model_->now() < until) {
    const absl::Time reached = model_->AdvanceTo(WholeNanosecond(std::min({until, NextDue(), faults_.NextAt()})));
    fault_status_.Update(faults_.Advance(*model_));
    for (const NodeChange& change : model_->TakeChanges()) Take(change);
    while (NextDue() <= reached) Say(**due_.begin(), Urgency::kNone);
  }
  return model_->now();
}

std::vector<Event> SimulatedCluster::TakeEvents(std::vector<Event> emptied) {
  emptied.clear();
  return std::exchange(events_, std::move(emptied));
}

absl::Time SimulatedCluster::NextDue() const {
  return due_.empty() ? absl::InfiniteFuture() : (*due_.begin())->second.due;
}

void SimulatedCluster::Take(const NodeChange& change) {
  switch (change.what) {
    case NodeChange::What::kServing: {
      fault_status_.Update(faults_.NodeServes(change.node, *model_));
      if (model_->IsServing(change.node)) Join(change.node);
      return;
    }
    case NodeChange::What::kStopped: {
      const bool exists = model_->Exists(change.node);
      return Leave(change.node, exists ? NodeLeft::How::kRestarting : NodeLeft::How::kStopping);
    }
    case NodeChange::What::kCrashed:
      return Leave(change.node, NodeLeft::How::kLost);
    case NodeChange::What::kSilent:
      return Forget(change.node);
    case NodeChange::What::kTurned:
      if (model_->IsServing(change.node)) Say(change.node, change.urgency);
  }
}

void SimulatedCluster::Join(const NodeId& node) {
  NodeHello hello = model_->Hello(node);
  hello.term_max_seen = terms_[node];
  reporters_[node].boot_id = hello.boot_id;
  events_.push_back(NodeJoined{node, std::move(hello)});
  Say(node, Urgency::kState);
}

void SimulatedCluster::Rejoin() {
  for (const Machine& machine : model_->Machines()) {
    if (reporters_.contains(machine.node)) Join(machine.node);
  }
}

void SimulatedCluster::Leave(const NodeId& node, NodeLeft::How how) {
  const auto reporter = reporters_.find(node);
  if (reporter == reporters_.end()) return;
  events_.push_back(NodeLeft{.node = node, .boot_id = reporter->second.boot_id, .how = how});
  Forget(node);
}

void SimulatedCluster::Forget(const NodeId& node) {
  const auto reporter = reporters_.find(node);
  if (reporter == reporters_.end()) return;
  due_.erase(&*reporter);
  reporters_.erase(reporter);
}

void SimulatedCluster::Say(Reporters::value_type& entry, Urgency urgency) {
  auto& [node, reporter] = entry;
  auto& said = std::get<NodeReported>(events_.emplace_back(std::in_place_type<NodeReported>));
  said.node = node;
  NodeReport& report = said.report;
  model_->FillReport(node, report);
  if (report.limits.source == LimitSource::kGrant && reporter.lease_until <= model_->now()) {
    report.limits.source = LimitSource::kSelf;
    model_->SetLimits(node, report.limits).IgnoreError();  // it serves, so it is there
  }
  report.urgency = urgency;
  // Mostly the first in line becomes the last.
  auto place = due_.empty() || *due_.begin() != &entry ? due_.extract(&entry) : due_.extract(due_.begin());
  reporter.due = DueAfterNow();
  if (place.empty())
    due_.insert(&entry);
  else
    due_.insert(due_.end(), std::move(place));
}

absl::Time SimulatedCluster::DueAfterNow() const {
  const absl::Time due = model_->now() + report_interval_;
  if (pace_ == Options::Pace::kEachItsOwn) return due;
  return absl::UnixEpoch() + absl::Floor(due - absl::UnixEpoch(), report_interval_);
}

NodeId SimulatedCluster::Launch(const ActionId& launch_id, const std::string& zone, Boots boots) {
  constexpr absl::Duration kNever = absl::Hours(24 * 1000);  // longer than a run
  const auto [launch, is_new] = launches_.try_emplace(launch_id);
  const absl::Duration boot = boots == Boots::kWell ? boot_ : kNever;
  if (is_new) launch->second = model_->Launch({.launch_id = launch_id, .zone = zone, .boot = boot});
  return launch->second;
}

absl::Status SimulatedCluster::Grant(const NodeId& node, const GrantLimits& grant) {
  LimitsInForce limits = model_->Limits(node);
  limits.connection_count_max = grant.connection_count_max;
  if (grant.idle_timeout > absl::ZeroDuration()) limits.idle_timeout = grant.idle_timeout;
  limits.grant_id = grant.grant_id;
  limits.source = LimitSource::kGrant;
  reporters_[node].lease_until = model_->now() + grant.lease;
  HR_RETURN_IF_ERROR(model_->SetLimits(node, limits));
  if (!grant.renewal) Say(node, Urgency::kApplied);
  return absl::OkStatus();
}

absl::Status SimulatedCluster::Send(const Action& action) {
  if (std::holds_alternative<SetServers>(action.body)) return absl::OkStatus();
  if (!model_->IsServing(action.node)) return absl::UnavailableError(absl::StrCat(action.node, " does not listen"));
  int64_t& term = terms_[action.node];
  if (action.term < term) {
    return absl::FailedPreconditionError(absl::StrCat(action.node, " has seen term ", term, ", this is ", action.term));
  }
  term = action.term;
  if (const auto* grant = std::get_if<GrantLimits>(&action.body)) return Grant(action.node, *grant);
  if (const auto* shed = std::get_if<ShedConnections>(&action.body)) return model_->Shed(action.node, *shed);
  if (std::holds_alternative<DrainNode>(action.body)) {
    HR_RETURN_IF_ERROR(model_->Drain(action.node));
  } else if (std::holds_alternative<CancelDrain>(action.body)) {
    HR_RETURN_IF_ERROR(model_->Undrain(action.node));
  } else {
    return absl::InvalidArgumentError(absl::StrCat("no node can carry out: ", ActionKind(action)));
  }
  Say(action.node, Urgency::kState);
  return absl::OkStatus();
}

}  // namespace headroom::sim
