#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

#include "controller/server/decision_feed.h"
#include "controller/server/operator/reason_words.h"

// What is told of a cluster as Events of its StorageCluster object. Pure functions, any thread.

namespace headroom {

struct ClusterEvent {
  enum class Type { kNormal, kWarning };
  static constexpr size_t kNameMax = 128, kNoteMax = 1024;  // bytes, as the API server has them

  Type type = Type::kNormal;
  std::string reason;  // CamelCase and stable: the ReasonCode where there is one
  std::string action;  // what was done or tried: "Launch", "GrantLimits", "RaiseAlarm"
  std::string note;    // one or a few sentences
};

// Of a decision: one for all nodes that it moves, one for all limits that it changes, one for a diagnosis that has
// changed, one for each kind of alarm that has begun or ended ("AlarmAtMaxOver"). Nothing happened: none.
std::vector<ClusterEvent> EventsOf(const Published& published);

// Of the object itself. Their reasons are those of the condition Ready, where that has one.
ClusterEvent PolicyRefusedEvent(const absl::Status& faults, InForce in_force);
ClusterEvent PolicyTakenEvent();
ClusterEvent NotRunEvent(const absl::Status& why);
ClusterEvent TakenUpEvent(absl::string_view cluster);
ClusterEvent GivenUpEvent(absl::string_view cluster, absl::string_view why);

}  // namespace headroom
