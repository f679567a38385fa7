#include "tests/controller/providers/kubernetes/fake_api_server.h"

#include <algorithm>
#include <chrono>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

#include "tests/controller/providers/kubernetes/fake_objects.h"

namespace headroom::kubernetes {
namespace {

constexpr char kScale[] = "/scale";
constexpr char kStatus[] = "/status";
constexpr char kNoSuchKind[] = "the server could not find the requested resource";

std::string Parameter(const std::string& query, absl::string_view name) {
  for (const absl::string_view part : absl::StrSplit(query, '&')) {
    const std::pair<std::string, std::string> both = absl::StrSplit(part, absl::MaxSplits('=', 1));
    if (both.first == name)
      return absl::StrReplaceAll(both.second,
                                 {{"%2F", "/"}, {"%3D", "="}, {"%2C", ","}, {"%20", " "}, {"%28", "("}, {"%29", ")"}});
  }
  return "";
}

std::string RevisionOf(const nlohmann::json& object) {
  return object.value("/metadata/resourceVersion"_json_pointer, "");
}

// "update storageclusters/status"
std::string CallOf(const FakeApiServer::Request& request) {
  const ObjectPath path = ParseObjectPath(request.path);
  const std::string verb = request.method == "POST"                      ? "create"
                           : request.method == "PUT"                     ? "update"
                           : request.method == "PATCH"                   ? "patch"
                           : request.method == "DELETE"                  ? "delete"
                           : Parameter(request.query, "watch") == "1"    ? "watch"
                           : path.name.empty() && !path.resource.empty() ? "list"
                                                                         : "get";
  return absl::StrCat(verb, " ", path.resource, path.subresource.empty() ? "" : "/", path.subresource);
}

}  // namespace

FakeApiServer::FakeApiServer() : server_([this](Peer& peer) { Serve(peer); }) {}

FakeApiServer::~FakeApiServer() {
  const std::lock_guard lock(mutex_);
  ending_ = true;
  changed_.notify_all();
}

void FakeApiServer::Put(const std::string& path, Json object) {
  const std::lock_guard lock(mutex_);
  Store(path, std::move(object), objects_.contains(path) ? "MODIFIED" : "ADDED");
}

void FakeApiServer::Delete(const std::string& path) {
  const std::lock_guard lock(mutex_);
  Json object = objects_.at(path);
  Store(path, std::move(object), "DELETED");
}

FakeApiServer::Json FakeApiServer::Get(const std::string& path) const {
  const std::lock_guard lock(mutex_);
  const auto found = objects_.find(path);
  return found == objects_.end() ? Json() : found->second;
}

std::vector<std::string> FakeApiServer::Names(const std::string& collection) const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> names;
  const Json list = List(collection, "");
  for (const Json& object : list["items"]) names.push_back(object["metadata"]["name"]);
  return names;
}

void FakeApiServer::Uninstall(const std::string& root) {
  const std::lock_guard lock(mutex_);
  uninstalled_.insert(root);
  ++watch_generation_;
  changed_.notify_all();
}

void FakeApiServer::Install(const std::string& root) {
  const std::lock_guard lock(mutex_);
  uninstalled_.erase(root);
}

void FakeApiServer::Inject(Fault fault) {
  const std::lock_guard lock(mutex_);
  faults_.push_back(std::move(fault));
}

void FakeApiServer::Accept(const std::string& token) {
  const std::lock_guard lock(mutex_);
  token_ = token;
}

void FakeApiServer::Compact() {
  const std::lock_guard lock(mutex_);
  compacted_ = revision_;
  ++watch_generation_;
  changed_.notify_all();
}

void FakeApiServer::EndWatches() {
  const std::lock_guard lock(mutex_);
  ++watch_generation_;
  changed_.notify_all();
}

void FakeApiServer::Bookmark() {
  const std::lock_guard lock(mutex_);
  bookmark_ = ++revision_;
  changed_.notify_all();
}

void FakeApiServer::HoldWatches() {
  const std::lock_guard lock(mutex_);
  watches_held_ = true;
}

void FakeApiServer::LetWatchesGo() {
  const std::lock_guard lock(mutex_);
  watches_held_ = false;
  changed_.notify_all();
}

void FakeApiServer::OnWrite(std::function<void(const Request&)> what) {
  const std::lock_guard lock(mutex_);
  on_write_.push_back(std::move(what));
}

std::vector<FakeApiServer::Request> FakeApiServer::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

