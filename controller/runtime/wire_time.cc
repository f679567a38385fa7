#include "controller/runtime/wire_time.h"

#include <ctime>

namespace headroom {

void SetTime(absl::Time time, google::protobuf::Timestamp* out) {
  const timespec spec = absl::ToTimespec(time);
  out->set_seconds(spec.tv_sec);
  out->set_nanos(static_cast<int32_t>(spec.tv_nsec));
}

void SetDuration(absl::Duration duration, google::protobuf::Duration* out) {
  const timespec spec = absl::ToTimespec(duration);
  // A timespec's nanoseconds are never negative; a Duration's have the sign of its seconds.
  const bool borrow = spec.tv_sec < 0 && spec.tv_nsec > 0;
  out->set_seconds(spec.tv_sec + (borrow ? 1 : 0));
  out->set_nanos(static_cast<int32_t>(borrow ? spec.tv_nsec - 1'000'000'000 : spec.tv_nsec));
}

absl::Duration FromWire(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
}

absl::Time FromWire(const google::protobuf::Timestamp& time) {
  return absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
}

}  // namespace headroom
