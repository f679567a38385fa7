#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include <CLI/CLI.hpp>

#include "controller/base/json_string.h"
#include "controller/base/status.h"
#include "controller/cli/commands.h"
#include "controller/core/reason.h"
#include "controller/runtime/config.h"
#include "controller/runtime/journal_file.h"
#include "controller/runtime/journal_replay.h"
#include "controller/sim/fitted_cluster.h"

namespace headroom {
namespace {

constexpr char kFooter[] = R"(
Without --policy: every decision must come out with the same bytes (codes and numbers). Exit code 0 where it does, 1 with
the first difference where it does not (another release, or a bug), and 1 where the journal is damaged.
With --policy: where decisions differ on the same facts, and what would have happened: both policies in closed loop in a
model fitted from the journal.

JOURNAL is a state directory or its journal.db; it is opened read only, and its daemon may run on.

Examples:
  headroomctl replay /var/lib/headroom
  headroomctl replay /var/lib/headroom --policy new.yaml --json what-if.json
)";

struct ReplayArguments {
  std::string journal, policy, json;
  int count = 10;
};

// One policy, in closed loop.
struct Course {
  std::string name;
  sim::CourseOutcome outcome;
};

struct Found {
  JournalReplay replay;
  std::vector<Course> courses;
  std::string courses_missing;  // why there are none
  absl::Duration length, boot;
  double service_seconds = 0;
  double recorded_node_hours = 0;
};

std::string TimeText(absl::Time at) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", at, absl::UTCTimeZone());
}

class ProgressLine {
 public:
  explicit ProgressLine(Session& session) : session_(session) {}
  ~ProgressLine() { Clear(); }
  void Show(const std::string& text) {
    if (!session_.shows_progress() || text == shown_) return;
    shown_ = text;
    session_.err() << "\r\x1b[K" << text << std::flush;
  }
  void Clear() {
    if (!shown_.empty()) session_.err() << "\r\x1b[K" << std::flush;
    shown_.clear();
  }

 private:
  Session& session_;
  std::string shown_;
};

void RunCourses(const sim::FittedCluster& fitted, const Policy& other, ProgressLine& progress, Found& found) {
  for (const auto& [name, policy] : {std::pair("journal's", found.replay.policy), std::pair("other", other)}) {
    progress.Show(absl::StrCat("closed loop under the ", name, " policy"));
    const absl::StatusOr<sim::Scenario> scenario = fitted.Make(policy);
    if (!scenario.ok()) {
      found.courses_missing = std::string(scenario.status().message());
      return;
    }
    found.boot = scenario->cluster.boot;
    found.courses.push_back({name, sim::RunCourse(*scenario, fitted.length())});
  }
  found.length = fitted.length();
  found.service_seconds = fitted.service_seconds();
}

absl::StatusOr<Found> Replay(Session& session, const ReplayArguments& arguments) {
  ReplayOptions options;
  if (!arguments.policy.empty()) {
    HR_ASSIGN_OR_RETURN(Config config, LoadConfig(arguments.policy));
    options.other = std::move(config.policy);
  }
  HR_ASSIGN_OR_RETURN(const auto journal, JournalFile::Open(arguments.journal));
  ProgressLine progress(session);
  sim::FittedCluster fitted;
  sim::ServingHours reality;
  options.progress = [&](double done) { progress.Show(absl::StrFormat("replaying: %.0f %%", 100 * done)); };
  if (options.other) {
    options.on_snapshot = [&](const Fleet& fleet) { fitted.Take(fleet); };
    options.on_event = [&](absl::Time at, const Event& event) { fitted.Take(at, event); };
    options.on_decision = [&](const Decision& decision) { reality.Take(decision); };
  }
  Found found;
  HR_ASSIGN_OR_RETURN(found.replay, Annotate(ReplayJournal(*journal, options), arguments.journal));
  found.recorded_node_hours = reality.hours();
  if (options.other) RunCourses(fitted, *options.other, progress, found);
  return found;
}

std::string ReasonOf(const Decision& decision) {
  for (auto verdict = decision.verdicts.rbegin(); verdict != decision.verdicts.rend(); ++verdict) {
    if (verdict->before != verdict->after) return RenderReason(verdict->reason);
  }
  return decision.demands.empty() ? "" : RenderReason(decision.demands.front().reason);
}

