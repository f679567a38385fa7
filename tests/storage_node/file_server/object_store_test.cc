#include "storage_node/file_server/object_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/storage_node/file_server/server_fixture.h"

namespace headroom {
namespace {

// Both ways of keeping a path inside must be equally strong.
class ObjectStoreTest : public ::testing::TestWithParam<PathResolution> {
 protected:
  ObjectStoreTest() : store_(*ObjectStore::Open(directory_.path())) { store_.set_resolution(GetParam()); }

  absl::StatusCode ReadCode(const ObjectPath& path) const { return store_.Read(path).status().code(); }
  absl::StatusOr<Upload::Committed> Put(const ObjectPath& path, absl::string_view content,
                                        Upload::Rule rule = Upload::Rule::kReplace) const {
    absl::StatusOr<Upload> upload = store_.BeginUpload(path);
    if (!upload.ok()) return upload.status();
    if (absl::Status written = upload->Write(content); !written.ok()) return written;
    return upload->Commit(rule);
  }

  TemporaryDirectory outside_, directory_;
  ObjectStore store_;
};

TEST_P(ObjectStoreTest, KeepsWhatIsPutAndMakesItsParents) {
  const auto first = Put({{"a", "b", "c"}}, "one");
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(first->how, Upload::Committed::How::kCreated);
  EXPECT_EQ(directory_.Get("a/b/c"), "one");
  const auto second = Put({{"a", "b", "c"}}, "other");
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(second->how, Upload::Committed::How::kReplaced);
  EXPECT_NE(second->info.etag, first->info.etag);
  EXPECT_EQ(store_.Read({{"a", "b", "c"}})->info.etag, second->info.etag);
  EXPECT_EQ(directory_.UnfinishedUploads(), 0u);
}

TEST_P(ObjectStoreTest, AnUploadThatIsNotCommittedLeavesTheOldFileAndNoTrace) {
  directory_.Put("f", "old");
  {
    auto upload = store_.BeginUpload({{"f"}});
    ASSERT_TRUE(upload.ok());
    ASSERT_TRUE(upload->Write("half of the n").ok());
    EXPECT_EQ(directory_.UnfinishedUploads(), 1u);
    EXPECT_EQ(directory_.Get("f"), "old");
  }
  EXPECT_EQ(directory_.UnfinishedUploads(), 0u);
  EXPECT_EQ(directory_.Get("f"), "old");
}

TEST_P(ObjectStoreTest, OnlyIfAbsentNeverReplaces) {
  EXPECT_TRUE(Put({{"f"}}, "one", Upload::Rule::kOnlyIfAbsent).ok());
  EXPECT_EQ(Put({{"f"}}, "two", Upload::Rule::kOnlyIfAbsent).status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(directory_.Get("f"), "one");
  EXPECT_EQ(directory_.UnfinishedUploads(), 0u);
}

TEST_P(ObjectStoreTest, SymbolicLinksDoNotLeadOut) {
  outside_.Put("secret", "s");
  std::filesystem::create_symlink(outside_ / "secret", directory_ / "file");
  std::filesystem::create_directory_symlink(outside_.path(), directory_ / "dir");
  std::filesystem::create_directory_symlink("..", directory_ / "up");
  EXPECT_EQ(ReadCode({{"file"}}) == absl::StatusCode::kOk, false);
  EXPECT_EQ(ReadCode({{"dir", "secret"}}) == absl::StatusCode::kOk, false);
  EXPECT_EQ(ReadCode({{"up", "etc"}}) == absl::StatusCode::kOk, false);
  EXPECT_FALSE(Put({{"dir", "planted"}}, "x").ok());
  EXPECT_FALSE(outside_.Has("planted"));
  EXPECT_FALSE(store_.Remove({{"dir", "secret"}}).ok());
  EXPECT_TRUE(outside_.Has("secret"));
}

TEST_P(ObjectStoreTest, APutOntoALinkReplacesTheLinkAndNotItsTarget) {
  outside_.Put("secret", "s");
  std::filesystem::create_symlink(outside_ / "secret", directory_ / "file");
  EXPECT_TRUE(Put({{"file"}}, "mine").ok());
  EXPECT_EQ(outside_.Get("secret"), "s");
  EXPECT_EQ(directory_.Get("file"), "mine");
}

TEST_P(ObjectStoreTest, NoPathReachesItsOwnDirectory) {
  EXPECT_EQ(ReadCode({{".headroom"}}), absl::StatusCode::kNotFound);
  EXPECT_EQ(Put({{".headroom", "x"}}, "").status().code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(store_.Remove({{".headroom", "x"}}).code(), absl::StatusCode::kPermissionDenied);
}

TEST_P(ObjectStoreTest, SaysWhatIsWrongByRemedy) {
  directory_.Put("d/f", "x");
  ASSERT_EQ(::mkfifo((directory_ / "fifo").c_str(), 0600), 0);
  EXPECT_EQ(ReadCode({{"none"}}), absl::StatusCode::kNotFound);
  EXPECT_EQ(ReadCode({{"fifo"}}), absl::StatusCode::kNotFound);
  EXPECT_EQ(Put({{"d"}}, "").status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Put({{"d", "f", "g"}}, "").status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Put({}, "").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(store_.Remove({{"d"}}).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(store_.Remove({{"none"}}).code(), absl::StatusCode::kNotFound);
}

TEST_P(ObjectStoreTest, ListsByNameAPageAtATime) {
  for (const char* name : {"b", "a", "d", "c/x", "e"}) directory_.Put(name, "12");
  const auto root = store_.Read({});
  ASSERT_TRUE(root.ok());
  std::string names;
  std::string after;
  int pages = 0;
  do {
    const auto page = store_.List(*root, {.after = after, .entries_max = 2});
    ASSERT_TRUE(page.ok());
    EXPECT_LE(page->entries.size(), 2u);
    for (const auto& entry : page->entries) names += entry.name;
    after = page->next;
    ++pages;
  } while (!after.empty());
  EXPECT_EQ(names, "abcde");
  EXPECT_EQ(pages, 3);
}

INSTANTIATE_TEST_SUITE_P(BothWays, ObjectStoreTest,
                         ::testing::Values(PathResolution::kKernel, PathResolution::kStepByStep), [](const auto& way) {
                           return way.param == PathResolution::kKernel ? "Kernel" : "StepByStep";
                         });

TEST(ObjectStoreOpenTest, NamesTheDirectoryThatCannotBeUsed) {
  const auto missing = ObjectStore::Open("/nowhere/at/all");
  EXPECT_EQ(missing.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(missing.status().message()), ::testing::HasSubstr("/nowhere/at/all"));
}

TEST(ObjectStoreOpenTest, RemovesUploadsOfLongDeadProcessesOnly) {
  TemporaryDirectory directory;
  directory.Put(".headroom/old", "x");
  directory.Put(".headroom/young", "x");
  std::filesystem::last_write_time(directory / ".headroom/old",
                                   std::filesystem::file_time_type::clock::now() - std::chrono::hours(48));
  ASSERT_TRUE(ObjectStore::Open(directory.path()).ok());
  EXPECT_FALSE(directory.Has(".headroom/old"));
  EXPECT_TRUE(directory.Has(".headroom/young"));
}

}  // namespace
}  // namespace headroom
