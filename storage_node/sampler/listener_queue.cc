#include "storage_node/sampler/listener_queue.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

namespace headroom {
namespace {

constexpr uint32_t kListenStates = 1u << TCP_LISTEN;
constexpr size_t kAnswerBytes = 32 << 10;
constexpr timeval kPatience = {.tv_sec = 1, .tv_usec = 0};

absl::Status Failed(absl::string_view what) {
  return absl::UnavailableError(absl::StrCat(what, ": ", std::strerror(errno)));
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

struct Request {
  nlmsghdr header{};
  inet_diag_req_v2 body{};
};

bool Ask(int netlink, int family, uint16_t port) {
  Request request;
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  request.body.sdiag_family = static_cast<uint8_t>(family);
  request.body.sdiag_protocol = IPPROTO_TCP;
  request.body.idiag_ext = 1u << (INET_DIAG_SKMEMINFO - 1);
  request.body.idiag_states = kListenStates;
  request.body.id.idiag_sport = htons(port);
  return send(netlink, &request, sizeof request, 0) == static_cast<ssize_t>(sizeof request);
}

std::optional<int64_t> DropsOf(inet_diag_msg* message, size_t length) {
  auto* attribute = reinterpret_cast<rtattr*>(message + 1);
  size_t left = length - sizeof *message;
  for (; RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left)) {
    if (attribute->rta_type != INET_DIAG_SKMEMINFO) continue;
    if (RTA_PAYLOAD(attribute) < (SK_MEMINFO_DROPS + 1) * sizeof(uint32_t)) continue;
    std::array<uint32_t, SK_MEMINFO_DROPS + 1> values{};
    std::memcpy(values.data(), RTA_DATA(attribute), sizeof values);
    return values[SK_MEMINFO_DROPS];
  }
  return std::nullopt;
}

// The listeners found so far, added up.
struct Sum {
  int socket_count = 0;
  ListenerQueue queue;

  void Add(inet_diag_msg* message, size_t length) {
    ++socket_count;
    queue.waiting_count += message->idiag_rqueue;
    queue.waiting_count_max += message->idiag_wqueue;
    if (const std::optional<int64_t> drops = DropsOf(message, length)) {
      queue.drop_count = queue.drop_count.value_or(0) + *drops;
    }
  }
};

enum class Answer { kMore, kDone, kRefused };

Answer Digest(char* bytes, size_t length, Sum& sum, uint16_t port) {
  auto* header = reinterpret_cast<nlmsghdr*>(bytes);
  for (; NLMSG_OK(header, length); header = NLMSG_NEXT(header, length)) {
    if (header->nlmsg_type == NLMSG_DONE) return Answer::kDone;
    if (header->nlmsg_type == NLMSG_ERROR) return Answer::kRefused;
    auto* message = static_cast<inet_diag_msg*>(NLMSG_DATA(header));
    const bool whole = header->nlmsg_len >= NLMSG_LENGTH(sizeof *message);
    if (whole && message->id.idiag_sport == htons(port)) sum.Add(message, header->nlmsg_len - NLMSG_HDRLEN);
  }
  return Answer::kMore;
}

absl::Status Collect(int family, uint16_t port, Sum& sum) {
  const Descriptor netlink(socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
  if (netlink.get() < 0) return Failed("opening sock_diag");
  setsockopt(netlink.get(), SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
  if (!Ask(netlink.get(), family, port)) return Failed("asking sock_diag");
  alignas(nlmsghdr) std::array<char, kAnswerBytes> answer;
  for (;;) {
    const ssize_t length = recv(netlink.get(), answer.data(), answer.size(), 0);
    if (length <= 0) return Failed("reading sock_diag");
    switch (Digest(answer.data(), static_cast<size_t>(length), sum, port)) {
      case Answer::kDone:
        return absl::OkStatus();
      case Answer::kRefused:
        return absl::UnavailableError("sock_diag refused the request");
      case Answer::kMore:
        break;
    }
  }
}

}  // namespace

absl::StatusOr<ListenerQueue> ReadOwnListener(int socket) {
  tcp_info info{};
  socklen_t length = sizeof info;
  if (getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &length) != 0) return Failed("TCP_INFO of the listener");
  if (info.tcpi_state != TCP_LISTEN) return absl::FailedPreconditionError("the socket does not listen");
  ListenerQueue queue{.waiting_count = info.tcpi_unacked, .waiting_count_max = info.tcpi_sacked};
  std::array<uint32_t, SK_MEMINFO_VARS> memory{};
  length = sizeof memory;
  const bool told = getsockopt(socket, SOL_SOCKET, SO_MEMINFO, memory.data(), &length) == 0;
  if (told && length > SK_MEMINFO_DROPS * sizeof(uint32_t)) queue.drop_count = memory[SK_MEMINFO_DROPS];
  return queue;
}

absl::StatusOr<ListenerQueue> ReadListenersOn(uint16_t port) {
  Sum sum;
  const absl::Status four = Collect(AF_INET, port, sum);
  const absl::Status six = Collect(AF_INET6, port, sum);
  if (!four.ok() && !six.ok()) return four;
  if (sum.socket_count == 0) return absl::NotFoundError(absl::StrCat("nobody listens on port ", port));
  return sum.queue;
}

}  // namespace headroom
