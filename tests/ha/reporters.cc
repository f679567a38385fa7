#include "tests/ha/reporters.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include <grpcpp/grpcpp.h>

#include "headroom/v1/load.grpc.pb.h"

namespace headroom {
namespace {

constexpr int64_t kLimit = 200;

v1::LoadReport HelloOf(const std::string& cluster, const std::string& id, int64_t term_max) {
  v1::LoadReport message;
  v1::Hello* hello = message.mutable_hello();
  hello->set_protocol_version(1);
  hello->set_cluster(cluster);
  hello->set_reporter_id(id);
  hello->set_role(v1::ROLE_NODE);
  hello->set_boot_id("boot");
  hello->set_term_max_seen(term_max);
  hello->set_configured_connection_count_max(kLimit);
  hello->mutable_limits()->set_connection_count_max(kLimit);
  return message;
}

}  // namespace

struct Reporters::Node {
  std::string id;
  std::atomic<bool> draining{false}, was_drained{false}, gone{false};
  std::atomic<int64_t> limit{kLimit}, term_max{0};
  uint64_t sequence = 0;
  int64_t completed = 0;
  std::thread thread;
};

Reporters::Reporters(Options options) : options_(std::move(options)), thread_([this] { Run(); }) {}

Reporters::~Reporters() {
  ending_ = true;
  thread_.join();
}

std::vector<std::string> Reporters::undrained() const {
  const std::lock_guard lock(mutex_);
  return undrained_;
}

std::map<int64_t, absl::Time> Reporters::first_heard() const {
  const std::lock_guard lock(mutex_);
  return heard_;
}

std::set<int64_t> Reporters::terms() const {
  std::set<int64_t> terms;
  for (const auto& [term, at] : first_heard()) terms.insert(term);
  return terms;
}

// Begins and ends nodes as names come and go.
void Reporters::Run() {
  while (!ending_) {
    const std::vector<std::string> names = options_.names();
    for (auto it = nodes_.begin(); it != nodes_.end();) {
      Node& node = *it->second;
      if (std::find(names.begin(), names.end(), it->first) != names.end()) {
        ++it;
        continue;
      }
      if (!node.was_drained) {
        const std::lock_guard lock(mutex_);
        undrained_.push_back(it->first);
      }
      node.gone = true;
      node.thread.join();
      it = nodes_.erase(it);
    }
    for (const std::string& name : names) {
      std::unique_ptr<Node>& node = nodes_[name];
      if (node != nullptr) continue;
      node = std::make_unique<Node>();
      node->id = name;
      node->thread = std::thread([this, raw = node.get()] { Report(*raw); });
    }
    serving_ = static_cast<int>(
        std::count_if(nodes_.begin(), nodes_.end(), [](const auto& node) { return !node.second->draining; }));
    absl::SleepFor(absl::Milliseconds(50));
  }
  for (auto& [name, node] : nodes_) {
    node->gone = true;
    node->thread.join();
  }
}

void Reporters::Report(Node& node) {
  for (size_t i = 0; !node.gone; ++i) {
    if (!Talk(node, options_.endpoints[i % options_.endpoints.size()])) absl::SleepFor(absl::Milliseconds(100));
  }
}

// False: it did not take us.
bool Reporters::Talk(Node& node, const std::string& endpoint) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 1'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 1'000);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  const auto channel = grpc::CreateCustomChannel(endpoint, grpc::InsecureChannelCredentials(), arguments);
  if (!channel->WaitForConnected(std::chrono::system_clock::now() + std::chrono::milliseconds(500))) return false;
  const auto stub = v1::LoadService::NewStub(channel);
  grpc::ClientContext context;
  const auto stream = stub->Report(&context);
  std::atomic<bool> ended{!stream->Write(HelloOf(options_.cluster, node.id, node.term_max))};
  std::atomic<bool> taken{false};
  std::thread reader([&] {
    for (v1::Directive directive; stream->Read(&directive);) {
      if (directive.term() < node.term_max) {
        ++refused_;
        break;
      }
      node.term_max = directive.term();
      taken = true;
      {
        const std::lock_guard lock(mutex_);
        heard_.try_emplace(directive.term(), absl::Now());
      }
      if (directive.lifecycle() != v1::LIFECYCLE_UNSPECIFIED) {
        node.draining = directive.lifecycle() == v1::LIFECYCLE_DRAIN;
        if (node.draining) node.was_drained = true;
      }
      if (directive.has_grant() && directive.grant().connection_count_max() > 0)
        node.limit = directive.grant().connection_count_max();
    }
    ended = true;
    context.TryCancel();
  });
  while (!ended && !node.gone) {
    const int serving = std::max<int>(1, serving_);
    v1::LoadReport message;
    v1::NodeLoad* load = message.mutable_node();
    load->set_boot_id("boot");
    load->set_sequence(++node.sequence);
    load->mutable_uptime()->set_seconds(static_cast<int64_t>(node.sequence));
    const int64_t open = node.draining ? 0 : std::min(demand_ / serving, node.limit.load());
    load->mutable_connections()->set_open_count(open);
    load->mutable_connections()->set_active_count(open);
    load->mutable_limits()->set_connection_count_max(node.limit);
    load->mutable_work()->set_completed_count(node.completed += open);
    load->set_state(node.draining ? v1::SERVER_STATE_DRAINING : v1::SERVER_STATE_SERVING);
    if (!stream->Write(message)) break;
    absl::SleepFor(options_.interval);
  }
  context.TryCancel();
  reader.join();
  return taken;
}

}  // namespace headroom
