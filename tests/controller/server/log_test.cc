#include "controller/server/log.h"

#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

namespace headroom {
namespace {

// Two lines, each an object whose texts came through as they were.
bool AreTheObjects(const std::string& log) {
  const std::vector<std::string> lines = absl::StrSplit(log, '\n', absl::SkipEmpty());
  if (lines.size() != 2) return false;
  google::protobuf::Struct objects[2];
  for (size_t i = 0; i < 2; ++i) {
    if (!google::protobuf::util::JsonStringToMessage(lines[i], &objects[i]).ok()) return false;
  }
  const auto text = [&](size_t i, const char* name) { return objects[i].fields().at(name).string_value(); };
  return text(0, "event") == "first" && text(0, "why") == "a \"quoted\"\nline with \\ and \x01" &&
         objects[0].fields().at("count").number_value() == 7 && !text(0, "time").empty() && text(1, "level") == "error";
}

void LogAndLeave() {
  StartLog(LogFormat::kJson);
  LogLine(LogLevel::kInfo, "first").Add("why", "a \"quoted\"\nline with \\ and \x01").Add("count", int64_t{7});
  LogLine(LogLevel::kError, "second").Add("took", absl::Milliseconds(5));
  std::_Exit(0);
}

// In a process of its own: the log's format is the process's.
TEST(LogDeathTest, EachLineOfTheJsonLogIsAnObject) {
  EXPECT_EXIT(LogAndLeave(), ::testing::ExitedWithCode(0), ::testing::Truly(AreTheObjects));
}

}  // namespace
}  // namespace headroom