int FakeApiServer::CountOf(absl::string_view method, absl::string_view path_contains) const {
  const std::lock_guard lock(mutex_);
  return static_cast<int>(std::count_if(requests_.begin(), requests_.end(), [&](const Request& request) {
    return request.method == method && absl::StrContains(request.path, path_contains);
  }));
}

std::map<std::string, int> FakeApiServer::Calls() const {
  std::map<std::string, int> counts;
  for (const Request& request : requests()) ++counts[CallOf(request)];
  return counts;
}

FakeApiServer::Request FakeApiServer::Parse(const std::string& text) {
  const std::vector<std::string> words = absl::StrSplit(text.substr(0, text.find("\r\n")), ' ');
  const std::pair<std::string, std::string> target = absl::StrSplit(words[1], absl::MaxSplits('?', 1));
  Request request{.method = words[0], .path = target.first, .query = target.second};
  const size_t head = text.find("\r\n\r\n");
  for (absl::string_view line : absl::StrSplit(absl::string_view(text).substr(0, head), "\r\n")) {
    if (absl::ConsumePrefix(&line, "Authorization:")) request.authorization = std::string(absl::StripPrefix(line, " "));
  }
  if (head + 4 < text.size()) request.body = Json::parse(text.substr(head + 4), nullptr, false);
  return request;
}

std::optional<FakeApiServer::Fault> FakeApiServer::TakeFault(const Request& request) {
  for (auto fault = faults_.begin(); fault != faults_.end(); ++fault) {
    if (!fault->method.empty() && fault->method != request.method) continue;
    if (!absl::StrContains(absl::StrCat(request.path, "?", request.query), fault->path_contains)) continue;
    const Fault taken = *fault;
    if (--fault->times == 0) faults_.erase(fault);
    return taken;
  }
  return std::nullopt;
}

void FakeApiServer::Serve(Peer& peer) {
  for (std::string text; !(text = peer.ReadRequest()).empty();) {
    const Request request = Parse(text);
    std::unique_lock lock(mutex_);
    const size_t index = requests_.size();
    requests_.push_back(request);
    const std::optional<Fault> fault = TakeFault(request);
    const bool watch = Parameter(request.query, "watch") == "1";
    if (watch && !fault.has_value() && IsInstalled(request.path)) {
      lock.unlock();
      return Watch(peer, request);
    }
    Answer answer;
    if (!fault.has_value() || fault->after_effect) answer = Do(request);
    requests_[index].code = answer.code;
    const auto on_write = request.method == "GET" ? decltype(on_write_)() : on_write_;
    lock.unlock();
    for (const auto& what : on_write) what(request);
    if (fault.has_value() && fault->never_answers) return peer.AwaitEnd();
    if (fault.has_value() && fault->code == 0) return;
    if (fault.has_value())
      answer = {fault->code, Status(fault->code, "Injected", "injected by the test"), fault->retry_after};
    const std::string head = absl::StrCat("HTTP/1.1 ", answer.code, " X\r\nContent-Type: application/json",
                                          answer.retry_after.empty() ? "" : "\r\nRetry-After: ", answer.retry_after);
    peer.Answer(answer.body.dump(), head);
  }
}

FakeApiServer::Answer FakeApiServer::Do(const Request& request) {
  if (!token_.empty() && request.authorization != "Bearer " + token_)
    return {401, Status(401, "Unauthorized", "Unauthorized"), ""};
  if (!IsInstalled(request.path)) return {404, Status(404, "NotFound", kNoSuchKind), ""};
  if (request.method == "GET") return Read(request);
  if (request.method == "POST") return Create(request);
  return Write(request);
}

bool FakeApiServer::IsInstalled(const std::string& path) const {
  return std::none_of(uninstalled_.begin(), uninstalled_.end(),
                      [&](const std::string& root) { return absl::StartsWith(path, root); });
}

FakeApiServer::Answer FakeApiServer::Read(const Request& request) {
  if (const auto found = objects_.find(request.path); found != objects_.end()) return {200, found->second, ""};
  if (absl::EndsWith(request.path, kScale)) {
    const auto owner = objects_.find(std::string(absl::StripSuffix(request.path, kScale)));
    if (owner != objects_.end()) return {200, ScaleOf(owner->second), ""};
  }
  const bool collection = std::any_of(objects_.begin(), objects_.end(), [&](const auto& object) {
    return absl::StartsWith(object.first, request.path + "/") || IsIn(request.path, object.first);
  });
  if (collection || request.query.find("limit=") != std::string::npos)
    return {200, List(request.path, request.query), ""};
  return {404, Status(404, "NotFound", absl::StrCat(request.path, " not found")), ""};
}

