#include "controller/sim/troubles.h"

#include <algorithm>

namespace headroom::sim {
namespace {

void Add(double& ratio, double more) {
  ratio = 1 - (1 - ratio) * (1 - more);
}

}  // namespace

absl::Time Troubles::EndOf(const Trouble& trouble) const {
  if (trouble.duration <= absl::ZeroDuration()) return absl::InfiniteFuture();
  return start_ + trouble.at + trouble.duration;
}

template <class Kind, class Use>
void Troubles::EachAt(absl::Time now, Use use) const {
  for (const Trouble& trouble : troubles_) {
    const auto* what = std::get_if<Kind>(&trouble.what);
    if (what != nullptr && start_ + trouble.at <= now && now < EndOf(trouble)) use(*what);
  }
}

absl::Time Troubles::NextAfter(absl::Time now) const {
  absl::Time next = absl::InfiniteFuture();
  for (const Trouble& trouble : troubles_) {
    for (const absl::Time turn : {start_ + trouble.at, EndOf(trouble)}) {
      if (turn > now) next = std::min(next, turn);
    }
  }
  return next;
}

ControlFaultSettings Troubles::SettingsAt(absl::Time now, absl::Duration call) const {
  ControlFaultSettings settings;
  settings.call_min = settings.call_max = absl::Trunc(call / 2, absl::Milliseconds(1));  // there, and back
  settings.late_max = absl::ZeroDuration();
  EachAt<BadReports>(now, [&](const BadReports& bad) {
    Add(settings.report_lost_ratio, bad.lost_ratio);
    Add(settings.report_late_ratio, bad.late_ratio);
    Add(settings.report_twice_ratio, bad.twice_ratio);
    Add(settings.report_forged_ratio, bad.forged_ratio);
    settings.late_max = std::max(settings.late_max, bad.late_max);
  });
  EachAt<LostOrders>(now, [&](const LostOrders& lost) { Add(settings.order_lost_ratio, lost.lost_ratio); });
  EachAt<BadProvider>(now, [&](const BadProvider& bad) {
    Add(settings.call_refused_ratio, bad.refused_ratio);
    Add(settings.stock_out_ratio, bad.stock_out_ratio);
    Add(settings.answer_lost_ratio, bad.answer_lost_ratio);
    Add(settings.boot_failed_ratio, bad.boot_failed_ratio);
    settings.call_max = std::max(settings.call_max, bad.call_max - settings.call_min);
  });
  return settings;
}

bool Troubles::KillsController() const {
  return std::any_of(troubles_.begin(), troubles_.end(),
                     [](const Trouble& trouble) { return std::holds_alternative<ControllerDown>(trouble.what); });
}

bool Troubles::IsControllerDown(absl::Time now) const {
  bool down = false;
  EachAt<ControllerDown>(now, [&](const ControllerDown&) { down = true; });
  return down;
}

absl::Duration Troubles::ClockBehind(absl::Time now) const {
  absl::Duration behind;
  EachAt<ClockBack>(now, [&](const ClockBack& back) { behind = std::max(behind, back.by); });
  return behind;
}

}  // namespace headroom::sim
