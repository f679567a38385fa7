#include "controller/providers/http/cancellation.h"

#include <utility>

namespace headroom {

Cancellation::Listener::Listener(Cancellation& cancellation, std::function<void()> wake) : cancellation_(cancellation) {
  const MonitorLock lock(cancellation_.mutex_);
  if (cancellation_.cancelled_) wake();
  id_ = ++cancellation_.last_id_;
  cancellation_.wakes_.emplace(id_, std::move(wake));
}

Cancellation::Listener::~Listener() {
  const MonitorLock lock(cancellation_.mutex_);
  cancellation_.wakes_.erase(id_);
}

void Cancellation::Cancel() {
  const MonitorLock lock(mutex_);
  cancelled_ = true;
  for (const auto& [id, wake] : wakes_) wake();
}

bool Cancellation::is_cancelled() const {
  const MonitorLock lock(mutex_);
  return cancelled_;
}

}  // namespace headroom
