#include "controller/sim/connections.h"

namespace headroom::sim {

int32_t ConnectionPool::Take(int32_t node, int32_t client) {
  int32_t index = 0;
  if (free_.empty()) {
    index = size();
    connections_.emplace_back();
  } else {
    index = free_.back();
    free_.pop_back();
  }
  Connection& connection = (*this)[index];
  connection.node = node;
  connection.client = client;
  return index;
}

void ConnectionPool::GiveBack(int32_t index) {
  Connection& connection = (*this)[index];
  connection = {.serial = connection.serial + 1};
  free_.push_back(index);
}

void ConnectionPool::LinkIdle(IdleList& list, NewestOfClient& newest, int32_t index) {
  Connection& connection = (*this)[index];
  connection.older = list.newest;
  connection.newer = Connection::kNone;
  (list.newest == Connection::kNone ? list.oldest : (*this)[list.newest].newer) = index;
  list.newest = index;
  if (connection.leaked) return;

  const auto client = static_cast<size_t>(connection.client);
  if (client >= newest.size()) newest.resize(client + 1, Connection::kNone);
  int32_t& top = newest[client];
  connection.client_older = top;
  connection.client_newer = Connection::kNone;
  if (top != Connection::kNone) (*this)[top].client_newer = index;
  top = index;
}

void ConnectionPool::UnlinkIdle(IdleList& list, NewestOfClient& newest, int32_t index) {
  const Connection& connection = (*this)[index];
  (connection.older == Connection::kNone ? list.oldest : (*this)[connection.older].newer) = connection.newer;
  (connection.newer == Connection::kNone ? list.newest : (*this)[connection.newer].older) = connection.older;
  if (connection.leaked) return;
  int32_t& top = newest[static_cast<size_t>(connection.client)];
  (connection.client_newer == Connection::kNone ? top : (*this)[connection.client_newer].client_older) =
      connection.client_older;
  if (connection.client_older != Connection::kNone) {
    (*this)[connection.client_older].client_newer = connection.client_newer;
  }
}

int32_t ConnectionPool::NewestOf(const NewestOfClient& newest, int32_t client) {
  const auto at = static_cast<size_t>(client);
  return at < newest.size() ? newest[at] : Connection::kNone;
}

}  // namespace headroom::sim
