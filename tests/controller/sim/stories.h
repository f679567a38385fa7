#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

#include "tests/controller/sim/incidents.h"

namespace headroom::sim {

// Incidents as operators of file and object storage tell them, each with what it turned out to be. Each sets its own
// site: 3 to 60 nodes, idle to busy, by day and night, live and in dry run, with what happened to coincide. Their
// author had not read the rules of diagnosis. The seed varies figures by a quarter and chance in the world.
struct Story {
  absl::string_view name;
  Cause cause;  // kNone: nothing is wrong
  absl::string_view told;
};

size_t StoryCount();
const Story& StoryAt(size_t index);
Incident MakeStory(size_t index, uint64_t seed);

}  // namespace headroom::sim
