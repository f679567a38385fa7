#include "storage_node/file_server/session.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

#include "storage_node/file_server/object_replies.h"
#include "storage_node/file_server/reply.h"

namespace headroom {
namespace {

namespace http = boost::beast::http;

constexpr size_t kHeadReadBytes = 4 << 10;
constexpr size_t kBodyReadBytes = 64 << 10;
constexpr size_t kSendFileBytesMax = 1 << 20;  // then other connections of this thread have their turn
constexpr size_t kIdleBufferBytesMax = 16 << 10;
constexpr int64_t kLingerBytesMax = 1 << 20;
constexpr absl::Duration kLinger = absl::Seconds(1);

enum class ReadResult { kDone, kClosed, kBad };
enum class Wire { kAlive, kBroken };

class Session {
 public:
  Session(SessionContext& context, Arrival arrival)
      : context_(context),
        slot_(std::move(arrival.slot)),
        socket_(std::move(arrival.socket)),
        tracked_(context.gate.connections().Track({.descriptor = socket_.native_handle(), .client = arrival.client},
                                                  MonotonicNow())) {}

  Awaitable<void> Run();

 private:
  using Parser = http::request_parser<http::buffer_body>;

  Awaitable<ReadResult> ReadHead();
  Awaitable<bool> ReadMore(size_t bytes);
  ReadResult ParseHead();
  Awaitable<void> ServeRequest();
  Awaitable<Reply> Answer();
  Awaitable<Reply> AnswerObject(const RequestTarget& target);
  Awaitable<Reply> Put(const RequestTarget& target);
  Awaitable<Reply> ReceiveBody(Upload& upload);
  Awaitable<Reply> RefusePut(const RequestTarget& target);
  Awaitable<Wire> Send(const Reply& reply);
  Awaitable<Wire> SendBytes(absl::string_view bytes, int flags);
  Awaitable<Wire> SendFile(const Reply& reply);
  Awaitable<Wire> WaitWritable();
  Awaitable<void> Linger();
  Reply BadRequest() const;
  void DecideKeepAlive();
  absl::string_view ConnectionHeader() const;
  // Waiting for more of a body of which `bytes` have moved: renews its deadline if that is progress enough.
  void ExpectProgress(int64_t bytes);

