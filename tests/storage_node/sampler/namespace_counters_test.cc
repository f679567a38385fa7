#include "storage_node/sampler/namespace_counters.h"

#include <filesystem>
#include <fstream>
#include <memory>

#include "absl/strings/str_cat.h"
#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/storage_node/sampler/crowd.h"

namespace headroom {
namespace {

// A name that no other test run in this namespace has.
std::string Name() {
  return absl::StrCat("headroom/test/", getpid(), "/", absl::ToUnixNanos(absl::Now()));
}

TEST(NamespaceCountersTest, OneSpeaksForTheNamespaceAndTheNextOneFollows) {
  const std::string name = Name();
  auto first = std::make_unique<NamespaceCounters>(SoleReporter::kAuto, "", name);
  NamespaceCounters second(SoleReporter::kAuto, "", name);
  ASSERT_TRUE(first->Read());
  EXPECT_FALSE(second.Read());
  EXPECT_TRUE(first->Read());
  first.reset();
  EXPECT_TRUE(second.Read());
}

TEST(NamespaceCountersTest, OverflowsAreToldOnlyWhileNobodyElseCouldHaveCausedThem) {
  const std::string name = Name();
  NamespaceCounters first(SoleReporter::kAuto, "", name);
  ASSERT_TRUE(first.Read()->overflow_count.has_value());
  auto second = std::make_unique<NamespaceCounters>(SoleReporter::kAuto, "", name);
  NamespaceCounters third(SoleReporter::kAuto, "", name);
  EXPECT_FALSE(second->Read());
  EXPECT_FALSE(third.Read());
  EXPECT_FALSE(first.Read()->overflow_count.has_value()) << "whose they are cannot be told";
  second.reset();
  EXPECT_FALSE(third.Read()) << "it moves up";
  EXPECT_FALSE(first.Read()->overflow_count.has_value());
}

TEST(NamespaceCountersTest, ANeighbourThatTellsNothingMayHaveCausedOverflowsToo) {
  const std::string name = Name();
  NamespaceCounters speaker(SoleReporter::kAuto, "", name), silent(SoleReporter::kNo, "", name);
  ASSERT_TRUE(speaker.Read()->overflow_count.has_value());
  EXPECT_FALSE(silent.Read().has_value());
  EXPECT_FALSE(speaker.Read()->overflow_count.has_value());
}

TEST(NamespaceCountersTest, TheSecondThatMovesUpIsAlone) {
  const std::string name = Name();
  auto first = std::make_unique<NamespaceCounters>(SoleReporter::kAuto, "", name);
  NamespaceCounters second(SoleReporter::kAuto, "", name);
  ASSERT_TRUE(first->Read());
  ASSERT_FALSE(second.Read());
  first.reset();
  ASSERT_TRUE(second.Read());
  EXPECT_TRUE(second.Read()->overflow_count.has_value());
}

TEST(NamespaceCountersTest, DoesAsItIsTold) {
  const std::string name = Name();
  NamespaceCounters first(SoleReporter::kAuto, "", name);
  ASSERT_TRUE(first.Read());
  EXPECT_TRUE(NamespaceCounters(SoleReporter::kYes, "", name).Read());
  EXPECT_FALSE(NamespaceCounters(SoleReporter::kNo, "", Name()).Read());
}

TEST(NamespaceCountersTest, CountsFromWhereItBegan) {
  NamespaceCounters counters(SoleReporter::kYes);
  const std::optional<NamespaceCount> begin = counters.Read();
  ASSERT_TRUE(begin);
  EXPECT_EQ(begin->overflow_count, 0);
  EXPECT_EQ(begin->segment_out_count, 0);
  CrowdedListener listener(1);
  listener.Come(12);  // two fit
  EXPECT_TRUE(Eventually([&] { return counters.Read()->overflow_count.value_or(0) >= 10; }));
  EXPECT_GT(counters.Read()->segment_out_count, 0);
}

TEST(NamespaceCountersTest, RetransmittedSynsAreLeftOut) {
  std::string root = absl::StrCat(::testing::TempDir(), "/namespace_test.XXXXXX");
  ASSERT_NE(mkdtemp(root.data()), nullptr);
  const std::string net = root + "/proc/thread-self/net";
  std::filesystem::create_directories(net);
  const auto write = [&net](int retransmitted, int syns) {
    std::ofstream(net + "/snmp") << "Tcp: OutSegs RetransSegs\nTcp: 100 " << retransmitted << "\n";
    std::ofstream(net + "/netstat") << "TcpExt: ListenOverflows TCPSynRetrans\nTcpExt: 5 " << syns << "\n";
  };
  NamespaceCounters counters(SoleReporter::kYes, root);
  write(10, 4);
  ASSERT_TRUE(counters.Read());
  write(30, 21);
  EXPECT_EQ(counters.Read()->retransmit_count, 3);
  std::filesystem::remove(net + "/netstat");
  EXPECT_FALSE(counters.Read());
  std::filesystem::remove_all(root);
}

}  // namespace
}  // namespace headroom
