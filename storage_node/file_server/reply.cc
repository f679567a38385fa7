#include "storage_node/file_server/reply.h"

#include <ctime>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

#include "storage_node/file_server/http_rules.h"

namespace headroom {
namespace {

absl::string_view ReasonOf(HttpStatus status) {
  const auto reason = boost::beast::http::obsolete_reason(status);
  return {reason.data(), reason.size()};
}

// The Date header changes once a second; each thread writes it once a second.
absl::string_view DateLine() {
  thread_local std::time_t second = 0;
  thread_local std::string line;
  const std::time_t now = std::time(nullptr);
  if (now != second) {
    second = now;
    line = absl::StrCat("Date: ", HttpDate(absl::FromTimeT(now)), "\r\n");
  }
  return line;
}

// RFC 9110: these have no body and so no Content-Length.
bool HasNoBody(HttpStatus status) {
  return status == HttpStatus::no_content || status == HttpStatus::not_modified || static_cast<int>(status) < 200;
}

}  // namespace

Reply TextReply(HttpStatus status, absl::string_view detail) {
  Reply reply{.status = status, .headers = "Content-Type: text/plain; charset=utf-8\r\n"};
  reply.text = absl::StrCat(static_cast<int>(status), " ", ReasonOf(status), detail.empty() ? "" : ": ", detail, "\n");
  return reply;
}

Reply JsonReply(HttpStatus status, std::string json) {
  return {.status = status, .headers = "Content-Type: application/json\r\n", .text = std::move(json)};
}

std::string RenderHead(const Reply& reply, absl::string_view connection) {
  std::string head = absl::StrCat("HTTP/1.1 ", static_cast<int>(reply.status), " ", ReasonOf(reply.status),
                                  "\r\nServer: headroom\r\n", DateLine(), reply.headers);
  if (!HasNoBody(reply.status)) absl::StrAppend(&head, "Content-Length: ", reply.body_bytes(), "\r\n");
  if (!connection.empty()) absl::StrAppend(&head, "Connection: ", connection, "\r\n");
  head += "\r\n";
  return head;
}

}  // namespace headroom
