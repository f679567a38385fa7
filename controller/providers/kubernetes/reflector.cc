#include "controller/providers/kubernetes/reflector.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"

#include "controller/base/percent_encoding.h"
#include "controller/base/status.h"
#include "controller/providers/kubernetes/listing.h"

namespace headroom::kubernetes {
namespace {

constexpr int kWatchSeconds = 300;  // then the server ends it, and it begins again where it was

}  // namespace

Reflector::Reflector(Api& api, Options options, Sink& sink)
    : api_(api), options_(std::move(options)), sink_(sink), pause_(options_.pause), thread_([this] { Run(); }) {}

Reflector::~Reflector() {
  {
    const MonitorLock lock(mutex_);
    stopping_ = true;
    mutex_.Notify();
  }
  ending_.Cancel();
  thread_.join();
}

void Reflector::Run() {
  while (!ending_.is_cancelled()) {
    absl::Status told = List();
    while (told.ok() && !ending_.is_cancelled()) told = Follow();
    // Too old a revision is no loss, unless the server holds every one for too old.
    const bool old = absl::IsOutOfRange(told) && !std::exchange(relisted_, true);
    if (!old && !ending_.is_cancelled()) Lose(told);
  }
}

void Reflector::Lose(const absl::Status& why) {
  sink_.Lost(why);
  if (options_.say != nullptr && said_ != why.code()) {
    said_ = why.code();
    options_.say(absl::StrCat(options_.what, " cannot be followed: ", why.message()));
  }
  const MonitorLock lock(mutex_);
  if (!stopping_) mutex_.Wait(pause_);
  pause_ = std::min(2 * pause_, options_.pause_max);
}

std::string Reflector::Selection() const {
  return options_.selector.empty() ? "" : absl::StrCat("labelSelector=", PercentEncoded(options_.selector));
}

absl::Status Reflector::List() {
  HR_ASSIGN_OR_RETURN(
      Listing listing,
      ListAll(api_,
              {.path = options_.path, .selection = Selection(), .cancellation = &ending_, .trim = options_.trim}));
  revision_ = std::move(listing.revision);
  if (!ending_.is_cancelled()) sink_.Replace(std::move(listing.objects));
  return absl::OkStatus();
}

absl::Status Reflector::Follow() {
  const std::string selection = Selection();
  const std::string target = absl::StrCat(options_.path, "?", selection, selection.empty() ? "" : "&",
                                          "watch=1&allowWatchBookmarks=true&timeoutSeconds=", kWatchSeconds,
                                          "&resourceVersion=", PercentEncoded(revision_));
  const auto began = std::chrono::steady_clock::now();
  int events = 0;
  const absl::Status told = api_.Watch(
      target,
      [&](const WatchEvent& event) {
        ++events;
        Take(event);
        return absl::OkStatus();
      },
      ending_);
  const absl::Duration lasted = absl::FromChrono(std::chrono::steady_clock::now() - began);
  if (events > 0 || lasted > options_.pause_max) pause_ = options_.pause;
  // As client-go: a server that ends every watch at once is not asked without a pause.
  const bool hasty = events == 0 && lasted < absl::Seconds(1);
  return told.ok() && hasty ? absl::UnavailableError("the server ended the watch at once") : told;
}

void Reflector::Take(const WatchEvent& event) {
  said_ = absl::StatusCode::kOk;
  relisted_ = false;
  if (std::string revision = Text(event.object, {"metadata", "resourceVersion"}); !revision.empty())
    revision_ = std::move(revision);
  if (event.kind != WatchEvent::Kind::kBookmark && !ending_.is_cancelled()) sink_.Apply(event);
}

}  // namespace headroom::kubernetes
