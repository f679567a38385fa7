#pragma once

#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

#include "controller/cli/app.h"
#include "tests/controller/runtime/temp_dir.h"

namespace headroom {

// Runs headroomctl in this process, in a folder of its own. There is no server: whoever asks for one crashes.
class CommandTest : public ::testing::Test {
 protected:
  int Run(const std::vector<std::string>& arguments) {
    std::ostringstream out, err;
    const absl::Time now = now_;
    const Terminal terminal{.out = out, .err = err, .now = [now] { return now; }, .actor = "ann@desk"};
    const int code = RunHeadroomctl(arguments, terminal);
    out_ = out.str(), err_ = err.str();
    return code;
  }
  std::string Path(const std::string& name) const { return absl::StrCat(folder_.path(), "/", name); }
  std::string Write(const std::string& name, const std::string& text) const {
    std::ofstream(Path(name)) << text;
    return Path(name);
  }
  static std::string Text(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }

  const TempDir folder_;
  absl::Time now_ = absl::UnixEpoch();
  std::string out_, err_;
};

}  // namespace headroom
