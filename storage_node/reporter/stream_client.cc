#include "storage_node/reporter/stream_client.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include <grpcpp/grpcpp.h>

#include "controller/base/check.h"
#include "controller/wire/dial.h"
#include "controller/wire/leader_word.h"
#include "headroom/v1/load.grpc.pb.h"
#include "storage_node/proto_time.h"

namespace headroom {
namespace {

// A pace outside is no pace but a mistake: it would flood the controller, or be silence.
constexpr absl::Duration kReportIntervalMin = absl::Milliseconds(20);
constexpr absl::Duration kReportIntervalMax = absl::Minutes(5);

absl::Duration MonotonicNow() {
  return absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
}

grpc::ChannelArguments ArgumentsOf(const StreamOptions& options) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, static_cast<int>(absl::ToInt64Milliseconds(options.ping_interval)));
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, static_cast<int>(absl::ToInt64Milliseconds(options.ping_timeout)));
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  return arguments;
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
  opened_at_ = MonotonicNow();
}

void StreamClient::Run() {
  EndpointWalk walk(options_.controllers);
  while (!IsStopping()) {
    const Loss loss = RunStream(walk.current());
    if (IsStopping()) break;
    if (handlers_.link) handlers_.link(walk.current(), loss.status);
    if (loss.was_followed) walk.Arrived();
    const EndpointWalk::Pause pause = walk.GoOn(loss.leader);
    if (!PauseFor(PauseAfter(loss, walk, pause))) break;
  }
  const std::lock_guard lock(mutex_);
  done_ = true;
  wake_.notify_all();
}

absl::Duration StreamClient::PauseAfter(const Loss& loss, const EndpointWalk& walk, EndpointWalk::Pause pause) {
  const bool keep_away = absl::IsResourceExhausted(loss.status) || absl::IsAlreadyExists(loss.status);
  if (pause == EndpointWalk::Pause::kNone) return absl::ZeroDuration();
  absl::Duration longest = options_.backoff_min;
  if (keep_away) {
    longest = options_.backoff_max;
  } else if (pause == EndpointWalk::Pause::kLong) {
    const absl::Duration doubled = options_.backoff_min * std::exp2(std::min(walk.failed_rounds(), 16));
    longest = std::min(loss.stands_by ? options_.standby_backoff_max : options_.backoff_max, doubled);
  }
  return longest * std::uniform_real_distribution<double>(0.5, 1.0)(random_);
}

bool StreamClient::PauseFor(absl::Duration pause) {
  std::unique_lock lock(mutex_);
  return !wake_.wait_for(lock, absl::ToChronoNanoseconds(pause), [this] { return stopping_; });
}

StreamClient::Loss StreamClient::RunStream(const std::string& controller) {
  const absl::StatusOr<std::shared_ptr<grpc::Channel>> channel =
      Dial(controller, {.timeout = options_.connect_timeout,
                        .arguments = ArgumentsOf(options_),
                        .credentials = options_.credentials,
                        .gives_up = [this] { return IsStopping(); }});
  if (!channel.ok()) return {.status = channel.status()};
  const std::unique_ptr<v1::LoadService::Stub> stub = v1::LoadService::NewStub(*channel);
  grpc::ClientContext context;
  const std::unique_ptr<Stream> stream = stub->Report(&context);
  SetContext(&context);
  std::thread reader([&] { ReadDirectives(*stream, controller); });
  WriteReports(*stream);
  // Ends by itself: a failed write is a dead stream, and after a goodbye the controller ends it or Stop() cancels it.
  reader.join();
  Loss loss;
  {
    const std::lock_guard lock(mutex_);
    loss.was_followed = !controller_.empty();
    loss.status = std::exchange(left_, absl::OkStatus());
  }
  SetContext(nullptr);
  const absl::Status ended = ToStatus(stream->Finish());
  if (loss.status.ok()) loss.status = ended;
  const LeaderWord word = LeaderWordIn(context);
  loss.stands_by = word.stands_by;
  loss.leader = word.leader;
  return loss;
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

// Waits until a report is due. Nothing: the stream has ended, the client stops, or the controller did not answer and
// the stream is left.
std::optional<v1::Urgency> StreamClient::NextTurn() {
  std::unique_lock lock(mutex_);
  while (!stopping_ && !stream_ended_) {
    const absl::Duration gap = urgency_ == v1::URGENCY_UNSPECIFIED ? report_interval_ : options_.urgent_gap;
    const absl::Duration now = MonotonicNow();
    const absl::Duration answer_due =
        controller_.empty() ? opened_at_ + options_.answer_timeout : absl::InfiniteDuration();
    if (now >= answer_due) {
      Leave(absl::DeadlineExceededError(
          absl::StrCat("no answer to the hello within ", absl::FormatDuration(options_.answer_timeout))));
      return std::nullopt;
    }
    if (now - sent_at_ >= gap) {
      sent_at_ = now;
      return std::exchange(urgency_, v1::URGENCY_UNSPECIFIED);
    }
    wake_.wait_for(lock, absl::ToChronoNanoseconds(std::min(sent_at_ + gap, answer_due) - now));
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
    if (!left_.ok()) return;
    is_first = std::exchange(controller_, controller).empty();
    last_directive_at_ = absl::Now();
    const absl::Duration pace = FromProto(directive.report_interval());
    if (pace >= kReportIntervalMin && pace <= kReportIntervalMax) {
      report_interval_ = pace;
      wake_.notify_all();
    }
  }
  if (is_first && handlers_.link) handlers_.link(controller, absl::OkStatus());
  absl::Status followed = handlers_.directive(directive);
  const std::lock_guard lock(mutex_);
  if (absl::IsFailedPrecondition(followed)) Leave(std::move(followed));
}

void StreamClient::Leave(absl::Status why) {
  left_ = std::move(why);
  controller_.clear();
  if (context_ != nullptr) context_->TryCancel();
}

}  // namespace headroom
