#include "controller/server/checker.h"

#include <algorithm>

#include "absl/strings/cord.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

#include "controller/server/convert.h"

namespace headroom {
namespace {

constexpr absl::string_view kLabelUrl = "headroom.v1/refusal";
constexpr int64_t kLastSecond = 253'402'300'799;  // the end of year 9999, as google.protobuf.Timestamp has it
constexpr size_t kQuotedMax = 60;

std::string Quoted(absl::string_view value) {
  return absl::StrCat("\"", absl::CHexEscape(value.substr(0, kQuotedMax)), value.size() > kQuotedMax ? "...\"" : "\"");
}

bool IsIdCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-';
}
bool IsControl(char c) {
  return (c >= 0 && c < 0x20) || c == 0x7f;
}

}  // namespace

void Checker::Fail(const char* field, absl::string_view label, absl::string_view text) {
  if (!status_.ok()) return;
  const std::string place = list_ != nullptr ? absl::StrCat(list_, "[", index_, "].", field) : std::string(field);
  status_ = absl::InvalidArgumentError(absl::StrCat(place, ": ", text));
  status_.SetPayload(kLabelUrl, absl::Cord(label));
}

void Checker::FailRange(const char* field, int64_t value, int64_t max) {
  if (value < 0) return Fail(field, "negative", absl::StrCat(value, " is negative"));
  Fail(field, "too_large", absl::StrCat(value, " exceeds ", max));
}

void Checker::FailNumber(const char* field, double value, double max) {
  if (!std::isfinite(value)) return Fail(field, "not_finite", absl::StrCat(value, " is not a finite number"));
  if (value < 0) return Fail(field, "negative", absl::StrCat(value, " is negative"));
  Fail(field, "too_large", absl::StrCat(value, " exceeds ", max));
}

void Checker::Ratio(const char* field, double value) {
  if (value >= 0 && value <= 1 + kRatioTolerance) [[likely]] {
    return;
  }
  if (!std::isfinite(value)) return FailNumber(field, value, 1);
  Fail(field, "ratio", absl::StrCat(value, " is outside 0 to 1"));
}

void Checker::Size(const char* field, int size, int max) {
  if (size > max) Fail(field, "too_many", absl::StrCat(size, " entries exceed ", max));
}

void Checker::Text(const char* field, absl::string_view value, size_t max) {
  if (value.size() > max) return Fail(field, "too_long", absl::StrCat(value.size(), " bytes exceed ", max));
  if (std::any_of(value.begin(), value.end(), IsControl)) {
    Fail(field, "text", absl::StrCat(Quoted(value), " has control characters"));
  }
}

void Checker::Id(const char* field, absl::string_view value) {
  constexpr size_t kIdMax = 253;
  if (!value.empty() && value.size() <= kIdMax && std::all_of(value.begin(), value.end(), IsIdCharacter)) return;
  Fail(field, "id", absl::StrCat(Quoted(value), " is not 1 to 253 of [a-z0-9.-]"));
}

absl::Duration Checker::Duration(const char* field, const google::protobuf::Duration& value) {
  if (value.nanos() < 0 || value.nanos() > 999'999'999) {
    Fail(field, "time", absl::StrCat(value.nanos(), " nanoseconds are outside 0 to 999999999"));
    return absl::ZeroDuration();
  }
  Count(field, value.seconds(), absl::ToInt64Seconds(kDurationMax));
  return FromWire(value);
}

absl::Time Checker::Time(const char* field, const google::protobuf::Timestamp& value) {
  if (value.seconds() < 0 || value.seconds() > kLastSecond || value.nanos() < 0 || value.nanos() > 999'999'999) {
    Fail(field, "time", absl::StrCat(value.seconds(), " s ", value.nanos(), " ns is not a time between 1970 and 9999"));
  }
  return FromWire(value);
}

absl::Status CheckReporterId(absl::string_view id) {
  Checker checker;
  checker.Id("reporter_id", id);
  return checker.status();
}

absl::string_view RefusalLabel(const absl::Status& status) {
  const absl::optional<absl::Cord> label = status.GetPayload(kLabelUrl);
  if (!label.has_value()) return "other";
  for (const std::string& known : RefusalLabels()) {
    if (*label == known) return known;
  }
  return "other";
}

const std::vector<std::string>& RefusalLabels() {
  static const auto* const labels =
      new std::vector<std::string>{"not_finite", "negative", "too_large", "ratio", "buckets", "id",
                                   "too_many",   "too_long", "missing",   "time",  "text",    "other"};
  return *labels;
}

}  // namespace headroom
