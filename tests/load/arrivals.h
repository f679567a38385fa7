#pragma once

#include <optional>
#include <vector>

#include "absl/time/time.h"

#include "tests/load/profile.h"
#include "tests/load/random.h"

namespace headroom::load {

enum class Method { kGet, kPut };

// Arrival: a request as the outside world intends it, before anything of the system under test is known.
struct Arrival {
  absl::Duration at;  // since the start of the run
  int phase = 0;      // index into Profile::phases
  int client = 0;
  int object = 0;  // index into Profile::objects
  Method method = Method::kGet;
};

// Arrivals: the Poisson arrivals of a profile in order of time. Depends on the profile and its seed only, never on how
// requests end, so a run against another system gets the same requests at the same times. Not thread-safe.
class Arrivals {
 public:
  // `profile` must outlive this.
  explicit Arrivals(const Profile& profile);

  // The next one; nullopt after the last phase, or after kMostRequests.
  std::optional<Arrival> Next();

 private:
  int DrawObject();

  const Profile& profile_;
  Random random_;
  std::vector<double> popularity_;  // cumulative, by object; empty when uniform
  size_t phase_ = 0;
  absl::Duration phase_start_, at_;
  int64_t drawn_ = 0;
};

}  // namespace headroom::load
