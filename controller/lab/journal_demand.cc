#include "controller/lab/journal_demand.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <variant>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "controller/base/status.h"
#include "controller/core/fleet/fleet_summary.h"
#include "controller/runtime/journal_file.h"

namespace headroom::lab {
namespace {

constexpr int kDecisionsMax = 500'000;
constexpr absl::Duration kStep = absl::Minutes(1);

std::string FileOf(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::is_directory(path, ignored) ? absl::StrCat(path, "/journal.db") : path;
}

// Values by time, as a trace of minutes.
class Minutes {
 public:
  void Hold(absl::Time from, absl::Time until, double value) {
    for (absl::Time at = from; at <= until; at += kStep) Add(at, value);
  }
  void Add(absl::Time at, double value) {
    Sum& sum = minutes_[absl::ToUnixSeconds(at) / 60 * 60];
    sum.total += value, ++sum.count;
  }
  void Set(absl::Time at, double value) { minutes_[absl::ToUnixSeconds(at) / 60 * 60] = {value, 1}; }
  bool enough() const { return minutes_.size() >= 2; }

  Trace ToTrace(const std::string& name, const std::string& column) const {
    Trace trace{.name = name, .column = column, .step = kStep};
    int64_t last = 0, gaps = 0;
    for (const auto& [at, sum] : minutes_) {
      if (last != 0 && at - last > 60) ++gaps;
      trace.samples.push_back({at, sum.total / sum.count});
      last = at;
    }
    if (gaps > 0) trace.notes.push_back(absl::StrCat(column, ": the journal has ", gaps, " gaps: missing data"));
    return trace;
  }

 private:
  struct Sum {
    double total = 0;
    int count = 0;
  };
  std::map<int64_t, Sum> minutes_;
};

std::optional<double> FirstNumber(const Reason& reason, ReasonCode code) {
  if (reason.code != code || reason.arguments.empty()) return std::nullopt;
  const double* number = std::get_if<double>(&reason.arguments.front());
  return number != nullptr ? std::optional<double>(*number) : std::nullopt;
}

struct Series {
  Minutes demand, throughput;
};

absl::Status AddDecisions(const JournalFile& journal, Series& series) {
  Journal::Page page{.count = 1000};
  for (int read = 0; read < kDecisionsMax; read += page.count) {
    HR_ASSIGN_OR_RETURN(const std::vector<JournalEntry> entries, journal.Decisions(page));
    for (const JournalEntry& entry : entries) {
      for (const headroom::Demand& demand : entry.decision.demands) {
        const absl::Time at = entry.decision.at, until = std::max(at, entry.until);
        if (const auto seen = FirstNumber(demand.reason, ReasonCode::kSignalConnections))
          series.demand.Hold(at, until, *seen);
        if (const auto seen = FirstNumber(demand.reason, ReasonCode::kSignalThroughput))
          series.throughput.Hold(at, until, *seen);
      }
    }
    if (std::ssize(entries) < page.count) break;
    page.before_sequence = entries.back().decision.sequence;
  }
  return absl::OkStatus();
}

// The forecaster's slots are means of all that was seen, so they are better than what decisions happened to say.
void AddMemory(const forecast::DemandForecast& memory, Series& series) {
  if (!memory.forecaster().has_value()) return;
  const forecast::SlotHistory& history = memory.forecaster()->history();
  const absl::Duration step = memory.forecaster()->options().step;
  if (step < kStep) return;
  for (int64_t slot = history.oldest(); slot >= 0 && slot <= history.newest(); ++slot) {
    if (std::isnan(history[slot])) continue;
    const absl::Time begin = absl::UnixEpoch() + slot * step;
    for (absl::Time at = begin; at < begin + step; at += kStep) series.demand.Set(at, history[slot]);
  }
}

double PerNode(const Snapshot& snapshot) {
  if (snapshot.policy.connections.per_node_count > 0) {
    return static_cast<double>(snapshot.policy.connections.per_node_count);
  }
  return static_cast<double>(Summarize(snapshot.state.fleet, snapshot.policy, snapshot.at).configured_median);
}

absl::StatusOr<JournalDemand> Read(const JournalFile& journal) {
  HR_ASSIGN_OR_RETURN(const FoundSnapshot found, journal.NewestSnapshot());
  Series series;
  HR_RETURN_IF_ERROR(AddDecisions(journal, series));
  JournalDemand demand{.notes = found.notes};
  if (!found.snapshot.has_value()) {
    return absl::DataLossError(
        "has no whole snapshot: is it a headroomd's journal, copied whole? (copy journal.db with its -wal file, or use "
        "VACUUM INTO)");
  }
  demand.policy = found.snapshot->policy;
  demand.per_node = PerNode(*found.snapshot);
  AddMemory(found.snapshot->state.forecast, series);
  if (!series.demand.enough()) {
    return absl::FailedPreconditionError(
        "tells less than two minutes of demand: let headroomd run for a while (two days tell days, two weeks growth)");
  }
  demand.demand = series.demand.ToTrace(absl::StrCat("cluster ", demand.policy.cluster), "connections");
  if (series.throughput.enough()) demand.throughput = series.throughput.ToTrace("throughput", "bytes_per_second");
  return demand;
}

}  // namespace

bool IsJournal(const std::string& path) {
  std::error_code ignored;
  const std::filesystem::path named = FileOf(path);
  if (named.filename() == "journal.db" && std::filesystem::exists(named, ignored)) return true;
  std::ifstream file(named, std::ios::binary);
  char magic[16] = "";
  file.read(magic, sizeof magic);
  return file.gcount() == sizeof magic && absl::string_view(magic, 15) == "SQLite format 3";
}

absl::StatusOr<JournalDemand> ReadJournal(const std::string& path) {
  HR_ASSIGN_OR_RETURN(const auto journal, JournalFile::Open(path));
  return Annotate(Read(*journal), FileOf(path));
}

}  // namespace headroom::lab
