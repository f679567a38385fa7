#pragma once

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace headroom::haproxy {

// CommandLine: one question to HAProxy, one answer. The answer is HAProxy's text as it came: a refusal is text too, and
// nothing but its words tells it from success, so whoever asks must read it (control.h does).
class CommandLine {
 public:
  virtual ~CommandLine() = default;
  virtual absl::StatusOr<std::string> Ask(absl::string_view command) = 0;
};

// StatsSocket: HAProxy's command line over its unix stats socket ("stats socket PATH level admin").
// One connection per command, so that a HAProxy that was restarted behind the same path is simply spoken to. Blocking,
// never longer than `timeout`; never keeps more than `reply_bytes_max`. Not thread-safe; make one per thread.
// Errors: INVALID_ARGUMENT (a command that is not one line, or holds ';' or "<<": a value that became a command),
// UNAVAILABLE (no HAProxy there: try again), PERMISSION_DENIED (the socket's file mode), DEADLINE_EXCEEDED,
// RESOURCE_EXHAUSTED (a reply beyond the bound).
// Source: HAProxy 2.6 management guide, 9.3 "Unix Socket commands".
class StatsSocket final : public CommandLine {
 public:
  struct Options {
    std::string path;
    absl::Duration timeout = absl::Seconds(2);
    size_t reply_bytes_max = size_t{16} << 20;
  };
  static constexpr size_t kCommandBytesMax = 4096;

  explicit StatsSocket(Options options) : options_(std::move(options)) {}
  absl::StatusOr<std::string> Ask(absl::string_view command) override;

 private:
  Options options_;
};

}  // namespace headroom::haproxy
