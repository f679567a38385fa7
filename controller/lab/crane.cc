#include "controller/lab/crane.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <numbers>
#include <optional>

#include "controller/lab/slot_series.h"
#include "controller/sim/random.h"

namespace headroom::lab {
namespace {

using Complex = std::complex<double>;
using Spectrum = std::vector<Complex>;

constexpr size_t kDay = kSlotsPerDay, kWeek = 7 * kSlotsPerDay;
constexpr size_t kHistory = 15 * kDay, kRefit = kDay / 2;
constexpr int kShuffles = 100;
constexpr size_t kHillMax = 48;              // four hours to each side
constexpr double kHighFrequency = 1.0 / 12;  // a period of an hour, in slots
constexpr size_t kStrongestMax = 100;

// Transforms `count` values that lie `stride` apart, by the smallest factor of their number.
void Transform(const Complex* in, Complex* out, size_t count, size_t stride, const Spectrum& roots) {
  if (count == 1) {
    out[0] = in[0];
    return;
  }
  size_t factor = 2;
  while (count % factor != 0) ++factor;
  const size_t part = count / factor;
  for (size_t i = 0; i < factor; ++i) Transform(in + i * stride, out + i * part, part, stride * factor, roots);
  const size_t turn = roots.size() / count;
  Spectrum column(factor);
  for (size_t k = 0; k < part; ++k) {
    for (size_t i = 0; i < factor; ++i) column[i] = out[i * part + k];
    for (size_t j = 0; j < factor; ++j) {
      Complex sum = 0;
      for (size_t i = 0; i < factor; ++i) sum += column[i] * roots[i * (j * part + k) * turn % roots.size()];
      out[j * part + k] = sum;
    }
  }
}

std::vector<double> Amplitudes(const Spectrum& spectrum) {
  std::vector<double> amplitudes;
  for (const Complex& value : spectrum) amplitudes.push_back(std::abs(value) / static_cast<double>(spectrum.size()));
  return amplitudes;
}

Spectrum SpectrumOf(const std::vector<double>& values) {
  return Fourier(Spectrum(values.begin(), values.end()), Direction::kForward);
}

double Strongest(const Spectrum& spectrum, const std::function<Complex(size_t)>& at) {
  double strongest = 0;
  for (size_t k = 1; k < spectrum.size() / 2; ++k) strongest = std::max(strongest, std::abs(at(k)));
  return strongest;
}

// The power that 99 of 100 shuffles do not exceed. Two real series are transformed as one complex one.
double ShuffledPower(std::vector<double> values) {
  sim::Random random(1);
  const auto shuffle = [&] {
    for (size_t i = values.size() - 1; i > 0; --i)
      std::swap(values[i], values[sim::Index(random, static_cast<uint32_t>(i + 1))]);
  };
  std::vector<double> powers;
  while (std::ssize(powers) < kShuffles) {
    Spectrum pair(values.size());
    shuffle();
    for (size_t i = 0; i < values.size(); ++i) pair[i].real(values[i]);
    shuffle();
    for (size_t i = 0; i < values.size(); ++i) pair[i].imag(values[i]);
    const Spectrum both = Fourier(pair, Direction::kForward);
    const auto mirrored = [&](size_t k) { return std::conj(both[both.size() - k]); };
    powers.push_back(Strongest(both, [&](size_t k) { return 0.5 * (both[k] + mirrored(k)); }));
    powers.push_back(Strongest(both, [&](size_t k) { return 0.5 * (both[k] - mirrored(k)); }));
  }
  std::sort(powers.begin(), powers.end());
  return powers[kShuffles - 2];
}

// The circular autocorrelation, not scaled.
std::vector<double> Autocorrelation(Spectrum spectrum) {
  spectrum[0] = 0;
  for (Complex& value : spectrum) value = std::norm(value);
  const Spectrum back = Fourier(spectrum, Direction::kInverse);
  std::vector<double> correlation;
  for (const Complex& value : back) correlation.push_back(value.real());
  return correlation;
}

// Whether it rises towards a lag and falls behind it: by the slopes of straight lines.
bool IsHill(const std::vector<double>& correlation, size_t lag) {
  const size_t reach = std::min(kHillMax, lag / 2);
  if (lag + reach >= correlation.size()) return false;
  const auto slope = [&](size_t begin, size_t end) {
    const double middle = 0.5 * static_cast<double>(end - begin);
    double sum = 0;
    for (size_t i = begin; i <= end; ++i) sum += (static_cast<double>(i - begin) - middle) * correlation[i];
    return sum;
  };
  return slope(lag - reach, lag) > 0 && slope(lag, lag + reach) < 0;
}

// In slots; nothing: none.
std::optional<size_t> FindPeriod(const std::vector<double>& values) {
  const Spectrum spectrum = SpectrumOf(values);
  std::optional<double> least;
  std::vector<double> correlation;
  for (const size_t period : {kDay, kWeek}) {
    if (values.size() < 2 * period) continue;
    if (!least.has_value()) least = ShuffledPower(values), correlation = Autocorrelation(spectrum);
    if (std::abs(spectrum[values.size() / period]) > *least && IsHill(correlation, period)) return period;
  }
  return std::nullopt;
}

struct Estimator {
  size_t strongest = 0;  // frequencies to keep; 0: the highest of each phase
  double amplitude_min = 0;
  double margin = 0;
};

std::vector<Estimator> Estimators() {
  std::vector<Estimator> all = {{}};
  for (const double margin : {0.01, 0.10, 0.15, 0.20}) {
    all.push_back({.strongest = 3, .amplitude_min = 1.0, .margin = margin});
    all.push_back({.strongest = 50, .amplitude_min = 0.05, .margin = margin});
  }
  return all;
}

std::vector<double> HighestOfPhase(const std::vector<double>& values, size_t period) {
  std::vector<double> cycle(values.end() - static_cast<std::ptrdiff_t>(period), values.end());
  for (size_t i = 0; i < values.size(); ++i) {
    // `values` are whole cycles.
    cycle[i % period] = std::max(cycle[i % period], values[i]);
  }
  return cycle;
}

std::vector<double> LowPass(const std::vector<double>& values, size_t period, const Estimator& estimator) {
  Spectrum spectrum = SpectrumOf(values);
  const std::vector<double> amplitudes = Amplitudes(spectrum);
  std::vector<double> sorted(amplitudes.begin() + 1,
                             amplitudes.begin() + static_cast<std::ptrdiff_t>(amplitudes.size() / 2));
  std::sort(sorted.rbegin(), sorted.rend());
  double least = std::max(sorted[std::min(kStrongestMax, sorted.size()) - 1], estimator.amplitude_min);
  least = std::min(least, sorted[std::min(estimator.strongest, sorted.size()) - 1]);
  for (size_t k = 0; k < spectrum.size(); ++k) {
    const double frequency = static_cast<double>(k) / static_cast<double>(spectrum.size());
    if (amplitudes[k] < least && frequency > kHighFrequency) spectrum[k] = 0;
  }
  const Spectrum back = Fourier(spectrum, Direction::kInverse);
  std::vector<double> cycle;
  for (size_t i = back.size() - period; i < back.size(); ++i) {
    const double value = back[i].real();
    cycle.push_back((value > 0 ? value : 0.01) * (1 + estimator.margin));
  }
  return cycle;
}

std::vector<double> Estimate(const std::vector<double>& values, size_t period, const Estimator& estimator) {
  return estimator.strongest == 0 ? HighestOfPhase(values, period) : LowPass(values, period, estimator);
}

// The estimator that would have been best for the last cycle, asked for the next.
std::vector<double> NextCycle(const std::vector<double>& cycles, size_t period) {
  const auto last = cycles.end() - static_cast<std::ptrdiff_t>(period);
  const std::vector<double> before(cycles.begin(), last), actual(last, cycles.end());
  Estimator best;
  double least = std::numeric_limits<double>::infinity();
  for (const Estimator& estimator : Estimators()) {
    const double error = CraneError(actual, Estimate(before, period, estimator));
    if (error < least) least = error, best = estimator;
  }
  return Estimate(cycles, period, best);
}

void ReplaceOutliers(std::vector<double>& values) {
  std::vector<double> sorted = values;
  std::sort(sorted.begin(), sorted.end());
  const auto quantile = [&](double p) {
    return sorted[static_cast<size_t>(p * static_cast<double>(sorted.size() - 1))];
  };
  const double low = quantile(0.001), high = quantile(0.999);
  for (size_t i = 1; i < values.size(); ++i) {
    if (values[i] > high || values[i] < low) values[i] = values[i - 1];
  }
}

}  // namespace

Spectrum Fourier(const Spectrum& values, Direction direction) {
  const size_t count = values.size();
  Spectrum roots(count), out(count);
  const double sign = direction == Direction::kForward ? -1 : 1;
  for (size_t i = 0; i < count; ++i) {
    const double angle = sign * 2 * std::numbers::pi * static_cast<double>(i) / static_cast<double>(count);
    roots[i] = {std::cos(angle), std::sin(angle)};
  }
  if (count > 0) Transform(values.data(), out.data(), count, 1, roots);
  if (direction == Direction::kInverse) {
    for (Complex& value : out) value /= static_cast<double>(count);
  }
  return out;
}

double CraneError(const std::vector<double>& actual, const std::vector<double>& predicted) {
  double sum = 0;
  int counted = 0;
  for (size_t i = 0; i < actual.size(); ++i) {
    if (actual[i] <= 0) continue;
    const double error = (actual[i] - predicted[i]) / actual[i];
    // A prediction of nothing would be infinitely wrong.
    sum += error > 0 ? -std::log(std::max(1e-9, 1 - error)) / std::log(1.25) : -error;
    ++counted;
  }
  return counted > 0 ? sum / counted : std::numeric_limits<double>::infinity();
}

void CraneDsp::Observe(double value) {
  values_.push_back(value);
  if (values_.size() >= 2 * kDay && values_.size() % kRefit == 0) Fit();
}

void CraneDsp::Fit() {
  const size_t known = std::min(values_.size(), kHistory);
  std::vector<double> history(values_.end() - static_cast<std::ptrdiff_t>(known / kDay * kDay), values_.end());
  ReplaceOutliers(history);
  fitted_ = values_.size();
  cycle_.clear();
  const std::optional<size_t> period = FindPeriod(history);
  if (!period.has_value()) return;
  const size_t whole = history.size() / *period * *period;
  cycle_ = NextCycle({history.end() - static_cast<std::ptrdiff_t>(whole), history.end()}, *period);
}

double CraneDsp::Predict(int ahead) const {
  if (cycle_.empty()) return values_.back();
  return cycle_[(values_.size() - 1 + static_cast<size_t>(ahead) - fitted_) % cycle_.size()];
}

}  // namespace headroom::lab
