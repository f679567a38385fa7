#include "controller/core/diagnosis/diagnosis.h"

#include <algorithm>
#include <utility>

#include "controller/core/diagnosis/evidence.h"
#include "controller/core/diagnosis/rules.h"
#include "controller/core/diagnosis/statements.h"

namespace headroom {
namespace {

constexpr double kMarginMin = 0.15;                        // of a leader over the second
constexpr absl::Duration kCalmAfter = absl::Seconds(10);   // without symptoms
constexpr absl::Duration kSwitchAfter = absl::Seconds(3);  // another cause must lead for so long
constexpr absl::Duration kBlip = absl::Milliseconds(900);  // symptoms that are gone so soon are not worth a word

// The two best causes.
struct Ranking {
  Cause best = Cause::kCannotTell;
  double best_score = 0, second_score = 0;
  Cause Leader() const {
    const bool stands_out = best_score >= CauseRule::kScoreNamed && best_score - second_score >= kMarginMin;
    return stands_out ? best : Cause::kCannotTell;
  }
};

Ranking Rank(const CauseScores& scores) {
  Ranking ranking;
  for (const CauseRule& rule : CauseRules()) {
    const double score = ScoreOf(scores, rule.cause);
    if (score > ranking.best_score) {
      ranking.second_score = ranking.best_score;
      ranking.best_score = score;
      ranking.best = rule.cause;
    } else {
      ranking.second_score = std::max(ranking.second_score, score);
    }
  }
  return ranking;
}

const CauseRule& RuleOf(Cause cause) {
  return CauseRules()[static_cast<size_t>(cause) - static_cast<size_t>(Cause::kSurge)];
}

bool IsNamed(Cause cause) {
  return cause >= Cause::kSurge;
}

// What is usual was learned before the onset. When slots have been well used for a whole window and nobody was hurt,
// that is how it is now.
void ForgetOldTimes(const Policy& policy, DiagnosisMemory& memory, absl::Time now) {
  if (now - std::max(memory.trouble.onset, memory.hurt_at) <= policy.control.baseline_window) return;
  memory.series.ForgetUsual();
  memory.trouble.onset = now;
}

// In a large fleet a node is nearly always gone: as long as nobody feels it and the others tell enough, that is calm.
bool IsTrouble(const Symptoms& symptoms, const DiagnosisInput& in) {
  return symptoms.AreFelt() || (symptoms.down && in.summary.ReportsAreLost(in.policy.control));
}

void TrackTrouble(const Symptoms& symptoms, const Evidence& evidence, const DiagnosisInput& in,
                  DiagnosisMemory& memory) {
  const absl::Time now = in.now;
  // What comes after such a calm is another trouble, also where its first symptom ends the calm.
  if (now - memory.ill_at >= kCalmAfter) memory.trouble = {};
  if (!IsTrouble(symptoms, in)) return;
  memory.trouble.onset = std::min(memory.trouble.onset, now);
  memory.ill_at = now;
  if (!symptoms.IsMild()) memory.hurt_at = now;
  memory.trouble.demand_peak = std::max(memory.trouble.demand_peak, evidence.now.Or(Metric::kDemand, 0));
  if (evidence.IsFull()) memory.trouble.full_at = std::min(memory.trouble.full_at, now);
}

// Whether a cause that was named has for a while had nothing that speaks for it.
bool HasFaded(Cause named, const CauseScores& scores, DiagnosisMemory& memory, absl::Time now) {
  const bool weak = IsNamed(named) && ScoreOf(scores, named) < CauseRule::kScoreRuledOut;
  memory.faded_since = weak ? std::min(memory.faded_since, now) : absl::InfiniteFuture();
  return now - memory.faded_since >= kSwitchAfter;
}

// The cause to name now.
Cause Choose(const CauseScores& scores, DiagnosisMemory& memory, absl::Time now) {
  const Cause leader = Rank(DiscountSymptoms(scores)).Leader();
  if (leader != memory.leader) {
    memory.leader = leader;
    memory.leads_since = now;
  }
  const Cause last = memory.last.cause;
  const absl::Duration led = now - memory.leads_since;
  const bool faded = HasFaded(last, scores, memory, now);
  if (!IsNamed(leader) || leader == last) return IsNamed(last) && !faded ? last : Cause::kCannotTell;
  // What was there before its own consequences, and still may be, stays named; clients try again whatever it is that
  // makes them wait.
  const bool follows = !faded && (leader == Cause::kRetryStorm || BringsAbout(last, leader));
  if (IsNamed(last)) return led >= kSwitchAfter && !follows ? leader : last;
  return led >= RuleOf(leader).patience ? leader : Cause::kCannotTell;
}

std::vector<Reason> RuleOut(Cause named, const Evidence& evidence, const CauseScores& scores) {
  std::vector<Reason> reasons;
  for (const CauseRule& rule : CauseRules()) {
    if (rule.cause == named) continue;
    const bool out = ScoreOf(scores, rule.cause) < CauseRule::kScoreRuledOut && rule.can_tell(evidence);
    reasons.push_back(StateAgainst(rule.cause, evidence, out ? Standing::kRuledOut : Standing::kOpen));
  }
  return reasons;
}

Diagnosis Healthy(const Evidence& evidence, const Fleet& fleet, const DiagnosisMemory& memory, absl::Time now) {
  Diagnosis diagnosis;
  diagnosis.confidence = evidence.usual.has_value() ? 1 : 0.5;
  diagnosis.since = memory.last.cause == Cause::kNone && memory.last.confidence > 0 ? memory.last.since : now;
  diagnosis.reason = StateNothing(evidence);
  diagnosis.remedy = StateRemedy(Cause::kNone, evidence, fleet);
  return diagnosis;
}

Diagnosis Ill(Cause cause, const Evidence& evidence, const Fleet& fleet, const DiagnosisMemory& memory,
              const CauseScores& scores, absl::Time now) {
  const CauseScores discounted = DiscountSymptoms(scores);
  Diagnosis diagnosis;
  diagnosis.cause = cause;
  diagnosis.since = memory.last.cause == cause ? memory.last.since : now;
  if (IsNamed(cause)) {
    const double score = ScoreOf(discounted, cause);
    double second = 0;
    for (const CauseRule& rule : CauseRules()) {
      if (rule.cause != cause) second = std::max(second, ScoreOf(discounted, rule.cause));
    }
    diagnosis.confidence = std::clamp(score - 0.5 * second, 0.0, 1.0);
    diagnosis.reason = StateCause(cause, evidence, fleet);
  } else {
    diagnosis.reason = StateCannotTell(evidence, discounted);
  }
  diagnosis.ruled_out = RuleOut(cause, evidence, scores);
  diagnosis.remedy = StateRemedy(cause, evidence, fleet);
  return diagnosis;
}

}  // namespace

Diagnosis Diagnose(const DiagnosisInput& in, Survey&& survey, DiagnosisMemory& memory) {
  const auto& [fleet, summary, policy, now] = in;
  const Evidence evidence = std::move(survey).Finish({fleet, summary, memory.trouble});
  const Symptoms symptoms = FindSymptoms(evidence);
  TrackTrouble(symptoms, evidence, in, memory);
  const bool trouble = memory.trouble.onset != absl::InfiniteFuture();
  // Where nothing is known yet, slots that are well used but hurt nobody are what is usual.
  const bool calm = !trouble || (!evidence.usual.has_value() && symptoms.IsMild());
  memory.series.Add(evidence.latest, calm ? ClusterSeries::Weather::kCalm : ClusterSeries::Weather::kTrouble,
                    policy.control.baseline_window);
  if (trouble) ForgetOldTimes(policy, memory, now);

  if (!trouble) {
    memory.leader = Cause::kNone;
    memory.last = symptoms.down ? Ill(Cause::kCannotTell, evidence, fleet, memory, ScoreCauses(evidence), now)
                                : Healthy(evidence, fleet, memory, now);
  } else if (symptoms.Any()) {
    const CauseScores scores = ScoreCauses(evidence);
    const Cause cause = Choose(scores, memory, now);
    const bool blip =
        cause == Cause::kCannotTell && memory.last.cause == Cause::kNone && now - memory.trouble.onset < kBlip;
    memory.last = blip ? Healthy(evidence, fleet, memory, now) : Ill(cause, evidence, fleet, memory, scores, now);
  }
  return memory.last;
}

}  // namespace headroom
