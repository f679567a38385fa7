#include <map>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include <CLI/CLI.hpp>

#include "controller/base/status.h"
#include "controller/cli/commands.h"
#include "controller/runtime/wire_time.h"

namespace headroom {
namespace {

using Stub = v1::AdminService::StubInterface;

// "3 grant_limits, 1 launch"; what only looks or renews is left out by the server's reasons.
std::string ActionsText(const v1::Decision& decision) {
  std::map<std::string, int> counts;
  for (const v1::Action& action : decision.actions()) {
    if (action.kind() != "list" && action.reason().code() != "limit_renewed") ++counts[action.kind()];
  }
  std::vector<std::string> parts;
  for (const auto& [kind, count] : counts) parts.push_back(count > 1 ? absl::StrCat(kind, " x", count) : kind);
  return parts.empty() ? "-" : absl::StrJoin(parts, ", ");
}

std::string WhyText(const v1::Decision& decision) {
  for (const v1::Action& action : decision.actions()) {
    if (action.kind() != "list" && action.reason().code() != "limit_renewed") return action.reason().text();
  }
  return decision.diagnosis().reason().text();
}

std::string TimeText(const google::protobuf::Timestamp& time) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%S", FromWire(time), absl::UTCTimeZone());
}

std::vector<Cell> Row(const v1::Decision& decision) {
  const std::string& cause = decision.diagnosis().cause();
  return {absl::StrCat(decision.sequence()),
          TimeText(decision.time()),
          std::string(decision.mode() == v1::MODE_LIVE ? "live" : "dry run"),
          absl::StrCat(decision.serving_count(), " -> ", decision.desired_count()),
          {cause, cause == "none" ? Tone::kGood : Tone::kBad},
          ActionsText(decision),
          WhyText(decision)};
}

struct ListArguments {
  int count = 20;
  bool all = false;
  std::string since;
};

// As many pages as it takes, as one answer; its token says whether there is more.
absl::StatusOr<v1::ListDecisionsResponse> Pages(Session& session, v1::ListDecisionsRequest request, int count) {
  constexpr int kPageMax = 500;
  v1::ListDecisionsResponse all;
  do {
    request.set_page_size(std::min(count - all.decisions_size(), kPageMax));
    HR_ASSIGN_OR_RETURN(v1::ListDecisionsResponse page, session.Call(&Stub::ListDecisions, request));
    all.mutable_decisions()->MergeFrom(page.decisions());
    all.set_next_page_token(page.next_page_token());
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty() && all.decisions_size() < count);
  return all;
}

absl::Status List(Session& session, const ListArguments& arguments) {
  v1::ListDecisionsRequest request;
  request.set_only_acting(!arguments.all);
  if (!arguments.since.empty()) SetTime(session.now() - DurationOf(arguments.since), request.mutable_since_time());
  HR_ASSIGN_OR_RETURN(const v1::ListDecisionsResponse response, Pages(session, request, arguments.count));
  if (session.PrintData(response)) return absl::OkStatus();
  Table table({">SEQUENCE", "TIME (UTC)", "MODE", "NODES", "DIAGNOSIS", "DID", "WHY"});
  for (const v1::Decision& decision : response.decisions()) table.Add(Row(decision));
  if (table.empty()) {
    session.err() << (arguments.all ? "no decisions\n" : "no decision acted; --all shows the others\n");
  } else {
    table.Print(session.out(), session.colours());
  }
  return absl::OkStatus();
}

void PrintWatched(Session& session, const v1::Decision& decision) {
  if (!session.wants_table()) return session.PrintLine(decision);
  const std::string& cause = decision.diagnosis().cause();
  session.out() << TimeText(decision.time()) << "  #" << decision.sequence() << "  " << decision.serving_count()
                << " -> " << decision.desired_count() << " nodes  "
                << session.Paint({cause, cause == "none" ? Tone::kGood : Tone::kBad}) << "  " << ActionsText(decision)
                << "  " << WhyText(decision) << std::endl;
}

struct WatchArguments {
  bool all = false;
  int count = 0;
};

absl::Status Watch(Session& session, const WatchArguments& arguments) {
  v1::WatchDecisionsRequest request;
  request.set_cluster(session.cluster);
  request.set_only_acting(!arguments.all);
  int seen = 0;
  // No deadline: it ends with the server, with Ctrl-C, or with the count.
  const absl::Status status = session.Reach([&](Stub& stub, grpc::ClientContext& context) {
    const auto reader = stub.WatchDecisions(&context, request);
    v1::WatchDecisionsResponse response;
    while (reader->Read(&response)) {
      PrintWatched(session, response.decision());
      if (++seen == arguments.count) context.TryCancel();
    }
    return reader->Finish();
  });
  return absl::IsCancelled(status) ? absl::OkStatus() : status;
}

struct UndoArguments {
  uint64_t sequence = 0;
  std::string reason;
  bool validate_only = false;
};

absl::Status Undo(Session& session, const UndoArguments& arguments) {
  v1::UndoDecisionRequest request;
  request.set_sequence(arguments.sequence);
  request.set_reason(arguments.reason);
  request.set_validate_only(arguments.validate_only);
  request.set_request_id(NewRequestId());
  request.set_actor(session.actor());
  HR_ASSIGN_OR_RETURN(const v1::UndoDecisionResponse response, session.Call(&Stub::UndoDecision, request));
  if (session.PrintData(response)) return absl::OkStatus();
  if (arguments.validate_only) session.err() << "checked, nothing done; would be:\n";
  for (const v1::Reason& reason : response.undone()) session.out() << reason.text() << '\n';
  for (const v1::Reason& reason : response.not_undone()) {
    session.out() << session.Paint({"not undone: ", Tone::kWarning}) << reason.text() << '\n';
  }
  return absl::OkStatus();
}

void AddList(CLI::App& app, Session& session) {
  const auto arguments = std::make_shared<ListArguments>();
  CLI::App* command = app.add_subcommand("decisions", "Past decisions, newest first");
  command->add_option("-n,--count", arguments->count, "At most so many")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  command->add_flag("--all", arguments->all, "Also those that did nothing");
  command->add_option("--since", arguments->since, "Only those of the last 30m, 2h, ...")->check(DurationFault);
  command->callback(
      [&session, arguments] { session.command = [&session, arguments] { return List(session, *arguments); }; });
}

void AddWatch(CLI::App& app, Session& session) {
  const auto arguments = std::make_shared<WatchArguments>();
  CLI::App* command = app.add_subcommand("watch", "Decisions as they are made");
  command->add_flag("--all", arguments->all, "Also those that do nothing");
  command->add_option("-n,--count", arguments->count, "End after so many; 0: never");
  command->callback(
      [&session, arguments] { session.command = [&session, arguments] { return Watch(session, *arguments); }; });
}

void AddUndo(CLI::App& app, Session& session) {
  const auto arguments = std::make_shared<UndoArguments>();
  CLI::App* command = app.add_subcommand("undo", "Take back what a decision did, where that can be");
  command->add_option("SEQUENCE", arguments->sequence, "The decision")->required();
  command->add_option("--reason", arguments->reason, "Why, for the journal");
  command->add_flag("--dry-run", arguments->validate_only, "Say what would be undone, do nothing");
  command->callback(
      [&session, arguments] { session.command = [&session, arguments] { return Undo(session, *arguments); }; });
}

}  // namespace

void AddDecisions(CLI::App& app, Session& session) {
  AddList(app, session);
  AddWatch(app, session);
  AddUndo(app, session);
}

}  // namespace headroom
