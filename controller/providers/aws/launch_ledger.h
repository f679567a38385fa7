#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "controller/core/action.h"

namespace headroom::aws {

// LaunchLedger: which launch made which instance of an Auto Scaling group. AWS takes a number of instances and no key
// of ours, and an instance appears a minute later; so a launch notes what it raises the number to, and, for as long as
// one waits for its instance, who was there before: whoever is new belongs to the launches in their order. It is kept
// in tags of the group (not passed on to instances), so that a controller that comes later knows it. An activity's text
// could tell as much and is no contract; instances' own tags cannot be written before there is an instance.
//
// Tags hold 256 characters each and a group has 50 of them: kTagsMax are used at most, which is room for some 80
// launches under way in a group of 400, and some 20 in one of 1000, with ids of 28 characters (a cluster's name has 14
// of them); with the longest that are usual, of 141 (NAMESPACE.NAME has 127), for 21 and 5. Without a launch under way
// the group may be of any size. Of launches whose instance is known the last kSettledMax are remembered, and fewer
// where there is no room. Their instances are noted by the last eight characters of their ids, who was there before by
// four that stand for those: where two stand for the same, a new instance is listed without its launch. A value, not
// thread-safe.
class LaunchLedger {
 public:
  static constexpr int kTagsMax = 20;
  static constexpr int kSettledMax = 32;
  static constexpr absl::string_view kTagPrefix = "headroom:ledger:";  // and a number

  using Instances = std::vector<std::string>;       // ids
  using Tags = std::map<std::string, std::string>;  // of the group, by key

  // What cannot be read, or was written in part, is as if it were not there.
  static LaunchLedger FromTags(const Tags& tags);
  // RESOURCE_EXHAUSTED: it does not fit, even without launches that are known.
  absl::StatusOr<Tags> ToTags();

  struct Target {
    int capacity = 0;
    bool is_done = false;  // AWS was told so already
    bool is_noted = true;  // ... and the ledger needs no writing either
  };
  // What the launch raises `capacity` to: by one; done is what was noted before and has not been taken back. A launch
  // that was given up leaves its room, which AWS still tries to fill, to the next.
  Target Begin(const ActionId& id, int capacity, const Instances& instances);
  // AWS has nothing to fill its room with.
  void GiveUp(const ActionId& id);
  // An instance leaves, and its room with it. True: the ledger says something else now.
  bool Lower(int capacity, const Instances& instances);

  // The launches of these instances; others were made by somebody else.
  std::map<std::string, ActionId> Match(const Instances& instances) const;
  // Remembers who is whose: instances say nothing of their age, so what was seen first stays.
  void Settle(const Instances& instances);
  // Launches that AWS was told of and whose instances are not there yet.
  std::vector<ActionId> Awaited(int capacity, const Instances& instances) const;

  bool IsNewerThan(const LaunchLedger& other) const {
    return std::pair(term, version_) > std::pair(other.term, other.version_);
  }
  int64_t term = 0;  // of the controller that wrote it last

 private:
  struct Launch {
    ActionId id;
    int capacity = 0;
    std::string instance;  // the mark of it; empty: not seen yet
    bool is_given_up = false;
  };
  static std::string MarkOf(const std::string& instance);
  static std::string ShortOf(absl::string_view mark);
  bool IsWaiting() const;
  std::string Text() const;

  std::vector<Launch> launches_;  // oldest first
  // Short marks of those that were there before the first launch whose instance is not known; without such a one none.
  std::set<std::string> known_;
  int64_t version_ = 0;  // grows with each writing
};

}  // namespace headroom::aws
