#include "controller/providers/simulated.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"

#include "controller/base/check.h"

namespace headroom {
namespace {

// Between two looks at the real clock: what is urgent waits at most so long.
constexpr absl::Duration kStep = absl::Milliseconds(5);
// A thread that was away longer than this (a suspended machine) does not make it up.
constexpr absl::Duration kStepMax = absl::Milliseconds(200);

absl::Duration Duration(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
}

// Nobody calls while there are no clients.
sim::Phase ToPhase(const v1::SimulatedPhase& phase) {
  return {.duration = Duration(phase.duration()),
          .requests_per_second = phase.clients() > 0 ? phase.requests_per_second() : 0,
          .clients = std::max<int64_t>(phase.clients(), 1)};
}

sim::SimulatedCluster::Options ToCluster(const SimulatedProviderOptions& options) {
  const v1::SimulatedProvider& settings = options.settings;
  sim::SimulatedCluster::Options cluster{.initial_count = settings.initial_count(),
                                         .report_interval = options.report_interval};
  cluster.settings.start = options.start;
  if (settings.seed() != 0) cluster.settings.seed = static_cast<uint64_t>(settings.seed());
  if (settings.has_boot()) cluster.boot = Duration(settings.boot());
  sim::NodeSettings& node = cluster.settings.node;
  if (settings.connection_limit() > 0) node.connection_limit = settings.connection_limit();
  if (settings.has_service_time()) node.service_time = Duration(settings.service_time());
  if (settings.knee() > 0) node.knee = settings.knee();
  if (settings.has_idle_timeout()) node.idle_timeout = Duration(settings.idle_timeout());
  for (const v1::SimulatedPhase& phase : settings.phases()) cluster.settings.phases.push_back(ToPhase(phase));
  return cluster;
}

}  // namespace

SimulatedProvider::SimulatedProvider(const SimulatedProviderOptions& options)
    : speed_(options.settings.speed() > 0 ? options.settings.speed() : 1.0),
      now_nanos_(absl::ToUnixNanos(options.start)),
      cluster_(ToCluster(options)) {}

SimulatedProvider::~SimulatedProvider() {
  Stop();
}

void SimulatedProvider::Start(Post post) {
  HR_CHECK(!thread_.joinable());
  thread_ = std::thread([this, post = std::move(post)] { Flow(post); });
}

void SimulatedProvider::Stop() {
  {
    MonitorLock lock(mutex_);
    stopping_ = true;
    mutex_.Notify();
  }
  if (thread_.joinable()) thread_.join();
}

void SimulatedProvider::Flow(const Post& post) {
  auto looked_at = std::chrono::steady_clock::now();
  while (true) {
    const auto now = std::chrono::steady_clock::now();
    const absl::Duration real = std::min(absl::FromChrono(now - std::exchange(looked_at, now)), kStepMax);
    // A full mailbox refuses what reporters repeat anyway.
    for (Event& event : Advance(real)) post(std::move(event)).IgnoreError();
    MonitorLock lock(mutex_);
    if (!stopping_) mutex_.Wait(kStep);
    if (stopping_) return;
  }
}

std::vector<Event> SimulatedProvider::Advance(absl::Duration real) {
  MonitorLock lock(mutex_);
  const absl::Time until = Now() + real * speed_;
  std::vector<Event> events = cluster_.TakeEvents();  // of what was sent to nodes since
  while (cluster_.AdvanceTo(until) < until) {
    for (Event& event : cluster_.TakeEvents()) events.push_back(std::move(event));
  }
  for (Event& event : cluster_.TakeEvents()) events.push_back(std::move(event));
  now_nanos_ = absl::ToUnixNanos(until);
  return events;
}

absl::StatusOr<std::vector<Machine>> SimulatedProvider::List(absl::Duration) {
  MonitorLock lock(mutex_);
  return cluster_.model().Machines();
}

absl::StatusOr<NodeId> SimulatedProvider::Launch(const LaunchRequest& request, absl::Duration) {
  if (request.id.empty()) return absl::InvalidArgumentError("a launch needs the id of its action");
  MonitorLock lock(mutex_);
  return cluster_.Launch(request.id, request.zone);
}

absl::Status SimulatedProvider::Terminate(const NodeId& node, absl::Duration) {
  MonitorLock lock(mutex_);
  cluster_.model().Terminate(node).IgnoreError();  // already gone is done
  return absl::OkStatus();
}

absl::Status SimulatedProvider::Send(const Action& action) {
  MonitorLock lock(mutex_);
  return cluster_.Send(action);
}

sim::ClientStatistics SimulatedProvider::Clients() const {
  MonitorLock lock(mutex_);
  return cluster_.model().total();
}

}  // namespace headroom
