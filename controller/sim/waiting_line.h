#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <deque>
#include <numeric>

namespace headroom::sim {

// Requests in fractions, by the number of their attempt less one.
constexpr int kAttemptsMax = 8;
using ByAttempt = std::array<double, kAttemptsMax>;
inline double Sum(const ByAttempt& flow) {
  return std::accumulate(flow.begin(), flow.end(), 0.0);
}
inline ByAttempt Scaled(ByAttempt flow, double factor) {
  for (double& count : flow) count *= factor;
  return flow;
}
inline void AddTo(ByAttempt& to, const ByAttempt& flow) {
  for (size_t i = 0; i < to.size(); ++i) to[i] += flow[i];
}

// WaitingLine: requests that wait for the same thing, in the order in which they began to. Seconds of the model.
class WaitingLine {
 public:
  double count() const { return count_; }

  void Add(double at, const ByAttempt& flow) {
    const double sum = Sum(flow);
    if (sum <= 0) return;
    count_ += sum;
    if (!line_.empty() && line_.back().at >= at) return AddTo(line_.back().flow, flow);
    line_.push_back({at, flow});
  }
  // The first of them, up to `most`.
  ByAttempt TakeFirst(double most) {
    ByAttempt taken{};
    while (most > 0 && !line_.empty()) {
      const double sum = Sum(line_.front().flow);
      const double share = sum <= most ? 1 : most / sum;
      AddTo(taken, Scaled(line_.front().flow, share));
      most -= sum;
      count_ -= sum * share;
      if (share < 1) {
        line_.front().flow = Scaled(line_.front().flow, 1 - share);
        return taken;
      }
      line_.pop_front();
    }
    if (line_.empty()) count_ = 0;
    return taken;
  }
  // Those that have waited since `before` or longer.
  ByAttempt TakeOlder(double before) {
    ByAttempt taken{};
    while (!line_.empty() && line_.front().at <= before) {
      AddTo(taken, line_.front().flow);
      count_ -= Sum(line_.front().flow);
      line_.pop_front();
    }
    if (line_.empty()) count_ = 0;
    return taken;
  }
  // This share, however long they have waited, goes over to `other`, in their order.
  void MoveShare(double share, WaitingLine& other) {
    if (line_.empty()) return;
    std::deque<Entry> merged;
    auto theirs = other.line_.begin();
    for (Entry& ours : line_) {
      for (; theirs != other.line_.end() && theirs->at < ours.at; ++theirs) merged.push_back(*theirs);
      Entry moved{ours.at, Scaled(ours.flow, share)};
      ours.flow = Scaled(ours.flow, 1 - share);
      for (; theirs != other.line_.end() && theirs->at == ours.at; ++theirs) AddTo(moved.flow, theirs->flow);
      merged.push_back(moved);
    }
    merged.insert(merged.end(), theirs, other.line_.end());
    other.line_ = std::move(merged);
    other.count_ += count_ * share;
    count_ *= 1 - share;
  }
  // This share, however long they have waited.
  ByAttempt TakeShare(double share) {
    ByAttempt taken{};
    for (Entry& entry : line_) {
      AddTo(taken, Scaled(entry.flow, share));
      entry.flow = Scaled(entry.flow, 1 - share);
    }
    count_ *= 1 - share;
    return taken;
  }

 private:
  struct Entry {
    double at = 0;
    ByAttempt flow{};
  };
  std::deque<Entry> line_;
  double count_ = 0;
};

}  // namespace headroom::sim
