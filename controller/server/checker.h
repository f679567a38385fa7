#pragma once

#include <cmath>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/timestamp.pb.h"

namespace headroom {

// Checker: holds the values of one message against their bounds and keeps the first fault. A good message costs
// compares and nothing else: no text is made before something is wrong. `field` must be a literal. Thread-compatible.
class Checker {
 public:
  // Names the element that the following checks are about: "servers[3].". A null list: the message itself.
  void Enter(const char* list, int index) {
    list_ = list;
    index_ = index;
  }

  void Count(const char* field, int64_t value, int64_t max) {
    if (value < 0 || value > max) [[unlikely]] {
      FailRange(field, value, max);
    }
  }
  // Finite, from 0 to `max`.
  void Number(const char* field, double value, double max) {
    if (!(value >= 0 && value <= max)) [[unlikely]] {
      FailNumber(field, value, max);
    }
  }
  void Ratio(const char* field, double value);
  void Size(const char* field, int size, int max);
  void Present(const char* field, bool present) {
    if (!present) [[unlikely]] {
      Fail(field, "missing", "is missing; every report is the full state");
    }
  }
  // At most `max` bytes, no control characters: it ends in logs and terminals.
  void Text(const char* field, absl::string_view value, size_t max);
  // 1 to 253 of [a-z0-9.-].
  void Id(const char* field, absl::string_view value);
  absl::Duration Duration(const char* field, const google::protobuf::Duration& value);
  absl::Time Time(const char* field, const google::protobuf::Timestamp& value);

  void Fail(const char* field, absl::string_view label, absl::string_view text);
  bool ok() const { return status_.ok(); }
  const absl::Status& status() const { return status_; }

 private:
  void FailRange(const char* field, int64_t value, int64_t max);
  void FailNumber(const char* field, double value, double max);

  const char* list_ = nullptr;
  int index_ = 0;
  absl::Status status_;
};

}  // namespace headroom
