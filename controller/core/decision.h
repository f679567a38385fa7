#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "controller/core/action.h"
#include "controller/core/limits/law.h"
#include "controller/core/policy.h"
#include "controller/core/reason.h"

// A decision: the answer and its whole explanation in one value. It is journalled, published, printed by `explain` and
// compared byte for byte in replays. "Did nothing" has its explanation too.

namespace headroom {

// What one signal says. No number: it cannot tell, which forbids shrinking and never blocks growing.
struct Demand {
  // A count says how many nodes are needed; a step only whether one more or one fewer, so that there is nothing to
  // project a smaller fleet from.
  enum class Kind : uint8_t { kCount, kStep };
  std::string signal;
  std::optional<double> node_count;
  Reason reason;
  Kind kind = Kind::kCount;
  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("signal", self.signal);
    visit("nodes", self.node_count);
    visit("reason", self.reason);
    visit("kind", self.kind);
  }
};

// What one guard allows; each states its direction by which bound it sets.
struct Verdict {
  std::string guard;
  std::optional<int> at_least, at_most;
  int before = 0, after = 0;
  Reason reason;
  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("guard", self.guard);
    visit("at_least", self.at_least);
    visit("at_most", self.at_most);
    visit("before", self.before);
    visit("after", self.after);
    visit("reason", self.reason);
  }
};

struct LimitDecision {
  NodeId node;
  int64_t before = 0, after = 0;
  absl::Duration idle_timeout;
  Ceiling bound_by = Ceiling::kNone;
  Reason reason;
  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("node", self.node);
    visit("before", self.before);
    visit("after", self.after);
    visit("idle_timeout", self.idle_timeout);
    visit("bound_by", self.bound_by);
    visit("reason", self.reason);
  }
};

enum class Cause : uint8_t {
  kNone,
  kCannotTell,
  kSurge,  // limit exhausted by a surge
  kRetryStorm,
  kBadDeploy,
  kSoftware,
  kNetwork,
  kSlowDisk,
  kCpu,
  kHotNode,
  kClientLeak,
  kReportLoss,
  kImbalance,
};
inline constexpr int kCauseCount = static_cast<int>(Cause::kImbalance) + 1;
// "none", "cannot_tell", "limit_exhausted_by_surge", ...
absl::string_view CauseName(Cause cause);

struct Diagnosis {
  Cause cause = Cause::kNone;
  double confidence = 0;  // 0..1
  absl::Time since = absl::InfinitePast();
  Reason reason;
  std::vector<Reason> ruled_out;  // each with its number
  Reason remedy;
  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("cause", self.cause);
    visit("confidence", self.confidence);
    visit("since", self.since);
    visit("reason", self.reason);
    visit("ruled_out", self.ruled_out);
    visit("remedy", self.remedy);
  }
};

struct Decision {
  uint64_t sequence = 0;
  absl::Time at;
  int64_t term = 0;
  Mode mode = Mode::kDryRun;
  int serving_count = 0, effective_count = 0, desired_count = 0;
  std::vector<Demand> demands;
  std::vector<Verdict> verdicts;
  std::vector<LimitDecision> limits;  // that changed, or that a ceiling, the budget or a veto binds
  Diagnosis diagnosis;
  std::vector<Action> actions;
  std::vector<Reason> alarms;
  absl::Time next_tick;

  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("sequence", self.sequence);
    visit("at", self.at);
    visit("term", self.term);
    visit("mode", self.mode);
    visit("serving", self.serving_count);
    visit("effective", self.effective_count);
    visit("desired", self.desired_count);
    visit("demands", self.demands);
    visit("verdicts", self.verdicts);
    visit("limits", self.limits);
    visit("diagnosis", self.diagnosis);
    visit("actions", self.actions);
    visit("alarms", self.alarms);
    visit("next_tick", self.next_tick);
  }
};

// Whether the decision does something that people want to see: an action other than a renewal or a look.
bool Acts(const Decision& decision);

}  // namespace headroom
