#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include <cpprest/http_client.h>
#include <openssl/x509_vfy.h>
#include <pplx/threadpool.h>

#include "controller/base/status.h"
#include "controller/providers/http/call.h"
#include "controller/providers/http/tls.h"
#include "controller/providers/http/transport.h"

// cpprestsdk 2.10.18 behind the port. What it does otherwise than the port promises, and what is done about it:
// - It sends a request again, whatever the method, when a connection from its pool turns out to be closed: a call that
//   may change something has a client of its own, hence a new connection.
// - Its timeout is the longest silence: the thread that waits keeps the deadlines, and cancels.
// - It trusts the system's authorities: the context's store is replaced.
// - It follows redirects, with all headers: never.
// - An exception in a task that nobody looks at ends the process: each chain ends in a continuation that catches.

namespace headroom {
namespace {

namespace http = web::http;
using Client = http::client::http_client;
using Buffer = concurrency::streams::streambuf<uint8_t>;

constexpr size_t kThreads = 4;  // they only pass bytes on

void LimitThreads() {
  static std::once_flag once;
  std::call_once(once, [] {
    try {
      crossplat::threadpool::initialize_with_threads(kThreads);
    } catch (const std::exception&) {  // somebody in this process was first
    }
  });
}

// Why connections could not be secured, where that is known better than cpprestsdk tells.
class TlsTrouble {
 public:
  void Set(std::string why) {
    const std::lock_guard lock(mutex_);
    why_ = std::move(why);
  }
  std::string why() const {
    const std::lock_guard lock(mutex_);
    return why_;
  }

 private:
  mutable std::mutex mutex_;
  std::string why_;
};

// As OpenSSL would, but it remembers what was wrong.
int Verify(X509_STORE_CTX* context, void* trouble) {
  const int ok = X509_verify_cert(context);
  if (ok == 1) return ok;
  const int error = X509_STORE_CTX_get_error(context);
  const bool name = error == X509_V_OK || error == X509_V_ERR_UNSPECIFIED;  // cpprestsdk's own check says no more
  static_cast<TlsTrouble*>(trouble)->Set(name ? "its certificate is for another name"
                                              : X509_verify_cert_error_string(error));
  return ok;
}

// An address is no server name (RFC 6066, 3).
bool IsAddress(const std::string& url) {
  const std::string host = web::uri(url).host();
  return host.find_first_not_of("0123456789.") == std::string::npos || host.front() == '[';
}

bool MayChange(const std::string& method) {
  return method != "GET" && method != "HEAD";
}

absl::Status StatusOf(const std::exception_ptr& exception, const TlsTrouble& trouble) {
  try {
    std::rethrow_exception(exception);
  } catch (const http::http_exception& error) {
    const std::string what = error.what();
    if (absl::StrContains(what, "SSL handshake"))
      return absl::FailedPreconditionError(trouble.why().empty() ? what : trouble.why());
    if (error.error_code() == std::errc::timed_out) return absl::DeadlineExceededError("it has gone silent");
    return absl::UnavailableError(what);
  } catch (const pplx::task_canceled&) {
    return absl::CancelledError("cancelled");
  } catch (const std::exception& error) {
    return absl::UnavailableError(error.what());
  }
}

// How many exchanges the library is not done with: it goes on for a moment with what nobody waits for.
class Running {
 public:
  // Counts for as long as it lives.
  class Token {
   public:
    explicit Token(std::shared_ptr<Running> running) : running_(std::move(running)) { running_->Add(1); }
    ~Token() { running_->Add(-1); }
    Token(const Token&) = delete;
    Token& operator=(const Token&) = delete;

   private:
    const std::shared_ptr<Running> running_;
  };

  void AwaitNone(absl::Duration longest) {
    const MonitorLock lock(mutex_);
    if (count_ > 0) mutex_.Wait(longest);
  }

 private:
  void Add(int change) {
    const MonitorLock lock(mutex_);
    count_ += change;
    if (count_ == 0) mutex_.Notify();
  }

  Monitor mutex_;
  int count_ ABSL_GUARDED_BY(mutex_) = 0;
};

// One request on its way: the library's side of a Call.
class Exchange : public std::enable_shared_from_this<Exchange> {
 public:
  Exchange(std::shared_ptr<Running> running, std::shared_ptr<Client> client, std::shared_ptr<TlsTrouble> trouble,
           const Call::Bounds& bounds)
      : call(bounds), token_(std::move(running)), client_(std::move(client)), trouble_(std::move(trouble)) {}

