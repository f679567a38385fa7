#include "controller/base/read_file.h"

#include <fstream>
#include <string>

#include <gtest/gtest.h>

#include "tests/controller/runtime/temp_dir.h"

namespace headroom {
namespace {

TEST(ReadFileTest, GivesWhatIsThereUpToTheBound) {
  const TempDir folder;
  const std::string path = folder.path() + "/file", text = std::string(40'000, 'x') + '\0' + "end\n";
  std::ofstream(path, std::ios::binary) << text;
  EXPECT_EQ(*ReadFile(path, 1 << 20), text);
  EXPECT_EQ(*ReadFile(path, text.size()), text);
  EXPECT_EQ(*ReadFile(path, 20'000), text.substr(0, 20'000));
  EXPECT_EQ(ReadFile("/dev/zero", 100)->size(), 100u);
  EXPECT_EQ(*ReadFile("/dev/null", 100), "");
}

TEST(ReadFileTest, SaysWhyItCannotRead) {
  const TempDir folder;
  const absl::Status missing = ReadFile(folder.path() + "/none", 100).status();
  EXPECT_TRUE(absl::IsNotFound(missing));
  EXPECT_EQ(missing.message(), "cannot read " + folder.path() + "/none: No such file or directory");
  const absl::Status is_folder = ReadFile(folder.path(), 100).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(is_folder));
  EXPECT_EQ(is_folder.message(), "cannot read " + folder.path() + ": Is a directory");
}

}  // namespace
}  // namespace headroom
