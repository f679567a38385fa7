#include "controller/core/diagnosis/rules.h"

#include <algorithm>
#include <iterator>
#include <optional>

#include "controller/core/diagnosis/signs.h"

namespace headroom {
namespace {

double ScoreSurge(const Evidence& e) {
  // Many that knock while answers stand still may be newcomers, or old clients that a leak has shut out. A leak fills
  // the slots little by little, and takes them from those who worked.
  const double at_once = e.fill_time.has_value() ? 1 - Rise(absl::ToDoubleSeconds(*e.fill_time), 2, 4) : 0;
  const double sudden = All({at_once, Rise(e.Ratio(Metric::kAnswers), 0.8, 0.95), 1 - LeakSeen(e)});
  const double knocking = (0.5 + 0.3 * sudden) * All({Rise(e.RatioOfEach(Metric::kArrivals), 2, 4), 1 - LatencyUp(e)});
  // Newcomers that are let in and ask nothing may be there to stay; of those that ask little, most.
  const double ask = Any({1 - 0.5 * NothingMoreAsked(e), sudden});
  const double mostly = Any({1 - 0.5 * LittleMoreAsked(e), sudden, Rejecting(e)});
  const double answered =
      Any({Rise(e.Ratio(Metric::kAnswers), 1.1, 1.35), Rise(e.Ratio(Metric::kFirstAttempts), 1.1, 1.35)});
  const double more_clients = e.clients_told ? Rise(e.RatioOfEach(Metric::kClients), 1.2, 1.6) : 0;
  const double not_by_leak = 1 - All({LeakSeen(e), WorkLags(e)});
  const double work = Any({All({Any({All({answered, mostly}), All({more_clients, ask})}), not_by_leak}), knocking});
  // Where nobody counts retries, connections that are made for every answer, late ones at that, may all be retries.
  const bool told = e.Now(Metric::kAttempts).has_value();
  const double churn =
      told ? 0 : Rise(e.now.Or(Metric::kArrivals, 0) / std::max(1.0, e.now.Or(Metric::kAnswers, 0)), 0.3, 0.6);
  const double served = Any({0.7 - 0.2 * churn, 1 - LatencyUp(e), SlotsIdle(e)});
  // Nor do slots that run out make servers fail what they have let in.
  const double errors = e.NowOfAnswers(Metric::kErrors).value_or(0);
  const double not_by_errors = 1 - 0.5 * All({Rise(errors, 0.1, 0.3), 1 - Rejecting(e)});
  const double broad = e.spread.nodes < 2 ? 1 : Rise(e.spread.median_taken, 0.6, 0.75);
  return All({SlotsPressed(e), Rise(e.RatioOfEach(Metric::kDemand), 1.1, 1.4), work, served, broad, not_by_errors});
}

double ScoreRetryStorm(const Evidence& e) {
  const double hurt = Any({LatencyUp(e), SlotsPressed(e), ErrorsUp(e), RetriesSeen(e)});
  // Errors at full speed with slots free are the software's; that clients then try again is no cause.
  const double by_overload = 1 - All({ErrorsUp(e), 1 - MedianLatencyUp(e), 1 - SlotsPressed(e)});
  if (e.Now(Metric::kAttempts).has_value()) {
    const std::optional<double> first = e.Ratio(Metric::kFirstAttempts);
    const double first_flat = first.has_value() ? 1 - Rise(*first, 1.2, 1.5) : 0.5;
    const double usual = e.Usual(Metric::kAttempts).value_or(1);
    // Where they are counted, and more is answered than before, it is they that burn the CPU.
    const double not_by_them = 1 - Rise(e.Ratio(Metric::kAnswers), 1.1, 1.5);
    const double not_by_cost = 1 - All({CostUp(e), CpuShort(e), not_by_them});
    return All({Rise(e.Now(Metric::kAttempts), 1.25, 1.7), Rise(*e.Now(Metric::kAttempts) / usual, 1.15, 1.5),
                first_flat, hurt, by_overload, not_by_cost});
  }
  const double clients_flat = e.clients_told ? 1 - Rise(e.RatioOfEach(Metric::kClients), 1.3, 1.6) : 1;
  const double suffering = Any({LatencyUp(e), ErrorsUp(e)});
  // Guessed from the pattern alone, so anything that makes clients give up must be known to be well.
  // Cores that are short by the retries themselves leave them suspect: what is named stays named.
  const double short_by_itself = CpuShort(e) * (1 - 0.5 * All({RetriesSeen(e), BurntByMore(e)}));
  const double nothing_else = 1 - Any({short_by_itself, OneCpuShort(e), CostUp(e), DeviceSlow(e), OneDeviceSlow(e)});
  const double seen = 0.8 * All({RetriesSeen(e), by_overload, nothing_else});
  const double suffered = 0.8 * All({Rise(e.RatioOfEach(Metric::kArrivals), 1.8, 2.8), WorkFlat(e), clients_flat,
                                     suffering, by_overload, nothing_else});
  // Once clients connect anew wherever they can, nobody tells old ones from new ones: they may be retries still.
  const double open =
      0.4 * All({Rise(e.RatioOfEach(Metric::kArrivals), 3, 6), ConnectsToAsk(e), BurntByMore(e), by_overload});
  return Any({seen, suffered, open});
}

// The newest version fares worse than the others, or than everything did before it came.
double DeployEffect(const Evidence& e) {
  const DeployEvidence& deploy = e.deploy;
  const bool everywhere = !deploy.elsewhere.error_ratio.has_value();
  const std::optional<double> errors_before =
      everywhere ? e.UsualOfAnswers(Metric::kErrorsSlotsFree) : deploy.elsewhere.error_ratio;
  const std::optional<double> p50_before = everywhere ? e.Usual(Metric::kP50) : deploy.elsewhere.p50;
  double errors = 0, latency = 0;
  if (deploy.there.error_ratio.has_value() && errors_before.has_value()) {
    errors = All({Rise(*deploy.there.error_ratio - *errors_before, 0.005, 0.03),
                  Rise(*deploy.there.error_ratio / std::max(*errors_before, 0.001), 2, 4),
                  Rise(e.Now(Metric::kErrorsSlotsFree), 0.3, 1)});
  }
  if (deploy.there.p50.has_value() && p50_before.has_value() && *p50_before > 0) {
    latency = All({Rise(*deploy.there.p50 / *p50_before, 1.4, 2), Rise(*deploy.there.p50 - *p50_before, 0.002, 0.006)});
    // Everywhere at once, a device or much more work explains slowness as well.
    if (everywhere) {
      latency = All({latency, 1 - DeviceSlow(e), 1 - Rise(e.Ratio(Metric::kAnswers), 1.2, 1.5)});
    } else {
      latency = All({latency, 1 - OneDeviceSlow(e)});
    }
  }
  return Any({errors, latency});
}

double ScoreBadDeploy(const Evidence& e) {
  const DeployEvidence& deploy = e.deploy;
  if (!deploy.is_recent || deploy.changed_share <= 0) return 0;
  // With nodes of both kinds side by side the contrast proves it; alone, trouble must follow the change closely.
  const bool everywhere = !deploy.elsewhere.error_ratio.has_value();
  const double follows = 1 - Rise(absl::ToDoubleSeconds(deploy.before_onset), 120, 600);
  // What a release does it does from its first request on. A while after the last node took it, it is but a suspect,
  // and the less of one the longer all was well.
  const double settled = absl::ToDoubleSeconds(deploy.settled);
  const double at_once = 1 - 0.45 * Rise(settled, 10, 20) - 0.3 * Rise(settled, 20, 60);
  return All({everywhere ? std::max(0.3, All({follows, at_once})) : 1.0, DeployEffect(e)});
}

double ScoreSoftware(const Evidence& e) {
  const double not_by_deploy = 1 - ScoreBadDeploy(e);
  const double not_by_slowness = 1 - 0.6 * MedianLatencyUp(e);
  return All({Any({ErrorsUp(e), OneFails(e)}), not_by_deploy, not_by_slowness});
}

double ScoreNetwork(const Evidence& e) {
  // Full accept queues lose segments and connects too: that is the limit's doing.
  const double not_by_limit = 1 - All({Rise(e.overflows, 0.5, 2), SlotsIdle(e)});
  const double usual = std::max(0.001, e.Usual(Metric::kRetransmits).value_or(0.001));
  const double lost =
      All({Rise(e.Now(Metric::kRetransmits), 0.008, 0.02), Rise(e.now.Or(Metric::kRetransmits, 0) / usual, 2.5, 5)});
  const double at_one =
      e.spread.nodes < 2 ? 0
                         : All({Rise(e.spread.lossiest, 0.012, 0.025),
                                Rise(e.spread.lossiest.value_or(0) - 5 * e.spread.healthy_loss.value_or(0), 0, 0.005)});
  const double arrivals = std::max(1.0, e.now.Or(Metric::kArrivals, 1));
  const double failed =
      e.at_limit > 0 || !e.is_steady
          ? 0
          : All({Rise(e.Now(Metric::kFailedConnects), 0.5, 2),
                 Rise(e.now.Or(Metric::kFailedConnects, 0) / arrivals, 0.01, 0.05),
                 Rise(e.now.Or(Metric::kFailedConnects, 0) - 3 * e.Usual(Metric::kFailedConnects).value_or(0), 0,
                      0.5)});
  return All({Any({lost, at_one, failed}), std::max(0.2, not_by_limit)});
}

double ScoreSlowDisk(const Evidence& e) {
  return Any({All({DeviceSlow(e), LatencyUp(e)}), OneDeviceSlow(e)});
}

double ScoreCpu(const Evidence& e) {
  const double not_by_device = 1 - Any({DeviceSlow(e), OneDeviceSlow(e)});
  // Many more connections for the same work look like clients that try again; without a count nobody can tell which
  // came first. At full slots they only look for a place.
  const bool told = e.Now(Metric::kAttempts).has_value();
  const double churn =
      told ? 0 : All({Rise(e.RatioOfEach(Metric::kArrivals), 1.8, 2.8), WorkFlat(e), 1 - SlotsPressed(e)});
  const double not_by_retries = told ? 1 : 1 - 0.5 * All({RetriesSeen(e), BurntByMore(e)});
  const double by_shortage = All({CpuShort(e), LatencyUp(e), 1 - 0.5 * churn, not_by_retries});
  return Any({All({Any({by_shortage, CostFelt(e)}), not_by_device}), OneCpuShort(e)});
}

// One node does what several should, whether or not it can bear that yet.
double HotByWork(const Evidence& e) {
  const SpreadEvidence& spread = e.spread;
  if (spread.nodes < 3 || spread.median_work < 1) return 0;
  const std::optional<double> grown = e.Ratio(Metric::kWorkSkew);
  // One that does most because all the others are slow is the healthy one.
  const double hardest_p50 = spread.hardest_p50.value_or(0);
  const double healthy = hardest_p50 > 0 ? Rise(spread.median_p50.value_or(0) / hardest_p50, 2, 4) : 0;
  return All({1 - healthy, Rise(e.Now(Metric::kWorkSkew), 1.8, 2.5), grown.has_value() ? Rise(*grown, 1.4, 2) : 0.5,
              1 - Rise(spread.hard_share, 0.34, 0.5), Rise(spread.work, 5, 10), 1 - 0.3 * RetriesSeen(e)});
}

double ScoreHotNode(const Evidence& e) {
  const SpreadEvidence& spread = e.spread;
  if (spread.nodes < 2) return 0;
  const double skew = spread.demand / std::max(1.0, spread.median_demand);
  const double new_skew = e.Ratio(Metric::kSkew).has_value() ? Rise(e.Ratio(Metric::kSkew), 1.1, 1.4) : 1;
  const double slower = spread.busiest_p50.has_value() && spread.median_p50.value_or(0) > 0
                            ? Rise(*spread.busiest_p50 / *spread.median_p50, 1.4, 2)
                            : 0;
  const double rejects = All({Rise(spread.rejected, 0.3, 1.5), Rise(spread.rejected_share, 0.6, 0.9)});
  const double by_connections =
      All({Rise(skew, 1.5, 2), new_skew, 1 - Rise(spread.busy_share, 0.34, 0.5),
           1 - Rise(spread.median_taken, 0.75, 0.9), Any({spread.is_full ? 1.0 : 0.0, slower, rejects})});
  return Any({by_connections, HotByWork(e)});
}

// New nodes serve and nobody sends them anything, while the others have plenty to do.
double ScoreImbalance(const Evidence& e) {
  const SpreadEvidence& spread = e.spread;
  if (spread.idle_nodes == 0) return 0;
  return All({Rise(spread.busy_work, 2, 4), Rise(spread.busy_work * spread.idle_seconds, 20, 40)});
}

double ScoreClientLeak(const Evidence& e) {
  // Clients' pools fill in the first minute of a cluster, or of our knowing it.
  const double ripe = Rise(absl::ToDoubleSeconds(e.known_for), 60, 90);
  const double more = All({Any({Rise(e.RatioOfEach(Metric::kDemand), 1.15, 1.4), LeakSeen(e)}), ripe});
  // Newcomers are no leak, unless they let their connections grow old.
  const double not_of_many =
      e.clients_told ? Any({1 - Rise(e.RatioOfEach(Metric::kClients), 1.3, 1.7), GrowOld(e)}) : 1;
  // Many that knock may be a surge, unless the leak itself is seen or takes slots from those who worked.
  const double knocking = 0.5 * All({Rise(e.RatioOfEach(Metric::kArrivals), 2, 4), 1 - LeakSeen(e),
                                     Rise(e.Ratio(Metric::kAnswers).value_or(1), 0.8, 0.95)});
  // A leak gives nothing back; what a surge leaves behind does look like one, but shrinks.
  const double held = Rise(e.now.Or(Metric::kDemand, 0) / std::max(1.0, e.demand_peak), 0.75, 0.9);
  // Slots that run out at one node, and nothing to be seen of a leak, are that node's.
  const double broad = e.spread.nodes < 2 ? 1 : Any({Rise(e.spread.median_taken, 0.6, 0.75), LeakSeen(e)});
  // What leaks leaks everywhere.
  const double not_of_one_node = 1 - 0.5 * Rise(e.spread.demand / std::max(1.0, e.spread.median_demand), 3, 6);
  const double not_for_work = Any({WorkFlat(e), All({LeakSeen(e), WorkLags(e)})});
  return All({SlotsPressed(e), not_for_work, 1 - Rise(e.now.Or(Metric::kActiveShare, 1), 0.15, 0.35), more, held, broad,
              not_of_one_node, not_of_many, 1 - MedianLatencyUp(e), 1 - ErrorsUp(e), 1 - knocking});
}

double ScoreReportLoss(const Evidence& e) {
  const int known = e.nodes + e.silent;
  if (known == 0 || e.silent == 0) return 0;
  // A balancer that is heard knows better: nodes that are down for it are lost, not just silent.
  if (e.heard_balancers) return Rise(static_cast<double>(e.silent_but_up) / known, 0, 0.15);
  return e.silent < 2 ? 0 : Rise(static_cast<double>(e.silent) / known, 0.15, 0.35);
}

bool Always(const Evidence& e) {
  return e.nodes > 0;
}
bool CanTellSurge(const Evidence& e) {
  return e.usual.has_value() || SlotsPressed(e) < CauseRule::kScoreRuledOut;
}
bool CanTellRetryStorm(const Evidence& e) {
  return e.Now(Metric::kAttempts).has_value() || e.usual.has_value();
}
bool CanTellBadDeploy(const Evidence& e) {
  return e.deploy.told_share >= 0.9;
}
bool CanTellSoftware(const Evidence& e) {
  return e.now.Or(Metric::kAnswers, 0) > 0;
}
bool CanTellNetwork(const Evidence& e) {
  const bool carries = e.Ratio(Metric::kAnswers).value_or(0) >= 0.9;
  const bool connects = e.now.Or(Metric::kFailedConnects, 1) < 0.5;
  return e.Now(Metric::kRetransmits).has_value() || carries || connects;
}
bool IsAsFastAsUsual(const Evidence& e) {
  return e.Ratio(Metric::kP50).has_value() && LatencyUp(e) < CauseRule::kScoreRuledOut;
}
bool CanTellSlowDisk(const Evidence& e) {
  return e.Ratio(Metric::kDevice).has_value() || e.Now(Metric::kIoFull).has_value() || IsAsFastAsUsual(e);
}
bool CanTellCpu(const Evidence& e) {
  return e.Now(Metric::kCores).has_value() || e.Now(Metric::kCpuSome).has_value() || IsAsFastAsUsual(e);
}
bool CanTellClientLeak(const Evidence& e) {
  return e.Ratio(Metric::kAnswers).has_value() || SlotsPressed(e) < CauseRule::kScoreRuledOut;
}

constexpr absl::Duration kPatience = absl::Seconds(2);
// Answers follow connections with a delay: a surge looks like a leak in its first seconds.
constexpr absl::Duration kLeakPatience = absl::Seconds(4);

// Whoever wakes after a rest finds its nodes one after the other.
constexpr absl::Duration kImbalancePatience = absl::Seconds(5);

const CauseRule kRules[] = {
    {Cause::kSurge, ScoreSurge, CanTellSurge, absl::Seconds(1)},
    {Cause::kRetryStorm, ScoreRetryStorm, CanTellRetryStorm, absl::Seconds(3)},
    {Cause::kBadDeploy, ScoreBadDeploy, CanTellBadDeploy, kPatience},
    {Cause::kSoftware, ScoreSoftware, CanTellSoftware, kPatience},
    {Cause::kNetwork, ScoreNetwork, CanTellNetwork, kPatience},
    {Cause::kSlowDisk, ScoreSlowDisk, CanTellSlowDisk, kPatience},
    {Cause::kCpu, ScoreCpu, CanTellCpu, kPatience},
    {Cause::kHotNode, ScoreHotNode, Always, kPatience},
    {Cause::kClientLeak, ScoreClientLeak, CanTellClientLeak, kLeakPatience},
    {Cause::kReportLoss, ScoreReportLoss, Always, kPatience},
    {Cause::kImbalance, ScoreImbalance, Always, kImbalancePatience},
};
static_assert(std::size(kRules) == kCauseCount - 2, "every cause that can be named has a rule");

// `root` brings about what looks like `symptom`.
struct Explains {
  Cause root, symptom;
};
constexpr Explains kExplains[] = {
    {Cause::kBadDeploy, Cause::kSoftware},
    {Cause::kBadDeploy, Cause::kCpu},
    {Cause::kBadDeploy, Cause::kHotNode},
    {Cause::kBadDeploy, Cause::kRetryStorm},
    {Cause::kBadDeploy, Cause::kSurge},
    {Cause::kSlowDisk, Cause::kSurge},
    {Cause::kSlowDisk, Cause::kRetryStorm},
    {Cause::kSlowDisk, Cause::kClientLeak},
    {Cause::kSlowDisk, Cause::kSoftware},
    {Cause::kSlowDisk, Cause::kHotNode},
    {Cause::kNetwork, Cause::kSurge},
    {Cause::kNetwork, Cause::kRetryStorm},
    {Cause::kNetwork, Cause::kClientLeak},
    {Cause::kNetwork, Cause::kHotNode},
    {Cause::kRetryStorm, Cause::kSurge},
    {Cause::kRetryStorm, Cause::kCpu},
    {Cause::kCpu, Cause::kSurge},
    {Cause::kCpu, Cause::kSoftware},
    {Cause::kSoftware, Cause::kRetryStorm},
    {Cause::kClientLeak, Cause::kHotNode},
    {Cause::kSurge, Cause::kHotNode},
    {Cause::kSoftware, Cause::kHotNode},
    {Cause::kImbalance, Cause::kSurge},
    {Cause::kImbalance, Cause::kHotNode},
    {Cause::kCpu, Cause::kHotNode},
    {Cause::kImbalance, Cause::kRetryStorm},
    {Cause::kImbalance, Cause::kClientLeak},
};

}  // namespace

absl::Span<const CauseRule> CauseRules() {
  return kRules;
}

CauseScores ScoreCauses(const Evidence& evidence) {
  CauseScores scores{};
  for (const CauseRule& rule : kRules) scores[static_cast<size_t>(rule.cause)] = rule.score(evidence);
  return scores;
}

bool BringsAbout(Cause root, Cause symptom) {
  return std::any_of(std::begin(kExplains), std::end(kExplains),
                     [&](const Explains& pair) { return pair.root == root && pair.symptom == symptom; });
}

CauseScores DiscountSymptoms(const CauseScores& scores) {
  CauseScores discounted = scores;
  for (const Explains& pair : kExplains) {
    if (ScoreOf(scores, pair.root) < CauseRule::kScoreNamed) continue;
    double& symptom = discounted[static_cast<size_t>(pair.symptom)];
    symptom = std::min(symptom, 0.5 * ScoreOf(scores, pair.symptom));
  }
  return discounted;
}

Symptoms FindSymptoms(const Evidence& e) {
  constexpr double kPresent = 0.5;
  const double taken = e.now.Or(Metric::kTaken, 0);
  // Limits that were raised in time hide a surge only from the slots: it is still one, while demand is above the usual.
  const bool grown = e.Ratio(Metric::kDemand).value_or(2) >= 1.15;
  const bool pressed = std::max(taken, e.own_taken.value_or(0)) >= 0.8;
  Symptoms symptoms;
  symptoms.slots = taken >= 0.9 || (pressed && grown) || e.at_limit > 0;
  symptoms.rejections = Rejecting(e) >= kPresent;
  symptoms.errors = Any({ErrorsUp(e), OneFails(e)}) >= kPresent;
  // The latency of a handful of requests is chance.
  symptoms.latency = e.now.Or(Metric::kAnswers, 0) >= 2 && Any({LatencyUp(e), ScoreBadDeploy(e), OneDeviceSlow(e),
                                                                OneCpuShort(e), ScoreHotNode(e)}) >= kPresent;
  symptoms.retries = e.now.Or(Metric::kAnswers, 0) >= 2 && RetriesSeen(e) >= kPresent;
  symptoms.network = ScoreNetwork(e) >= kPresent;
  symptoms.silence = ScoreReportLoss(e) >= kPresent;
  symptoms.idle = ScoreImbalance(e) >= kPresent;
  symptoms.down = e.down > 0;
  return symptoms;
}

}  // namespace headroom
