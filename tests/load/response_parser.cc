#include "tests/load/response_parser.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"

namespace headroom::load {

ResponseParser::Progress ResponseParser::Feed(absl::string_view bytes) {
  while (!bytes.empty()) {
    switch (state_) {
      case State::kHead:
        bytes = TakeHead(bytes);
        break;
      case State::kLength:
      case State::kUntilClose:
      case State::kChunk:
        bytes = TakeBody(bytes);
        break;
      case State::kChunkSize:
      case State::kChunkEnd:
      case State::kTrailer:
        bytes = TakeChunkLine(bytes);
        break;
      case State::kDone:
        keep_alive_ = false;  // nobody asked for what follows
        return Progress::kDone;
      case State::kBad:
        return Progress::kBad;
    }
  }
  if (state_ == State::kDone) return Progress::kDone;
  return state_ == State::kBad ? Progress::kBad : Progress::kMore;
}

ResponseParser::Progress ResponseParser::EndOfStream() {
  keep_alive_ = false;
  return state_ == State::kUntilClose || state_ == State::kDone ? Progress::kDone : Progress::kBad;
}

absl::string_view ResponseParser::TakeHead(absl::string_view bytes) {
  constexpr absl::string_view kEnd = "\r\n\r\n";
  // The end may lie across two pieces: search again from shortly before the new one.
  const size_t searched = line_.size() < kEnd.size() ? 0 : line_.size() - kEnd.size() + 1;
  const size_t known = line_.size();
  line_.append(bytes.data(), bytes.size());
  const size_t end = line_.find(kEnd.data(), searched, kEnd.size());
  if (end == std::string::npos) {
    if (line_.size() > kHeadMax) state_ = State::kBad;
    return {};
  }
  const std::string head = line_.substr(0, end);
  line_.clear();
  state_ = ParseHead(head);
  return bytes.substr(end + kEnd.size() - known);
}

ResponseParser::State ResponseParser::ParseHead(absl::string_view head) {
  left_ = -1;
  const std::pair<absl::string_view, absl::string_view> first = absl::StrSplit(head, absl::MaxSplits("\r\n", 1));
  if (!absl::StartsWith(first.first, "HTTP/1.") || first.first.size() < 12 ||
      !absl::SimpleAtoi(first.first.substr(9, 3), &status_) || status_ < 100) {
    return State::kBad;
  }
  keep_alive_ = first.first[7] != '0';
  if (!first.second.empty()) {
    for (absl::string_view line : absl::StrSplit(first.second, "\r\n")) {
      if (!ParseField(line)) return State::kBad;
    }
  }
  return StateAfterHead();
}

bool ResponseParser::ParseField(absl::string_view line) {
  const size_t colon = line.find(':');
  if (colon == absl::string_view::npos) return false;
  const absl::string_view name = line.substr(0, colon);
  const absl::string_view value = absl::StripAsciiWhitespace(line.substr(colon + 1));
  if (absl::EqualsIgnoreCase(name, "content-length")) {
    int64_t length = -1;
    const bool agrees = absl::SimpleAtoi(value, &length) && length >= 0 && (left_ < 0 || left_ == length);
    left_ = length;
    return agrees;
  }
  if (absl::EqualsIgnoreCase(name, "transfer-encoding")) chunked_ = absl::EndsWithIgnoreCase(value, "chunked");
  if (absl::EqualsIgnoreCase(name, "connection")) {
    if (absl::EqualsIgnoreCase(value, "close")) keep_alive_ = false;
    if (absl::EqualsIgnoreCase(value, "keep-alive")) keep_alive_ = true;
  }
  return true;
}

ResponseParser::State ResponseParser::StateAfterHead() {
  if (status_ < 200) return State::kHead;  // 100 Continue and its kin come before the answer
  if (status_ == 204 || status_ == 304) return State::kDone;
  if (chunked_) return State::kChunkSize;
  if (left_ < 0) {
    keep_alive_ = false;
    return State::kUntilClose;
  }
  return left_ == 0 ? State::kDone : State::kLength;
}

absl::string_view ResponseParser::TakeBody(absl::string_view bytes) {
  const size_t taken = state_ == State::kUntilClose ? bytes.size() : std::min(bytes.size(), static_cast<size_t>(left_));
  body_bytes_ += static_cast<int64_t>(taken);
  if (state_ != State::kUntilClose) left_ -= static_cast<int64_t>(taken);
  if (state_ != State::kUntilClose && left_ == 0) {
    state_ = state_ == State::kChunk ? State::kChunkEnd : State::kDone;
  }
  return bytes.substr(taken);
}

absl::string_view ResponseParser::TakeChunkLine(absl::string_view bytes) {
  const size_t newline = bytes.find('\n');
  const size_t taken = newline == absl::string_view::npos ? bytes.size() : newline + 1;
  line_.append(bytes.data(), taken);
  if (line_.size() > kHeadMax) {
    state_ = State::kBad;
    return {};
  }
  if (newline == absl::string_view::npos) return {};
  state_ = ParseChunkLine(absl::StripTrailingAsciiWhitespace(line_));
  line_.clear();
  return bytes.substr(taken);
}

ResponseParser::State ResponseParser::ParseChunkLine(absl::string_view line) {
  if (state_ == State::kChunkEnd) return line.empty() ? State::kChunkSize : State::kBad;
  if (state_ == State::kTrailer) return line.empty() ? State::kDone : State::kTrailer;
  const absl::string_view size = line.substr(0, line.find(';'));
  if (size.size() > 15 || !absl::SimpleHexAtoi(size, &left_) || left_ < 0) return State::kBad;
  return left_ == 0 ? State::kTrailer : State::kChunk;
}

}  // namespace headroom::load
