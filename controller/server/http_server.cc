#include "controller/server/http_server.h"

#include <chrono>
#include <optional>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

#include "controller/base/address.h"

namespace headroom {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;

constexpr auto kIdleMax = std::chrono::seconds(30);
constexpr uint32_t kHeaderBytesMax = 8 * 1024;
constexpr auto kAcceptPause = std::chrono::milliseconds(100);

using Pages = std::function<HttpAnswer(absl::string_view path)>;
using Request = http::request<http::empty_body>;
using Response = http::response<http::string_body>;

Response Answer(const Request& request, const Pages& pages) {
  HttpAnswer answer;
  if (request.method() == http::verb::get || request.method() == http::verb::head) {
    const absl::string_view target(request.target().data(), request.target().size());
    answer = pages(target.substr(0, target.find('?')));
  } else {
    answer = {.code = 405, .body = "only GET and HEAD are answered here\n"};
  }
  Response response(static_cast<http::status>(answer.code), request.version());
  response.set(http::field::content_type, answer.content_type);
  response.set(http::field::cache_control, "no-store");
  response.set("X-Content-Type-Options", "nosniff");
  response.keep_alive(request.keep_alive());
  response.body() = std::move(answer.body);
  response.prepare_payload();
  if (request.method() == http::verb::head) response.body().clear();
  return response;
}

// One connection; lives as long as an operation of it is under way.
class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(tcp::socket socket, const Pages& pages, std::shared_ptr<int> connections)
      : stream_(std::move(socket)), pages_(pages), connections_(std::move(connections)) {
    ++*connections_;
  }
  ~Session() { --*connections_; }

  void Read() {
    parser_.emplace();
    parser_->header_limit(kHeaderBytesMax);
    parser_->body_limit(0);
    stream_.expires_after(kIdleMax);
    http::async_read(stream_, buffer_, *parser_, [self = shared_from_this()](beast::error_code error, size_t) {
      if (!error) self->Write();
    });
  }

 private:
  void Write() {
    response_ = Answer(parser_->get(), pages_);
    stream_.expires_after(kIdleMax);
    http::async_write(stream_, response_, [self = shared_from_this()](beast::error_code error, size_t) {
      if (!error && self->response_.keep_alive()) self->Read();
    });
  }

  beast::tcp_stream stream_;
  beast::flat_buffer buffer_{size_t{kHeaderBytesMax} * 2};
  std::optional<http::request_parser<http::empty_body>> parser_;
  Response response_;
  const Pages& pages_;
  const std::shared_ptr<int> connections_;
};

}  // namespace

class HttpServer::Impl {
 public:
  explicit Impl(Pages pages) : pages_(std::move(pages)) {}
  ~Impl() {
    context_.stop();
    if (thread_.joinable()) thread_.join();
  }

  absl::Status Listen(const std::string& address, int port) {
    beast::error_code error;
    const auto ip = asio::ip::make_address(address, error);
    if (error) return absl::InvalidArgumentError(absl::StrCat("\"", address, "\" is not an IP address"));
    const tcp::endpoint endpoint(ip, static_cast<uint16_t>(port));
    acceptor_.open(endpoint.protocol(), error);
    if (!error) acceptor_.set_option(asio::socket_base::reuse_address(true), error);
    if (!error) acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
    if (error) {
      return absl::UnavailableError(absl::StrCat("cannot listen on ", HostPort(address, port), ": ", error.message()));
    }
    return absl::OkStatus();
  }

  void Run() {
    Accept();
    thread_ = std::thread([this] { context_.run(); });
  }

  int port() const { return port_; }
  void RememberPort() { port_ = acceptor_.local_endpoint().port(); }

 private:
  void Accept() {
    acceptor_.async_accept([this](beast::error_code error, tcp::socket socket) {
      if (error == asio::error::operation_aborted) return;
      if (!error && *connections_ < kConnectionsMax) {
        std::make_shared<Session>(std::move(socket), pages_, connections_)->Read();
      }
      if (!error) return Accept();
      // Out of file descriptors, most likely: a busy loop would make it worse.
      pause_.expires_after(kAcceptPause);
      pause_.async_wait([this](beast::error_code) { Accept(); });
    });
  }

  const Pages pages_;
  std::shared_ptr<int> connections_ = std::make_shared<int>(0);  // of the one thread
  asio::io_context context_{1};
  tcp::acceptor acceptor_{context_};
  asio::steady_timer pause_{context_};
  int port_ = 0;
  std::thread thread_;
};

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpServer::~HttpServer() = default;
int HttpServer::port() const {
  return impl_->port();
}

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(Options options) {
  auto impl = std::make_unique<Impl>(std::move(options.pages));
  if (absl::Status status = impl->Listen(options.address, options.port); !status.ok()) return status;
  impl->RememberPort();
  impl->Run();
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

}  // namespace headroom
