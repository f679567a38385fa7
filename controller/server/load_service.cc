#include "controller/server/load_service.h"

#include <bit>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"

#include "controller/base/status.h"
#include "controller/server/convert.h"
#include "controller/server/grpc_status.h"
#include "controller/server/log.h"

namespace headroom {
namespace {

absl::Status CheckVersion(int32_t version) {
  if (version == kProtocolVersion) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("protocol_version: ", version, " is not understood; this controller speaks ", kProtocolVersion));
}

absl::Status CheckRole(v1::Role role) {
  if (role == v1::ROLE_NODE || role == v1::ROLE_BALANCER) return absl::OkStatus();
  return absl::InvalidArgumentError("role: say ROLE_NODE or ROLE_BALANCER");
}

}  // namespace

LoadCounters::LoadCounters() {
  for (const std::string& label : RefusalLabels()) refused_[label] = 0;
}

void LoadCounters::Refused(absl::string_view label) {
  if (const auto found = refused_.find(std::string(label)); found != refused_.end()) ++found->second;
}

std::map<std::string, int64_t> LoadCounters::refused() const {
  return {refused_.begin(), refused_.end()};
}

// ReportStream: one open stream. gRPC calls the On... functions, any thread calls Deliver and EndWith. It owns itself
// from Start() to OnDone(); the registry may hold it longer, where it does nothing. One write is under way at a time,
// and what comes meanwhile is merged; no gRPC call is made under the mutex, since gRPC may answer within it.
class ReportStream final : public grpc::ServerBidiReactor<v1::LoadReport, v1::Directive>,
                           public DirectiveStream,
                           public std::enable_shared_from_this<ReportStream> {
 public:
  static ReportStream* Start(LoadService& service, grpc::CallbackServerContext& context) {
    auto stream = std::make_shared<ReportStream>(service, context);
    stream->self_ = stream;
    stream->StartRead(&stream->incoming_);
    return stream.get();
  }
  ReportStream(LoadService& service, grpc::CallbackServerContext& context) : service_(service), context_(context) {}

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
    if (reporter_.has_value()) service_.Leave(*reporter_, this);
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
    if (absl::Status status = service_.Take(*reporter_, incoming_); !status.ok()) LogRefusal(status);
    return absl::OkStatus();
  }

  absl::Status TakeHello() {
    if (!incoming_.has_hello()) return absl::InvalidArgumentError("hello: must be the first message of a stream");
    const v1::Hello& hello = incoming_.hello();
    absl::Status status = service_.options_.access.MayReport(*context_.auth_context(), hello);
    if (status.ok()) status = service_.Join(hello, shared_from_this());
    if (!status.ok()) {
      LogLine(LogLevel::kWarning, "hello_refused")
          .Add("reporter", hello.reporter_id().substr(0, 64))
          .Add("why", status.message());
      return status;
    }
    reporter_ = {{hello.role(), hello.reporter_id()}, hello.boot_id()};
    return absl::OkStatus();
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

  LoadService& service_;
  grpc::CallbackServerContext& context_;  // lives until OnDone()
  std::shared_ptr<ReportStream> self_;
  v1::LoadReport incoming_;  // between StartRead and OnReadDone gRPC's, else of the one read in progress
  v1::Directive outgoing_;   // gRPC's while writing_
  std::optional<LoadService::Reporter> reporter_;  // after a good hello; of the one read in progress
  uint32_t refused_count_ = 0;

  absl::Mutex mutex_;
  std::optional<v1::Directive> waiting_ ABSL_GUARDED_BY(mutex_);
  std::optional<grpc::Status> end_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
};

grpc::ServerBidiReactor<v1::LoadReport, v1::Directive>* LoadService::Report(grpc::CallbackServerContext* context) {
  return ReportStream::Start(*this, *context);
}

absl::Status LoadService::Join(const v1::Hello& hello, std::shared_ptr<DirectiveStream> stream) {
  HR_RETURN_IF_ERROR(CheckVersion(hello.protocol_version()));
  HR_RETURN_IF_ERROR(CheckRole(hello.role()));
  HR_RETURN_IF_ERROR(CheckReporterId(hello.reporter_id()));
  if (!hello.cluster().empty() && hello.cluster() != options_.cluster) {
    return absl::FailedPreconditionError(absl::StrCat("cluster: this controller serves \"", options_.cluster,
                                                      "\", not \"", hello.cluster().substr(0, 64), "\""));
  }
  HR_ASSIGN_OR_RETURN(NodeHello node, Annotate(ToNodeHello(hello), "hello"));
  const int64_t term_max_seen = node.term_max_seen;
  absl::MutexLock lock(&order_mutex_);
  const DirectiveStream* const opened = stream.get();
  HR_RETURN_IF_ERROR(registry_.Open({hello.role(), hello.reporter_id()}, std::move(stream)));
  absl::Status posted = hello.role() == v1::ROLE_NODE ? options_.post(NodeJoined{hello.reporter_id(), std::move(node)})
                                                      : options_.post(BalancerJoined{hello.reporter_id()});
  if (!posted.ok()) {
    registry_.Close({hello.role(), hello.reporter_id()}, opened);
    return posted;
  }
  options_.saw_term(term_max_seen, hello.reporter_id());
  return absl::OkStatus();
}

void LoadService::Leave(const Reporter& reporter, const DirectiveStream* stream) {
  absl::MutexLock lock(&order_mutex_);
  if (!registry_.Close(reporter.key, stream)) return;
  if (reporter.key.role == v1::ROLE_NODE) {
    options_.post(NodeLeft{reporter.key.id, reporter.boot_id, reporter.how}).IgnoreError();  // the mailbox takes leaves
  } else {
    options_.post(BalancerLeft{reporter.key.id}).IgnoreError();
  }
}

absl::Status LoadService::Take(const Reporter& reporter, const v1::LoadReport& message) {
  absl::Status status;
  if (message.has_node() && reporter.key.role == v1::ROLE_NODE) {
    absl::StatusOr<NodeReport> report = ToNodeReport(message.node());
    status = report.ok() ? options_.post(NodeReported{reporter.key.id, *std::move(report)}) : report.status();
  } else if (message.has_balancer() && reporter.key.role == v1::ROLE_BALANCER) {
    absl::StatusOr<BalancerReport> report = ToBalancerReport(message.balancer());
    status = report.ok() ? options_.post(BalancerReported{reporter.key.id, *std::move(report)}) : report.status();
  } else {
    status = absl::InvalidArgumentError("content: not what a reporter of this role sends");
  }
  if (status.ok()) {
    counters_.Accepted();
  } else {
    counters_.Refused(RefusalLabel(status));
  }
  return status;
}

}  // namespace headroom
