#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "headroom/v1/load.pb.h"
#include "storage_node/adapters/haproxy/control.h"
#include "storage_node/adapters/haproxy/reconciler.h"

namespace headroom::haproxy {

struct AgentOptions {
  std::string balancer_id;
  std::string cluster;
  std::string boot_id;  // random, new at each start of the agent
  Place place;
  ReconcileOptions reconcile;
  absl::Duration interval = absl::Milliseconds(100);  // between looks at HAProxy
  absl::Duration interval_max = absl::Seconds(2);     // while HAProxy is gone
};

// What one round found and did, for the log and the stream.
struct Turn {
  // OK: it answered. FAILED_PRECONDITION: mode http and no session_count_first; nothing is done until that is mended.
  absl::Status haproxy;
  bool haproxy_changed = false;        // it came, went, or fails otherwise than before
  std::vector<Outcome> outcomes;       // steps taken, and steps that failed otherwise than before
  std::vector<std::string> strangers;  // servers that can be no nodes: not reported, left alone; told when they change
  v1::Urgency urgency = v1::URGENCY_UNSPECIFIED;  // report at once
  absl::Duration pause;                           // until the next round
};

// What a directive meant.
struct Obeyed {
  bool changed = false;             // another list, or another mode: a round is due
  bool outdated = false;            // its term is lower than one that was seen: another controller leads
  std::vector<std::string> faults;  // what was not taken, one line each
};

// Agent: what HAProxy carries becomes a BalancerLoad, the controller's server list becomes what HAProxy has.
//
// Promise: nothing is changed at HAProxy before a live controller has said what it should be, nor while the controller
// observes. When the controller is lost, its last list stays in force. While HAProxy does not answer there is no load
// to report: silence is not mistaken for an empty or an idle balancer. When it is back, restarted and without the
// servers added at run time, the list is put in again with the limits that were last asked for; a server that is not
// back yet is left out, never told as idle. Counters never run backwards: they begin with the agent, not with HAProxy,
// so that the restart of either is no confusion (boot_id is the agent's). Threads: Round() from one thread; everything
// else from any.
class Agent {
 public:
  Agent(CommandLine& line, AgentOptions options);

  Turn Round(absl::Time now);
  // Takes a directive. A server whose definition is faulty is left as it is, the others are taken.
  Obeyed Obey(const v1::Directive& directive);

  v1::Hello Hello() const;
  // What HAProxy carries, numbered. Nothing while it does not answer.
  std::optional<v1::BalancerLoad> Load(v1::Urgency urgency);

 private:
  // Counters of one server that survive its deletion and HAProxy's restart: connect errors, errors, completed, retries.
  struct Counters {
    std::array<int64_t, 4> before{}, last{};
    std::array<int64_t, 4> Total(const std::array<int64_t, 4>& shown);
  };

  Turn Lost(absl::Status status);
  std::optional<DesiredServers> DesiredNow() const;
  v1::BalancerLoad Describe(const BackendView& view);
  v1::Urgency UrgencyOf(const v1::BalancerLoad& load) const;
  void Publish(v1::BalancerLoad load, const std::string& version);
  std::vector<std::string> NewStrangers(const BackendView& view);
  std::vector<Outcome> News(std::vector<Outcome> outcomes);

  const AgentOptions options_;
  HaproxyControl control_;
  Reconciler reconciler_;
  // Of the thread of Round().
  std::map<std::string, Counters> counters_;
  std::map<std::pair<StepKind, std::string>, std::string> failing_;
  std::vector<std::string> strangers_;
  std::optional<absl::Status> haproxy_;  // as of the last round
  absl::Duration pause_;
  v1::BalancerLoad told_;  // the load that was last made urgent, or is calm

  mutable absl::Mutex mutex_;
  v1::BalancerLoad load_ ABSL_GUARDED_BY(mutex_);  // as last seen
  bool in_sight_ ABSL_GUARDED_BY(mutex_) = false;
  std::string version_ ABSL_GUARDED_BY(mutex_);
  uint64_t sequence_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t term_max_seen_ ABSL_GUARDED_BY(mutex_) = 0;
  bool acting_ ABSL_GUARDED_BY(mutex_) = false;
  DesiredServers desired_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace headroom::haproxy
