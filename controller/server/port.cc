#include "controller/server/port.h"

#include <cerrno>
#include <cstdint>
#include <optional>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "controller/base/status.h"
#include "controller/providers/local_record.h"

namespace headroom {
namespace {

// The port that this one, or any for 0, turns out to be when it is taken for a moment.
absl::StatusOr<int> Try(int port) {
  const int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  // As the server itself: connections of the last run that are not quite over do not hold the port.
  const int on = 1;
  if (descriptor >= 0) setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  const bool found = descriptor >= 0 && bind(descriptor, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                     getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &size) == 0;
  const absl::Status status = found ? absl::OkStatus() : absl::ErrnoToStatus(errno, "cannot find a free port");
  if (descriptor >= 0) close(descriptor);
  if (!status.ok()) return status;
  return ntohs(address.sin_port);
}

std::optional<int> LastPort(const std::string& path) {
  const absl::StatusOr<std::string> text = ReadStateFile(path);
  int port = 0;
  const bool good = text.ok() && absl::SimpleAtoi(*text, &port) && port > 0 && port <= 65'535;
  return good ? std::optional<int>(port) : std::nullopt;
}

}  // namespace

absl::StatusOr<int> ChoosePort(const std::string& state_dir) {
  const std::string path = absl::StrCat(state_dir, "/grpc_port");
  if (const std::optional<int> last = LastPort(path); last.has_value() && Try(*last).ok()) return *last;
  HR_ASSIGN_OR_RETURN(const int port, Try(0));
  HR_RETURN_IF_ERROR(WriteStateFile(path, absl::StrCat(port, "\n")));
  return port;
}

}  // namespace headroom
