#pragma once

#include <string>
#include <variant>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "controller/runtime/archive.h"

// JSON of everything that lists its Fields: for dumps and tests, written only. Times are RFC 3339 in UTC, durations
// "1m30s", numbers that JSON lacks are strings, a variant is {"Name": value}, an absent optional is null, enumerators
// are numbers. Any thread.

namespace headroom {

namespace archive_internal {

void PutJsonString(std::string& out, absl::string_view text);
void PutJsonDouble(std::string& out, double value);

template <typename T>
void PutJson(std::string& out, const T& value);

struct JsonMembers {
  std::string& out;
  char separator = '{';
  template <typename T>
  void Put(absl::string_view name, const T& value) {
    out += separator;
    separator = ',';
    PutJsonString(out, name);
    out += ':';
    PutJson(out, value);
  }
  void End() { out += separator == '{' ? "{}" : "}"; }
};

template <typename T>
void PutJson(std::string& out, const T& value) {
  if constexpr (Struct<T>) {
    JsonMembers members{out};
    T::Fields(value, [&](const char* name, const auto& member) { members.Put(name, member); });
    members.End();
  } else if constexpr (std::is_same_v<T, bool>) {
    out += value ? "true" : "false";
  } else if constexpr (std::is_enum_v<T>) {
    out += std::to_string(static_cast<int64_t>(value));
  } else if constexpr (Whole<T>) {
    out += std::to_string(value);
  } else if constexpr (std::is_same_v<T, double>) {
    PutJsonDouble(out, value);
  } else if constexpr (std::is_same_v<T, std::string>) {
    PutJsonString(out, value);
  } else if constexpr (std::is_same_v<T, absl::Time>) {
    PutJsonString(out, absl::FormatTime(absl::RFC3339_full, value, absl::UTCTimeZone()));
  } else if constexpr (std::is_same_v<T, absl::Duration>) {
    PutJsonString(out, absl::FormatDuration(value));
  } else if constexpr (kIs<T, std::optional>) {
    if (value)
      PutJson(out, *value);
    else
      out += "null";
  } else if constexpr (List<T>) {
    char separator = '[';
    for (const auto& element : value) out += separator, separator = ',', PutJson(out, element);
    out += value.empty() ? "[]" : "]";
  } else if constexpr (kIs<T, std::map>) {
    JsonMembers members{out};
    for (const auto& [key, mapped] : value) members.Put(key, mapped);
    members.End();
  } else {
    JsonMembers members{out};
    std::visit([&]<typename A>(const A& alternative) { members.Put(AlternativeName<A>(), alternative); }, value);
    members.End();
  }
}

}  // namespace archive_internal

template <typename T>
std::string ToJson(const T& value) {
  std::string out;
  archive_internal::PutJson(out, value);
  return out;
}

}  // namespace headroom
