#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace headroom {

// The text as a part of a query, a path or a form: every byte but letters, digits and -._~ as % and two upper-case hex
// digits, a slash and a blank, too. Source: RFC 3986, 2.1 and 2.3.
std::string PercentEncoded(absl::string_view text);

}  // namespace headroom
