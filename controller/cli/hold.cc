#include <memory>

#include "absl/strings/str_cat.h"
#include <CLI/CLI.hpp>

#include "controller/base/status.h"
#include "controller/cli/commands.h"
#include "controller/runtime/wire_time.h"

namespace headroom {
namespace {

using Stub = v1::AdminService::StubInterface;

struct HoldArguments {
  std::string direction, reason, duration;
  bool validate_only = false;
};

v1::HoldDirection ToDirection(const std::string& name) {
  if (name == "up") return v1::HOLD_DIRECTION_UP;
  if (name == "down") return v1::HOLD_DIRECTION_DOWN;
  return name == "both" ? v1::HOLD_DIRECTION_BOTH : v1::HOLD_DIRECTION_UNSPECIFIED;
}

std::string HoldText(const HoldArguments& arguments) {
  if (arguments.direction == "off") return "nothing is held any more\n";
  const std::string what = arguments.direction == "up"     ? "no growth and no raises"
                           : arguments.direction == "down" ? "no removal and no cuts"
                                                           : "no growth, no removal, no change of limits";
  return absl::StrCat(what, " for ", arguments.duration, "; `headroomctl hold off` lifts it\n");
}

absl::Status Hold(Session& session, const HoldArguments& arguments) {
  v1::SetHoldRequest request;
  request.set_direction(ToDirection(arguments.direction));
  request.set_reason(arguments.reason);
  request.set_validate_only(arguments.validate_only);
  request.set_request_id(NewRequestId());
  request.set_actor(session.actor());
  SetDuration(DurationOf(arguments.duration), request.mutable_duration());
  HR_ASSIGN_OR_RETURN(const v1::SetHoldResponse response, session.Call(&Stub::SetHold, request));
  if (!session.PrintData(response)) session.err() << Told(request, HoldText(arguments));
  return absl::OkStatus();
}

struct OverrideArguments {
  int min = 0, max = 0, nodes = 0;
  std::string reason, duration;
  bool off = false, validate_only = false;
};

void CheckUsage(const OverrideArguments& arguments) {
  const bool numbers = arguments.min != 0 || arguments.max != 0 || arguments.nodes != 0;
  if (numbers != arguments.off) return;
  throw CLI::ValidationError("override", arguments.off ? "either --off or numbers, not both"
                                                       : "name --min, --max or --nodes, or --off to lift it");
}

absl::Status Override(Session& session, const OverrideArguments& arguments) {
  v1::SetOverrideRequest request;
  request.set_nodes_min(arguments.min);
  request.set_nodes_max(arguments.max);
  request.set_nodes(arguments.nodes);
  request.set_reason(arguments.reason);
  request.set_validate_only(arguments.validate_only);
  request.set_request_id(NewRequestId());
  request.set_actor(session.actor());
  SetDuration(DurationOf(arguments.duration), request.mutable_duration());
  HR_ASSIGN_OR_RETURN(const v1::SetOverrideResponse response, session.Call(&Stub::SetOverride, request));
  if (session.PrintData(response)) return absl::OkStatus();
  session.err() << Told(request, arguments.off ? "the policy's numbers hold again\n"
                                               : absl::StrCat("overridden for ", arguments.duration,
                                                              "; `headroomctl override --off` lifts it\n"));
  return absl::OkStatus();
}

}  // namespace

void AddHold(CLI::App& app, Session& session) {
  const auto arguments = std::make_shared<HoldArguments>();
  CLI::App* command = app.add_subcommand("hold", "Forbid growing, shrinking or both for a while");
  command->add_option("DIRECTION", arguments->direction, "up, down, both, or off")
      ->required()
      ->check(CLI::IsMember({"up", "down", "both", "off"}));
  command->add_option("--reason", arguments->reason, "Why, for those who come later; required unless off");
  AddFor(*command, arguments->duration);
  command->add_flag("--dry-run", arguments->validate_only, "Check only, do nothing");
  command->callback(
      [&session, arguments] { session.command = [&session, arguments] { return Hold(session, *arguments); }; });
}

void AddOverride(CLI::App& app, Session& session) {
  const auto arguments = std::make_shared<OverrideArguments>();
  CLI::App* command = app.add_subcommand("override", "Replace min, max or the number of nodes for a while");
  command->add_option("--min", arguments->min, "Fewest nodes");
  command->add_option("--max", arguments->max, "Most nodes");
  command->add_option("--nodes", arguments->nodes, "The number of nodes itself");
  command->add_flag("--off", arguments->off, "Lift the override");
  command->add_option("--reason", arguments->reason, "Why, for those who come later; required unless --off");
  AddFor(*command, arguments->duration);
  command->add_flag("--dry-run", arguments->validate_only, "Check only, do nothing");
  command->callback([&session, arguments] {
    CheckUsage(*arguments);
    session.command = [&session, arguments] { return Override(session, *arguments); };
  });
}

}  // namespace headroom
