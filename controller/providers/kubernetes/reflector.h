#pragma once

#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "controller/base/monitor.h"
#include "controller/providers/kubernetes/api.h"

namespace headroom::kubernetes {

// Reflector: a collection of objects as the API server tells of it (client-go's reflector): one list (ListAll), then a
// watch with bookmarks that goes on where it was when the server ends it; a new list after 410, and after any loss of
// contact, with pauses that double up to `pause_max` until there is news again. Keeps a thread, on which the sink is
// called. No call of the sink is under way once the destructor has returned, which waits for no answer.
class Reflector {
 public:
  // What is made of it. On the reflector's thread, one call at a time; what takes long holds up what follows.
  class Sink {
   public:
    virtual ~Sink() = default;
    // All objects there are: one that is not among them is gone. First of all, and again after a loss or a 410.
    virtual void Replace(std::vector<Json> objects) = 0;
    // One came, changed or went; never a bookmark, and only between a Replace() and the next loss. The same object may
    // come again as it was.
    virtual void Apply(const WatchEvent& event) = 0;
    // Nothing is known from now on; a Replace() follows when there is contact again. With each try that fails, as the
    // error may be another. NOT_FOUND: the server has no such kind (the CRD is not installed).
    virtual void Lost(const absl::Status& why) = 0;
  };
  struct Options {
    std::string path;      // of the collection, without a query: "/api/v1/namespaces/storage/pods"
    std::string selector;  // of labels; empty: all
    std::string what;      // it is called in sentences: "the pods"
    absl::Duration pause = absl::Milliseconds(800), pause_max = absl::Seconds(30);
    // Takes from an object of a list what the sink does not look at, as ListCall::trim. Null: nothing. Events are given
    // as they come.
    std::function<void(Json&)> trim = nullptr;
    // Why there is no list or no watch, once for each code until there is news again: with lists alone all seems well
    // between two pauses. May be null; the reflector's thread.
    std::function<void(absl::string_view)> say = nullptr;
  };
  // `api` and `sink` outlive it.
  Reflector(Api& api, Options options, Sink& sink);
  ~Reflector();
  Reflector(const Reflector&) = delete;
  Reflector& operator=(const Reflector&) = delete;

 private:
  void Run();
  absl::Status List();
  absl::Status Follow();
  void Take(const WatchEvent& event);
  void Lose(const absl::Status& why);
  std::string Selection() const;

  Api& api_;
  const Options options_;
  Sink& sink_;
  Cancellation ending_;
  Monitor mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  // The thread's.
  std::string revision_;
  absl::Duration pause_;
  bool relisted_ = false;  // after a 410, and there was no news since
  absl::StatusCode said_ = absl::StatusCode::kOk;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace headroom::kubernetes
