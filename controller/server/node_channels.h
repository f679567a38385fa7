#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "controller/core/action.h"
#include "controller/providers/provider.h"
#include "headroom/v1/load.pb.h"

namespace headroom {

// Puts `update` over `pending`, slot by slot: grant, shed, lifecycle, servers and interval are each replaced whole
// where the update has them, so what waits for a slow stream never grows beyond one directive. The term is the newer
// one's.
void MergeDirective(const v1::Directive& update, v1::Directive& pending);

// One open stream, as a sender sees it.
class DirectiveStream {
 public:
  virtual ~DirectiveStream() = default;
  // Merges the directive into what waits for the stream. Never blocks; nothing happens on an ended stream. Any thread.
  virtual void Deliver(const v1::Directive& directive) = 0;
  // Ends the stream with this error. Any thread.
  virtual void EndWith(const absl::Status& status) = 0;
};

// Nodes and balancers have names of their own: a balancer "a" is not the node "a".
struct ReporterKey {
  v1::Role role = v1::ROLE_NODE;
  std::string id;
  bool operator<(const ReporterKey& other) const { return std::tie(role, id) < std::tie(other.role, other.id); }
};

// StreamRegistry: the open streams by reporter, and what everybody is told: term, pace, and whether this controller
// acts or only observes. The newest stream of a reporter wins. It says nothing else by itself: the one way to a single
// node is NodeChannels, which a dry run does not have, and while it observes nothing goes through that either.
// Thread-safe; no call blocks on a peer.
class StreamRegistry {
 public:
  struct Options {
    size_t reporters_max = 20'000;
    absl::Duration report_interval = absl::Seconds(1);
    std::function<int64_t()> term;  // of this controller, now
    Mode mode = Mode::kDryRun;
  };
  explicit StreamRegistry(Options options)
      : options_(std::move(options)), interval_(options_.report_interval), mode_(options_.mode) {}

  // Registers the stream, ends an older one of the same reporter with ALREADY_EXISTS, and greets. RESOURCE_EXHAUSTED:
  // too many reporters.
  absl::Status Open(const ReporterKey& key, std::shared_ptr<DirectiveStream> stream);
  // Whether the stream was still the newest one of its reporter; then the reporter is gone.
  bool Close(const ReporterKey& key, const DirectiveStream* stream);
  // Ends the stream of this reporter, if there is one.
  void Refuse(const ReporterKey& key, const absl::Status& status);
  // Ends all of them; those to come are told the same.
  void EndAll(const absl::Status& status);
  size_t size() const;

  // A new pace, mode or term: everybody is told.
  void SetReportInterval(absl::Duration interval);
  void SetMode(Mode mode);
  void Announce();

 private:
  friend class NodeChannels;
  // A directive with mode and term, and nothing else.
  v1::Directive Blank() const;
  v1::Directive Greeting() const;
  // NOT_FOUND: its stream is not open.
  absl::Status Deliver(const ReporterKey& key, const v1::Directive& directive);
  void DeliverToAll(v1::Role role, const v1::Directive& directive);
  std::shared_ptr<DirectiveStream> Find(const ReporterKey& key) const;
  std::vector<std::pair<ReporterKey, std::shared_ptr<DirectiveStream>>> Streams(v1::Role role) const;

  const Options options_;
  mutable absl::Mutex mutex_;
  absl::Duration interval_ ABSL_GUARDED_BY(mutex_);
  Mode mode_ ABSL_GUARDED_BY(mutex_);
  absl::Status ended_ ABSL_GUARDED_BY(mutex_);
  std::map<ReporterKey, std::shared_ptr<DirectiveStream>> streams_ ABSL_GUARDED_BY(mutex_);
};

// NodeChannels: the live controller's way to nodes and balancers. Thread-safe.
class NodeChannels final : public NodeControl {
 public:
  explicit NodeChannels(StreamRegistry& registry) : registry_(registry) {}
  // Hands a grant, shed, drain, cancelled drain or server list to the stream it is for. NOT_FOUND: not connected.
  // FAILED_PRECONDITION: the registry only observes. Anything else is a bug of the caller.
  absl::Status Send(const Action& action) override;

 private:
  void SendServers(const SetServers& set, v1::Directive directive);

  StreamRegistry& registry_;
};

}  // namespace headroom
