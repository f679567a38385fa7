#include "storage_node/reporter/stream_client.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include <grpcpp/grpcpp.h>

#include "controller/base/check.h"
#include "headroom/v1/load.grpc.pb.h"
#include "storage_node/proto_time.h"

namespace headroom {
namespace {

constexpr absl::Duration kKeepalive = absl::Seconds(10);
constexpr absl::Duration kKeepaliveTimeout = absl::Seconds(5);
constexpr absl::Duration kStopPoll = absl::Milliseconds(100);
// A pace outside is no pace but a mistake: it would flood the controller, or be silence.
constexpr absl::Duration kReportIntervalMin = absl::Milliseconds(20);
constexpr absl::Duration kReportIntervalMax = absl::Minutes(5);

absl::Duration MonotonicNow() {
  return absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
}

// The only place that says how a reporter proves who it is and whom it trusts.
std::shared_ptr<grpc::ChannelCredentials> ControllerCredentials() {
  return grpc::InsecureChannelCredentials();
}

std::shared_ptr<grpc::Channel> OpenChannel(const std::string& controller) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, static_cast<int>(absl::ToInt64Milliseconds(kKeepalive)));
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, static_cast<int>(absl::ToInt64Milliseconds(kKeepaliveTimeout)));
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  // A shared subchannel would bring its own, unjittered pause into ours.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return grpc::CreateCustomChannel(controller, ControllerCredentials(), arguments);
}

absl::Status ToStatus(const grpc::Status& status) {
  if (status.ok()) return absl::UnavailableError("the controller ended the stream");
  return {static_cast<absl::StatusCode>(status.error_code()), status.error_message()};
}

}  // namespace

StreamClient::StreamClient(StreamOptions options, StreamHandlers handlers)
    : options_(std::move(options)),
      handlers_(std::move(handlers)),
      random_(std::random_device{}()),
      report_interval_(options_.report_interval),
      sent_at_(-absl::InfiniteDuration()) {
  HR_CHECK(!options_.controllers.empty());
  HR_CHECK(handlers_.hello && handlers_.report && handlers_.directive);
}

StreamClient::~StreamClient() {
  Stop(v1::Goodbye::REASON_STOPPING);
}

void StreamClient::Start() {
  HR_CHECK(!thread_.joinable());
  thread_ = std::thread([this] { Run(); });
}

void StreamClient::Stop(v1::Goodbye::Reason reason) {
  if (!thread_.joinable()) return;
  {
    std::unique_lock lock(mutex_);
    stopping_ = true;
    reason_ = reason;
    wake_.notify_all();
    // A controller that does not read would hold the goodbye for ever.
    const bool ended =
        wake_.wait_for(lock, absl::ToChronoNanoseconds(options_.goodbye_timeout), [this] { return done_; });
    if (!ended && context_ != nullptr) {
      context_->TryCancel();
    }
  }
  thread_.join();
}

void StreamClient::Urgent(v1::Urgency urgency) {
  const std::lock_guard lock(mutex_);
  if (urgency_ != v1::URGENCY_UNSPECIFIED && urgency_ <= urgency) return;
  urgency_ = urgency;
  wake_.notify_all();
}

std::string StreamClient::Controller() const {
  const std::lock_guard lock(mutex_);
  return controller_;
}

absl::Time StreamClient::LastDirectiveTime() const {
  const std::lock_guard lock(mutex_);
  return last_directive_at_;
}

bool StreamClient::IsStopping() const {
  const std::lock_guard lock(mutex_);
  return stopping_;
}

void StreamClient::SetContext(grpc::ClientContext* context) {
  const std::lock_guard lock(mutex_);
  context_ = context;
  controller_.clear();
  stream_ended_ = false;
  sent_at_ = -absl::InfiniteDuration();
}

void StreamClient::Run() {
  for (size_t turn = 0; !IsStopping(); ++turn) {
    const std::string& controller = options_.controllers[turn % options_.controllers.size()];
    const absl::Status lost = RunStream(controller);
    if (IsStopping()) break;
    if (handlers_.link) handlers_.link(controller, lost);
    if (!PauseFor(NextPause(lost))) break;
  }
  const std::lock_guard lock(mutex_);
  done_ = true;
  wake_.notify_all();
}

