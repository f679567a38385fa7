#include "storage_node/reporter/grant_keeper.h"

#include <algorithm>
#include <array>

#include "absl/strings/str_cat.h"

#include "controller/base/status.h"
#include "storage_node/proto_time.h"

namespace headroom {
namespace {

constexpr int64_t kCountMax = 10'000'000;
constexpr absl::Duration kLeaseMax = absl::Hours(1);
constexpr absl::Duration kIdleTimeoutMax = absl::Hours(24 * 7);

absl::Status CheckCount(absl::string_view name, int64_t count) {
  if (count >= 0 && count <= kCountMax) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(name, " ", count, " is not in 0..", kCountMax));
}

absl::Status CheckDuration(absl::string_view name, const google::protobuf::Duration& proto, absl::Duration longest) {
  const absl::Duration duration = FromProto(proto);
  if (duration >= absl::ZeroDuration() && duration <= longest) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(name, " ", absl::FormatDuration(duration), " is not in 0..", absl::FormatDuration(longest)));
}

absl::Status CheckGrant(const v1::LimitGrant& grant) {
  if (grant.grant_id() == 0) return absl::InvalidArgumentError("grant.grant_id is 0");
  HR_RETURN_IF_ERROR(CheckCount("grant.connection_count_max", grant.connection_count_max()));
  HR_RETURN_IF_ERROR(CheckCount("grant.in_flight_count_max", grant.in_flight_count_max()));
  HR_RETURN_IF_ERROR(CheckCount("grant.floor_count", grant.floor_count()));
  HR_RETURN_IF_ERROR(CheckCount("grant.ceiling_count", grant.ceiling_count()));
  HR_RETURN_IF_ERROR(CheckDuration("grant.idle_timeout", grant.idle_timeout(), kIdleTimeoutMax));
  HR_RETURN_IF_ERROR(CheckDuration("grant.lease", grant.lease(), kLeaseMax));
  if (FromProto(grant.lease()) == absl::ZeroDuration()) return absl::InvalidArgumentError("grant.lease is 0");
  return absl::OkStatus();
}

absl::Status CheckValues(const v1::Directive& directive) {
  if (directive.mode() != v1::DIRECTIVE_MODE_LIVE && directive.mode() != v1::DIRECTIVE_MODE_OBSERVE) {
    return absl::InvalidArgumentError(absl::StrCat("mode ", static_cast<int>(directive.mode()), " is not known"));
  }
  if (directive.term() < 0) return absl::InvalidArgumentError(absl::StrCat("term ", directive.term(), " is negative"));
  if (directive.has_grant()) HR_RETURN_IF_ERROR(CheckGrant(directive.grant()));
  if (directive.has_shed()) {
    HR_RETURN_IF_ERROR(CheckCount("shed.connection_count", directive.shed().connection_count()));
    HR_RETURN_IF_ERROR(CheckDuration("shed.idle_min", directive.shed().idle_min(), kIdleTimeoutMax));
  }
  return absl::OkStatus();
}

}  // namespace

absl::string_view GrantStateName(GrantState state) {
  static constexpr std::array<absl::string_view, 4> kNames = {"configured", "leased", "self_governed", "observed"};
  return kNames[static_cast<size_t>(state)];
}

GrantKeeper::GrantKeeper(const Options& options)
    : options_(options), wanted_(options.configured), term_max_seen_(options.term_max_seen), policy_(options.policy) {}

absl::Status GrantKeeper::CheckOrder(const v1::Directive& directive) const {
  if (directive.term() < term_max_seen_) {
    return absl::FailedPreconditionError(absl::StrCat("term ", directive.term(), " is older than ", term_max_seen_));
  }
  const bool same_term = directive.term() == term_max_seen_;
  if (directive.has_grant() && same_term && directive.grant().grant_id() <= grant_id_max_) {
    return absl::AlreadyExistsError(
        absl::StrCat("grant ", directive.grant().grant_id(), " is not newer than ", grant_id_max_));
  }
  return absl::OkStatus();
}

absl::Status GrantKeeper::Accept(const v1::Directive& directive, absl::Time now) {
  HR_RETURN_IF_ERROR(CheckValues(directive));
  HR_RETURN_IF_ERROR(CheckOrder(directive));
  if (directive.term() > term_max_seen_) {
    term_max_seen_ = directive.term();
    grant_id_max_ = 0;
  }
  if (!IsLive(directive)) {
    state_ = GrantState::kObserved;
    wanted_ = options_.configured;
    return absl::OkStatus();
  }
  if (state_ == GrantState::kObserved) state_ = GrantState::kConfigured;
  if (directive.has_grant()) Follow(directive.grant(), now);
  return absl::OkStatus();
}

void GrantKeeper::Follow(const v1::LimitGrant& grant, absl::Time now) {
  state_ = GrantState::kLeased;
  grant_id_ = grant_id_max_ = grant.grant_id();
  lease_end_ = now + FromProto(grant.lease());
  if (grant.connection_count_max() > 0) wanted_.connection_count = grant.connection_count_max();
  if (grant.has_in_flight_count_max()) wanted_.in_flight_count = grant.in_flight_count_max();
  if (grant.has_idle_timeout()) wanted_.idle_timeout = FromProto(grant.idle_timeout());
  policy_ = options_.policy;
  policy_.ceiling_count = std::max(grant.ceiling_count(), wanted_.connection_count);
  if (grant.floor_count() > 0) policy_.floor_count = std::min(grant.floor_count(), policy_.ceiling_count);
}

void GrantKeeper::BeginToGovern(const LimitInputs& inputs) {
  state_ = GrantState::kSelfGoverned;
  const int64_t bad_count = memory_.bad_count;
  const absl::Time bad_since = memory_.bad_since;
  memory_ = {};
  memory_.limit_count = std::min(wanted_.connection_count, inputs.fd_count_max.value_or(kCountMax));
  memory_.bad_count = bad_count;
  memory_.bad_since = bad_since;
}

void GrantKeeper::Step(LimitInputs inputs, absl::Time now) {
  if (state_ == GrantState::kLeased && now >= lease_end_) BeginToGovern(inputs);
  if (state_ != GrantState::kSelfGoverned) return;
  // Its own configuration is where it goes back to, but not past what it was granted.
  inputs.configured_count = std::min(options_.configured.connection_count, policy_.ceiling_count);
  inputs.configured_idle_timeout = options_.configured.idle_timeout;
  answer_ = NextLimit(policy_, inputs, memory_, now);
  wanted_.connection_count = answer_.limit_count;
  wanted_.idle_timeout = answer_.idle_timeout;
}

v1::LimitsInForce::Source GrantKeeper::source() const {
  if (state_ == GrantState::kLeased) return v1::LimitsInForce::SOURCE_GRANT;
  if (state_ == GrantState::kSelfGoverned) return v1::LimitsInForce::SOURCE_SELF;
  return v1::LimitsInForce::SOURCE_CONFIG;
}

uint64_t GrantKeeper::grant_id() const {
  return state_ == GrantState::kLeased ? grant_id_ : 0;
}

}  // namespace headroom
