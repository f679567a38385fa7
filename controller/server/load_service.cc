#include "controller/server/load_service.h"

#include <bit>
#include <memory>
#include <optional>
#include <utility>

#include "controller/base/status.h"
#include "controller/server/grpc_status.h"
#include "controller/server/log.h"

namespace headroom {

// ReportStream: one open stream. gRPC calls the On... functions, any thread calls Deliver and EndWith. It owns itself
// from Start() to OnDone(); the registry may hold it longer, where it does nothing. One write is under way at a time,
// and what comes meanwhile is merged; no gRPC call is made under the mutex, since gRPC may answer within it.
class ReportStream final : public grpc::ServerBidiReactor<v1::LoadReport, v1::Directive>,
                           public DirectiveStream,
                           public std::enable_shared_from_this<ReportStream> {
 public:
  static ReportStream* Start(const LoadService::Find& find, grpc::CallbackServerContext& context) {
    auto stream = std::make_shared<ReportStream>(find, context);
    stream->self_ = stream;
    stream->StartRead(&stream->incoming_);
    return stream.get();
  }
  ReportStream(const LoadService::Find& find, grpc::CallbackServerContext& context) : find_(find), context_(context) {}

  void OnReadDone(bool ok) override {
    if (!ok) return End(grpc::Status::OK);
    if (absl::Status status = Take(); !status.ok()) return End(ToGrpc(status));
    StartRead(&incoming_);
  }

  void OnWriteDone(bool ok) override {
    {
      absl::MutexLock lock(&mutex_);
      writing_ = false;
    }
    if (!ok) return End(grpc::Status(grpc::StatusCode::CANCELLED, "the stream broke"));
    Pump();
  }

  void OnCancel() override { End(grpc::Status::CANCELLED); }

  void OnDone() override {
    if (reporter_.has_value()) intake_->Leave(*reporter_, this);
    self_.reset();
  }

  void Deliver(const v1::Directive& directive) override {
    {
      absl::MutexLock lock(&mutex_);
      if (!waiting_.has_value()) waiting_.emplace();
      MergeDirective(directive, *waiting_);
    }
    Pump();
  }

  void EndWith(const absl::Status& status) override { End(ToGrpc(status)); }

 private:
  absl::Status Take() {
    if (!reporter_.has_value()) return TakeHello();
    if (incoming_.has_hello()) return absl::InvalidArgumentError("hello: the stream has had one; open a new stream");
    if (incoming_.has_goodbye()) {
      reporter_->how = incoming_.goodbye().reason() == v1::Goodbye::REASON_RESTARTING ? NodeLeft::How::kRestarting
                                                                                      : NodeLeft::How::kStopping;
      return absl::OkStatus();
    }
    if (absl::Status status = intake_->Take(*reporter_, incoming_); !status.ok()) LogRefusal(status);
    return absl::OkStatus();
  }

  absl::Status TakeHello() {
    if (!incoming_.has_hello()) return absl::InvalidArgumentError("hello: must be the first message of a stream");
    const v1::Hello& hello = incoming_.hello();
    const absl::Status status = Join(hello);
    if (!status.ok()) {
      LogLine(LogLevel::kWarning, "hello_refused")
          .Add("reporter", hello.reporter_id().substr(0, 64))
          .Add("why", status.message());
      return status;
    }
    reporter_ = {{hello.role(), hello.reporter_id()}, hello.boot_id()};
    return absl::OkStatus();
  }

  absl::Status Join(const v1::Hello& hello) {
    HR_ASSIGN_OR_RETURN(intake_, find_(hello.cluster()));
    return intake_->Join(*context_.auth_context(), hello, shared_from_this());
  }

  // The 1st, 2nd, 4th, 8th ...: a broken reporter must not fill the log.
  void LogRefusal(const absl::Status& status) {
    if (!std::has_single_bit(++refused_count_)) return;
    LogLine(LogLevel::kWarning, "report_refused")
        .Add("reporter", reporter_->key.id)
        .Add("why", status.message())
        .Add("count", static_cast<int64_t>(refused_count_));
  }

  void End(const grpc::Status& status) {
    {
      absl::MutexLock lock(&mutex_);
      if (!end_.has_value()) end_ = status;
    }
    Pump();
  }

  // Starts what can be started: the end, else a write.
  void Pump() {
    std::optional<grpc::Status> end;
    {
      absl::MutexLock lock(&mutex_);
      if (writing_ || finished_) return;
      if (end_.has_value()) {
        finished_ = true;
        end = end_;
      } else if (waiting_.has_value()) {
        writing_ = true;
        outgoing_.Swap(&*waiting_);
        waiting_.reset();
      } else {
        return;
      }
    }
    if (end.has_value()) {
      Finish(*end);
    } else {
      StartWrite(&outgoing_);
    }
  }

  const LoadService::Find& find_;
  grpc::CallbackServerContext& context_;  // lives until OnDone()
  std::shared_ptr<ReportStream> self_;
  v1::LoadReport incoming_;             // between StartRead and OnReadDone gRPC's, else of the one read in progress
  v1::Directive outgoing_;              // gRPC's while writing_
  std::shared_ptr<LoadIntake> intake_;  // of its cluster, since the hello
  std::optional<LoadIntake::Reporter> reporter_;  // after a good hello; of the one read in progress
  uint32_t refused_count_ = 0;

  absl::Mutex mutex_;
  std::optional<v1::Directive> waiting_ ABSL_GUARDED_BY(mutex_);
  std::optional<grpc::Status> end_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
};

grpc::ServerBidiReactor<v1::LoadReport, v1::Directive>* LoadService::Report(grpc::CallbackServerContext* context) {
  return ReportStream::Start(find_, *context);
}

}  // namespace headroom
