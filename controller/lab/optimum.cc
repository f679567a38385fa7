#include "controller/lab/optimum.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "controller/lab/simulation.h"

namespace headroom::lab {
namespace {

// Whether a level's node is there, and free to leave, at the beginning.
enum class AtStart { kPresent, kAbsent };

constexpr double kNever = std::numeric_limits<double>::infinity();

// Level: the on/off program of one node level. Its arrays are used again from level to level.
class Level {
 public:
  Level(const Demand& demand, const NodeLaw& law)
      : demand_(demand),
        course_(*demand.course),
        law_(law),
        steps_(course_.steps),
        slice_(steps_),
        slice_before_(steps_ + 1),
        off_(steps_ + 1),
        left_(steps_ + 1),
        joined_(steps_ + 1) {}

  // Adds the level's best times to the plan.
  void Solve(int level, AtStart at_start, Plan& plan) {
    Cut(level);
    plan.cost_steps += Forward(at_start);
    Backward(plan);
  }

 private:
  // The part of demand that this level serves, where it counts.
  void Cut(int level) {
    for (int step = 0; step < steps_; ++step) {
      const bool scored = course_.scored_before[step + 1] > course_.scored_before[step];
      slice_[step] = scored ? std::clamp(demand_.offered[step] - (level - 1), 0.0, 1.0) : 0;
      slice_before_[step + 1] = slice_before_[step] + slice_[step];
    }
  }

  double Paid(int begin, int end) const { return course_.scored_before[end] - course_.scored_before[begin]; }

  // What a node launched here costs until its minimum is paid.
  double LaunchCost(int step) const {
    const int end = std::min(step + law_.paid_steps_min, steps_);
    const int booted = std::min(step + law_.boot_steps, steps_), mature = std::min(step + law_.mature_steps(), steps_);
    double cost = Paid(step, end);
    if (slice_before_[mature] == slice_before_[step]) return cost;
    double unserved = slice_before_[booted] - slice_before_[step];
    for (int i = booted; i < mature; ++i) unserved += std::max(0.0, slice_[i] - law_.Capacity(i - step));
    return cost + kShortagePrice * unserved;
  }

  // off_[t], on: the least cost of the steps before t, being off, or on with the minimum paid, at t. Whoever is on may
  // leave for nothing, so off_ is never above on. left_[t]: off at t by leaving at t. joined_[t]: on at t by a launch
  // whose minimum ends at t.
  double Forward(AtStart at_start) {
    double on = at_start == AtStart::kPresent ? 0 : kNever;
    off_[0] = 0, left_[0] = 0, joined_[0] = 0;
    for (int step = 1; step <= steps_; ++step) {
      on += course_.scored_before[step] - course_.scored_before[step - 1];
      joined_[step] = 0;
      if (const int launch = step - law_.paid_steps_min; launch >= 0) {
        const double joining = off_[launch] + LaunchCost(launch);
        if (joining < on) on = joining, joined_[step] = 1;
      }
      const double staying_off = off_[step - 1] + kShortagePrice * slice_[step - 1];
      left_[step] = on < staying_off ? 1 : 0;
      off_[step] = std::min(on, staying_off);
    }
    return AtTheEnd();
  }

  // A launch near the end pays only until the end.
  double AtTheEnd() {
    last_launch_ = -1;
    double best = off_[steps_];
    for (int launch = std::max(0, steps_ - law_.paid_steps_min + 1); launch < steps_; ++launch) {
      const double cost = off_[launch] + LaunchCost(launch);
      if (cost < best) best = cost, last_launch_ = launch;
    }
    return best;
  }

  void Backward(Plan& plan) const {
    int step = steps_;
    if (last_launch_ >= 0) {
      TurnOn(last_launch_, steps_, plan);
      step = last_launch_;
    }
    bool on = false;
    while (step > 0) {
      if (!on && left_[step] != 0) on = true;
      if (!on) {
        --step;
      } else if (joined_[step] != 0) {
        TurnOn(step - law_.paid_steps_min, step, plan);
        step -= law_.paid_steps_min;
        on = false;
      } else {
        TurnOn(step - 1, step, plan);
        --step;
      }
    }
  }

  static void TurnOn(int begin, int end, Plan& plan) {
    for (int step = begin; step < end; ++step) ++plan.nodes[step];
  }

  const Demand& demand_;
  const Course& course_;
  const NodeLaw law_;
  const int steps_;
  Series<double> slice_, slice_before_, off_;
  Series<uint8_t> left_, joined_;
  int last_launch_ = -1;
};

double BaseCost(const Demand& demand) {
  double cost = static_cast<double>(demand.course->terms.nodes_min) * demand.course->scored_steps();
  for (int step = demand.course->first_scored; step < demand.steps(); ++step) {
    // Nobody may have more nodes than the task allows.
    cost += kShortagePrice * std::max(0.0, demand.offered[step] - demand.course->terms.nodes_max);
  }
  return cost;
}

}  // namespace

Plan FindOptimum(const Demand& demand) {
  return FindOptimum(demand, demand.course->terms.law);
}

Plan FindOptimum(const Demand& demand, const NodeLaw& law) {
  const Terms& terms = demand.course->terms;
  Plan plan{.nodes = Series<uint8_t>(demand.steps(), static_cast<uint8_t>(terms.nodes_min)),
            .cost_steps = BaseCost(demand)};
  const double peak = *std::max_element(demand.offered.begin(), demand.offered.end());
  const int initial = InitialNodes(demand);
  const int levels = std::clamp(static_cast<int>(std::ceil(peak)), initial, terms.nodes_max);
  Level level(demand, law);
  for (int k = terms.nodes_min + 1; k <= levels; ++k)
    level.Solve(k, k <= initial ? AtStart::kPresent : AtStart::kAbsent, plan);
  return plan;
}

double RampFreeBound(const Demand& demand) {
  NodeLaw without = demand.course->terms.law;
  without.ramp_steps = 0;
  return FindOptimum(demand, without).cost_steps;
}

}  // namespace headroom::lab
