#pragma once

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include <boost/beast/http/status.hpp>

#include "storage_node/file_server/descriptor.h"

namespace headroom {

using HttpStatus = boost::beast::http::status;

// Reply: an answer to one request, not yet on the wire. Its body is `text`, or `length` bytes of `file` from `offset`.
struct Reply {
  HttpStatus status = HttpStatus::ok;
  std::string headers;  // whole lines, each with its CRLF; Content-Length and Connection are the sender's
  std::string text;
  Descriptor file;
  int64_t offset = 0, length = 0;

  int64_t body_bytes() const { return file ? length : static_cast<int64_t>(text.size()); }
};

// A one-line text answer: "404 Not Found: no such file".
Reply TextReply(HttpStatus status, absl::string_view detail);
Reply JsonReply(HttpStatus status, std::string json);

// Status line and headers up to the empty line. `connection` is the Connection header's value, empty for none.
std::string RenderHead(const Reply& reply, absl::string_view connection);

}  // namespace headroom
