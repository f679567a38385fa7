#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "headroom/v1/load.pb.h"
#include "storage_node/gate/gate.h"
#include "storage_node/gate/limit_applier.h"
#include "storage_node/reporter/grant_keeper.h"
#include "storage_node/reporter/node_history.h"
#include "storage_node/reporter/node_memory.h"
#include "storage_node/reporter/stream_client.h"
#include "storage_node/sampler/sampler.h"

namespace headroom {

// One line of a log: "event" first.
using LogFields = std::initializer_list<std::pair<absl::string_view, std::string>>;

struct NodeReporterOptions {
  StreamOptions stream;
  ServerIdentity identity;
  SamplerOptions sampler;
  LimitPolicy policy;  // for governing itself
  std::string node_id, cluster, zone, launch_id;
  std::string address, admin_address;  // host:port, as others reach them
  std::string state_file;              // empty: nothing outlives the process
};

// The server that is reported on and changed. The functions are called from the reporter's threads and must be quick;
// unset ones are things that the server cannot do. `log` gets the fields of one line for each change and each refusal.
struct ReportedServer {
  Gate& gate;
  LimitApplier& limits;
  std::function<void(v1::Lifecycle)> lifecycle;  // SERVE or DRAIN
  std::function<v1::ServerState()> state;        // default: serving
  std::function<void(v1::Work&)> work;           // adds what the gate does not know: device time, bytes stored
  std::function<void(LogFields)> log;
};

// NodeReporter: a storage node's side of the conversation with its controller. It reports load, at once when the gate
// turns; puts granted limits in force and says what came of it; governs the node by the limit law once a live grant is
// lost; remembers over restarts what must not be forgotten.
//
// The gate's OnPressure callback belongs to whoever makes the gate, and passes on to Note(). Threads: the stream's, one
// that looks at the node each second, five times a second under pressure, and one that saves each minute: a disk that
// stalls delays nothing but the first directive of a new term. Start() and Stop() from the owner, the
// rest from any thread.
class NodeReporter {
 public:
  NodeReporter(NodeReporterOptions options, ReportedServer server);
  ~NodeReporter();
  NodeReporter(const NodeReporter&) = delete;
  NodeReporter& operator=(const NodeReporter&) = delete;

  void Start();
  void Stop(v1::Goodbye::Reason reason);

  // The gate has turned. Cheap: takes no lock that is held for long.
  void Note(Pressure pressure);
  // The server's state has changed; the controller is told at once.
  void StateChanged() { stream_.Urgent(v1::URGENCY_STATE); }

  GrantState grant_state() const;
  bool IsConnected() const { return stream_.IsConnected(); }
  std::string Controller() const { return stream_.Controller(); }

 private:
  StreamHandlers Handlers();
  v1::Hello MakeHello();
  v1::LoadReport MakeReport(v1::Urgency urgency);
  // What a directive that may be acted upon brings.
  struct Accepted {
    bool new_term = false, new_limits = false, new_state = false;
  };
  absl::StatusOr<Accepted> Accept(const v1::Directive& directive);
  absl::Status Obey(const v1::Directive& directive);
  void ObeyOrders(const v1::Directive& directive) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  void Watch();
  bool WaitForTurn();
  void Look(absl::Time now);
  void TellPressure(const NodeSample& sample) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool WaitToSave();
  void Remember() ABSL_LOCKS_EXCLUDED(mutex_);

  NodeSample TakeSample(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool PutInForce() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  v1::LimitsInForce LimitsInForce() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  v1::Ceilings Ceilings() const;
  v1::Learned Learned() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Log(LogFields fields) const;

  const NodeReporterOptions options_;
  const ReportedServer server_;
  const std::string boot_id_;
  const absl::Time started_at_;

  std::mutex save_mutex_;  // held while the disk is written; taken before mutex_, never after it
  bool unsaved_ = false;   // the last try failed; guarded by save_mutex_
  mutable std::mutex mutex_;
  Sampler sampler_ ABSL_GUARDED_BY(mutex_);
  NodeHistory history_ ABSL_GUARDED_BY(mutex_);
  NodeMemory memory_ ABSL_GUARDED_BY(mutex_);
  GrantKeeper keeper_ ABSL_GUARDED_BY(mutex_);
  const NodeLimits configured_;                  // the server's own
  GateLimits in_force_ ABSL_GUARDED_BY(mutex_);  // as this reporter left them
  std::string bound_by_ ABSL_GUARDED_BY(mutex_);
  ConnectionCensus census_ ABSL_GUARDED_BY(mutex_);
  absl::Time census_at_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  uint64_t sequence_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t shed_count_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t rejected_told_ ABSL_GUARDED_BY(mutex_) = 0;
  bool is_stalling_ ABSL_GUARDED_BY(mutex_) = false;
  std::string learned_told_ ABSL_GUARDED_BY(mutex_);

  std::atomic<bool> pressed_{false};
  std::mutex watch_mutex_;
  bool stopping_ ABSL_GUARDED_BY(watch_mutex_) = false;
  bool woken_ ABSL_GUARDED_BY(watch_mutex_) = false;
  std::condition_variable watch_wake_;
  std::thread watch_, saver_;

  StreamClient stream_;
};

}  // namespace headroom
