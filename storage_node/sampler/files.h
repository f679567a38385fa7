#pragma once

#include <optional>
#include <string>

namespace headroom {

// A small kernel file, whole. Absent: it is not there or not readable; nobody fails for want of it.
std::optional<std::string> ReadKernelFile(const std::string& path);

}  // namespace headroom
