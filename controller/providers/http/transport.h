#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "controller/providers/http/cancellation.h"

namespace headroom {

// What a connection is secured with; PEM texts.
struct TlsMaterial {
  std::string authorities;       // who may vouch for the server, and nobody else; empty: whom the system trusts
  std::string certificate, key;  // the client's; empty: none
};

// The other end, for a transport's whole life.
struct HttpEndpoint {
  std::string url;          // scheme://host[:port]; a path is put before every target
  std::string server_name;  // the name that its certificate must have, where that is not the host's
  std::function<absl::StatusOr<TlsMaterial>()> tls;   // asked for each new connection, so that files may rotate
  absl::Duration connect_timeout = absl::Seconds(5);  // until the request is written
  absl::Duration idle_timeout = absl::Seconds(30);    // the longest silence; a watch's is longer
  size_t bytes_max = size_t{64} << 20;                // of a body, or of a line of a stream
};

struct HttpHeader {
  std::string name, value;
};

struct HttpRequest {
  std::string method = "GET";
  std::string target = "/";  // path and query, encoded
  std::vector<HttpHeader> headers;
  std::string body;
  absl::Duration timeout = absl::Seconds(30);  // of the whole call; a watch's may be infinite
};

struct HttpResponse {
  int code = 0;
  std::vector<HttpHeader> headers;
  std::string body;

  // The value of the first header of that name, whatever its case; "": none.
  absl::string_view Header(absl::string_view name) const;
};

// HttpTransport: HTTP/1.1 to one endpoint, the only door through which providers speak REST. The promises that its
// users build on, each a row of the conformance suite (tests/controller/providers/http):
// - An answer of any code is an answer, not an error. Redirects are answers, too: a token goes nowhere else.
// - A request that may change something (not GET or HEAD) reaches the server at most once per call.
// - An answer is whole or an error. DEADLINE_EXCEEDED: a deadline passed; the server may have done what was asked.
//   UNAVAILABLE: refused, reset, cut short, likewise. CANCELLED. FAILED_PRECONDITION: who it is or who we are cannot be
//   shown (certificates), or it sends more than bytes_max; a person is needed. INVALID_ARGUMENT: no such URL.
// - Only the given authorities are trusted, and the certificate must carry the server's name. TLS 1.2 and later.
//
// Blocking: made for worker threads. Thread-safe. Ended by its destructor, when no call is under way.
class HttpTransport {
 public:
  virtual ~HttpTransport() = default;

  virtual absl::StatusOr<HttpResponse> Send(const HttpRequest& request, Cancellation& cancellation) = 0;

  // Gives each line of the body to `line` as it comes, without its end, on the calling thread; what it answers other
  // than OK ends the call with that. Returns the head: an answer other than 2xx has its body inside and gives no lines.
  using LineSink = std::function<absl::Status(absl::string_view)>;
  virtual absl::StatusOr<HttpResponse> StreamLines(const HttpRequest& request, const LineSink& line,
                                                   Cancellation& cancellation) = 0;
};

// On cpprestsdk.
absl::StatusOr<std::unique_ptr<HttpTransport>> MakeHttpTransport(HttpEndpoint endpoint);

}  // namespace headroom
