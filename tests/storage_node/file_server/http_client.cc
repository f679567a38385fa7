#include "tests/storage_node/file_server/http_client.h"

#include <cerrno>
#include <cstdlib>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace headroom {

TestClient::TestClient(int port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const timeval patience{.tv_sec = 20, .tv_usec = 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  connected_ = ::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
}

TestClient::~TestClient() {
  Close();
}

void TestClient::Close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

bool TestClient::Send(absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

bool TestClient::Fill() {
  char bytes[65536];
  const ssize_t got = ::recv(fd_, bytes, sizeof bytes, 0);
  ended_ = got == 0 || (got < 0 && errno == ECONNRESET);
  if (got <= 0) return false;
  buffer_.append(bytes, static_cast<size_t>(got));
  return true;
}

TestResponse TestClient::Read(absl::string_view method) {
  TestResponse response;
  size_t end;
  while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) {
    if (!Fill()) return response;
  }
  std::vector<std::string> lines = absl::StrSplit(buffer_.substr(0, end), "\r\n");
  buffer_.erase(0, end + 4);
  const int status = std::atoi(lines[0].substr(std::min<size_t>(lines[0].size(), 9)).c_str());
  for (size_t i = 1; i < lines.size(); ++i) {
    const std::pair<std::string, std::string> field = absl::StrSplit(lines[i], absl::MaxSplits(": ", 1));
    response.headers[absl::AsciiStrToLower(field.first)] = field.second;
  }
  const bool has_body = method != "HEAD" && response.headers.count("content-length") > 0;
  const size_t length = has_body ? std::stoul(response.headers["content-length"]) : 0;
  while (buffer_.size() < length) {
    if (!Fill()) return response;
  }
  response.body = buffer_.substr(0, length);
  buffer_.erase(0, length);
  response.status = status;
  return response;
}

TestResponse TestClient::Call(absl::string_view method, absl::string_view target, absl::string_view extra_headers,
                              absl::string_view body) {
  std::string request = absl::StrCat(method, " ", target, " HTTP/1.1\r\nHost: test\r\n", extra_headers);
  if (method == "PUT") absl::StrAppend(&request, "Content-Length: ", body.size(), "\r\n");
  if (!Send(absl::StrCat(request, "\r\n", body))) return {};
  return Read(method);
}

bool TestClient::ReadsEnd() {
  return buffer_.empty() && !Fill();
}

bool TestClient::HasBytesWithin(absl::Duration patience) {
  pollfd poll{.fd = fd_, .events = POLLIN, .revents = 0};
  return !buffer_.empty() || ::poll(&poll, 1, static_cast<int>(absl::ToInt64Milliseconds(patience))) > 0;
}

}  // namespace headroom
