#pragma once

#include <cmath>
#include <concepts>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"

namespace headroom::load {

// Json: writes one JSON text from front to back; the caller keeps it well formed. Not thread-safe.
//
//   Json json;
//   json.Open('{').Member("requests", 7).Key("phases").Open('[').Close(']').Close('}');
class Json {
 public:
  Json& Open(char bracket) {
    Separate();
    text_ += bracket;
    needs_comma_ = false;
    return *this;
  }
  Json& Close(char bracket) {
    text_ += bracket;
    needs_comma_ = true;
    return *this;
  }
  Json& Key(absl::string_view key) {
    Value(key);
    text_ += ':';
    needs_comma_ = false;
    return *this;
  }
  Json& Value(absl::string_view value) {
    Separate();
    text_ += '"';
    for (const char c : value) Append(c);
    text_ += '"';
    return *this;
  }
  Json& Value(const char* value) { return Value(absl::string_view(value)); }
  Json& Value(const std::string& value) { return Value(absl::string_view(value)); }
  Json& Value(bool value) { return Raw(value ? "true" : "false"); }
  // What is not a number becomes null.
  Json& Value(double value) { return Raw(std::isfinite(value) ? absl::StrFormat("%.15g", value) : "null"); }
  Json& Value(std::integral auto value) { return Raw(absl::StrCat(value)); }
  template <typename T>
  Json& Value(const std::optional<T>& value) {
    return value ? Value(*value) : Raw("null");
  }
  template <typename T>
  Json& Member(absl::string_view key, const T& value) {
    return Key(key).Value(value);
  }
  // For people: begins a new line here.
  Json& Line() {
    Separate();
    text_ += '\n';
    needs_comma_ = false;
    return *this;
  }
  const std::string& text() const { return text_; }

 private:
  Json& Raw(absl::string_view raw) {
    Separate();
    absl::StrAppend(&text_, raw);
    return *this;
  }
  void Separate() {
    if (needs_comma_) text_ += ',';
    needs_comma_ = true;
  }
  void Append(char c) {
    if (c == '"' || c == '\\') text_ += '\\';
    if (static_cast<unsigned char>(c) < 0x20) {
      absl::StrAppendFormat(&text_, "\\u%04x", c);
    } else {
      text_ += c;
    }
  }

  std::string text_;
  bool needs_comma_ = false;
};

}  // namespace headroom::load
