#pragma once

namespace headroom {

// AnomalyTuning: every constant that the judgement of a series hangs on; one configuration for all series. Rates are
// per sample: a mean with rate r remembers 1 / r samples. The scores on labelled files change little when any of
// them is halved or doubled, so none is fitted to a file.
struct AnomalyTuning {
  // What is normal.
  double long_rate = 0.003;       // the usual level and the usual spread
  double fast_rate = 0.2;         // the level just now
  double clip_deviations = 5;     // no sample moves what is usual by more than this many usual deviations
  double deviation_floor = 1e-3;  // of the range seen: below it nothing is told apart

  // What the views look at.
  double shift_rate = 1.0 / 32;   // a level that holds
  double spread_rate = 1.0 / 16;  // a variance that holds
  double season_rate = 0.25;      // of a visit to a slot of the season
  double season_shift_rate = 1.0 / 12;
  double pattern_shift_rate = 1.0 / 4;
  double pattern_new_deviations = 0.7;  // a pattern farther than this from all known ones is a new one
  double pattern_rate = 0.05;           // a known pattern moves to what was seen

  // What an incident is.
  double calm_samples = 30;        // an incident is forgotten with this time constant...
  double calm_ratio = 0.2;         // ...or with this part of the series' age, whichever is longer...
  double calm_samples_max = 1500;  // ...but not longer than this
  double unease_rate = 1.0 / 64;   // of the mean surprise that keeps the score up while a series is away from its past
  double notice_surprise = 4.5;    // an incident this surprising stands out of the score...
  double alarm_surprise = 7;       // an incident this surprising is an alarm
};
inline constexpr AnomalyTuning kAnomalyTuning;

}  // namespace headroom
