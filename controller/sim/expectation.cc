#include "controller/sim/expectation.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace headroom::sim {
namespace {

constexpr absl::string_view kFigureNames[] = {"failed_ratio", "attempts",      "p99_ms",   "nodes",       "limit",
                                              "connections",  "limit_changes", "launches", "terminations"};

bool IsOfClients(Figure figure) {
  return figure <= Figure::kP99Ms;
}
bool IsOfActions(Figure figure) {
  return figure >= Figure::kLimitChanges;
}

double ValueOf(Figure figure, const ClientStatistics& before, const ClientStatistics& after) {
  ClientStatistics span = after;
  span.latency = after.latency.Since(before.latency);
  const auto offered = static_cast<double>(after.offered - before.offered);
  switch (figure) {
    case Figure::kFailedRatio:
      span.completed -= before.completed;
      span.failed -= before.failed;
      return span.failed_ratio();
    case Figure::kAttempts:
      return offered == 0 ? 0 : static_cast<double>(after.attempts - before.attempts) / offered;
    default:
      return absl::ToDoubleMilliseconds(span.latency.Quantile(0.99));
  }
}

std::string When(const Expectation& expectation) {
  const auto show = [](absl::Duration time) { return absl::FormatDuration(time); };
  const bool to_the_end = expectation.to == absl::InfiniteDuration();
  if (expectation.from == absl::ZeroDuration() && to_the_end) return "";
  if (to_the_end) return absl::StrCat(", from ", show(expectation.from));
  return absl::StrCat(", ", show(expectation.from), " to ", show(expectation.to));
}

std::string Show(double value) {
  return absl::StrFormat("%.4g", value);
}

}  // namespace

absl::string_view FigureName(Figure figure) {
  static_assert(std::size(kFigureNames) == static_cast<size_t>(Figure::kTerminations) + 1);
  return kFigureNames[static_cast<size_t>(figure)];
}

void Judge::SeeValue(double value) {
  least_ = std::min(least_, value);
  most_ = std::max(most_, value);
}

void Judge::See(const RunSample& sample) {
  if (!Covers(sample.at)) return;
  const auto* range = std::get_if<ExpectedRange>(&expectation_.what);
  if (range == nullptr) return;
  if (!before_.has_value()) before_ = sample.total;
  last_ = sample.total;
  if (range->figure == Figure::kNodes) SeeValue(sample.nodes);
  if (range->figure == Figure::kConnections) SeeValue(static_cast<double>(sample.connections));
  if (range->figure != Figure::kLimit || sample.nodes == 0) return;
  SeeValue(static_cast<double>(sample.limit_least));
  SeeValue(static_cast<double>(sample.limit_most));
}

void Judge::See(absl::Duration at, const Decision& decision) {
  if (!Covers(at)) return;
  if (const auto* named = std::get_if<ExpectedCause>(&expectation_.what)) {
    if (decision.diagnosis.cause == named->cause && !named_at_.has_value()) named_at_ = at;
  } else {
    SeeActions(std::get<ExpectedRange>(expectation_.what).figure, decision);
  }
}

void Judge::SeeActions(Figure figure, const Decision& decision) {
  for (const Action& action : decision.actions) {
    const auto* grant = std::get_if<GrantLimits>(&action.body);
    const bool counts = (figure == Figure::kLimitChanges && grant != nullptr && !grant->renewal) ||
                        (figure == Figure::kLaunches && std::holds_alternative<LaunchNode>(action.body)) ||
                        (figure == Figure::kTerminations && std::holds_alternative<TerminateNode>(action.body));
    if (counts) ++count_;
  }
}

Outcome Judge::Tell() const {
  if (const auto* range = std::get_if<ExpectedRange>(&expectation_.what)) return TellRange(*range);
  const auto& named = std::get<ExpectedCause>(expectation_.what);
  const bool once = named.when == ExpectedCause::When::kOnce;
  Outcome outcome;
  outcome.text = absl::StrCat("cause ", CauseName(named.cause), once ? " named" : " never named", When(expectation_));
  outcome.got = named_at_.has_value()
                    ? absl::StrCat("named at ", absl::FormatDuration(absl::Trunc(*named_at_, absl::Milliseconds(100))))
                    : std::string("not named");
  outcome.met = named_at_.has_value() == once;
  return outcome;
}

Outcome Judge::TellRange(const ExpectedRange& range) const {
  double least = least_, most = most_;
  if (IsOfClients(range.figure)) {
    least = most = before_.has_value() ? ValueOf(range.figure, *before_, *last_) : 0;
  } else if (IsOfActions(range.figure)) {
    least = most = count_;
  }
  Outcome outcome;
  std::vector<std::string> bounds;
  if (range.least.has_value()) bounds.push_back(absl::StrCat("at least ", Show(*range.least)));
  if (range.most.has_value()) bounds.push_back(absl::StrCat("at most ", Show(*range.most)));
  outcome.text = absl::StrCat(FigureName(range.figure), " ", absl::StrJoin(bounds, " and "), When(expectation_));
  if (least > most) {  // a gauge that was never seen
    outcome.got = "never seen";
    return outcome;
  }
  outcome.got = least == most ? Show(least) : absl::StrCat(Show(least), " to ", Show(most));
  outcome.met = least >= range.least.value_or(least) && most <= range.most.value_or(most);
  return outcome;
}

}  // namespace headroom::sim
