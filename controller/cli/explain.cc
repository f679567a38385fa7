#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include <CLI/CLI.hpp>

#include "controller/base/status.h"
#include "controller/cli/commands.h"
#include "controller/runtime/wire_time.h"

namespace headroom {
namespace {

// The ladder of one decision, from what was seen to what is done.
class Ladder {
 public:
  Ladder(Session& session, const v1::Decision& decision) : session_(session), decision_(decision) {}

  void Print() {
    Head();
    Diagnosis();
    Signals();
    Guards();
    Answer();
    Limits();
    Actions();
    Alarms();
  }

 private:
  void Title(absl::string_view title) {
    session_.out() << '\n' << session_.Paint({std::string(title), Tone::kStrong}) << '\n';
  }
  void Line(const std::string& text) { session_.out() << "  " << text << '\n'; }

  void Head() {
    session_.out() << session_.Paint({absl::StrCat("Decision ", decision_.sequence()), Tone::kStrong})
                   << absl::FormatTime("  %Y-%m-%d %H:%M:%S UTC", FromWire(decision_.time()), absl::UTCTimeZone())
                   << (decision_.mode() == v1::MODE_LIVE ? "  live" : "  dry run: nothing is touched") << "  term "
                   << decision_.term() << '\n';
  }

  void Diagnosis() {
    const v1::Diagnosis& diagnosis = decision_.diagnosis();
    Title("Diagnosis");
    const bool fine = diagnosis.cause() == "none";
    Line(session_.Paint({diagnosis.cause(), fine ? Tone::kGood : Tone::kBad}) +
         (fine ? "" : absl::StrFormat(" (confidence %.0f %%)", 100 * diagnosis.confidence())) +
         (diagnosis.reason().text().empty() ? "" : absl::StrCat(": ", diagnosis.reason().text())));
    for (const v1::Reason& reason : diagnosis.ruled_out()) {
      const bool open = absl::StartsWith(reason.code(), "maybe_");
      Line(absl::StrCat(open ? "open: " : "ruled out: ", reason.text()));
    }
    if (!diagnosis.remedy().text().empty()) Line(absl::StrCat("remedy: ", diagnosis.remedy().text()));
  }

  void Signals() {
    Title("Signals");
    for (const v1::Demand& demand : decision_.demands()) {
      const std::string says =
          demand.has_node_count() ? absl::StrFormat("needs %.2f nodes", demand.node_count()) : "cannot tell";
      Line(absl::StrFormat("%-12s %-18s %s", demand.signal(), says, demand.reason().text()));
    }
    if (decision_.demands().empty()) Line("none is enabled");
  }

  void Guards() {
    Title("Guards");
    for (const v1::Verdict& verdict : decision_.verdicts()) {
      std::string bound;
      if (verdict.has_at_least()) absl::StrAppend(&bound, "at least ", verdict.at_least(), " ");
      if (verdict.has_at_most()) absl::StrAppend(&bound, "at most ", verdict.at_most(), " ");
      Line(absl::StrFormat("%-14s %d -> %d  %-12s %s", verdict.guard(), verdict.before(), verdict.after(), bound,
                           verdict.reason().text()));
    }
    if (decision_.verdicts().empty()) Line("none spoke");
  }

  void Answer() {
    Title("Answer");
    Line(absl::StrCat(decision_.desired_count(), " nodes wanted; ", decision_.serving_count(), " serve, ",
                      decision_.effective_count(), " once all work in flight lands"));
  }

  void Limits() {
    if (decision_.limits().empty()) return;
    Title("Limits");
    for (const v1::LimitDecision& limit : decision_.limits()) {
      const bool bound = !limit.bound_by().empty() && limit.bound_by() != "none";
      Line(absl::StrFormat("%-12s %d -> %d%s  %s", limit.node_id(), limit.before(), limit.after(),
                           bound ? absl::StrCat(" (bound by ", limit.bound_by(), ")") : "", limit.reason().text()));
    }
  }

  void Actions() {
    Title("Actions");
    for (const v1::Action& action : decision_.actions()) {
      Line(absl::StrFormat("%-13s %-12s %s", action.kind(), action.node_id(), action.reason().text()));
    }
    if (decision_.actions().empty()) Line("none");
  }

  void Alarms() {
    if (decision_.alarms().empty()) return;
    Title("Alarms");
    for (const v1::Reason& alarm : decision_.alarms()) Line(session_.Paint({alarm.text(), Tone::kBad}));
  }

  Session& session_;
  const v1::Decision& decision_;
};

absl::Status Explain(Session& session, uint64_t sequence) {
  v1::GetDecisionRequest request;
  request.set_sequence(sequence);
  HR_ASSIGN_OR_RETURN(const v1::GetDecisionResponse response,
                      session.Call(&v1::AdminService::StubInterface::GetDecision, request));
  if (!session.PrintData(response)) Ladder(session, response.decision()).Print();
  return absl::OkStatus();
}

}  // namespace

void AddExplain(CLI::App& app, Session& session) {
  const auto sequence = std::make_shared<uint64_t>(0);
  CLI::App* command = app.add_subcommand("explain", "Why a decision is what it is: signals, guards, limits, actions");
  command->add_option("SEQUENCE", *sequence, "The decision; the newest where none is named");
  command->callback(
      [&session, sequence] { session.command = [&session, sequence] { return Explain(session, *sequence); }; });
}

}  // namespace headroom
