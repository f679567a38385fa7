#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <deque>
#include <limits>

namespace headroom::sim {

// IdleAges: how many kept connections of one kind a node has, by the moment of their last use, in fractions. Cohorts
// are at most kCohorts to an idle timeout, so a step costs O(1) on average. Seconds are those of the model.
class IdleAges {
 public:
  static constexpr double kCohorts = 24;

  double count() const { return stored_ * scale_; }

  // They were last used evenly between `began` and `ended`, which do not go back. Cohorts within `grain` seconds are
  // one.
  void Add(double began, double ended, double count, double grain) {
    if (count <= 0) return;
    if (scale_ < kScaleMin) Rescale();
    stored_ += count / scale_;
    if (!cohorts_.empty() && ended - cohorts_.back().began < grain) {
      cohorts_.back().stored += count / scale_;
      cohorts_.back().ended = ended;
    } else {
      cohorts_.push_back({began, ended, count / scale_});
    }
  }

  // This share of them, of every age alike, is taken out. Returns how many.
  double TakeShare(double share) {
    const double taken = count() * share;
    scale_ *= 1 - share;
    if (scale_ <= 0) Clear();
    return taken;
  }

  // Those last used at `before` or earlier are taken out. A cohort goes by and by, over the time in which it was made.
  double TakeOlder(double before) {
    double taken = 0;
    while (!cohorts_.empty() && cohorts_.front().began <= before) {
      Cohort& oldest = cohorts_.front();
      const double share = ShareBefore(oldest, before);
      const double gone = oldest.stored * share;
      taken += gone;
      stored_ -= gone;
      if (share < 1) {
        oldest.stored -= gone;
        oldest.began = before;
        break;
      }
      cohorts_.pop_front();
    }
    if (cohorts_.empty()) stored_ = 0;
    return taken * scale_;
  }

  // Up to `most` of those last used at `before` or earlier, the oldest first.
  double TakeOldest(double most, double before) {
    double taken = 0;
    while (!cohorts_.empty() && taken < most) {
      Cohort& oldest = cohorts_.front();
      const double wanted = std::min(oldest.stored * ShareBefore(oldest, before), (most - taken) / scale_);
      if (wanted <= 0) break;
      taken += wanted * scale_;
      stored_ -= wanted;
      oldest.stored -= wanted;
      if (oldest.ended > before) break;
      if (oldest.stored <= 0) cohorts_.pop_front();
    }
    if (cohorts_.empty()) stored_ = 0;
    return taken;
  }

  // Gives a share of every cohort to `other`.
  void MoveShare(double share, IdleAges& other) {
    if (share <= 0) return;
    std::deque<Cohort> merged;
    const double factor = share * scale_;
    auto theirs = other.cohorts_.begin();
    for (const Cohort& ours : cohorts_) {
      for (; theirs != other.cohorts_.end() && theirs->began <= ours.began; ++theirs) merged.push_back(*theirs);
      merged.push_back({ours.began, ours.ended, ours.stored * factor / other.scale_});
    }
    merged.insert(merged.end(), theirs, other.cohorts_.end());
    other.cohorts_ = std::move(merged);
    other.stored_ += count() * share / other.scale_;
    TakeShare(share);
  }

  void Clear() {
    cohorts_.clear();
    stored_ = 0;
    scale_ = 1;
  }

  // Adds to `sums` how many were last used in each of the stretches that end at `ends`; these go back from the first
  // on, and the last stretch is all that is before them.
  template <size_t kStretches>
  void AddUp(const std::array<double, kStretches - 1>& ends, std::array<double, kStretches>& sums) const {
    size_t stretch = kStretches - 1;
    double sum = 0, twice_end = 2 * ends.back();
    for (const Cohort& cohort : cohorts_) {
      while (cohort.began + cohort.ended > twice_end) {
        sums[stretch--] += sum * scale_;
        sum = 0;
        twice_end = stretch > 0 ? 2 * ends[stretch - 1] : std::numeric_limits<double>::infinity();
      }
      sum += cohort.stored;
    }
    sums[stretch] += sum * scale_;
  }

 private:
  static constexpr double kScaleMin = 1e-100;
  struct Cohort {
    double began = 0, ended = 0;  // last used between
    double stored = 0;            // times scale_: how many
  };

  static double ShareBefore(const Cohort& cohort, double before) {
    if (before >= cohort.ended) return 1;
    return before <= cohort.began ? 0 : (before - cohort.began) / (cohort.ended - cohort.began);
  }
  void Rescale() {
    for (Cohort& cohort : cohorts_) cohort.stored *= scale_;
    stored_ *= scale_;
    scale_ = 1;
  }

  std::deque<Cohort> cohorts_;
  double stored_ = 0, scale_ = 1;
};

}  // namespace headroom::sim
