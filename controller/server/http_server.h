#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace headroom {

// What a page answers.
struct HttpAnswer {
  int code = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
};

// HttpServer: a small HTTP/1.1 server for people and Prometheus: GET and HEAD only, requests without a body, headers of
// at most 8 KiB, at most kConnectionsMax connections, each idle for at most kIdleMax. One thread of its own runs
// everything; `pages` is called on it and should answer within a second. The destructor closes what is open and joins.
class HttpServer {
 public:
  static constexpr int kConnectionsMax = 128;

  struct Options {
    std::string address = "127.0.0.1";
    int port = 0;  // 0: any
    std::function<HttpAnswer(absl::string_view path)> pages;
  };
  // UNAVAILABLE: the port is in use. INVALID_ARGUMENT: no such address.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(Options options);
  ~HttpServer();

  int port() const;

 private:
  class Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace headroom
