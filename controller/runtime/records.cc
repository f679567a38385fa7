#include "controller/runtime/records.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "controller/runtime/archive.h"

namespace headroom {
namespace {

bool IsLook(const Action& action) {
  return std::holds_alternative<ListMachines>(action.body);
}

Decision WithoutRenewals(const Decision& decision) {
  Decision copy = decision;
  std::erase_if(copy.actions, IsRenewal);
  return copy;
}

}  // namespace

bool IsRenewal(const Action& action) {
  const auto* grant = std::get_if<GrantLimits>(&action.body);
  return grant != nullptr && grant->renewal;
}

std::shared_ptr<const Decision> LeaveOutRenewals(std::shared_ptr<const Decision> decision) {
  if (std::none_of(decision->actions.begin(), decision->actions.end(), IsRenewal)) return decision;
  auto kept = std::make_shared<Decision>(WithoutRenewals(*decision));
  kept->actions.shrink_to_fit();
  return kept;
}

std::string CanonicalBytes(const Decision& decision) {
  return ToArchive(decision);
}

std::string ContentBytes(const Decision& decision) {
  Decision copy = WithoutRenewals(decision);
  std::erase_if(copy.actions, IsLook);
  copy.sequence = 0;
  copy.at = copy.next_tick = absl::UnixEpoch();
  return ToArchive(copy);
}

std::string EncodeDecision(const Decision& decision) {
  return ToArchive(WithoutRenewals(decision));
}
absl::StatusOr<Decision> DecodeDecision(absl::string_view bytes) {
  return FromArchive<Decision>(bytes);
}
std::string EncodeRecords(const std::vector<Recorded>& records) {
  return ToArchive(records);
}
absl::StatusOr<std::vector<Recorded>> DecodeRecords(absl::string_view bytes) {
  return FromArchive<std::vector<Recorded>>(bytes);
}
std::string EncodeState(const State& state) {
  return ToArchive(state);
}
absl::StatusOr<State> DecodeState(absl::string_view bytes) {
  return FromArchive<State>(bytes);
}
std::string EncodePolicy(const Policy& policy) {
  return ToArchive(policy);
}
absl::StatusOr<Policy> DecodePolicy(absl::string_view bytes) {
  return FromArchive<Policy>(bytes);
}
std::string EncodeAction(const Action& action) {
  return ToArchive(action);
}
absl::StatusOr<Action> DecodeAction(absl::string_view bytes) {
  return FromArchive<Action>(bytes);
}

}  // namespace headroom
