#include "storage_node/reporter/node_reporter.h"

#include <algorithm>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"

#include "storage_node/proto_time.h"
#include "storage_node/reporter/node_load.h"

namespace headroom {
namespace {

constexpr int kProtocolVersion = 1;
constexpr int kTopClients = 8;
constexpr absl::Duration kCalmInterval = absl::Seconds(1);
constexpr absl::Duration kPressedInterval = absl::Milliseconds(200);
constexpr absl::Duration kCensusInterval = absl::Milliseconds(200);  // it grows with the connections: 2 ms for 10,000
constexpr absl::Duration kRememberInterval = absl::Minutes(1);
constexpr double kDescriptorRatioMax = 0.9;

std::string NewBootId() {
  std::random_device random;
  std::string id;
  for (int i = 0; i < 4; ++i) absl::StrAppend(&id, absl::Hex(random(), absl::kZeroPad8));
  return id;
}

NodeLimits ConfiguredLimits(const Gate& gate) {
  const GateLimits limits = gate.limits();
  return {.connection_count = limits.connections,
          .in_flight_count = limits.in_flight,
          .idle_timeout = IdleTimeoutOnWire(limits.idle_timeout)};
}

bool SameLimits(const GateLimits& a, const GateLimits& b) {
  return a.connections == b.connections && a.in_flight == b.in_flight && a.idle_timeout == b.idle_timeout;
}

}  // namespace

NodeReporter::NodeReporter(NodeReporterOptions options, ReportedServer server)
    : options_(std::move(options)),
      server_(std::move(server)),
      boot_id_(NewBootId()),
      started_at_(MonotonicNow()),
      sampler_(options_.sampler),
      history_(options_.policy),
      memory_(options_.state_file, options_.identity, absl::Now()),
      keeper_({.configured = ConfiguredLimits(server_.gate),
               .policy = options_.policy,
               .term_max_seen = memory_.hello().term_max_seen()}),
      configured_(ConfiguredLimits(server_.gate)),
      in_force_(server_.gate.limits()),
      stream_(options_.stream, Handlers()) {
  history_.Recall(memory_.hello().learned());
  if (!memory_.problem().ok())
    Log({{"event", "state_file_problem"}, {"error", std::string(memory_.problem().message())}});
}

NodeReporter::~NodeReporter() {
  Stop(v1::Goodbye::REASON_STOPPING);
}

void NodeReporter::Start() {
  watch_ = std::thread([this] { Watch(); });
  saver_ = std::thread([this] {
    while (WaitToSave()) Remember();
  });
  stream_.Start();
}

void NodeReporter::Stop(v1::Goodbye::Reason reason) {
  if (!watch_.joinable()) return;
  {
    const std::lock_guard lock(watch_mutex_);
    stopping_ = true;
    watch_wake_.notify_all();
  }
  watch_.join();
  stream_.Stop(reason);  // a disk that stalls the saver does not delay the goodbye
  saver_.join();
  Remember();
}

GrantState NodeReporter::grant_state() const {
  const std::lock_guard lock(mutex_);
  return keeper_.state();
}

void NodeReporter::Log(LogFields fields) const {
  if (server_.log) server_.log(fields);
}

StreamHandlers NodeReporter::Handlers() {
  StreamHandlers handlers;
  handlers.hello = [this] { return MakeHello(); };
  handlers.report = [this](v1::Urgency urgency) { return MakeReport(urgency); };
  handlers.directive = [this](const v1::Directive& directive) { return Obey(directive); };
  handlers.link = [this](absl::string_view controller, const absl::Status& status) {
    if (status.ok()) {
      Log({{"event", "controller_found"}, {"controller", std::string(controller)}});
    } else {
      Log({{"event", "controller_lost"}, {"controller", std::string(controller)}, {"error", status.ToString()}});
    }
  };
  return handlers;
}

// What is said.

v1::Hello NodeReporter::MakeHello() {
  const std::lock_guard lock(mutex_);
  v1::Hello hello = memory_.hello();
  hello.set_protocol_version(kProtocolVersion);
  hello.set_cluster(options_.cluster);
  hello.set_reporter_id(options_.node_id);
  hello.set_role(v1::ROLE_NODE);
  hello.set_boot_id(boot_id_);
  for (const char* capability : {"limit", "in_flight_limit", "idle_timeout", "shed"})
    hello.add_capabilities(capability);
  if (server_.lifecycle) hello.add_capabilities("drain");
  *hello.mutable_limits() = LimitsInForce();
  hello.set_configured_connection_count_max(configured_.connection_count);
  *hello.mutable_configured_idle_timeout() = ToProto(configured_.idle_timeout);
  hello.set_term_max_seen(keeper_.term_max_seen());
  *hello.mutable_learned() = Learned();
  hello.set_address(options_.address);
  hello.set_admin_address(options_.admin_address);
  hello.set_zone(options_.zone);
  hello.set_launch_id(options_.launch_id);
  hello.set_slot_unit(v1::SLOT_UNIT_SOCKETS);
  *hello.mutable_ceilings() = Ceilings();
  return hello;
}

v1::LoadReport NodeReporter::MakeReport(v1::Urgency urgency) {
  const absl::Time now = MonotonicNow();
  v1::LoadReport report;
  v1::NodeLoad& load = *report.mutable_node();
  load.set_urgency(urgency);
  load.set_state(server_.state ? server_.state() : v1::SERVER_STATE_SERVING);
  const std::lock_guard lock(mutex_);
  const NodeSample sample = TakeSample(now);
  if (now - census_at_ >= kCensusInterval) {
    census_ = server_.gate.connections().Census(now, kTopClients);
    census_at_ = now;
  }
  const NodeView view{.gate = sample.gate, .census = census_, .kernel = sample.kernel, .shed_count = shed_count_};
  FillNodeLoad(view, load);
  load.set_boot_id(boot_id_);
  load.set_sequence(++sequence_);
  *load.mutable_uptime() = ToProto(now - started_at_);
  *load.mutable_limits() = LimitsInForce();
  *load.mutable_ceilings() = Ceilings();
  if (server_.work) server_.work(*load.mutable_work());
  const v1::Learned learned = Learned();
  if (learned_told_ != learned.SerializeAsString()) {
    *load.mutable_learned() = learned;
    learned_told_ = learned.SerializeAsString();
  }
  rejected_told_ = sample.gate.rejected;
  return report;
}

NodeSample NodeReporter::TakeSample(absl::Time now) {
  NodeSample sample{.gate = server_.gate.Read(), .kernel = sampler_.Sample(now)};
  return sample;
}

v1::LimitsInForce NodeReporter::LimitsInForce() const {
  const GateLimits now = server_.gate.limits();
  v1::LimitsInForce limits;
  limits.set_connection_count_max(now.connections);
  limits.set_in_flight_count_max(now.in_flight);
  *limits.mutable_idle_timeout() = ToProto(IdleTimeoutOnWire(now.idle_timeout));
  if (!SameLimits(now, in_force_)) {
    limits.set_source(v1::LimitsInForce::SOURCE_FOREIGN);
    return limits;
  }
  limits.set_source(keeper_.source());
  limits.set_grant_id(keeper_.grant_id());
  limits.set_bound_by(bound_by_);
  return limits;
}

v1::Ceilings NodeReporter::Ceilings() const {
  v1::Ceilings ceilings;
  ceilings.set_fd_connection_count_max(server_.limits.Ceiling());
  return ceilings;
}

v1::Learned NodeReporter::Learned() const {
  v1::Learned learned = history_.Learned();
  learned.set_bad_connection_count(keeper_.bad_connection_count());
  return learned;
}

// What is done.

absl::StatusOr<NodeReporter::Accepted> NodeReporter::Accept(const v1::Directive& directive) {
  const std::lock_guard lock(mutex_);
  const GrantState before = keeper_.state();
  const NodeLimits wanted = keeper_.wanted();
  const absl::Status accepted = keeper_.Accept(directive, MonotonicNow());
  if (!accepted.ok()) {
    Log({{"event", "directive_refused"},
         {"code", absl::StatusCodeToString(accepted.code())},
         {"reason", std::string(accepted.message())}});
    return accepted;
  }
  // Only a grant overrides what an operator has set at the server meanwhile.
  const bool is_granted = GrantKeeper::IsLive(directive) && directive.has_grant();
  return Accepted{.new_term = keeper_.term_max_seen() != memory_.hello().term_max_seen(),
                  .new_limits = is_granted || !(wanted == keeper_.wanted()),
                  .new_state = before != keeper_.state()};
}

absl::Status NodeReporter::Obey(const v1::Directive& directive) {
  const absl::StatusOr<Accepted> accepted = Accept(directive);
  if (!accepted.ok()) return accepted.status();
  // Before it is acted upon, else a restart could follow an older controller.
  if (accepted->new_term) Remember();
  bool is_changed = accepted->new_state;
  {
    const std::lock_guard lock(mutex_);
    is_changed |= accepted->new_limits && PutInForce();
    if (GrantKeeper::IsLive(directive)) ObeyOrders(directive);
  }
  if (is_changed) stream_.Urgent(v1::URGENCY_APPLIED);
  const bool orders = GrantKeeper::IsLive(directive) && directive.lifecycle() != v1::LIFECYCLE_UNSPECIFIED;
  if (orders && server_.lifecycle) {
    server_.lifecycle(directive.lifecycle());
    StateChanged();
  }
  return absl::OkStatus();
}

void NodeReporter::ObeyOrders(const v1::Directive& directive) {
  if (!directive.has_shed()) return;
  const int64_t shed = server_.gate.ShedIdle(MonotonicNow(), directive.shed().connection_count(),
                                             FromProto(directive.shed().idle_min()));
  shed_count_ += shed;
  Log({{"event", "shed"},
       {"asked", absl::StrCat(directive.shed().connection_count())},
       {"closed", absl::StrCat(shed)}});
}

// True: something is in force that was not before.
bool NodeReporter::PutInForce() {
  const NodeLimits wanted = keeper_.wanted();
  const GateLimits before = server_.gate.limits();
  const std::string bound_before = bound_by_;
  if (wanted.connection_count > 0) {
    const absl::StatusOr<AppliedLimit> applied = server_.limits.Apply(wanted.connection_count);
    if (!applied.ok()) {
      bound_by_ = "backlog";
      Log({{"event", "limit_not_applied"},
           {"wanted", absl::StrCat(wanted.connection_count)},
           {"error", std::string(applied.status().message())}});
    } else {
      bound_by_ = applied->bound_by == LimitBound::kNone ? "" : Name(applied->bound_by);
    }
  }
  server_.gate.SetInFlightLimit(wanted.in_flight_count);
  server_.gate.SetIdleTimeout(IdleTimeoutForGate(wanted.idle_timeout));
  in_force_ = server_.gate.limits();
  if (SameLimits(before, in_force_) && bound_before == bound_by_) return false;
  Log({{"event", "limits_in_force"},
       {"connections", absl::StrCat(in_force_.connections)},
       {"before", absl::StrCat(before.connections)},
       {"in_flight", absl::StrCat(in_force_.in_flight)},
       {"idle_timeout", absl::FormatDuration(in_force_.idle_timeout)},
       {"by", std::string(GrantStateName(keeper_.state()))},
       {"bound_by", bound_by_.empty() ? "nothing" : bound_by_}});
  return true;
}

// What is watched.

void NodeReporter::Note(Pressure pressure) {
  pressed_ = pressure != Pressure::kRelieved;
  if (pressure == Pressure::kRelieved) return;
  stream_.Urgent(pressure == Pressure::kRejecting ? v1::URGENCY_REJECTION : v1::URGENCY_LIMIT_REACHED);
  const std::lock_guard lock(watch_mutex_);
  woken_ = true;
  watch_wake_.notify_all();
}

void NodeReporter::Watch() {
  while (WaitForTurn()) Look(MonotonicNow());
}

bool NodeReporter::WaitForTurn() {
  std::unique_lock lock(watch_mutex_);
  const absl::Time deadline = MonotonicNow() + (pressed_ ? kPressedInterval : kCalmInterval);
  while (!stopping_ && !woken_ && MonotonicNow() < deadline) {
    watch_wake_.wait_for(lock, absl::ToChronoNanoseconds(deadline - MonotonicNow()));
  }
  woken_ = false;
  return !stopping_;
}

void NodeReporter::Look(absl::Time now) {
  const std::lock_guard lock(mutex_);
  const NodeSample sample = TakeSample(now);
  history_.Add(sample, now);
  TellPressure(sample);
  LimitInputs inputs = history_.Inputs();
  inputs.fd_count_max = server_.limits.Ceiling();
  const GrantState before = keeper_.state();
  const NodeLimits wanted = keeper_.wanted();
  keeper_.Step(inputs, now);
  if (before != keeper_.state())
    Log({{"event", "lease_lost"}, {"state", std::string(GrantStateName(keeper_.state()))}});
  if ((!(wanted == keeper_.wanted()) && PutInForce()) || before != keeper_.state()) {
    stream_.Urgent(v1::URGENCY_APPLIED);
  }
}

void NodeReporter::TellPressure(const NodeSample& sample) {
  if (sample.gate.rejected > rejected_told_) stream_.Urgent(v1::URGENCY_REJECTION);
  const v1::Resources& resources = sample.kernel.resources;
  const double descriptors = kDescriptorRatioMax * static_cast<double>(resources.fd_count_max());
  const bool stalls = resources.memory_full_ratio() > options_.policy.memory_full_ratio_max ||
                      resources.io_full_ratio() > options_.policy.io_full_ratio_max ||
                      (resources.fd_count_max() > 0 && static_cast<double>(resources.fd_count()) > descriptors);
  if (stalls && !std::exchange(is_stalling_, stalls)) stream_.Urgent(v1::URGENCY_PRESSURE);
  is_stalling_ = stalls;
}

bool NodeReporter::WaitToSave() {
  std::unique_lock lock(watch_mutex_);
  const absl::Time deadline = MonotonicNow() + kRememberInterval;
  while (!stopping_ && MonotonicNow() < deadline) {
    watch_wake_.wait_for(lock, absl::ToChronoNanoseconds(deadline - MonotonicNow()));
  }
  return !stopping_;
}

// A disk may take seconds, above all in an incident of the disk: reports and limits do not wait for it.
void NodeReporter::Remember() {
  const std::lock_guard saving(save_mutex_);
  v1::Hello kept;
  {
    const std::lock_guard lock(mutex_);
    if (!memory_.Note(keeper_.term_max_seen(), Learned()) && !unsaved_) return;
    kept = memory_.hello();
  }
  const absl::Status saved = NodeMemory::Save(options_.state_file, kept);
  unsaved_ = !saved.ok();
  if (unsaved_) Log({{"event", "state_file_problem"}, {"error", std::string(saved.message())}});
}

}  // namespace headroom
