#include "controller/server/operator/reason_words.h"

#include <algorithm>
#include <iterator>
#include <variant>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include <nlohmann/json.hpp>

namespace headroom {
namespace {

// Sentences for reasons whose own have something in them that moves. Placeholders as in reason_sentences.h.
struct Steady {
  ReasonCode code;
  const char* sentence;
};
constexpr Steady kSteady[] = {
    {ReasonCode::kLimitBudget, "Nodes want more connections than their shares of the budget of {budget}."},
    {ReasonCode::kLimitCeiling, "Demand calls for higher connection limits, but the {ceiling_name} ceiling binds."},
    {ReasonCode::kLimitVeto, "Demand calls for higher connection limits, but nodes are unhealthy ({veto})."},
    {ReasonCode::kSignalUnknown, "{signal}: cannot tell, too few of the serving nodes have reported lately."},
    {ReasonCode::kSignalBalancers, "{signal}: cannot tell, balancers that hold the slots of nodes are silent."},
    {ReasonCode::kGuardErrors, "No shrinking while things go wrong."},
    {ReasonCode::kGuardStabilization, "No shrinking below what was wanted within the last {window}."},
    {ReasonCode::kGuardCooldown, "No shrinking so soon after the last change."},
    {ReasonCode::kGuardForecast, "Nodes are kept for a demand that may come."},
    {ReasonCode::kGuardProjection, "No shrinking to so few nodes that they would be filled above the target."},
    {ReasonCode::kGuardBackoff, "Launches failed in a row; the next try comes after a pause."},
    {ReasonCode::kGuardMax, "The policy allows at most {max} nodes; more are wanted."},
    {ReasonCode::kGuardWarm, "No shrinking yet: it has not been watched for long enough without a gap."},
    {ReasonCode::kGuardRatchet, "Nodes are under way and none has arrived for long: no more are asked for."},
    {ReasonCode::kGuardAnomaly, "No shrinking while something is unusual: {series} ({kind})."},
    {ReasonCode::kGuardUnfilled, "Nodes count by the data that they have received, which is less than their share."},
    {ReasonCode::kGuardFits, "What is stored fits on {nodes} nodes at least."},
    {ReasonCode::kGuardIdle, "Nodes too many have not idled for long enough to be worth a change."},
    {ReasonCode::kGuardTogether, "As nodes are launched anyway, they are those that the next minutes may need."},
    {ReasonCode::kAlarmAtMax, "Capped at {max} nodes; more are wanted."},
    {ReasonCode::kAlarmNodeLost, "{node} is lost: it is silent."},
    {ReasonCode::kAlarmSignalUnknown, "The signal {signal} has been unknown for long."},
    {ReasonCode::kAlarmLaunchStuck, "{node} was launched and does not serve yet, later than is usual."},
    {ReasonCode::kAlarmDrainStuck, "{node} has been draining for longer than is usual."},
    {ReasonCode::kAlarmAnomaly, "Unusual: {series} ({kind})."},
    {ReasonCode::kAlarmCeiling, "{node}: demand presses on the {ceiling_name} ceiling."},
    {ReasonCode::kAlarmFloorsExceedBudget, "The floors of the nodes add up to more than the budget of {budget}."},
    {ReasonCode::kDiagnosisNone, "Nothing is wrong."},
};

std::string ArgumentText(const ReasonArgument& argument) {
  if (const auto* text = std::get_if<std::string>(&argument)) return text->empty() ? "?" : *text;
  if (const auto* duration = std::get_if<absl::Duration>(&argument)) return absl::FormatDuration(*duration);
  return absl::StrCat(std::get<double>(argument));
}

// Faults come a line each.
std::string OneLine(absl::string_view text) {
  return absl::StrReplaceAll(text, {{"\n", "; "}});
}

}  // namespace

std::string CamelCase(absl::string_view snake_case) {
  std::string camel;
  bool begins = true;
  for (const char c : snake_case) {
    if (c != '_') camel += begins ? absl::ascii_toupper(static_cast<unsigned char>(c)) : c;
    begins = c == '_';
  }
  return camel;
}

std::string CamelCase(ReasonCode code) {
  return code == ReasonCode::kNone ? "" : CamelCase(ReasonName(code));
}

std::string NotRunName(const absl::Status& why) {
  return absl::IsAlreadyExists(why) ? "NameTaken" : "NotRun";
}

std::string NotRunSentence(const absl::Status& why) {
  return absl::StrCat("The cluster is not run: ", OneLine(why.message()));
}

std::string RefusedSentence(const absl::Status& faults, InForce in_force) {
  return absl::StrCat("The spec is refused, and ",
                      in_force == InForce::kNothing ? "the cluster is not run until it is mended: "
                                                    : "the policy before it stays in force: ",
                      OneLine(faults.message()));
}

std::string SteadySentence(const Reason& reason) {
  const auto* steady = std::find_if(std::begin(kSteady), std::end(kSteady),
                                    [&](const Steady& candidate) { return candidate.code == reason.code; });
  if (steady == std::end(kSteady)) return RenderReason(reason);
  const std::vector<std::string> names = ReasonArgumentNames(reason.code);
  std::vector<std::pair<std::string, std::string>> values;
  for (size_t i = 0; i < names.size(); ++i) {
    values.emplace_back(absl::StrCat("{", names[i], "}"),
                        i < reason.arguments.size() ? ArgumentText(reason.arguments[i]) : "?");
  }
  return absl::StrReplaceAll(steady->sentence, values);
}

std::string Cut(absl::string_view text, size_t bytes_max) {
  using Json = nlohmann::json;
  constexpr absl::string_view kMore = "...";
  const std::string encoded = Json(std::string(text)).dump(-1, ' ', false, Json::error_handler_t::replace);
  std::string whole = Json::parse(encoded).get<std::string>();
  if (whole.size() <= bytes_max) return whole;
  size_t end = bytes_max - std::min(bytes_max, kMore.size());
  const auto is_inside = [&](size_t at) { return (static_cast<unsigned char>(whole[at]) & 0xC0) == 0x80; };
  while (end > 0 && is_inside(end)) --end;
  return absl::StrCat(whole.substr(0, end), kMore);
}

}  // namespace headroom
