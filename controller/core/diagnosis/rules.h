#pragma once

#include <array>

#include "absl/time/time.h"
#include "absl/types/span.h"

#include "controller/core/decision.h"
#include "controller/core/diagnosis/evidence.h"
#include "controller/core/reason.h"

// The rules of diagnosis: what speaks for each cause and what against it. Pure functions of the evidence.

namespace headroom {

// What speaks for each cause, 0 to 1, by Cause; the first two stay 0.
using CauseScores = std::array<double, kCauseCount>;
inline double ScoreOf(const CauseScores& scores, Cause cause) {
  return scores[static_cast<size_t>(cause)];
}

// One cause. A score is the weakest link of a chain: all that the cause would bring about must be there. From
// kScoreNamed on it may be named, below kScoreRuledOut it is ruled out where its sources are there to tell.
struct CauseRule {
  static constexpr double kScoreNamed = 0.6;
  static constexpr double kScoreRuledOut = 0.3;

  Cause cause;
  double (*score)(const Evidence&);
  bool (*can_tell)(const Evidence&);  // are there sources that would show it?
  absl::Duration patience;            // it must lead for so long before it is named
};

// Every cause, in the order of Cause.
absl::Span<const CauseRule> CauseRules();

// What speaks for each cause by itself.
CauseScores ScoreCauses(const Evidence& evidence);

// The same with symptoms discounted: a cause that another one, which is well proved, would bring about anyway.
CauseScores DiscountSymptoms(const CauseScores& scores);

// Whether `root` brings about what looks like `symptom`.
bool BringsAbout(Cause root, Cause symptom);

// Something is wrong.
struct Symptoms {
  bool slots = false;       // slots run out: from 0.8 of them on, or a node is full
  bool rejections = false;  // connections are turned away
  bool errors = false;
  bool latency = false;
  bool retries = false;  // clients try again and again, whatever the servers feel of it
  bool network = false;
  bool silence = false;
  bool idle = false;  // new nodes get nothing to do; the others may not feel it
  bool down = false;  // nodes are gone; the others may not feel it
  bool Any() const { return AreFelt() || down; }
  // By more than those nodes that are gone.
  bool AreFelt() const { return slots || rejections || errors || latency || retries || network || silence || idle; }
  // Slots well used or fewer nodes, but nobody is hurt: a new normal, if it lasts.
  bool IsMild() const { return !(rejections || errors || latency || network || silence); }
};
Symptoms FindSymptoms(const Evidence& evidence);

}  // namespace headroom
