#include "controller/lab/plan.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include <CLI/CLI.hpp>

#include "controller/base/status.h"
#include "controller/cli/commands.h"
#include "controller/cli/plan_arguments.h"
#include "controller/cli/prometheus.h"
#include "controller/lab/journal_demand.h"
#include "controller/lab/plan_report.h"
#include "controller/lab/trace.h"
#include "controller/runtime/config.h"

namespace headroom {
namespace {

constexpr char kExamples[] = R"(
The demand comes from one of: a trace (CSV or CSV.gz whose header begins with unix_seconds), a headroomd's journal
(its state directory or journal.db), or a Prometheus server. Needs no headroomd; touches nothing.

Examples:
  headroomctl plan demand.csv --per-node 500 --html plan.html
  headroomctl plan traffic.csv.gz:open_connections --policy policy.yaml --lose-zone --boot 10m
  headroomctl plan /var/lib/headroom --growth 5%/month --ahead 90d --suggest better.yaml
  headroomctl plan demand.csv --per-node 500 --multiply 3 --from "2026-11-27 18:00" --to "2026-11-27 22:00"
  headroomctl plan demand.csv --policy today.yaml --policy tomorrow.yaml
  headroomctl plan --prometheus http://prometheus:9090 --query 'sum(headroom_connections_in_use)' --per-node 500
)";

struct Arguments {
  std::string source, throughput, stored;
  std::string prometheus, query, throughput_query, stored_query, range_from, range_to, step = "60s";
  std::string per_node, bytes_per_second_per_node, bytes_per_node;
  std::vector<std::string> policies;
  double multiply = 0;
  std::string from, to, boot, growth, ahead = "30d";
  bool lose_zone = false;
  int days = 7, threads = 0;
  std::string html, json, suggest;
};

// A policy as the plan takes it and as it is written again.
struct Loaded {
  std::string name;
  Config config;
};

// Everything that the plan begins with.
struct Prepared {
  lab::PlanInput input;
  lab::PlanOptions options;
  std::vector<Loaded> policies;  // those of --policy, or the journal's
};

// --- the demand

absl::StatusOr<PrometheusRange> RangeOf(const Session& session, const Arguments& arguments) {
  PrometheusRange range{.url = arguments.prometheus, .query = arguments.query, .to = session.now()};
  // With a campaign --from and --to are its own.
  const bool campaign = arguments.multiply > 0;
  const bool own_from = !arguments.range_from.empty() || campaign, own_to = !arguments.range_to.empty() || campaign;
  const std::string& from = own_from ? arguments.range_from : arguments.from;
  const std::string& to = own_to ? arguments.range_to : arguments.to;
  HR_ASSIGN_OR_RETURN(range.step, Annotate(ParseSpan(arguments.step), "--step"));
  if (!to.empty()) {
    HR_ASSIGN_OR_RETURN(range.to, ParseMoment(to));
  }
  range.from = range.to - absl::Hours(24) * 28;
  if (!from.empty()) {
    HR_ASSIGN_OR_RETURN(range.from, ParseMoment(from));
  }
  if (range.from >= range.to) {
    return absl::InvalidArgumentError(absl::StrCat("the range is empty: from ",
                                                   absl::FormatTime(range.from, absl::UTCTimeZone()), " to ",
                                                   absl::FormatTime(range.to, absl::UTCTimeZone())));
  }
  if (range.step < absl::Seconds(1)) return absl::InvalidArgumentError("--step is below a second");
  if (range.step % absl::Seconds(1) != absl::ZeroDuration()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--step: ", absl::FormatDuration(range.step), " is no whole number of seconds"));
  }
  const absl::Duration longest = range.step * static_cast<int64_t>(lab::kTraceRowsMax / 8);
  if (range.to - range.from > longest) {
    return absl::InvalidArgumentError(
        absl::StrCat("the range has more than ", lab::kTraceRowsMax / 8, " steps: give a longer --step"));
  }
  return range;
}

absl::StatusOr<std::optional<lab::Trace>> Optional(absl::StatusOr<lab::Trace> trace) {
  if (!trace.ok()) return trace.status();
  return std::optional(*std::move(trace));
}

absl::Status ReadFromPrometheus(const Session& session, const Arguments& arguments, Prepared& prepared) {
  HR_ASSIGN_OR_RETURN(PrometheusRange range, RangeOf(session, arguments));
  HR_ASSIGN_OR_RETURN(prepared.input.demand, ReadPrometheus(range));
  if (!arguments.throughput_query.empty()) {
    range.query = arguments.throughput_query;
    HR_ASSIGN_OR_RETURN(prepared.input.throughput, Annotate(Optional(ReadPrometheus(range)), "--throughput-query"));
  }
  if (!arguments.stored_query.empty()) {
    range.query = arguments.stored_query;
    HR_ASSIGN_OR_RETURN(prepared.input.stored, Annotate(Optional(ReadPrometheus(range)), "--stored-query"));
  }
  return absl::OkStatus();
}

absl::Status ReadFromJournal(const Arguments& arguments, Prepared& prepared) {
  HR_ASSIGN_OR_RETURN(lab::JournalDemand journal, lab::ReadJournal(arguments.source));
  prepared.input.demand = std::move(journal.demand);
  std::vector<std::string>& notes = prepared.input.demand.notes;
  notes.insert(notes.end(), journal.notes.begin(), journal.notes.end());
  prepared.input.throughput = std::move(journal.throughput);
  prepared.options.per_node = journal.per_node;
  prepared.options.bytes_per_second_per_node = static_cast<double>(journal.policy.throughput.bytes_per_second_per_node);
  prepared.options.bytes_per_node = static_cast<double>(journal.policy.stored.bytes_per_node);
  if (!arguments.policies.empty()) return absl::OkStatus();
  if (absl::StatusOr<Config> config = ParseConfig(journal.policy.source, "the journal's policy"); config.ok()) {
    prepared.policies.push_back({"in force", *std::move(config)});
  } else {
    notes.push_back(absl::StrCat("the journal's policy cannot be read: ", config.status().message()));
  }
  return absl::OkStatus();
}

absl::Status ReadInput(const Session& session, const Arguments& arguments, Prepared& prepared) {
  if (!arguments.prometheus.empty()) {
    HR_RETURN_IF_ERROR(ReadFromPrometheus(session, arguments, prepared));
  } else if (lab::IsJournal(arguments.source)) {
    HR_RETURN_IF_ERROR(ReadFromJournal(arguments, prepared));
  } else {
    HR_ASSIGN_OR_RETURN(prepared.input.demand, lab::ReadTrace(arguments.source));
  }
  if (!arguments.throughput.empty()) {
    HR_ASSIGN_OR_RETURN(prepared.input.throughput,
                        Annotate(Optional(lab::ReadTrace(arguments.throughput)), "--throughput"));
  }
  if (!arguments.stored.empty()) {
    HR_ASSIGN_OR_RETURN(prepared.input.stored, Annotate(Optional(lab::ReadTrace(arguments.stored)), "--stored"));
  }
  return absl::OkStatus();
}

// --- what is asked

absl::Status ReadPolicies(const Arguments& arguments, Prepared& prepared) {
  for (const std::string& file : arguments.policies) {
    HR_ASSIGN_OR_RETURN(Config config, LoadConfig(file));
    prepared.policies.push_back({file, std::move(config)});
  }
  lab::PlanOptions& options = prepared.options;
  for (const Loaded& loaded : prepared.policies) options.policies.push_back({loaded.name, loaded.config.policy});
  options.has_max = !prepared.policies.empty();
  if (!prepared.policies.empty()) {
    const Policy& first = prepared.policies.front().config.policy;
    if (first.connections.per_node_count > 0) options.per_node = static_cast<double>(first.connections.per_node_count);
    if (first.throughput.bytes_per_second_per_node > 0)
      options.bytes_per_second_per_node = static_cast<double>(first.throughput.bytes_per_second_per_node);
    if (first.stored.bytes_per_node > 0) options.bytes_per_node = static_cast<double>(first.stored.bytes_per_node);
    options.boot = first.nodes.lead_time;
    return absl::OkStatus();
  }
  Policy policy;
  policy.nodes.max = 1'000'000;  // none: the recommended one is found
  options.policies.push_back({"defaults", policy});
  return absl::OkStatus();
}

absl::Status ReadAmounts(const Arguments& arguments, lab::PlanOptions& options) {
  const auto read = [](const std::string& text, absl::string_view name, double& amount) -> absl::Status {
    if (text.empty()) return absl::OkStatus();
    HR_ASSIGN_OR_RETURN(amount, Annotate(ParseAmount(text), name));
    return absl::OkStatus();
  };
  HR_RETURN_IF_ERROR(read(arguments.per_node, "--per-node", options.per_node));
  HR_RETURN_IF_ERROR(
      read(arguments.bytes_per_second_per_node, "--bytes-per-second-per-node", options.bytes_per_second_per_node));
  return read(arguments.bytes_per_node, "--bytes-per-node", options.bytes_per_node);
}

int ZonesOf(const lab::PlanOptions& options) {
  const auto zones = static_cast<int>(options.policies.front().policy.nodes.zones.size());
  return zones >= 2 ? zones : 3;
}

absl::Status ReadWhatIf(const Arguments& arguments, lab::PlanOptions& options) {
  if (arguments.multiply > 0) {
    lab::Campaign campaign{.factor = arguments.multiply};
    HR_ASSIGN_OR_RETURN(campaign.from, Annotate(ParseMoment(arguments.from), "--from"));
    HR_ASSIGN_OR_RETURN(campaign.until, Annotate(ParseMoment(arguments.to), "--to"));
    if (campaign.from >= campaign.until) return absl::InvalidArgumentError("--from is not before --to");
    options.what_if.campaign = campaign;
  }
  if (!arguments.growth.empty()) {
    HR_ASSIGN_OR_RETURN(options.what_if.growth_per_day, Annotate(ParseGrowth(arguments.growth), "--growth"));
  }
  HR_ASSIGN_OR_RETURN(options.what_if.ahead, Annotate(ParseSpan(arguments.ahead), "--ahead"));
  if (!arguments.boot.empty()) {
    HR_ASSIGN_OR_RETURN(options.boot, Annotate(ParseSpan(arguments.boot), "--boot"));
    if (options.boot > absl::Hours(24))
      return absl::InvalidArgumentError("--boot: a node that boots for over a day cannot be planned for");
  }
  return absl::OkStatus();
}

// --- the answer

void ShowProgress(Session& session, int done, int all) {
  if (!session.shows_progress()) return;
  session.err() << "\r\x1b[K"
                << "planning: run " << std::min(done + 1, all) << " of " << all << std::flush;
}

void PrintRuns(Session& session, const lab::PlanReport& report) {
  Table table(
      {"WHO", "SETTING", ">NODE-HOURS/DAY", ">UNSERVED", ">MIN SHORT/DAY", ">COST/DAY", ">REGRET", ">CHANGES/DAY"});
  const auto add = [&](const lab::PlanRun& run, Tone tone) {
    table.Add({{run.name, tone},
               run.setting,
               absl::StrFormat("%.1f", run.node_hours_per_day),
               absl::StrFormat("%.4f%%", 100 * run.unserved_ratio),
               absl::StrFormat("%.1f", run.short_minutes_per_day),
               absl::StrFormat("%.1f", run.cost_per_day),
               absl::StrFormat("+%.1f%%", 100 * (run.over_optimum - 1)),
               absl::StrFormat("%.1f", run.actions_per_day)});
  };
  add(report.optimum, Tone::kFaint);
  add(report.recommended.run, Tone::kStrong);
  for (const lab::PlanRun& run : report.policies) add(run, Tone::kPlain);
  for (const lab::PlanRun& run : report.rivals) add(run, Tone::kFaint);
  table.Print(session.out(), session.colours());
}

void Print(Session& session, const lab::PlanReport& report) {
  const lab::Recommendation& best = report.recommended;
  session.out() << "Plan for " << report.name
                << absl::StrFormat(": %.1f days scored, one node carries %.4g, it boots in %s\n\n", report.scored_days,
                                   report.per_node, absl::FormatDuration(report.boot));
  session.out() << session.Paint({"Recommended", Tone::kStrong})
                << absl::StrFormat(": min %d, max %d, target %.2f", best.min, best.max, best.target);
  if (best.limit_ceiling > 0) session.out() << absl::StrFormat(", limits up to %.0f", best.limit_ceiling);
  session.out() << '\n';
  for (const std::string& reason : best.reasons) session.out() << "  " << reason << '\n';
  session.out() << '\n';
  for (const lab::PlanLimit& limit : report.limits) session.out() << lab::LimitSentence(limit) << '\n';
  session.out() << "\nOn the same days; rivals at their best setting in hindsight; cost is node-hours + 100 x unserved "
                   "node-hours:\n";
  PrintRuns(session, report);
}

// The policy that the plan began with, changed as recommended.
absl::StatusOr<std::string> Suggestion(const Prepared& prepared, const lab::PlanReport& report) {
  if (!report.per_node_known) {
    return absl::FailedPreconditionError(
        "--suggest: what one node carries is not known, so numbers of nodes are relative; give --per-node");
  }
  const lab::Recommendation& best = report.recommended;
  std::string head = absl::StrFormat(
      "# Suggested by headroomctl plan for %s: %.1f node-hours a day, %.4f%% of demand unserved on %.1f days.\n",
      report.name, best.run.node_hours_per_day, 100 * best.run.unserved_ratio, report.scored_days);
  Config config;
  if (prepared.policies.empty()) {
    HR_ASSIGN_OR_RETURN(config, ParseConfig("nodes: {max: 1}\nprovider: {simulated: {}}\n", "defaults"));
    head += "# No policy was given: put your own cluster, mode and provider here; the simulated one stands in.\n";
  } else {
    config = prepared.policies.front().config;
  }
  v1::Policy& message = config.message;
  message.mutable_nodes()->set_min(best.min);
  message.mutable_nodes()->set_max(best.max);
  message.mutable_signals()->mutable_connections()->set_target(best.target);
  message.mutable_signals()->mutable_connections()->set_per_node(std::max<int64_t>(1, std::llround(best.per_node)));
  message.mutable_limits()->set_ceiling(
      std::max(config.policy.limits.law.floor_count, static_cast<int64_t>(best.limit_ceiling)));
  const std::string yaml = head + ConfigToYaml(message);
  HR_RETURN_IF_ERROR(Annotate(ParseConfig(yaml, "--suggest").status(), "the suggested policy is refused"));
  return yaml;
}

absl::Status Write(const Arguments& arguments, const Prepared& prepared, const lab::PlanReport& report) {
  if (!arguments.json.empty()) HR_RETURN_IF_ERROR(WriteText(arguments.json, lab::PlanJson(report)));
  if (!arguments.html.empty()) HR_RETURN_IF_ERROR(WriteText(arguments.html, lab::PlanPage(report)));
  if (arguments.suggest.empty()) return absl::OkStatus();
  HR_ASSIGN_OR_RETURN(const std::string yaml, Suggestion(prepared, report));
  return WriteText(arguments.suggest, yaml);
}

absl::Status Run(Session& session, const Arguments& arguments) {
  Prepared prepared;
  HR_RETURN_IF_ERROR(ReadInput(session, arguments, prepared));
  HR_RETURN_IF_ERROR(ReadPolicies(arguments, prepared));
  HR_RETURN_IF_ERROR(ReadAmounts(arguments, prepared.options));
  HR_RETURN_IF_ERROR(ReadWhatIf(arguments, prepared.options));
  if (arguments.lose_zone) prepared.options.what_if.zones = ZonesOf(prepared.options);
  const int cores = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  prepared.options.days = arguments.days;
  prepared.options.threads = arguments.threads > 0 ? arguments.threads : cores;
  prepared.options.progress = [&](int done, int all) { ShowProgress(session, done, all); };
  const absl::StatusOr<lab::PlanReport> report = lab::MakePlan(prepared.input, prepared.options);
  if (session.shows_progress()) session.err() << "\r\x1b[K";
  HR_RETURN_IF_ERROR(report.status());
  for (const std::string& note : report->notes) session.err() << "note: " << note << '\n';
  // First what took a minute to find: a file may turn out not to be writable.
  if (session.format == "json") {
    session.out() << lab::PlanJson(*report);
  } else {
    Print(session, *report);
  }
  HR_RETURN_IF_ERROR(Write(arguments, prepared, *report));
  for (const std::string& file : {arguments.html, arguments.suggest}) {
    if (!file.empty()) session.err() << "written: " << file << '\n';
  }
  if (arguments.html.empty() && session.wants_table())
    session.err() << "add --html plan.html for the charts, --suggest policy.yaml for the policy\n";
  return absl::OkStatus();
}

// Faults of the command line itself.
absl::Status CheckCombination(const Arguments& arguments) {
  const bool asks_prometheus = !arguments.prometheus.empty();
  if (arguments.source.empty() != asks_prometheus) {
    return absl::InvalidArgumentError("give a trace or a journal, or --prometheus URL with --query; one of them");
  }
  if (asks_prometheus && arguments.query.empty()) return absl::InvalidArgumentError("--prometheus needs --query");
  const bool from = !arguments.from.empty(), to = !arguments.to.empty();
  if (arguments.multiply > 0 && !(from && to)) {
    return absl::InvalidArgumentError("--multiply needs --from and --to");
  }
  if (arguments.multiply <= 0 && !asks_prometheus && (from || to)) {
    return absl::InvalidArgumentError("--from and --to need --multiply, or --prometheus");
  }
  for (const std::string& only : {arguments.query, arguments.throughput_query, arguments.stored_query,
                                  arguments.range_from, arguments.range_to}) {
    if (!asks_prometheus && !only.empty()) {
      return absl::InvalidArgumentError(absl::StrCat("\"", only, "\" is for --prometheus, which is not given"));
    }
  }
  return absl::OkStatus();
}

// All that is wrong whatever the input holds is told before any of it is read.
void CheckArguments(const Session& session, const Arguments& arguments) {
  absl::Status status = CheckCombination(arguments);
  lab::PlanOptions unused;
  if (status.ok()) status = ReadWhatIf(arguments, unused);
  if (status.ok() && !arguments.prometheus.empty()) status = RangeOf(session, arguments).status();
  if (!status.ok()) throw CLI::ValidationError(std::string(status.message()));
}

template <typename Value>
CLI::Validator Parsed(absl::StatusOr<Value> (*parse)(absl::string_view)) {
  return CLI::Validator([parse](std::string& text) { return std::string(parse(text).status().message()); }, "");
}

void AddInputs(CLI::App& command, Arguments& arguments) {
  command.add_option("SOURCE", arguments.source, "Trace (FILE or FILE:COLUMN), or a journal");
  command.add_option("--prometheus", arguments.prometheus, "URL of a Prometheus server instead")
      ->check(CLI::Validator([](std::string& url) { return std::string(CheckPrometheusUrl(url).message()); }, ""));
  command.add_option("--query", arguments.query, "Its query for the demand; one series");
  command.add_option("--step", arguments.step, "Step of what is asked of it")
      ->capture_default_str()
      ->check(Parsed(ParseSpan));
  command
      .add_option("--range-from", arguments.range_from,
                  "Since when (by default 28 days back); --from does, too, without --multiply")
      ->check(Parsed(ParseMoment));
  command.add_option("--range-to", arguments.range_to, "Until when (by default now)")->check(Parsed(ParseMoment));
  command.add_option("--throughput", arguments.throughput, "Trace of bytes a second");
  command.add_option("--throughput-query", arguments.throughput_query, "... as a query");
  command.add_option("--stored", arguments.stored, "Trace of bytes stored");
  command.add_option("--stored-query", arguments.stored_query, "... as a query");
  command
      .add_option("--per-node", arguments.per_node,
                  "What one node carries well, in the demand's unit; by default the policy's or journal's")
      ->check(Parsed(ParseAmount));
  command.add_option("--bytes-per-second-per-node", arguments.bytes_per_second_per_node, "Throughput of one node")
      ->check(Parsed(ParseAmount));
  command.add_option("--bytes-per-node", arguments.bytes_per_node, "Bytes that one node stores")
      ->check(Parsed(ParseAmount));
  command.add_option("--days", arguments.days, "The loop runs on so many days, the last ones")
      ->capture_default_str()
      ->check(CLI::Range(1, 120));
}

void AddQuestions(CLI::App& command, Arguments& arguments) {
  command.add_option("--policy", arguments.policies, "Policy file; a second one is compared with it")
      ->expected(1)
      ->take_all();
  command.add_option("--multiply", arguments.multiply, "A campaign: demand times this, --from until --to")
      ->check(CLI::Range(0.01, 1000.0));
  command.add_option("--from", arguments.from, "When it begins")->check(Parsed(ParseMoment));
  command.add_option("--to", arguments.to, "When it ends")->check(Parsed(ParseMoment));
  command.add_flag("--lose-zone", arguments.lose_zone, "A zone (of the policy's, or of three) is lost at the peak");
  command.add_option("--boot", arguments.boot, "How long a node boots; by default the policy's lead_time")
      ->check(Parsed(ParseSpan));
  command.add_option("--growth", arguments.growth, "Growth like 5%/month instead of the measured one")
      ->check(Parsed(ParseGrowth));
  command.add_option("--ahead", arguments.ahead, "How long the plan is to hold")
      ->capture_default_str()
      ->check(Parsed(ParseSpan));
}

}  // namespace

void AddPlan(CLI::App& app, Session& session) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("plan", "What a cluster will need, and what to set; needs no server");
  command->footer(kExamples);
  AddInputs(*command, *arguments);
  AddQuestions(*command, *arguments);
  command->add_option("--html", arguments->html, "Write the report, one page that needs nothing else");
  command->add_option("--json", arguments->json, "Write it as data");
  command->add_option("--suggest", arguments->suggest, "Write the policy that is recommended");
  command->add_option("--threads", arguments->threads, "How many runs at once; by default one a core")
      ->check(CLI::Range(1, 256));
  command->callback([&session, arguments] {
    CheckArguments(session, *arguments);
    session.command = [&session, arguments] { return Run(session, *arguments); };
  });
}

}  // namespace headroom
