#pragma once

#include <string>

#include "absl/status/status.h"
#include <grpcpp/support/status.h>

namespace headroom {

// The same code and sentence on the other side of the wire.
inline grpc::Status ToGrpc(const absl::Status& status) {
  return {static_cast<grpc::StatusCode>(status.code()), std::string(status.message())};
}

}  // namespace headroom
