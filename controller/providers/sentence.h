#pragma once

#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/string_view.h"

namespace headroom {

// The words of somebody else for a log, a status or an error of ours: one line, and at most 400 characters.
inline std::string SentenceOf(absl::string_view words) {
  constexpr size_t kSentenceMax = 400;
  std::string line(words.substr(0, kSentenceMax));
  for (char& c : line) {
    if (absl::ascii_iscntrl(static_cast<unsigned char>(c))) c = ' ';
  }
  return line;
}

}  // namespace headroom
