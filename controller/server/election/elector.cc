#include "controller/server/election/elector.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include <sys/eventfd.h>
#include <unistd.h>

namespace headroom {
namespace {

bool IsSameToOthers(const Standing& a, const Standing& b) {
  return a.leads == b.leads && a.holder == b.holder && a.trouble.ok() == b.trouble.ok();
}

}  // namespace

Elector::Elector(std::unique_ptr<Candidate> candidate)
    : candidate_(std::move(candidate)), event_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  candidate_->Watch([this] {
    const MonitorLock lock(mutex_);
    asked_ = begun_ + 1;
    mutex_.Notify();
  });
  thread_ = std::thread([this] { Run(); });
}

Elector::~Elector() {
  Stop();
  candidate_->Watch(nullptr);
  close(event_fd_);
}

void Elector::Stop() {
  {
    const MonitorLock lock(mutex_);
    stopping_ = true;
    mutex_.Notify();
  }
  if (thread_.joinable()) thread_.join();
}

Standing Elector::standing() const {
  const MonitorLock lock(mutex_);
  Standing standing = standing_;
  standing.leads = TimeLeftLocked() > absl::ZeroDuration();
  return standing;
}

absl::Duration Elector::TimeLeft() const {
  const MonitorLock lock(mutex_);
  return TimeLeftLocked();
}

bool Elector::HasLost() const {
  const MonitorLock lock(mutex_);
  return has_lost_;
}

absl::Duration Elector::TimeLeftLocked() const {
  if (!standing_.leads || has_lost_) return absl::ZeroDuration();
  return std::max(absl::ZeroDuration(), standing_.good_until - SteadyNow());
}

bool Elector::Recheck(absl::Duration timeout) {
  const absl::Duration until = SteadyNow() + timeout;
  const MonitorLock lock(mutex_);
  const int64_t ticket = asked_ = begun_ + 1;
  mutex_.Notify();
  while (ended_ < ticket && !stopping_ && !has_lost_) {
    const absl::Duration left = until - SteadyNow();
    if (left <= absl::ZeroDuration()) return false;
    mutex_.Wait(left);
  }
  return TimeLeftLocked() > absl::ZeroDuration();
}

void Elector::Drain() {
  uint64_t count = 0;
  while (read(event_fd_, &count, sizeof count) > 0) {
  }
}

void Elector::Run() {
  while (true) {
    {
      const MonitorLock lock(mutex_);
      if (stopping_ || has_lost_) return;  // who has lost it does not keep it from others
      ++begun_;
    }
    const Standing standing = candidate_->Round();
    const MonitorLock lock(mutex_);
    const bool news = !IsSameToOthers(standing_, standing);
    Take(standing);
    ended_ = begun_;
    mutex_.Notify();
    const uint64_t one = 1;
    if (news) std::ignore = write(event_fd_, &one, sizeof one);
    const absl::Duration until = SteadyNow() + standing.pause;
    while (!stopping_ && !has_lost_ && asked_ <= begun_ && SteadyNow() < until) mutex_.Wait(until - SteadyNow());
  }
}

void Elector::Take(const Standing& standing) {
  const bool ran_out = standing_.leads && SteadyNow() >= standing_.good_until;
  const bool is_another = !standing.leads || standing.number != standing_.number;
  if (has_led_ && (ran_out || is_another)) has_lost_ = true;
  has_led_ = has_led_ || standing.leads;
  standing_ = standing;
}

absl::Status Elector::Release() {
  Stop();
  {
    const MonitorLock lock(mutex_);
    standing_.leads = false;
  }
  return candidate_->Release();
}

}  // namespace headroom
