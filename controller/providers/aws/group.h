#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "controller/core/event.h"
#include "controller/providers/aws/query_api.h"

// An Auto Scaling group as AWS describes it, and the calls that change it. Source: the API reference of Amazon EC2 Auto
// Scaling, 2011-01-01.

namespace headroom::aws {

struct Instance {
  std::string id, zone;
  std::string state;  // LifecycleState: AWS adds new ones, so any is taken

  bool is_leaving() const;  // on its way out of the group
  bool is_gone() const;     // not in it any more, or not yet (a warm pool's)
  bool waits_to_go() const { return state == "Terminating:Wait"; }
  Machine::State machine_state() const;
};

struct Group {
  int size_min = 0, size_max = 0, capacity = 0;
  std::vector<Instance> instances;
  std::vector<std::string> zones;
  std::set<std::string> suspended;  // processes
  std::map<std::string, std::string> tags;
  std::string status;  // empty: it is well

  const Instance* Find(const std::string& id) const;  // null: it has none of that id
  std::vector<std::string> Ids() const;               // of those that are there, or were just now
  int StayingCount() const;                           // instances that fill its capacity
};

// GroupApi: the calls about one group. The errors of QueryApi. Thread-safe.
class GroupApi {
 public:
  GroupApi(QueryApi& api, std::string name) : api_(api), name_(std::move(name)) {}

  // NOT_FOUND: there is no such group.
  absl::StatusOr<Group> Read(absl::Duration timeout);
  // Why AWS could not start an instance, where the last thing that it tried has failed and began at `since` or later;
  // empty: it is not so.
  absl::StatusOr<std::string> LastFailure(absl::Time since, absl::Duration timeout);
  // The names of hooks that hold an instance before it ends.
  absl::StatusOr<std::vector<std::string>> HooksOfTheEnd(absl::Duration timeout);

  absl::Status SetCapacity(int capacity, absl::Duration timeout);
  absl::Status SetTags(const std::map<std::string, std::string>& tags, absl::Duration timeout);
  // Takes one instance out, and its place with it. Not repeated where it is unknown whether it was heard.
  absl::Status Terminate(const std::string& instance, absl::Duration timeout);
  // Lets an instance go that the hook holds.
  absl::Status Release(const std::string& hook, const std::string& instance, absl::Duration timeout);

  const std::string& name() const { return name_; }

 private:
  QueryApi& api_;
  const std::string name_;
};

}  // namespace headroom::aws
