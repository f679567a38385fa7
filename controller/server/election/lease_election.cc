#include "controller/server/election/lease_election.h"

#include <algorithm>
#include <utility>

#include "controller/base/status.h"

namespace headroom {
namespace {

constexpr double kJitter = 1.2;

// What makes a record another one; its version alone does not (somebody has touched the annotations).
bool IsSame(const LeaseRecord& a, const LeaseRecord& b) {
  return a.holder == b.holder && a.duration == b.duration && a.acquired_at == b.acquired_at &&
         a.renewed_at == b.renewed_at && a.transitions == b.transitions;
}

}  // namespace

absl::Status CheckTiming(const LeaseTiming& timing) {
  if (timing.retry > absl::ZeroDuration() && timing.duration > timing.renew_deadline &&
      timing.renew_deadline > kJitter * timing.retry)
    return absl::OkStatus();
  return absl::InvalidArgumentError("a lease's duration must exceed its renew deadline, and that 1.2 times its retry");
}

LeaseElection::LeaseElection(LeaseStore& store, Options options)
    : store_(store), options_(std::move(options)), random_(options_.seed) {}

Standing LeaseElection::Round() {
  Standing standing;
  standing.trouble = Try();
  const absl::Duration now = options_.steady();
  if (renewed_at_.has_value() && now - *renewed_at_ >= options_.timing.renew_deadline) renewed_at_.reset();
  standing.leads = renewed_at_.has_value();
  if (standing.leads) standing.good_until = *renewed_at_ + options_.timing.duration;
  if (observed_.has_value()) {
    standing.holder = observed_->holder;
    standing.number = observed_->transitions;
  }
  standing.pause = Pause();
  return standing;
}

absl::Duration LeaseElection::Pause() {
  if (renewed_at_.has_value()) return options_.timing.retry;
  return options_.timing.retry * (1 + std::uniform_real_distribution<double>(0, kJitter)(random_));
}

absl::Status LeaseElection::Try() {
  if (renewed_at_.has_value() && Renew().ok()) return absl::OkStatus();
  absl::StatusOr<LeaseRecord> found = store_.Read(options_.timing.renew_deadline / 2);
  if (!found.ok() && !absl::IsNotFound(found.status())) return found.status();
  if (found.ok()) {
    Observe(*found);
  } else {  // somebody has deleted it: from now on anybody may have it
    observed_.reset();
    renewed_at_.reset();
  }
  if (IsHeldByAnother()) {
    renewed_at_.reset();
    return absl::OkStatus();
  }
  return Renew();
}

// The write is counted from before it was sent: that is the latest at which others may have seen it.
absl::Status LeaseElection::Renew() {
  const absl::Duration began = options_.steady();
  HR_ASSIGN_OR_RETURN(const LeaseRecord written, store_.Write(Claim(), options_.timing.renew_deadline / 2));
  Observe(written);
  renewed_at_ = began;
  return absl::OkStatus();
}

void LeaseElection::Observe(const LeaseRecord& record) {
  if (!observed_.has_value() || !IsSame(*observed_, record)) observed_at_ = options_.steady();
  observed_ = record;
}

bool LeaseElection::IsHeldByAnother() const {
  if (!observed_.has_value() || observed_->holder.empty() || observed_->holder == options_.identity) return false;
  return options_.steady() < observed_at_ + observed_->duration;
}

LeaseRecord LeaseElection::Claim() const {
  const absl::Time now = options_.wall();
  LeaseRecord claim = observed_.value_or(LeaseRecord{});
  const bool ours = observed_.has_value() && claim.holder == options_.identity;
  if (!ours) claim.acquired_at = now;
  if (!ours && observed_.has_value()) ++claim.transitions;
  claim.holder = options_.identity;
  claim.duration = options_.timing.duration;
  claim.renewed_at = now;
  return claim;
}

absl::Status LeaseElection::Release() {
  if (!renewed_at_.has_value()) return absl::OkStatus();
  renewed_at_.reset();
  LeaseRecord free = *observed_;
  free.holder.clear();
  free.duration = absl::Seconds(1);
  free.acquired_at = free.renewed_at = options_.wall();
  absl::StatusOr<LeaseRecord> written = store_.Write(free, options_.timing.renew_deadline / 2);
  if (!absl::IsAborted(written.status())) return written.status();
  HR_ASSIGN_OR_RETURN(const LeaseRecord now, store_.Read(options_.timing.renew_deadline / 2));
  if (now.holder != options_.identity) return absl::OkStatus();  // it is another's by now
  free.version = now.version;
  return store_.Write(free, options_.timing.renew_deadline / 2).status();
}

}  // namespace headroom
