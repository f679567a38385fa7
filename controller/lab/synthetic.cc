#include "controller/lab/synthetic.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <numbers>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "controller/sim/random.h"

namespace headroom::lab {
namespace {

constexpr int64_t kMondaySeconds = 1'704'067'200;  // 2024-01-01 00:00 UTC
constexpr double kDaySeconds = 86'400, kMean = 1000;

// The value of the interval that begins so many seconds after the start and lasts `step` of them; called in order.
using Shape = std::function<double(double seconds, double step, sim::Random& random)>;

double Normal(sim::Random& random) {
  double sum = -6;
  for (int i = 0; i < 12; ++i) sum += sim::Uniform(random);
  return sum;
}

double Days(double seconds) {
  const double day = seconds / kDaySeconds;
  const double hour_of_day = (day - std::floor(day)) * 24;
  const bool weekend = std::fmod(day, 7) >= 5;
  const double wave = 1 - 0.55 * std::cos(2 * std::numbers::pi * (hour_of_day - 3) / 24);
  return kMean * wave * (weekend ? 0.75 : 1.1);
}

// Noise with a correlation time, as a factor around 1.
class Wobble {
 public:
  Wobble(double ratio, double correlation_seconds) : ratio_(ratio), correlation_seconds_(correlation_seconds) {}
  double Next(double step, sim::Random& random) {
    const double memory = std::exp(-step / correlation_seconds_);
    state_ = memory * state_ + std::sqrt(1 - memory * memory) * Normal(random);
    return std::max(0.0, 1 + ratio_ * state_);
  }

 private:
  const double ratio_, correlation_seconds_;
  double state_ = 0;
};

Shape Diurnal() {
  return [wobble = Wobble(0.04, 600)](double seconds, double step, sim::Random& random) mutable {
    return Days(seconds) * wobble.Next(step, random);
  };
}

Shape Campaign() {
  return [days = Diurnal()](double seconds, double step, sim::Random& random) {
    constexpr double kOpens = (4 * 24 + 18) * 3600.0, kCloses = (4 * 24 + 22) * 3600.0, kRamp = 600;
    const double week = std::fmod(seconds, 7 * kDaySeconds);
    const double in = std::clamp((week - kOpens) / kRamp, 0.0, 1.0),
                 out = std::clamp((kCloses - week) / kRamp, 0.0, 1.0);
    return days(seconds, step, random) * (1 + 2 * std::min(in, out));
  };
}

Shape Bursty() {
  return [days = Diurnal(), burst = 0.0](double seconds, double step, sim::Random& random) mutable {
    burst *= std::exp(-step / 600);
    if (sim::Uniform(random) < 6 * step / kDaySeconds) burst = std::max(burst, 1 + 6 * sim::Uniform(random));
    return days(seconds, step, random) * (1 + burst);
  };
}

Shape Steps() {
  return [wobble = Wobble(0.03, 600), level = 1.0](double, double step, sim::Random& random) mutable {
    if (sim::Uniform(random) < 2 * step / kDaySeconds) level = 0.4 + 1.2 * sim::Uniform(random);
    return kMean * level * wobble.Next(step, random);
  };
}

Shape Noisy() {
  return [wobble = Wobble(0.3, 300)](double, double step, sim::Random& random) mutable {
    return kMean * wobble.Next(step, random);
  };
}

const std::vector<std::pair<std::string, Shape (*)()>>& Shapes() {
  static const std::vector<std::pair<std::string, Shape (*)()>> shapes = {
      {"diurnal", Diurnal}, {"campaign", Campaign}, {"bursty", Bursty}, {"step", Steps}, {"noisy", Noisy}};
  return shapes;
}

absl::Status Check(const SyntheticOptions& options) {
  if (options.step < absl::Seconds(1) || options.step > absl::Hours(1) ||
      options.step % absl::Seconds(1) != absl::ZeroDuration()) {
    return absl::InvalidArgumentError(
        absl::StrCat("a step of ", absl::FormatDuration(options.step), "; it is whole seconds, from 1s to 1h"));
  }
  if (options.length < 2 * options.step || options.length / options.step > static_cast<int64_t>(kTraceRowsMax)) {
    return absl::InvalidArgumentError(absl::StrCat("a length of ", absl::FormatDuration(options.length),
                                                   " at a step of ", absl::FormatDuration(options.step),
                                                   "; it is from 2 to ", kTraceRowsMax, " steps"));
  }
  return absl::OkStatus();
}

}  // namespace

const std::vector<std::string>& SyntheticShapes() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const auto& [name, make] : Shapes()) all.push_back(name);
    return all;
  }();
  return names;
}

absl::StatusOr<Trace> MakeTrace(const SyntheticOptions& options) {
  const auto found =
      std::find_if(Shapes().begin(), Shapes().end(), [&](const auto& shape) { return shape.first == options.shape; });
  if (found == Shapes().end()) {
    return absl::InvalidArgumentError(
        absl::StrCat("there is no shape \"", options.shape, "\"; there are ", absl::StrJoin(SyntheticShapes(), ", ")));
  }
  if (const absl::Status fit = Check(options); !fit.ok()) return fit;
  Trace trace{.name = options.shape, .column = "value", .step = options.step};
  sim::Random random(options.seed);
  const Shape shape = found->second();
  const int64_t step = absl::ToInt64Seconds(options.step), rows = options.length / options.step;
  for (int64_t row = 0; row < rows; ++row) {
    const auto seconds = static_cast<double>(row * step);
    trace.samples.push_back({kMondaySeconds + row * step, shape(seconds, static_cast<double>(step), random)});
  }
  return trace;
}

}  // namespace headroom::lab
