#include "storage_node/adapters/haproxy/control.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/storage_node/adapters/haproxy/fake_haproxy.h"

namespace headroom::haproxy {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class ControlTest : public ::testing::Test {
 protected:
  FakeHaproxy haproxy_;
  HaproxyControl control_{haproxy_, {.backend = "nodes", .frontend = "front"}};
};

TEST_F(ControlTest, AddsSpellsEverySettingOutAndTakesTheServerOutOfMaintenance) {
  ASSERT_TRUE(control_.Add({.name = "n1", .endpoints = {"127.0.0.1:8081", "127.0.0.1:9091"}}).ok());
  EXPECT_THAT(haproxy_.Changes(),
              ElementsAre("add server nodes/n1 127.0.0.1:8081 check addr 127.0.0.1 port 9091 inter 500ms fall 2 rise 1 "
                          "weight 100",
                          "enable health nodes/n1", "enable server nodes/n1"));
}

TEST_F(ControlTest, GivesAServerALimitAndAPoolOnlyInModeHttp) {
  const NewServer server{.name = "n1", .endpoints = {"[::1]:8081", ""}, .session_count_max = 30};
  ASSERT_TRUE(control_.Add(server).ok());
  EXPECT_THAT(haproxy_.Changes()[0], Not(HasSubstr("maxconn")));
  EXPECT_THAT(haproxy_.Changes()[0], HasSubstr("[::1]:8081 check addr [::1] port 8081"));
  haproxy_.Restart();
  haproxy_.commands.clear();
  haproxy_.mode = "http";
  ASSERT_TRUE(control_.Add(server).ok());
  EXPECT_THAT(haproxy_.Changes()[0], HasSubstr("pool-max-conn -1 maxconn 30"));
}

TEST_F(ControlTest, RefusesBadDefinitionsBeforeTheyAreSent) {
  const Endpoints good{"127.0.0.1:8081", ""};
  const NewServer bad[] = {
      {.name = "", .endpoints = good},
      {.name = "n1 backup", .endpoints = good},
      {.name = "n1;disable frontend front", .endpoints = good},
      {.name = "../n1", .endpoints = good},
      {.name = std::string(254, 'a'), .endpoints = good},
      {.name = "n1", .endpoints = {"localhost:8081", ""}},
      {.name = "n1", .endpoints = {"127.0.0.1", ""}},
      {.name = "n1", .endpoints = {"127.0.0.1:0", ""}},
      {.name = "n1", .endpoints = {"127.0.0.1:65536", ""}},
      {.name = "n1", .endpoints = {"127.0.0.1:80 backup", ""}},
      {.name = "n1", .endpoints = {"::1:80", ""}},
      {.name = "n1", .endpoints = {"127.0.0.1:8081", "admin:80"}},
      {.name = "n1", .endpoints = good, .weight = 0},
      {.name = "n1", .endpoints = good, .weight = 257},
      {.name = "n1", .endpoints = good, .session_count_max = 0},
  };
  for (const NewServer& server : bad) {
    EXPECT_EQ(control_.Add(server).code(), absl::StatusCode::kInvalidArgument)
        << server.name << " " << server.endpoints.data;
  }
  EXPECT_THAT(haproxy_.Changes(), IsEmpty());
}

TEST_F(ControlTest, RefusesZeroAndNonsenseAsALimitBecauseHaproxyTakesBoth) {
  haproxy_.servers["n1"] = {.limit = 30};
  for (const int64_t limit : {int64_t{0}, int64_t{-4}, HaproxyControl::kSessionsMax + 1}) {
    EXPECT_EQ(control_.SetServerLimit("n1", limit).code(), absl::StatusCode::kInvalidArgument) << limit;
    EXPECT_EQ(control_.SetFrontendLimit(limit).code(), absl::StatusCode::kInvalidArgument) << limit;
  }
  EXPECT_EQ(control_.SetFrontendLimit(5001).code(), absl::StatusCode::kInvalidArgument)
      << "above the process's maxconn";
  EXPECT_THAT(haproxy_.Changes(), IsEmpty());
  EXPECT_EQ(haproxy_.servers["n1"].limit, 30);
}

TEST_F(ControlTest, SetsLimitsAndWeightsAndReadsThemBack) {
  haproxy_.servers["n1"] = {.limit = 30};
  EXPECT_TRUE(control_.SetServerLimit("n1", 60).ok());
  EXPECT_EQ(haproxy_.servers["n1"].limit, 60);
  EXPECT_TRUE(control_.SetServerLimit("n1", std::nullopt).ok());
  EXPECT_EQ(haproxy_.servers["n1"].limit, 0);
  EXPECT_TRUE(control_.SetWeight("n1", 50).ok());
  EXPECT_EQ(haproxy_.servers["n1"].weight, 50);
  EXPECT_TRUE(control_.SetFrontendLimit(4500).ok());
  EXPECT_EQ(haproxy_.frontend_limit, 4500);
}

TEST_F(ControlTest, NoticesThatACommandWasTakenWithoutEffect) {
  haproxy_.servers["n1"] = {.limit = 30};
  haproxy_.answers["set maxconn server nodes/n1 60"] = "\n";
  haproxy_.answers["set maxconn frontend front 100"] = "\n";
  haproxy_.answers["set server nodes/n1 weight 9"] = "\n";
  haproxy_.answers["set server nodes/n1 state drain"] = "\n";
  EXPECT_EQ(control_.SetServerLimit("n1", 60).code(), absl::StatusCode::kAborted);
  EXPECT_EQ(control_.SetFrontendLimit(100).code(), absl::StatusCode::kAborted);
  EXPECT_EQ(control_.SetWeight("n1", 9).code(), absl::StatusCode::kAborted);
  EXPECT_EQ(control_.Drain("n1").code(), absl::StatusCode::kAborted);
}

TEST_F(ControlTest, ReadsRefusalsOutOfTheAnswers) {
  haproxy_.servers["n1"] = {};
  EXPECT_EQ(control_.SetServerLimit("n9", 60).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(control_.Add({.name = "n1", .endpoints = {"127.0.0.1:8081", ""}}).code(), absl::StatusCode::kAlreadyExists);
  haproxy_.answers["set server nodes/n1 weight 9"] = "Permission denied\n\n";
  EXPECT_EQ(control_.SetWeight("n1", 9).code(), absl::StatusCode::kPermissionDenied);
  haproxy_.answers["set server nodes/n1 weight 9"] = "Backend is using a static LB algorithm\n\n";
  const absl::Status refused = control_.SetWeight("n1", 9);
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("static LB algorithm"));
}

TEST_F(ControlTest, DeletesOnlyADrainedServerWithoutSessions) {
  haproxy_.servers["serving"] = {};
  haproxy_.servers["busy"] = {.admin = 8, .sessions = 1};
  haproxy_.servers["waiting"] = {.admin = 8, .queue = 1};
  haproxy_.servers["empty"] = {.admin = 8};
  for (const char* name : {"serving", "busy", "waiting"}) {
    EXPECT_EQ(control_.Remove(name).code(), absl::StatusCode::kFailedPrecondition) << name;
  }
  EXPECT_THAT(haproxy_.Changes(), IsEmpty());
  EXPECT_TRUE(control_.Remove("empty").ok());
  EXPECT_EQ(haproxy_.servers.count("empty"), 0u);
}

TEST_F(ControlTest, PutsAServerBackIntoDrainWhenHaproxyWillNotDeleteIt) {
  haproxy_.servers["n1"] = {.admin = 8};
  haproxy_.answers["del server nodes/n1"] = "Server still has connections attached to it, cannot remove it.\n";
  const absl::Status status = control_.Remove("n1");
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("still has connections"));
  EXPECT_EQ(haproxy_.servers["n1"].admin, 8);
  EXPECT_THAT(haproxy_.commands, Not(Contains(HasSubstr("shutdown"))));
}

TEST_F(ControlTest, LooksAtOneBackendAndSaysWhereItsSlotsAre) {
  haproxy_.servers["n1"] = {.sessions = 2, .limit = 30};
  haproxy_.servers["n2"] = {.operational = 0, .admin = 8};
  haproxy_.backend_queue = 5;
  auto view = control_.Look();
  ASSERT_TRUE(view.ok()) << view.status();
  EXPECT_FALSE(view->holds_slots);
  EXPECT_EQ(view->backend_queue_count, 5);
  EXPECT_EQ(view->frontend_session_count_max, 4000);
  ASSERT_EQ(view->servers.size(), 2u);
  EXPECT_TRUE(view->servers[0].IsServing());
  EXPECT_TRUE(!view->servers[1].up && view->servers[1].draining);
  haproxy_.mode = "http";
  EXPECT_TRUE(control_.Look()->holds_slots);
  HaproxyControl elsewhere(haproxy_, {.backend = "nodes", .frontend = "typo"});
  EXPECT_EQ(elsewhere.Look().status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace headroom::haproxy
