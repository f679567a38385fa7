#include <algorithm>

#include "absl/strings/str_cat.h"

#include "controller/runtime/records.h"
#include "tests/swarm/hostile_run.h"

// What the checkers are shown of the moment of a decision.

namespace headroom::swarm {
namespace {

std::string BootId(const BalancerProcess& balancer) {
  return absl::StrCat(balancer.id, "-", balancer.boot);
}

// Whether it is told limits, where any are told.
bool IsToldLimits(const BalancerProcess& balancer, const Decision& decision) {
  return balancer.connected &&
         std::none_of(decision.actions.begin(), decision.actions.end(), [&](const Action& action) {
           const auto* set = std::get_if<SetServers>(&action.body);
           return set != nullptr && std::count(set->without_share.begin(), set->without_share.end(), balancer.id) > 0;
         });
}

}  // namespace

// Of all balancers together. What a process begins with is its owner's, until it has said so.
void HostileRun::CountSlots(const Decision& decision, sim::MachineFacts& facts) const {
  facts.limit_count = 0;
  for (const BalancerProcess& balancer : world_.balancers()) {
    const auto entry = balancer.servers.find(facts.id);
    if (entry == balancer.servers.end() || !balancers_heard_.contains(BootId(balancer))) continue;
    facts.limit_count += entry->second.session_count_max;
    if (!IsToldLimits(balancer, decision)) facts.slots_elsewhere_count += entry->second.session_count_max;
  }
}

void HostileRun::TellHeard(const Heard& heard, sim::MachineFacts& facts) {
  facts.is_told = heard.is_told;
  facts.heard_at = heard.at;
  facts.heard_process = heard.process;
  facts.is_connected = heard.connected;
  facts.heard_serving = heard.serving;
  facts.heard_draining = heard.draining;
  facts.heard_open_count = heard.open;
  facts.heard_active_count = heard.active;
  facts.heard_waiting_count = heard.waiting;
}

sim::Moment HostileRun::MomentOf(const Decision& decision) const {
  sim::Moment moment{
      .process = process_, .forgot = forgot_, .decision = decision, .policy = policy_, .orders = orders_};
  moment.journal_fails = core_knows_disk_fails_;
  moment.listed_at = listed_at_;
  for (const BalancerProcess& balancer : world_.balancers())
    moment.balancers += IsToldLimits(balancer, decision) ? 1 : 0;
  for (const auto& [id, server] : world_.servers()) {
    sim::MachineFacts& facts = moment.machines[id];
    facts.id = id;
    facts.zone = server.zone;
    facts.launch_id = server.launch_id;
    facts.boot = server.boot;
    facts.serves = server.Serves();
    facts.limit_count = server.limits.connection_count_max;
    facts.slots_at_balancers = world_.settings().balancing == Balancing::kRequests;
    if (facts.slots_at_balancers) CountSlots(decision, facts);
    facts.configured_count = world_.settings().connection_limit;
    facts.configured_idle_timeout = world_.settings().idle_timeout;
    if (const auto launched = launched_at_.find(server.launch_id); launched != launched_at_.end())
      facts.launched_at = launched->second;
    const auto heard = heard_.find(id);
    if (heard == heard_.end()) continue;
    TellHeard(heard->second, facts);
    facts.boot_is_told = heard->second.boot_id == World::BootId(server);
    // What another program has set is known once it is said.
    const bool foreign = server.limits.source == LimitSource::kForeign && !facts.slots_at_balancers;
    if (foreign) facts.limit_count = std::min(facts.limit_count, heard->second.limit);
  }
  for (const auto& [id, heard] : heard_) {
    if (world_.servers().contains(id)) continue;
    if (!heard.denied) ++moment.undenied;
    if (!heard.is_told) continue;
    moment.vanished[id].id = id;
    TellHeard(heard, moment.vanished[id]);
  }
  return moment;
}

void HostileRun::Judge(const Decision& decision) {
  ++outcome_.decisions;
  if (say_) {
    std::string line;
    for (const Action& action : decision.actions) {
      if (IsRenewal(action) || std::holds_alternative<ListMachines>(action.body)) continue;
      absl::StrAppend(&line, " ", ActionKind(action), " ", action.node, " (", RenderReason(action.reason), ")");
    }
    if (!line.empty())
      Line(absl::StrCat("#", decision.sequence, " serving ", decision.serving_count, " effective ",
                        decision.effective_count, " desired ", decision.desired_count, ":", line));
  }
  if (decision.mode != Mode::kLive) return;
  was_judged_ = true;
  std::vector<sim::Violation> violations = checker_.Check(MomentOf(decision));
  if (!violations.empty()) Line(absl::StrCat("it decided so: ", WhyOf(decision)));
  for (sim::Violation& violation : violations) Violate(std::move(violation.rule), std::move(violation.what));
}

}  // namespace headroom::swarm
