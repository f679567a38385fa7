#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "controller/lab/task.h"

namespace headroom::lab {

// Demand given step by step, without scale, noise or history.
inline Demand DemandOf(const std::vector<double>& offered) {
  auto course = std::make_shared<Course>();
  course->name = "small";
  course->steps = static_cast<int>(offered.size());
  course->nodes_per_unit = 1;
  course->held = Series<float>(std::vector<float>(offered.begin(), offered.end()));
  course->known_before = course->scored_before = Series<int32_t>(course->steps + 1);
  Demand demand{.offered = Series<double>(offered), .sum_before = Series<double>(course->steps + 1)};
  for (int i = 0; i < course->steps; ++i) {
    course->known_before[i + 1] = course->scored_before[i + 1] = i + 1;
    demand.sum_before[i + 1] = demand.sum_before[i] + demand.offered[i];
  }
  demand.course = std::move(course);
  return demand;
}

// `steps` times the same.
inline std::vector<double> Flat(double value, int steps) {
  return std::vector<double>(static_cast<size_t>(steps), value);
}

inline std::vector<double> operator+(std::vector<double> a, const std::vector<double>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

}  // namespace headroom::lab
