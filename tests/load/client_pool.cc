#include "tests/load/client_pool.h"

#include <algorithm>

#include "controller/base/check.h"

namespace headroom::load {

ClientPool::Answer ClientPool::Acquire(RequestId request, int connections_max) {
  if (!idle_.empty()) {
    const ConnectionId connection = idle_.back();
    idle_.pop_back();
    return {.grant = Grant::kReuse, .connection = connection};
  }
  if (open_ < connections_max) {
    ++open_;
    return {.grant = Grant::kOpen, .connection = 0};
  }
  line_.push_back(request);
  return {.grant = Grant::kWait, .connection = 0};
}

RequestId ClientPool::TakeFirst() {
  HR_CHECK(!line_.empty());
  const RequestId request = line_.front();
  line_.pop_front();
  return request;
}

void ClientPool::Leave(RequestId request) {
  const auto at = std::find(line_.begin(), line_.end(), request);
  HR_CHECK(at != line_.end());
  line_.erase(at);
}

void ClientPool::ClosedIdle(ConnectionId connection) {
  const auto at = std::find(idle_.begin(), idle_.end(), connection);
  HR_CHECK(at != idle_.end());
  idle_.erase(at);
  --open_;
}

}  // namespace headroom::load
