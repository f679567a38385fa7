#include <deque>
#include <optional>
#include <utility>

#include "controller/server/admin_service.h"
#include "controller/server/convert.h"
#include "controller/server/grpc_status.h"

namespace headroom {
namespace {

// A watcher that is slower than the controller sees the newest decisions, not all.
constexpr size_t kWaitingMax = 64;

// WatchStream: one watcher. The same rules as ReportStream: it owns itself until OnDone(), one write at a time, no gRPC
// call under the mutex.
class WatchStream final : public grpc::ServerWriteReactor<v1::WatchDecisionsResponse>,
                          public DecisionListener,
                          public std::enable_shared_from_this<WatchStream> {
 public:
  enum class Filter { kAll, kNoteworthy };
  explicit WatchStream(Filter filter) : filter_(filter) {}

  static std::shared_ptr<WatchStream> Make(Filter filter) {
    auto stream = std::make_shared<WatchStream>(filter);
    stream->self_ = stream;
    return stream;
  }

  void Offer(const Published& published) override {
    if (filter_ == Filter::kNoteworthy && !published.IsNoteworthy()) return;
    {
      absl::MutexLock lock(&mutex_);
      if (waiting_.size() >= kWaitingMax) waiting_.pop_front();
      waiting_.push_back(published.decision);
    }
    Pump();
  }

  void Close(const absl::Status& why) override { End(ToGrpc(why)); }

  void End(const grpc::Status& status) {
    {
      absl::MutexLock lock(&mutex_);
      if (!end_.has_value()) end_ = status;
    }
    Pump();
  }

  void OnWriteDone(bool ok) override {
    {
      absl::MutexLock lock(&mutex_);
      writing_ = false;
    }
    if (!ok) return End(grpc::Status::CANCELLED);
    Pump();
  }
  void OnCancel() override { End(grpc::Status::CANCELLED); }
  void OnDone() override { self_.reset(); }

 private:
  void Pump() {
    std::optional<grpc::Status> end;
    std::shared_ptr<const Decision> next;
    {
      absl::MutexLock lock(&mutex_);
      if (writing_ || finished_) return;
      if (end_.has_value()) {
        finished_ = true;
        end = end_;
      } else if (!waiting_.empty()) {
        writing_ = true;
        next = std::move(waiting_.front());
        waiting_.pop_front();
      } else {
        return;
      }
    }
    if (end.has_value()) return Finish(*end);
    *outgoing_.mutable_decision() = ToWire(*next, Rendering::kSentences);
    StartWrite(&outgoing_);
  }

  const Filter filter_;
  std::shared_ptr<WatchStream> self_;
  v1::WatchDecisionsResponse outgoing_;  // gRPC's while writing_
  absl::Mutex mutex_;
  std::deque<std::shared_ptr<const Decision>> waiting_ ABSL_GUARDED_BY(mutex_);
  std::optional<grpc::Status> end_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace

grpc::ServerWriteReactor<v1::WatchDecisionsResponse>* AdminService::WatchDecisions(
    grpc::CallbackServerContext* context, const v1::WatchDecisionsRequest* request) {
  const auto filter = request->only_acting() ? WatchStream::Filter::kNoteworthy : WatchStream::Filter::kAll;
  const std::shared_ptr<WatchStream> stream = WatchStream::Make(filter);
  if (absl::Status status = Begin(*context, request->cluster()); !status.ok()) {
    stream->End(ToGrpc(status));
  } else if (status = ports_.feed.Subscribe(stream); !status.ok()) {
    stream->End(ToGrpc(status));
  } else if (const auto latest = ports_.loop.Latest(); latest != nullptr) {
    stream->Offer({.decision = latest});
  }
  return stream.get();
}

}  // namespace headroom
