#pragma once

#include "absl/time/time.h"
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/timestamp.pb.h>

// Time on the wire and in the program. Exact to the nanosecond within the years of a Timestamp; cannot fail.

namespace headroom {

void SetTime(absl::Time time, google::protobuf::Timestamp* out);
void SetDuration(absl::Duration duration, google::protobuf::Duration* out);
absl::Duration FromWire(const google::protobuf::Duration& duration);
absl::Time FromWire(const google::protobuf::Timestamp& time);

}  // namespace headroom
