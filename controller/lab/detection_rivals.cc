#include "controller/lab/detection_rivals.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "controller/base/check.h"

namespace headroom::lab {
namespace {

constexpr size_t kTerms = 5;  // of a polynomial of degree 4
constexpr size_t kNeighbourhoodWindows = 10, kNeighbourhoodMin = 100;
constexpr double kPivotMin = 1e-9;
constexpr int kSweepsMax = 30;
constexpr double kOffDiagonalRatio = 1e-9;
constexpr double kVarianceRatioMin = 1e-12;  // below it an axis explains rounding errors

using Terms = std::array<double, kTerms>;

Terms Powers(double x) {
  Terms powers{1.0};
  for (size_t i = 1; i < kTerms; ++i) powers[i] = powers[i - 1] * x;
  return powers;
}

// LeastSquares: a polynomial through points, by normal equations. x should lie in [-1, 1].
class LeastSquares {
 public:
  void Add(double x, double y) {
    const Terms powers = Powers(x);
    for (size_t i = 0; i < kTerms; ++i) {
      for (size_t j = 0; j < kTerms; ++j) matrix_[i][j] += powers[i] * powers[j];
      matrix_[i][kTerms] += powers[i] * y;
    }
  }

  // Terms that the points do not determine are 0.
  Terms Solve() {
    for (size_t column = 0; column < kTerms; ++column) Eliminate(column);
    Terms terms{};
    for (size_t i = 0; i < kTerms; ++i) {
      terms[i] = std::abs(matrix_[i][i]) < kPivotMin ? 0.0 : matrix_[i][kTerms] / matrix_[i][i];
    }
    return terms;
  }

 private:
  void Eliminate(size_t column) {
    if (std::abs(matrix_[column][column]) < kPivotMin) return;
    for (size_t row = 0; row < kTerms; ++row) {
      if (row == column) continue;
      const double factor = matrix_[row][column] / matrix_[column][column];
      for (size_t j = column; j <= kTerms; ++j) matrix_[row][j] -= factor * matrix_[column][j];
    }
  }

  std::array<std::array<double, kTerms + 1>, kTerms> matrix_{};
};

struct Stretch {
  size_t begin = 0;
  size_t end = 0;
};

double ResidualOf(absl::Span<const double> values, Stretch window, Stretch around) {
  const double middle = static_cast<double>(around.begin + around.end) / 2;
  const double half = static_cast<double>(around.end - around.begin) / 2;
  const auto position = [&](size_t row) { return (static_cast<double>(row) - middle) / half; };
  LeastSquares fit;
  for (size_t row = around.begin; row < around.end; ++row) {
    if (row < window.begin || row >= window.end) fit.Add(position(row), values[row]);
  }
  const Terms terms = fit.Solve();
  double squares = 0;
  for (size_t row = window.begin; row < window.end; ++row) {
    const Terms powers = Powers(position(row));
    double error = -values[row];
    for (size_t i = 0; i < kTerms; ++i) error += terms[i] * powers[i];
    squares += error * error;
  }
  return std::sqrt(squares / static_cast<double>(window.end - window.begin));
}

// A square symmetric matrix, row after row.
class Symmetric {
 public:
  explicit Symmetric(size_t size) : size_(size), cells_(size * size, 0.0) {}
  double* row(size_t i) { return &cells_[i * size_]; }
  const double* row(size_t i) const { return &cells_[i * size_]; }
  size_t size() const { return size_; }

  double OffDiagonal() const {
    double sum = 0;
    for (size_t i = 0; i < size_; ++i) {
      for (size_t j = 0; j < i; ++j) sum += row(i)[j] * row(i)[j];
    }
    return std::sqrt(sum);
  }
  double Trace() const {
    double sum = 0;
    for (size_t i = 0; i < size_; ++i) sum += row(i)[i];
    return sum;
  }

 private:
  size_t size_;
  std::vector<double> cells_;
};

void RotateRows(Symmetric& matrix, std::pair<size_t, size_t> rows, std::pair<double, double> turn) {
  double *p = matrix.row(rows.first), *q = matrix.row(rows.second);
  for (size_t k = 0; k < matrix.size(); ++k) {
    const double before = p[k];
    p[k] = turn.second * before - turn.first * q[k];
    q[k] = turn.first * before + turn.second * q[k];
  }
}

// One Jacobi rotation that makes matrix[p][q] zero; the rows of `axes` turn along.
void Rotate(Symmetric& matrix, Symmetric& axes, size_t p, size_t q) {
  const double theta = (matrix.row(q)[q] - matrix.row(p)[p]) / (2 * matrix.row(p)[q]);
  const double tangent = std::copysign(1.0, theta) / (std::abs(theta) + std::sqrt(theta * theta + 1));
  const double cosine = 1 / std::sqrt(tangent * tangent + 1), sine = tangent * cosine;
  RotateRows(matrix, {p, q}, {sine, cosine});
  for (size_t k = 0; k < matrix.size(); ++k) {
    double& at_p = matrix.row(k)[p];
    double& at_q = matrix.row(k)[q];
    const double before = at_p;
    at_p = cosine * before - sine * at_q;
    at_q = sine * before + cosine * at_q;
  }
  RotateRows(axes, {p, q}, {sine, cosine});
}

// The eigenvectors, one a row; the eigenvalues are left on the diagonal of `matrix`.
Symmetric Diagonalise(Symmetric& matrix) {
  Symmetric axes(matrix.size());
  for (size_t i = 0; i < axes.size(); ++i) axes.row(i)[i] = 1;
  const double small = kOffDiagonalRatio * std::abs(matrix.Trace()) / static_cast<double>(matrix.size());
  for (int sweep = 0; sweep < kSweepsMax && matrix.OffDiagonal() > small; ++sweep) {
    for (size_t p = 0; p + 1 < matrix.size(); ++p) {
      for (size_t q = p + 1; q < matrix.size(); ++q) {
        if (std::abs(matrix.row(p)[q]) > small / static_cast<double>(matrix.size())) Rotate(matrix, axes, p, q);
      }
    }
  }
  return axes;
}

// StandardWindows: the sliding windows of a series, each column scaled to mean 0 and variance 1 (a constant column to
// 0). They are made one at a time: all of them would take rows x window numbers. `values` must outlive it.
class StandardWindows {
 public:
  StandardWindows(absl::Span<const double> values, size_t window)
      : values_(values), count_(values.size() - window + 1), means_(window), deviations_(window) {
    const auto rows = static_cast<double>(count_);
    for (size_t column = 0; column < window; ++column) {
      double squares = 0;
      for (const double value : values.subspan(column, count_)) means_[column] += value / rows;
      for (const double value : values.subspan(column, count_)) {
        squares += (value - means_[column]) * (value - means_[column]);
      }
      const double deviation = std::sqrt(squares / rows);
      deviations_[column] = deviation > 0 ? deviation : 1.0;
    }
  }

