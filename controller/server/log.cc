#include "controller/server/log.h"

#include <algorithm>
#include <atomic>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace headroom {
namespace {

std::atomic<LogFormat> log_format{LogFormat::kText};

std::string Quoted(absl::string_view value) {
  std::string out = "\"";
  for (const char c : value) {
    if (c == '"' || c == '\\') {
      absl::StrAppend(&out, "\\", absl::string_view(&c, 1));
    } else if (c == '\n') {
      out += "\\n";
    } else if (static_cast<unsigned char>(c) < 0x20) {
      absl::StrAppendFormat(&out, "\\u%04x", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  return out + "\"";
}

bool IsPlain(absl::string_view value) {
  return !value.empty() && std::all_of(value.begin(), value.end(),
                                       [](char c) { return c > ' ' && c < 0x7f && c != '"' && c != '=' && c != '\\'; });
}

spdlog::level::level_enum ToSpdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      break;
  }
  return spdlog::level::err;
}

}  // namespace

void StartLog(LogFormat format) {
  log_format = format;
  auto logger = std::make_shared<spdlog::logger>("headroom", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_pattern(format == LogFormat::kJson ? R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l",%v})"
                                                 : "%Y-%m-%dT%H:%M:%S.%eZ %l %v",
                      spdlog::pattern_time_type::utc);
  spdlog::set_default_logger(std::move(logger));
}

LogLine::LogLine(LogLevel level, absl::string_view event, absl::string_view cluster) : level_(level) {
  line_ = log_format == LogFormat::kJson ? absl::StrCat("\"event\":", Quoted(event)) : std::string(event);
  if (!cluster.empty()) Add("cluster", cluster);
}

LogLine::~LogLine() {
  spdlog::default_logger_raw()->log(ToSpdlog(level_), "{}", line_);
}

void LogLine::AddRaw(absl::string_view name, absl::string_view value) {
  if (log_format == LogFormat::kJson) {
    absl::StrAppend(&line_, ",\"", name, "\":", value);
  } else {
    absl::StrAppend(&line_, " ", name, "=", value);
  }
}

LogLine& LogLine::Add(absl::string_view name, absl::string_view value) {
  AddRaw(name, log_format == LogFormat::kText && IsPlain(value) ? std::string(value) : Quoted(value));
  return *this;
}

LogLine& LogLine::Add(absl::string_view name, int64_t value) {
  AddRaw(name, absl::StrCat(value));
  return *this;
}

LogLine& LogLine::Add(absl::string_view name, absl::Duration value) {
  return Add(name, absl::FormatDuration(value));
}

}  // namespace headroom
