#include "controller/server/standby.h"

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/server_builder.h>

#include "controller/base/address.h"
#include "controller/base/status.h"
#include "controller/wire/endpoints.h"
#include "controller/wire/leader_word.h"

namespace headroom {
namespace {

std::string SentenceOf(const std::string& leader) {
  return leader.empty() ? "this controller stands by, and none is known to lead; try again in a moment"
                        : absl::StrCat("this controller stands by; ", leader, " leads");
}

// Ends as soon as it has begun.
class Refused final : public grpc::ServerGenericBidiReactor {
 public:
  explicit Refused(const std::string& sentence) { Finish({grpc::StatusCode::UNAVAILABLE, sentence}); }
  void OnDone() override { delete this; }
};

}  // namespace

class Standby::Refusal final : public grpc::CallbackGenericService {
 public:
  explicit Refusal(const std::function<std::string()>& leader) : leader_(leader) {}
  grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext* context) override {
    const std::string leader = leader_();
    context->AddTrailingMetadata(kStandbyKey, "1");
    // Anybody may write himself into a Lease, and what is not ASCII ends a process of gRPC's.
    if (!CheckEndpoint(leader).ok()) return new Refused(SentenceOf(""));
    context->AddTrailingMetadata(kLeaderKey, leader);
    return new Refused(SentenceOf(leader));
  }

 private:
  const std::function<std::string()>& leader_;
};

Standby::Standby(Options options) : options_(std::move(options)), refusal_(new Refusal(options_.leader)) {}

absl::StatusOr<std::unique_ptr<Standby>> Standby::Start(Options options) {
  std::unique_ptr<Standby> standby(new Standby(std::move(options)));
  const Options& o = standby->options_;
  grpc::ServerBuilder builder;
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  const std::string address = HostPort(o.listen, o.grpc_port);
  int port = 0;
  builder.AddListeningPort(address, o.credentials, &port);
  builder.RegisterCallbackGenericService(standby->refusal_.get());
  standby->server_ = builder.BuildAndStart();
  if (standby->server_ == nullptr || port == 0) {
    return absl::UnavailableError(absl::StrCat("cannot listen on ", address,
                                               " for gRPC: the port is in use, or this machine does not have the "
                                               "address; choose another one with --grpc-port or --listen"));
  }
  HR_ASSIGN_OR_RETURN(
      standby->http_,
      Annotate(HttpServer::Start({.address = o.listen,
                                  .port = o.http_port,
                                  .pages = [raw = standby.get()](absl::string_view path) { return raw->Page(path); }}),
               "--http-port"));
  return standby;
}

Standby::~Standby() {
  http_.reset();
  if (server_ == nullptr) return;
  server_->Shutdown(std::chrono::system_clock::now());
  server_->Wait();
}

HttpAnswer Standby::Page(absl::string_view path) const {
  const std::string leader = options_.leader();
  if (path == "/healthz") return {.body = absl::StrCat(SentenceOf(leader), "\n")};
  if (path == "/metrics") {
    return {.content_type = "text/plain; version=0.0.4; charset=utf-8",
            .body =
                "# HELP headroom_leader 1 where this controller leads.\n# TYPE headroom_leader gauge\n"
                "headroom_leader 0\n"};
  }
  if (path == "/") return {.body = absl::StrCat("headroomd ", options_.version, ": ", SentenceOf(leader), "\n")};
  return {.code = 404, .body = "not here; see / for what is\n"};
}

}  // namespace headroom
