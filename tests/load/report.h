#pragma once

#include <string>

#include "tests/load/engine.h"
#include "tests/load/profile.h"

namespace headroom::load {

// What a run says about itself, in three forms. README.md beside this file explains every field.
std::string ReportJson(const Profile& profile, const RunResult& result);
// One line a second, with a line of names first; the same fields as `series` in the JSON.
std::string ReportSeriesCsv(const Profile& profile, const RunResult& result);
// A table for the terminal.
std::string ReportTable(const Profile& profile, const RunResult& result);
// One line on a second that has passed.
std::string ProgressLine(const Profile& profile, const Progress& progress);

}  // namespace headroom::load
