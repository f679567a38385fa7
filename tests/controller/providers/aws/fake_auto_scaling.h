#pragma once

#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "tests/controller/providers/http/scripted_server.h"

namespace headroom::aws {

// FakeAutoScaling: as much of Amazon EC2 Auto Scaling as Headroom speaks to, in this process, with one group "files" in
// two zones that has as many instances as it is told, at once; and whatever goes wrong with it. Signatures are checked
// against the key "AKID" / "secret" in eu-west-1, and the time they say against this one's. Thread-safe.
class FakeAutoScaling {
 public:
  using Fields = std::map<std::string, std::string>;
  struct Request {
    std::string action;
    Fields fields;
  };
  // What goes wrong with the next request that it matches.
  struct Fault {
    std::string action;  // empty: any
    int code = 0;        // 0: the connection is closed instead of an answer
    std::string error, message;
    std::string retry_after;    // empty: not said
    bool after_effect = false;  // what was asked for is done nevertheless
    bool never_answers = false;
    int times = 1;
  };

  explicit FakeAutoScaling(int capacity);
  std::string url() const { return server_.url(); }

  void Inject(Fault fault);
  // From now on there is nothing to fill the group with; empty: there is again, and it is filled.
  void RunOutOfStock(const std::string& message);
  // AWS tries once more to fill it, and does not know yet how that ends.
  void TryAnew();
  void BootSlowly();
  // New instances come with the next Boot().
  void ComeLate();
  void Boot();
  // Instances that leave wait at a hook of this name.
  void AddHook(const std::string& name);
  // They take their time until they come there: they are Terminating.
  void LeaveSlowly();
  void SetState(const std::string& instance, const std::string& state);
  void SetBounds(int least, int most);
  void SetCapacity(int capacity);
  void Suspend(const std::string& process);
  void SetStatus(const std::string& status);
  // Its clock is ahead of ours by so much.
  void SetAhead(absl::Duration ahead);

  int capacity() const;
  std::vector<std::string> instances() const;              // that stay
  std::string StateOf(const std::string& instance) const;  // "": there is none
  std::map<std::string, std::string> tags() const;
  std::vector<Request> requests() const;
  int CountOf(absl::string_view action) const;
  int Writes() const;

 private:
  struct Instance {
    std::string id, zone, state;
  };
  struct Activity {
    std::string status, message;
    absl::Time began_at;
  };
  struct Answer {
    int code = 200;
    std::string body;
  };

  void Serve(Peer& peer);
  std::optional<Fault> TakeFault(const Request& request);
  Answer Do(const Request& request);
  Answer Describe(const Request& request);
  Answer Terminate(const Request& request);
  Answer Release(const Request& request);
  std::string ActivitiesText() const;
  std::string HooksText() const;
  Answer CheckSignature(const std::string& text) const;
  void Fill();
  static bool Stays(const Instance& instance);

  mutable std::mutex mutex_;
  std::vector<Instance> instances_;
  std::vector<Activity> activities_;
  std::set<std::string> hooks_, suspended_;
  std::map<std::string, std::string> tags_;
  std::string status_, out_of_stock_;
  int size_min_ = 1, size_max_ = 10, capacity_ = 0, made_ = 0;
  bool boots_slowly_ = false, comes_late_ = false, leaves_slowly_ = false;
  absl::Duration ahead_;
  std::deque<Fault> faults_;
  std::vector<Request> requests_;
  ScriptedServer server_;  // last: its threads use all of the above
};

}  // namespace headroom::aws
