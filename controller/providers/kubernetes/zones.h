#pragma once

#include <map>
#include <set>
#include <string>

#include "absl/base/thread_annotations.h"

#include "controller/base/deadline.h"
#include "controller/base/monitor.h"
#include "controller/providers/kubernetes/api.h"

namespace headroom::kubernetes {

// Zones: where the machines are that pods stand on, by their label topology.kubernetes.io/zone. A machine is asked for
// until there is an answer, once; that there is no such machine, or that it has no such label, is one, and a failure is
// none: where machines may not be read each look costs one question. Thread-safe.
class Zones {
 public:
  // `api` outlives it.
  explicit Zones(Api& api) : api_(api) {}

  // The zones of these machines by their names; what has no zone, or is not known yet, is empty or not in it. Others
  // are forgotten: theirs is asked for anew once a pod stands there again.
  std::map<std::string, std::string> Of(const std::set<std::string>& machines, const Deadline& deadline);

 private:
  Api& api_;
  Monitor mutex_;
  std::map<std::string, std::string> known_ ABSL_GUARDED_BY(mutex_);  // by machine; bounded by those of the last look
};

}  // namespace headroom::kubernetes
