#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/string_view.h"
#include <openssl/ssl.h>

#include "tests/controller/providers/http/certificates.h"

namespace headroom {

// One connection of a ScriptedServer, for its script.
class Peer {
 public:
  Peer(int socket, SSL* ssl) : socket_(socket), ssl_(ssl) {}
  // A whole request, head and body; "": there is none any more.
  std::string ReadRequest();
  // False: the client is gone.
  bool Write(absl::string_view bytes);
  void Answer(absl::string_view body, absl::string_view head = "HTTP/1.1 200 OK");
  void Chunk(absl::string_view bytes);
  // RST instead of an end.
  void Reset();
  // Nothing more from this side.
  void HalfClose();
  // Until the client is gone, or the server ends.
  void AwaitEnd();
  // Who the client has shown itself to be; "": nobody.
  std::string ClientName() const;

 private:
  bool Read(std::string& bytes);
  int socket_;
  SSL* ssl_;
};

// ScriptedServer: a server on a port of loopback that does on each connection what its script says, and then closes it.
// A thread for each connection; its destructor ends them all.
class ScriptedServer {
 public:
  using Script = std::function<void(Peer&)>;
  struct Tls {
    Issued identity;
    std::string client_authority;  // PEM; where it is not empty, clients must show a certificate of it
  };
  explicit ScriptedServer(Script script);
  ScriptedServer(Script script, const Tls& tls);
  ~ScriptedServer();
  ScriptedServer(const ScriptedServer&) = delete;
  ScriptedServer& operator=(const ScriptedServer&) = delete;

  int port() const { return port_; }
  // "http://127.0.0.1:PORT", or https.
  std::string url(absl::string_view host = "127.0.0.1") const;
  int connections() const { return connections_; }

 private:
  void Listen();
  void Serve(int socket);

  const Script script_;
  std::shared_ptr<SSL_CTX> tls_;
  int listener_ = -1, port_ = 0;
  std::atomic<bool> ending_ = false;
  std::atomic<int> connections_ = 0;
  std::mutex mutex_;
  std::vector<int> sockets_;
  std::vector<std::thread> threads_;
  std::thread acceptor_;
};

}  // namespace headroom
