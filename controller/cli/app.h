#pragma once

#include <string>
#include <vector>

#include "controller/cli/session.h"

namespace headroom {

// headroomctl as a function: arguments (without the program's name) in, exit code out: 0 ok, 1 error, 2 usage, 3 not
// found, 4 not allowed, 5 unavailable or too slow, 6 precondition.
int RunHeadroomctl(const std::vector<std::string>& arguments, const Terminal& terminal);

int ExitCode(const absl::Status& status);

}  // namespace headroom
