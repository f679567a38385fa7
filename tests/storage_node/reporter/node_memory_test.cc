#include "storage_node/reporter/node_memory.h"

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include <gtest/gtest.h>
#include <unistd.h>

#include "storage_node/proto_time.h"

namespace headroom {
namespace {

constexpr absl::Time kStart = absl::FromUnixSeconds(5000);
const ServerIdentity kOne{.server_version = "headroom-node/1", .config_hash = "a"};
const ServerIdentity kNewVersion{.server_version = "headroom-node/2", .config_hash = "a"};
const ServerIdentity kNewConfig{.server_version = "headroom-node/1", .config_hash = "b"};

class NodeMemoryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = absl::StrCat(::testing::TempDir(), "/node_memory_test.XXXXXX");
    ASSERT_NE(mkdtemp(folder_.data()), nullptr);
    path_ = folder_ + "/state";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  static v1::Learned Learned(int64_t proven) {
    v1::Learned learned;
    learned.set_proven_connection_count(proven);
    return learned;
  }
  static absl::Status Remember(NodeMemory& memory, const std::string& path, const v1::Learned& learned) {
    constexpr int64_t kTerm = 7;
    EXPECT_TRUE(memory.Note(kTerm, learned));
    EXPECT_FALSE(memory.Note(kTerm, learned)) << "nothing new";
    return NodeMemory::Save(path, memory.hello());
  }
  std::string folder_, path_;
};

TEST_F(NodeMemoryTest, TermAndLearningSurviveARestart) {
  {
    NodeMemory memory(path_, kOne, kStart);
    ASSERT_TRUE(Remember(memory, path_, Learned(300)).ok());
  }
  const NodeMemory again(path_, kOne, kStart + absl::Hours(1));
  EXPECT_TRUE(again.problem().ok()) << again.problem();
  EXPECT_EQ(again.hello().term_max_seen(), 7);
  EXPECT_EQ(again.hello().learned().proven_connection_count(), 300);
  EXPECT_FALSE(again.hello().has_server_version_time());  // it never saw another
  EXPECT_FALSE(again.hello().has_config_time());
}

TEST_F(NodeMemoryTest, KnowsWhenVersionAndConfigurationChanged) {
  {
    NodeMemory memory(path_, kOne, kStart);
    ASSERT_TRUE(Remember(memory, path_, Learned(300)).ok());
  }
  {
    const NodeMemory deployed(path_, kNewVersion, kStart + absl::Hours(1));
    EXPECT_EQ(FromProto(deployed.hello().server_version_time()), kStart + absl::Hours(1));
    EXPECT_FALSE(deployed.hello().has_config_time());
    EXPECT_FALSE(deployed.hello().has_learned());  // of another program
    EXPECT_EQ(deployed.hello().term_max_seen(), 7);
  }
  {
    const NodeMemory restarted(path_, kNewVersion, kStart + absl::Hours(2));
    EXPECT_EQ(FromProto(restarted.hello().server_version_time()), kStart + absl::Hours(1));
  }
  const NodeMemory configured(path_, kNewConfig, kStart + absl::Hours(3));
  EXPECT_EQ(FromProto(configured.hello().config_time()), kStart + absl::Hours(3));
}

TEST_F(NodeMemoryTest, AFileThatIsNoMemoryIsSaidAndReplaced) {
  std::ofstream(path_) << "term_max_seen: many";
  NodeMemory memory(path_, kOne, kStart);
  EXPECT_EQ(memory.problem().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(memory.hello().term_max_seen(), 0);
  ASSERT_TRUE(Remember(memory, path_, {}).ok());
  EXPECT_EQ(NodeMemory(path_, kOne, kStart).hello().term_max_seen(), 7);
}

TEST_F(NodeMemoryTest, AFolderThatIsGoneIsSaidAndTheMemoryHolds) {
  NodeMemory memory(folder_ + "/not/there", kOne, kStart);
  EXPECT_FALSE(memory.problem().ok());
  EXPECT_FALSE(Remember(memory, folder_ + "/not/there", {}).ok());
  EXPECT_EQ(memory.hello().term_max_seen(), 7);
}

TEST_F(NodeMemoryTest, WithoutAPathNothingIsWritten) {
  NodeMemory memory("", kOne, kStart);
  EXPECT_TRUE(memory.problem().ok());
  EXPECT_TRUE(Remember(memory, "", {}).ok());
  EXPECT_EQ(memory.hello().term_max_seen(), 7);
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

}  // namespace
}  // namespace headroom