int64_t LimitsOf(const Decision& decision) {
  int64_t sum = 0;
  for (const LimitDecision& limit : decision.limits) sum += limit.after;
  return sum;
}

void PrintDivergences(Session& session, const Found& found, int count) {
  const JournalReplay& replay = found.replay;
  session.out() << absl::StrFormat(
      "On the same facts the other policy wants another number of nodes in %d of %d ticks, other limits in %d.\n",
      replay.ticks_nodes_differ, replay.ticks, replay.ticks_limits_differ);
  if (replay.divergences.empty()) return;
  Table rows({"DECISION", "TIME", ">NODES", ">OTHER", ">LIMITS", ">OTHER", "WHY THE OTHER"});
  for (const JournalReplay::Divergence& one : replay.divergences) {
    if (count-- <= 0) break;
    rows.Add({absl::StrCat(one.sequence), TimeText(one.at), absl::StrCat(one.recorded.desired_count),
              absl::StrCat(one.other.desired_count), absl::StrCat(LimitsOf(one.recorded)),
              absl::StrCat(LimitsOf(one.other)), ReasonOf(one.other)});
  }
  rows.Print(session.out(), session.colours());
}

void PrintCourses(Session& session, const Found& found) {
  if (found.courses.empty()) {
    session.out() << "\nWhat would have happened cannot be told: " << found.courses_missing << ".\n";
    return;
  }
  session.out() << absl::StrFormat(
      "\nWhat would have happened, in a model fitted from the journal (%s of traffic, %.1f ms a request, machines "
      "serve after %s; in reality %.2f node-hours served):\n",
      absl::FormatDuration(found.length), 1e3 * found.service_seconds, absl::FormatDuration(found.boot),
      found.recorded_node_hours);
  Table rows({"POLICY", ">NODE-HOURS", ">NODES AT MOST", ">REQUESTS", ">FAILED", ">LIMIT RAISES", ">LAUNCHES"});
  for (const Course& course : found.courses) {
    const sim::CourseOutcome& outcome = course.outcome;
    rows.Add({course.name, absl::StrFormat("%.2f", outcome.node_hours), absl::StrCat(outcome.nodes_peak),
              absl::StrCat(outcome.offered), absl::StrFormat("%.3f%%", 100 * outcome.failed_ratio()),
              absl::StrCat(outcome.limit_raises), absl::StrCat(outcome.launches)});
  }
  rows.Print(session.out(), session.colours());
}

void Print(Session& session, const Found& found, const ReplayArguments& arguments) {
  const JournalReplay& replay = found.replay;
  session.out() << absl::StrFormat(
      "%s to %s: %d facts, %d decisions made again, %d of them identical to the journal's, %d no longer in it, %d "
      "restarts.\n",
      TimeText(replay.from), TimeText(replay.to), replay.events, replay.ticks, replay.compared, replay.not_kept,
      replay.restarts);
  if (arguments.policy.empty()) return;
  PrintDivergences(session, found, arguments.count);
  PrintCourses(session, found);
}

