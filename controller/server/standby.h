#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include <grpcpp/server.h>

#include "controller/server/http_server.h"

namespace headroom {

// Standby: the ports of a controller that does not lead. Every call is refused at once, UNAVAILABLE, with a sentence
// and, where it is known, the leader in the trailing metadata (controller/wire/leader_word.h), so that nodes and
// operators go there by themselves. /healthz is well: to stand by is what it is for. The destructor closes the ports,
// for the controller to open them.
class Standby {
 public:
  struct Options {
    std::string listen;
    int grpc_port = 0, http_port = 0;
    std::string version;
    std::shared_ptr<grpc::ServerCredentials> credentials;
    std::function<std::string()> leader;  // "10.0.0.3:7600"; empty: nobody that is known. Any thread
  };
  // UNAVAILABLE: a port is in use.
  static absl::StatusOr<std::unique_ptr<Standby>> Start(Options options);
  ~Standby();

 private:
  class Refusal;
  explicit Standby(Options options);
  HttpAnswer Page(absl::string_view path) const;

  const Options options_;
  std::unique_ptr<Refusal> refusal_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<HttpServer> http_;
};

}  // namespace headroom
