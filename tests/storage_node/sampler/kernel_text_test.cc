#include "storage_node/sampler/kernel_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace headroom {
namespace {

using ::testing::ElementsAre;
using ::testing::Optional;

// Captured on Linux 6.1 and shortened.
constexpr absl::string_view kNetstat =
    "TcpExt: SyncookiesSent TW ListenOverflows ListenDrops TCPSynRetrans\n"
    "TcpExt: 0 116 605 606 17\n"
    "IpExt: InNoRoutes InOctets\n"
    "IpExt: 3 4\n";
constexpr absl::string_view kSnmp =
    "Ip: Forwarding DefaultTTL\nIp: 1 64\n"
    "Tcp: RtoAlgorithm MaxConn OutSegs RetransSegs\n"
    "Tcp: 1 -1 4576 93\n";

TEST(KernelTextTest, FindsACounterByGroupAndName) {
  EXPECT_THAT(CounterIn(kNetstat, "TcpExt", "ListenOverflows"), Optional(605));
  EXPECT_THAT(CounterIn(kNetstat, "TcpExt", "TCPSynRetrans"), Optional(17));
  EXPECT_THAT(CounterIn(kNetstat, "IpExt", "InOctets"), Optional(4));
  EXPECT_THAT(CounterIn(kSnmp, "Tcp", "MaxConn"), Optional(-1));
  EXPECT_THAT(CounterIn(kSnmp, "Tcp", "RetransSegs"), Optional(93));
}

TEST(KernelTextTest, ACounterThatIsNotThereIsAbsentNotZero) {
  EXPECT_EQ(CounterIn(kNetstat, "TcpExt", "TCPReqQFullDrop"), std::nullopt);
  EXPECT_EQ(CounterIn(kNetstat, "IpExt", "ListenOverflows"), std::nullopt);
  EXPECT_EQ(CounterIn("TcpExt: ListenOverflows TW\nTcpExt: 1\n", "TcpExt", "TW"), std::nullopt);
  EXPECT_EQ(CounterIn("TcpExt: TW\nTcpExt: x\n", "TcpExt", "TW"), std::nullopt);
  EXPECT_EQ(CounterIn("TcpExt: TW\n", "TcpExt", "TW"), std::nullopt);
  EXPECT_EQ(CounterIn("", "TcpExt", "TW"), std::nullopt);
}

TEST(KernelTextTest, ReadsPressureWithAndWithoutTheFullLine) {
  const PressureText both = ParsePressure(
      "some avg10=12.50 avg60=0.40 avg300=0.42 total=8169190\n"
      "full avg10=0.07 avg60=0.00 avg300=0.00 total=5\n");
  ASSERT_TRUE(both.some && both.full);
  EXPECT_DOUBLE_EQ(both.some->ratio_10s, 0.125);
  EXPECT_EQ(both.some->total, absl::Microseconds(8169190));
  EXPECT_NEAR(both.full->ratio_10s, 0.0007, 1e-9);
  const PressureText old_cpu = ParsePressure("some avg10=0.00 avg60=0.00 avg300=0.00 total=1\n");
  EXPECT_TRUE(old_cpu.some);
  EXPECT_FALSE(old_cpu.full);
  EXPECT_FALSE(ParsePressure("some avg10=what total=1\n").some);
  EXPECT_FALSE(ParsePressure("").some);
}

TEST(KernelTextTest, FindsTheCgroupOfEachHierarchy) {
  constexpr absl::string_view kHybrid =
      "8:pids:/\n4:cpu,cpuacct:/a\n3:memory:/docker/b:c\n1:name=systemd:/x\n0::/user.slice\n";
  EXPECT_THAT(CgroupPathIn(kHybrid, ""), Optional(std::string("/user.slice")));
  EXPECT_THAT(CgroupPathIn(kHybrid, "memory"), Optional(std::string("/docker/b:c")));
  EXPECT_THAT(CgroupPathIn(kHybrid, "cpu"), Optional(std::string("/a")));
  EXPECT_EQ(CgroupPathIn(kHybrid, "cpuset"), std::nullopt);
  EXPECT_EQ(CgroupPathIn("4:memory:/a\n", ""), std::nullopt);
}

TEST(KernelTextTest, FindsWhereAHierarchyIsMounted) {
  constexpr absl::string_view kMounts =
      "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
      "35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro,relatime shared:9 - cgroup cgroup rw,memory\n"
      "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate\n";
  const std::optional<CgroupMount> memory = CgroupMountIn(kMounts, "memory"), unified = CgroupMountIn(kMounts, "");
  ASSERT_TRUE(memory && unified);
  EXPECT_EQ(memory->root, "/docker/abc");
  EXPECT_EQ(memory->mount_point, "/sys/fs/cgroup/memory");
  EXPECT_EQ(unified->mount_point, "/sys/fs/cgroup/unified");
  EXPECT_FALSE(CgroupMountIn(kMounts, "cpu"));
}

TEST(KernelTextTest, NoLimitIsAbsent) {
  EXPECT_THAT(ParseMemoryLimit("1073741824\n"), Optional(int64_t{1} << 30));
  EXPECT_EQ(ParseMemoryLimit("max\n"), std::nullopt);
  EXPECT_EQ(ParseMemoryLimit("9223372036854771712\n"), std::nullopt);  // what v1 says for none
  EXPECT_EQ(ParseMemoryLimit(""), std::nullopt);
  EXPECT_THAT(HierarchicalMemoryLimitIn("cache 1\nhierarchical_memory_limit 4096\n"), Optional(4096));
  EXPECT_THAT(ParseCpuMax("50000 100000\n"), Optional(0.5));
  EXPECT_EQ(ParseCpuMax("max 100000\n"), std::nullopt);
  EXPECT_EQ(ParseCpuMax("-1\n 100000\n"), std::nullopt);  // what v1 says for none
  EXPECT_EQ(ParseCpuMax("50000 0\n"), std::nullopt);
}

TEST(KernelTextTest, FindsTheParentBehindAnyProgramName) {
  EXPECT_THAT(ParentIn("17 (headroom-node) S 12 17 17 0"), Optional(12));
  EXPECT_THAT(ParentIn("17 (a) R 99 (b) S 12 17"), Optional(12));
  EXPECT_EQ(ParentIn("17"), std::nullopt);
  EXPECT_THAT(ResidentPagesIn("765 444 416 5 0 123 0\n"), Optional(444));
  EXPECT_THAT(ParseProcesses("1\n22\n"), ElementsAre(1, 22));
}

}  // namespace
}  // namespace headroom
