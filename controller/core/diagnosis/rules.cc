#include "controller/core/diagnosis/rules.h"

#include <algorithm>
#include <initializer_list>
#include <iterator>
#include <optional>

namespace headroom {
namespace {

// 0 up to `from`, 1 from `to` on, a ramp between.
double Rise(double value, double from, double to) {
  return std::clamp((value - from) / (to - from), 0.0, 1.0);
}
double Rise(const std::optional<double>& value, double from, double to) {
  return value.has_value() ? Rise(*value, from, to) : 0;
}
double All(std::initializer_list<double> links) {
  return std::min(links);
}
double Any(std::initializer_list<double> signs) {
  return std::max(signs);
}

// Grown by a factor and by an amount: tiny numbers double by chance.
double Grown(const Evidence& e, Metric metric, double factor, double amount) {
  const std::optional<double> now = e.Now(metric), usual = e.Usual(metric);
  if (!now.has_value() || !usual.has_value()) return 0;
  return All({Rise(e.Ratio(metric), 1 + 0.4 * (factor - 1), factor), Rise(*now - *usual, 0.4 * amount, amount)});
}

double LatencyUp(const Evidence& e) {
  return Any({Grown(e, Metric::kP50, 2, 0.006), Grown(e, Metric::kP99, 4, 0.1)});
}
double MedianLatencyUp(const Evidence& e) {
  return Grown(e, Metric::kP50, 2, 0.006);
}
double Rejecting(const Evidence& e) {
  return All({Rise(e.Now(Metric::kRejected), 0.3, 1.5),
              Rise(e.Now(Metric::kRejected).value_or(0), 0, 0.002 * e.now.Or(Metric::kArrivals, 0))});
}
double SlotsPressed(const Evidence& e) {
  const double full = e.nodes == 0 ? 0 : static_cast<double>(e.at_limit) / e.nodes;
  return Any({Rise(e.Now(Metric::kTaken), 0.7, 0.8), Rise(e.own_taken, 0.7, 0.8), Rise(full, 0, 0.3), Rejecting(e)});
}
double SlotsIdle(const Evidence& e) {
  return 1 - Rise(e.now.Or(Metric::kActiveShare, 1), 0.3, 0.6);
}
// Answers have not grown. Without a past it is half true.
double WorkFlat(const Evidence& e) {
  const std::optional<double> ratio = e.Ratio(Metric::kAnswers);
  return ratio.has_value() ? 1 - Rise(*ratio, 1.1, 1.35) : 0.5;
}
// Answers have grown by a small part of what connections have: it is not for them that there are more.
double WorkLags(const Evidence& e) {
  const double more = e.Ratio(Metric::kDemand).value_or(1) - 1;
  const std::optional<double> answers = e.Ratio(Metric::kAnswers);
  return more > 0 && answers.has_value() ? 1 - Rise((*answers - 1) / more, 0.3, 0.5) : 0;
}
double ErrorsUp(const Evidence& e) {
  const double ratio = e.NowOfAnswers(Metric::kErrorsSlotsFree).value_or(0);
  const double usual = e.UsualOfAnswers(Metric::kErrorsSlotsFree).value_or(0);
  return All({Rise(ratio, 0.005, 0.03), Rise(ratio / std::max(usual, 0.001), 1.5, 3),
              Rise(e.Now(Metric::kErrorsSlotsFree), 0.3, 1)});
}
double CpuShort(const Evidence& e) {
  const double used = Rise(e.Now(Metric::kCores), 0.78, 0.9);
  const double stalled = Rise(e.Now(Metric::kCpuSome), 0.3, 0.6);
  return e.Now(Metric::kCores).has_value() ? Any({used, All({stalled, Rise(e.Now(Metric::kCores), 0.6, 0.8)})})
                                           : stalled;
}
// Io that stalls work. Where the kernel tells that it does not, requests take long at the device because there are so
// many of them at once.
double Stalls(const std::optional<double>& io_full, const std::optional<double>& usual) {
  if (!io_full.has_value()) return 1;
  return All({Rise(*io_full, 0.08, 0.2), Rise(*io_full - std::min(usual.value_or(0), 0.5), 0.05, 0.12)});
}
// One node's cores are too few for what an answer costs there.
double OneCpuShort(const Evidence& e) {
  const SpreadEvidence& spread = e.spread;
  const double p50 = spread.median_p50.value_or(0);
  if (spread.nodes < 2 || spread.healthy_cost <= 0 || p50 <= 0) return 0;
  return All({Rise(spread.most_cores, 0.78, 0.9), Rise(spread.most_cost / spread.healthy_cost, 2, 3),
              Any({Rise(spread.most_cores_p50.value_or(0) / p50, 1.4, 2), MedianLatencyUp(e)})});
}
// A device that is slow by itself, not because there is so much more to do.
double DeviceSlow(const Evidence& e) {
  const double all = Grown(e, Metric::kDevice, 2.5, 0.008);
  // Where answers take seconds more and the device milliseconds, it is not what they wait for.
  const double device_more = e.now.Or(Metric::kDevice, 0) - e.Usual(Metric::kDevice).value_or(0);
  const double p50_more = e.now.Or(Metric::kP50, 0) - e.Usual(Metric::kP50).value_or(0);
  const bool told = e.Now(Metric::kDevice).has_value() && p50_more > 0;
  const double explains = told ? Rise(device_more / p50_more, 0.05, 0.15) : 1;
  const double stalls =
      e.Now(Metric::kDevice).has_value()
          ? 0
          : All({Rise(e.Now(Metric::kIoFull), 0.1, 0.3),
                 Rise(e.Now(Metric::kIoFull).value_or(0) - e.Usual(Metric::kIoFull).value_or(0), 0.05, 0.15)});
  return All({Any({All({all, Stalls(e.Now(Metric::kIoFull), e.Usual(Metric::kIoFull))}), stalls}), explains,
              1 - Rise(e.Ratio(Metric::kAnswers), 1.25, 1.6)});
}
// One node's device is slow, beside the others' and beside what is usual.
double OneDeviceSlow(const Evidence& e) {
  const SpreadEvidence& spread = e.spread;
  if (spread.nodes < 2 || !spread.slowest_device.has_value()) return 0;
  const double typical = std::max(*spread.median_device, e.Usual(Metric::kDevice).value_or(*spread.median_device));
  const double p50 = spread.median_p50.value_or(0);
  return All({Rise(*spread.slowest_device / std::max(typical, 0.0005), 2, 3.5),
              Rise(*spread.slowest_device - typical, 0.004, 0.01), Stalls(spread.slowest_device_io_full, 0),
              p50 <= 0 ? 0 : Rise(spread.slowest_device_p50.value_or(0) / p50, 1.3, 2)});
}

// The same clients hold more connections each and get hardly more answers by them.
double MorePerClient(const Evidence& e) {
  const double clients = e.now.Or(Metric::kClients, 0), usual_clients = e.Usual(Metric::kClients).value_or(0);
  const double usual_open = e.Usual(Metric::kDemand).value_or(0);
  if (!e.clients_told || clients <= 0 || usual_clients <= 0 || usual_open <= 0) return 0;
  const double more = (static_cast<double>(e.open) / clients) / (usual_open / usual_clients);
  return All(
      {Rise(more, 1.2, 1.5), Any({WorkFlat(e), WorkLags(e)}), 1 - Rise(e.now.Or(Metric::kActiveShare, 1), 0.15, 0.35)});
}
// One client holds ever more connections, a few do, or they grow old unused.
double LeakSeen(const Evidence& e) {
  const double largest = e.clients_told ? e.Now(Metric::kLargestClient).value_or(0) : 0;
  const double by_one =
      All({Rise(largest, 0.2, 0.4), Rise(largest - e.Usual(Metric::kLargestClient).value_or(0.05), 0.1, 0.25)});
  const double old = All({Rise(e.Now(Metric::kOldIdle), 0.3, 0.5),
                          Rise(e.now.Or(Metric::kOldIdle, 0) - e.Usual(Metric::kOldIdle).value_or(0.1), 0.1, 0.25)});
  return Any({by_one, old, MorePerClient(e)});
}

// An answer costs many times the cores that it used to, and there are no more of them: whoever tries again does so
// because of it. Retries alone make answers dearer too, by what is abandoned, but not by so much.
double CostUp(const Evidence& e) {
  const std::optional<double> cores = e.Ratio(Metric::kCores), answers = e.Ratio(Metric::kAnswers);
  return cores.has_value() && answers.value_or(0) > 0 ? Rise(*cores / *answers, 2.5, 4) : 0;
}
// Each request is tried again and again; or it looks so, where nobody counts: the same clients make many times the
// connections and get more answers.
double RetriesSeen(const Evidence& e) {
  if (e.Now(Metric::kAttempts).has_value()) {
    const double usual = e.Usual(Metric::kAttempts).value_or(1);
    return All({Rise(e.Now(Metric::kAttempts), 1.3, 1.7), Rise(*e.Now(Metric::kAttempts) / usual, 1.2, 1.5)});
  }
  if (!e.clients_told) return 0;
  return All({Rise(e.Ratio(Metric::kArrivals), 3, 6), Rise(e.Ratio(Metric::kAnswers), 1.15, 1.35),
              1 - Rise(e.Ratio(Metric::kClients), 1.2, 1.4)});
}

double ScoreSurge(const Evidence& e) {
  // Many that knock while answers stand still may be newcomers, or old clients that a leak has shut out. A leak fills
  // the slots little by little, and takes them from those who worked.
  const double at_once = e.fill_time.has_value() ? 1 - Rise(absl::ToDoubleSeconds(*e.fill_time), 2, 4) : 0;
  const double sudden = All({at_once, Rise(e.Ratio(Metric::kAnswers), 0.8, 0.95), 1 - LeakSeen(e)});
  const double knocking = (0.5 + 0.3 * sudden) * All({Rise(e.Ratio(Metric::kArrivals), 2, 4), 1 - LatencyUp(e)});
  const double not_by_leak = 1 - All({LeakSeen(e), WorkLags(e)});
  const double answered = All({Rise(e.Ratio(Metric::kAnswers), 1.1, 1.35), not_by_leak});
  const double work = Any({answered, Rise(e.Ratio(Metric::kFirstAttempts), 1.1, 1.35),
                           e.clients_told ? Rise(e.Ratio(Metric::kClients), 1.2, 1.6) : 0, knocking});
  // Where nobody counts retries, connections that are made for every answer, late ones at that, may all be retries.
  const bool told = e.Now(Metric::kAttempts).has_value();
  const double churn =
      told ? 0 : Rise(e.now.Or(Metric::kArrivals, 0) / std::max(1.0, e.now.Or(Metric::kAnswers, 0)), 0.3, 0.6);
  const double served = Any({0.7 - 0.2 * churn, 1 - LatencyUp(e), SlotsIdle(e)});
  // Nor do slots that run out make servers fail what they have let in.
  const double errors = e.NowOfAnswers(Metric::kErrors).value_or(0);
  const double not_by_errors = 1 - 0.5 * All({Rise(errors, 0.1, 0.3), 1 - Rejecting(e)});
  const double broad = e.spread.nodes < 2 ? 1 : Rise(e.spread.median_taken, 0.6, 0.75);
  return All({SlotsPressed(e), Rise(e.Ratio(Metric::kDemand), 1.1, 1.4), work, served, broad, not_by_errors});
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
  const double clients_flat = e.clients_told ? 1 - Rise(e.Ratio(Metric::kClients), 1.3, 1.6) : 1;
  const double suffering = Any({LatencyUp(e), ErrorsUp(e)});
  // Guessed from the pattern alone, so anything that makes clients give up must be known to be well.
  const double nothing_else = 1 - Any({CpuShort(e), OneCpuShort(e), CostUp(e), DeviceSlow(e), OneDeviceSlow(e)});
  const double seen = 0.8 * All({RetriesSeen(e), by_overload, nothing_else});
  const double suffered = 0.8 * All({Rise(e.Ratio(Metric::kArrivals), 1.8, 2.8), WorkFlat(e), clients_flat, suffering,
                                     by_overload, nothing_else});
  return Any({seen, suffered});
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
  return All({ErrorsUp(e), not_by_deploy, not_by_slowness});
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
  const double churn = told ? 0 : All({Rise(e.Ratio(Metric::kArrivals), 1.8, 2.8), WorkFlat(e), 1 - SlotsPressed(e)});
  return Any({All({CpuShort(e), LatencyUp(e), not_by_device, 1 - 0.5 * churn}), OneCpuShort(e)});
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
  return All({Rise(spread.busy_work, 1, 2), Rise(spread.busy_work * spread.idle_seconds, 20, 40)});
}

double ScoreClientLeak(const Evidence& e) {
  // Clients' pools fill in the first minute of a cluster, or of our knowing it.
  const double ripe = Rise(absl::ToDoubleSeconds(e.known_for), 60, 90);
  const double more = All({Any({Rise(e.Ratio(Metric::kDemand), 1.15, 1.4), LeakSeen(e)}), ripe});
  const double not_of_many = e.clients_told ? 1 - Rise(e.Ratio(Metric::kClients), 1.3, 1.7) : 1;
  // Many that knock may be a surge, unless the leak itself is seen or takes slots from those who worked.
  const double knocking = 0.5 * All({Rise(e.Ratio(Metric::kArrivals), 2, 4), 1 - LeakSeen(e),
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
    {Cause::kImbalance, ScoreImbalance, Always, kPatience},
};
static_assert(std::size(kRules) == kCauseCount - 2, "every cause that can be named has a rule");

// `root` brings about what looks like `symptom`.
struct Explains {
  Cause root, symptom;
};
constexpr Explains kExplains[] = {
    {Cause::kBadDeploy, Cause::kSoftware},  {Cause::kBadDeploy, Cause::kCpu},
    {Cause::kBadDeploy, Cause::kHotNode},   {Cause::kBadDeploy, Cause::kRetryStorm},
    {Cause::kBadDeploy, Cause::kSurge},     {Cause::kSlowDisk, Cause::kSurge},
    {Cause::kSlowDisk, Cause::kRetryStorm}, {Cause::kSlowDisk, Cause::kClientLeak},
    {Cause::kSlowDisk, Cause::kSoftware},   {Cause::kSlowDisk, Cause::kHotNode},
    {Cause::kNetwork, Cause::kSurge},       {Cause::kNetwork, Cause::kRetryStorm},
    {Cause::kNetwork, Cause::kClientLeak},  {Cause::kNetwork, Cause::kHotNode},
    {Cause::kRetryStorm, Cause::kSurge},    {Cause::kRetryStorm, Cause::kCpu},
    {Cause::kCpu, Cause::kSurge},           {Cause::kCpu, Cause::kSoftware},
    {Cause::kSoftware, Cause::kRetryStorm}, {Cause::kClientLeak, Cause::kHotNode},
    {Cause::kSurge, Cause::kHotNode},       {Cause::kSoftware, Cause::kHotNode},
    {Cause::kImbalance, Cause::kSurge},     {Cause::kImbalance, Cause::kHotNode},
    {Cause::kCpu, Cause::kHotNode},         {Cause::kImbalance, Cause::kRetryStorm},
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
  symptoms.errors = ErrorsUp(e) >= kPresent;
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
