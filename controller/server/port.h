#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace headroom {

// The port to serve on where any free one will do: the one of the last run of this state directory if it is still free,
// since nodes that outlived that run report there, else a new one, which is written down. Nothing holds it until it is
// served. UNAVAILABLE: the system gives none, or the directory cannot be written.
absl::StatusOr<int> ChoosePort(const std::string& state_dir);

}  // namespace headroom
