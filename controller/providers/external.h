#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "controller/providers/provider.h"
#include "headroom/v1/provider.grpc.pb.h"

namespace headroom {

struct ExternalProviderOptions {
  std::string address;  // host:port, or unix:PATH; in the clear, so on this machine
  std::string cluster;
  absl::Duration open_timeout = absl::Seconds(10);
  std::function<void(absl::Duration)> wait;  // null: sleeps
};

// ExternalProvider: a platform behind headroom.v1.ProviderService. Every call is one that may be made again, so one
// that gets no answer is, up to kAttemptsMax times within its deadline. Where the platform says that its machines hold
// data they are evacuated before they are terminated: Terminate() is UNAVAILABLE with how far that is until it is done,
// and the next call goes on. Nothing is remembered of it here: what is listed as stopping is stopping.
//
// Thread-safe. Beyond the codes of Provider: Open() says UNAVAILABLE where nobody answers, FAILED_PRECONDITION where
// somebody else does.
class ExternalProvider final : public Provider {
 public:
  static constexpr int kAttemptsMax = 3;

  static absl::StatusOr<std::unique_ptr<ExternalProvider>> Open(ExternalProviderOptions options);

  ProviderCapabilities capabilities() const override;
  // Nothing is asked where the platform is not fenced.
  absl::StatusOr<int64_t> Fence(int64_t term, absl::Duration timeout) override;
  absl::StatusOr<std::vector<Machine>> List(absl::Duration timeout) override;
  absl::StatusOr<NodeId> Launch(const LaunchRequest& request, absl::Duration timeout) override;
  absl::Status Terminate(const NodeId& node, absl::Duration timeout) override;

 private:
  explicit ExternalProvider(ExternalProviderOptions options);
  absl::Status Ask(absl::Duration timeout);
  void Adopt(int64_t term);
  absl::Status Evacuate(const NodeId& node, absl::Duration timeout);
  // Makes the call until it is answered. Request and Response of the same call.
  template <class Request, class Response>
  absl::Status Call(grpc::Status (v1::ProviderService::Stub::*call)(grpc::ClientContext*, const Request&, Response*),
                    const Request& request, Response& response, absl::Duration timeout);

  const ExternalProviderOptions options_;
  const std::unique_ptr<v1::ProviderService::Stub> stub_;
  v1::GetCapabilitiesResponse can_;  // since Open()
  std::atomic<int64_t> term_{0};     // of this controller
};

}  // namespace headroom