FakeApiServer::Json FakeApiServer::List(const std::string& collection, const std::string& query) const {
  Json list = {
      {"kind", "List"}, {"metadata", {{"resourceVersion", absl::StrCat(revision_)}}}, {"items", Json::array()}};
  int64_t limit = 0;
  static_cast<void>(absl::SimpleAtoi(Parameter(query, "limit"), &limit));
  const std::string from = Parameter(query, "continue"), labels = Parameter(query, "labelSelector");
  const std::string field = Parameter(query, "fieldSelector");
  for (const auto& [path, object] : objects_) {
    if (!IsIn(collection, path) || !IsSelected(labels, object)) continue;
    if (!field.empty() && field != absl::StrCat("metadata.name=", ParseObjectPath(path).name)) continue;
    if (!from.empty() && path < from) continue;
    if (limit > 0 && static_cast<int64_t>(list["items"].size()) == limit) {
      list["metadata"]["continue"] = path;
      break;
    }
    list["items"].push_back(object);
  }
  return list;
}

FakeApiServer::Answer FakeApiServer::Write(const Request& request) {
  if (absl::EndsWith(request.path, kScale))
    return WriteScale(request, std::string(absl::StripSuffix(request.path, kScale)));
  if (absl::EndsWith(request.path, kStatus))
    return WriteStatus(request, std::string(absl::StripSuffix(request.path, kStatus)));
  const auto found = objects_.find(request.path);
  if (found == objects_.end()) return {404, Status(404, "NotFound", absl::StrCat(request.path, " not found")), ""};
  const std::string revision = RevisionOf(request.body);
  if (!revision.empty() && revision != RevisionOf(found->second))
    return {409, Status(409, "Conflict", "the object has been modified; please apply your changes to it"), ""};
  if (request.method == "DELETE") {
    Store(request.path, found->second, "DELETED");
    return {200, Status(200, "", ""), ""};
  }
  Json object = request.method == "PATCH" ? found->second : request.body;
  if (request.method == "PATCH") object.merge_patch(request.body);
  const ObjectPath path = ParseObjectPath(request.path);
  if (path.resource == "storageclusters") object.erase("status");  // that is what its subresource is for
  if (const std::string fault = path.resource == "events" ? FaultOfEvent(found->second, object) : ""; !fault.empty())
    return {422, Status(422, "Invalid", fault), ""};
  Store(request.path, std::move(object), "MODIFIED");
  return {200, objects_.at(request.path), ""};
}

FakeApiServer::Answer FakeApiServer::WriteStatus(const Request& request, const std::string& owner) {
  const auto found = objects_.find(owner);
  if (found == objects_.end()) return {404, Status(404, "NotFound", absl::StrCat(owner, " not found")), ""};
  const std::string revision = RevisionOf(request.body);
  const std::string uid = request.body.value("/metadata/uid"_json_pointer, "");
  if (request.method == "PUT" && revision.empty())
    return {422, Status(422, "Invalid", "metadata.resourceVersion: must be specified for an update"), ""};
  if (!revision.empty() && revision != RevisionOf(found->second))
    return {409, Status(409, "Conflict", "the object has been modified; please apply your changes to it"), ""};
  if (!uid.empty() && uid != found->second["metadata"]["uid"])
    return {409, Status(409, "Conflict", "Precondition failed: UID in precondition"), ""};
  Json object = found->second;
  if (request.method == "PATCH") {
    object["status"].merge_patch(request.body.value("status", Json::object()));
  } else {
    object["status"] = request.body.value("status", Json::object());
  }
  if (object != found->second) Store(owner, std::move(object), "MODIFIED");
  return {200, objects_.at(owner), ""};
}

FakeApiServer::Json FakeApiServer::ScaleOf(const Json& owner) {
  const Json replicas = owner.value("/spec/replicas"_json_pointer, Json());
  Json scale = {{"kind", "Scale"},
                {"apiVersion", "autoscaling/v1"},
                {"metadata", {{"name", owner["metadata"]["name"]}, {"resourceVersion", RevisionOf(owner)}}},
                {"spec", Json::object()},
                {"status", {{"replicas", owner.value("/status/replicas"_json_pointer, 0)}, {"selector", "app=files"}}}};
  if (!replicas.is_null() && replicas != 0) scale["spec"]["replicas"] = replicas;  // 0 is left out
  return scale;
}