  void Start(const http::http_request& request) {
    client_->request(request, stop_.get_token())
        .then([self = shared_from_this()](pplx::task<http::http_response> task) {
          self->Catch([&] { self->Answer(task.get()); });
        });
  }

  void Stop() { stop_.cancel(); }

  Call call;

 private:
  void Catch(const std::function<void()>& work) {
    try {
      work();
    } catch (...) {
      call.End(StatusOf(std::current_exception(), *trouble_));
    }
  }

  void Answer(http::http_response response) {
    response_ = std::move(response);
    HttpResponse head{.code = response_.status_code()};
    for (const auto& [name, value] : response_.headers()) head.headers.push_back({name, value});
    call.Begin(std::move(head));
    buffer_ = response_.body().streambuf();
    AwaitBytes();
  }

  void AwaitBytes() {
    buffer_.getc().then([self = shared_from_this()](pplx::task<Buffer::int_type> task) {
      self->Catch([&] { task.get() == Buffer::traits::eof() ? self->AwaitEnd() : self->TakeBytes(); });
    });
  }

  void TakeBytes() {
    bytes_.resize(buffer_.in_avail());
    buffer_.getn(bytes_.data(), bytes_.size()).then([self = shared_from_this()](pplx::task<size_t> task) {
      self->Catch([&] {
        self->call.Add({reinterpret_cast<const char*>(self->bytes_.data()), task.get()});
        self->AwaitBytes();
      });
    });
  }

  // Whether the body has ended or was cut short.
  void AwaitEnd() {
    response_.content_ready().then([self = shared_from_this()](pplx::task<http::http_response> task) {
      self->Catch([&] {
        task.get();
        self->call.End(absl::OkStatus());
      });
    });
  }

  const Running::Token token_;  // ends after all that follows
  const std::shared_ptr<Client> client_;
  const std::shared_ptr<TlsTrouble> trouble_;
  pplx::cancellation_token_source stop_;
  http::http_response response_;
  Buffer buffer_;
  std::vector<uint8_t> bytes_;
};

class CpprestTransport final : public HttpTransport {
 public:
  explicit CpprestTransport(HttpEndpoint endpoint)
      : endpoint_(std::move(endpoint)), trouble_(std::make_shared<TlsTrouble>()), pooled_(NewClient()) {}
  ~CpprestTransport() override { running_->AwaitNone(absl::Seconds(2)); }

  absl::StatusOr<HttpResponse> Send(const HttpRequest& request, Cancellation& cancellation) override {
    HttpResponse response;
    const auto take = [&](const HttpResponse&, std::string bytes) {
      if (response.body.size() + bytes.size() > endpoint_.bytes_max) return TooMuch();
      response.body += bytes;
      return absl::OkStatus();
    };
    HR_ASSIGN_OR_RETURN(HttpResponse head, Fetch(request, take, cancellation));
    head.body = std::move(response.body);
    return head;
  }

  absl::StatusOr<HttpResponse> StreamLines(const HttpRequest& request, const LineSink& line,
                                           Cancellation& cancellation) override {
    std::string rest;
    const auto take = [&](const HttpResponse& head, const std::string& bytes) -> absl::Status {
      rest += bytes;
      if (rest.size() > endpoint_.bytes_max) return TooMuch();
      return head.code / 100 == 2 ? TakeLines(rest, line) : absl::OkStatus();
    };
    HR_ASSIGN_OR_RETURN(HttpResponse head, Fetch(request, take, cancellation));
    if (head.code / 100 == 2 && !rest.empty()) return absl::UnavailableError("the last line was cut short");
    head.body = std::move(rest);
    return head;
  }

 private:
  using Take = std::function<absl::Status(const HttpResponse& head, const std::string& bytes)>;

  absl::Status TooMuch() const {
    return absl::FailedPreconditionError(absl::StrCat("it sends more than ", endpoint_.bytes_max, " bytes"));
  }

  static absl::Status TakeLines(std::string& bytes, const LineSink& line) {
    size_t begin = 0;
    for (size_t end = bytes.find('\n'); end != std::string::npos; end = bytes.find('\n', begin)) {
      HR_RETURN_IF_ERROR(line(absl::string_view(bytes).substr(begin, end - begin)));
      begin = end + 1;
    }
    bytes.erase(0, begin);
    return absl::OkStatus();
  }

