#pragma once

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace headroom {

// The first `bytes_max` bytes of a file, or all where it has fewer: who must not take a longer one asks for a byte
// more. An error says "cannot read `what` PATH: " and why, under the code of the system's error (NOT_FOUND,
// PERMISSION_DENIED, and FAILED_PRECONDITION for a folder). Never throws, unlike a stream's iterator.
absl::StatusOr<std::string> ReadFile(const std::string& path, size_t bytes_max, absl::string_view what = "");

}  // namespace headroom
