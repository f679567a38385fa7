#include "storage_node/file_server/http_rules.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace headroom {
namespace {

constexpr size_t kSegmentBytesMax = 255;  // NAME_MAX

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = absl::ascii_tolower(static_cast<unsigned char>(c));
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

std::optional<std::string> PercentDecode(absl::string_view text) {
  std::string decoded;
  decoded.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded.push_back(text[i]);
      continue;
    }
    if (i + 2 >= text.size()) return std::nullopt;
    const int high = HexValue(text[i + 1]), low = HexValue(text[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    decoded.push_back(static_cast<char>(high * 16 + low));
    i += 2;
  }
  return decoded;
}

absl::Status CheckSegment(const std::optional<std::string>& segment) {
  if (!segment) return absl::InvalidArgumentError("bad percent encoding in the path");
  if (*segment == "." || *segment == "..") return absl::InvalidArgumentError("the path leaves its directory");
  if (segment->find('/') != std::string::npos || segment->find('\0') != std::string::npos) {
    return absl::InvalidArgumentError("the path holds an encoded slash or NUL");
  }
  if (segment->size() > kSegmentBytesMax) return absl::InvalidArgumentError("a name in the path is over 255 bytes");
  return absl::OkStatus();
}

std::map<std::string, std::string> ParseQuery(absl::string_view query) {
  std::map<std::string, std::string> parsed;
  for (absl::string_view pair : absl::StrSplit(query, '&', absl::SkipEmpty())) {
    const std::pair<absl::string_view, absl::string_view> halves = absl::StrSplit(pair, absl::MaxSplits('=', 1));
    auto name = PercentDecode(halves.first), value = PercentDecode(halves.second);
    if (name && value) parsed[*std::move(name)] = *std::move(value);
  }
  return parsed;
}

// "http://host/path" (absolute form) -> "/path".
absl::string_view PathOf(absl::string_view target) {
  if (!absl::StartsWithIgnoreCase(target, "http://")) return target;
  target.remove_prefix(7);
  const size_t slash = target.find('/');
  return slash == absl::string_view::npos ? "/" : target.substr(slash);
}

bool ListNames(absl::string_view header, absl::string_view etag) {
  for (absl::string_view item : absl::StrSplit(header, ',')) {
    item = absl::StripAsciiWhitespace(item);
    if (item == "*" || item == etag) return true;
  }
  return false;
}

// If-None-Match compares weakly.
bool ListNamesWeakly(absl::string_view header, absl::string_view etag) {
  for (absl::string_view item : absl::StrSplit(header, ',')) {
    item = absl::StripPrefix(absl::StripAsciiWhitespace(item), "W/");
    if (item == "*" || item == etag) return true;
  }
  return false;
}

// Whether it was modified after the date; nullopt when the header is absent or no date.
std::optional<bool> ModifiedAfter(absl::string_view date, const Validators& current) {
  if (date.empty()) return std::nullopt;
  const auto at = ParseHttpDate(date);
  if (!at.ok()) return std::nullopt;
  return absl::ToUnixSeconds(current.modified) > absl::ToUnixSeconds(*at);
}

bool NotModified(const Conditions& conditions, const Validators& current, MethodKind method) {
  if (!conditions.if_none_match.empty()) {
    return !current.etag.empty() && ListNamesWeakly(conditions.if_none_match, current.etag);
  }
  return method == MethodKind::kRead && ModifiedAfter(conditions.if_modified_since, current) == false;
}

bool MatchFails(const Conditions& conditions, const Validators& current) {
  if (!conditions.if_match.empty()) return current.etag.empty() || !ListNames(conditions.if_match, current.etag);
  return ModifiedAfter(conditions.if_unmodified_since, current) == true;
}

ByteRange Part(int64_t first, int64_t last, int64_t size) {
  if (first >= size || first > last) return {.kind = ByteRange::Kind::kUnsatisfiable};
  return {.kind = ByteRange::Kind::kPart, .first = first, .length = std::min(last, size - 1) - first + 1};
}

std::optional<int64_t> Digits(absl::string_view text) {
  int64_t value = 0;
  const bool digits = !text.empty() && std::all_of(text.begin(), text.end(), absl::ascii_isdigit);
  if (!digits) return std::nullopt;
  return absl::SimpleAtoi(text, &value) ? value : INT64_MAX;
}

}  // namespace

std::string ObjectPath::ToString() const {
  return absl::StrJoin(segments, "/");
}

