#include "controller/server/operator/event_series.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

#include "controller/runtime/storage_cluster.h"
#include "controller/server/operator/reason_words.h"

namespace headroom {
namespace {

using kubernetes::ApiCall;
using kubernetes::Json;
using kubernetes::Text;

constexpr char kController[] = "headroom.dev/headroomd";
constexpr size_t kObjectNameMax = 253;

std::string MicroTime(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ", time, absl::UTCTimeZone());
}

// "files.17a3f0c2b4d5e6f7": a DNS name, whatever has to be left out of the object's.
std::string NameOf(const std::string& object, int64_t number) {
  const std::string suffix = absl::StrCat(".", absl::Hex(number));
  std::string head = object.substr(0, kObjectNameMax - suffix.size());
  while (!head.empty() && (head.back() == '-' || head.back() == '.')) head.pop_back();
  return absl::StrCat(head, suffix);
}

}  // namespace

double TokenBucket::Tokens(absl::Duration now) const {
  return std::min(rate_.burst, tokens_ + absl::FDivDuration(now - at_, rate_.refill));
}

bool TokenBucket::Take(absl::Duration now, double kept) {
  tokens_ = Tokens(now);
  at_ = now;
  if (tokens_ < 1 + kept) return false;
  tokens_ -= 1;
  return true;
}

absl::Duration TokenBucket::Wait(absl::Duration now) const {
  return std::max(absl::ZeroDuration(), (1 - Tokens(now)) * rate_.refill);
}

EventSeries::EventSeries(absl::string_view instance)
    : instance_(instance.empty() ? "headroomd" : Cut(instance, ClusterEvent::kNameMax)) {}

bool EventSeries::Take(const EventTarget& target, const ClusterEvent& event, EventTime now) {
  Forget(now.steady);
  const Key key{target, event.type, event.reason, event.action};
  if (const auto found = series_.find(key); found != series_.end()) {
    Series& series = found->second;
    ++series.count;
    series.last_at = now.steady;
    series.last_day = now.day;
    return true;
  }
  if (series_.size() >= kSeriesMax || !TakeToken(target, event.type, now.steady)) return false;
  series_[key] = {.event = Body(target, event, now), .last_at = now.steady, .due_at = now.steady, .last_day = now.day};
  return true;
}

bool EventSeries::TakeToken(const EventTarget& target, ClusterEvent::Type type, absl::Duration now) {
  const bool known = tokens_.contains(target);
  if (!known && tokens_.size() >= kTargetsMax) {
    tokens_.erase(std::min_element(tokens_.begin(), tokens_.end(),
                                   [](const auto& a, const auto& b) { return a.second.at() < b.second.at(); }));
  }
  TokenBucket& bucket =
      tokens_.try_emplace(target, TokenBucket::Rate{.burst = kBurst, .refill = kRefill}, now).first->second;
  return bucket.Take(now, type == ClusterEvent::Type::kWarning ? 0 : kReserved);
}

// What is told, and has not happened again for long.
void EventSeries::Forget(absl::Duration now) {
  std::erase_if(series_, [now](const auto& entry) {
    return entry.second.written == entry.second.count && now - entry.second.last_at > kGap;
  });
}

Json EventSeries::Body(const EventTarget& target, const ClusterEvent& event, EventTime now) {
  last_name_ = std::max(last_name_ + 1, absl::ToUnixNanos(now.day));
  return {{"apiVersion", "events.k8s.io/v1"},
          {"kind", "Event"},
          {"metadata", {{"name", NameOf(target.name, last_name_)}, {"namespace", target.name_space}}},
          {"eventTime", MicroTime(now.day)},
          {"reportingController", kController},
          {"reportingInstance", instance_},
          {"action", event.action},
          {"reason", event.reason},
          {"regarding",
           {{"apiVersion", kStorageCluster.api_version},
            {"kind", kStorageCluster.kind},
            {"namespace", target.name_space},
            {"name", target.name},
            {"uid", target.uid}}},
          {"note", event.note},
          {"type", event.type == ClusterEvent::Type::kWarning ? "Warning" : "Normal"}};
}

std::optional<EventSeries::Write> EventSeries::Due(absl::Duration now) {
  Forget(now);
  const std::pair<const Key, Series>* due = nullptr;
  for (const auto& entry : series_) {
    if (entry.second.count == entry.second.written || entry.second.due_at > now) continue;
    if (due == nullptr || entry.second.due_at < due->second.due_at) due = &entry;
  }
  if (due == nullptr) return std::nullopt;
  const auto& [key, series] = *due;
  const std::string collection = absl::StrCat("/apis/events.k8s.io/v1/namespaces/", key.target.name_space, "/events");
  Json told = Json::object();
  if (series.count > 1) told["series"] = {{"count", series.count}, {"lastObservedTime", MicroTime(series.last_day)}};
  if (series.written > 0) {
    const std::string name = Text(series.event, {"metadata", "name"});
    return Write{key, series.count,
                 ApiCall{.method = "PATCH",
                         .path = absl::StrCat(collection, "/", name, "?fieldManager=headroom"),
                         .content_type = "application/merge-patch+json",
                         .body = std::move(told)}};
  }
  told.update(series.event);
  return Write{
      key, series.count,
      ApiCall{.method = "POST", .path = absl::StrCat(collection, "?fieldManager=headroom"), .body = std::move(told)}};
}

absl::Duration EventSeries::NextDue() const {
  absl::Duration next = absl::InfiniteDuration();
  for (const auto& [key, series] : series_) {
    if (series.count > series.written) next = std::min(next, series.due_at);
  }
  return next;
}

void EventSeries::Written(const Write& write, absl::Duration now) {
  Series& series = series_.at(write.key);
  series.written = write.count;
  series.due_at = now + kRewrite;
  series.tries = 0;
}

// The server keeps Events for an hour. As client-go: it is made again, with its count.
void EventSeries::Gone(const Write& write) {
  series_.at(write.key).written = 0;
}

bool EventSeries::Retry(const Write& write) {
  if (++series_.at(write.key).tries < kTriesMax) return false;
  Drop(write);
  return true;
}

void EventSeries::Drop(const Write& write) {
  series_.erase(write.key);
}

}  // namespace headroom
