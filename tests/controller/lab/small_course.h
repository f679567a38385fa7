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
  course->held.assign(offered.begin(), offered.end());
  Demand demand{.offered = offered};
  course->known_before.push_back(0), course->scored_before.push_back(0), demand.sum_before.push_back(0);
  for (const double value : offered) {
    course->known_before.push_back(course->known_before.back() + 1);
    course->scored_before.push_back(course->scored_before.back() + 1);
    demand.sum_before.push_back(demand.sum_before.back() + value);
  }
  demand.course = std::move(course);
  return demand;
}

// `steps` times the same.
inline std::vector<double> Flat(double value, int steps) {
  return std::vector<double>(steps, value);
}

inline std::vector<double> operator+(std::vector<double> a, const std::vector<double>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

}  // namespace headroom::lab
