#include "tests/controller/providers/kubernetes/fake_objects.h"

#include <algorithm>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"

namespace headroom::kubernetes {
namespace {

using Json = nlohmann::json;

constexpr size_t kNoteMax = 1024, kNameMax = 128;

std::string TextOf(const Json& object, const char* pointer) {
  return object.value(Json::json_pointer(pointer), "");
}

bool IsName(const std::string& text) {
  return !text.empty() && text.size() <= kNameMax;
}

}  // namespace

ObjectPath ParseObjectPath(const std::string& path) {
  const std::vector<std::string> parts = absl::StrSplit(path, '/', absl::SkipEmpty());
  size_t at = absl::StartsWith(path, "/api/") ? 2 : 3;
  ObjectPath found;
  if (parts.size() <= at) return found;
  const auto end_of_root = parts.begin() + static_cast<std::ptrdiff_t>(at);
  found.root = absl::StrCat("/", absl::StrJoin(parts.begin(), end_of_root, "/"));
  const auto next = [&] { return at < parts.size() ? parts[at++] : ""; };
  found.resource = next();
  if (found.resource == "namespaces" && parts.size() > at + 1) {
    found.name_space = next();
    found.resource = next();
  }
  found.name = next();
  found.subresource = next();
  return found;
}

bool IsIn(const std::string& collection, const std::string& path) {
  if (path.rfind('/') == collection.size() && absl::StartsWith(path, collection + "/")) return true;
  const ObjectPath all = ParseObjectPath(collection), one = ParseObjectPath(path);
  return !all.resource.empty() && all.name.empty() && all.name_space.empty() && !one.name.empty() &&
         all.root == one.root && all.resource == one.resource;
}

bool IsSelected(const std::string& selector, const Json& object) {
  const std::string plain = absl::StrReplaceAll(selector, {{" in (", "="}, {")", ""}});
  const std::vector<std::string> terms = absl::StrSplit(plain, ',', absl::SkipEmpty());
  const Json labels = object.value("/metadata/labels"_json_pointer, Json::object());
  return std::all_of(terms.begin(), terms.end(), [&labels](const std::string& term) {
    const std::pair<std::string, std::string> label = absl::StrSplit(term, absl::MaxSplits('=', 1));
    return labels.value(label.first, "") == label.second;
  });
}

Json Stored(const std::string& path, const Json& before, Json object) {
  const ObjectPath parsed = ParseObjectPath(path);
  Json& metadata = object["metadata"];
  metadata["name"] = path.substr(path.rfind('/') + 1);
  if (!parsed.name_space.empty()) metadata["namespace"] = parsed.name_space;
  const std::string uid = TextOf(before.is_null() ? object : before, "/metadata/uid");
  metadata["uid"] = uid.empty() ? absl::StrFormat("%016x", std::hash<std::string>()(path)) : uid;
  if (parsed.resource != "storageclusters") return object;
  const Json old = before.is_null() ? Json::object() : before;
  const int64_t generation = old.value("/metadata/generation"_json_pointer, int64_t{0});
  const bool changed = before.is_null() || old.value("spec", Json()) != object.value("spec", Json());
  metadata["generation"] = generation + (changed ? 1 : 0);
  if (!object.contains("status") && old.contains("status")) object["status"] = old["status"];
  return object;
}

std::string FaultOfEvent(const Json& before, const Json& event) {
  if (!IsName(TextOf(event, "/reportingController"))) return "reportingController: Required value";
  if (!IsName(TextOf(event, "/reportingInstance"))) return "reportingInstance: must have 1 to 128 characters";
  if (!IsName(TextOf(event, "/action"))) return "action: must have 1 to 128 characters";
  if (!IsName(TextOf(event, "/reason"))) return "reason: must have 1 to 128 characters";
  if (TextOf(event, "/note").size() > kNoteMax) return "note: can have at most 1024 bytes";
  if (TextOf(event, "/eventTime").size() != sizeof("2026-11-20T08:00:00.000000Z") - 1) return "eventTime: no MicroTime";
  const std::string type = TextOf(event, "/type");
  if (type != "Normal" && type != "Warning") return "type: must be Normal or Warning";
  if (TextOf(event, "/regarding/namespace") != TextOf(event, "/metadata/namespace"))
    return "regarding.namespace: does not match event.namespace";
  const Json series = event.value("series", Json());
  if (!series.is_null() && series.value("count", 0) < 2) return "series.count: should be at least 2";
  if (!series.is_null() && TextOf(series, "/lastObservedTime").empty())
    return "series.lastObservedTime: Required value";
  for (const char* field : {"reason", "note", "action", "type", "eventTime", "regarding", "reportingController"}) {
    if (!before.is_null() && before.value(field, Json()) != event.value(field, Json()))
      return absl::StrCat(field, ": field is immutable");
  }
  return "";
}

}  // namespace headroom::kubernetes
