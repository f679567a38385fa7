#pragma once

#include <functional>
#include <memory>

#include "absl/time/time.h"

#include "storage_node/file_server/asio_types.h"
#include "storage_node/file_server/descriptor.h"
#include "storage_node/gate/gate.h"

namespace headroom {

// Acceptor: lets clients in as the gate allows. At the limit it stops accepting, so that the rest waits in the kernel's
// accept queue; it then counts each newly waiting connection as a rejection, sheds idle connections if the gate says
// so, and goes on at once when a slot is given back or the limit rises. When accept(2) lacks descriptors or memory it
// waits 5 ms, doubling up to 1 s. Lives on one thread, its executor's; outlives neither gate nor listener.
class Acceptor {
 public:
  struct Accepted {
    ConnectionSlot slot;
    Descriptor socket;  // non-blocking, TCP_NODELAY
    ClientAddress client;
  };
  using HandOver = std::function<void(Accepted)>;

  // `listener` must be non-blocking, and listen by the time that Run is spawned. Registers a callback at the gate.
  Acceptor(Executor executor, Gate& gate, int listener, HandOver hand_over);
  Awaitable<void> Run();

 private:
  enum class AcceptResult { kAgain, kBackOff };
  Awaitable<void> AcceptAllWaiting();
  Awaitable<void> WaitAtLimit();
  AcceptResult AcceptOne(ConnectionSlot slot);
  void CountWaiting();
  void QueueIsEmpty();

  Gate& gate_;
  const int listener_;
  HandOver hand_over_;
  asio::basic_stream_socket<asio::ip::tcp, Executor> readiness_;  // a duplicate, to wait on
  std::shared_ptr<Timer> at_limit_;                               // cancelled to wake
  int64_t counted_ = 0;  // connections in the queue that were counted as rejections; the queue is first in, first out
  absl::Duration back_off_ = absl::ZeroDuration();
};

}  // namespace headroom
