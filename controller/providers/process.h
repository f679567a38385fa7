#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include <sys/types.h>

namespace headroom {

// A process of this machine, named so that a reused pid is never mistaken for it: by pid and start time (field 22 of
// /proc/PID/stat, clock ticks since boot). No pid: none.
struct Process {
  pid_t pid = 0;
  uint64_t start_ticks = 0;
  bool operator==(const Process&) const = default;
};

struct SpawnRequest {
  std::vector<std::string> argv;  // the program first, by path
  std::string environment;        // one more variable, NAME=value
  std::string log_path;           // stdout and stderr are appended there
};

// Starts a process that outlives this one: own session, stdin from /dev/null, no descriptor of ours, default signals.
// FAILED_PRECONDITION: the program cannot be run; RESOURCE_EXHAUSTED: no process or memory for it.
absl::StatusOr<Process> Spawn(const SpawnRequest& request);

// Does it still run? Reaps it when it is an ended child of ours, and no other child.
bool IsAlive(const Process& process);

// Sends a signal to this very process; one that is gone gets none.
void Signal(const Process& process, int signal_number);

// A running process that was started with this variable (NAME=value), by whichever parent.
std::optional<Process> FindByEnvironment(absl::string_view variable);

// Identity of this boot of the kernel; pids and start times mean something within it only. Empty: not known.
std::string KernelBootId();

}  // namespace headroom