absl::StatusOr<RequestTarget> ParseTarget(absl::string_view target) {
  const absl::string_view full = PathOf(target);
  if (full.empty() || full[0] != '/') return absl::InvalidArgumentError("the target is not a path");
  const size_t question = full.find('?');
  const absl::string_view path = full.substr(0, question);
  RequestTarget parsed;
  if (question != absl::string_view::npos) parsed.query = ParseQuery(full.substr(question + 1));
  parsed.names_directory = path.back() == '/';
  for (absl::string_view raw : absl::StrSplit(path, '/', absl::SkipEmpty())) {
    std::optional<std::string> segment = PercentDecode(raw);
    if (absl::Status status = CheckSegment(segment); !status.ok()) return status;
    parsed.path.segments.push_back(*std::move(segment));
  }
  return parsed;
}

ByteRange ResolveRange(absl::string_view header, int64_t size) {
  const ByteRange whole = {.kind = ByteRange::Kind::kWhole, .length = size};
  if (!absl::ConsumePrefix(&header, "bytes=") || header.find(',') != absl::string_view::npos) return whole;
  const std::pair<absl::string_view, absl::string_view> ends = absl::StrSplit(header, absl::MaxSplits('-', 1));
  if (header.find('-') == absl::string_view::npos) return whole;
  const auto first = Digits(absl::StripAsciiWhitespace(ends.first));
  const auto last = Digits(absl::StripAsciiWhitespace(ends.second));
  if (first && last && *first > *last) return whole;  // not a range at all, says the RFC: ignored
  if (first) return last || ends.second.empty() ? Part(*first, last.value_or(INT64_MAX), size) : whole;
  if (!last || !ends.first.empty()) return whole;
  if (*last == 0) return {.kind = ByteRange::Kind::kUnsatisfiable};
  return Part(std::max<int64_t>(size - *last, 0), size - 1, size);
}

Condition Evaluate(const Conditions& conditions, const Validators& current, MethodKind method) {
  if (MatchFails(conditions, current)) return Condition::kPreconditionFailed;
  if (!NotModified(conditions, current, method)) return Condition::kProceed;
  return method == MethodKind::kRead ? Condition::kNotModified : Condition::kPreconditionFailed;
}

bool RangeStillApplies(absl::string_view if_range, const Validators& current) {
  if (if_range.empty()) return true;
  if (if_range[0] == '"' || absl::StartsWith(if_range, "W/")) return if_range == current.etag;
  const auto at = ParseHttpDate(if_range);
  return at.ok() && absl::ToUnixSeconds(*at) == absl::ToUnixSeconds(current.modified);
}

std::string HttpDate(absl::Time time) {
  static constexpr std::array<const char*, 7> kDays = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr std::array<const char*, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                          "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const std::time_t seconds = absl::ToTimeT(time);
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  char text[64];
  std::snprintf(text, sizeof text, "%s, %02d %s %04d %02d:%02d:%02d GMT", kDays[static_cast<size_t>(utc.tm_wday)],
                utc.tm_mday, kMonths[static_cast<size_t>(utc.tm_mon)], utc.tm_year + 1900, utc.tm_hour, utc.tm_min,
                utc.tm_sec);
  return text;
}

absl::StatusOr<absl::Time> ParseHttpDate(absl::string_view text) {
  absl::Time time;
  std::string error;
  if (absl::ParseTime("%a, %d %b %Y %H:%M:%S GMT", text, absl::UTCTimeZone(), &time, &error)) return time;
  return absl::InvalidArgumentError(error);
}

absl::string_view ContentType(absl::string_view name) {
  static constexpr std::array<std::pair<absl::string_view, absl::string_view>, 14> kTypes = {
      {{".html", "text/html"},
       {".txt", "text/plain"},
       {".css", "text/css"},
       {".csv", "text/csv"},
       {".js", "text/javascript"},
       {".json", "application/json"},
       {".xml", "application/xml"},
       {".pdf", "application/pdf"},
       {".png", "image/png"},
       {".jpg", "image/jpeg"},
       {".jpeg", "image/jpeg"},
       {".gif", "image/gif"},
       {".svg", "image/svg+xml"},
       {".mp4", "video/mp4"}}};
  for (const auto& [suffix, type] : kTypes) {
    if (absl::EndsWithIgnoreCase(name, suffix)) return type;
  }
  return "application/octet-stream";
}

}  // namespace headroom
