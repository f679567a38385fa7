#include "controller/providers/http/call.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace headroom {

void Call::Connected() {
  const MonitorLock lock(mutex_);
  connected_ = true;
  heard_at_ = Steady::now();
  mutex_.Notify();
}

void Call::Begin(HttpResponse head) {
  const MonitorLock lock(mutex_);
  connected_ = true;
  heard_at_ = Steady::now();
  head_ = std::move(head);
  mutex_.Notify();
}

void Call::Add(absl::string_view bytes) {
  const MonitorLock lock(mutex_);
  heard_at_ = Steady::now();
  if (bytes_.size() + bytes.size() <= bounds_.bytes_max) {
    bytes_.append(bytes.data(), bytes.size());
  } else if (!ended_.has_value()) {
    ended_ = absl::FailedPreconditionError(absl::StrCat("it sends more than ", bounds_.bytes_max, " bytes"));
  }
  mutex_.Notify();
}

void Call::End(const absl::Status& how) {
  const MonitorLock lock(mutex_);
  if (!ended_.has_value()) ended_ = how;
  mutex_.Notify();
}

Call::Deadline Call::Next() const {
  const Steady::time_point now = Steady::now();
  const absl::Duration since_began = absl::FromChrono(now - began_at_), silent = absl::FromChrono(now - heard_at_);
  Deadline next{bounds_.whole - since_began, "no whole answer in time"};
  const Deadline connect{bounds_.connect - since_began, "no connection in time"};
  const Deadline idle{bounds_.idle - silent, "it has gone silent"};
  if (!connected_ && connect.left < next.left) next = connect;
  if (connected_ && idle.left < next.left) next = idle;
  return next;
}

Call::News Call::Wait() {
  const MonitorLock lock(mutex_);
  while (!ended_.has_value() && !head_.has_value() && bytes_.empty()) {
    const Deadline next = Next();
    if (next.left > absl::ZeroDuration()) {
      mutex_.Wait(next.left);
    } else {
      ended_ = absl::DeadlineExceededError(next.what);
    }
  }
  News news{.ended = ended_.has_value(), .how = ended_.value_or(absl::OkStatus())};
  news.head = std::exchange(head_, std::nullopt);
  news.bytes = std::exchange(bytes_, "");
  return news;
}

}  // namespace headroom
