#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace headroom {

// How a candidate stands after a try.
struct Standing {
  bool leads = false;
  std::string holder;         // who holds it, as last seen; empty: nobody, or not known
  int64_t number = 0;         // of the leadership as last seen: it grows with each that begins
  absl::Duration good_until;  // leading: nobody else can hold it before this moment of SteadyNow()
  absl::Duration pause;       // until the next Round()
  absl::Status trouble;       // of the last call
};

// The kernel's time since boot, with what the machine slept through: others' leases went on meanwhile.
absl::Duration SteadyNow();

// Candidate: one process that wants to lead, on some engine that elects. Blocks in the engine only. It does not fence:
// that is for whoever writes under leadership. One thread calls Round() and Release().
class Candidate {
 public:
  virtual ~Candidate() = default;
  // One try to get or to keep it.
  virtual Standing Round() = 0;
  // Gives it back, once all that it guarded has ended: the next one need not wait. Nothing where it is not held.
  virtual absl::Status Release() = 0;
  // Calls `changed` whenever another Round() is worth its while: leadership has been given back or has moved. From any
  // thread, until the candidate's end. Candidates that cannot tell are asked after `pause`.
  virtual void Watch(const std::function<void()>& /*changed*/) {}
};

// The identity of a process as a candidate: where it is reached, and a number that no other process ever had.
std::string MakeIdentity(const std::string& address);
// Where the holder of a leadership is reached; empty: it does not say.
std::string AddressOf(const std::string& identity);

}  // namespace headroom
