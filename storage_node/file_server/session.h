#pragma once

#include <atomic>
#include <cstdint>

#include "absl/time/time.h"

#include "storage_node/file_server/asio_types.h"
#include "storage_node/file_server/device_model.h"
#include "storage_node/file_server/object_store.h"
#include "storage_node/gate/gate.h"

namespace headroom {

struct SessionOptions {
  int64_t body_bytes_max = int64_t{5} << 30;
  uint32_t header_bytes_max = 16 << 10;
  absl::Duration header_timeout = absl::Seconds(10);  // from a request's first byte to the end of its header
  // A body, in or out, that moves on by less than this much in this time is cut off.
  absl::Duration body_timeout = absl::Seconds(30);
  int64_t body_progress_bytes_min = 64 << 10;
};

enum class KeepAlive { kOffered, kRefused };

// What all connections of a server share. Outlives them. Thread-safe by its parts.
struct SessionContext {
  Gate& gate;
  ObjectStore& store;
  DeviceModel& device;
  asio::thread_pool& disk;  // for calls that wait for the disk
  SessionOptions options;
  std::atomic<KeepAlive> keep_alive{KeepAlive::kOffered};  // refused while draining: each answer is a connection's last
};

struct Arrival {
  ConnectionSlot slot;
  Socket socket;
  ClientAddress client;
};

// Serves one client connection until it ends; holds its slot until the socket is closed. To be spawned on the executor
// of its socket, where all of it runs.
Awaitable<void> ServeConnection(SessionContext& context, Arrival arrival);

}  // namespace headroom
