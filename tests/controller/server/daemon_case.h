#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include <boost/asio/ip/tcp.hpp>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include "controller/base/address.h"
#include "controller/runtime/memory_journal.h"
#include "controller/server/daemon.h"
#include "headroom/v1/admin.grpc.pb.h"
#include "headroom/v1/load.grpc.pb.h"

// A whole daemon in this process, whose world nobody may touch, and a client of it.

namespace headroom {

inline constexpr absl::Duration kPatience = absl::Seconds(30);
inline constexpr char kPolicy[] = R"(
cluster: test
mode: MODE
nodes:
  min: 1
  max: 4
provider:
  simulated:
    seed: 1
)";

// A world that nobody may touch, and that says who tried.
class UntouchedProvider : public Provider {
 public:
  UntouchedProvider(std::atomic<int>& touched, std::atomic<int>& listed) : touched_(touched), listed_(listed) {}
  ProviderCapabilities capabilities() const override { return {}; }
  absl::StatusOr<std::vector<Machine>> List(absl::Duration) override {
    ++listed_;
    return std::vector<Machine>();
  }
  absl::StatusOr<NodeId> Launch(const LaunchRequest&, absl::Duration) override {
    ++touched_;
    return absl::UnavailableError("no");
  }
  absl::Status Terminate(const NodeId&, absl::Duration) override {
    ++touched_;
    return absl::UnavailableError("no");
  }

 private:
  std::atomic<int>& touched_;
  std::atomic<int>& listed_;
};

inline v1::LoadReport Hello(const std::string& id) {
  v1::LoadReport message;
  v1::Hello* hello = message.mutable_hello();
  hello->set_protocol_version(1);
  hello->set_reporter_id(id);
  hello->set_role(v1::ROLE_NODE);
  hello->set_boot_id("boot");
  hello->set_configured_connection_count_max(200);
  hello->mutable_limits()->set_connection_count_max(200);
  return message;
}

inline v1::LoadReport Load(uint64_t sequence, int64_t open_count) {
  v1::LoadReport message;
  v1::NodeLoad* load = message.mutable_node();
  load->set_boot_id("boot");
  load->set_sequence(sequence);
  load->mutable_uptime()->set_seconds(static_cast<int64_t>(sequence));
  load->mutable_connections()->set_open_count(open_count);
  load->mutable_limits()->set_connection_count_max(200);
  load->mutable_work();
  return message;
}

class DaemonTest : public ::testing::Test {
 protected:
  void Start(const std::string& mode) { Connect(TryStart(mode)); }
  void Connect(absl::StatusOr<std::unique_ptr<Daemon>> daemon) {
    ASSERT_TRUE(daemon.ok()) << daemon.status();
    daemon_ = *std::move(daemon);
    channel_ = grpc::CreateChannel(HostPort(listen_, daemon_->grpc_port()), grpc::InsecureChannelCredentials());
    load_ = v1::LoadService::NewStub(channel_);
    admin_ = v1::AdminService::NewStub(channel_);
  }
  absl::StatusOr<std::unique_ptr<Daemon>> TryStart(const std::string& mode,
                                                   std::function<absl::Status()> first_nodes = nullptr) {
    absl::StatusOr<Cluster::Parts> parts = PartsOf("test", mode);
    if (!parts.ok()) return parts.status();
    parts->first_nodes = std::move(first_nodes);
    return Daemon::Start(OptionsOf(), *std::move(parts));
  }
  Daemon::Options OptionsOf() const {
    return {.listen = listen_, .version = "test", .credentials = credentials_, .plaintext = plaintext_};
  }
  absl::StatusOr<Cluster::Parts> PartsOf(const std::string& name, const std::string& mode) {
    std::string yaml = kPolicy;
    yaml.replace(yaml.find("MODE"), 4, mode);
    yaml.replace(yaml.find("test"), 4, name);
    absl::StatusOr<Config> config = ParseConfig(yaml, "policy");
    if (!config.ok()) return config.status();
    return Cluster::Parts{.config = *std::move(config),
                          .yaml = yaml,
                          .journal = journal_ != nullptr ? std::move(journal_) : std::make_unique<MemoryJournal>(),
                          .provider = std::make_unique<UntouchedProvider>(touched_, listed_),
                          .clock = clock_};
  }
  // With these clusters beside each other.
  void StartMany(const std::vector<std::string>& names) {
    Connect(Daemon::Start(OptionsOf()));
    for (const std::string& name : names) {
      absl::StatusOr<Cluster::Parts> parts = PartsOf(name, "dry_run");
      ASSERT_TRUE(parts.ok()) << parts.status();
      ASSERT_TRUE(daemon_->Add(*std::move(parts)).ok());
    }
  }

