#include "storage_node/file_server/object_replies.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

#include "controller/base/json_string.h"

namespace headroom {
namespace {

using Field = boost::beast::http::field;

constexpr int64_t kEntriesMax = 1000;  // of one page of a listing

Conditions ConditionsOf(const RequestHead& head) {
  return {.if_match = HeaderOf(head, Field::if_match),
          .if_none_match = HeaderOf(head, Field::if_none_match),
          .if_modified_since = HeaderOf(head, Field::if_modified_since),
          .if_unmodified_since = HeaderOf(head, Field::if_unmodified_since)};
}

Validators ValidatorsOf(const ObjectInfo& info) {
  return {.etag = info.etag, .modified = info.modified};
}

HttpStatus StatusFor(const absl::Status& status, Intent intent) {
  switch (status.code()) {
    case absl::StatusCode::kNotFound:
      return HttpStatus::not_found;
    case absl::StatusCode::kInvalidArgument:
      return HttpStatus::bad_request;
    case absl::StatusCode::kFailedPrecondition:
      return intent == Intent::kRead ? HttpStatus::not_found : HttpStatus::conflict;
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kAborted:
      return HttpStatus::precondition_failed;
    case absl::StatusCode::kPermissionDenied:
      return HttpStatus::forbidden;
    case absl::StatusCode::kResourceExhausted:
      return HttpStatus::insufficient_storage;
    case absl::StatusCode::kUnavailable:
      return HttpStatus::service_unavailable;
    default:
      return HttpStatus::internal_server_error;
  }
}

std::string ValidatorLines(const ObjectInfo& info) {
  return absl::StrCat("ETag: ", info.etag, "\r\nLast-Modified: ", HttpDate(info.modified),
                      "\r\nAccept-Ranges: bytes\r\n");
}

Reply FileReply(OpenObject object, absl::string_view name, const RequestHead& head) {
  const Validators current = ValidatorsOf(object.info);
  const Condition condition = Evaluate(ConditionsOf(head), current, MethodKind::kRead);
  if (condition == Condition::kPreconditionFailed) return TextReply(HttpStatus::precondition_failed, "");
  Reply reply{.headers = ValidatorLines(object.info)};
  if (condition == Condition::kNotModified) {
    reply.status = HttpStatus::not_modified;
    return reply;
  }
  // Ranges are of GET alone (RFC 9110, 14.2).
  const bool ranged =
      head.method() == boost::beast::http::verb::get && RangeStillApplies(HeaderOf(head, Field::if_range), current);
  const absl::string_view range_header = ranged ? HeaderOf(head, Field::range) : absl::string_view();
  const ByteRange range = ResolveRange(range_header, object.info.size);
  if (range.kind == ByteRange::Kind::kUnsatisfiable) {
    Reply refused = TextReply(HttpStatus::range_not_satisfiable, "");
    absl::StrAppend(&refused.headers, "Content-Range: bytes */", object.info.size, "\r\n");
    return refused;
  }
  if (range.kind == ByteRange::Kind::kPart) {
    reply.status = HttpStatus::partial_content;
    absl::StrAppend(&reply.headers, "Content-Range: bytes ", range.first, "-", range.first + range.length - 1, "/",
                    object.info.size, "\r\n");
  }
  absl::StrAppend(&reply.headers, "Content-Type: ", ContentType(name), "\r\n");
  reply.file = std::move(object.descriptor);
  reply.offset = range.first;
  reply.length = range.length;
  return reply;
}

std::string ListingJson(const ObjectPath& path, const Listing& listing) {
  std::string json = absl::StrCat("{\"path\":", JsonString(absl::StrCat("/", path.ToString())), ",\"entries\":[");
  const char* comma = "";
  for (const Listing::Entry& entry : listing.entries) {
    absl::StrAppend(&json, comma, "{\"name\":", JsonString(entry.name),
                    ",\"type\":", entry.kind == OpenObject::Kind::kDirectory ? "\"directory\"" : "\"file\"",
                    ",\"bytes\":", entry.size, ",\"modified\":\"",
                    absl::FormatTime(absl::RFC3339_sec, entry.modified, absl::UTCTimeZone()), "\"}");
    comma = ",";
  }
  absl::StrAppend(&json, "],\"next\":", listing.next.empty() ? "null" : JsonString(listing.next), "}\n");
  return json;
}

std::string QueryValue(const RequestTarget& target, const std::string& name) {
  const auto found = target.query.find(name);
  return found == target.query.end() ? "" : found->second;
}

}  // namespace

absl::string_view HeaderOf(const RequestHead& head, Field field) {
  const auto found = head.find(field);
  if (found == head.end()) return {};
  return {found->value().data(), found->value().size()};
}

Reply ErrorReply(const absl::Status& status, Intent intent) {
  const HttpStatus code = StatusFor(status, intent);
  // What went wrong inside is for the log and the counters, not for strangers.
  return TextReply(code, code == HttpStatus::internal_server_error ? "" : status.message());
}

bool AsksForListing(const RequestTarget& target) {
  return target.names_directory || target.path.segments.empty() || target.query.count("list") > 0;
}

Reply GetObject(const ObjectStore& store, const RequestTarget& target, const RequestHead& head) {
  absl::StatusOr<OpenObject> object = store.Read(target.path);
  if (!object.ok()) return ErrorReply(object.status(), Intent::kRead);
  if (object->kind == OpenObject::Kind::kDirectory) {
    return TextReply(HttpStatus::not_found, "a directory; its listing is at the same path with a slash at the end");
  }
  return FileReply(*std::move(object), target.path.segments.back(), head);
}

Reply ListDirectory(const ObjectStore& store, const RequestTarget& target) {
  const absl::StatusOr<OpenObject> directory = store.Read(target.path);
  if (!directory.ok()) return ErrorReply(directory.status(), Intent::kRead);
  if (directory->kind != OpenObject::Kind::kDirectory) return TextReply(HttpStatus::not_found, "not a directory");
  int64_t entries = kEntriesMax;
  const std::string limit = QueryValue(target, "limit");
  if (!limit.empty() && (!absl::SimpleAtoi(limit, &entries) || entries < 1)) {
    return TextReply(HttpStatus::bad_request, "limit is a number from 1 to 1000");
  }
  const absl::StatusOr<Listing> listing = store.List(
      *directory,
      {.after = QueryValue(target, "after"), .entries_max = static_cast<size_t>(std::min(entries, kEntriesMax))});
  if (!listing.ok()) return ErrorReply(listing.status(), Intent::kRead);
  return JsonReply(HttpStatus::ok, ListingJson(target.path, *listing));
}

Condition CheckWrite(const ObjectStore& store, const RequestTarget& target, const RequestHead& head) {
  const Conditions conditions = ConditionsOf(head);
  if (conditions.if_match.empty() && conditions.if_none_match.empty() && conditions.if_unmodified_since.empty()) {
    return Condition::kProceed;
  }
  const absl::StatusOr<OpenObject> object = store.Read(target.path);
  const bool there = object.ok() && object->kind == OpenObject::Kind::kFile;
  return Evaluate(conditions, there ? ValidatorsOf(object->info) : Validators{}, MethodKind::kWrite);
}

Allow WriteGuard(const ObjectStore& store, const RequestTarget& target, const RequestHead& head) {
  return [&] {
    return CheckWrite(store, target, head) == Condition::kProceed
               ? absl::OkStatus()
               : absl::AbortedError("the file is not as the request expects it");
  };
}

Reply DeleteObject(const ObjectStore& store, const RequestTarget& target, const RequestHead& head) {
  if (AsksForListing(target)) return TextReply(HttpStatus::conflict, "directories are not deleted");
  const absl::Status removed = store.Remove(target.path, WriteGuard(store, target, head));
  if (!removed.ok()) return ErrorReply(removed, Intent::kWrite);
  return {.status = HttpStatus::no_content};
}

}  // namespace headroom
