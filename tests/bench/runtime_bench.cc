// A report on its way from the wire to the core, without the wire: posted, drained, observed and recorded. Beside it
// what a handler that does nothing pays in any case, the making of the report. And what a snapshot of 10,000 nodes
// costs the control loop, once a minute.
#include <cstdint>
#include <vector>

#include "absl/strings/str_cat.h"
#include <benchmark/benchmark.h>

#include "controller/runtime/control_loop.h"
#include "controller/runtime/memory_journal.h"
#include "controller/runtime/records.h"

namespace headroom {
namespace {

constexpr int kNodes = 10'000;
constexpr int kBatch = 50;  // 10,000 reports a second gather so many in Mailbox::kGather
const absl::Time kStart = absl::FromUnixSeconds(1'700'000'000);

class NoExecutor final : public Executor {
 public:
  void Start(const Action&) override {}
};

std::vector<NodeReported> MakeReports() {
  std::vector<NodeReported> reports(kNodes);
  for (int n = 0; n < kNodes; ++n) {
    NodeReported& reported = reports[static_cast<size_t>(n)];
    reported.node = absl::StrCat("storage-node-", n);
    reported.report.boot_id = "0123456789abcdef";
    reported.report.open_count = 80;
    reported.report.limits.connection_count_max = 200;
    for (size_t i = 20; i < 60; ++i) reported.report.counters.latency.counts[i] = 1000;
  }
  return reports;
}

Autoscaler MakeCore(std::vector<NodeReported>& reports) {
  Autoscaler core{Policy()};
  for (NodeReported& reported : reports) {
    NodeHello hello;
    hello.boot_id = reported.report.boot_id;
    core.Observe(kStart, NodeJoined{reported.node, hello});
    for (int i = 0; i < 6; ++i) {
      ++reported.report.sequence;
      reported.report.counters.uptime += absl::Seconds(1);
      core.Observe(kStart, reported);
    }
  }
  core.Tick(kStart);
  return core;
}

NodeReported Next(NodeReported& reported) {
  ++reported.report.sequence;
  reported.report.counters.uptime += absl::Seconds(1);
  ++reported.report.counters.latency.counts[40];
  return reported;
}

void MakingAReport(benchmark::State& state) {
  std::vector<NodeReported> reports = MakeReports();
  size_t next = 0;
  for (auto _ : state) {
    Event event = Next(reports[next++ % kNodes]);
    benchmark::DoNotOptimize(event);
  }
}

void ReportThroughTheMailbox(benchmark::State& state) {
  std::vector<NodeReported> reports = MakeReports();
  Mailbox mailbox;
  std::vector<Event> batch;
  size_t next = 0;
  for (auto _ : state) {
    mailbox.Post(Next(reports[next++ % kNodes])).IgnoreError();
    if (next % kBatch == 0) batch = mailbox.Drain(std::move(batch));
  }
}

void ReportIntoTheCore(benchmark::State& state) {
  std::vector<NodeReported> reports = MakeReports();
  MemoryJournal journal;
  NoExecutor executor;
  ControlLoop loop(MakeCore(reports), executor, journal);
  size_t next = 0;
  for (auto _ : state) {
    loop.Post(Next(reports[next++ % kNodes])).IgnoreError();
    if (next % kBatch == 0) loop.RunOnce(kStart + absl::Milliseconds(1));  // no tick is due
  }
}

void SnapshotOfTenThousandNodes(benchmark::State& state) {
  std::vector<NodeReported> reports = MakeReports();
  const Autoscaler core = MakeCore(reports);
  size_t bytes = 0;
  for (auto _ : state) bytes = EncodeState(core.Save()).size();
  state.counters["bytes_per_node"] = static_cast<double>(bytes) / kNodes;
}

BENCHMARK(MakingAReport);
BENCHMARK(ReportThroughTheMailbox);
BENCHMARK(ReportIntoTheCore);
BENCHMARK(SnapshotOfTenThousandNodes)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace headroom
