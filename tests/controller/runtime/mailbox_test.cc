#include "controller/runtime/mailbox.h"

#include <thread>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace headroom {
namespace {

NodeReported Report(const NodeId& node, uint64_t sequence, Urgency urgency = Urgency::kNone) {
  NodeReported reported{node, {}};
  reported.report.boot_id = "boot";
  reported.report.sequence = sequence;
  reported.report.urgency = urgency;
  return reported;
}

const NodeReport& ReportAt(const std::vector<Event>& events, size_t index) {
  return std::get<NodeReported>(events.at(index)).report;
}

TEST(MailboxTest, ANewerReportTakesThePlaceOfTheOlder) {
  Mailbox mailbox;
  ASSERT_TRUE(mailbox.Post(Report("a", 1)).ok());
  ASSERT_TRUE(mailbox.Post(Report("b", 1)).ok());
  ASSERT_TRUE(mailbox.Post(Report("a", 2)).ok());
  const std::vector<Event> events = mailbox.Drain();
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(ReportAt(events, 0).sequence, 2u);
  EXPECT_TRUE(mailbox.Drain().empty());
}

TEST(MailboxTest, AnOldReportNeverReplacesANewerOne) {
  Mailbox mailbox;
  ASSERT_TRUE(mailbox.Post(Report("a", 5)).ok());
  ASSERT_TRUE(mailbox.Post(Report("a", 4)).ok());
  const std::vector<Event> events = mailbox.Drain();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(ReportAt(events, 0).sequence, 5u);
}

TEST(MailboxTest, TheStrongerUrgencyOfReplacedReportsIsKept) {
  Mailbox mailbox;
  ASSERT_TRUE(mailbox.Post(Report("a", 1, Urgency::kRejection)).ok());
  ASSERT_TRUE(mailbox.Post(Report("a", 2, Urgency::kState)).ok());
  ASSERT_TRUE(mailbox.Post(Report("a", 3)).ok());
  const std::vector<Event> events = mailbox.Drain();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(ReportAt(events, 0).sequence, 3u);
  EXPECT_EQ(ReportAt(events, 0).urgency, Urgency::kRejection);
}

TEST(MailboxTest, NoReportMovesAcrossAJoinOrALeaveOfItsNode) {
  for (const Event& between : {Event(NodeJoined{"a", {}}), Event(NodeLeft{"a", "boot", NodeLeft::How::kLost})}) {
    Mailbox mailbox;
    ASSERT_TRUE(mailbox.Post(Report("a", 1)).ok());
    ASSERT_TRUE(mailbox.Post(Event(between)).ok());
    ASSERT_TRUE(mailbox.Post(Report("a", 2)).ok());
    const std::vector<Event> events = mailbox.Drain();
    ASSERT_EQ(events.size(), 3u);
    EXPECT_EQ(ReportAt(events, 0).sequence, 1u);
    EXPECT_EQ(events[1].index(), between.index());
    EXPECT_EQ(ReportAt(events, 2).sequence, 2u);
  }
}

TEST(MailboxTest, ManyAtOnceAreTakenAsOneByOne) {
  const std::vector<Event> kinds = {Report("a", 1),      Report("b", 1), Report("b", 2, Urgency::kState),
                                    NodeJoined{"c", {}}, Report("c", 1), Report("a", 3)};
  for (size_t first = 0; first < kinds.size(); ++first) {
    std::vector<Event> events(kinds.begin() + static_cast<std::ptrdiff_t>(first), kinds.end());
    events.insert(events.end(), kinds.begin(), kinds.begin() + static_cast<std::ptrdiff_t>(first));
    Mailbox alone, together;
    for (int round = 0; round < 3; ++round) {  // into an empty one, onto what waits, and into one that was emptied
      for (const Event& event : events) ASSERT_TRUE(alone.Post(Event(event)).ok());
      std::vector<Event> posted = events;
      ASSERT_TRUE(together.PostAll(posted).ok());
      if (round == 0) continue;
      const std::vector<Event> wanted = alone.Drain(), got = together.Drain();
      ASSERT_EQ(got.size(), wanted.size());
      for (size_t i = 0; i < got.size(); ++i) {
        ASSERT_EQ(got[i].index(), wanted[i].index());
        if (!std::holds_alternative<NodeReported>(got[i])) continue;
        EXPECT_EQ(std::get<NodeReported>(got[i]).node, std::get<NodeReported>(wanted[i]).node);
        EXPECT_EQ(ReportAt(got, i).sequence, ReportAt(wanted, i).sequence);
        EXPECT_EQ(ReportAt(got, i).urgency, ReportAt(wanted, i).urgency);
      }
    }
  }
}

TEST(MailboxTest, AReportOfAnotherBootReplacesNothing) {
  Mailbox mailbox;
  ASSERT_TRUE(mailbox.Post(Report("a", 9)).ok());
  NodeReported rebooted = Report("a", 1);
  rebooted.report.boot_id = "second boot";
  ASSERT_TRUE(mailbox.Post(rebooted).ok());
  EXPECT_EQ(mailbox.Drain().size(), 2u);
}

TEST(MailboxTest, ANodeAndABalancerOfOneNameDoNotMix) {
  Mailbox mailbox;
  ASSERT_TRUE(mailbox.Post(Report("a", 1)).ok());
  ASSERT_TRUE(mailbox.Post(BalancerReported{"a", {.boot_id = "boot", .sequence = 1}}).ok());
  ASSERT_TRUE(mailbox.Post(BalancerReported{"a", {.boot_id = "boot", .sequence = 2}}).ok());
  const std::vector<Event> events = mailbox.Drain();
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(std::get<BalancerReported>(events[1]).report.sequence, 2u);
}

TEST(MailboxTest, WhenItIsFullCommandsAreRefusedAndFactsAreTaken) {
  Mailbox mailbox;
  for (size_t i = 0; i < Mailbox::kOthersMax; ++i) ASSERT_TRUE(mailbox.Post(NodePinned{"a", true, "", ""}).ok());
  EXPECT_EQ(mailbox.Post(NodePinned{"a", true, "", ""}).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(mailbox.Post(NodeJoined{"new", {}}).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(mailbox.Post(NodeLeft{"a", "boot", NodeLeft::How::kLost}).ok());
  EXPECT_TRUE(mailbox.Post(ActionFinished{.id = "x"}).ok());
  EXPECT_TRUE(mailbox.Post(Report("a", 1)).ok());
  const std::vector<Event> events = mailbox.Drain();
  EXPECT_EQ(events.size(), Mailbox::kOthersMax + 3);
  EXPECT_TRUE(mailbox.Post(NodePinned{"a", true, "", ""}).ok()) << "drained, so there is room again";
}

TEST(MailboxTest, WaitEndsAtAPostFromAnotherThread) {
  Mailbox mailbox;
  std::thread poster([&] { mailbox.Post(Report("a", 1, Urgency::kRejection)).IgnoreError(); });
  mailbox.Wait(absl::Seconds(60));
  poster.join();
  EXPECT_EQ(mailbox.Drain().size(), 1u);
}

TEST(MailboxTest, WaitEndsAtWakeAndAtItsTime) {
  Mailbox mailbox;
  mailbox.Wake();
  mailbox.Wait(absl::InfiniteDuration());
  EXPECT_TRUE(mailbox.Drain().empty());
  mailbox.Wait(absl::Milliseconds(1));
  EXPECT_TRUE(mailbox.Drain().empty());
}

TEST(MailboxTest, ManyThreadsLoseNothingAndKeepEachNodesOrder) {
  Mailbox mailbox;
  std::vector<std::thread> posters;
  for (int t = 0; t < 4; ++t) {
    posters.emplace_back([&mailbox, t] {
      const NodeId node = absl::StrCat("node-", t);
      for (uint64_t i = 1; i <= 5000; ++i) mailbox.Post(Report(node, i)).IgnoreError();
    });
  }
  std::map<NodeId, uint64_t> last;
  const auto take = [&] {
    for (const Event& event : mailbox.Drain()) {
      const auto& reported = std::get<NodeReported>(event);
      ASSERT_GT(reported.report.sequence, last[reported.node]);
      last[reported.node] = reported.report.sequence;
    }
  };
  for (int i = 0; i < 100; ++i) take();
  for (std::thread& poster : posters) poster.join();
  take();
  ASSERT_EQ(last.size(), 4u);
  for (const auto& [node, sequence] : last) EXPECT_EQ(sequence, 5000u) << node;
}

}  // namespace
}  // namespace headroom
