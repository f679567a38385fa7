#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

#include "controller/core/event.h"
#include "controller/providers/kubernetes/pods.h"

namespace headroom::kubernetes {

// Pods that fill a place among the replicas.
int StayingCount(const std::vector<Pod>& pods);

// Ledger: which launch made which pod, and which pods were asked to leave. Replicas have no names of their own before
// they are there, so a launch notes what it raises the replicas to, and which pods were there before; whoever is new
// belongs to the launches in their order. Kept in an annotation of the workload, so that every later leader knows it,
// too. A value, not thread-safe.
class Ledger {
 public:
  static constexpr size_t kLaunchesMax =
      256;  // the oldest is forgotten, and its pod known; none that waits while others do not

  // What cannot be read is as if it were not there.
  static Ledger Parse(absl::string_view text);
  std::string Text() const;

  struct Target {
    int replicas = 0;
    bool is_done = false;
  };
  // What the launch raises `replicas` to: by one; done is what was noted before and has not been taken back, and what
  // has had its pod, wherever that is now.
  Target Begin(const ActionId& id, int replicas, const std::vector<Pod>& pods);

  // What the removal of this pod lowers `replicas` to: by one; done is what was noted before, as long as more pods stay
  // than that: a pod is not always seen to be leaving at once. Where no more stay another one has left, and it is
  // lowered once more.
  Target End(const std::string& pod, int replicas, const std::vector<Pod>& pods);
  // Whether `replicas` are fewer for it already, and it is still to leave.
  bool IsEnding(const std::string& pod, int replicas, const std::vector<Pod>& pods) const;

  // The launches of these pods, by name; others were made by somebody else.
  std::map<std::string, ActionId> Match(const std::vector<Pod>& pods) const;
  // Launches that are among so many replicas and whose pods are not there yet, by what each raised the replicas to.
  std::map<int, ActionId> Awaited(int replicas, const std::vector<Pod>& pods) const;

 private:
  struct Launch {
    ActionId id;
    int replicas = 0;
    std::string pod;  // empty: not seen yet; "-": it was removed, and a StatefulSet may give its name again
  };
  bool IsWaiting() const;
  void ForgetOldest();
  void Settle(const std::vector<Pod>& pods);

  std::vector<Launch> launches_;         // oldest first
  std::map<std::string, int> removals_;  // pods that were asked to leave, and what replicas were lowered to
  // Pods that were there before the first launch whose pod has not been seen; without such a launch none.
  std::set<std::string> known_;
};

}  // namespace headroom::kubernetes
