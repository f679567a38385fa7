#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "controller/base/clock.h"
#include "controller/base/deadline.h"
#include "controller/base/monitor.h"
#include "controller/providers/aws/credentials.h"
#include "controller/providers/aws/group.h"
#include "controller/providers/aws/launch_ledger.h"
#include "controller/providers/aws/query_api.h"
#include "controller/providers/provider.h"

namespace headroom::aws {

struct AutoScalingOptions {
  std::string group;
  std::string region;                          // eu-west-1
  std::string endpoint;                        // empty: the region's
  std::vector<CredentialSource> credentials;   // as DefaultSources() has them
  std::function<void(absl::string_view)> say;  // one line for the log; null: nobody listens
  std::function<void(absl::Duration)> wait;    // null: sleeps
  absl::Duration launch_watch =
      absl::Seconds(6);  // a launch waits so long for its instance, or to hear that there is none
  uint64_t seed = 1;     // of the chance in pauses
};

// AutoScalingProvider: the instances of one Amazon EC2 Auto Scaling group as nodes; a node's id is its instance's. One
// more is a desired capacity that is one higher, noted at the group first (LaunchLedger), so that the same launch twice
// is one instance. AWS chooses the zone. The instance that is named leaves, with its place, and nothing takes it back;
// where lifecycle hooks hold it before its end they are told to let it go, for it has been drained: by the termination,
// or, where it comes to them later, by the next List().
//
// An instance that somebody else ends (AWS's rebalancing, a spot interruption, a person) is listed as stopping: it is
// replaced, and nobody drains it for AWS; suspend AZRebalance, which Open() says where it is not.
//
// Beyond the codes of Provider: RESOURCE_EXHAUSTED also for a group at its MaxSize, and for a stock-out, in AWS's
// words: AWS goes on trying, so its room is kept for the next launch, and no more is asked for while that is so.
// FAILED_PRECONDITION also where a newer term has written, and for a group at its MinSize. AWS knows no terms and
// compares nothing when it writes, so what an older leader asks late is done: not fenced.
//
// Thread-safe; one change at a time.
class AutoScalingProvider final : public Provider {
 public:
  // Reads the group once: NOT_FOUND, PERMISSION_DENIED, FAILED_PRECONDITION with what to do.
  static absl::StatusOr<std::unique_ptr<AutoScalingProvider>> Open(AutoScalingOptions options, const Clock& clock);

  ProviderCapabilities capabilities() const override {
    return {.named_termination = true, .zones = false, .fenced = false};
  }
  // Notes the term in the group's tags, where honest controllers look.
  absl::StatusOr<int64_t> Fence(int64_t term, absl::Duration timeout) override;
  absl::StatusOr<std::vector<Machine>> List(absl::Duration timeout) override;
  absl::StatusOr<NodeId> Launch(const LaunchRequest& request, absl::Duration timeout) override;
  absl::Status Terminate(const NodeId& node, absl::Duration timeout) override;

 private:
  // The group, and what is known of its launches.
  struct View {
    Group group;
    LaunchLedger ledger;
  };

  AutoScalingProvider(AutoScalingOptions options, std::unique_ptr<QueryApi> api, const Clock& clock);
  absl::Status CheckGroup();
  absl::StatusOr<View> Look(absl::Duration timeout);
  absl::Status Note(LaunchLedger& ledger, absl::Duration timeout);
  absl::Status Raise(const LaunchRequest& request, const Deadline& deadline) ABSL_EXCLUSIVE_LOCKS_REQUIRED(changing_);
  absl::Status CheckStock(const Group& group, const Deadline& deadline);
  absl::StatusOr<NodeId> AwaitInstance(const LaunchRequest& request, absl::Time since, const Deadline& deadline);
  absl::Status GiveUp(const ActionId& id, const Deadline& deadline);
  absl::Status Remove(const NodeId& node, View& view, const Deadline& deadline)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(changing_);
  // Those that were told to leave and have come to where a hook holds them.
  absl::Status LetGo(const Group& group, const Deadline& deadline);
  absl::Status AwaitEnd(const NodeId& node, const Deadline& deadline);

  const AutoScalingOptions options_;
  const std::unique_ptr<QueryApi> api_;
  GroupApi group_;
  const Clock& clock_;
  Monitor changing_;                             // held through a change
  int64_t term_ ABSL_GUARDED_BY(changing_) = 0;  // of this controller
  Monitor ledger_mutex_;
  // The newest that was read or written here: tags are not always read as they were just written.
  LaunchLedger newest_ ABSL_GUARDED_BY(ledger_mutex_);
  Monitor ending_mutex_;
  std::set<NodeId> ending_ ABSL_GUARDED_BY(ending_mutex_);  // that were terminated here, and are in the group still
};

}  // namespace headroom::aws
