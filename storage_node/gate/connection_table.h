#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include <sys/socket.h>

namespace headroom {

// The monotonic clock as an absl::Time: its epoch means nothing, its differences do. What the gate calls `now`.
absl::Time MonotonicNow();

// ClientAddress: an IP address without its port; IPv4 is held as ::ffff:a.b.c.d. All zero where the peer has none.
struct ClientAddress {
  std::array<uint8_t, 16> bytes{};

  static ClientAddress Of(const sockaddr_storage& peer);
  std::string ToString() const;  // "10.0.0.7", "2001:db8::1"
  bool operator==(const ClientAddress&) const = default;
  bool operator<(const ClientAddress& other) const { return bytes < other.bytes; }
};

// ConnectionCensus: who is connected at one moment, for a report each second.
struct ConnectionCensus {
  // Upper bounds of the idle ages, exclusive; the last bucket holds all that is older.
  static constexpr std::array<int, 6> kAgeSeconds = {1, 5, 15, 30, 60, 300};
  struct Client {
    ClientAddress address;
    int64_t connections = 0;
  };

  int64_t tracked = 0;
  int64_t idle = 0;     // waiting for a first or a next request
  int64_t closing = 0;  // chosen to be closed, not closed yet
  std::array<int64_t, kAgeSeconds.size() + 1> idle_ages{};
  std::vector<Client> top_clients;  // most connections first, ties by address
};

class ConnectionTable;

// TrackedConnection: the entry of one connection in the table; leaves the table when it is destroyed, which must be
// before its descriptor is closed. Begins idle. The marks are for the thread that serves the connection.
class TrackedConnection {
 public:
  TrackedConnection(TrackedConnection&&) noexcept;
  TrackedConnection& operator=(TrackedConnection&&) = delete;
  ~TrackedConnection();

  // A request begins, to make progress before `deadline` (else the table's Expire() shuts the socket down).
  // False: the connection was just chosen to be closed. Serve what has been read, then close.
  bool MarkBusy(absl::Time deadline);
  // The deadline of the present step of the request; InfiniteFuture() for none.
  void SetDeadline(absl::Time deadline);
  // The answer is out and the next request awaited. False: chosen to be closed, as above.
  bool MarkIdle(absl::Time now);
  // Whether the table chose this connection to be closed.
  bool closing() const;

 private:
  friend class ConnectionTable;
  struct Entry;
  TrackedConnection(ConnectionTable* table, std::unique_ptr<Entry> entry);

  ConnectionTable* table_;
  std::unique_ptr<Entry> entry_;
};

// ConnectionTable: the open connections, whether each is idle and since when, so that idle ones can be counted by age
// and the longest idle closed first. Any server can use it: a connection is closed by shutdown(2) on its descriptor,
// which wakes the thread that reads from it. Only the receiving side is shut, so a request that has already arrived is
// still read and served; the server then reads end-of-file and closes. Any thread. Marks are one atomic operation;
// Track and leaving take a lock of one shard; the rest scans all (about 10 ns a connection). Outlives its
// TrackedConnections.
class ConnectionTable {
 public:
  ConnectionTable() = default;
  ~ConnectionTable();
  ConnectionTable(const ConnectionTable&) = delete;
  ConnectionTable& operator=(const ConnectionTable&) = delete;

  struct Peer {
    int descriptor = -1;
    ClientAddress client;
  };
  [[nodiscard]] TrackedConnection Track(const Peer& peer, absl::Time now);

  // Chooses up to `most` connections that have been idle for at least `min_age`, longest idle first, to be closed.
  // Returns how many it chose.
  int64_t CloseIdle(absl::Time now, int64_t most, absl::Duration min_age);
  // Shuts down, both ways, the busy connections whose deadline has passed; returns how many.
  int64_t Expire(absl::Time now);

  ConnectionCensus Census(absl::Time now, int top_clients) const;
  int64_t idle() const;
  int64_t live() const;  // tracked, and not chosen to be closed

 private:
  friend class TrackedConnection;
  using Entry = TrackedConnection::Entry;
  static constexpr size_t kShards = 8;
  struct alignas(64) Shard {
    mutable std::mutex mutex;
    std::vector<Entry*> entries ABSL_GUARDED_BY(mutex);
  };

  void Leave(Entry& entry);
  template <typename Visit>
  void ForEach(Visit&& visit) const;

  std::array<Shard, kShards> shards_;
  std::atomic<size_t> next_shard_{0};
};

}  // namespace headroom
