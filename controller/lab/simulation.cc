#include "controller/lab/simulation.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

namespace headroom::lab {
namespace {

constexpr int kLongAgo = std::numeric_limits<int>::min() / 2;

// Crew: the nodes that are present, the oldest first, and what they cost. Steps must not go back.
class Crew {
 public:
  Crew(const Course& course, int count)
      : law_(course.terms.law), scored_(course.scored_before.data()), steps_(course.steps) {
    launches_.reserve(static_cast<size_t>(course.terms.nodes_max));
    launches_.assign(static_cast<size_t>(count), kLongAgo);
    mature_ = launches_.size();
  }

  int count() const { return static_cast<int>(launches_.size()); }
  bool steady() const { return mature_ == launches_.size(); }
  int64_t paid_steps() const { return paid_steps_; }

  int Ready(int step) const {
    size_t ready = mature_;
    while (ready < launches_.size() && step - launches_[ready] >= law_.boot_steps) ++ready;
    return static_cast<int>(ready);
  }

  // Advances the nodes' ages.
  double Capacity(int step) {
    while (mature_ < launches_.size() && step - launches_[mature_] >= law_.mature_steps()) ++mature_;
    auto capacity = static_cast<double>(mature_);
    for (size_t i = mature_; i < launches_.size() && step - launches_[i] >= law_.boot_steps; ++i) {
      capacity += law_.Capacity(step - launches_[i]);
    }
    return capacity;
  }

  void Resize(int step, int wanted, Victims victims) {
    Pay(step);
    while (count() > wanted) Remove(step, victims);
    launches_.resize(static_cast<size_t>(wanted), step);
  }

  // What is lost is not paid any more, and of all ages alike.
  void Lose(int step, int lost) {
    Pay(step);
    launches_.erase(launches_.begin(), launches_.begin() + lost);
    mature_ -= std::min(mature_, static_cast<size_t>(lost));
  }

  void Pay(int step) {
    paid_steps_ += int64_t{count()} * (scored_[step] - scored_[paid_until_]);
    paid_until_ = step;
  }

 private:
  void Remove(int step, Victims victims) {
    const size_t victim = Victim(step, victims);
    const int paid_until = launches_[victim] + law_.paid_steps_min;
    if (paid_until > step) paid_steps_ += scored_[std::min(paid_until, steps_)] - scored_[step];
    launches_.erase(launches_.begin() + static_cast<std::ptrdiff_t>(victim));
    if (victim < mature_) --mature_;
  }

  size_t Victim(int step, Victims victims) const {
    if (victims == Victims::kOldest) return 0;
    size_t after = launches_.size();
    if (victims == Victims::kPaidOut) {
      while (after > 0 && step - launches_[after - 1] < law_.paid_steps_min) --after;
      if (after == 0) after = launches_.size();
    }
    return after - 1;
  }

  const NodeLaw law_;
  const int32_t* scored_;
  const int steps_;
  std::vector<int> launches_;
  size_t mature_ = 0;  // so many at the front serve fully
  int paid_until_ = 0;
  int64_t paid_steps_ = 0;
};

class Run {
 public:
  Run(const Demand& demand, Rival& rival, const RunOptions& options)
      : demand_(demand),
        course_(*demand.course),
        rival_(rival),
        crew_(course_, InitialNodes(demand)),
        seen_(options.sight == Sight::kCapped ? demand.steps() + 1 : 0),
        supply_(options.record == Record::kSupply ? demand.steps() : 0),
        meter_(seen_.empty() ? demand.sum_before.data() : seen_.data(), course_.known_before.data(),
               course_.start_unix_seconds) {}

  Outcome Go() {
    const int period = rival_.period_steps();
    const std::vector<NodeLoss>& losses = course_.terms.losses;
    for (int step = 0; step < course_.steps; step += period) {
      for (; losses_seen_ < losses.size() && losses[losses_seen_].step <= step; ++losses_seen_) {
        Lose(step, losses[losses_seen_].ratio);
      }
      Tick(step);
      Advance(step, std::min(step + period, course_.steps));
    }
    crew_.Pay(course_.steps);
    return {.node_hours = static_cast<double>(crew_.paid_steps()) * kHoursPerStep,
            .unserved_hours = unserved_ * kHoursPerStep,
            .offered_hours = offered_ * kHoursPerStep,
            .actions = static_cast<double>(actions_),
            .supply = std::move(supply_)};
  }

 private:
  void Lose(int step, double ratio) {
    const int lost = static_cast<int>(std::ceil(ratio * crew_.count()));
    crew_.Lose(step, lost);
    rival_.Lose(lost);
  }

  void Tick(int step) {
    meter_.AdvanceTo(step);
    const int count = crew_.count();
    const int wanted =
        std::clamp(rival_.Decide(meter_, {count, crew_.Ready(step)}), course_.terms.nodes_min, course_.terms.nodes_max);
    if (wanted == count) return;
    actions_ += course_.scored_before[step + 1] - course_.scored_before[step];
    crew_.Resize(step, wanted, rival_.victims());
  }

  void Advance(int step, int end) {
    for (; step < end && !crew_.steady(); ++step) Serve(step, step + 1, crew_.Capacity(step));
    if (step < end) Serve(step, end, crew_.count());
  }

  void Serve(int begin, int end, double capacity) {
    const double* offered = demand_.offered.data();
    double sum = offered_, unserved = unserved_;  // the compiler keeps no member in a register here
    for (int step = std::max(begin, course_.first_scored); step < end; ++step) {
      sum += offered[step];
      unserved += std::max(0.0, offered[step] - capacity);
    }
    offered_ = sum;
    unserved_ = unserved;
    if (!seen_.empty()) {
      const double most = capacity * rival_.metric_max();
      for (int step = begin; step < end; ++step) seen_[step + 1] = seen_[step] + std::min(offered[step], most);
    }
    if (!supply_.empty()) {
      std::fill(supply_.begin() + begin, supply_.begin() + end, static_cast<float>(capacity));
    }
  }

  const Demand& demand_;
  const Course& course_;
  Rival& rival_;
  Crew crew_;
  Series<double> seen_;  // as Demand::sum_before, of what a capped metric shows
  Series<float> supply_;
  Meter meter_;
  double offered_ = 0, unserved_ = 0;  // in nodes a step, where it counts
  int64_t actions_ = 0;
  size_t losses_seen_ = 0;
};

}  // namespace

int InitialNodes(const Demand& demand) {
  return std::clamp(static_cast<int>(std::ceil(demand.offered.front())), demand.course->terms.nodes_min,
                    demand.course->terms.nodes_max);
}

Outcome WithRaisedLimits(const Demand& demand, const Outcome& outcome) {
  const Course& course = *demand.course;
  Outcome raised{.node_hours = outcome.node_hours,
                 .offered_hours = outcome.offered_hours,
                 .actions = outcome.actions,
                 .supply = Series<float>(demand.steps())};
  int above = 0;
  for (int step = 0; step < demand.steps(); ++step) {
    const double safe = double{outcome.supply[step]}, most = safe / kSafeRatio;
    raised.supply[step] = static_cast<float>(most);
    if (step < course.first_scored || !course.known(step)) continue;
    raised.unserved_hours += std::max(0.0, demand.offered[step] - most) * kHoursPerStep;
    if (demand.offered[step] > safe) ++above;
  }
  raised.above_safe_ratio = static_cast<double>(above) / std::max(1, course.scored_steps());
  return raised;
}

Outcome Simulate(const Demand& demand, Rival& rival, const RunOptions& options) {
  return Run(demand, rival, options).Go();
}

}  // namespace headroom::lab
