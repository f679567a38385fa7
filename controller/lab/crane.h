#pragma once

#include <complex>
#include <vector>

#include "controller/lab/forecast_rivals.h"

namespace headroom::lab {

// Crane's DSP predictor (gocrane/crane, pkg/prediction/dsp): it fits twice a day over at most 15 days of history, with
// values beyond the 0.1st and 99.9th percentile replaced by their predecessor. A period of a day, else of a week, is
// accepted where its frequency has more power than the 99th of 100 shuffles of the series and lies on a hill of the
// circular autocorrelation. Of the estimators (the highest of each phase; low-pass filters that keep the 3 or 50
// strongest frequencies, with margins of 1, 10, 15 and 20 %) the one with the least error on the last cycle says what
// the next cycle will be. Where nothing repeats it says nothing, and whoever asks it goes by the last value.
// Left out: the sampling at one minute, since everybody here forecasts five-minute slots.
class CraneDsp final : public PointForecast {
 public:
  void Observe(double value) override;
  double Predict(int ahead) const override;

 private:
  void Fit();

  std::vector<double> values_;
  std::vector<double> cycle_;  // what the slots from fitted_ on will be; empty: nothing is said
  size_t fitted_ = 0;
};

// Crane's error of a forecast, by which it picks an estimator: the mean of |e| relative to the actual value where too
// much was predicted, and of -ln(1 - e) / ln(1.25) where too little was.
double CraneError(const std::vector<double>& actual, const std::vector<double>& predicted);

// The discrete Fourier transform of any length; quick where its factors are small.
enum class Direction { kForward, kInverse };
std::vector<std::complex<double>> Fourier(const std::vector<std::complex<double>>& values, Direction direction);

}  // namespace headroom::lab
