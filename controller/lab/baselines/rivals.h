#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "controller/lab/baselines/setting.h"
#include "controller/lab/rival.h"

namespace headroom::lab {

// What a policy is to the comparison: ours, one that counts for "the best rival", or one that is only shown beside
// them.
enum class Standing { kOurs, kRival, kReference };

// Contender: a policy that takes part, how it is made and what of it is tuned. A policy of ours joins as one more, with
// one setting: `settings` gives it, `make` wraps whatever decides as a Rival.
struct Contender {
  std::string name;
  Standing standing = Standing::kRival;
  int hold_steps_default = 0;
  std::function<std::unique_ptr<Rival>(const Setting&)> make;
  // The settings that are tried on this trace. Its seeds differ only in noise.
  std::function<std::vector<Setting>(const Contender&, const std::vector<Demand>&)> settings;
};

// Targets from 0.30 to 0.95 by 0.05, with its own hold time, 0 and 600 s.
std::vector<Setting> TargetsAndHolds(const Contender& contender, const std::vector<Demand>& seeds);

// Everybody that Headroom is compared with, in the order of the report.
std::vector<Contender> Contenders();

// "target 0.70, hold 300 s", "12 nodes".
std::string Describe(const Setting& setting);

}  // namespace headroom::lab