  struct Stream {
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReaderWriter<v1::LoadReport, v1::Directive>> rpc;
  };
  std::unique_ptr<Stream> Open(const v1::LoadReport& first) {
    auto stream = std::make_unique<Stream>();
    stream->context.set_deadline(absl::ToChronoTime(absl::Now() + kPatience));
    stream->rpc = load_->Report(&stream->context);
    stream->rpc->Write(first);
    return stream;
  }
  // The status that a stream with this first message ends with.
  grpc::Status EndOf(const v1::LoadReport& first) { return EndOf(*Open(first)); }
  static grpc::Status EndOf(Stream& stream) {
    v1::Directive directive;
    while (stream.rpc->Read(&directive)) {
    }
    return stream.rpc->Finish();
  }

  template <typename Request, typename Response>
  grpc::Status Call(grpc::Status (v1::AdminService::Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                    const Request& request, Response* response) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + kPatience));
    return (admin_.get()->*method)(&context, request, response);
  }
  // Those that have spoken. What the loop launches for nodes.min, in a dry run in thought, comes within a tick of its
  // first list of machines: before a test has looked, on a slow machine.
  std::vector<v1::Node> Nodes(const std::string& cluster = "") {
    v1::ListNodesRequest request;
    request.set_cluster(cluster);
    v1::ListNodesResponse response;
    const grpc::Status status = Call(&v1::AdminService::Stub::ListNodes, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    std::vector<v1::Node> nodes(response.nodes().begin(), response.nodes().end());
    std::erase_if(nodes, [](const v1::Node& node) { return node.hypothetical() || node.state() == "launching"; });
    return nodes;
  }
  // Whether the one node comes to have so many connections open.
  bool ComesToHave(int64_t open_count) {
    const absl::Time end = absl::Now() + kPatience;
    while (absl::Now() < end) {
      const std::vector<v1::Node> nodes = Nodes();
      if (nodes.size() == 1 && nodes[0].open_count() == open_count) return true;
      absl::SleepFor(absl::Milliseconds(20));
    }
    return false;
  }

  // The first answer to this message, as a client without generated code sees it.
  std::string Raw(const std::string& method, const std::string& message) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + kPatience));
    grpc::CompletionQueue queue;
    const auto finish = [&queue] {
      void* tag = nullptr;
      bool ok = false;
      return queue.Next(&tag, &ok) && ok;
    };
    const auto call = grpc::GenericStub(channel_).PrepareCall(&context, method, &queue);
    call->StartCall(nullptr);
    EXPECT_TRUE(finish());
    const grpc::Slice slice(message);
    call->WriteLast(grpc::ByteBuffer(&slice, 1), grpc::WriteOptions(), nullptr);
    EXPECT_TRUE(finish());
    grpc::ByteBuffer answer;
    call->Read(&answer, nullptr);
    EXPECT_TRUE(finish());
    context.TryCancel();
    grpc::Slice bytes;
    EXPECT_TRUE(answer.DumpToSingleSlice(&bytes).ok());
    return {reinterpret_cast<const char*>(bytes.begin()), bytes.size()};
  }

  // The whole answer of the HTTP port to this method and path.
  std::string Fetch(const std::string& request) {
    boost::asio::ip::tcp::iostream http("127.0.0.1", absl::StrCat(daemon_->http_port()));
    http.expires_after(absl::ToChronoMilliseconds(kPatience));
    http << request << " HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: 0\r\n\r\n" << std::flush;
    return {std::istreambuf_iterator<char>(http), {}};
  }

  std::unique_ptr<Journal> journal_;  // one in memory
  std::string listen_ = "127.0.0.1";
  const Clock* clock_ = nullptr;  // the system's
  WireCredentials* credentials_ = nullptr;
  Daemon::Options::Plaintext plaintext_ = Daemon::Options::Plaintext::kLoopback;
  std::atomic<int> listed_ = 0;
  std::atomic<int> touched_{0};
  std::unique_ptr<Daemon> daemon_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::LoadService::Stub> load_;
  std::unique_ptr<v1::AdminService::Stub> admin_;
};

}  // namespace headroom
