#include "controller/server/election/elector.h"

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/time/clock.h"
#include <gtest/gtest.h>
#include <poll.h>

#include "controller/server/election/file_election.h"

namespace headroom {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(20);

// Stands as the test says.
struct Stage {
  std::atomic<bool> leads{false}, hangs{false};
  std::atomic<int> rounds{0}, releases{0}, number{7};
  absl::Duration good_for = absl::Hours(1);
  std::function<void()> changed;
};
class Actor final : public Candidate {
 public:
  explicit Actor(Stage& stage) : stage_(stage) {}
  Standing Round() override {
    ++stage_.rounds;
    while (stage_.hangs) absl::SleepFor(absl::Milliseconds(5));
    return {.leads = stage_.leads,
            .holder = stage_.leads ? "us" : "them",
            .number = stage_.number,
            .good_until = SteadyNow() + stage_.good_for,
            .pause = absl::Hours(1)};
  }
  absl::Status Release() override {
    ++stage_.releases;
    return absl::OkStatus();
  }
  void Watch(const std::function<void()>& changed) override { stage_.changed = changed; }

 private:
  Stage& stage_;
};

bool Becomes(const Elector& elector, bool leads) {
  const absl::Time end = absl::Now() + kPatience;
  while (elector.Leads() != leads && absl::Now() < end) absl::SleepFor(absl::Milliseconds(2));
  return elector.Leads() == leads;
}

TEST(Elector, TellsWhenItBeginsToLead) {
  Stage stage;
  Elector elector(std::make_unique<Actor>(stage));
  pollfd news{elector.fd(), POLLIN, 0};
  ASSERT_EQ(poll(&news, 1, 20'000), 1) << "somebody else holds it";
  elector.Drain();
  stage.leads = true;
  stage.changed();  // what it watches has changed: it does not wait for its pause
  ASSERT_EQ(poll(&news, 1, 20'000), 1);
  EXPECT_TRUE(elector.Leads());
  EXPECT_EQ(elector.standing().holder, "us");
}

TEST(Elector, LeadershipEndsByItselfWhileTheEngineHangs) {
  Stage stage;
  stage.leads = true;
  stage.good_for = absl::Seconds(2);  // within which a busy machine sees that it leads
  Elector elector(std::make_unique<Actor>(stage));
  ASSERT_TRUE(Becomes(elector, true));
  stage.hangs = true;
  stage.changed();
  EXPECT_TRUE(Becomes(elector, false));
  EXPECT_EQ(elector.TimeLeft(), absl::ZeroDuration());
  stage.hangs = false;
}

TEST(Elector, WhoHasLostItDoesNotHaveItAgain) {
  Stage stage;
  stage.leads = true;
  Elector elector(std::make_unique<Actor>(stage));
  ASSERT_TRUE(Becomes(elector, true));
  stage.leads = false;
  EXPECT_FALSE(elector.Recheck(kPatience));
  stage.leads = true;
  EXPECT_FALSE(elector.Recheck(kPatience)) << "another may have led in between";
  EXPECT_FALSE(elector.Leads());
}

TEST(Elector, WhoWonAndLostBetweenTwoLooksIsToldSo) {
  Stage stage;
  stage.leads = true;
  Elector elector(std::make_unique<Actor>(stage));
  EXPECT_TRUE(elector.Recheck(kPatience));
  EXPECT_FALSE(elector.HasLost());
  stage.leads = false;
  EXPECT_FALSE(elector.Recheck(kPatience));
  EXPECT_TRUE(elector.HasLost()) << "nothing else tells it from one that has yet to lead";
}

TEST(Elector, AnotherNumberIsAnotherLeadership) {
  Stage stage;
  stage.leads = true;
  Elector elector(std::make_unique<Actor>(stage));
  ASSERT_TRUE(Becomes(elector, true));
  stage.number = 8;
  EXPECT_FALSE(elector.Recheck(kPatience));
}

TEST(Elector, ARecheckAsksTheEngineAnew) {
  Stage stage;
  stage.leads = true;
  Elector elector(std::make_unique<Actor>(stage));
  EXPECT_TRUE(elector.Recheck(kPatience));
  const int rounds = stage.rounds;
  stage.leads = false;
  EXPECT_FALSE(elector.Recheck(kPatience));
  EXPECT_GT(stage.rounds, rounds);
}

TEST(Elector, ARecheckWithoutAnAnswerIsANo) {
  Stage stage;
  stage.leads = true;
  Elector elector(std::make_unique<Actor>(stage));
  ASSERT_TRUE(Becomes(elector, true));
  stage.hangs = true;
  EXPECT_FALSE(elector.Recheck(absl::Milliseconds(100)));
  stage.hangs = false;
}

TEST(Elector, GivesBackOnceAndLeadsNoMore) {
  Stage stage;
  stage.leads = true;
  Elector elector(std::make_unique<Actor>(stage));
  ASSERT_TRUE(Becomes(elector, true));
  EXPECT_TRUE(elector.Release().ok());
  EXPECT_FALSE(elector.Leads());
  EXPECT_EQ(stage.releases, 1);
}

TEST(FileElection, OneOfTwoLeadsUntilItGivesBackOrEnds) {
  const std::string path = ::testing::TempDir() + "/leader.lock";
  auto first = std::make_unique<FileElection>(path, "10.0.0.1:7600_a");
  FileElection second(path, "10.0.0.2:7600_b");
  EXPECT_TRUE(first->Round().leads);
  const Standing other = second.Round();
  EXPECT_FALSE(other.leads);
  EXPECT_EQ(AddressOf(other.holder), "10.0.0.1:7600");
  EXPECT_TRUE(first->Release().ok());
  EXPECT_TRUE(second.Round().leads);
  EXPECT_FALSE(first->Round().leads);
  EXPECT_TRUE(second.Release().ok());
  EXPECT_TRUE(first->Round().leads);
  first.reset();
  EXPECT_TRUE(second.Round().leads);
}

TEST(FileElection, AFolderThatIsNotThereIsToldAndNobodyLeads) {
  FileElection election("/nowhere/leader.lock", "us");
  const Standing standing = election.Round();
  EXPECT_FALSE(standing.leads);
  EXPECT_EQ(standing.trouble.code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace headroom
