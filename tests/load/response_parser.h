#pragma once

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace headroom::load {

// ResponseParser: one HTTP/1.x response from the pieces that arrive. Bodies are counted, not kept. Bounded: a head
// longer than kHeadMax is malformed. Not thread-safe.
class ResponseParser {
 public:
  static constexpr size_t kHeadMax = 16384;
  enum class Progress { kMore, kDone, kBad };

  // Forgets everything: the next byte begins a new response.
  void Reset() { *this = ResponseParser(); }
  // Takes all of `bytes`. kDone is final; bytes after the end of the response make keep_alive() false.
  Progress Feed(absl::string_view bytes);
  // The other side has closed: kDone where that is how the body ends, else kBad.
  Progress EndOfStream();

  bool started() const { return state_ != State::kHead || !line_.empty(); }
  int status() const { return status_; }
  int64_t body_bytes() const { return body_bytes_; }
  // May another request follow on this connection? Valid after kDone.
  bool keep_alive() const { return keep_alive_; }

 private:
  enum class State { kHead, kLength, kUntilClose, kChunkSize, kChunk, kChunkEnd, kTrailer, kDone, kBad };

  absl::string_view TakeHead(absl::string_view bytes);
  absl::string_view TakeBody(absl::string_view bytes);
  absl::string_view TakeChunkLine(absl::string_view bytes);
  State ParseHead(absl::string_view head);
  bool ParseField(absl::string_view line);
  State ParseChunkLine(absl::string_view line);
  State StateAfterHead();

  State state_ = State::kHead;
  std::string line_;  // the head, or a line of the chunked framing, that has not ended yet
  int status_ = 0;
  int64_t left_ = -1;  // bytes of the body or of the chunk still to come; -1: no Content-Length seen
  int64_t body_bytes_ = 0;
  bool keep_alive_ = true;
  bool chunked_ = false;
};

}  // namespace headroom::load
