#include "controller/base/status.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include <CLI/CLI.hpp>

#include "controller/cli/commands.h"
#include "controller/runtime/wire_time.h"

namespace headroom {
namespace {

constexpr double kNearlyFull = 0.8;

std::string CountsText(const v1::NodeCounts& counts) {
  std::vector<std::string> parts = {absl::StrCat(counts.serving(), " serving")};
  const auto add = [&](int count, absl::string_view name) {
    if (count > 0) parts.push_back(absl::StrCat(count, " ", name));
  };
  add(counts.launching(), "launching");
  add(counts.draining(), "draining");
  add(counts.restarting(), "restarting");
  add(counts.silent(), "silent");
  return absl::StrJoin(parts, ", ");
}

absl::string_view HoldName(v1::HoldDirection direction) {
  switch (direction) {
    case v1::HOLD_DIRECTION_UP:
      return "growing";
    case v1::HOLD_DIRECTION_DOWN:
      return "shrinking";
    default:
      return "growing and shrinking";
  }
}

// Lines of "name   text", names in one column.
class Lines {
 public:
  explicit Lines(Session& session) : session_(session) {}
  void Add(const std::string& name, const Cell& text) {
    session_.out() << session_.Paint({absl::StrCat(name, std::string(13 - name.size(), ' ')), Tone::kFaint})
                   << session_.Paint(text) << '\n';
  }

 private:
  Session& session_;
};

void PrintHead(Session& session, const v1::GetStatusResponse& status) {
  const bool live = status.mode() == v1::MODE_LIVE;
  session.out() << session.Paint({status.cluster(), Tone::kStrong}) << "  "
                << session.Paint({live ? "LIVE" : "DRY RUN", live ? Tone::kGood : Tone::kWarning})
                << absl::StrCat("  term ", status.term(), ", last decision ",
                                Ago(session.now(), status.has_last_tick_time(), status.last_tick_time()),
                                ", headroomd ", status.version(), "\n");
}

void PrintLoad(Lines& lines, const v1::GetStatusResponse& status) {
  lines.Add("nodes", absl::StrCat(CountsText(status.nodes()), "; ", status.desired_count(), " wanted, allowed ",
                                  status.nodes_min(), " to ", status.nodes_max()));
  if (status.mode() != v1::MODE_LIVE && status.has_hypothetical()) {
    lines.Add("had it acted", CountsText(status.hypothetical()));
    if (status.trial().has_since_time())
      lines.Add("would have",
                absl::StrCat("nodes ", TrialNodes(status.trial()), "; limits ", TrialLimits(status.trial())));
  }
  const double share = status.limit_count() > 0 ? static_cast<double>(status.open_count() + status.waiting_count()) /
                                                      static_cast<double>(status.limit_count())
                                                : 0;
  lines.Add("connections", {absl::StrCat(status.open_count(), " of ", status.limit_count(), " open (",
                                         status.active_count(), " active), ", status.waiting_count(), " waiting"),
                            share >= 1 ? Tone::kBad : (share >= kNearlyFull ? Tone::kWarning : Tone::kPlain)});
  lines.Add("requests", {absl::StrCat(Number(status.requests_per_second()), "/s, ", Number(status.errors_per_second()),
                                      " errors/s"),
                         status.errors_per_second() > 0 ? Tone::kWarning : Tone::kPlain});
  if (status.budget_count() > 0) lines.Add("budget", absl::StrCat(status.budget_count(), " connections granted"));
}

void PrintWhy(Session& session, Lines& lines, const v1::GetStatusResponse& status) {
  const v1::Diagnosis& diagnosis = status.diagnosis();
  lines.Add("diagnosis", {diagnosis.reason().text().empty() ? diagnosis.cause() : diagnosis.reason().text(),
                          diagnosis.cause() == "none" ? Tone::kGood : Tone::kBad});
  if (status.has_last_action()) {
    lines.Add("last action",
              absl::StrCat(Ago(session.now(), true, status.last_action_time()), ": ", status.last_action().text()));
  }
}

void PrintLearning(Lines& lines, const v1::GetStatusResponse& status) {
  if (status.learning().empty()) return;
  lines.Add("learning", absl::StrCat(status.learning_size(), " of ", status.learning_of(), " learn still"));
  for (const v1::Reason& open : status.learning()) lines.Add("", open.text());
}

void PrintOrders(Session& session, Lines& lines, const v1::GetStatusResponse& status) {
  for (const v1::Hold& hold : status.holds()) {
    lines.Add("hold", {absl::StrCat(HoldName(hold.direction()), " is held for another ",
                                    Short(FromWire(hold.expire_time()) - session.now()), " by ",
                                    hold.actor().empty() ? "somebody" : hold.actor(), ": ", hold.reason()),
                       Tone::kWarning});
  }
  if (status.has_override()) {
    lines.Add("override",
              {absl::StrCat("for another ", Short(FromWire(status.override().expire_time()) - session.now()), ": ",
                            status.override().reason()),
               Tone::kWarning});
  }
  for (const v1::Reason& alarm : status.alarms()) lines.Add("alarm", {alarm.text(), Tone::kBad});
  for (const std::string& fault : status.policy_faults()) {
    lines.Add("policy fault", {absl::StrCat(fault, " (the old policy stays in force)"), Tone::kBad});
  }
  if (status.journal() != "ok") lines.Add("journal", {status.journal(), Tone::kBad});
}

absl::Status Status(Session& session) {
  HR_ASSIGN_OR_RETURN(const v1::GetStatusResponse status,
                      session.Call(&v1::AdminService::StubInterface::GetStatus, v1::GetStatusRequest()));
  if (session.PrintData(status)) return absl::OkStatus();
  PrintHead(session, status);
  Lines lines(session);
  PrintLoad(lines, status);
  PrintWhy(session, lines, status);
  PrintLearning(lines, status);
  PrintOrders(session, lines, status);
  return absl::OkStatus();
}

}  // namespace

void AddStatus(CLI::App& app, Session& session) {
  app.add_subcommand("status", "The cluster in one look")->callback([&session] {
    session.command = [&session] { return Status(session); };
  });
}

}  // namespace headroom
