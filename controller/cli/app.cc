#include "controller/cli/app.h"

#include <algorithm>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include <CLI/CLI.hpp>

#include "controller/base/near_match.h"
#include "controller/cli/commands.h"
#include "controller/wire/tls_flags.h"

namespace headroom {
namespace {

constexpr char kDescription[] = R"(headroomctl: see and steer a Headroom controller.

Examples:
  headroomctl status                                   the cluster in one look
  headroomctl enable                                   what the dry run would have done; --yes goes live
  headroomctl explain                                  why the newest decision is what it is
  headroomctl hold down --reason "backup" --for 2h     no node leaves, no limit falls
  headroomctl override --min 5 --reason "sale" --for 8h
  headroomctl policy check policy.yaml                 every fault, no server needed
  headroomctl watch -o json                            decisions as they are made
  headroomctl replay /var/lib/headroom                 the same decisions again, or the first that differs; no server
  headroomctl plan demand.csv --per-node 500           what the cluster will need; no server needed
  headroomctl lab compare --traces traces/             what every autoscaler would have cost; no server needed
  headroomctl simulate campaign.yaml                   a cluster, its traffic and faults, and what comes of it
)";

constexpr int kUsage = 2;

void AddCommon(CLI::App& app, Session& session) {
  app.add_option("--server", session.server, "Controllers, HOST:PORT[,HOST:PORT]; the one that leads is found")
      ->envname("HEADROOM_SERVER")
      ->default_val("127.0.0.1:7600")
      ->capture_default_str();
  app.add_option("--cluster", session.cluster, "Cluster, where the controller runs several (--operator)")
      ->envname("HEADROOM_CLUSTER");
  AddTlsFlags(app, session.tls);
  app.add_option("-o,--output", session.format, "table, json or yaml")
      ->check(CLI::IsMember({"table", "json", "yaml"}))
      ->capture_default_str();
  app.add_option("--timeout", session.timeout, "How long a call may take")->capture_default_str();
  app.set_version_flag("--version", std::string("headroomctl ") + HEADROOM_VERSION);
  app.require_subcommand(1);
  app.fallthrough();
}

void AddCommands(CLI::App& app, Session& session) {
  AddStatus(app, session);
  AddNodes(app, session);
  AddDecisions(app, session);
  AddExplain(app, session);
  AddHold(app, session);
  AddOverride(app, session);
  AddNodeCommands(app, session);
  AddPolicy(app, session);
  AddReplay(app, session);
  AddModes(app, session);
  AddPlan(app, session);
  AddLab(app, session);
  AddSimulate(app, session);
}

// The command that was given, its group first: "lab trace".
const CLI::App& GivenCommand(const CLI::App& app) {
  const CLI::App* command = &app;
  while (!command->get_subcommands().empty()) command = command->get_subcommands().back();
  return *command;
}

std::string FullName(const CLI::App& command) {
  const CLI::App* group = command.get_parent();
  return group == nullptr ? command.get_name() : absl::StrCat(FullName(*group), " ", command.get_name());
}

// What a mistyped option may have meant.
std::string OptionSuggestion(const CLI::App& app, const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::App* at = &command; at != nullptr; at = at->get_parent()) {
    for (const CLI::Option* option : at->get_options()) {
      for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    }
  }
  for (const std::string& argument : app.remaining(true)) {
    if (!absl::StartsWith(argument, "--")) continue;
    const std::string name = argument.substr(0, argument.find('='));
    return absl::StrCat(FullName(command), " has no option ", name, DidYouMean(NearMatches(name, names)));
  }
  return "";
}

// What a mistyped command may have meant. Values of options are no commands, so only what nobody took is looked at.
std::string Suggestion(const CLI::App& app) {
  if (const CLI::App& command = GivenCommand(app); &command != &app) return OptionSuggestion(app, command);
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands({})) names.push_back(command->get_name());
  for (const std::string& argument : app.remaining()) {
    if (argument.empty() || argument[0] == '-') continue;
    return absl::StrCat("there is no command \"", argument, "\"", DidYouMean(NearMatches(argument, names)));
  }
  return "";
}

int Refuse(const CLI::App& app, const CLI::ParseError& error, const Terminal& terminal) {
  std::ostringstream out, err;
  const int code = app.exit(error, out, err);
  terminal.out << out.str();
  if (code == 0) return 0;
  const std::string suggestion = Suggestion(app);
  terminal.err << "headroomctl: " << (suggestion.empty() ? error.what() : suggestion) << "\nRun "
               << FullName(GivenCommand(app)) << " --help for "
               << (GivenCommand(app).get_subcommands({}).empty() ? "its options" : "the commands") << ".\n";
  return kUsage;
}

}  // namespace

int ExitCode(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return 0;
    case absl::StatusCode::kNotFound:
      return 3;
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kPermissionDenied:
      return 4;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
      return 5;
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kAlreadyExists:
      return 6;
    default:
      return 1;
  }
}

int RunHeadroomctl(const std::vector<std::string>& arguments, const Terminal& terminal) {
  CLI::App app(kDescription, "headroomctl");
  Session session(terminal);
  AddCommon(app, session);
  AddCommands(app, session);
  try {
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
    app.parse(reversed);
  } catch (const CLI::ParseError& error) {
    return Refuse(app, error, terminal);
  }
  if (const absl::Status status = session.CheckOptions(); !status.ok()) {
    terminal.err << "headroomctl: " << status.message() << '\n';
    return kUsage;
  }
  const absl::Status status = session.command();
  if (!status.ok()) terminal.err << Paint({"error", Tone::kBad}, terminal.colours) << ": " << status.message() << '\n';
  return ExitCode(status);
}

}  // namespace headroom
