#include "storage_node/node_log.h"

#include <memory>

#include "absl/strings/str_cat.h"
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include "controller/base/json_string.h"

namespace headroom {
namespace {

LogFormat log_format = LogFormat::kText;

spdlog::level::level_enum SpdlogLevel(LogLevel level) {
  switch (level) {
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

std::string TextField(const LogField& field) {
  const bool plain = !field.second.empty() && field.second.find_first_of(" \"=\n\t\\") == std::string::npos;
  return absl::StrCat(field.first, "=", plain ? field.second : JsonString(field.second));
}

std::string JsonField(const LogField& field) {
  return absl::StrCat(JsonString(field.first), ":", JsonString(field.second));
}

}  // namespace

void SetUpNodeLog(LogFormat format) {
  log_format = format;
  auto logger = std::make_shared<spdlog::logger>("node", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->flush_on(spdlog::level::info);
  logger->set_pattern(format == LogFormat::kJson ? R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l",%v})"
                                                 : "time=%Y-%m-%dT%H:%M:%S.%eZ level=%l %v",
                      spdlog::pattern_time_type::utc);
  spdlog::set_default_logger(std::move(logger));
}

void LogLine(LogLevel level, std::initializer_list<LogField> fields) {
  std::string line;
  const bool json = log_format == LogFormat::kJson;
  for (const LogField& field : fields) {
    if (!line.empty()) line += json ? "," : " ";
    line += json ? JsonField(field) : TextField(field);
  }
  spdlog::default_logger_raw()->log(SpdlogLevel(level), "{}", line);
}

}  // namespace headroom
