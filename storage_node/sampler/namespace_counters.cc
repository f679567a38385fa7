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

namespace {

// -1: another process holds the name.
int Claim(const std::string& name) {
  const int claim = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (claim < 0) return -1;
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  std::copy(name.begin(), name.end(), address.sun_path + 1);  // a leading zero: an abstract name
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  if (bind(claim, reinterpret_cast<const sockaddr*>(&address), length) == 0) return claim;
  close(claim);
  return -1;
}

void Release(int& claim) {
  if (claim >= 0) close(std::exchange(claim, -1));
}

}  // namespace

NamespaceCounters::NamespaceCounters(SoleReporter mode, std::string root, std::string name)
    : mode_(mode), root_(std::move(root)), name_(std::move(name)), second_name_(name_ + "/second") {
  HR_CHECK(second_name_.size() + 1 < sizeof(sockaddr_un::sun_path));
}

NamespaceCounters::~NamespaceCounters() {
  Release(claim_);
  Release(second_);
}

bool NamespaceCounters::HasClaim() {
  if (mode_ == SoleReporter::kYes) return true;
  if (mode_ == SoleReporter::kAuto && claim_ < 0) claim_ = Claim(name_);
  if (claim_ >= 0) {
    Release(second_);
    return true;
  }
  if (second_ < 0) second_ = Claim(second_name_);
  return false;
}

bool NamespaceCounters::IsAlone() const {
  if (mode_ == SoleReporter::kYes) return true;
  int probe = Claim(second_name_);
  const bool alone = probe >= 0;
  Release(probe);
  return alone;
}

std::optional<NamespaceCounters::Files> NamespaceCounters::ReadFiles() const {
  // "net" is of the thread that reads; /proc/net would be of the process's first thread.
  const std::optional<std::string> netstat = ReadSmallFile(absl::StrCat(root_, "/proc/thread-self/net/netstat"));
  const std::optional<std::string> snmp = ReadSmallFile(absl::StrCat(root_, "/proc/thread-self/net/snmp"));
  if (!netstat || !snmp) return std::nullopt;
  const std::optional<int64_t> overflows = CounterIn(*netstat, "TcpExt", "ListenOverflows");
  const std::optional<int64_t> out = CounterIn(*snmp, "Tcp", "OutSegs");
  const std::optional<int64_t> again = CounterIn(*snmp, "Tcp", "RetransSegs");
  if (!overflows || !out || !again) return std::nullopt;
  const int64_t syns = CounterIn(*netstat, "TcpExt", "TCPSynRetrans").value_or(0);
  return Files{*overflows, *out, std::max<int64_t>(0, *again - syns)};
}

std::optional<NamespaceCount> NamespaceCounters::Read() {
  if (!HasClaim()) return std::nullopt;
  const std::optional<Files> now = ReadFiles();
  if (!now) return std::nullopt;
  if (!base_) base_ = last_ = now;
  const bool alone = IsAlone();
  if (alone) overflow_count_ += now->overflow_count - last_->overflow_count;
  last_ = now;
  NamespaceCount count{.segment_out_count = now->segment_out_count - base_->segment_out_count,
                       .retransmit_count = std::max<int64_t>(0, now->retransmit_count - base_->retransmit_count)};
  if (alone) count.overflow_count = overflow_count_;
  return count;
}

}  // namespace headroom
