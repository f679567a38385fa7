#include <fstream>
#include <iterator>
#include <memory>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <sqlite3.h>

#include "controller/runtime/sqlite_journal.h"
#include "controller/sim/interval_model.h"
#include "controller/sim/runner.h"
#include "tests/controller/cli/command_case.h"

namespace headroom {
namespace {

using ::testing::HasSubstr;

class ReplayCommandTest : public CommandTest {
 protected:
  // A cluster whose traffic rises threefold after two minutes.
  void Record() const {
    auto journal = SqliteJournal::Open({.state_dir = folder_.path()});
    ASSERT_TRUE(journal.ok()) << journal.status();
    sim::Scenario scenario;
    scenario.journal = journal->get();
    scenario.policy.mode = Mode::kLive;
    scenario.policy.nodes = {.min = 3, .max = 8, .lead_time = absl::Minutes(1)};
    scenario.cluster.initial_count = 3;
    scenario.cluster.settings.phases = {
        {.duration = absl::Minutes(2), .requests_per_second = 450, .clients = 200},
        {.duration = absl::Hours(1), .requests_per_second = 1350, .clients = 750},
    };
    sim::SimRunner run(scenario, std::make_unique<sim::IntervalModel>(scenario.cluster.settings));
    for (int stretch = 1; stretch <= 10; ++stretch) {  // the disk sets the pace
      run.RunUntil(run.start() + stretch * absl::Seconds(30));
      ASSERT_TRUE((*journal)->Sync(absl::Seconds(60)).ok());
    }
  }
};

TEST_F(ReplayCommandTest, SaysThatAllDecisionsComeOutTheSame) {
  Record();
  EXPECT_EQ(Run({"replay", folder_.path()}), 0) << err_;
  EXPECT_THAT(out_, HasSubstr("identical to the journal's, 0 no longer in it"));
  EXPECT_EQ(err_, "");
}

TEST_F(ReplayCommandTest, TellsWhatAnotherPolicyHadMade) {
  Record();
  const std::string policy = folder_.path() + "/other.yaml", json = folder_.path() + "/what-if.json";
  std::ofstream(policy) << "cluster: test\nmode: live\nnodes: {min: 3, max: 3, lead_time: 1m}\n"
                           "limits: {enabled: false}\nprovider: {simulated: {}}\n";
  ASSERT_EQ(Run({"replay", folder_.path(), "--policy", policy, "--json", json, "--count", "3"}), 0) << err_;
  EXPECT_THAT(out_, HasSubstr("the other policy wants another number of nodes in"));
  EXPECT_THAT(out_, HasSubstr("What would have happened"));
  std::ifstream file(json);
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  EXPECT_THAT(text, HasSubstr("\"courses\": [{\"policy\": \"journal's\""));
  EXPECT_THAT(text, HasSubstr("\"first_difference\": null"));
}

TEST_F(ReplayCommandTest, NothingToCompareWithIsNoAgreement) {
  Record();
  sqlite3* database = nullptr;
  ASSERT_EQ(sqlite3_open((folder_.path() + "/journal.db").c_str(), &database), SQLITE_OK);
  EXPECT_EQ(sqlite3_exec(database, "DELETE FROM decisions", nullptr, nullptr, nullptr), SQLITE_OK);
  EXPECT_EQ(sqlite3_close(database), SQLITE_OK);
  EXPECT_EQ(Run({"replay", folder_.path()}), 1);
  EXPECT_THAT(err_, HasSubstr("nothing was compared: of"));
  EXPECT_THAT(err_, HasSubstr("the journal keeps none"));
}

TEST_F(ReplayCommandTest, EndsWithTheCodeOfTheFault) {
  EXPECT_EQ(Run({"replay", folder_.path()}), 3);
  EXPECT_THAT(err_, HasSubstr("there is no such file"));
  EXPECT_EQ(Run({"replay"}), 2);
  Record();
  std::ofstream(folder_.path() + "/no.db") << std::string(5000, 'x');
  EXPECT_EQ(Run({"replay", folder_.path() + "/no.db"}), 1);
  EXPECT_THAT(err_, HasSubstr("no.db"));
  EXPECT_EQ(Run({"replay", folder_.path(), "--policy", folder_.path() + "/missing.yaml"}), 3);
}

}  // namespace
}  // namespace headroom
