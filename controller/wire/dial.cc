#include "controller/wire/dial.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/time/clock.h"
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include "controller/wire/why_not.h"

namespace headroom {
namespace {

constexpr absl::Duration kPoll = absl::Milliseconds(100);
constexpr absl::Duration kExplainingMax = absl::Seconds(1);  // of the timeout, to find out why there is no connection

absl::Duration MonotonicNow() {
  return absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
}

absl::Status WaitUntilReady(grpc::Channel& channel, const DialOptions& options, absl::Duration deadline) {
  for (;;) {
    const grpc_connectivity_state state = channel.GetState(/*try_to_connect=*/true);
    if (state == GRPC_CHANNEL_READY) return absl::OkStatus();
    if (state == GRPC_CHANNEL_TRANSIENT_FAILURE) return absl::UnavailableError("");
    if (options.gives_up && options.gives_up()) return absl::CancelledError("stopping");
    if (MonotonicNow() >= deadline) return absl::DeadlineExceededError("");
    channel.WaitForStateChange(state, absl::ToChronoTime(absl::Now() + std::min(kPoll, deadline - MonotonicNow())));
  }
}

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::Channel>> Dial(const std::string& endpoint, DialOptions options) {
  // A shared subchannel would bring its own, unjittered pause into ours.
  options.arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  options.arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  const std::shared_ptr<grpc::Channel> channel = grpc::CreateCustomChannel(
      endpoint, options.credentials != nullptr ? options.credentials->ForChannel() : grpc::InsecureChannelCredentials(),
      options.arguments);
  const absl::Duration deadline = MonotonicNow() + options.timeout;
  const absl::Duration explaining = std::min(kExplainingMax, options.timeout / 4);
  const absl::Status ready = WaitUntilReady(*channel, options, deadline - explaining);
  if (ready.ok()) return channel;
  if (absl::IsCancelled(ready)) return ready;
  using Depth = WhyNotOptions::Depth;
  return WhyNoConnection(endpoint, {.depth = absl::IsDeadlineExceeded(ready) ? Depth::kConnection : Depth::kHandshake,
                                    .credentials = options.credentials,
                                    .timeout = std::max(explaining, deadline - MonotonicNow()),
                                    .gives_up = options.gives_up});
}

}  // namespace headroom
