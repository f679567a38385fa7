#include "controller/providers/http/transport.h"

#include "absl/strings/match.h"

namespace headroom {

absl::string_view HttpResponse::Header(absl::string_view name) const {
  for (const HttpHeader& header : headers) {
    if (absl::EqualsIgnoreCase(header.name, name)) return header.value;
  }
  return "";
}

}  // namespace headroom