  SessionContext& context_;
  // In this order: the entry leaves the table, then the socket closes, then the slot is given back.
  ConnectionSlot slot_;
  Socket socket_;
  TrackedConnection tracked_;
  boost::beast::flat_buffer buffer_;  // received, not parsed yet
  std::optional<Parser> parser_;
  ErrorCode parse_error_;
  int64_t bytes_in_ = 0, bytes_out_ = 0;  // of the bodies of the present request
  std::optional<int64_t> progress_;       // of the body that moves, when its deadline was last renewed
  bool keep_alive_ = true;
  bool wanted_ = true;  // false: the gate chose this connection to be closed
};

Awaitable<void> Session::Run() {
  while (keep_alive_) {
    parser_.emplace();
    parser_->header_limit(context_.options.header_bytes_max);
    parser_->body_limit(UINT64_MAX);  // checked here, so that it can be refused with 413
    const ReadResult head = co_await ReadHead();
    if (head == ReadResult::kClosed) co_return;
    if (head == ReadResult::kBad) {
      keep_alive_ = false;
      co_await Send(BadRequest());
      co_await Linger();
      co_return;
    }
    co_await ServeRequest();
    if (keep_alive_ && !tracked_.MarkIdle(MonotonicNow())) keep_alive_ = false;
    if (buffer_.size() == 0 && buffer_.capacity() > kIdleBufferBytesMax) buffer_.shrink_to_fit();
  }
  if (parser_ && (!parser_->is_done() || buffer_.size() > 0)) co_await Linger();
}

// Idle until a first byte is there; from then on the header has its time.
Awaitable<ReadResult> Session::ReadHead() {
  if (buffer_.size() == 0 && !co_await ReadMore(kHeadReadBytes)) co_return ReadResult::kClosed;
  wanted_ = tracked_.MarkBusy(MonotonicNow() + context_.options.header_timeout);
  while (true) {
    const ReadResult parsed = ParseHead();
    if (parsed == ReadResult::kDone && parser_->is_header_done()) co_return ReadResult::kDone;
    if (parsed == ReadResult::kBad) co_return ReadResult::kBad;
    if (!co_await ReadMore(kHeadReadBytes)) co_return ReadResult::kClosed;
  }
}

Awaitable<bool> Session::ReadMore(size_t bytes) {
  ErrorCode error;
  const size_t got = co_await socket_.async_read_some(buffer_.prepare(bytes), asio::redirect_error(kAwait, error));
  buffer_.commit(got);
  co_return !error && got > 0;
}

ReadResult Session::ParseHead() {
  while (buffer_.size() > 0 && !parser_->is_header_done()) {
    const size_t used = parser_->put(buffer_.data(), parse_error_);
    buffer_.consume(used);
    if (parse_error_ == http::error::need_more) break;
    if (parse_error_) return ReadResult::kBad;
  }
  return ReadResult::kDone;
}

Reply Session::BadRequest() const {
  if (parse_error_ == http::error::header_limit) return TextReply(HttpStatus::request_header_fields_too_large, "");
  if (parse_error_ == http::error::bad_version) return TextReply(HttpStatus::http_version_not_supported, "");
  return TextReply(HttpStatus::bad_request, parse_error_.message());
}

Awaitable<void> Session::ServeRequest() {
  const absl::Time begin = MonotonicNow();
  bytes_in_ = bytes_out_ = 0;
  tracked_.SetDeadline(absl::InfiniteFuture());
  int status = static_cast<int>(HttpStatus::service_unavailable);
  {
    const std::optional<RequestSlot> slot = context_.gate.TryBegin();
    Reply reply;
    if (slot) {
      reply = co_await Answer();
    } else {
      reply = TextReply(HttpStatus::service_unavailable, "too many requests at once");
      reply.headers += "Retry-After: 1\r\n";
    }
    DecideKeepAlive();
    status = static_cast<int>(reply.status);
    if (co_await Send(reply) == Wire::kBroken) keep_alive_ = false;
  }
  context_.gate.Record(
      {.status = status, .bytes_in = bytes_in_, .bytes_out = bytes_out_, .latency = MonotonicNow() - begin});
}

// A body that was not read to its end would be taken for the next request.
void Session::DecideKeepAlive() {
  keep_alive_ = keep_alive_ && wanted_ && parser_->is_done() && parser_->get().keep_alive() &&
                context_.keep_alive.load(std::memory_order_relaxed) == KeepAlive::kOffered;
}

absl::string_view Session::ConnectionHeader() const {
  if (!keep_alive_) return "close";
  return parser_->get().version() == 10 ? "keep-alive" : "";
}

Awaitable<Reply> Session::Answer() {
  const RequestHead& head = parser_->get();
  if (head.version() == 11 && HeaderOf(head, http::field::host).data() == nullptr) {
    co_return TextReply(HttpStatus::bad_request, "the Host header is missing");
  }
  const absl::StatusOr<RequestTarget> target = ParseTarget({head.target().data(), head.target().size()});
  if (!target.ok()) co_return ErrorReply(target.status(), Intent::kRead);
  if (context_.device.enabled()) {
    co_await Sleep(socket_.get_executor(), context_.device.Reserve(MonotonicNow()) - MonotonicNow());
  }
  co_return co_await AnswerObject(*target);
}

Awaitable<Reply> Session::AnswerObject(const RequestTarget& target) {
  const RequestHead& head = parser_->get();
  switch (head.method()) {
    case http::verb::get:
    case http::verb::head:
      if (!AsksForListing(target)) co_return GetObject(context_.store, target, head);
      co_return co_await RunOn(context_.disk, [&] { return ListDirectory(context_.store, target); });
    case http::verb::put:
      co_return co_await Put(target);
    case http::verb::delete_:
      co_return co_await RunOn(context_.disk, [&] { return DeleteObject(context_.store, target, head); });
    default: {
      Reply reply = TextReply(HttpStatus::method_not_allowed, "");
      reply.headers += "Allow: GET, HEAD, PUT, DELETE\r\n";
      co_return reply;
    }
  }
}

// All that can be said against a PUT before its body is read; status `continue_` when nothing can.
Awaitable<Reply> Session::RefusePut(const RequestTarget& target) {
  const RequestHead& head = parser_->get();
  if (target.names_directory) co_return TextReply(HttpStatus::bad_request, "a file needs a name");
  if (parser_->content_length().value_or(0) > static_cast<uint64_t>(context_.options.body_bytes_max)) {
    co_return TextReply(HttpStatus::payload_too_large, "");
  }
  if (!parser_->content_length() && !parser_->chunked()) co_return TextReply(HttpStatus::length_required, "");
  if (head.find(http::field::content_range) != head.end()) {
    co_return TextReply(HttpStatus::bad_request, "a part of a file cannot be put");
  }
  const Condition condition = co_await RunOn(context_.disk, [&] { return CheckWrite(context_.store, target, head); });
  if (condition != Condition::kProceed) co_return TextReply(HttpStatus::precondition_failed, "");
  co_return Reply{.status = HttpStatus::continue_};
}

Awaitable<Reply> Session::Put(const RequestTarget& target) {
  Reply refusal = co_await RefusePut(target);
  if (refusal.status != HttpStatus::continue_) co_return refusal;
  absl::StatusOr<Upload> upload =
      co_await RunOn(context_.disk, [&] { return context_.store.BeginUpload(target.path); });
  if (!upload.ok()) co_return ErrorReply(upload.status(), Intent::kWrite);

  const RequestHead& head = parser_->get();
  if (absl::EqualsIgnoreCase(HeaderOf(head, http::field::expect), "100-continue") && head.version() == 11 &&
      buffer_.size() == 0) {
    if (co_await SendBytes("HTTP/1.1 100 Continue\r\n\r\n", 0) == Wire::kBroken) co_return BadRequest();
  }
  Reply received = co_await ReceiveBody(*upload);
  if (received.status != HttpStatus::ok) co_return received;

  const bool only_if_absent = HeaderOf(head, http::field::if_none_match) == "*";
  const auto rule = only_if_absent ? Upload::Rule::kOnlyIfAbsent : Upload::Rule::kReplace;
  const auto committed =
      co_await RunOn(context_.disk, [&] { return upload->Commit(rule, WriteGuard(context_.store, target, head)); });
  if (!committed.ok()) co_return ErrorReply(committed.status(), Intent::kWrite);
  const bool created = committed->how == Upload::Committed::How::kCreated;
  co_return Reply{.status = created ? HttpStatus::created : HttpStatus::no_content,
                  .headers = absl::StrCat("ETag: ", committed->info.etag, "\r\n")};
}

void Session::ExpectProgress(int64_t bytes) {
  if (progress_ && bytes - *progress_ < context_.options.body_progress_bytes_min) return;
  progress_ = bytes;
  tracked_.SetDeadline(MonotonicNow() + context_.options.body_timeout);
}

// Status `ok` when the whole body is in the upload.
Awaitable<Reply> Session::ReceiveBody(Upload& upload) {
  progress_.reset();
  std::array<char, kBodyReadBytes> chunk;
  while (!parser_->is_done()) {
    auto& body = parser_->get().body();
    body.data = chunk.data();
    body.size = chunk.size();
    const size_t used = buffer_.size() > 0 ? parser_->put(buffer_.data(), parse_error_) : 0;
    buffer_.consume(used);
    const size_t decoded = chunk.size() - body.size;
    bytes_in_ += static_cast<int64_t>(decoded);
    if (bytes_in_ > context_.options.body_bytes_max) co_return TextReply(HttpStatus::payload_too_large, "");
    if (decoded > 0) {
      const absl::string_view bytes(chunk.data(), decoded);
      const absl::Status written = co_await RunOn(context_.disk, [&] { return upload.Write(bytes); });
      if (!written.ok()) co_return ErrorReply(written, Intent::kWrite);
    }
    const bool wants_more = buffer_.size() == 0 || parse_error_ == http::error::need_more;
    if (parse_error_ && parse_error_ != http::error::need_more && parse_error_ != http::error::need_buffer) {
      co_return BadRequest();
    }
    parse_error_ = {};
    if (parser_->is_done() || (!wants_more && (used > 0 || decoded > 0))) continue;
    ExpectProgress(bytes_in_);
    if (!co_await ReadMore(kBodyReadBytes)) co_return TextReply(HttpStatus::bad_request, "the body ended early");
  }
  tracked_.SetDeadline(absl::InfiniteFuture());
  co_return Reply{};
}

Awaitable<Wire> Session::Send(const Reply& reply) {
  const std::string head = RenderHead(reply, ConnectionHeader());
  const bool head_only = parser_->is_header_done() && parser_->get().method() == http::verb::head;
  if (head_only || reply.body_bytes() == 0) co_return co_await SendBytes(head, 0);
  if (!reply.file) {
    bytes_out_ = reply.body_bytes();
    co_return co_await SendBytes(head + reply.text, 0);
  }
  if (co_await SendBytes(head, MSG_MORE) == Wire::kBroken) co_return Wire::kBroken;
  co_return co_await SendFile(reply);
}

Awaitable<Wire> Session::WaitWritable() {
  ErrorCode error;
  co_await socket_.async_wait(Socket::wait_write, asio::redirect_error(kAwait, error));
  co_return error ? Wire::kBroken : Wire::kAlive;
}

Awaitable<Wire> Session::SendBytes(absl::string_view bytes, int flags) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(socket_.native_handle(), bytes.data(), bytes.size(), flags | MSG_NOSIGNAL);
    if (sent >= 0) {
      bytes.remove_prefix(static_cast<size_t>(sent));
    } else if (errno == EAGAIN) {
      tracked_.SetDeadline(MonotonicNow() + context_.options.body_timeout);
      if (co_await WaitWritable() == Wire::kBroken) co_return Wire::kBroken;
    } else if (errno != EINTR) {
      co_return Wire::kBroken;
    }
  }
  co_return Wire::kAlive;
}

