#include "controller/server/service_manager.h"

#include <cstdint>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include <systemd/sd-daemon.h>

namespace headroom {
namespace {

// The socket stays in the environment: what is said later needs it, and nodes that this process starts find no use in
// it.
constexpr int kKeepEnvironment = 0;

void Say(const std::string& words) {
  sd_notify(kKeepEnvironment, words.c_str());
}

}  // namespace

ServiceManager::ServiceManager(absl::string_view about) : about_(about) {
  uint64_t microseconds = 0;
  has_watchdog_ = sd_watchdog_enabled(kKeepEnvironment, &microseconds) > 0;
}

void ServiceManager::SayReady() {
  Say("READY=1");
}

void ServiceManager::SayReloading() {
  Say("RELOADING=1");
}

void ServiceManager::SayStopping() {
  Say("STOPPING=1");
  SayState("stopping, nodes keep running");
}

void ServiceManager::SayHealth(const absl::Status& health, absl::string_view doing) {
  if (health.ok() && has_watchdog_) Say("WATCHDOG=1");
  SayState(health.ok() ? doing : health.message());
}

void ServiceManager::SayState(absl::string_view state) {
  std::string line = absl::StrReplaceAll(absl::StrCat("STATUS=", about_, ": ", state), {{"\n", "; "}});
  if (line == told_) return;
  Say(line);
  told_ = std::move(line);
}

}  // namespace headroom
