#include "storage_node/sampler/namespace_counters.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "absl/strings/str_cat.h"
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "controller/base/check.h"
#include "storage_node/sampler/kernel_text.h"
#include "storage_node/sampler/small_file.h"

namespace headroom {

NamespaceCounters::NamespaceCounters(SoleReporter mode, std::string root, std::string name)
    : mode_(mode), root_(std::move(root)), name_(std::move(name)) {
  HR_CHECK(name_.size() + 1 < sizeof(sockaddr_un::sun_path));
}

NamespaceCounters::~NamespaceCounters() {
  if (claim_ >= 0) close(claim_);
}

bool NamespaceCounters::HasClaim() {
  if (mode_ != SoleReporter::kAuto) return mode_ == SoleReporter::kYes;
  if (claim_ >= 0) return true;
  const int claim = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (claim < 0) return false;
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  std::copy(name_.begin(), name_.end(), address.sun_path + 1);  // a leading zero: an abstract name
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name_.size());
  if (bind(claim, reinterpret_cast<const sockaddr*>(&address), length) != 0) {
    close(claim);
    return false;
  }
  claim_ = claim;
  return true;
}

std::optional<NamespaceCount> NamespaceCounters::ReadFiles() const {
  // "net" is of the thread that reads; /proc/net would be of the process's first thread.
  const std::optional<std::string> netstat = ReadSmallFile(absl::StrCat(root_, "/proc/thread-self/net/netstat"));
  const std::optional<std::string> snmp = ReadSmallFile(absl::StrCat(root_, "/proc/thread-self/net/snmp"));
  if (!netstat || !snmp) return std::nullopt;
  const std::optional<int64_t> overflows = CounterIn(*netstat, "TcpExt", "ListenOverflows");
  const std::optional<int64_t> out = CounterIn(*snmp, "Tcp", "OutSegs");
  const std::optional<int64_t> again = CounterIn(*snmp, "Tcp", "RetransSegs");
  if (!overflows || !out || !again) return std::nullopt;
  const int64_t syns = CounterIn(*netstat, "TcpExt", "TCPSynRetrans").value_or(0);
  return NamespaceCount{*overflows, *out, std::max<int64_t>(0, *again - syns)};
}

std::optional<NamespaceCount> NamespaceCounters::Read() {
  if (!HasClaim()) return std::nullopt;
  const std::optional<NamespaceCount> now = ReadFiles();
  if (!now) return std::nullopt;
  if (!base_) base_ = now;
  return NamespaceCount{now->overflow_count - base_->overflow_count, now->segment_out_count - base_->segment_out_count,
                        std::max<int64_t>(0, now->retransmit_count - base_->retransmit_count)};
}

}  // namespace headroom
