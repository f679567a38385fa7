#include "controller/providers/kubernetes/reflector.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "controller/base/percent_encoding.h"
#include "controller/base/status.h"

namespace headroom::kubernetes {
namespace {

constexpr int kPageSize = 500;
constexpr absl::Duration kPageTimeout = absl::Seconds(30);
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

std::string Reflector::Target(absl::string_view query) const {
  const std::string selector =
      options_.selector.empty() ? "" : absl::StrCat("labelSelector=", PercentEncoded(options_.selector), "&");
  return absl::StrCat(options_.path, "?", selector, query);
}

absl::Status Reflector::List() {
  std::vector<Json> objects;
  std::string next;
  do {
    HR_RETURN_IF_ERROR(AddPage(objects, next));
  } while (!next.empty() && !ending_.is_cancelled());
  if (!ending_.is_cancelled()) sink_.Replace(std::move(objects));
  return absl::OkStatus();
}

absl::Status Reflector::AddPage(std::vector<Json>& objects, std::string& next) {
  const std::string query =
      absl::StrCat("limit=", kPageSize, next.empty() ? "" : absl::StrCat("&continue=", PercentEncoded(next)));
  HR_ASSIGN_OR_RETURN(Json page, api_.Call({.path = Target(query), .timeout = kPageTimeout, .cancellation = &ending_}));
  revision_ = Text(page, {"metadata", "resourceVersion"});
  next = Text(page, {"metadata", "continue"});
  // Go says null where there are none. Anything else is no list, and nobody is gone for that.
  if (Part(page, {"items"}).is_null() && absl::EndsWith(Text(page, {"kind"}), "List")) return absl::OkStatus();
  if (!Part(page, {"items"}).is_array()) {
    return absl::UnavailableError(absl::StrCat(options_.path, " was not answered with a list"));
  }
  for (Json& object : page["items"]) {
    if (options_.trim != nullptr) options_.trim(object);
    objects.push_back(std::move(object));
  }
  if (objects.size() <= kObjectsMax) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat(options_.what, " are more than ", kObjectsMax, ": follow fewer by a selector or a namespace"));
}

absl::Status Reflector::Follow() {
  const std::string target = Target(absl::StrCat("watch=1&allowWatchBookmarks=true&timeoutSeconds=", kWatchSeconds,
                                                 "&resourceVersion=", PercentEncoded(revision_)));
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
