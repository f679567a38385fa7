#include "controller/server/election/kubernetes_lease.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

#include "controller/base/status.h"

namespace headroom {
namespace {

using kubernetes::Json;
using kubernetes::Number;
using kubernetes::Text;

constexpr absl::Duration kWatchPause = absl::Seconds(2);
constexpr char kMicroTime[] = "%E4Y-%m-%dT%H:%M:%E6SZ";

std::string Written(absl::Time time) {
  return absl::FormatTime(kMicroTime, time, absl::UTCTimeZone());
}

absl::Time Read(const std::string& text) {
  absl::Time time = absl::InfinitePast();
  std::string ignored;
  return absl::ParseTime(absl::RFC3339_full, text, &time, &ignored) ? time : absl::InfinitePast();
}

LeaseRecord RecordOf(const Json& object) {
  return {.holder = Text(object, {"spec", "holderIdentity"}),
          .duration = absl::Seconds(Number(object, {"spec", "leaseDurationSeconds"})),
          .acquired_at = Read(Text(object, {"spec", "acquireTime"})),
          .renewed_at = Read(Text(object, {"spec", "renewTime"})),
          .transitions = Number(object, {"spec", "leaseTransitions"}),
          .version = Text(object, {"metadata", "resourceVersion"})};
}

void Fill(Json& object, const LeaseRecord& record) {
  Json& spec = object["spec"];
  spec["holderIdentity"] = record.holder;
  spec["leaseDurationSeconds"] = absl::ToInt64Seconds(record.duration);
  spec["acquireTime"] = Written(record.acquired_at);
  spec["renewTime"] = Written(record.renewed_at);
  spec["leaseTransitions"] = record.transitions;
}

}  // namespace

KubernetesLease::KubernetesLease(kubernetes::Api& api, const std::string& name_space, const std::string& name)
    : api_(api),
      collection_(absl::StrCat("/apis/coordination.k8s.io/v1/namespaces/", name_space, "/leases")),
      name_(name) {}

absl::StatusOr<LeaseRecord> KubernetesLease::Keep(absl::StatusOr<Json> object) {
  HR_RETURN_IF_ERROR(object.status());
  last_ = *std::move(object);
  return RecordOf(last_);
}

absl::StatusOr<LeaseRecord> KubernetesLease::Read(absl::Duration timeout) {
  return Keep(api_.Call({.path = absl::StrCat(collection_, "/", name_), .timeout = timeout}));
}

absl::StatusOr<LeaseRecord> KubernetesLease::Write(const LeaseRecord& record, absl::Duration timeout) {
  const bool is_new = record.version.empty();
  Json object = is_new ? Json{{"apiVersion", "coordination.k8s.io/v1"}, {"kind", "Lease"}} : last_;
  Fill(object, record);
  object["metadata"]["name"] = name_;
  if (is_new) return Keep(api_.Call({.method = "POST", .path = collection_, .body = object, .timeout = timeout}));
  object["metadata"]["resourceVersion"] = record.version;
  return Keep(
      api_.Call({.method = "PUT", .path = absl::StrCat(collection_, "/", name_), .body = object, .timeout = timeout}));
}

void KubernetesLease::Watch(const std::function<void()>& changed) {
  if (watcher_.joinable()) {
    ending_->Cancel();
    watcher_.join();
  }
  if (changed == nullptr) return;
  ending_ = std::make_unique<Cancellation>();
  watcher_ = std::thread([this, changed] { Follow(changed); });
}

// From now on, not from a revision: what was before is known by the calls, and this only saves time.
void KubernetesLease::Follow(const std::function<void()>& changed) {
  const std::string path = absl::StrCat(collection_, "?watch=1&allowWatchBookmarks=true&timeoutSeconds=300",
                                        "&fieldSelector=metadata.name%3D", name_);
  std::string holder;
  Monitor pause;
  while (!ending_->is_cancelled()) {
    const auto take = [&](const kubernetes::WatchEvent& event) {
      if (event.kind == kubernetes::WatchEvent::Kind::kBookmark) return absl::OkStatus();
      if (Text(event.object, {"metadata", "name"}) != name_) return absl::OkStatus();
      const bool gone = event.kind == kubernetes::WatchEvent::Kind::kDeleted;
      const std::string now = gone ? "" : Text(event.object, {"spec", "holderIdentity"});
      if (std::exchange(holder, now) != now) changed();
      return absl::OkStatus();
    };
    api_.Watch(path, take, *ending_).IgnoreError();
    const Cancellation::Listener wake(*ending_, [&pause] { pause.Notify(); });
    const MonitorLock lock(pause);
    if (!ending_->is_cancelled()) pause.Wait(kWatchPause);
  }
}

}  // namespace headroom
