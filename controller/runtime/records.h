#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "controller/core/decision.h"
#include "controller/runtime/journal.h"

// The archives that the journal and replays use, compiled once. DATA_LOSS: broken bytes. Any thread.

namespace headroom {

// A grant in which nothing changed but the lease.
bool IsRenewal(const Action& action);
// As it is kept until it is journalled.
std::shared_ptr<const Decision> LeaveOutRenewals(std::shared_ptr<const Decision> decision);

// The same decision, whatever made it, has the same bytes.
std::string CanonicalBytes(const Decision& decision);
// What a decision says, without its number, times, looks and renewals: equal for two that say the same.
std::string ContentBytes(const Decision& decision);

// As it is journalled: without renewals.
std::string EncodeDecision(const Decision& decision);
absl::StatusOr<Decision> DecodeDecision(absl::string_view bytes);
std::string EncodeRecords(const std::vector<Recorded>& records);
absl::StatusOr<std::vector<Recorded>> DecodeRecords(absl::string_view bytes);
std::string EncodeState(const State& state);
absl::StatusOr<State> DecodeState(absl::string_view bytes);
std::string EncodePolicy(const Policy& policy);
absl::StatusOr<Policy> DecodePolicy(absl::string_view bytes);
std::string EncodeAction(const Action& action);
absl::StatusOr<Action> DecodeAction(absl::string_view bytes);

}  // namespace headroom
