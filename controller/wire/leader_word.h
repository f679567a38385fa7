#pragma once

#include <string>

#include <grpcpp/client_context.h>

namespace headroom {

// What a controller that does not lead says, in the trailing metadata of the UNAVAILABLE with which it refuses a stream
// of reports or a command.
inline constexpr char kStandbyKey[] = "headroom-standby";  // "1": this controller runs, and waits for its turn
inline constexpr char kLeaderKey[] = "headroom-leader";    // HOST:PORT of the one that leads; left out: none is known

struct LeaderWord {
  bool stands_by = false;
  std::string leader;  // empty: none is known
};

// Of a call that has ended.
inline LeaderWord LeaderWordIn(const grpc::ClientContext& context) {
  const auto& metadata = context.GetServerTrailingMetadata();
  LeaderWord word{.stands_by = metadata.count(kStandbyKey) > 0};
  if (const auto leader = metadata.find(kLeaderKey); leader != metadata.end()) {
    word.leader = {leader->second.data(), leader->second.size()};
  }
  return word;
}

}  // namespace headroom
