#include "controller/wire/endpoints.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

#include "controller/base/check.h"

namespace headroom {
namespace {

constexpr size_t kEndpointBytesMax = 255 + 8;
constexpr int kPortMax = 65535;
constexpr int kRoundsMax = 1'000'000;

bool IsHost(absl::string_view host) {
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  return !host.empty() && std::all_of(host.begin(), host.end(), [&](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '-' || c == '_' ||
           (bracketed && (c == ':' || c == '%'));
  });
}

bool IsPort(absl::string_view text) {
  int port = 0;
  const bool digits = std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
  return digits && absl::SimpleAtoi(text, &port) && port >= 1 && port <= kPortMax;
}

}  // namespace

absl::Status CheckEndpoint(absl::string_view endpoint) {
  const size_t colon = endpoint.rfind(':');
  if (endpoint.size() <= kEndpointBytesMax && colon != absl::string_view::npos && IsHost(endpoint.substr(0, colon)) &&
      IsPort(endpoint.substr(colon + 1))) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("\"", endpoint.substr(0, kEndpointBytesMax), "\" is no HOST:PORT, like 10.0.0.2:7600"));
}

EndpointWalk::EndpointWalk(std::vector<std::string> endpoints) : endpoints_(std::move(endpoints)) {
  HR_CHECK(!endpoints_.empty());
  current_ = endpoints_.front();
  next_ = 1;
  remaining_ = endpoints_.size() - 1;
}

EndpointWalk::Pause EndpointWalk::GoOn(absl::string_view leader) {
  if (!was_sent_ && leader != current_ && CheckEndpoint(leader).ok()) {
    was_sent_ = true;
    current_ = std::string(leader);
    return Pause::kNone;
  }
  const Pause pause = remaining_ > 0 ? Pause::kShort : Pause::kLong;
  if (remaining_ == 0) {
    remaining_ = endpoints_.size();
    was_sent_ = false;
    failed_rounds_ = std::min(failed_rounds_ + 1, kRoundsMax);
  }
  --remaining_;
  current_ = endpoints_[next_++ % endpoints_.size()];
  return pause;
}

void EndpointWalk::Arrived() {
  remaining_ = endpoints_.size();
  was_sent_ = false;
  failed_rounds_ = 0;
}

}  // namespace headroom