absl::Duration StreamClient::NextPause(const absl::Status& lost) {
  const std::lock_guard lock(mutex_);
  const int round = failure_count_++ / static_cast<int>(options_.controllers.size());
  const bool keep_away =
      lost.code() == absl::StatusCode::kResourceExhausted || lost.code() == absl::StatusCode::kAlreadyExists;
  const absl::Duration longest =
      keep_away ? options_.backoff_max
                : std::min(options_.backoff_max, options_.backoff_min * std::exp2(std::min(round, 16)));
  return longest * std::uniform_real_distribution<double>(0.5, 1.0)(random_);
}

bool StreamClient::PauseFor(absl::Duration pause) {
  std::unique_lock lock(mutex_);
  return !wake_.wait_for(lock, absl::ToChronoNanoseconds(pause), [this] { return stopping_; });
}

absl::Status StreamClient::WaitUntilReady(grpc::Channel& channel) const {
  const absl::Duration deadline = MonotonicNow() + options_.connect_timeout;
  for (;;) {
    const grpc_connectivity_state state = channel.GetState(/*try_to_connect=*/true);
    if (state == GRPC_CHANNEL_READY) return absl::OkStatus();
    if (state == GRPC_CHANNEL_TRANSIENT_FAILURE) return absl::UnavailableError("cannot connect");
    if (IsStopping()) return absl::CancelledError("stopping");
    if (MonotonicNow() >= deadline) {
      return absl::DeadlineExceededError(
          absl::StrCat("no connection within ", absl::FormatDuration(options_.connect_timeout)));
    }
    channel.WaitForStateChange(state, absl::ToChronoTime(absl::Now() + kStopPoll));
  }
}

absl::Status StreamClient::RunStream(const std::string& controller) {
  const std::shared_ptr<grpc::Channel> channel = OpenChannel(controller);
  if (absl::Status ready = WaitUntilReady(*channel); !ready.ok()) return ready;
  const std::unique_ptr<v1::LoadService::Stub> stub = v1::LoadService::NewStub(channel);
  grpc::ClientContext context;
  const std::unique_ptr<Stream> stream = stub->Report(&context);
  SetContext(&context);
  std::thread reader([&] { ReadDirectives(*stream, controller); });
  WriteReports(*stream);
  // Ends by itself: a failed write is a dead stream, and after a goodbye the controller ends it or Stop() cancels it.
  reader.join();
  SetContext(nullptr);
  return ToStatus(stream->Finish());
}

void StreamClient::WriteReports(Stream& stream) {
  v1::LoadReport hello;
  *hello.mutable_hello() = handlers_.hello();
  if (!stream.Write(hello)) return;
  while (const std::optional<v1::Urgency> urgency = NextTurn()) {
    const std::optional<v1::LoadReport> report = handlers_.report(*urgency);
    if (report && !stream.Write(*report)) return;
  }
  v1::LoadReport goodbye;
  {
    const std::lock_guard lock(mutex_);
    if (!stopping_) return;
    goodbye.mutable_goodbye()->set_reason(reason_);
  }
  if (stream.Write(goodbye)) stream.WritesDone();
}

// Waits until a report is due. Nothing: the stream has ended, or the client stops.
std::optional<v1::Urgency> StreamClient::NextTurn() {
  std::unique_lock lock(mutex_);
  while (!stopping_ && !stream_ended_) {
    const absl::Duration gap = urgency_ == v1::URGENCY_UNSPECIFIED ? report_interval_ : options_.urgent_gap;
    const absl::Duration now = MonotonicNow();
    if (now - sent_at_ >= gap) {
      sent_at_ = now;
      return std::exchange(urgency_, v1::URGENCY_UNSPECIFIED);
    }
    wake_.wait_for(lock, absl::ToChronoNanoseconds(sent_at_ + gap - now));
  }
  return std::nullopt;
}

void StreamClient::ReadDirectives(Stream& stream, const std::string& controller) {
  v1::Directive directive;
  while (stream.Read(&directive)) NoteDirective(directive, controller);
  const std::lock_guard lock(mutex_);
  stream_ended_ = true;
  wake_.notify_all();
}

void StreamClient::NoteDirective(const v1::Directive& directive, const std::string& controller) {
  bool is_first = false;
  {
    const std::lock_guard lock(mutex_);
    is_first = std::exchange(controller_, controller).empty();
    failure_count_ = 0;
    last_directive_at_ = absl::Now();
    const absl::Duration pace = FromProto(directive.report_interval());
    if (pace >= kReportIntervalMin && pace <= kReportIntervalMax) {
      report_interval_ = pace;
      wake_.notify_all();
    }
  }
  if (is_first && handlers_.link) handlers_.link(controller, absl::OkStatus());
  handlers_.directive(directive);
}

}  // namespace headroom
