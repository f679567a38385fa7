#include "controller/core/diagnosis/statements.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>

namespace headroom {
namespace {

// Clients are named from the reports of so many nodes; a leaking client is among the largest of nearly every node.
constexpr int kNodesAsked = 256;
// A client that holds less is one of many.
constexpr double kLargestNamed = 0.15;

std::optional<absl::Duration> Latency(const std::optional<double>& seconds) {
  if (!seconds.has_value()) return std::nullopt;
  return absl::Seconds(*seconds);
}

// Shown only where `condition` holds.
template <typename T>
std::optional<T> If(bool condition, const std::optional<T>& value) {
  return condition ? value : std::nullopt;
}
std::optional<double> If(bool condition, double value) {
  return condition ? std::optional<double>(value) : std::nullopt;
}

ReasonCode Against(Cause cause, Standing standing) {
  if (cause == Cause::kImbalance)
    return standing == Standing::kRuledOut ? ReasonCode::kNotImbalance : ReasonCode::kMaybeImbalance;
  const int base = static_cast<int>(standing == Standing::kRuledOut ? ReasonCode::kNotSurge : ReasonCode::kMaybeSurge);
  return static_cast<ReasonCode>(base + static_cast<int>(cause) - static_cast<int>(Cause::kSurge));
}
static_assert(static_cast<int>(ReasonCode::kNotReportLoss) - static_cast<int>(ReasonCode::kNotSurge) ==
              static_cast<int>(Cause::kReportLoss) - static_cast<int>(Cause::kSurge));
static_assert(static_cast<int>(ReasonCode::kMaybeReportLoss) - static_cast<int>(ReasonCode::kMaybeSurge) ==
              static_cast<int>(Cause::kReportLoss) - static_cast<int>(Cause::kSurge));

// The health before a change came or beside it.
GroupHealth Elsewhere(const Evidence& e) {
  if (e.deploy.elsewhere.error_ratio.has_value()) return e.deploy.elsewhere;
  return {e.UsualOfAnswers(Metric::kErrorsSlotsFree), e.Usual(Metric::kP50)};
}

std::string LargestClient(const Evidence& e, const Fleet& fleet) {
  if (!e.clients_told || e.now.Or(Metric::kLargestClient, 0) < kLargestNamed) return "";
  std::map<std::string, int64_t> open;
  int asked = 0;
  for (const auto& [id, node] : fleet.nodes()) {
    for (const ClientConnections& client : node.report.top_clients) open[client.address] += client.open_count;
    if (++asked == kNodesAsked) break;
  }
  const auto fewer = [](const auto& a, const auto& b) { return a.second < b.second; };
  const auto largest = std::max_element(open.begin(), open.end(), fewer);
  return largest == open.end() ? "" : largest->first;
}

Reason StateSurge(const Evidence& e) {
  return MakeReason(ReasonCode::kDiagnosisSurge, If(e.at_limit > 0, e.at_limit), e.nodes, e.open, e.limit, e.waiting,
                    e.Ratio(Metric::kDemand), e.Ratio(Metric::kArrivals), e.Ratio(Metric::kAnswers),
                    If(e.now.Or(Metric::kActiveShare, 1) <= 0.3, e.Now(Metric::kActiveShare)),
                    Latency(e.Now(Metric::kP50)), Latency(e.Usual(Metric::kP50)));
}

Reason StateBadDeploy(const Evidence& e) {
  const GroupHealth elsewhere = Elsewhere(e);
  return MakeReason(ReasonCode::kDiagnosisBadDeploy, e.deploy.version, e.deploy.changed_share, e.deploy.newest_age,
                    e.deploy.there.error_ratio, elsewhere.error_ratio, Latency(e.deploy.there.p50),
                    Latency(elsewhere.p50));
}

Reason StateSlowDisk(const Evidence& e) {
  const SpreadEvidence& spread = e.spread;
  // The node that stands out, where one does; else the cluster.
  const bool one = spread.slowest_device.has_value() && spread.median_device.has_value() &&
                   *spread.slowest_device > 2 * *spread.median_device;
  return MakeReason(ReasonCode::kDiagnosisSlowDisk, one ? spread.slowest_device_node : std::string(),
                    Latency(one ? spread.slowest_device : e.Now(Metric::kDevice)),
                    Latency(one ? spread.median_device : e.Usual(Metric::kDevice)),
                    Latency(one ? spread.slowest_device_p50 : e.Now(Metric::kP50)),
                    Latency(one ? spread.median_p50 : e.Usual(Metric::kP50)), e.Now(Metric::kIoFull),
                    e.Now(Metric::kActiveShare));
}

Reason StateHotNode(const Evidence& e) {
  const SpreadEvidence& spread = e.spread;
  return MakeReason(ReasonCode::kDiagnosisHotNode, spread.busiest, spread.demand, spread.median_demand,
                    Latency(spread.busiest_p50), Latency(spread.median_p50), If(spread.rejected > 0, spread.rejected));
}

Reason StateClientLeak(const Evidence& e, const Fleet& fleet) {
  const bool one = e.clients_told && e.now.Or(Metric::kLargestClient, 0) >= kLargestNamed;
  return MakeReason(ReasonCode::kDiagnosisClientLeak, LargestClient(e, fleet), If(one, e.Now(Metric::kLargestClient)),
                    e.open, e.limit, e.Ratio(Metric::kDemand), e.Ratio(Metric::kAnswers), e.Now(Metric::kActiveShare),
                    e.Now(Metric::kOldIdle));
}

Reason FactsOfDeploy(const Evidence& e, ReasonCode code) {
  const DeployEvidence& deploy = e.deploy;
  const GroupHealth elsewhere = Elsewhere(e);
  const bool told = deploy.told_share > 0, recent = deploy.is_recent;
  const auto watched = If(told && !recent, std::optional<absl::Duration>(deploy.watched));
  return MakeReason(code, watched, If(recent, deploy.changed_share), If(recent, deploy.newest_age),
                    If(!recent, deploy.newest_age), If(recent, deploy.there.error_ratio),
                    If(recent, elsewhere.error_ratio), Latency(If(recent, deploy.there.p50)),
                    Latency(If(recent, elsewhere.p50)), If(told && deploy.told_share < 1, deploy.told_share));
}

Reason FactsOfNetwork(const Evidence& e, ReasonCode code) {
  const std::optional<double> failed = e.Now(Metric::kFailedConnects);
  return MakeReason(code, e.Now(Metric::kRetransmits), e.Usual(Metric::kRetransmits), failed,
                    If(e.at_limit == 0, failed), e.Ratio(Metric::kAnswers));
}

}  // namespace

Reason StateNothing(const Evidence& e) {
  return MakeReason(ReasonCode::kDiagnosisNone, e.Now(Metric::kTaken), If(e.limit > 0, static_cast<double>(e.limit)),
                    e.NowOfAnswers(Metric::kErrors), Latency(e.Now(Metric::kP50)));
}

Reason StateCannotTell(const Evidence& e, const CauseScores& scores) {
  const auto likeliest = std::max_element(scores.begin(), scores.end());
  const auto cause = static_cast<Cause>(likeliest - scores.begin());
  return MakeReason(ReasonCode::kDiagnosisCannotTell, e.Now(Metric::kTaken), e.now.Or(Metric::kRejected, 0),
                    e.NowOfAnswers(Metric::kErrors), e.Ratio(Metric::kP50),
                    *likeliest > 0 ? std::string(CauseName(cause)) : std::string(), If(*likeliest > 0, *likeliest),
                    If(e.down > 0, e.down), If(e.down > 0, e.nodes + e.silent));
}

Reason StateCause(Cause cause, const Evidence& e, const Fleet& fleet) {
  switch (cause) {
    case Cause::kNone:
    case Cause::kCannotTell:
      return StateNothing(e);
    case Cause::kSurge:
      return StateSurge(e);
    case Cause::kRetryStorm:
      return MakeReason(ReasonCode::kDiagnosisRetryStorm, e.Now(Metric::kAttempts), e.Usual(Metric::kAttempts),
                        e.Ratio(Metric::kFirstAttempts), e.Ratio(Metric::kArrivals), e.Ratio(Metric::kAnswers),
                        e.now.Or(Metric::kRejected, 0));
    case Cause::kBadDeploy:
      return StateBadDeploy(e);
    case Cause::kSoftware:
      return MakeReason(ReasonCode::kDiagnosisSoftware, e.now.Or(Metric::kErrorsSlotsFree, 0),
                        e.now.Or(Metric::kAnswers, 0), e.UsualOfAnswers(Metric::kErrorsSlotsFree),
                        If(e.now.Or(Metric::kTaken, 1) < 0.8, e.Now(Metric::kTaken)));
    case Cause::kNetwork:
      return MakeReason(ReasonCode::kDiagnosisNetwork, e.Now(Metric::kRetransmits), e.Usual(Metric::kRetransmits),
                        If(e.at_limit == 0, e.Now(Metric::kFailedConnects)),
                        If(e.now.Or(Metric::kTaken, 1) < 0.8, e.Now(Metric::kTaken)));
    case Cause::kSlowDisk:
      return StateSlowDisk(e);
    case Cause::kCpu:
      return MakeReason(ReasonCode::kDiagnosisCpu, e.Now(Metric::kCores), e.Usual(Metric::kCores),
                        e.Now(Metric::kCpuSome), Latency(e.Now(Metric::kP50)), Latency(e.Usual(Metric::kP50)));
    case Cause::kHotNode:
      return StateHotNode(e);
    case Cause::kClientLeak:
      return StateClientLeak(e, fleet);
    case Cause::kReportLoss:
      return MakeReason(ReasonCode::kDiagnosisReportLoss, e.silent, e.nodes + e.silent, e.silent_after,
                        If(e.heard_balancers, e.silent_but_up));
    case Cause::kImbalance:
      return MakeReason(ReasonCode::kDiagnosisImbalance, e.spread.idle_nodes, e.nodes, e.spread.idle_node,
                        absl::Seconds(e.spread.idle_seconds), e.spread.busy_work);
  }
  return StateNothing(e);
}

Reason StateAgainst(Cause cause, const Evidence& e, Standing standing) {
  const ReasonCode code = Against(cause, standing);
  switch (cause) {
    case Cause::kNone:
    case Cause::kCannotTell:
      break;
    case Cause::kSurge:
      return MakeReason(code, e.Now(Metric::kTaken), e.now.Or(Metric::kRejected, 0), e.Ratio(Metric::kDemand));
    case Cause::kRetryStorm:
      return MakeReason(code, e.Now(Metric::kAttempts), e.Usual(Metric::kAttempts), e.Ratio(Metric::kArrivals),
                        e.Ratio(Metric::kAnswers));
    case Cause::kBadDeploy:
      return FactsOfDeploy(e, code);
    case Cause::kSoftware:
      return MakeReason(code, e.now.Or(Metric::kErrorsSlotsFree, 0), e.now.Or(Metric::kAnswers, 0),
                        e.now.Or(Metric::kErrors, 0));
    case Cause::kNetwork:
      return FactsOfNetwork(e, code);
    case Cause::kSlowDisk:
      return MakeReason(code, Latency(e.Now(Metric::kDevice)), Latency(e.Usual(Metric::kDevice)),
                        e.Now(Metric::kIoFull), Latency(e.Now(Metric::kP50)), Latency(e.Usual(Metric::kP50)));
    case Cause::kCpu:
      return MakeReason(code, e.Now(Metric::kCores), e.Usual(Metric::kCores), e.Now(Metric::kCpuSome));
    case Cause::kHotNode: {
      const SpreadEvidence& spread = e.spread;
      const bool several = spread.nodes >= 2;
      return MakeReason(code, several ? spread.busiest : std::string(), If(several, spread.demand),
                        If(several, spread.median_demand), Latency(If(several, spread.busiest_p50)),
                        Latency(If(several, spread.median_p50)));
    }
    case Cause::kClientLeak:
      return MakeReason(code, If(e.clients_told, e.Now(Metric::kLargestClient)), e.Ratio(Metric::kAnswers),
                        e.Now(Metric::kActiveShare), e.Now(Metric::kOldIdle));
    case Cause::kReportLoss:
      return MakeReason(code, e.silent, e.nodes + e.silent, e.silent_after);
    case Cause::kImbalance:
      return MakeReason(code, e.spread.idle_nodes, e.nodes);
  }
  return {};
}

Reason StateRemedy(Cause cause, const Evidence& e, const Fleet& fleet) {
  switch (cause) {
    case Cause::kNone:
      return MakeReason(ReasonCode::kRemedyNone);
    case Cause::kCannotTell:
      return MakeReason(ReasonCode::kRemedyLook);
    case Cause::kSurge:
      return MakeReason(ReasonCode::kRemedyRaiseLimits);
    case Cause::kRetryStorm:
      return MakeReason(ReasonCode::kRemedyRetryBudget);
    case Cause::kBadDeploy:
      return MakeReason(ReasonCode::kRemedyRollBackDeploy, e.deploy.version);
    case Cause::kSoftware:
      return MakeReason(ReasonCode::kRemedySoftware);
    case Cause::kNetwork:
      return MakeReason(ReasonCode::kRemedyNetwork);
    case Cause::kSlowDisk:
      return MakeReason(ReasonCode::kRemedySlowDisk);
    case Cause::kCpu:
      return MakeReason(ReasonCode::kRemedyAddNodes);
    case Cause::kHotNode:
      return MakeReason(ReasonCode::kRemedyRebalance, e.spread.busiest);
    case Cause::kClientLeak:
      return MakeReason(ReasonCode::kRemedyClient, LargestClient(e, fleet));
    case Cause::kReportLoss:
      return MakeReason(ReasonCode::kRemedyReports);
    case Cause::kImbalance:
      return MakeReason(ReasonCode::kRemedyBalancer, e.spread.idle_node);
  }
  return {};
}

}  // namespace headroom
