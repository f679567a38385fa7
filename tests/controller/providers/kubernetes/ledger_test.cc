#include "controller/providers/kubernetes/ledger.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace headroom::kubernetes {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;

std::vector<Pod> Pods(const std::vector<std::string>& names) {
  std::vector<Pod> pods;
  for (const std::string& name : names)
    pods.push_back({.name = name, .created_at = absl::FromUnixSeconds(static_cast<int64_t>(pods.size()))});
  return pods;
}

// As it comes out of the annotation.
Ledger Again(const Ledger& ledger) {
  return Ledger::Parse(ledger.Text());
}

TEST(Ledger, NewPodsBelongToTheLaunchesInTheirOrder) {
  Ledger ledger;
  EXPECT_EQ(ledger.Begin("one", 2, Pods({"a", "b"})).replicas, 3);
  EXPECT_EQ(ledger.Begin("two", 3, Pods({"a", "b"})).replicas, 4);
  EXPECT_THAT(Again(ledger).Match(Pods({"a", "b"})), IsEmpty());
  EXPECT_THAT(Again(ledger).Match(Pods({"a", "b", "z", "c"})), ElementsAre(Pair("c", "two"), Pair("z", "one")));
}

TEST(Ledger, APodThatHasLeftIsNotTakenForOneThatHasYetToCome) {
  Ledger ledger;
  ledger.Begin("one", 2, Pods({"a", "b"}));
  ledger.Begin("two", 3, Pods({"a", "b", "c"}));  // c is seen as the first one's
  EXPECT_THAT(Again(ledger).Match(Pods({"a", "b", "d"})), ElementsAre(Pair("c", "one"), Pair("d", "two")));
}

TEST(Ledger, ALaunchThatWasTakenBackIsDoneAnew) {
  Ledger ledger;
  EXPECT_FALSE(ledger.Begin("one", 2, Pods({"a", "b"})).is_done);
  EXPECT_TRUE(ledger.Begin("one", 3, Pods({"a", "b"})).is_done);
  EXPECT_FALSE(ledger.Begin("one", 2, Pods({"a", "b"})).is_done) << "somebody has lowered it";
}

TEST(Ledger, ALaunchThatHasHadItsPodIsNotMadeAgain) {
  Ledger ledger;
  ledger.Begin("one", 2, Pods({"a", "b"}));
  ledger.End("c", 3, Pods({"a", "b", "c"}));
  ledger = Again(ledger);
  EXPECT_TRUE(ledger.Begin("one", 2, Pods({"a", "b"})).is_done);
}

TEST(Ledger, ANameThatIsGivenAgainIsTheNextLaunchs) {
  Ledger ledger;
  ledger.Begin("one", 2, Pods({"files-0", "files-1"}));
  ledger.End("files-2", 3, Pods({"files-0", "files-1", "files-2"}));
  ledger = Again(ledger);
  EXPECT_EQ(ledger.Begin("two", 2, Pods({"files-0", "files-1"})).replicas, 3);
  EXPECT_THAT(Again(ledger).Match(Pods({"files-0", "files-1", "files-2"})), ElementsAre(Pair("files-2", "two")));
}

TEST(Ledger, APodThatIsOnItsWayOutIsNeitherTheNewOneNorKnown) {
  std::vector<Pod> pods = Pods({"files-0", "files-1", "files-2"});
  pods[2].leaving = true;
  Ledger ledger;
  EXPECT_EQ(ledger.Begin("one", 2, pods).replicas, 3);
  ledger = Again(ledger);
  EXPECT_THAT(ledger.Match(pods), IsEmpty());
  pods[2].leaving = false;
  EXPECT_THAT(ledger.Match(pods), ElementsAre(Pair("files-2", "one")));
}

