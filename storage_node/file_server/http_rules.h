#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace headroom {

// The rules of HTTP (RFC 9110) that a file server must apply, as pure functions: what a target names, what a range
// means, what a condition decides.

// ObjectPath: the decoded segments of a request's path below the data directory. No segment is empty, "." or "..", or
// holds a slash or a NUL. No segments: the data directory itself.
struct ObjectPath {
  std::vector<std::string> segments;
  std::string ToString() const;  // "a/b", "" for the root
};

struct RequestTarget {
  ObjectPath path;
  bool names_directory = false;              // ends in a slash
  std::map<std::string, std::string> query;  // decoded; the last of equal names counts; "?list" is {"list", ""}
};
// InvalidArgument for anything that is not a plain path below the root, "..", however encoded, included.
absl::StatusOr<RequestTarget> ParseTarget(absl::string_view target);

struct ByteRange {
  enum class Kind { kWhole, kPart, kUnsatisfiable };
  Kind kind = Kind::kWhole;
  int64_t first = 0, length = 0;  // for kWhole and kPart
};
// What a Range header asks of a representation of `size` bytes. Several ranges, other units and nonsense mean the
// whole, as RFC 9110 allows.
ByteRange ResolveRange(absl::string_view header, int64_t size);

struct Validators {
  std::string etag;  // quoted and strong; empty: there is no representation
  absl::Time modified;
};
// Header values; empty: absent.
struct Conditions {
  absl::string_view if_match, if_none_match, if_modified_since, if_unmodified_since;
};
enum class MethodKind { kRead, kWrite };
enum class Condition { kProceed, kNotModified, kPreconditionFailed };
// Evaluates in the order of RFC 9110 13.2.2.
Condition Evaluate(const Conditions& conditions, const Validators& current, MethodKind method);
// Whether a Range may be applied: If-Range is absent, or still names what is there.
bool RangeStillApplies(absl::string_view if_range, const Validators& current);

std::string HttpDate(absl::Time time);  // "Sun, 06 Nov 1994 08:49:37 GMT"
absl::StatusOr<absl::Time> ParseHttpDate(absl::string_view text);

// "text/html" for "a/b.html"; "application/octet-stream" when unknown.
absl::string_view ContentType(absl::string_view name);

}  // namespace headroom
