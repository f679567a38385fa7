#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include <nlohmann/json.hpp>

#include "tests/controller/providers/http/scripted_server.h"

namespace headroom::kubernetes {

// FakeApiServer: as much of a Kubernetes API server as Headroom speaks to, in this process: objects by path with
// resourceVersions, lists, watches with bookmarks, label selectors, merge patches, the scale subresource, Events as it
// checks them, and storage clusters of all namespaces with their generation and their status apart; and whatever goes
// wrong with one. What controllers do with the objects is the test's own. Thread-safe.
class FakeApiServer {
 public:
  using Json = nlohmann::json;
  struct Request {
    std::string method, path, query;
    Json body;
    std::string authorization;
    int code = 0;  // that it was answered with; 0: not yet, or the connection was closed
  };
  // What goes wrong with the next request that it matches.
  struct Fault {
    std::string method, path_contains;  // empty: any; the path with its query
    int code = 0;                       // 0: the connection is closed instead of an answer
    std::string retry_after;            // empty: not said
    bool after_effect = false;          // what was asked for is done nevertheless
    bool never_answers = false;
    int times = 1;
  };

  FakeApiServer();

  std::string url() const { return server_.url(); }
  // Creates or replaces the object; its metadata has name and namespace by the path. Watches hear of it.
  void Put(const std::string& path, Json object);
  void Delete(const std::string& path);
  // null: there is none.
  Json Get(const std::string& path) const;
  // Of the objects right below a path.
  std::vector<std::string> Names(const std::string& collection) const;
  // What is below this path is a kind that the server does not know (404), until Install(): "/apis/headroom.dev/".
  void Uninstall(const std::string& root);
  void Install(const std::string& root);
  void Inject(Fault fault);
  // Only this token is accepted from now on; empty: any.
  void Accept(const std::string& token);
  // Watches and lists from before now get 410.
  void Compact();
  // Ends all watches, as a server does from time to time.
  void EndWatches();
  // Every watch is told the revision.
  void Bookmark();
  // Watches stay open and tell nothing until they are let go.
  void HoldWatches();
  void LetWatchesGo();
  // Called, under no lock, after each write of a client, beside what was given before.
  void OnWrite(std::function<void(const Request&)> what);

  // All that was asked so far.
  std::vector<Request> requests() const;
  int CountOf(absl::string_view method, absl::string_view path_contains) const;
  // How often what was asked, by verb and resource: {"update storageclusters/status", 3}.
  std::map<std::string, int> Calls() const;

 private:
  struct Change {
    int64_t revision;
    std::string path, type;
    Json object, before;  // before: null where it came
  };
  struct Answer {
    int code = 200;
    Json body;
    std::string retry_after;
  };

  void Serve(Peer& peer);
  static Request Parse(const std::string& text);
  std::optional<Fault> TakeFault(const Request& request);
  Answer Do(const Request& request);
  Answer Read(const Request& request);
  Answer Write(const Request& request);
  bool IsInstalled(const std::string& path) const;
  Answer WriteStatus(const Request& request, const std::string& owner);
  Answer WriteScale(const Request& request, const std::string& owner);
  Answer Create(const Request& request);
  Json List(const std::string& collection, const std::string& query) const;
  void Store(const std::string& path, Json object, const char* type);
  void Watch(Peer& peer, const Request& request);
  static std::string TypeOf(const Change& change, const std::string& selector);
  static Json Status(int code, const std::string& reason, const std::string& message);
  static Json ScaleOf(const Json& owner);

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, Json> objects_;
  std::vector<Change> history_;
  int64_t revision_ = 100, compacted_ = 0, watch_generation_ = 0, bookmark_ = 0;
  std::set<std::string> uninstalled_;
  std::deque<Fault> faults_;
  std::string token_;
  std::vector<Request> requests_;
  std::vector<std::function<void(const Request&)>> on_write_;
  bool ending_ = false, watches_held_ = false;
  ScriptedServer server_;  // last: its threads use all of the above

 public:
  ~FakeApiServer();
};

}  // namespace headroom::kubernetes
