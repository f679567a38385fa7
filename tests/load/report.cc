#include "tests/load/report.h"

#include <array>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

#include "tests/load/json.h"

namespace headroom::load {
namespace {

// Milliseconds to the microsecond, so that reports stay readable.
double Millis(absl::Duration duration) {
  return absl::ToDoubleMilliseconds(absl::Trunc(duration, absl::Microseconds(1)));
}
double Seconds(absl::Duration duration) {
  return absl::ToDoubleSeconds(absl::Trunc(duration, absl::Milliseconds(1)));
}

std::optional<double> Seconds(const std::optional<absl::Duration>& duration) {
  if (!duration) return std::nullopt;
  return Seconds(*duration);
}

void WriteFailures(Json& json, const std::array<int64_t, kFailures>& failures) {
  json.Open('{');
  for (size_t i = 1; i < kFailures; ++i) json.Member(FailureName(static_cast<Failure>(i)), failures[i]);
  json.Close('}');
}

void WriteFigures(Json& json, const Figures& figures) {
  json.Member("requests", figures.offered)
      .Member("completed", figures.completed)
      .Member("failed", figures.failed())
      .Member("failed_ratio", figures.FailedRatio())
      .Member("p50_ms", Millis(figures.latency.Quantile(0.5)))
      .Member("p90_ms", Millis(figures.latency.Quantile(0.9)))
      .Member("p99_ms", Millis(figures.latency.Quantile(0.99)))
      .Member("p999_ms", Millis(figures.latency.Quantile(0.999)))
      .Member("max_ms", Millis(figures.latency.max()))
      .Member("over_250ms", figures.over_250ms)
      .Member("attempts", figures.attempts)
      .Member("retries", figures.attempts - figures.ended())
      .Key("failures");
  WriteFailures(json, figures.failures);
}

void WritePhases(Json& json, const Profile& profile, const Summary& summary) {
  json.Key("phases").Open('[');
  absl::Duration start;
  for (size_t i = 0; i < profile.phases.size(); ++i) {
    const Phase& phase = profile.phases[i];
    json.Line().Open('{').Member("name", phase.name).Member("start_s", Seconds(start));
    json.Member("duration_s", Seconds(phase.duration)).Member("rate", phase.rate).Member("clients", phase.clients);
    json.Member("pool", phase.pool_max);
    WriteFigures(json, summary.phases[i]);
    json.Close('}');
    start += phase.duration;
  }
  json.Close(']');
}

struct Column {
  const char* name;
  double value;
};

std::vector<Column> Columns(size_t index, const Second& second, absl::Duration objective_p99) {
  const Figures& figures = second.figures;
  const auto number = [](int64_t value) { return static_cast<double>(value); };
  return {{"second", number(static_cast<int64_t>(index))},
          {"offered", number(figures.offered)},
          {"completed", number(figures.completed)},
          {"failed", number(figures.failed())},
          {"failures_seen", number(second.failures_seen)},
          {"attempts", number(second.attempts_started)},
          {"retries", number(second.retries_started)},
          {"p50_ms", Millis(figures.latency.Quantile(0.5))},
          {"p99_ms", Millis(figures.latency.Quantile(0.99))},
          {"max_ms", Millis(figures.latency.max())},
          {"over_250ms", number(figures.over_250ms)},
          {"over_objective", second.Misses(objective_p99) ? 1.0 : 0.0},
          {"open_connections", number(second.open_connections)},
          {"connects", number(second.connects)},
          {"lag_p99_ms", Millis(second.lag.Quantile(0.99))},
          {"lag_max_ms", Millis(second.lag.max())}};
}

void WriteSeries(Json& json, const Profile& profile, const Summary& summary) {
  json.Line().Key("series").Open('[');
  for (size_t i = 0; i < summary.seconds.size(); ++i) {
    json.Line().Open('{');
    for (const Column& column : Columns(i, summary.seconds[i], profile.objective_p99)) {
      json.Member(column.name, column.value);
    }
    json.Close('}');
  }
  json.Close(']');
}

void WriteRun(Json& json, const Profile& profile, const RunResult& result) {
  json.Member("profile", profile.name).Member("seed", profile.seed).Key("targets").Open('[');
  for (const Endpoint& target : result.targets) json.Value(target.ToString());
  json.Close(']')
      .Member("started_at",
              absl::ToDoubleSeconds(absl::Trunc(result.started_at - absl::UnixEpoch(), absl::Milliseconds(1))))
      .Member("duration_s", Seconds(result.summary.observed))
      .Member("interrupted", result.summary.interrupted)
      .Member("void", !result.summary.void_reasons.empty())
      .Key("void_reasons")
      .Open('[');
  for (const std::string& reason : result.summary.void_reasons) json.Value(reason);
  json.Close(']')
      .Member("lag_p99_ms", Millis(result.summary.lag.Quantile(0.99)))
      .Member("lag_max_ms", Millis(result.summary.lag.max()))
      .Member("generator_cpu_s", Seconds(result.generator_cpu));
}

void WriteIncidents(Json& json, const Incidents& incidents) {
  json.Member("connects", incidents.connects)
      .Member("open_connections_peak", incidents.open_connections_peak)
      .Member("stale_retries", incidents.stale_retries)
      .Member("retry_budget_refused", incidents.retry_budget_refused)
      .Key("attempt_failures");
  WriteFailures(json, incidents.attempt_failures);
}

std::string TableRow(absl::string_view name, const Figures& figures) {
  return absl::StrFormat("%-12s %9d %8d %8.3f%% %9.1f %9.1f %9.1f %9.1f %9d\n", name.substr(0, 12), figures.offered,
                         figures.failed(), 100 * figures.FailedRatio(), Millis(figures.latency.Quantile(0.5)),
                         Millis(figures.latency.Quantile(0.99)), Millis(figures.latency.Quantile(0.999)),
                         Millis(figures.latency.max()), figures.attempts - figures.ended());
}

std::string FailureList(const Figures& figures) {
  std::vector<std::string> parts;
  for (size_t i = 1; i < kFailures; ++i) {
    if (figures.failures[i] == 0) continue;
    parts.push_back(absl::StrCat(figures.failures[i], " ", FailureName(static_cast<Failure>(i))));
  }
  return parts.empty() ? "none" : absl::StrJoin(parts, ", ");
}

std::string SecondsText(const std::optional<absl::Duration>& duration, absl::string_view otherwise) {
  return duration ? absl::StrFormat("%.1f s", Seconds(*duration)) : std::string(otherwise);
}

}  // namespace

std::string ReportJson(const Profile& profile, const RunResult& result) {
  const Summary& summary = result.summary;
  Json json;
  json.Open('{');
  WriteRun(json, profile, result);
  json.Line();
  WriteFigures(json, summary.total);
  json.Member("unfinished", summary.unfinished)
      .Member("first_failure_s", Seconds(summary.first_failure))
      .Member("relief_s", Seconds(summary.relief))
      .Member("objective_p99_ms", Millis(profile.objective_p99))
      .Member("seconds_over_objective", summary.seconds_over_objective);
  WriteIncidents(json, summary.incidents);
  json.Line();
  WritePhases(json, profile, summary);
  WriteSeries(json, profile, summary);
  json.Close('}');
  return json.text() + "\n";
}

std::string ReportSeriesCsv(const Profile& profile, const RunResult& result) {
  std::string csv;
  for (const Column& column : Columns(0, Second(), profile.objective_p99)) {
    absl::StrAppend(&csv, csv.empty() ? "" : ",", column.name);
  }
  csv += '\n';
  for (size_t i = 0; i < result.summary.seconds.size(); ++i) {
    const std::vector<Column> columns = Columns(i, result.summary.seconds[i], profile.objective_p99);
    absl::StrAppend(&csv, absl::StrJoin(columns, ",", [](std::string* out, const Column& column) {
      absl::StrAppendFormat(out, "%.10g", column.value);
    }));
    csv += '\n';
  }
  return csv;
}

std::string ReportTable(const Profile& profile, const RunResult& result) {
  const Summary& summary = result.summary;
  std::string table = absl::StrFormat("%-12s %9s %8s %9s %9s %9s %9s %9s %9s\n", "phase", "requests", "failed", "ratio",
                                      "p50 ms", "p99 ms", "p99.9 ms", "max ms", "retries");
  for (size_t i = 0; i < profile.phases.size(); ++i) table += TableRow(profile.phases[i].name, summary.phases[i]);
  table += TableRow("total", summary.total);
  absl::StrAppend(&table, "failures: ", FailureList(summary.total), "; first after ",
                  SecondsText(summary.first_failure, "-"), ", relief after ", SecondsText(summary.relief, "never"),
                  "; seconds over objective: ", summary.seconds_over_objective, "\n");
  absl::StrAppendFormat(&table, "connections: %d opened, %d at peak, %d found dead; lag max %.1f ms; own CPU %.1f s\n",
                        summary.incidents.connects, summary.incidents.open_connections_peak,
                        summary.incidents.stale_retries, Millis(summary.lag.max()), Seconds(result.generator_cpu));
  if (summary.interrupted) absl::StrAppend(&table, "interrupted with ", summary.unfinished, " requests under way\n");
  for (const std::string& reason : summary.void_reasons) absl::StrAppend(&table, "VOID: ", reason, "\n");
  return table;
}

std::string ProgressLine(const Profile& profile, const Progress& progress) {
  const Figures& figures = progress.figures.figures;
  return absl::StrFormat("t=%ds phase=%s offered=%d completed=%d failures_seen=%d p99_ms=%.1f open=%d lag_max_ms=%.1f",
                         progress.second, profile.phases[progress.phase].name, figures.offered, figures.completed,
                         progress.figures.failures_seen, Millis(figures.latency.Quantile(0.99)),
                         progress.figures.open_connections, Millis(progress.figures.lag.max()));
}

}  // namespace headroom::load
