#include "storage_node/sampler/cgroup.h"

#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace headroom {
namespace {

using ::testing::Optional;

// A machine made of files.
class CgroupTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = absl::StrCat(::testing::TempDir(), "/cgroup_test.XXXXXX");
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    root_ = name;
    Write("/proc/self/mountinfo",
          "30 1 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
          "31 1 0:27 / /sys/fs/v1/memory rw - cgroup cgroup rw,memory\n"
          "32 1 0:28 / /sys/fs/v1/cpu rw - cgroup cgroup rw,cpu,cpuacct\n");
    Write(absl::StrCat("/proc/", getpid(), "/stat"), "5 (x) S 1 5 5");
    Write("/proc/1/stat", "1 (init) S 0 1 1");
  }
  void TearDown() override { std::filesystem::remove_all(root_); }
  void Write(const std::string& path, const std::string& text) const {
    std::filesystem::create_directories(std::filesystem::path(root_ + path).parent_path());
    std::ofstream(root_ + path) << text;
  }
  std::string root_;
};

TEST_F(CgroupTest, TheLowestLimitUpTheTreeCounts) {
  Write("/proc/self/cgroup", "0::/pod/node\n");
  Write("/sys/fs/cgroup/pod/node/memory.max", "max\n");
  Write("/sys/fs/cgroup/pod/node/cpu.max", "200000 100000\n");
  Write("/sys/fs/cgroup/pod/memory.max", "4096\n");
  Write("/sys/fs/cgroup/pod/cpu.max", "150000 100000\n");
  const OwnCgroup cgroup(root_);
  EXPECT_THAT(cgroup.MemoryBytesMax(), Optional(4096));
  EXPECT_THAT(cgroup.CpuCountMax(), Optional(1.5));
}

TEST_F(CgroupTest, ReadsTheOldHierarchiesToo) {
  Write("/proc/self/cgroup", "2:memory:/m\n1:cpu,cpuacct:/c\n");
  Write("/sys/fs/v1/memory/m/memory.stat", "cache 0\nhierarchical_memory_limit 8192\n");
  Write("/sys/fs/v1/cpu/c/cpu.cfs_quota_us", "25000\n");
  Write("/sys/fs/v1/cpu/c/cpu.cfs_period_us", "100000\n");
  const OwnCgroup cgroup(root_);
  EXPECT_THAT(cgroup.MemoryBytesMax(), Optional(8192));
  EXPECT_THAT(cgroup.CpuCountMax(), Optional(0.25));
}

TEST_F(CgroupTest, ACgroupIsOwnWithTheProcessAndItsAncestorsAlone) {
  Write("/proc/self/cgroup", "0::/node\n");
  Write("/sys/fs/cgroup/node/cgroup.events", "populated 1\n");
  Write("/sys/fs/cgroup/node/cgroup.procs", absl::StrCat("1\n", getpid(), "\n"));
  Write("/sys/fs/cgroup/node/memory.pressure", "full avg10=3.00 avg60=0 avg300=0 total=9\n");
  const OwnCgroup cgroup(root_);
  EXPECT_TRUE(cgroup.IsOwn());
  ASSERT_TRUE(cgroup.Pressure("memory").full);
  EXPECT_DOUBLE_EQ(cgroup.Pressure("memory").full->ratio_10s, 0.03);
  EXPECT_FALSE(cgroup.Pressure("io").full);
  Write("/sys/fs/cgroup/node/cgroup.procs", absl::StrCat("1\n", getpid(), "\n77\n"));
  EXPECT_FALSE(cgroup.IsOwn());
}

TEST_F(CgroupTest, TheRootCgroupIsNotOwn) {
  Write("/proc/self/cgroup", "0::/\n");
  Write("/sys/fs/cgroup/cgroup.procs", absl::StrCat(getpid(), "\n"));
  EXPECT_FALSE(OwnCgroup(root_).IsOwn());
}

TEST_F(CgroupTest, AContainerWithANamespaceOfItsOwnOwnsItsTop) {
  Write("/proc/self/cgroup", "0::/\n");
  Write("/sys/fs/cgroup/cgroup.procs", absl::StrCat(getpid(), "\n"));
  Write("/sys/fs/cgroup/cgroup.events", "populated 1\n");
  EXPECT_TRUE(OwnCgroup(root_).IsOwn());
}

TEST(CgroupWithoutFilesTest, AllIsAbsent) {
  const OwnCgroup cgroup("/nowhere/at/all");
  EXPECT_FALSE(cgroup.MemoryBytesMax());
  EXPECT_FALSE(cgroup.CpuCountMax());
  EXPECT_FALSE(cgroup.IsOwn());
  EXPECT_FALSE(cgroup.Pressure("cpu").some);
}

}  // namespace
}  // namespace headroom
