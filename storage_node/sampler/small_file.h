#pragma once

#include <optional>
#include <string>

namespace headroom {

// A small file, of the kernel or of ours, whole. Absent: it is not there or not readable.
std::optional<std::string> ReadSmallFile(const std::string& path);

}  // namespace headroom
