#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include <grpcpp/grpcpp.h>

#include "controller/base/check.h"
#include "controller/wire/leader_word.h"
#include "headroom/v1/load.grpc.pb.h"

namespace headroom {

// How long a test waits for what must come. Far above what is expected, so that a busy machine fails nothing.
inline constexpr absl::Duration kPatience = absl::Seconds(30);

// FakeController: a real LoadService on a loopback port of its own that writes down what it is told and says what the
// test says. Thread-safe.
class FakeController final : public v1::LoadService::Service {
 public:
  struct Arrival {
    v1::LoadReport report;
    absl::Time at;
    int stream = 0;  // 1: the first stream ever
  };

  // Port 0: any free one.
  explicit FakeController(int port = 0) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort(absl::StrCat("127.0.0.1:", port), grpc::InsecureServerCredentials(), &port_);
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
    HR_CHECK(server_ != nullptr);
  }
  ~FakeController() override {
    SetReading(Reading::kOn);
    server_->Shutdown(std::chrono::system_clock::now());
    server_->Wait();
  }

  std::string address() const { return absl::StrCat("127.0.0.1:", port_); }
  int port() const { return port_; }

  // Every stream that begins from now on is ended with `status` after its hello.
  void Refuse(grpc::Status status) {
    const std::lock_guard lock(mutex_);
    refusal_ = std::move(status);
  }
  // The same as a standby does it; it knows of this leader, or of none.
  void StandBy(std::string leader) {
    const std::lock_guard lock(mutex_);
    refusal_ = {grpc::StatusCode::UNAVAILABLE, "this controller stands by"};
    leader_ = std::move(leader);
  }
  // Takes streams again.
  void Lead(v1::Directive greeting) {
    const std::lock_guard lock(mutex_);
    refusal_ = grpc::Status::OK;
    greeting_ = std::move(greeting);
  }
  // What a stream is told once it has said hello.
  void Greet(v1::Directive directive) {
    const std::lock_guard lock(mutex_);
    greeting_ = std::move(directive);
  }
  // Tells the newest open stream. False: there is none.
  bool Say(const v1::Directive& directive) {
    const std::lock_guard lock(mutex_);
    return stream_ != nullptr && stream_->Write(directive);
  }
  // Breaks the open streams.
  void EndStreams() {
    const std::lock_guard lock(mutex_);
    for (grpc::ServerContext* const context : contexts_) context->TryCancel();
  }
  enum class Reading { kOn, kOff };
  void SetReading(Reading reading) {
    const std::lock_guard lock(mutex_);
    reading_ = reading;
    changed_.notify_all();
  }

  std::vector<Arrival> Arrivals() const {
    const std::lock_guard lock(mutex_);
    return arrivals_;
  }
  // The first arrival, at or after index `from`, that `matches`; nothing: none came within kPatience.
  std::optional<Arrival> Await(const std::function<bool(const Arrival&)>& matches, size_t from = 0) const {
    std::unique_lock lock(mutex_);
    std::optional<Arrival> found;
    changed_.wait_for(lock, absl::ToChronoNanoseconds(kPatience), [&] {
      for (size_t i = from; i < arrivals_.size() && !found; ++i) {
        if (matches(arrivals_[i])) found = arrivals_[i];
      }
      return found.has_value();
    });
    return found;
  }
  bool AwaitCount(size_t count) const {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, absl::ToChronoNanoseconds(kPatience), [&] { return arrivals_.size() >= count; });
  }

 private:
  using Stream = grpc::ServerReaderWriter<v1::Directive, v1::LoadReport>;

  grpc::Status Report(grpc::ServerContext* context, Stream* stream) override {
    const int number = Enter(stream, context);
    v1::LoadReport report;
    while (MayRead() && stream->Read(&report)) {
      grpc::Status status = Note(number, report, stream);
      if (!status.ok()) {
        AddWord(status, *context);
        Leave(stream, context);
        return status;
      }
    }
    Leave(stream, context);
    return grpc::Status::OK;
  }
  int Enter(Stream* stream, grpc::ServerContext* context) {
    const std::lock_guard lock(mutex_);
    contexts_.insert(context);
    stream_ = stream;
    return ++stream_count_;
  }
  void Leave(const Stream* stream, grpc::ServerContext* context) {
    const std::lock_guard lock(mutex_);
    contexts_.erase(context);
    if (stream_ == stream) stream_ = nullptr;
  }
  void AddWord(const grpc::Status& status, grpc::ServerContext& context) {
    const std::lock_guard lock(mutex_);
    if (status.error_code() != grpc::StatusCode::UNAVAILABLE) return;
    context.AddTrailingMetadata(kStandbyKey, "1");
    if (!leader_.empty()) context.AddTrailingMetadata(kLeaderKey, leader_);
  }
  bool MayRead() {
    std::unique_lock lock(mutex_);
    const auto is_on = [this] { return reading_ == Reading::kOn; };
    return changed_.wait_for(lock, absl::ToChronoNanoseconds(kPatience), is_on);
  }
  grpc::Status Note(int number, const v1::LoadReport& report, Stream* stream) {
    const std::lock_guard lock(mutex_);
    arrivals_.push_back({report, absl::Now(), number});
    changed_.notify_all();
    if (!refusal_.ok()) return refusal_;
    if (report.has_hello() && greeting_) stream->Write(*greeting_);
    return grpc::Status::OK;
  }

  int port_ = 0;
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::vector<Arrival> arrivals_ ABSL_GUARDED_BY(mutex_);
  grpc::Status refusal_ ABSL_GUARDED_BY(mutex_);
  std::string leader_ ABSL_GUARDED_BY(mutex_);
  std::optional<v1::Directive> greeting_ ABSL_GUARDED_BY(mutex_);
  std::set<grpc::ServerContext*> contexts_ ABSL_GUARDED_BY(mutex_);
  Stream* stream_ ABSL_GUARDED_BY(mutex_) = nullptr;
  Reading reading_ ABSL_GUARDED_BY(mutex_) = Reading::kOn;
  int stream_count_ ABSL_GUARDED_BY(mutex_) = 0;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace headroom
