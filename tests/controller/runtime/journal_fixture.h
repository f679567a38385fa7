#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"

#include "controller/runtime/records.h"
#include "controller/runtime/sqlite_journal.h"
#include "tests/controller/runtime/temp_dir.h"

// What tests of the SQLite journal share: small records, and a journal to write them into.

namespace headroom {

inline constexpr absl::Duration kLong = absl::Minutes(1);
inline const absl::Time kStart = absl::FromUnixSeconds(1'700'000'000);

inline std::shared_ptr<const Decision> MakeDecision(uint64_t sequence, int desired) {
  auto decision = std::make_shared<Decision>();
  decision->sequence = sequence;
  decision->at = kStart + absl::Seconds(static_cast<int64_t>(sequence));
  decision->desired_count = desired;
  return decision;
}

inline std::shared_ptr<const Decision> MakeActingDecision(uint64_t sequence) {
  auto decision = std::make_shared<Decision>(*MakeDecision(sequence, 100));
  decision->actions.push_back({absl::StrCat("action-", sequence), 1, "", {}, LaunchNode{}});
  return decision;
}

inline Action Launch(const ActionId& id) {
  return {id, 3, "", MakeReason(ReasonCode::kLaunchForDemand, 3, "connections"), LaunchNode{"zone-a"}};
}

inline Event Fact(int number) {
  return HoldChanged{HoldDirection::kUp, kStart, absl::StrCat("fact ", number), "operator"};
}

inline Event Report(uint64_t sequence) {
  NodeReported reported{"node", {}};
  reported.report.boot_id = "boot";
  reported.report.sequence = sequence;
  return reported;
}

// A journal in a directory of its own.
class SqliteJournalTest : public ::testing::Test {
 protected:
  SqliteJournal::Options Options() const {
    SqliteJournal::Options options;
    options.state_dir = dir_.path() + "/state";
    return options;
  }
  std::string File() const { return dir_.path() + "/state/journal.db"; }

  std::unique_ptr<SqliteJournal> Open() { return Open(Options()); }
  static std::unique_ptr<SqliteJournal> Open(SqliteJournal::Options options) {
    absl::StatusOr<std::unique_ptr<SqliteJournal>> journal = SqliteJournal::Open(std::move(options));
    EXPECT_TRUE(journal.ok()) << journal.status();
    return journal.ok() ? *std::move(journal) : nullptr;
  }
  // Changes the file behind the journal's back.
  void Damage(const std::string& sql) {
    absl::StatusOr<std::unique_ptr<SqliteConnection>> file =
        SqliteConnection::Open(File(), SqliteConnection::Access::kWrite);
    ASSERT_TRUE(file.ok()) << file.status();
    ASSERT_TRUE((*file)->Execute(sql).ok());
  }

  TempDir dir_;
};

}  // namespace headroom
