#include "storage_node/gate/connection_table.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

#include <arpa/inet.h>
#include <netinet/in.h>

#include "controller/base/check.h"

namespace headroom {
namespace {

// Entry::state: a positive value is the time in nanoseconds since when the connection is idle.
constexpr int64_t kBusy = 0;
constexpr int64_t kClosing = -1;
constexpr int64_t kNever = INT64_MAX;

int64_t Nanos(absl::Time time) {
  return time == absl::InfiniteFuture() ? kNever : absl::ToUnixNanos(time);
}

size_t AgeBucket(int64_t age_nanos) {
  const auto& bounds = ConnectionCensus::kAgeSeconds;
  return static_cast<size_t>(std::upper_bound(bounds.begin(), bounds.end(), age_nanos / 1'000'000'000) -
                             bounds.begin());
}

std::vector<ConnectionCensus::Client> MostConnected(std::vector<ClientAddress> addresses, size_t most) {
  std::sort(addresses.begin(), addresses.end());
  std::vector<ConnectionCensus::Client> clients;
  for (const ClientAddress& address : addresses) {
    if (clients.empty() || clients.back().address != address) clients.push_back({.address = address});
    ++clients.back().connections;
  }
  std::stable_sort(clients.begin(), clients.end(),
                   [](const auto& a, const auto& b) { return a.connections > b.connections; });
  if (clients.size() > most) clients.resize(most);
  return clients;
}

}  // namespace

absl::Time MonotonicNow() {
  return absl::UnixEpoch() + absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
}

ClientAddress ClientAddress::Of(const sockaddr_storage& peer) {
  ClientAddress client;
  if (peer.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(peer);
    client.bytes[10] = client.bytes[11] = 0xff;
    std::memcpy(client.bytes.data() + 12, &v4.sin_addr, 4);
  } else if (peer.ss_family == AF_INET6) {
    std::memcpy(client.bytes.data(), &reinterpret_cast<const sockaddr_in6&>(peer).sin6_addr, 16);
  }
  return client;
}

std::string ClientAddress::ToString() const {
  char text[INET6_ADDRSTRLEN] = {};
  static constexpr std::array<uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  const bool v4 = std::equal(kMapped.begin(), kMapped.end(), bytes.begin());
  inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? bytes.data() + 12 : bytes.data(), text, sizeof text);
  return text;
}

struct TrackedConnection::Entry {
  std::atomic<int64_t> state;
  std::atomic<int64_t> deadline{kNever};
  ConnectionTable::Peer peer;
  size_t shard = 0, place = 0;  // where the table keeps it
};

TrackedConnection::TrackedConnection(ConnectionTable* table, std::unique_ptr<Entry> entry)
    : table_(table), entry_(std::move(entry)) {}
TrackedConnection::TrackedConnection(TrackedConnection&&) noexcept = default;
TrackedConnection::~TrackedConnection() {
  if (entry_) table_->Leave(*entry_);
}

bool TrackedConnection::MarkBusy(absl::Time deadline) {
  entry_->deadline.store(Nanos(deadline), std::memory_order_relaxed);
  int64_t state = entry_->state.load(std::memory_order_relaxed);
  return state != kClosing && entry_->state.compare_exchange_strong(state, kBusy);
}

void TrackedConnection::SetDeadline(absl::Time deadline) {
  entry_->deadline.store(Nanos(deadline), std::memory_order_relaxed);
}

bool TrackedConnection::MarkIdle(absl::Time now) {
  if (closing()) return false;  // only an idle connection is ever chosen, so busy -> idle cannot race
  entry_->deadline.store(kNever, std::memory_order_relaxed);
  entry_->state.store(std::max<int64_t>(Nanos(now), 1));
  return true;
}

bool TrackedConnection::closing() const {
  return entry_->state.load(std::memory_order_relaxed) == kClosing;
}

ConnectionTable::~ConnectionTable() {
  ForEach([](const Entry&) { HR_CHECK(!"a tracked connection outlives its table"); });
}

template <typename Visit>
void ConnectionTable::ForEach(Visit&& visit) const {
  for (const Shard& shard : shards_) {
    std::lock_guard lock(shard.mutex);
    for (Entry* entry : shard.entries) visit(*entry);
  }
}

TrackedConnection ConnectionTable::Track(const Peer& peer, absl::Time now) {
  auto entry = std::make_unique<Entry>();
  entry->state.store(std::max<int64_t>(Nanos(now), 1));
  entry->peer = peer;
  entry->shard = next_shard_.fetch_add(1, std::memory_order_relaxed) % kShards;
  Shard& shard = shards_[entry->shard];
  std::lock_guard lock(shard.mutex);
  entry->place = shard.entries.size();
  shard.entries.push_back(entry.get());
  return {this, std::move(entry)};
}

void ConnectionTable::Leave(Entry& entry) {
  Shard& shard = shards_[entry.shard];
  std::lock_guard lock(shard.mutex);
  Entry* last = shard.entries.back();
  shard.entries[entry.place] = last;
  last->place = entry.place;
  shard.entries.pop_back();
}

int64_t ConnectionTable::CloseIdle(absl::Time now, int64_t most, absl::Duration min_age) {
  if (most <= 0) return 0;
  const int64_t newest = Nanos(now - min_age);
  std::vector<int64_t> since;
  ForEach([&](const Entry& entry) {
    const int64_t state = entry.state.load(std::memory_order_relaxed);
    if (state > 0 && state <= newest) since.push_back(state);
  });
  if (since.empty()) return 0;
  const auto last = since.begin() + std::min<int64_t>(most, static_cast<int64_t>(since.size())) - 1;
  std::nth_element(since.begin(), last, since.end());
  int64_t chosen = 0;
  ForEach([&](Entry& entry) {
    int64_t state = entry.state.load();
    if (chosen == most || state <= 0 || state > *last) return;
    if (!entry.state.compare_exchange_strong(state, kClosing)) return;  // a request came first
    ::shutdown(entry.peer.descriptor, SHUT_RD);
    ++chosen;
  });
  return chosen;
}

int64_t ConnectionTable::Expire(absl::Time now) {
  const int64_t nanos = Nanos(now);
  int64_t expired = 0;
  ForEach([&](Entry& entry) {
    if (entry.state.load() > 0 || entry.deadline.load(std::memory_order_relaxed) >= nanos) return;
    entry.deadline.store(kNever, std::memory_order_relaxed);
    ::shutdown(entry.peer.descriptor, SHUT_RDWR);
    ++expired;
  });
  return expired;
}

ConnectionCensus ConnectionTable::Census(absl::Time now, int top_clients) const {
  const int64_t nanos = Nanos(now);
  ConnectionCensus census;
  std::vector<ClientAddress> addresses;
  ForEach([&](const Entry& entry) {
    const int64_t state = entry.state.load(std::memory_order_relaxed);
    ++census.tracked;
    census.closing += state == kClosing;
    if (top_clients > 0) addresses.push_back(entry.peer.client);
    if (state <= 0) return;
    ++census.idle;
    ++census.idle_ages[AgeBucket(std::max<int64_t>(nanos - state, 0))];
  });
  census.top_clients = MostConnected(std::move(addresses), static_cast<size_t>(std::max(top_clients, 0)));
  return census;
}

int64_t ConnectionTable::idle() const {
  int64_t idle = 0;
  ForEach([&](const Entry& entry) { idle += entry.state.load(std::memory_order_relaxed) > 0; });
  return idle;
}

int64_t ConnectionTable::live() const {
  int64_t live = 0;
  ForEach([&](const Entry& entry) { live += entry.state.load(std::memory_order_relaxed) != kClosing; });
  return live;
}

}  // namespace headroom
