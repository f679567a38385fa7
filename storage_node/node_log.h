#pragma once

#include <initializer_list>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"

namespace headroom {

enum class LogFormat { kText, kJson };
enum class LogLevel { kInfo, kWarning, kError };

// The log of the programs beside a server, on stderr, one line an event: `time=... level=info event=started port=8080`,
// or the same as JSON. SetUpNodeLog once, before the first line; LogLine from any thread.
void SetUpNodeLog(LogFormat format);
using LogField = std::pair<absl::string_view, std::string>;
void LogLine(LogLevel level, std::initializer_list<LogField> fields);

}  // namespace headroom
