#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "controller/core/limits/law.h"
#include "headroom/v1/load.pb.h"

namespace headroom {

// Who has the say over a node's limits.
enum class GrantState : uint8_t {
  kConfigured,    // its configuration: no live grant came yet
  kLeased,        // the controller: a grant whose lease holds
  kSelfGoverned,  // itself, by the limit law: a live grant was accepted and lost
  kObserved,      // its configuration: the controller only looks
};
absl::string_view GrantStateName(GrantState state);

// The limits that a node should have in force.
struct NodeLimits {
  int64_t connection_count = 0;
  int64_t in_flight_count = 0;  // 0: no limit
  absl::Duration idle_timeout;
  bool operator==(const NodeLimits&) const = default;
};

// GrantKeeper: what a node believes of its controller. Directives and time go in, the limits to put in force come out.
//
// Promise: a directive of an older term, a grant that is not newer than the last one of its term, and one with an
// absurd value change nothing at all. A node governs itself only after it has accepted a live grant and lost it: then
// by NextLimit() between the floor and the ceiling of that grant, until a controller grants again. A controller that
// only observes leaves the node at its configured limits, also when it goes away. No I/O, no clock. Thread-compatible.
class GrantKeeper {
 public:
  struct Options {
    NodeLimits configured;
    LimitPolicy policy;         // for governing itself; floor and ceiling come from the grant
    int64_t term_max_seen = 0;  // from before a restart
  };
  explicit GrantKeeper(const Options& options);

  // FAILED_PRECONDITION: an older term. ALREADY_EXISTS: a grant that was there before. INVALID_ARGUMENT: an absurd
  // value. OK: all of it may be acted upon, where IsLive() is true.
  absl::Status Accept(const v1::Directive& directive, absl::Time now);
  static bool IsLive(const v1::Directive& directive) { return directive.mode() == v1::DIRECTIVE_MODE_LIVE; }

  // Ends a lease that has run out, and takes one step of the law where the node governs itself. `inputs` is the node
  // as it is; its configured values are filled in here.
  void Step(LimitInputs inputs, absl::Time now);

  GrantState state() const { return state_; }
  const NodeLimits& wanted() const { return wanted_; }
  v1::LimitsInForce::Source source() const;
  uint64_t grant_id() const;
  int64_t term_max_seen() const { return term_max_seen_; }
  int64_t bad_connection_count() const { return memory_.bad_count; }
  // The last answer of the law; meaningful while self-governed.
  const LimitAnswer& answer() const { return answer_; }

 private:
  absl::Status CheckOrder(const v1::Directive& directive) const;
  void Follow(const v1::LimitGrant& grant, absl::Time now);
  void BeginToGovern(const LimitInputs& inputs);

  const Options options_;
  GrantState state_ = GrantState::kConfigured;
  NodeLimits wanted_;
  int64_t term_max_seen_;
  uint64_t grant_id_max_ = 0;  // of that term
  uint64_t grant_id_ = 0;      // the last one followed; 0: none
  absl::Time lease_end_ = absl::InfinitePast();
  LimitPolicy policy_;  // with the floor and ceiling of the last grant
  LimitMemory memory_;
  LimitAnswer answer_;
};

}  // namespace headroom
