#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"

#include "controller/base/json_string.h"

namespace headroom::lab {

// Pieces of JSON text, for the reports: six digits are enough for a chart and for a ratio; what is not finite is null.
inline std::string Json(double value) {
  return std::isfinite(value) ? absl::StrFormat("%.6g", value) : "null";
}

inline std::string Field(absl::string_view name, absl::string_view json) {
  return absl::StrCat(JsonString(name), ": ", json);
}
inline std::string Field(absl::string_view name, double value) {
  return Field(name, Json(value));
}

inline std::string Object(const std::vector<std::string>& fields) {
  return absl::StrCat("{", absl::StrJoin(fields, ", "), "}");
}

template <typename Range, typename Render>
std::string Array(const Range& range, absl::string_view between, Render render) {
  return absl::StrCat(
      "[", absl::StrJoin(range, between, [&](std::string* out, const auto& one) { *out += render(one); }), "]");
}

inline std::string Strings(const std::vector<std::string>& texts) {
  return Array(texts, ", ", [](const std::string& text) { return JsonString(text); });
}
inline std::string Numbers(const std::vector<double>& numbers) {
  return Array(numbers, ",", [](double number) { return Json(number); });
}

}  // namespace headroom::lab