FakeApiServer::Answer FakeApiServer::WriteScale(const Request& request, const std::string& owner) {
  const auto found = objects_.find(owner);
  if (found == objects_.end()) return {404, Status(404, "NotFound", absl::StrCat(owner, " not found")), ""};
  const std::string revision = RevisionOf(request.body);
  if (!revision.empty() && revision != RevisionOf(found->second))
    return {409, Status(409, "Conflict", "the object has been modified; please apply your changes to it"), ""};
  Json object = found->second;
  object["spec"]["replicas"] = request.body.value("/spec/replicas"_json_pointer, 0);
  Store(owner, std::move(object), "MODIFIED");
  return {200, ScaleOf(objects_.at(owner)), ""};
}

FakeApiServer::Answer FakeApiServer::Create(const Request& request) {
  const std::string path = absl::StrCat(request.path, "/", request.body.value("/metadata/name"_json_pointer, ""));
  if (objects_.contains(path)) return {409, Status(409, "AlreadyExists", absl::StrCat(path, " already exists")), ""};
  Json object = request.body;
  const std::string resource = ParseObjectPath(request.path).resource;
  if (resource == "storageclusters") object.erase("status");
  if (const std::string fault = resource == "events" ? FaultOfEvent(Json(), object) : ""; !fault.empty())
    return {422, Status(422, "Invalid", fault), ""};
  Store(path, std::move(object), "ADDED");
  return {201, objects_.at(path), ""};
}

void FakeApiServer::Store(const std::string& path, Json object, const char* type) {
  const auto before = objects_.find(path);
  object = Stored(path, before == objects_.end() ? Json() : before->second, std::move(object));
  object["metadata"]["resourceVersion"] = absl::StrCat(++revision_);
  history_.push_back({revision_, path, type, object, before == objects_.end() ? Json() : before->second});
  if (absl::string_view(type) == "DELETED") {
    objects_.erase(path);
  } else {
    objects_[path] = std::move(object);
  }
  changed_.notify_all();
}

// What a watch with this selector is told: an object that it selects no longer is gone for it. Empty: nothing.
std::string FakeApiServer::TypeOf(const Change& change, const std::string& selector) {
  const bool was = !change.before.is_null() && IsSelected(selector, change.before);
  const bool is = change.type != "DELETED" && IsSelected(selector, change.object);
  if (is) return was ? "MODIFIED" : "ADDED";
  return was ? "DELETED" : "";
}

void FakeApiServer::Watch(Peer& peer, const Request& request) {
  std::unique_lock lock(mutex_);
  int64_t seen = 0;
  static_cast<void>(absl::SimpleAtoi(Parameter(request.query, "resourceVersion"), &seen));
  const auto say = [&](const char* type, const Json& object) {
    lock.unlock();
    peer.Chunk(absl::StrCat(Json{{"type", type}, {"object", object}}.dump(), "\n"));
    lock.lock();
  };
  const int64_t generation = watch_generation_;
  lock.unlock();
  peer.Write("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n");
  lock.lock();
  int64_t told = bookmark_;
  while (!ending_ && generation == watch_generation_ && seen >= compacted_) {
    const auto next = std::find_if(history_.begin(), history_.end(), [&](const Change& change) {
      return change.revision > seen && IsIn(request.path, change.path);
    });
    if (watches_held_) {
      changed_.wait(lock);
    } else if (next != history_.end()) {
      const Change change = *next;
      seen = change.revision;
      if (const std::string type = TypeOf(change, Parameter(request.query, "labelSelector")); !type.empty())
        say(type.c_str(), change.object);
    } else if (bookmark_ > told) {
      told = bookmark_;
      seen = std::max(seen, told);  // a watch that began late has told of what came after it already
      say("BOOKMARK", {{"metadata", {{"resourceVersion", absl::StrCat(seen)}}}});
    } else {
      changed_.wait(lock);
    }
  }
  if (seen < compacted_) say("ERROR", Status(410, "Expired", "too old resource version"));
  lock.unlock();
  peer.Write("0\r\n\r\n");
}

FakeApiServer::Json FakeApiServer::Status(int code, const std::string& reason, const std::string& message) {
  return {{"kind", "Status"}, {"code", code}, {"reason", reason}, {"message", message}};
}

}  // namespace headroom::kubernetes