TEST(Ledger, PodsAreNotedOnlyWhileALaunchWaitsForItsOwn) {
  Ledger ledger;
  ledger.Begin("one", 2, Pods({"a-pod", "b-pod"}));
  EXPECT_THAT(ledger.Text(), HasSubstr("a-pod"));
  ledger.End("b-pod", 3, Pods({"a-pod", "b-pod", "c-pod"}));
  EXPECT_THAT(ledger.Text(), Not(HasSubstr("a-pod"))) << "thousands do not fit into an annotation";
}

TEST(Ledger, ALaunchIsAwaitedFromWhenItWasDoneUntilItsPodIsThere) {
  Ledger ledger;
  ledger.Begin("one", 2, Pods({"a", "b"}));
  EXPECT_THAT(ledger.Awaited(2, Pods({"a", "b"})), IsEmpty()) << "noted, and not done yet";
  EXPECT_THAT(Again(ledger).Awaited(3, Pods({"a", "b"})), ElementsAre(Pair(3, "one")));
  EXPECT_THAT(Again(ledger).Awaited(3, Pods({"a", "b", "c"})), IsEmpty());
}

TEST(Ledger, ARemovalIsNotedUntilThePodIsGone) {
  Ledger ledger;
  EXPECT_EQ(ledger.End("b", 3, Pods({"a", "b", "c"})).replicas, 2);
  ledger = Again(ledger);
  EXPECT_TRUE(ledger.End("b", 2, Pods({"a", "b", "c"})).is_done) << "it is not seen to be leaving yet";
  EXPECT_FALSE(ledger.End("b", 3, Pods({"a", "b", "c"})).is_done) << "it never was done, or was taken back";
  EXPECT_EQ(ledger.End("c", 2, Pods({"a", "c"})).replicas, 1);
  EXPECT_FALSE(ledger.End("b", 1, Pods({"a", "b"})).is_done) << "another one of that name";
}

TEST(Ledger, ARemovalThatTookAnotherPodIsDoneOnceMore) {
  Ledger ledger;
  EXPECT_EQ(ledger.End("b", 3, Pods({"a", "b", "c"})).replicas, 2);
  ledger = Again(ledger);
  std::vector<Pod> pods = Pods({"a", "b", "c"});
  pods[2].leaving = true;
  const Ledger::Target target = ledger.End("b", 2, pods);
  EXPECT_FALSE(target.is_done);
  EXPECT_EQ(target.replicas, 1);
  EXPECT_TRUE(Again(ledger).End("b", 1, pods).is_done) << "and that once";
}

TEST(Ledger, WhatIsNoLedgerIsAnEmptyOne) {
  for (const char* text : {"", "{", "[]", "{\"launches\":7,\"known\":{}}", "{\"launches\":[7,{\"id\":1}]}", "null"}) {
    Ledger ledger = Ledger::Parse(text);
    EXPECT_EQ(ledger.Begin("one", 2, {}).replicas, 3) << text;
  }
}

TEST(Ledger, TheOldestLaunchesAreForgotten) {
  Ledger ledger;
  std::vector<std::string> names = {"a"};
  for (int i = 1; i <= 1000; ++i) {
    ledger.Begin(absl::StrCat("launch-", i), i, Pods(names));
    names.push_back(absl::StrCat("pod-", i));
  }
  EXPECT_EQ(ledger.Match(Pods(names)).size(), Ledger::kLaunchesMax);
}

TEST(Ledger, ALaunchThatWaitsIsNotForgottenForOnesThatDoNot) {
  Ledger ledger;
  std::vector<std::string> names = {"a"};
  for (int i = 1; i <= 300; ++i) {
    ledger.Begin(absl::StrCat("launch-", i), i, Pods(names));
    if (i < 300) names.push_back(absl::StrCat("pod-", i));
  }
  const auto owners = Again(ledger).Match(Pods(names));
  EXPECT_FALSE(owners.contains("pod-1")) << "it is forgotten";
  names.push_back("new");
  EXPECT_EQ(Again(ledger).Match(Pods(names)).at("new"), "launch-300");
}

}  // namespace
}  // namespace headroom::kubernetes
