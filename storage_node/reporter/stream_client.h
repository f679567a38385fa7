#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "controller/wire/credentials.h"
#include "controller/wire/endpoints.h"
#include "headroom/v1/load.pb.h"

namespace grpc {
class ClientContext;
template <class W, class R>
class ClientReaderWriter;
}  // namespace grpc

namespace headroom {

// How the stream is kept. The defaults are for production.
struct StreamOptions {
  std::vector<std::string> controllers;                       // host:port each, at least one; one of them leads
  const WireCredentials* credentials = nullptr;               // outlive the client; null: plaintext
  absl::Duration report_interval = absl::Seconds(1);          // until the controller grants another
  absl::Duration urgent_gap = absl::Milliseconds(20);         // urgent reports are never closer than this
  absl::Duration connect_timeout = absl::Seconds(4);          // for one controller, then the next is tried
  absl::Duration answer_timeout = absl::Seconds(10);          // from the hello to the first directive
  absl::Duration ping_interval = absl::Seconds(10);           // of a controller that says nothing
  absl::Duration ping_timeout = absl::Seconds(5);             // one that does not answer is frozen, or gone
  absl::Duration backoff_min = absl::Milliseconds(200);       // before the next of the list; doubled for each round
  absl::Duration backoff_max = absl::Seconds(10);             // jittered between half and all of it
  absl::Duration standby_backoff_max = absl::Seconds(4);      // where a controller waits to lead, it is soon
  absl::Duration goodbye_timeout = absl::Milliseconds(1000);  // how long Stop() waits for the controller to take leave
};

// What the stream carries. Called by the client's own threads, never two of `hello` and `report` at once; `directive`
// runs beside them. All but `link` must be set. None may call Stop().
struct StreamHandlers {
  std::function<v1::Hello()> hello;  // who speaks; asked anew for every stream
  // The state now; must set the urgency it is given. Nothing: there is nothing to tell, this turn is left out.
  std::function<std::optional<v1::LoadReport>(v1::Urgency)> report;
  // What the controller asks. FAILED_PRECONDITION: this controller is not to be followed, since its term is older than
  // another's; the stream is left for another one.
  std::function<absl::Status(const v1::Directive&)> directive;
  std::function<void(absl::string_view controller, const absl::Status&)> link;  // OK: it answered; else: why it is lost
};

// StreamClient keeps one LoadService.Report stream to the one of several controllers that leads: hello first, then the
// report of the moment at the granted pace, and at once when something turns.
//
// Promise: there is no queue. A report is made when it can be written, so a slow controller gets fewer, newer ones; any
// number of Urgent() calls within `urgent_gap` is one report. A lost stream is opened again at the next controller: at
// once where a standby has said who leads, else after a jittered, bounded pause that is short until the whole list was
// tried and shrinks back only once a controller has answered with a directive that was followed; a controller
// that is full (RESOURCE_EXHAUSTED) or has a newer stream of this reporter (ALREADY_EXISTS) is given the longest pause.
// One that does not answer is left: when it does not connect or greet in time, or does not answer a ping.
// The server must permit pings at `ping_interval` (GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS).
//
// Threads: one that connects and writes, and while a stream is open one that reads. Start() and Stop() from the owner;
// everything else from any thread.
class StreamClient {
 public:
  StreamClient(StreamOptions options, StreamHandlers handlers);
  ~StreamClient();  // stops, as with REASON_STOPPING
  StreamClient(const StreamClient&) = delete;
  StreamClient& operator=(const StreamClient&) = delete;

  void Start();
  // Says goodbye, waits at most `goodbye_timeout` for the stream to end, and joins all threads. Again: does nothing.
  void Stop(v1::Goodbye::Reason reason);

  // Asks for a report at once. Of several reasons the gravest (the lowest number) is told. Cheap.
  void Urgent(v1::Urgency urgency);

  // The controller that has answered on the open stream; empty: none.
  std::string Controller() const;
  bool IsConnected() const { return !Controller().empty(); }
  // When the last directive came, by the time of day; InfinitePast: never.
  absl::Time LastDirectiveTime() const;

 private:
  using Stream = grpc::ClientReaderWriter<v1::LoadReport, v1::Directive>;

  // How a stream ended.
  struct Loss {
    absl::Status status;
    bool was_followed = false;  // a directive of it was
    bool stands_by = false;     // it waits for its turn to lead
    std::string leader;         // as it says
  };

  void Run();
  Loss RunStream(const std::string& controller);
  void WriteReports(Stream& stream);
  void ReadDirectives(Stream& stream, const std::string& controller);
  void NoteDirective(const v1::Directive& directive, const std::string& controller);
  void Leave(absl::Status why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::optional<v1::Urgency> NextTurn();
  absl::Duration PauseAfter(const Loss& loss, const EndpointWalk& walk, EndpointWalk::Pause pause);
  bool PauseFor(absl::Duration pause);
  bool IsStopping() const;
  void SetContext(grpc::ClientContext* context);

  const StreamOptions options_;
  const StreamHandlers handlers_;
  std::mt19937_64 random_;  // writing thread only
  std::thread thread_;      // owner only

  // std, not absl: Debian builds absl::Mutex with its deadlock detector, at three times the cost, and out of TSan's
  // sight.
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool done_ ABSL_GUARDED_BY(mutex_) = false;
  bool stream_ended_ ABSL_GUARDED_BY(mutex_) = false;
  v1::Goodbye::Reason reason_ ABSL_GUARDED_BY(mutex_) = v1::Goodbye::REASON_STOPPING;
  v1::Urgency urgency_ ABSL_GUARDED_BY(mutex_) = v1::URGENCY_UNSPECIFIED;
  absl::Duration report_interval_ ABSL_GUARDED_BY(mutex_);
  absl::Duration sent_at_ ABSL_GUARDED_BY(mutex_);    // monotonic
  absl::Duration opened_at_ ABSL_GUARDED_BY(mutex_);  // monotonic
  std::string controller_ ABSL_GUARDED_BY(mutex_);
  absl::Status left_ ABSL_GUARDED_BY(mutex_);  // why we left the stream
  absl::Time last_directive_at_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  grpc::ClientContext* context_ ABSL_GUARDED_BY(mutex_) = nullptr;
};

}  // namespace headroom
