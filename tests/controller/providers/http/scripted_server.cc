#include "tests/controller/providers/http/scripted_server.h"

#include <algorithm>
#include <csignal>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <unistd.h>

#include "controller/base/check.h"
#include "controller/providers/http/tls.h"

namespace headroom {

bool Peer::Read(std::string& bytes) {
  char buffer[4096];
  const auto count = ssl_ != nullptr ? SSL_read(ssl_, buffer, sizeof buffer)
                                     : static_cast<int>(recv(socket_, buffer, sizeof buffer, 0));
  if (count <= 0) return false;
  bytes.append(buffer, static_cast<size_t>(count));
  return true;
}

std::string Peer::ReadRequest() {
  std::string request;
  size_t whole = std::string::npos;
  while (request.size() < whole) {
    if (!Read(request)) return "";
    const size_t head = request.find("\r\n\r\n");
    if (whole != std::string::npos || head == std::string::npos) continue;
    size_t length = 0;
    if (const size_t at = request.find("Content-Length:"); at < head) {
      const size_t begin = at + 15;
      HR_CHECK(absl::SimpleAtoi(request.substr(begin, request.find('\r', begin) - begin), &length));
    }
    whole = head + 4 + length;
  }
  return request;
}

bool Peer::Write(absl::string_view bytes) {
  while (!bytes.empty()) {
    const auto count = ssl_ != nullptr ? SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size()))
                                       : static_cast<int>(send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL));
    if (count <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(count));
  }
  return true;
}

void Peer::Answer(absl::string_view body, absl::string_view head) {
  Write(absl::StrCat(head, "\r\nContent-Length: ", body.size(), "\r\n\r\n", body));
}

void Peer::Chunk(absl::string_view bytes) {
  Write(absl::StrFormat("%x\r\n%s\r\n", bytes.size(), bytes));
}

void Peer::Reset() {
  const linger now{.l_onoff = 1, .l_linger = 0};
  setsockopt(socket_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

void Peer::HalfClose() {
  shutdown(socket_, SHUT_WR);
}

void Peer::AwaitEnd() {
  std::string nobody_cares;
  while (Read(nobody_cares)) nobody_cares.clear();
}

std::string Peer::ClientName() const {
  X509* certificate = SSL_get1_peer_certificate(ssl_);
  if (certificate == nullptr) return "";
  char name[256] = "";
  X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name, sizeof name);
  X509_free(certificate);
  return name;
}

ScriptedServer::ScriptedServer(Script script) : script_(std::move(script)) {
  Listen();
}

ScriptedServer::ScriptedServer(Script script, const Tls& tls)
    : script_(std::move(script)), tls_(SSL_CTX_new(TLS_server_method()), SSL_CTX_free) {
  HR_CHECK(
      UseTls(tls_.get(),
             {.authorities = tls.client_authority, .certificate = tls.identity.certificate, .key = tls.identity.key})
          .ok());
  if (!tls.client_authority.empty())
    SSL_CTX_set_verify(tls_.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  Listen();
}

void ScriptedServer::Listen() {
  std::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes without MSG_NOSIGNAL
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{.sin_family = AF_INET, .sin_port = 0, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t length = sizeof address;
  HR_CHECK(bind(listener_, reinterpret_cast<sockaddr*>(&address), length) == 0);
  HR_CHECK(listen(listener_, 64) == 0);
  HR_CHECK(getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length) == 0);
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] {
    for (int socket = 0; (socket = accept(listener_, nullptr, nullptr)) >= 0;) {
      const std::lock_guard lock(mutex_);
      ++connections_;
      sockets_.push_back(socket);
      threads_.emplace_back([this, socket] { Serve(socket); });
      if (ending_) shutdown(socket, SHUT_RDWR);
    }
  });
}

void ScriptedServer::Serve(int socket) {
  SSL* ssl = tls_ == nullptr ? nullptr : SSL_new(tls_.get());
  if (ssl != nullptr) SSL_set_fd(ssl, socket);
  if (ssl == nullptr || SSL_accept(ssl) == 1) {
    Peer peer(socket, ssl);
    script_(peer);
  }
  if (ssl != nullptr) SSL_shutdown(ssl);
  SSL_free(ssl);
  const std::lock_guard lock(mutex_);
  std::erase(sockets_, socket);
  close(socket);
}

ScriptedServer::~ScriptedServer() {
  ending_ = true;
  shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  close(listener_);
  {
    const std::lock_guard lock(mutex_);
    for (const int socket : sockets_) shutdown(socket, SHUT_RDWR);
  }
  for (std::thread& thread : threads_) thread.join();
}

std::string ScriptedServer::url(absl::string_view host) const {
  return absl::StrCat(tls_ == nullptr ? "http" : "https", "://", host, ":", port_);
}

}  // namespace headroom
