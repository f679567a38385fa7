#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include <grpcpp/channel.h>
#include <grpcpp/support/channel_arguments.h>

#include "controller/wire/credentials.h"

namespace headroom {

struct DialOptions {
  absl::Duration timeout = absl::Seconds(3);
  grpc::ChannelArguments arguments;
  const WireCredentials* credentials = nullptr;  // null: plaintext
  std::function<bool()> gives_up;                // asked ten times a second; unset: never
};

// A channel to this endpoint that is connected; with credentials each side has proved to the other who it is. Else one
// sentence that says why not and what to do, within the same timeout: UNAVAILABLE, also where the
// connection is taken and nobody answers; UNAUTHENTICATED, where one side does not believe the other. CANCELLED: gave
// up.
absl::StatusOr<std::shared_ptr<grpc::Channel>> Dial(const std::string& endpoint, DialOptions options);

}  // namespace headroom
