// A slot taken and given back, beside the least that anything shared can cost: one atomic increment and decrement.
// Goal: at most 3 times that, alone and on 2 threads.
#include <atomic>
#include <cstdint>

#include <benchmark/benchmark.h>

#include "storage_node/gate/gate.h"

namespace headroom {
namespace {

alignas(64) std::atomic<int64_t> bare{0};

void BareIncrementDecrement(benchmark::State& state) {
  for (auto _ : state) {
    benchmark::DoNotOptimize(bare.fetch_add(1));
    benchmark::DoNotOptimize(bare.fetch_sub(1));
  }
}

Gate& SharedGate() {
  static Gate gate({.connections = 1000, .in_flight = 1000});
  return gate;
}

void GateConnection(benchmark::State& state) {
  Gate& gate = SharedGate();
  for (auto _ : state) benchmark::DoNotOptimize(gate.TryConnect());
}

void GateRequest(benchmark::State& state) {
  Gate& gate = SharedGate();
  for (auto _ : state) benchmark::DoNotOptimize(gate.TryBegin());
}

// What a whole request costs at the gate: slot, marks in the table and counters. No goal; for orientation.
void GateWholeRequest(benchmark::State& state) {
  Gate& gate = SharedGate();
  TrackedConnection tracked = gate.connections().Track({}, MonotonicNow());
  for (auto _ : state) {
    const absl::Time begin = MonotonicNow();
    tracked.MarkBusy(absl::InfiniteFuture());
    auto slot = gate.TryBegin();
    const absl::Time end = MonotonicNow();
    gate.Record({.bytes_out = 65536, .latency = end - begin});
    tracked.MarkIdle(end);
  }
}

BENCHMARK(BareIncrementDecrement)->Threads(1)->Threads(2)->UseRealTime();
BENCHMARK(GateConnection)->Threads(1)->Threads(2)->UseRealTime();
BENCHMARK(GateRequest)->Threads(1)->Threads(2)->UseRealTime();
BENCHMARK(GateWholeRequest)->Threads(1)->Threads(2)->UseRealTime();

}  // namespace
}  // namespace headroom
