#include "storage_node/adapters/haproxy/stats.h"

#include <random>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace headroom::haproxy {
namespace {

using ::testing::HasSubstr;

// As HAProxy 2.6.12 prints it, columns in another order and some left out.
constexpr absl::string_view kStat =
    "# "
    "pxname,svname,qcur,scur,slim,stot,econ,wretr,status,type,check_desc,uweight,hrsp_2xx,hrsp_4xx,hrsp_5xx,addr,mode,-"
    ",\n"
    "front,FRONTEND,,3,4000,9,,,OPEN,0,,,,,,,http,,\n"
    "nodes,n1,2,5,30,17,4,6,UP,2,\"Layer7, \"\"passed\"\"\",50,10,2,1,127.0.0.1:8081,http,-,\n"
    "nodes,BACKEND,7,5,500,17,1,0,UP,1,,50,10,2,4,,http,-,\n\n";

constexpr absl::string_view kState =
    "1\n"
    "# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_check_state srv_check_port "
    "srv_check_addr\n"
    "3 nodes 1 n1 127.0.0.1 2 0 100 6 8091 127.0.0.1\n"
    "3 nodes 2 n2 127.0.0.1 0 1 100 2 8092 ::1\n"
    "3 nodes 3 n3 127.0.0.1 2 8 100 0 0 -\n"
    "3 nodes 4 n4 127.0.0.1 0 4 100 6 0 -\n\n";

constexpr absl::string_view kInfo =
    "Name: HAProxy\nVersion: 2.6.12-1+deb12u4\nPid: 5882\nUptime: 0d 0h00m01s\nMaxconn: 5000\nStopping: 0\n"
    "node: a: b\nStart_time_sec: 1795382199\n\n";

TEST(ParseStat, FindsColumnsByNameAndReadsQuotedCells) {
  const auto rows = ParseStat(kStat);
  ASSERT_TRUE(rows.ok()) << rows.status();
  ASSERT_EQ(rows->size(), 3u);
  const StatRow& server = (*rows)[1];
  EXPECT_EQ(server.kind, StatRow::Kind::kServer);
  EXPECT_EQ(server.proxy, "nodes");
  EXPECT_EQ(server.name, "n1");
  EXPECT_EQ(server.mode, "http");
  EXPECT_EQ(server.address, "127.0.0.1:8081");
  EXPECT_EQ(server.queue_count, 2);
  EXPECT_EQ(server.session_count, 5);
  EXPECT_EQ(server.session_count_max, 30);
  EXPECT_EQ(server.session_total_count, 17);
  EXPECT_EQ(server.connect_error_count, 4);
  EXPECT_EQ(server.retry_count, 6);
  EXPECT_EQ(server.response_count, 13);
  EXPECT_EQ(server.error_count, 1);
  EXPECT_EQ(server.weight, 50);
  EXPECT_EQ((*rows)[0].kind, StatRow::Kind::kFrontend);
  EXPECT_EQ((*rows)[2].queue_count, 7);
}

TEST(ParseStat, RefusesAnAnswerThatIsNoTable) {
  for (const absl::string_view text : {"", "\n", "No such proxy.\n\n", "Permission denied\n", "front,FRONTEND\n"}) {
    EXPECT_EQ(ParseStat(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST(ParseStat, NamesTheColumnThatIsMissing) {
  const auto rows = ParseStat(absl::StrReplaceAll(kStat, {{"slim", "blim"}}));
  EXPECT_THAT(std::string(rows.status().message()), HasSubstr("slim"));
}

TEST(ParseStat, RefusesACellThatIsNoCount) {
  for (const char* bad : {"-4", "1e3", "99999999999999999999", "x"}) {
    const auto rows = ParseStat(absl::StrReplaceAll(kStat, {{"n1,2,", absl::StrCat("n1,", bad, ",")}}));
    EXPECT_THAT(std::string(rows.status().message()), HasSubstr("qcur")) << bad;
  }
}

TEST(ParseStat, RefusesMoreRowsThanItsBound) {
  std::string text(kStat);
  for (int i = 0; i < kRowsMax; ++i) text += "a,b,\n";
  EXPECT_EQ(ParseStat(text).status().code(), absl::StatusCode::kResourceExhausted);
}

TEST(ParseServersState, TellsDrainMaintenanceAndChecksApart) {
  const auto rows = ParseServersState(kState);
  ASSERT_TRUE(rows.ok()) << rows.status();
  ASSERT_EQ(rows->size(), 4u);
  const auto& [serving, added, drained, disabled] = std::tie((*rows)[0], (*rows)[1], (*rows)[2], (*rows)[3]);
  EXPECT_TRUE(serving.running && !serving.drain && !serving.maintenance);
  EXPECT_EQ(serving.check, ServerState::Check::kOn);
  EXPECT_EQ(serving.check_port, 8091);
  EXPECT_TRUE(!added.running && added.maintenance);
  EXPECT_EQ(added.check, ServerState::Check::kOff);
  EXPECT_EQ(added.check_address, "::1");
  EXPECT_TRUE(drained.drain && drained.running && !drained.maintenance);
  EXPECT_EQ(drained.check, ServerState::Check::kNone);
  EXPECT_TRUE(disabled.maintenance);
}

TEST(ParseServersState, RefusesAnotherVersionOfTheFormat) {
  EXPECT_FALSE(ParseServersState(absl::StrCat("2", kState.substr(1))).ok());
  EXPECT_FALSE(ParseServersState("Can't find backend.\n\n").ok());
}

TEST(ParseInfo, KnowsTheProcessByPidAndStart) {
  const auto info = ParseInfo(kInfo);
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->version, "2.6.12-1+deb12u4");
  EXPECT_EQ(info->life, "5882-1795382199");
  EXPECT_EQ(info->session_count_max, 5000);
  EXPECT_FALSE(info->stopping);
  EXPECT_TRUE(ParseInfo(absl::StrReplaceAll(kInfo, {{"Stopping: 0", "Stopping: 1"}}))->stopping);
  EXPECT_FALSE(ParseInfo("Permission denied\n").ok());
  EXPECT_FALSE(ParseInfo(absl::StrReplaceAll(kInfo, {{"Maxconn: 5000", "Maxconn: lots"}})).ok());
}

// Whatever arrives, the parsers return: cut anywhere, bytes changed anywhere.
TEST(Parsers, SurviveDamagedAnswers) {
  constexpr uint64_t kSeed = 20260612;
  std::mt19937_64 random(kSeed);
  int refused = 0;
  for (const absl::string_view text : {kStat, kState, kInfo}) {
    for (int round = 0; round < 3000; ++round) {
      std::string damaged(text.substr(0, random() % (text.size() + 1)));
      for (uint64_t i = 0; i < random() % 8 && !damaged.empty(); ++i) {
        damaged[random() % damaged.size()] = static_cast<char>(random());
      }
      refused += ParseStat(damaged).ok() ? 0 : 1;
      refused += ParseServersState(damaged).ok() ? 0 : 1;
      refused += ParseInfo(damaged).ok() ? 0 : 1;
    }
  }
  EXPECT_GT(refused, 18'000) << "each text is refused by the two parsers that it is not for; seed " << kSeed;
}

}  // namespace
}  // namespace headroom::haproxy
