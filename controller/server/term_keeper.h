#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "controller/runtime/journal.h"
#include "controller/runtime/recovery.h"
#include "controller/server/log.h"

namespace headroom {

// TermKeeper: the term of this controller, which only grows. A node that has seen a higher one refuses us, so a hello
// that names it makes the keeper ask the loop thread (the journal's writer) for a still higher term: on disk before
// use. A term above kTermSeenMax is not believed. Saw() and current() from any thread, Settle() from the loop thread
// only.
class TermKeeper {
 public:
  // Limits wait for the loop thread meanwhile.
  static constexpr absl::Duration kWriteMax = absl::Milliseconds(500);

  TermKeeper(int64_t current, std::function<void()> wake) : current_(current), seen_(0), wake_(std::move(wake)) {}

  int64_t current() const { return current_.load(); }

  // A hello of `reporter` carries this as the highest term that it has seen.
  void Saw(int64_t term, absl::string_view reporter) {
    if (term <= current()) return;
    if (term > kTermSeenMax) {
      LogLine(LogLevel::kWarning, "term_not_believed")
          .Add("reporter", reporter)
          .Add("term", term)
          .Add("text", "no controller comes to it; this reporter refuses us until its own state is cleared");
      return;
    }
    int64_t seen = seen_.load();
    while (term > seen && !seen_.compare_exchange_weak(seen, term)) {
    }
    wake_();
  }

  // A new term is due, whatever others have seen: what is said from now on is of another mode. Any thread.
  void Raise() { raise_ = true; }

  // The new term, written, when one is due; nothing when not. An error: it could not be written and is tried again.
  absl::StatusOr<std::optional<int64_t>> Settle(Journal& journal) {
    const int64_t seen = std::max(seen_.load(), current());
    const bool raise = raise_;
    if (seen == current() && !raise) return std::optional<int64_t>();
    const int64_t next = seen + 1;
    if (absl::Status status = journal.WriteTerm(next, kWriteMax); !status.ok()) return status;
    current_ = next;
    if (raise) raise_ = false;
    return std::optional<int64_t>(next);
  }

 private:
  std::atomic<int64_t> current_;
  std::atomic<int64_t> seen_;
  std::atomic<bool> raise_ = false;
  const std::function<void()> wake_;
};

}  // namespace headroom
