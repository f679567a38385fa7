#include "storage_node/gate/limit_applier.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "controller/base/status.h"

namespace headroom {
namespace {

rlimit DescriptorLimit() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  return limit;
}

// Best effort: whoever needs the room reads it back.
void RaiseDescriptorLimit(int64_t wanted) {
  rlimit limit = DescriptorLimit();
  if (limit.rlim_cur >= static_cast<rlim_t>(wanted)) return;
  limit.rlim_cur = std::min(limit.rlim_max, static_cast<rlim_t>(wanted));
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

int64_t Bounded(rlim_t descriptors) {
  return static_cast<int64_t>(std::min<rlim_t>(descriptors, rlim_t{1} << 40));
}

}  // namespace

const char* Name(LimitBound bound) {
  return bound == LimitBound::kDescriptors ? "fds" : "none";
}

absl::StatusOr<AcceptQueue> ReadAcceptQueue(int listener) {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (::getsockopt(listener, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) {
    return absl::InternalError(absl::StrCat("TCP_INFO of the listener: ", std::strerror(errno)));
  }
  // Of a listening socket the kernel puts the queue's length and capacity into these two fields.
  return AcceptQueue{.waiting = info.tcpi_unacked, .capacity = info.tcpi_sacked};
}

int64_t LimitApplier::Ceiling() const {
  const int64_t room = Bounded(DescriptorLimit().rlim_max) - options_.descriptors_fixed;
  return std::clamp<int64_t>(room / options_.descriptors_per_connection, 1, SlotCounter::kMost);
}

absl::Status LimitApplier::SetBacklog(int64_t connection_limit) {
  const int64_t scaled = options_.backlog * connection_limit / std::max<int64_t>(options_.connection_limit, 1);
  const auto backlog = static_cast<int>(std::clamp<int64_t>(scaled, options_.backlog, 1 << 16));
  if (::listen(options_.listener, backlog) == 0) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("listen with backlog ", backlog, ": ", std::strerror(errno)));
}

absl::StatusOr<AppliedLimit> LimitApplier::Apply(int64_t connection_limit) {
  if (connection_limit < 1) {
    return absl::InvalidArgumentError(absl::StrCat("connection limit ", connection_limit, " would admit nobody"));
  }
  std::lock_guard lock(mutex_);
  const int64_t most = Ceiling();
  const int64_t limit = std::min(connection_limit, most);
  RaiseDescriptorLimit(options_.descriptors_fixed + limit * options_.descriptors_per_connection);
  if (limit < gate_.limits().connections) gate_.SetConnectionLimit(limit);
  HR_RETURN_IF_ERROR(SetBacklog(limit));
  gate_.SetConnectionLimit(limit);
  HR_ASSIGN_OR_RETURN(const AcceptQueue queue, ReadAcceptQueue(options_.listener));
  return AppliedLimit{.requested = connection_limit,
                      .in_force = gate_.limits().connections,
                      .bound_by = limit < connection_limit ? LimitBound::kDescriptors : LimitBound::kNone,
                      .backlog = queue.capacity,
                      .descriptors = Bounded(DescriptorLimit().rlim_cur)};
}

}  // namespace headroom
