#pragma once

#include <cstddef>
#include <vector>

namespace headroom::forecast {

// Mixture: weights of several predictors, learned from how each would have done instead of the mix: polynomially
// weighted averages with a learning rate for each (ML-Poly: Gaillard, Stoltz, van Erven, "A second-order bound with
// excess losses", COLT 2014), forgetting the old. There is nothing to tune, and a bad predictor costs little. Copyable;
// thread-compatible.
class Mixture {
 public:
  Mixture() = default;  // to be read into
  // `first`: the weights while nothing has been learned; they sum to 1.
  Mixture(std::vector<double> first, double memory_samples);

  const std::vector<double>& weights() const { return weights_; }
  double Mix(const std::vector<double>& predictions) const;
  // `slope`: of the loss at the mix, for a mix one unit higher. `scale`: what a usual prediction is.
  void Learn(const std::vector<double>& predictions, double mix, double slope, double scale);
  // The world has changed: what comes counts for more than what was learned. The weights stay for now.
  void Doubt();
  bool IsWhole(size_t count) const {
    return first_.size() == count && weights_.size() == count && regrets_.size() == count && squares_.size() == count;
  }

  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("first", self.first_);
    visit("weights", self.weights_);
    visit("regrets", self.regrets_);
    visit("squares", self.squares_);
    visit("keep", self.keep_);
  }

 private:
  std::vector<double> first_, weights_, regrets_, squares_;
  double keep_ = 1;
};

}  // namespace headroom::forecast
