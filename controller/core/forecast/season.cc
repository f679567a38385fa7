#include "controller/core/forecast/season.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

namespace headroom::forecast {
namespace {

constexpr int64_t kSlotsMax = 4096;
constexpr double kCorrelationMin = 0.15;  // of the hill, and over the valley before it: ten times the noise of 4,096
constexpr double kLongerMustBeat = 1.1;   // twice a period correlates as well as the period does

// Square roots without their mean: a peak ten times as high is not a hundred times as important.
std::vector<double> Roots(const SlotHistory& history, int64_t count) {
  std::vector<double> roots;
  double last = 0;
  for (int64_t slot = history.newest() - count + 1; slot <= history.newest(); ++slot) {
    last = history.Or(slot, last);
    roots.push_back(std::sqrt(last));
  }
  return roots;
}

void TakeOutTheDay(std::vector<double>& series, size_t slots_per_day) {
  for (size_t phase = 0; phase < slots_per_day; ++phase) {
    double sum = 0, count = 0;
    for (size_t i = phase; i < series.size(); i += slots_per_day, ++count) sum += series[i];
    for (size_t i = phase; i < series.size(); i += slots_per_day) series[i] -= sum / count;
  }
}

double Product(const std::vector<double>& series, size_t lag) {
  double sum = 0;
  for (size_t i = lag; i < series.size(); ++i) sum += series[i] * series[i - lag];
  return sum;
}

}  // namespace

int64_t FindSeason(const SlotHistory& history, int64_t slots_per_day) {
  const int64_t known = history.newest() < 0 ? 0 : history.newest() - history.oldest() + 1;
  const int64_t count = std::min(known, kSlotsMax);
  if (count < 2 * slots_per_day) return 0;
  std::vector<double> series = Roots(history, count);
  TakeOutTheDay(series, static_cast<size_t>(slots_per_day));
  const double energy = Product(series, 0);
  if (!(energy > 1e-9)) return 0;
  int64_t season = 0;
  double best = kCorrelationMin, valley = 1;
  double before = 1, here = Product(series, 1) / energy;
  for (size_t lag = 2; lag < series.size() / 3; ++lag) {
    const double after = Product(series, lag) / energy;
    valley = std::min(valley, here);
    if (here > before && here >= after && here > valley + kCorrelationMin && here > best * kLongerMustBeat) {
      best = here;
      season = static_cast<int64_t>(lag) - 1;
    }
    before = here;
    here = after;
  }
  return season;
}

}  // namespace headroom::forecast
