#pragma once

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace headroom {

enum class LogFormat { kText, kJson };
enum class LogLevel { kInfo, kWarning, kError };

// Sets up the process's log on stderr. Before it, and in tests, lines are text. Call once, before threads start.
void StartLog(LogFormat format);

// LogLine: one line of the log, written when it goes out of scope. Text: `2026-01-01T00:00:00.000Z info decision
// sequence=7 text="..."`; JSON: one object with the same keys. The first word is the event, stable and in
// lower_snake_case. Any thread.
//
//   LogLine(LogLevel::kInfo, "policy_reloaded").Add("file", path);
class LogLine {
 public:
  // `cluster`: where a process has several, which one it is about; empty: it has one.
  LogLine(LogLevel level, absl::string_view event, absl::string_view cluster = "");
  ~LogLine();
  LogLine(const LogLine&) = delete;
  LogLine& operator=(const LogLine&) = delete;

  LogLine& Add(absl::string_view name, absl::string_view value);
  LogLine& Add(absl::string_view name, int64_t value);
  LogLine& Add(absl::string_view name, absl::Duration value);

 private:
  void AddRaw(absl::string_view name, absl::string_view value);

  const LogLevel level_;
  std::string line_;
};

}  // namespace headroom
