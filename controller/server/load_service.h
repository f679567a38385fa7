#pragma once

#include <array>
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
#include "headroom/v1/load.grpc.pb.h"

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

// LoadService: the nodes' and balancers' end of the load protocol. One reactor per stream and no thread of its own: ten
// thousand streams cost memory, not threads. A stream begins with a Hello that is checked whole; a bad one ends the
// stream with a sentence, and so does one of somebody else than the certificate names. A bad report is dropped whole,
// counted by reason, and the stream stays up. Replayed and old reports are the core's to drop. Thread-safe; must
// outlive the server that it is registered with.
class LoadService final : public v1::LoadService::CallbackService {
 public:
  struct Options {
    const Access& access;
    std::string cluster;
    Post post;
    // The highest term that a reporter has seen; told once its stream is admitted.
    std::function<void(int64_t term, absl::string_view reporter)> saw_term;
  };
  LoadService(Options options, StreamRegistry& registry) : options_(std::move(options)), registry_(registry) {}

  grpc::ServerBidiReactor<v1::LoadReport, v1::Directive>* Report(grpc::CallbackServerContext* context) override;

  const LoadCounters& counters() const { return counters_; }

 private:
  friend class ReportStream;
  struct Reporter {
    ReporterKey key;
    std::string boot_id;
    NodeLeft::How how = NodeLeft::How::kLost;
  };

  absl::Status Join(const v1::Hello& hello, std::shared_ptr<DirectiveStream> stream);
  void Leave(const Reporter& reporter, const DirectiveStream* stream);
  // A report or an error; the error was counted.
  absl::Status Take(const Reporter& reporter, const v1::LoadReport& message);

  const Options options_;
  StreamRegistry& registry_;
  LoadCounters counters_;
  // Makes "registered and posted" one step, so that a stream that follows another of the same reporter at once cannot
  // have its join overtaken by the older one's leave. Held only over calls that never block.
  absl::Mutex order_mutex_;
};

}  // namespace headroom
