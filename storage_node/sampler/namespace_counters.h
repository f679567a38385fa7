#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace headroom {

// Whether this process speaks for its network namespace.
enum class SoleReporter {
  kAuto,  // the first that asks in the namespace; when it ends, the next; of overflows only while it is the only one
  kYes,
  kNo,
};

// TCP counters of a whole network namespace, since this process began to speak for it.
struct NamespaceCount {
  // ListenOverflows while this was the only process that asked. Absent: now there are others, whose listeners'
  // overflows cannot be told from its own.
  std::optional<int64_t> overflow_count;
  int64_t segment_out_count = 0;  // OutSegs
  int64_t retransmit_count = 0;   // RetransSegs without TCPSynRetrans
};

// NamespaceCounters: /proc/net/netstat and /proc/net/snmp, told by one process of a namespace only, since three that
// each tell the same segments would make three segments of one. The claim is an abstract unix socket: such names belong
// to the network namespace, and the kernel gives them back when the process ends, however it ends. Who comes second
// holds a second name, by which the first knows that it is not alone. Thread-compatible.
class NamespaceCounters {
 public:
  // Files are read under `root`, and `name` is the claim's, both for tests.
  explicit NamespaceCounters(SoleReporter mode, std::string root = "",
                             std::string name = "headroom/namespace-reporter");
  ~NamespaceCounters();
  NamespaceCounters(const NamespaceCounters&) = delete;
  NamespaceCounters& operator=(const NamespaceCounters&) = delete;

  // Absent: another process speaks for the namespace, or the files are not readable.
  std::optional<NamespaceCount> Read();

 private:
  struct Files {
    int64_t overflow_count, segment_out_count, retransmit_count;
  };
  bool HasClaim();
  bool IsAlone() const;
  std::optional<Files> ReadFiles() const;

  const SoleReporter mode_;
  const std::string root_, name_, second_name_;
  int claim_ = -1, second_ = -1;
  int64_t overflow_count_ = 0;
  std::optional<Files> base_, last_;
};

}  // namespace headroom
