#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace headroom {

// The text as a JSON string: quoted and escaped; bytes that are not ASCII pass as they are.
std::string JsonString(absl::string_view text);

}  // namespace headroom
