#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace headroom {

// SlotCounter: how many of something are held, how many were ever taken, and how many may be held at once, in one cache
// line. Holders never outnumber the limit that was in force when they took their slot; lowering the limit takes no slot
// away, it only admits nobody until enough are returned. Lock-free; every member from any thread. One atomic operation
// to take a slot and one to return it: the number held is the low 24 bits of a word, the number ever taken the rest.
class alignas(64) SlotCounter {
 public:
  static constexpr int64_t kMost = (int64_t{1} << 24) - 1;  // the highest limit that can be set, and "no limit"

  explicit SlotCounter(int64_t limit) { SetLimit(limit); }
  SlotCounter(const SlotCounter&) = delete;
  SlotCounter& operator=(const SlotCounter&) = delete;

  // Takes a slot and returns how many are held with it, or 0 when all are taken.
  [[nodiscard]] int64_t TryTake() {
    uint64_t word = word_.load(std::memory_order_relaxed);
    do {
      if (Held(word) >= limit_.load(std::memory_order_relaxed)) return 0;
    } while (
        !word_.compare_exchange_weak(word, word + kTaken + 1, std::memory_order_seq_cst, std::memory_order_relaxed));
    return Held(word) + 1;
  }
  // Gives one back; returns how many are still held.
  int64_t Return() { return Held(word_.fetch_sub(1)) - 1; }
  // Gives one back as though it had never been taken.
  int64_t Untake() { return Held(word_.fetch_sub(kTaken + 1)) - 1; }

  // Values beyond 0..kMost are brought to the nearer end.
  void SetLimit(int64_t limit) { limit_.store(std::clamp<int64_t>(limit, 0, kMost)); }
  int64_t limit() const { return limit_.load(); }
  int64_t held() const { return Held(word_.load()); }
  // Ever taken and not untaken; never goes backwards but for Untake().
  int64_t taken() const { return static_cast<int64_t>(word_.load() / kTaken); }
  bool full() const { return held() >= limit(); }

 private:
  static constexpr uint64_t kTaken = uint64_t{1} << 24;
  static int64_t Held(uint64_t word) { return static_cast<int64_t>(word & (kTaken - 1)); }

  std::atomic<uint64_t> word_{0};
  std::atomic<int64_t> limit_{0};
};

}  // namespace headroom
