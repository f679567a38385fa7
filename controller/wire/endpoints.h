#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace headroom {

// INVALID_ARGUMENT: this is no HOST:PORT; the host is a name, an IPv4 address or an IPv6 address in brackets.
absl::Status CheckEndpoint(absl::string_view endpoint);

// EndpointWalk: which of several controllers to try next, so that whoever looks for the one that leads finds it.
//
// Promise: a round tries every endpoint of the list once. A controller that says who leads is followed at once, once a
// round and also out of the list: two that point at each other are no loop, a round is never more than one attempt
// longer than the list. Pure; thread-compatible.
class EndpointWalk {
 public:
  // How long to wait before the next attempt: not at all, since somebody knows better; shortly, since others are yet to
  // be tried; or longer each time, since all of them were.
  enum class Pause { kNone, kShort, kLong };

  explicit EndpointWalk(std::vector<std::string> endpoints);  // at least one

  const std::string& current() const { return current_; }
  // The current one is lost, or will not have us. `leader`: where it sends us; empty, or no endpoint at all: nowhere.
  Pause GoOn(absl::string_view leader);
  // The current one is the right one: when it is lost, a new round begins at the next of the list.
  void Arrived();
  // Whole rounds without an arrival.
  int failed_rounds() const { return failed_rounds_; }

 private:
  const std::vector<std::string> endpoints_;
  std::string current_;
  size_t next_ = 0;        // of the list
  size_t remaining_ = 0;   // of this round
  bool was_sent_ = false;  // in this round
  int failed_rounds_ = 0;
};

}  // namespace headroom