Awaitable<Wire> Session::SendFile(const Reply& reply) {
  progress_.reset();
  off_t offset = reply.offset;
  while (bytes_out_ < reply.length) {
    const size_t want = std::min(static_cast<size_t>(reply.length - bytes_out_), kSendFileBytesMax);
    const ssize_t sent = ::sendfile(socket_.native_handle(), reply.file.get(), &offset, want);
    if (sent == 0) co_return Wire::kBroken;  // the file shrank: the promised length cannot be kept
    if (sent > 0) {
      bytes_out_ += sent;
      if (static_cast<size_t>(sent) == want && bytes_out_ < reply.length) {
        co_await asio::post(socket_.get_executor(), kAwait);
      }
    } else if (errno == EAGAIN) {
      ExpectProgress(bytes_out_);
      if (co_await WaitWritable() == Wire::kBroken) co_return Wire::kBroken;
    } else if (errno != EINTR) {
      co_return Wire::kBroken;
    }
  }
  co_return Wire::kAlive;
}

// Closing with unread bytes would send a reset, which can destroy the answer on its way: say that no more comes, and
// read on for a moment.
Awaitable<void> Session::Linger() {
  ErrorCode error;
  socket_.shutdown(Socket::shutdown_send, error);
  tracked_.SetDeadline(MonotonicNow() + kLinger);
  int64_t read = 0;
  while (read < kLingerBytesMax) {
    buffer_.clear();
    if (!co_await ReadMore(kBodyReadBytes)) co_return;
    read += static_cast<int64_t>(buffer_.size());
  }
}

}  // namespace

Awaitable<void> ServeConnection(SessionContext& context, Arrival arrival) {
  Session session(context, std::move(arrival));
  co_await session.Run();
}

}  // namespace headroom
