#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

#include "controller/core/event.h"
#include "controller/providers/kubernetes/pods.h"

namespace headroom::kubernetes {

// Ledger: which launch made which pod, and which pods were asked to leave. Replicas have no names of their own before
// they are there, so a launch notes what it raises the replicas to, and which pods were there before; whoever is new
// belongs to the launches in their order. Kept in an annotation of the workload, so that every later leader knows it,
// too. A value, not thread-safe.
class Ledger {
 public:
  static constexpr size_t kLaunchesMax = 256;  // the oldest are forgotten: their pods are known by now

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

  // What the removal of this pod lowers `replicas` to: by one; done is what was noted before, as long as the pod has
  // not left: a pod is not always seen to be leaving at once.
  Target End(const std::string& pod, int replicas, const std::vector<Pod>& pods);

  // The launches of these pods, by name; others were made by somebody else.
  std::map<std::string, ActionId> Match(const std::vector<Pod>& pods) const;
  // Launches that are among so many replicas and whose pods are not there yet.
  std::vector<ActionId> Awaited(int replicas, const std::vector<Pod>& pods) const;

 private:
  struct Launch {
    ActionId id;
    int replicas = 0;
    std::string pod;  // empty: not seen yet; "-": it was removed, and a StatefulSet may give its name again
  };
  void Settle(const std::vector<Pod>& pods);

  std::vector<Launch> launches_;         // oldest first
  std::map<std::string, int> removals_;  // pods that were asked to leave, and what replicas were lowered to
  std::set<std::string> known_;          // pods that were there before the first launch whose pod has not been seen
};

}  // namespace headroom::kubernetes
