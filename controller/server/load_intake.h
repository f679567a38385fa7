#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

#include "controller/core/event.h"
#include "controller/server/access.h"
#include "controller/server/node_channels.h"
#include "headroom/v1/load.pb.h"

namespace headroom {

// Into the control loop. RESOURCE_EXHAUSTED: it is behind, and the sender can try again.
using Post = std::function<absl::Status(Event)>;

// What the load service has taken in and refused, for metrics. Relaxed counters: the path of a report takes no lock
// here.
class LoadCounters {
 public:
  LoadCounters();
  void Accepted() { accepted_.fetch_add(1, std::memory_order_relaxed); }
  void Refused(absl::string_view label);
  int64_t accepted() const { return accepted_.load(std::memory_order_relaxed); }
  std::map<std::string, int64_t> refused() const;

 private:
  std::atomic<int64_t> accepted_{0};
  std::map<std::string, std::atomic<int64_t>, std::less<>> refused_;  // the keys are fixed
};

// LoadIntake: what comes in from the nodes and balancers of one cluster. A hello is checked whole, and that it is of
// who the certificate names; a bad report is dropped whole and counted by reason. Replayed and old reports are the
// core's to drop. Thread-safe.
class LoadIntake {
 public:
  struct Options {
    const Access& access;
    Post post;
    // The highest term that a reporter has seen; told once its stream is admitted.
    std::function<void(int64_t term, absl::string_view reporter)> saw_term;
  };
  // Who speaks on an admitted stream, and how it will have left.
  struct Reporter {
    ReporterKey key;
    std::string boot_id;
    NodeLeft::How how = NodeLeft::How::kLost;
  };
  LoadIntake(Options options, StreamRegistry& registry) : options_(std::move(options)), registry_(registry) {}

  // Admits the stream that began with this hello, or says in a sentence why not.
  absl::Status Join(const grpc::AuthContext& connection, const v1::Hello& hello,
                    std::shared_ptr<DirectiveStream> stream);
  void Leave(const Reporter& reporter, const DirectiveStream* stream);
  // Takes a report or counts the error.
  absl::Status Take(const Reporter& reporter, const v1::LoadReport& message);

  const LoadCounters& counters() const { return counters_; }

 private:
  const Options options_;
  StreamRegistry& registry_;
  LoadCounters counters_;
  // Makes "registered and posted" one step, so that a stream that follows another of the same reporter at once cannot
  // have its join overtaken by the older one's leave. Held only over calls that never block.
  absl::Mutex order_mutex_;
};

}  // namespace headroom