  size_t count() const { return count_; }

  void Read(size_t first, std::vector<double>& window) const {
    window.resize(means_.size());
    for (size_t i = 0; i < window.size(); ++i) window[i] = (values_[first + i] - means_[i]) / deviations_[i];
  }

  // Of all windows. The product of two columns differs from that of the columns before them by its two ends, so this
  // takes rows x window steps.
  Symmetric Covariance() const {
    const size_t size = means_.size();
    const double level = means_[0];  // near all of them, so that little is lost when they are taken out
    const auto at = [&](size_t row) { return values_[row] - level; };
    Symmetric covariance(size);
    for (size_t j = 0; j < size; ++j) {
      for (size_t k = 0; k < count_; ++k) covariance.row(0)[j] += at(k) * at(k + j);
    }
    for (size_t i = 1; i < size; ++i) {
      for (size_t j = i; j < size; ++j) {
        covariance.row(i)[j] =
            covariance.row(i - 1)[j - 1] - at(i - 1) * at(j - 1) + at(count_ + i - 1) * at(count_ + j - 1);
      }
    }
    for (size_t i = 0; i < size; ++i) {
      for (size_t j = i; j < size; ++j) {
        const double means = static_cast<double>(count_) * (means_[i] - level) * (means_[j] - level);
        covariance.row(i)[j] = (covariance.row(i)[j] - means) / (deviations_[i] * deviations_[j]);
        covariance.row(j)[i] = covariance.row(i)[j];
      }
    }
    return covariance;
  }

 private:
  const absl::Span<const double> values_;
  const size_t count_;
  std::vector<double> means_, deviations_;
};

double DistanceFromAxes(const std::vector<double>& window, const Symmetric& axes, const std::vector<double>& weights) {
  double norm = 0;
  for (double x : window) norm += x * x;
  double sum = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    double along = 0;
    for (size_t j = 0; j < window.size(); ++j) along += axes.row(i)[j] * window[j];
    sum += weights[i] * std::sqrt(std::max(norm + 1 - 2 * along, 0.0));
  }
  return sum;
}

}  // namespace

std::vector<double> PolyScores(absl::Span<const double> values, size_t window) {
  HR_CHECK(window >= 2);
  std::vector<double> scores(values.size(), 0.0);
  const size_t rows = values.size();
  const size_t around = std::min(std::max(kNeighbourhoodWindows * window, kNeighbourhoodMin), rows);
  const size_t initial = std::min<size_t>(500, rows / 10);
  for (size_t begin = (initial + window - 1) / window * window; begin < rows; begin += window) {
    const size_t end = std::min(begin + window, rows);
    const size_t from = std::min(begin - std::min(begin, around / 2), rows - around);
    const double residual = ResidualOf(values, {begin, end}, {from, from + around});
    std::fill(scores.begin() + static_cast<std::ptrdiff_t>(begin), scores.begin() + static_cast<std::ptrdiff_t>(end),
              residual);
  }
  return scores;
}

std::vector<double> SubPcaScores(absl::Span<const double> values, size_t window) {
  HR_CHECK(window >= 2);
  if (values.size() < 2 * window) return std::vector<double>(values.size(), 0.0);
  const StandardWindows windows(values, window);
  Symmetric covariance = windows.Covariance();
  const Symmetric axes = Diagonalise(covariance);
  const double total = covariance.Trace();
  std::vector<double> weights(window);
  for (size_t i = 0; i < window; ++i) {
    weights[i] = 1 / std::max(total > 0 ? covariance.row(i)[i] / total : 0.0, kVarianceRatioMin);
  }
  std::vector<double> scores(values.size()), standard;
  for (size_t row = 0; row < values.size(); ++row) {
    const size_t first = std::min(row - std::min(row, window / 2), windows.count() - 1);
    if (row == 0 || first != row - 1 - std::min(row - 1, window / 2)) {
      windows.Read(first, standard);
      scores[row] = DistanceFromAxes(standard, axes, weights);
    } else {
      scores[row] = scores[row - 1];
    }
  }
  return scores;
}

}  // namespace headroom::lab
