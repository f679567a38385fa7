#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "controller/core/policy.h"
#include "controller/lab/trace.h"

namespace headroom::lab {

// The demand that a headroomd has seen, out of its journal: the forecaster's memory of up to nine days of slots (a
// minute each, or five), and before it, as far as they are kept, what the decisions say of the connection signal.
struct JournalDemand {
  Trace demand;                     // connections, open and waiting
  std::optional<Trace> throughput;  // bytes a second; nothing: the throughput signal was not used
  Policy policy;                    // the newest one
  double per_node = 0;              // by its policy, else the median of the servers' configured limits; 0: not known
  std::vector<std::string> notes;   // what was damaged and left out
};

// Whether it is meant as one: journal.db, a folder with it, or an SQLite file.
bool IsJournal(const std::string& path);

// Reads it, and never writes, nor beside it: it may belong to a headroomd that runs. FAILED_PRECONDITION: it has too
// little to plan from, or is no journal of Headroom; DATA_LOSS: it is empty, broken or cut short.
absl::StatusOr<JournalDemand> ReadJournal(const std::string& path);

}  // namespace headroom::lab