std::string ToJson(const Found& found) {
  const JournalReplay& replay = found.replay;
  std::vector<std::string> notes, divergences, courses, fields;
  for (const std::string& note : replay.notes) notes.push_back(JsonString(note));
  for (const JournalReplay::Divergence& one : replay.divergences) {
    divergences.push_back(absl::StrFormat(
        "{\"sequence\": %d, \"at\": %s, \"nodes\": %d, \"nodes_other\": %d, \"limits\": %d, \"limits_other\": %d}",
        one.sequence, JsonString(TimeText(one.at)), one.recorded.desired_count, one.other.desired_count,
        LimitsOf(one.recorded), LimitsOf(one.other)));
  }
  for (const Course& course : found.courses) {
    const sim::CourseOutcome& outcome = course.outcome;
    courses.push_back(absl::StrFormat(
        "{\"policy\": %s, \"node_hours\": %.4f, \"nodes_peak\": %d, \"offered\": %d, \"failed\": %d, \"failed_ratio\": "
        "%.6f, \"limit_raises\": %d, \"launches\": %d, \"terminations\": %d}",
        JsonString(course.name), outcome.node_hours, outcome.nodes_peak, outcome.offered, outcome.failed,
        outcome.failed_ratio(), outcome.limit_raises, outcome.launches, outcome.terminations));
  }
  std::string first = "null";
  if (replay.first) {
    for (const std::string& field : replay.first->fields) fields.push_back(JsonString(field));
    first = absl::StrFormat("{\"sequence\": %d, \"at\": %s, \"fields\": [%s]}", replay.first->sequence,
                            JsonString(TimeText(replay.first->at)), absl::StrJoin(fields, ", "));
  }
  return absl::StrFormat(
      "{\"from\": %s, \"to\": %s, \"facts\": %d, \"decisions\": %d, \"identical\": %d, \"not_kept\": %d, \"damaged\": "
      "%d, "
      "\"restarts\": %d, \"notes\": [%s], \"first_difference\": %s, \"ticks_nodes_differ\": %d, "
      "\"ticks_limits_differ\": %d, "
      "\"divergences\": [%s], \"recorded_node_hours\": %.4f, \"courses\": [%s]}\n",
      JsonString(TimeText(replay.from)), JsonString(TimeText(replay.to)), replay.events, replay.ticks, replay.compared,
      replay.not_kept, replay.damaged, replay.restarts, absl::StrJoin(notes, ", "), first, replay.ticks_nodes_differ,
      replay.ticks_limits_differ, absl::StrJoin(divergences, ", "), found.recorded_node_hours,
      absl::StrJoin(courses, ", "));
}

absl::Status Run(Session& session, const ReplayArguments& arguments) {
  HR_ASSIGN_OR_RETURN(const Found found, Replay(session, arguments));
  for (const std::string& note : found.replay.notes) session.err() << arguments.journal << ": " << note << '\n';
  if (found.replay.first && !arguments.policy.empty()) {
    session.err() << "this release decides otherwise than the journal says, from decision "
                  << found.replay.first->sequence << " on; what follows is this release's, under either policy\n";
  }
  if (!arguments.json.empty()) HR_RETURN_IF_ERROR(WriteText(arguments.json, ToJson(found)));
  if (session.format == "json") {
    session.out() << ToJson(found);
  } else {
    Print(session, found, arguments);
  }
  if (!arguments.policy.empty()) return absl::OkStatus();
  if (!found.replay.first && found.replay.compared == 0) {
    if (found.replay.ticks == 0) {
      return absl::FailedPreconditionError(
          absl::StrCat(arguments.journal,
                       ": nothing was compared: after its first snapshot it holds no decision that can be made again"));
    }
    return absl::DataLossError(absl::StrCat(arguments.journal, ": nothing was compared: of ", found.replay.ticks,
                                            " decisions made again the journal keeps none"));
  }
  if (!found.replay.first && found.replay.damaged > 0) {
    return absl::DataLossError(absl::StrCat(arguments.journal, ": the journal is damaged: ", found.replay.damaged,
                                            " decisions cannot be read; the others come out identical"));
  }
  if (!found.replay.first) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("decision ", found.replay.first->sequence, " of ",
                                          TimeText(found.replay.first->at),
                                          " comes out otherwise than it is in the "
                                          "journal:\n  ",
                                          absl::StrJoin(found.replay.first->fields, "\n  ")));
}

}  // namespace

void AddReplay(CLI::App& app, Session& session) {
  const auto arguments = std::make_shared<ReplayArguments>();
  CLI::App* command =
      app.add_subcommand("replay", "A journal's decisions, made again by the production core; needs no server");
  command->footer(kFooter);
  command->add_option("JOURNAL", arguments->journal, "State directory of headroomd, or its journal.db")->required();
  command->add_option("--policy", arguments->policy,
                      "What another policy would have decided, and what had become of it");
  command->add_option("--json", arguments->json, "Write everything to this file, too");
  command->add_option("--count", arguments->count, "How many differences are listed")
      ->check(CLI::Range(0, 1000))
      ->capture_default_str();
  command->callback(
      [&session, arguments] { session.command = [&session, arguments] { return Run(session, *arguments); }; });
}

}  // namespace headroom