  // The head of the answer; its bytes go to `take` as they come.
  absl::StatusOr<HttpResponse> Fetch(const HttpRequest& request, const Take& take, Cancellation& cancellation) {
    const auto exchange =
        std::make_shared<Exchange>(running_, MayChange(request.method) ? NewClient() : pooled_, trouble_,
                                   Call::Bounds{.connect = endpoint_.connect_timeout,
                                                .idle = endpoint_.idle_timeout,
                                                .whole = request.timeout,
                                                .bytes_max = endpoint_.bytes_max});
    absl::StatusOr<HttpResponse> head = Await(*exchange, request, take, cancellation);
    if (!head.ok()) exchange->Stop();
    if (head.ok()) return head;
    return absl::Status(head.status().code(),
                        absl::StrCat(request.method, " ", endpoint_.url, ": ", head.status().message()));
  }

  absl::StatusOr<HttpResponse> Await(Exchange& exchange, const HttpRequest& request, const Take& take,
                                     Cancellation& cancellation) {
    const Cancellation::Listener listener(cancellation,
                                          [&exchange] { exchange.call.End(absl::CancelledError("cancelled")); });
    if (cancellation.is_cancelled()) return absl::CancelledError("cancelled");
    HR_RETURN_IF_ERROR(Begin(exchange, request));
    HttpResponse head;
    while (true) {
      Call::News news = exchange.call.Wait();
      if (news.head.has_value()) head = *std::move(news.head);
      if (!news.bytes.empty()) HR_RETURN_IF_ERROR(take(head, news.bytes));
      if (!news.ended) continue;
      HR_RETURN_IF_ERROR(news.how);
      return head;
    }
  }

  absl::Status Begin(Exchange& exchange, const HttpRequest& request) {
    try {
      http::http_request wire(request.method);
      wire.set_request_uri(web::uri(request.target));
      for (const HttpHeader& header : request.headers) wire.headers().add(header.name, header.value);
      if (!endpoint_.server_name.empty()) wire.headers().add("Host", endpoint_.server_name);
      if (!request.body.empty()) wire.set_body(std::vector<unsigned char>(request.body.begin(), request.body.end()));
      wire.set_progress_handler([weak = exchange.weak_from_this()](http::message_direction::direction, uint64_t) {
        if (const std::shared_ptr<Exchange> alive = weak.lock()) alive->call.Connected();
      });
      exchange.Start(wire);
      return absl::OkStatus();
    } catch (const std::exception& error) {
      return absl::InvalidArgumentError(error.what());
    }
  }

  std::shared_ptr<Client> NewClient() const {
    http::client::http_client_config config;
    config.set_timeout(std::chrono::seconds(24 * 3600));  // the waiting thread keeps the deadlines
    config.set_max_redirects(0);
    config.set_tlsext_sni_enabled(!endpoint_.server_name.empty() || !IsAddress(endpoint_.url));
    config.set_ssl_context_callback([tls = endpoint_.tls, trouble = trouble_](boost::asio::ssl::context& context) {
      absl::StatusOr<TlsMaterial> material = tls == nullptr ? TlsMaterial{} : tls();
      const absl::Status used = material.ok() ? UseTls(context.native_handle(), *material) : material.status();
      trouble->Set(std::string(used.message()));
      if (used.ok()) return SSL_CTX_set_cert_verify_callback(context.native_handle(), &Verify, trouble.get());
      SSL_CTX_set_cert_store(context.native_handle(), X509_STORE_new());  // so that nobody is trusted
    });
    return std::make_shared<Client>(web::uri(endpoint_.url), config);
  }

  const HttpEndpoint endpoint_;
  const std::shared_ptr<Running> running_ = std::make_shared<Running>();
  const std::shared_ptr<TlsTrouble> trouble_;  // outlives the clients, which outlive nothing else of this
  const std::shared_ptr<Client> pooled_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<HttpTransport>> MakeHttpTransport(HttpEndpoint endpoint) {
  LimitThreads();
  try {
    const web::uri uri(endpoint.url);
    if ((uri.scheme() == "http" || uri.scheme() == "https") && !uri.host().empty())
      return std::make_unique<CpprestTransport>(std::move(endpoint));
  } catch (const std::exception&) {
  }
  return absl::InvalidArgumentError(absl::StrCat("\"", endpoint.url, "\" is no URL: http[s]://HOST[:PORT] is one"));
}

}  // namespace headroom
