#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace headroom {

// ServiceManager: what systemd is told of this process (sd_notify(3)), by the socket that it names in the environment.
// Where nobody asked, nothing is said. One thread, and the one that serves: a watchdog that is fed by a thread of its
// own says nothing of the others.
class ServiceManager {
 public:
  // `about` stands before each state: "cluster files".
  explicit ServiceManager(absl::string_view about);

  // Ports are open and decisions are made.
  void SayReady();
  // The policy file is read anew; SayReady() ends it.
  void SayReloading();
  void SayStopping();
  // Call it more often than the watchdog waits. Only good health feeds the watchdog; `doing` is the state then. A state
  // is told when it changes.
  void SayHealth(const absl::Status& health, absl::string_view doing);

 private:
  void SayState(absl::string_view state);

  const std::string about_;
  bool has_watchdog_ = false;
  std::string told_;  // the state as last told
};

}  // namespace headroom
