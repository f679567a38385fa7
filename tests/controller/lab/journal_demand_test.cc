#include "controller/lab/journal_demand.h"

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <unistd.h>

#include "controller/core/autoscaler.h"
#include "controller/runtime/journal_store.h"
#include "controller/runtime/records.h"
#include "controller/runtime/sqlite.h"

namespace headroom::lab {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

class JournalDemandTest : public ::testing::Test {
 protected:
  JournalDemandTest() : folder_(absl::StrCat(testing::TempDir(), "journal_demand_", getpid())) {
    std::filesystem::remove_all(folder_);
  }
  ~JournalDemandTest() override { std::filesystem::remove_all(folder_); }

  // As a headroomd leaves it that saw so many minutes of demand, 100 more each minute.
  void Leave(int minutes) {
    Policy policy;
    policy.cluster = "web";
    policy.connections.per_node_count = 500;
    State state;
    for (int minute = 0; minute <= minutes; ++minute) {
      state.forecast.Observe(kBegin + minute * absl::Minutes(1), 100.0 * minute, {.lead = absl::Minutes(2)});
    }
    JournalWrite write;
    write.snapshot = EncodedSnapshot{kBegin + minutes * absl::Minutes(1), EncodePolicy(policy), EncodeState(state)};
    auto store = JournalStore::Open(folder_, {});
    ASSERT_TRUE(store.ok()) << store.status();
    ASSERT_TRUE((*store)->Write(write).ok());
  }

  const absl::Time kBegin = absl::FromUnixSeconds(1'704'067'200);
  const std::string folder_;
};

TEST_F(JournalDemandTest, TheForecastersMemoryIsADemand) {
  Leave(90);
  ASSERT_TRUE(IsJournal(folder_));
  EXPECT_TRUE(IsJournal(folder_ + "/journal.db"));
  const auto journal = ReadJournal(folder_);
  ASSERT_TRUE(journal.ok()) << journal.status();
  EXPECT_EQ(journal->policy.cluster, "web");
  EXPECT_EQ(journal->per_node, 500);
  EXPECT_EQ(journal->demand.step, absl::Minutes(1));
  ASSERT_THAT(journal->demand.samples, SizeIs(90));
  for (int minute = 0; minute < 90; ++minute) {
    const TraceSample& sample = journal->demand.samples[static_cast<size_t>(minute)];
    EXPECT_EQ(sample.unix_seconds, absl::ToUnixSeconds(kBegin) + 60 * minute);
    EXPECT_NEAR(sample.value, 100.0 * minute, 1e-6);
  }
  EXPECT_FALSE(journal->throughput.has_value());
}

TEST_F(JournalDemandTest, AnEmptyMemoryIsNoPlan) {
  Leave(1);
  const auto journal = ReadJournal(folder_);
  EXPECT_EQ(journal.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(journal.status().message(), HasSubstr("less than two minutes of demand"));
}

TEST_F(JournalDemandTest, AJournalCutShortIsRefusedAndNotChanged) {
  Leave(90);
  const std::string file = folder_ + "/journal.db";
  const auto size = std::filesystem::file_size(file);
  std::filesystem::resize_file(file, size / 3);
  ASSERT_TRUE(IsJournal(file));
  const auto journal = ReadJournal(file);
  ASSERT_FALSE(journal.ok());
  EXPECT_EQ(journal.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(journal.status().message(), HasSubstr("journal.db: is broken or cut short"));
  EXPECT_EQ(std::filesystem::file_size(file), size / 3);
}

TEST_F(JournalDemandTest, AnEmptyJournalIsCalledEmptyAndNotAFolderWithoutOne) {
  std::filesystem::create_directories(folder_);
  std::ofstream(folder_ + "/journal.db") << "";
  for (const std::string& path : {folder_, folder_ + "/journal.db"}) {
    ASSERT_TRUE(IsJournal(path)) << path;
    const auto journal = ReadJournal(path);
    EXPECT_EQ(journal.status().code(), absl::StatusCode::kDataLoss);
    EXPECT_THAT(journal.status().message(), HasSubstr("journal.db: is empty"));
  }
}

TEST_F(JournalDemandTest, AnotherDatabaseIsCalledNoJournalOfHeadroom) {
  std::filesystem::create_directories(folder_);
  {
    auto other = SqliteConnection::Open(folder_ + "/journal.db", SqliteConnection::Access::kWrite);
    ASSERT_TRUE(other.ok()) << other.status();
    ASSERT_TRUE((*other)->Execute("CREATE TABLE songs (name TEXT)").ok());
  }
  const auto journal = ReadJournal(folder_);
  EXPECT_EQ(journal.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(journal.status().message(), HasSubstr("is not a journal of Headroom"));
}

TEST_F(JournalDemandTest, NothingIsWrittenBesideAJournalThatIsAtRest) {
  Leave(90);
  for (const char* beside : {"/journal.db-wal", "/journal.db-shm"}) std::filesystem::remove(folder_ + beside);
  ASSERT_TRUE(ReadJournal(folder_).ok());
  for (const char* beside : {"/journal.db-wal", "/journal.db-shm"}) {
    EXPECT_FALSE(std::filesystem::exists(folder_ + beside)) << beside;
  }
}

TEST_F(JournalDemandTest, ATraceIsNoJournal) {
  std::filesystem::create_directories(folder_);
  std::ofstream(folder_ + "/trace.csv") << "unix_seconds,v\n0,1\n60,2\n";
  EXPECT_FALSE(IsJournal(folder_ + "/trace.csv"));
  EXPECT_FALSE(IsJournal(folder_));
  EXPECT_FALSE(IsJournal(folder_ + "/missing"));
}

}  // namespace
}  // namespace headroom::lab
