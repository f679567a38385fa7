#include "controller/lab/forecast_rivals.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <utility>

#include "controller/lab/crane.h"
#include "controller/lab/slot_series.h"

namespace headroom::lab {
namespace {

constexpr int64_t kDay = kSlotsPerDay, kWeek = 7 * kSlotsPerDay;

class LastValue final : public PointForecast {
 public:
  void Observe(double value) override { last_ = value; }
  double Predict(int) const override { return last_; }

 private:
  double last_ = 0;
};

class SeasonalNaive final : public PointForecast {
 public:
  void Observe(double value) override { values_.push_back(value); }
  double Predict(int ahead) const override {
    const int64_t at = std::ssize(values_) - 1 + ahead - kDay;
    return at >= 0 ? values_[static_cast<size_t>(at)] : values_.back();
  }

 private:
  std::vector<double> values_;
};

class HoltWinters final : public PointForecast {
 public:
  void Observe(double value) override {
    if (slot_ < 0) level_ = value;
    ++slot_;
    double& season = Season(slot_);
    level_ += kLevel * (value - season - level_);
    season += kSeason * (value - level_ - season);
  }
  double Predict(int ahead) const override {
    return std::max(0.0, level_ + season_[static_cast<size_t>((slot_ + ahead) % kDay)]);
  }

 private:
  static constexpr double kLevel = 0.3, kSeason = 0.2;
  double& Season(int64_t slot) { return season_[static_cast<size_t>(slot % kDay)]; }

  double level_ = 0;
  int64_t slot_ = -1;
  std::array<double, kDay> season_{};
};

constexpr int kFeatures = 20;
using Row = std::array<double, kFeatures>;

class LeastSquares {
 public:
  LeastSquares() {
    for (size_t i = 0; i < kFeatures; ++i) covariance_[i][i] = kStart;
  }
  double Predict(const Row& row) const {
    double sum = 0;
    for (size_t i = 0; i < kFeatures; ++i) sum += weights_[i] * row[i];
    return sum;
  }
  void Learn(const Row& row, double target) {
    Row gain{};
    double scale = kForgetting;
    for (size_t i = 0; i < kFeatures; ++i) {
      for (size_t j = 0; j < kFeatures; ++j) gain[i] += covariance_[i][j] * row[j];
      scale += row[i] * gain[i];
    }
    const double error = target - Predict(row);
    for (size_t i = 0; i < kFeatures; ++i) {
      weights_[i] += gain[i] * error / scale;
      for (size_t j = 0; j < kFeatures; ++j) {
        covariance_[i][j] = (covariance_[i][j] - gain[i] * gain[j] / scale) / kForgetting;
      }
    }
  }

 private:
  static constexpr double kForgetting = 0.9998, kStart = 10;
  Row weights_{};
  std::array<Row, kFeatures> covariance_{};
};

class Ridge final : public PointForecast {
 public:
  explicit Ridge(const std::vector<int>& horizons) {
    for (const int ahead : horizons) models_.push_back({.ahead = ahead});
  }

  void Observe(double value) override {
    values_.push_back(value);
    sum_ += value;
    // Features are in units of the first day's mean, which the covariance begins in.
    if (std::ssize(values_) == kDay) scale_ = sum_ > 0 ? sum_ / static_cast<double>(kDay) : 1;
    if (scale_ <= 0) return;
    for (Model& model : models_) {
      if (std::ssize(model.pending) == model.ahead) {
        model.squares.Learn(model.pending.front(), value / scale_);
        model.pending.pop_front();
      }
      model.pending.push_back(Features(model.ahead));
    }
  }

  double Predict(int ahead) const override {
    const auto model =
        std::find_if(models_.begin(), models_.end(), [&](const Model& one) { return one.ahead == ahead; });
    if (model->pending.empty() || std::ssize(values_) < 2 * kDay) return values_.back();
    const double most = kClip * *std::max_element(values_.end() - kDay, values_.end());
    return std::clamp(scale_ * model->squares.Predict(model->pending.back()), 0.0, std::max(most, values_.back()));
  }

 private:
  struct Model {
    int ahead = 1;
    LeastSquares squares;
    std::deque<Row> pending;  // rows whose targets are still to come
  };

  // What lies before the beginning is replaced by the newest value.
  double At(int64_t slot) const {
    return slot >= 0 && slot < std::ssize(values_) ? values_[static_cast<size_t>(slot)] : values_.back();
  }
  double Profile(int64_t slot) const {
    std::vector<double> days;
    for (int64_t day = 1; day <= 7; ++day) {
      if (slot - day * kDay >= 0) days.push_back(At(slot - day * kDay));
    }
    if (days.empty()) return values_.back();
    std::sort(days.begin(), days.end());
    return 0.5 * (days[days.size() / 2] + days[(days.size() - 1) / 2]);
  }
  Row Features(int ahead) const {
    const int64_t now = std::ssize(values_) - 1, target = now + ahead;
    Row row{scale_};
    for (int64_t i = 0; i < 10; ++i) row[static_cast<size_t>(1 + i)] = At(now - i);
    const std::array<double, 9> rest = {
        At(target - kDay),     At(target - kDay - 1), At(std::min(now, target - kDay + 1)),
        At(target - 2 * kDay), At(target - kWeek),    At(now - kDay),
        At(now - kWeek),       Profile(target),       Profile(now)};
    std::copy(rest.begin(), rest.end(), row.begin() + 11);
    for (double& feature : row) feature /= scale_;
    return row;
  }

  static constexpr double kClip = 3;  // times the highest of a day
  std::vector<double> values_;
  double sum_ = 0, scale_ = 0;
  std::vector<Model> models_;
};

template <typename T>
ForecastRival Simple(const std::string& name) {
  return {name, [](const std::vector<int>&) { return std::make_unique<T>(); }};
}

}  // namespace

std::vector<ForecastRival> ForecastRivals() {
  return {Simple<LastValue>(kLastValueName),
          Simple<SeasonalNaive>("seasonal_naive"),
          Simple<HoltWinters>("holt_winters"),
          Simple<CraneDsp>("crane_dsp"),
          {kRidgeName, [](const std::vector<int>& horizons) { return std::make_unique<Ridge>(horizons); }}};
}

}  // namespace headroom::lab
