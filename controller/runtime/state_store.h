#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace headroom {

// StateStore: one value of at most kBytesMax that outlives the machine, and that only the leader can write: each Save()
// holds only if nobody else has written since this store's last Load() or Save(). Blocking; one thread at a time.
class StateStore {
 public:
  static constexpr size_t kBytesMax = 700'000;  // a ConfigMap holds 1 MiB, and a third more in base64

  virtual ~StateStore() = default;
  // Where it is, for messages: "ConfigMap storage/headroom-files".
  virtual std::string name() const = 0;
  // NOT_FOUND: nothing was ever saved.
  virtual absl::StatusOr<std::string> Load(absl::Duration timeout) = 0;
  // ABORTED: somebody else has written, or leads: whoever calls has to look whether it leads still.
  virtual absl::Status Save(absl::string_view bytes, absl::Duration timeout) = 0;
};

}  // namespace headroom
