#include <memory>

#include "absl/strings/str_cat.h"
#include <CLI/CLI.hpp>

#include "controller/base/status.h"
#include "controller/cli/commands.h"
#include "controller/runtime/wire_time.h"

namespace headroom {
namespace {

using Stub = v1::AdminService::StubInterface;

struct ModeArguments {
  v1::Mode mode = v1::MODE_UNSPECIFIED;
  std::string reason;
  bool yes = false;
};

absl::string_view Told(v1::Mode mode) {
  return mode == v1::MODE_LIVE ? "live" : "in dry run";
}

void PrintTrial(Session& session, const v1::SetModeResponse& response) {
  const v1::Trial& trial = response.trial();
  const bool live = response.mode_before() == v1::MODE_LIVE;
  session.out() << absl::StrCat(live ? "Live" : "In dry run", " since ",
                                Ago(session.now(), trial.has_since_time(), trial.since_time()), ": ",
                                trial.decision_count(), " decisions. ", live ? "They did" : "They would have done",
                                ":\n  nodes     ", TrialNodes(trial), "\n  limits    ", TrialLimits(trial), "\n");
  if (trial.largest_sequence() == 0) return;
  session.out() << absl::StrCat("  largest   from ", trial.largest_before(), " to ", trial.largest_after(), " nodes, ",
                                Ago(session.now(), true, trial.largest_time()), " (`headroomctl explain ",
                                trial.largest_sequence(), "`)\n");
}

void PrintDecisions(Session& session, const v1::SetModeResponse& response) {
  if (response.decisions().empty()) return;
  session.out() << "The last that acted:\n";
  for (const v1::Decision& decision : response.decisions()) {
    const std::string why = decision.actions().empty() ? "" : decision.actions(0).reason().text();
    session.out() << absl::StrCat("  ", decision.sequence(), "  ", Ago(session.now(), true, decision.time()), "  ", why,
                                  "\n");
  }
}

void PrintLearning(Session& session, const v1::SetModeResponse& response) {
  if (response.learning().empty()) return;
  session.out() << absl::StrCat(response.learning_size(), " of ", response.learning_of(), " learn still:\n");
  for (const v1::Reason& open : response.learning()) session.out() << "  " << open.text() << '\n';
}

// Looks first: whoever goes live sees what for.
absl::Status SetMode(Session& session, const ModeArguments& arguments) {
  v1::SetModeRequest request;
  request.set_mode(arguments.mode);
  request.set_reason(arguments.reason);
  request.set_validate_only(!arguments.yes);
  request.set_request_id(NewRequestId());
  request.set_actor(session.actor());
  HR_ASSIGN_OR_RETURN(const v1::SetModeResponse response, session.Call(&Stub::SetMode, request));
  if (session.PrintData(response)) return absl::OkStatus();
  PrintTrial(session, response);
  PrintDecisions(session, response);
  PrintLearning(session, response);
  const bool live = arguments.mode == v1::MODE_LIVE;
  if (arguments.yes) {
    session.err() << absl::StrCat("now ", Told(response.mode()), ", term ", response.term(),
                                  "; it stays so over restarts until `mode` in the policy file changes\n");
    if (!live && response.leaving_count() > 0)
      session.err() << response.leaving_count() << " nodes are leaving and stay as they are\n";
  } else if (response.mode() == arguments.mode) {
    session.err() << "it is " << Told(response.mode()) << " already\n";
  } else {
    session.err() << absl::StrCat("nothing was changed; `headroomctl ", live ? "enable" : "disable",
                                  " --yes --reason WHY` goes ", live ? "live" : "back to dry run", "\n");
  }
  return absl::OkStatus();
}

void AddMode(CLI::App& command, Session& session, v1::Mode mode) {
  const auto arguments = std::make_shared<ModeArguments>();
  arguments->mode = mode;
  command.add_option("--reason", arguments->reason, "Why, for the journal; required with --yes");
  command.add_flag("--yes", arguments->yes, "Do it; without it only what the decisions came to is shown");
  command.callback(
      [&session, arguments] { session.command = [&session, arguments] { return SetMode(session, *arguments); }; });
}

}  // namespace

std::string TrialNodes(const v1::Trial& trial) {
  return absl::StrCat(trial.launch_count(), " launched, ", trial.removal_count(), " removed, ", trial.return_count(),
                      " taken back; ", trial.nodes_least(), " to ", trial.nodes_most(), " were wanted");
}

std::string TrialLimits(const v1::Trial& trial) {
  return absl::StrCat(trial.raise_count(), " raised, ", trial.cut_count(), " lowered, ", trial.shed_count(), " sheds");
}

void AddModes(CLI::App& app, Session& session) {
  AddMode(*app.add_subcommand("enable", "Show what the dry run would have done, and with --yes go live"), session,
          v1::MODE_LIVE);
  AddMode(*app.add_subcommand("disable", "Show what was done, and with --yes go back to the dry run"), session,
          v1::MODE_DRY_RUN);
}

}  // namespace headroom
