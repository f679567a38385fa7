// The wire under 10,000 reports a second, in two processes so that each one's processor time is its own:
//
//   ingest_bench serve headroom|untimed|nothing STATE_DIR
//   ingest_bench report PORT NODES REPORTS_PER_SECOND SECONDS [NODES_OF_A_CLUSTER]
//
// `serve` prints its port, then its usage as one JSON object for every line that it reads, and ends with its input.
// What it serves: `headroom`, reports into the core through mailbox, control loop and journal; `untimed`, the same
// without regular ticks; `nothing`, the limit: the same gRPC service, which parses each message and drops it.
// `report` opens one connection for each node, warms up, prints "begin", reports for the seconds, prints what it sent
// as one JSON object, and holds the connections until its input ends. With a last argument the nodes are files-0,
// files-1 and so on of the clusters files-0, files-1 and so on, so many each. Loopback only.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include <grpcpp/grpcpp.h>
#include <sys/resource.h>
#include <unistd.h>

#include "controller/base/check.h"
#include "controller/runtime/control_loop.h"
#include "controller/runtime/sqlite_journal.h"
#include "controller/server/load_service.h"

namespace headroom {
namespace {

absl::Duration ProcessTime() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return absl::DurationFromTimeval(usage.ru_utime) + absl::DurationFromTimeval(usage.ru_stime);
}

int64_t ResidentBytes() {
  int64_t pages = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

class NoExecutor final : public Executor {
 public:
  void Start(const Action&) override {}
};

// The least a server of this protocol can do.
class NothingService final : public v1::LoadService::CallbackService {
 public:
  grpc::ServerBidiReactor<v1::LoadReport, v1::Directive>* Report(grpc::CallbackServerContext*) override {
    return new Stream(reports_);
  }
  int64_t reports() const { return reports_.load(std::memory_order_relaxed); }

 private:
  class Stream final : public grpc::ServerBidiReactor<v1::LoadReport, v1::Directive> {
   public:
    explicit Stream(std::atomic<int64_t>& reports) : reports_(reports) { StartRead(&incoming_); }
    void OnReadDone(bool ok) override {
      if (!ok) return Finish(grpc::Status::OK);
      reports_.fetch_add(incoming_.has_node() ? 1 : 0, std::memory_order_relaxed);
      StartRead(&incoming_);
    }
    void OnDone() override { delete this; }

   private:
    std::atomic<int64_t>& reports_;
    v1::LoadReport incoming_;
  };
  std::atomic<int64_t> reports_{0};
};

// What headroomd does between the wire and its journal, and nothing else.
class Controller {
 public:
  Controller(const Policy& policy, const std::string& state_dir)
      : journal_(OpenJournal(state_dir)), loop_(Autoscaler(policy), executor_, *journal_) {
    HR_CHECK(loop_.Post(TermChanged{1}).ok());
    thread_ = std::thread([this] { Run(); });
  }
  ~Controller() {
    stopping_ = true;
    loop_.Wake();
    thread_.join();
  }
  LoadService& service() { return service_; }
  const LoadCounters& counters() const { return intake_->counters(); }

 private:
  static std::unique_ptr<SqliteJournal> OpenJournal(const std::string& state_dir) {
    SqliteJournal::Options options;
    options.state_dir = state_dir;
    options.say = [](absl::string_view text) { std::cerr << text << "\n"; };
    auto journal = SqliteJournal::Open(std::move(options));
    HR_CHECK(journal.ok());
    return *std::move(journal);
  }
  void Run() {
    while (!stopping_) {
      const absl::Time next = loop_.RunOnce(absl::Now());
      loop_.Wait([] { return absl::Now(); }, std::min(next, absl::Now() + absl::Seconds(1)));
    }
  }

  NoExecutor executor_;
  std::unique_ptr<SqliteJournal> journal_;
  ControlLoop loop_;
  StreamRegistry registry_{StreamRegistry::Options{.term = [] { return int64_t{1}; }, .mode = Mode::kLive}};
  const Access access_{Access::Rule::kAnybody, "bench"};
  const std::shared_ptr<LoadIntake> intake_ = std::make_shared<LoadIntake>(
      LoadIntake::Options{.access = access_,
                          .post = [this](Event event) { return loop_.Post(std::move(event)); },
                          .saw_term = [](int64_t, absl::string_view) {}},
      registry_);
  LoadService service_{[this](const std::string&) { return intake_; }};
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

Policy PolicyFor(const std::string& what) {
  Policy policy;
  policy.cluster = "bench";
  policy.nodes.max = 20'000;
  if (what == "untimed") policy.control.tick = absl::Hours(10);
  return policy;
}

int Serve(const std::string& what, const std::string& state_dir) {
  NothingService nothing;
  std::unique_ptr<Controller> controller;
  if (what != "nothing") controller = std::make_unique<Controller>(PolicyFor(what), state_dir);
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  if (controller != nullptr)
    builder.RegisterService(&controller->service());
  else
    builder.RegisterService(&nothing);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  std::cout << port << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    const int64_t reports = controller != nullptr ? controller->counters().accepted() : nothing.reports();
    std::cout << absl::StrFormat("{\"cpu_seconds\": %.6f, \"reports\": %d, \"resident_bytes\": %d}",
                                 absl::ToDoubleSeconds(ProcessTime()), reports, ResidentBytes())
              << std::endl;
  }
  server->Shutdown(std::chrono::system_clock::now() + std::chrono::milliseconds(200));
  return 0;
}

// What a node is called, and where.
struct Name {
  std::string cluster, id;
};

Name NameOf(int n, int nodes_of_a_cluster) {
  if (nodes_of_a_cluster == 0) return {"bench", absl::StrCat("storage-node-", n)};
  return {absl::StrCat("files-", n / nodes_of_a_cluster), absl::StrCat("files-", n % nodes_of_a_cluster)};
}

v1::LoadReport HelloOf(int n, const Name& name) {
  v1::LoadReport message;
  v1::Hello& hello = *message.mutable_hello();
  hello.set_protocol_version(1);
  hello.set_cluster(name.cluster);
  hello.set_reporter_id(name.id);
  hello.set_role(v1::ROLE_NODE);
  hello.set_boot_id(absl::StrCat("0123456789abcdef-", n));
  hello.set_server_version("headroom-node 1.4.2");
  hello.set_config_hash("sha256:5f2b8c7e9a");
  hello.set_address("10.1.2.3:8080");
  hello.set_configured_connection_count_max(200);
  hello.mutable_configured_idle_timeout()->set_seconds(30);
  hello.mutable_limits()->set_connection_count_max(200);
  return message;
}

v1::LoadReport ReportOf(int n) {
  v1::LoadReport message;
  v1::NodeLoad& load = *message.mutable_node();
  load.set_boot_id(absl::StrCat("0123456789abcdef-", n));
  load.mutable_uptime()->set_seconds(100);
  v1::Connections& connections = *load.mutable_connections();
  connections.set_open_count(80);
  connections.set_active_count(9);
  for (int age = 0; age < 7; ++age) connections.add_idle_age_counts(10);
  for (int client = 0; client < 8; ++client) {
    v1::Client& top = *connections.add_top_clients();
    top.set_address(absl::StrCat("10.2.0.", client));
    top.set_open_count(3);
  }
  connections.set_client_count(60);
  load.mutable_limits()->set_connection_count_max(200);
  load.mutable_limits()->mutable_idle_timeout()->set_seconds(30);
  load.mutable_listener()->set_accept_queue_count_max(128);
  load.mutable_work()->set_completed_count(1'000'000);
  load.mutable_work()->set_sent_bytes(16'000'000'000);
  load.mutable_work()->mutable_device_time()->set_seconds(900);
  load.mutable_resources()->set_fd_count(120);
  load.mutable_resources()->set_cpu_count(8);
  load.mutable_resources()->set_io_full_ratio(0.01);
  for (int bucket = 0; bucket < LatencyHistogram::kBuckets; ++bucket)
    load.add_latency_bucket_counts(bucket > 20 && bucket < 60 ? 20'000 + bucket : bucket % 3);
  load.set_state(v1::SERVER_STATE_SERVING);
  return message;
}

// One node: a connection of its own, and one report at a time.
class Reporter final : public grpc::ClientBidiReactor<v1::LoadReport, v1::Directive> {
 public:
  Reporter(int port, int n, const Name& name) : report_(ReportOf(n)), began_(absl::Now()) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    const std::string address = absl::StrCat("127.0.0.1:", port);
    stub_ = v1::LoadService::NewStub(grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments));
    stub_->async()->Report(&context_, this);
    hello_ = HelloOf(n, name);
    AddHold();
    StartRead(&directive_);
    StartWrite(&hello_);
    StartCall();
  }
  // False: the last one is still on its way.
  bool Send() {
    if (writing_.exchange(true)) return false;
    v1::NodeLoad& load = *report_.mutable_node();
    load.set_sequence(load.sequence() + 1);
    const absl::Duration uptime = absl::Now() - began_;
    load.mutable_uptime()->set_seconds(absl::ToInt64Seconds(uptime));
    load.mutable_uptime()->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(uptime) % 1'000'000'000));
    load.mutable_work()->set_completed_count(load.work().completed_count() + 80);
    load.set_latency_bucket_counts(40, load.latency_bucket_counts(40) + 80);
    StartWrite(&report_);
    return true;
  }
  bool joined() const { return joined_; }
  bool broken() const { return broken_; }
  void OnWriteDone(bool ok) override {
    if (!ok) broken_ = true;
    joined_ = true;
    writing_ = false;
  }
  void OnReadDone(bool ok) override {
    if (ok) StartRead(&directive_);
  }
  void OnDone(const grpc::Status&) override { broken_ = true; }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<v1::LoadService::Stub> stub_;
  v1::LoadReport hello_, report_;
  v1::Directive directive_;
  const absl::Time began_;
  std::atomic<bool> writing_{true}, joined_{false}, broken_{false};
};

struct Sent {
  int64_t reports = 0, late = 0;
};

// Open loop, a millisecond at a time.
Sent Run(std::vector<std::unique_ptr<Reporter>>& reporters, double per_second, absl::Duration time) {
  Sent sent;
  size_t next = 0;
  const absl::Time began = absl::Now();
  for (absl::Time now = began; now - began < time; now = absl::Now()) {
    const auto due = static_cast<int64_t>(absl::ToDoubleSeconds(now - began) * per_second);
    while (sent.reports + sent.late < due) {
      ++(reporters[next++ % reporters.size()]->Send() ? sent.reports : sent.late);
    }
    absl::SleepFor(absl::Milliseconds(1));
  }
  return sent;
}

int Report(int port, int nodes, double per_second, absl::Duration time, int nodes_of_a_cluster) {
  constexpr int kAtOnce = 100;
  std::vector<std::unique_ptr<Reporter>> reporters;
  const absl::Time deadline = absl::Now() + absl::Minutes(2);
  for (int n = 0; n < nodes; ++n) {
    reporters.push_back(std::make_unique<Reporter>(port, n, NameOf(n, nodes_of_a_cluster)));
    if (n % kAtOnce != kAtOnce - 1 && n != nodes - 1) continue;
    while (!reporters.back()->joined() && absl::Now() < deadline) absl::SleepFor(absl::Milliseconds(5));
  }
  Run(reporters, per_second, absl::Seconds(8));  // until every node has its window of counters
  std::cout << "begin" << std::endl;
  const Sent sent = Run(reporters, per_second, time);
  const auto broken = std::count_if(reporters.begin(), reporters.end(), [](const auto& one) { return one->broken(); });
  std::cout << absl::StrFormat("{\"reports\": %d, \"late\": %d, \"broken\": %d}", sent.reports, sent.late, broken)
            << std::endl;
  std::string line;
  while (std::getline(std::cin, line)) {
  }
  std::_Exit(0);  // 10,000 streams: the kernel closes them sooner
}

}  // namespace
}  // namespace headroom

int main(int argc, char** argv) {
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);  // as headroomd
  const std::string what = argc > 1 ? argv[1] : "";
  if (what == "serve" && argc == 4) return headroom::Serve(argv[2], argv[3]);
  if (what == "report" && (argc == 6 || argc == 7)) {
    return headroom::Report(std::atoi(argv[2]), std::atoi(argv[3]), std::atof(argv[4]),
                            absl::Seconds(std::atoi(argv[5])), argc == 7 ? std::atoi(argv[6]) : 0);
  }
  std::cerr << "ingest_bench serve headroom|untimed|nothing STATE_DIR\n"
               "ingest_bench report PORT NODES REPORTS_PER_SECOND SECONDS [NODES_OF_A_CLUSTER]\n";
  return 2;
}
