#pragma once

#include "storage_node/file_server/asio_types.h"
#include "storage_node/file_server/file_server.h"
#include "storage_node/file_server/reply.h"

namespace headroom {

// The admin port's answers, for probes and for people without a controller:
//   GET  /healthz   200 while the process lives
//   GET  /readyz    200 while it takes new work, else 503 with the reason
//   GET  /status    the gate's counters and the server's settings as JSON
//   POST /drain, /undrain
//   POST /limits?connections=N&in_flight=N&idle_timeout=30s&shed_idle_min_age=5s    any of these; answers what is in
//   force POST /shed?connections=N&min_age=5s
// Everything or nothing of a request is applied: all values are checked first.
Reply AnswerAdmin(FileServer& server, absl::string_view method, absl::string_view target);

// Serves the admin port on reserved slots; several connections at once, each ended after 5 s without a request.
Awaitable<void> ServeAdmin(FileServer& server, asio::ip::tcp::acceptor& listener, Executor executor);

}  // namespace headroom
