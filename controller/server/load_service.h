#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"

#include "controller/server/load_intake.h"
#include "headroom/v1/load.grpc.pb.h"

namespace headroom {

// LoadService: the nodes' and balancers' end of the load protocol. One reactor per stream and no thread of its own: ten
// thousand streams cost memory, not threads. A stream begins with a Hello, which leads it to its cluster; one that is
// refused there ends the stream with a sentence. A bad report is dropped, and the stream stays up. Thread-safe; must
// outlive the server that it is registered with.
class LoadService final : public v1::LoadService::CallbackService {
 public:
  // The intake of the cluster of this name; no name: the only one. An error ends the stream. Any thread.
  using Find = std::function<absl::StatusOr<std::shared_ptr<LoadIntake>>(const std::string& cluster)>;
  explicit LoadService(Find find) : find_(std::move(find)) {}

  grpc::ServerBidiReactor<v1::LoadReport, v1::Directive>* Report(grpc::CallbackServerContext* context) override;

 private:
  const Find find_;
};

}  // namespace headroom
