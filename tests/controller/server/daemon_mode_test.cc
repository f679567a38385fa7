#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "controller/runtime/sqlite.h"
#include "controller/runtime/sqlite_journal.h"
#include "controller/server/daemon.h"
#include "tests/controller/runtime/temp_dir.h"
#include "tests/controller/server/daemon_case.h"

namespace headroom {
namespace {

using ::testing::HasSubstr;

class DaemonModeTest : public DaemonTest {};

TEST_F(DaemonModeTest, ADryRunOnlyObservesHoweverFullTheNodeIs) {
  Start("dry_run");
  const auto stream = Open(Hello("node-1"));
  v1::Directive directive;
  ASSERT_TRUE(stream->rpc->Read(&directive));
  EXPECT_EQ(directive.mode(), v1::DIRECTIVE_MODE_OBSERVE);
  for (uint64_t i = 1; i <= 5; ++i) stream->rpc->Write(Load(i, 195 + static_cast<int64_t>(i)));
  ASSERT_TRUE(ComesToHave(200));
  // The decision to grant is there, and it went nowhere.
  v1::GetStatusResponse status;
  const absl::Time end = absl::Now() + kPatience;
  while (!status.has_last_action() && absl::Now() < end) {
    ASSERT_TRUE(Call(&v1::AdminService::Stub::GetStatus, v1::GetStatusRequest(), &status).ok());
  }
  EXPECT_TRUE(status.has_last_action());
  EXPECT_EQ(touched_, 0);
  stream->rpc->WritesDone();
  while (stream->rpc->Read(&directive)) {
    EXPECT_EQ(directive.mode(), v1::DIRECTIVE_MODE_OBSERVE);
    EXPECT_FALSE(directive.has_grant());
  }
}

TEST_F(DaemonModeTest, EnablingShowsFirstThenActsUnderANewTermAndHoldsOverARestart) {
  TempDir dir;
  const auto open_journal = [&] {
    SqliteJournal::Options options;
    options.state_dir = dir.path();
    return SqliteJournal::Open(std::move(options)).value();
  };
  journal_ = open_journal();
  Start("dry_run");
  const auto stream = Open(Hello("node-1"));
  v1::Directive directive;
  ASSERT_TRUE(stream->rpc->Read(&directive));
  EXPECT_EQ(directive.mode(), v1::DIRECTIVE_MODE_OBSERVE);
  for (uint64_t i = 1; i <= 5; ++i) stream->rpc->Write(Load(i, 195 + static_cast<int64_t>(i)));
  ASSERT_TRUE(ComesToHave(200));

  v1::SetModeRequest request;
  v1::SetModeResponse looked, enabled;
  request.set_mode(v1::MODE_LIVE);
  request.set_validate_only(true);
  const absl::Time end = absl::Now() + kPatience;
  while (looked.trial().raise_count() == 0 && absl::Now() < end) {
    ASSERT_TRUE(Call(&v1::AdminService::Stub::SetMode, request, &looked).ok());
  }
  EXPECT_GT(looked.trial().raise_count(), 0);
  EXPECT_EQ(looked.mode(), v1::MODE_DRY_RUN);
  EXPECT_GT(looked.learning_size(), 0);
  EXPECT_LE(looked.learning_size(), looked.learning_of());
  EXPECT_EQ(touched_, 0);

  request.set_validate_only(false);
  EXPECT_EQ(Call(&v1::AdminService::Stub::SetMode, request, &enabled).error_code(), grpc::StatusCode::INVALID_ARGUMENT)
      << "for those who read the journal";
  request.set_reason("the dry run was right for a week");
  ASSERT_TRUE(Call(&v1::AdminService::Stub::SetMode, request, &enabled).ok());
  EXPECT_EQ(enabled.mode(), v1::MODE_LIVE);
  EXPECT_GT(enabled.term(), looked.term());
  EXPECT_GT(enabled.trial().raise_count(), 0) << "of the dry run";
  for (uint64_t i = 6; directive.grant().connection_count_max() <= 200 && stream->rpc->Write(Load(i, 200));) {
    ++i;
    ASSERT_TRUE(stream->rpc->Read(&directive));
  }
  EXPECT_EQ(directive.mode(), v1::DIRECTIVE_MODE_LIVE);
  EXPECT_EQ(directive.term(), enabled.term());
  EXPECT_GT(directive.grant().connection_count_max(), 200);

  stream->context.TryCancel();
  daemon_.reset();
  journal_ = open_journal();
  Start("dry_run");
  v1::GetPolicyResponse policy;
  ASSERT_TRUE(Call(&v1::AdminService::Stub::GetPolicy, v1::GetPolicyRequest(), &policy).ok());
  EXPECT_EQ(policy.policy().mode(), v1::MODE_LIVE) << "the file has not changed its mind";
  daemon_.reset();
}

TEST_F(DaemonModeTest, DisablingStopsAllDeedsAtOnce) {
  Start("live");
  const auto stream = Open(Hello("node-1"));
  v1::Directive directive;
  ASSERT_TRUE(stream->rpc->Read(&directive));
  EXPECT_EQ(directive.mode(), v1::DIRECTIVE_MODE_LIVE);
  v1::SetModeRequest request;
  v1::SetModeResponse response;
  request.set_mode(v1::MODE_DRY_RUN);
  request.set_reason("an incident of another kind");
  ASSERT_TRUE(Call(&v1::AdminService::Stub::SetMode, request, &response).ok());
  EXPECT_EQ(response.mode(), v1::MODE_DRY_RUN);
  const int touched = touched_;
  for (uint64_t i = 1; i <= 5; ++i) stream->rpc->Write(Load(i, 195 + static_cast<int64_t>(i)));
  ASSERT_TRUE(ComesToHave(200));
  v1::GetStatusResponse status;
  const absl::Time end = absl::Now() + kPatience;
  while (status.trial().raise_count() == 0 && absl::Now() < end) {
    ASSERT_TRUE(Call(&v1::AdminService::Stub::GetStatus, v1::GetStatusRequest(), &status).ok());
  }
  EXPECT_GT(status.trial().raise_count(), 0) << "it still says what it would do";
  EXPECT_LE(touched_, touched + 1) << "at most the one that was under way";
  stream->rpc->WritesDone();
  while (stream->rpc->Read(&directive)) EXPECT_FALSE(directive.has_grant());
  EXPECT_EQ(directive.mode(), v1::DIRECTIVE_MODE_OBSERVE);
}

TEST_F(DaemonModeTest, WhatWasReallyAskedIsRealAfterDisableAndARestartToo) {
  TempDir dir;
  const auto open_journal = [&] {
    SqliteJournal::Options options;
    options.state_dir = dir.path();
    return SqliteJournal::Open(std::move(options)).value();
  };
  {
    Policy policy;
    policy.mode = Mode::kLive;
    Autoscaler before(policy);
    before.Observe(absl::Now(), ActionStarted{{"asked", 1, "", {}, LaunchNode{}}});
    before.Observe(absl::Now(), ModeChosen{Mode::kDryRun, Mode::kLive, "an incident of another kind", "op"});
    ASSERT_EQ(before.policy().mode, Mode::kDryRun);
    ASSERT_TRUE(before.fleet().in_flight().contains("asked"));
    const auto journal = open_journal();
    journal->RecordSnapshot(absl::Now(), before);
    ASSERT_TRUE(journal->Sync(kPatience).ok());
  }
  journal_ = open_journal();
  Start("live");
  v1::GetPolicyResponse policy;
  ASSERT_TRUE(Call(&v1::AdminService::Stub::GetPolicy, v1::GetPolicyRequest(), &policy).ok());
  EXPECT_EQ(policy.policy().mode(), v1::MODE_DRY_RUN) << "as the operator said";
  // The provider knows of no such machine. A dry run would have imagined that it came.
  const char* told = "headroom_scale_actions_total{kind=\"launch\",result=\"unavailable\"} 1";
  std::string metrics;
  for (const absl::Time end = absl::Now() + kPatience; !absl::StrContains(metrics, told) && absl::Now() < end;) {
    metrics = Fetch("GET /metrics");
  }
  EXPECT_THAT(metrics, HasSubstr(told));
  EXPECT_EQ(touched_, 0) << "it only asked";
  daemon_.reset();
}

}  // namespace
}  // namespace headroom
