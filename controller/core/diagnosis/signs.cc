#include "controller/core/diagnosis/signs.h"

#include <algorithm>

namespace headroom {
namespace {

// Grown by a factor and by an amount: tiny numbers double by chance.
double Grown(const Evidence& e, Metric metric, double factor, double amount) {
  const std::optional<double> now = e.Now(metric), usual = e.Usual(metric);
  if (!now.has_value() || !usual.has_value()) return 0;
  return All({Rise(e.Ratio(metric), 1 + 0.4 * (factor - 1), factor), Rise(*now - *usual, 0.4 * amount, amount)});
}

// Io that stalls work. Where the kernel tells that it does not, requests take long at the device because there are so
// many of them at once.
double Stalls(const std::optional<double>& io_full, const std::optional<double>& usual) {
  if (!io_full.has_value()) return 1;
  return All({Rise(*io_full, 0.08, 0.2), Rise(*io_full - std::min(usual.value_or(0), 0.5), 0.05, 0.12)});
}

// How much answers have grown, over how much connections have.
std::optional<double> WorkGain(const Evidence& e) {
  const double more = e.Ratio(Metric::kDemand).value_or(1) - 1;
  const std::optional<double> answers = e.Ratio(Metric::kAnswers);
  if (more <= 0 || !answers.has_value()) return std::nullopt;
  return (*answers - 1) / more;
}

// What an answer costs of the cores, over what it used to.
std::optional<double> CostRatio(const Evidence& e) {
  const std::optional<double> share = e.Ratio(Metric::kCores), answers = e.RatioOfEach(Metric::kAnswers);
  if (!share.has_value() || answers.value_or(0) <= 0) return std::nullopt;
  return *share / *answers;
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

}  // namespace

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

double WorkFlat(const Evidence& e) {
  const std::optional<double> ratio = e.Ratio(Metric::kAnswers);
  return ratio.has_value() ? 1 - Rise(*ratio, 1.1, 1.35) : 0.5;
}

double WorkLags(const Evidence& e) {
  const std::optional<double> gain = WorkGain(e);
  return gain.has_value() ? 1 - Rise(*gain, 0.3, 0.5) : 0;
}

double NothingMoreAsked(const Evidence& e) {
  const std::optional<double> gain = WorkGain(e);
  return gain.has_value() ? 1 - Rise(*gain, 0.05, 0.2) : 0;
}

double LittleMoreAsked(const Evidence& e) {
  const std::optional<double> gain = WorkGain(e);
  return gain.has_value() ? 1 - Rise(*gain, 0.5, 0.7) : 0;
}

double ErrorsUp(const Evidence& e) {
  const double ratio = e.NowOfAnswers(Metric::kErrorsSlotsFree).value_or(0);
  const double usual = e.UsualOfAnswers(Metric::kErrorsSlotsFree).value_or(0);
  return All({Rise(ratio, 0.005, 0.03), Rise(ratio / std::max(usual, 0.001), 1.5, 3),
              Rise(e.Now(Metric::kErrorsSlotsFree), 0.3, 1)});
}

double OneFails(const Evidence& e) {
  const SpreadEvidence& spread = e.spread;
  if (spread.nodes < 3) return 0;
  return All({Rise(spread.most_errors, 2, 4), Rise(spread.most_error_ratio, 0.05, 0.1),
              Rise(spread.most_error_ratio / std::max(spread.other_error_ratio, 0.001), 4, 8)});
}

double CpuShort(const Evidence& e) {
  const double used = Rise(e.Now(Metric::kCores), 0.78, 0.9);
  const double stalled = Rise(e.Now(Metric::kCpuSome), 0.3, 0.6);
  return e.Now(Metric::kCores).has_value() ? Any({used, All({stalled, Rise(e.Now(Metric::kCores), 0.6, 0.8)})})
                                           : stalled;
}

double OneCpuShort(const Evidence& e) {
  const SpreadEvidence& spread = e.spread;
  const double p50 = spread.median_p50.value_or(0);
  if (spread.nodes < 2 || spread.healthy_cost <= 0 || p50 <= 0) return 0;
  const double dearer = spread.most_cost / spread.healthy_cost, more = spread.most_cost - spread.healthy_cost;
  const double p50_more = spread.most_cores_p50.value_or(0) - p50;
  const double slower = Rise(spread.most_cores_p50.value_or(0) / p50, 1.4, 2);
  // It need not be all of them, where what an answer costs more is what it takes longer.
  const double felt =
      p50_more <= 0 ? 0
                    : All({Rise(dearer, 3, 5), Rise(more / p50_more, 0.2, 0.4), slower, Rise(p50_more, 0.002, 0.006)});
  return Any({felt, All({Rise(spread.most_cores, 0.78, 0.9), Rise(dearer, 2, 3), Any({slower, MedianLatencyUp(e)})})});
}

double CostUp(const Evidence& e) {
  return Rise(CostRatio(e), 2.5, 4);
}

double CostFelt(const Evidence& e) {
  const double cost = e.spread.median_cost, p50_more = e.now.Or(Metric::kP50, 0) - e.Usual(Metric::kP50).value_or(0);
  const std::optional<double> dearer = CostRatio(e);
  if (!dearer.has_value() || p50_more <= 0) return 0;
  return All({Rise(*dearer, 2, 3), MedianLatencyUp(e), Rise(cost * (1 - 1 / *dearer) / p50_more, 0.2, 0.4)});
}

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

double OneDeviceSlow(const Evidence& e) {
  const SpreadEvidence& spread = e.spread;
  if (spread.nodes < 2 || !spread.slowest_device.has_value()) return 0;
  const double healthy = spread.healthy_device;
  const double typical = std::max(healthy, e.Usual(Metric::kDevice).value_or(healthy));
  const double p50 = spread.healthy_p50;
  return All({Rise(*spread.slowest_device / std::max(typical, 0.0005), 2, 3.5),
              Rise(*spread.slowest_device - typical, 0.004, 0.01), Stalls(spread.slowest_device_io_full, 0),
              p50 <= 0 ? 0 : Rise(spread.slowest_device_p50.value_or(0) / p50, 1.3, 2)});
}

double GrowOld(const Evidence& e) {
  return All({Rise(e.Now(Metric::kOldIdle), 0.3, 0.5),
              Rise(e.now.Or(Metric::kOldIdle, 0) - e.Usual(Metric::kOldIdle).value_or(0.1), 0.1, 0.25)});
}

double LeakSeen(const Evidence& e) {
  const double largest = e.clients_told ? e.Now(Metric::kLargestClient).value_or(0) : 0;
  const double by_one =
      All({Rise(largest, 0.2, 0.4), Rise(largest - e.Usual(Metric::kLargestClient).value_or(0.05), 0.1, 0.25)});
  return Any({by_one, GrowOld(e), MorePerClient(e)});
}

double ConnectsToAsk(const Evidence& e) {
  const double connects = e.now.Or(Metric::kArrivals, 0) - e.Usual(Metric::kArrivals).value_or(0);
  const double answers = e.now.Or(Metric::kAnswers, 0) - e.Usual(Metric::kAnswers).value_or(0);
  return answers <= 0 ? 0 : Rise(connects / answers, 0.2, 0.5);
}

double RetriesSeen(const Evidence& e) {
  if (e.Now(Metric::kAttempts).has_value()) {
    const double usual = e.Usual(Metric::kAttempts).value_or(1);
    return All({Rise(e.Now(Metric::kAttempts), 1.3, 1.7), Rise(*e.Now(Metric::kAttempts) / usual, 1.2, 1.5)});
  }
  if (!e.clients_told) return 0;
  return All({Rise(e.RatioOfEach(Metric::kArrivals), 3, 6), Rise(e.Ratio(Metric::kAnswers), 1.15, 1.35),
              1 - Rise(e.RatioOfEach(Metric::kClients), 1.2, 1.4), ConnectsToAsk(e)});
}

double BurntByMore(const Evidence& e) {
  return All({Rise(e.Ratio(Metric::kAnswers), 1.15, 1.5), 1 - CostUp(e)});
}

}  // namespace headroom
