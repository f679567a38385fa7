#include "controller/core/forecast/features.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "controller/base/check.h"

namespace headroom::forecast {
namespace {

constexpr int kLastValues = 10;
constexpr int kProfileDays = 7;

// Mean of `count` slots from `from` on; what is not known counts as `otherwise`.
double MeanFrom(const SlotHistory& history, int64_t from, int64_t count, double otherwise) {
  double sum = 0;
  for (int64_t slot = from; slot < from + count; ++slot) sum += history.Or(slot, otherwise);
  return sum / static_cast<double>(count);
}

std::optional<double> Profile(const SlotHistory& history, int64_t slot, int64_t per_day) {
  std::array<double, kProfileDays> known{};
  size_t count = 0;
  for (int day = 1; day <= kProfileDays; ++day) {
    const double value = history[slot - day * per_day];
    if (!std::isnan(value)) known[count++] = value;
  }
  if (count == 0) return std::nullopt;
  std::nth_element(known.begin(), known.begin() + count / 2, known.begin() + count);
  return known[count / 2];
}

class Row {
 public:
  explicit Row(Features& features) : features_(features) {}
  ~Row() { HR_CHECK(next_ == features_.size()); }
  double Add(double value) { return features_[next_++] = value; }

 private:
  Features& features_;
  size_t next_ = 0;
};

}  // namespace

Outlook LookAhead(const SlotHistory& history, const Slots& slots, int64_t ahead, int64_t season, double level) {
  const int64_t now = history.newest(), target = now + ahead;
  const int64_t day = slots.per_day, week = slots.per_week(), half_hour = slots.per_half_hour();
  Outlook look;
  look.last = history[now];
  Row row(look.features);
  row.Add(level);
  double older = look.last;
  for (int i = 0; i < kLastValues; ++i) older = row.Add(history.Or(now - i, older));
  row.Add(MeanFrom(history, now - 23, 14, look.last));

  look.yesterday = row.Add(history.Or(target - day, look.last));
  row.Add(history.Or(target - day - 1, look.yesterday));
  row.Add(history.Or(std::min(now, target - day + 1), look.yesterday));
  row.Add(history.Or(target - 2 * day, look.yesterday));
  row.Add(history.Or(target - week, look.yesterday));
  const double yesterday_now = row.Add(history.Or(now - day, look.last));
  row.Add(history.Or(now - week, yesterday_now));
  look.profile = Profile(history, target, day);
  look.profile_now = Profile(history, now, day);
  row.Add(look.profile.value_or(look.last));
  row.Add(look.profile_now.value_or(look.last));
  const double recently = MeanFrom(history, now - half_hour + 1, half_hour, look.last);
  const double recently_yesterday = row.Add(MeanFrom(history, now - half_hour + 1 - day, half_hour, look.last));
  look.change_since_yesterday = recently - recently_yesterday;

  // The newest whole season before the target that is known already.
  const int64_t back = season > 0 ? (ahead + season - 1) / season * season : 0;
  const double season_ago = row.Add(season > 0 ? history.Or(target - back, look.last) : look.last);
  row.Add(season > 0 ? history.Or(now - season, look.last) : look.last);
  row.Add(season > 0 ? history.Or(target - back - season, season_ago) : look.last);
  row.Add(MeanFrom(history, target - day - half_hour, 2 * half_hour, look.yesterday));
  return look;
}

}  // namespace headroom::forecast
