#include "controller/runtime/json.h"

#include <charconv>
#include <cmath>

#include "absl/strings/str_format.h"

namespace headroom::archive_internal {

void PutJsonString(std::string& out, absl::string_view text) {
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      absl::StrAppendFormat(&out, "\\u%04x", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  out += '"';
}

void PutJsonDouble(std::string& out, double value) {
  if (!std::isfinite(value)) return PutJsonString(out, absl::StrFormat("%g", value));
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof(buffer), value);
  out.append(buffer, end.ptr);
}

}  // namespace headroom::archive_internal
