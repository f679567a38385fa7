#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "controller/core/event.h"
#include "controller/providers/process.h"

namespace headroom {

// What is on disk about one node of the local provider: enough to find its process again, to start it again, and to
// know that it was meant to be started (a record without a process is an intent). Text, one `name value` a line.
struct LocalRecord {
  NodeId node;
  int number = 0;
  ActionId launch_id;  // empty: an initial node
  std::string zone;
  std::string incarnation;  // random; the process carries it in its environment
  int port = 0, admin_port = 0;
  bool terminated = false;  // asked to go: never started again
  std::string boot_id;      // of the kernel that `process` belongs to
  Process process;          // no pid: never started
  std::vector<std::string> argv;
};

std::string FormatRecord(const LocalRecord& record);
// DATA_LOSS with what is wrong.
absl::StatusOr<LocalRecord> ParseRecord(absl::string_view text);

// Whole or not at all, and on disk when it returns. UNAVAILABLE with the path and the system's reason.
absl::Status WriteStateFile(const std::string& path, absl::string_view content);
// NOT_FOUND, UNAVAILABLE.
absl::StatusOr<std::string> ReadStateFile(const std::string& path);

}  // namespace headroom
