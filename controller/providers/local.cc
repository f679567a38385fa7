#include "controller/providers/local.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "controller/base/address.h"
#include "controller/base/status.h"

namespace headroom {
namespace {

namespace fs = std::filesystem;

constexpr int kNodesMax = 1000;
constexpr int kAdminPortOffset = 1000;
// Free ports are taken from below Linux's default ephemeral range: no outgoing connection may take a node's port while
// it restarts.
constexpr int kFreePortMin = 20'000, kFreePortMax = 32'000;
constexpr size_t kEndedMax = 256;  // launch ids of gone machines that are remembered; the oldest is dropped
constexpr uintmax_t kLogBytesMax = 4 << 20;
constexpr absl::Duration kWatchInterval = absl::Milliseconds(50);
constexpr char kEndedFile[] = "ended", kInitializedFile[] = "initialized",
               kMarker[] = "HEADROOM_INCARNATION=", kController[] = "--controller=";

std::chrono::nanoseconds Chrono(absl::Duration duration) {
  return absl::ToChronoNanoseconds(duration);
}

bool CanBind(const std::string& address, int port) {
  const int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_port = htons(static_cast<uint16_t>(port));
  inet_pton(AF_INET, address.c_str(), &name.sin_addr);
  const bool bound = bind(descriptor, reinterpret_cast<const sockaddr*>(&name), sizeof(name)) == 0;
  close(descriptor);
  return bound;
}

std::string ProgramBesideThis() {
  std::error_code error;
  const fs::path self = fs::read_symlink("/proc/self/exe", error);
  return (self.parent_path() / "headroom-node").string();
}

void RotateLog(const std::string& path) {
  std::error_code error;  // a log that cannot be rotated must not keep a node from starting
  if (fs::file_size(path, error) > kLogBytesMax && !error) fs::rename(path, path + ".1", error);
}

bool IsRecordFile(const fs::path& path) {
  const std::string name = path.filename().string();
  return absl::StartsWith(name, "node-") && !absl::StrContains(name, '.');
}

absl::Status Resolve(v1::LocalProvider& settings) {
  if (settings.address().empty()) settings.set_address("127.0.0.1");
  if (!IsLoopbackV4(settings.address())) {
    return absl::InvalidArgumentError(
        absl::StrCat("provider.local.address: ", settings.address(), " is no loopback address (127.0.0.0/8)"));
  }
  if (settings.data_dir().empty()) return absl::InvalidArgumentError("provider.local.data_dir: required");
  if (settings.program().empty()) settings.set_program(ProgramBesideThis());
  settings.set_program(fs::absolute(settings.program()).string());
  settings.set_data_dir(fs::absolute(settings.data_dir()).string());
  if (access(settings.program().c_str(), X_OK) != 0) {
    return absl::InvalidArgumentError(absl::StrCat("provider.local.program: cannot run ", settings.program()));
  }
  return absl::OkStatus();
}

}  // namespace

LocalProvider::LocalProvider(LocalProviderOptions options)
    : options_(std::move(options)),
      folder_(fs::absolute(fs::path(options_.state_dir) / "nodes").string()),
      boot_id_(KernelBootId()) {}

LocalProvider::~LocalProvider() {
  {
    MonitorLock lock(mutex_);
    stopping_ = true;
    mutex_.Notify();
  }
  if (watcher_.joinable()) watcher_.join();
}

absl::StatusOr<std::unique_ptr<LocalProvider>> LocalProvider::Open(LocalProviderOptions options) {
  HR_RETURN_IF_ERROR(Resolve(options.settings));
  std::unique_ptr<LocalProvider> provider(new LocalProvider(std::move(options)));
  HR_RETURN_IF_ERROR(provider->Adopt());
  return provider;
}

absl::Status LocalProvider::Adopt() {
  std::error_code error;
  fs::create_directories(folder_, error);
  if (error) return absl::UnavailableError(absl::StrCat("cannot create ", folder_, ": ", error.message()));
  MonitorLock lock(mutex_);
  for (const auto& entry : fs::directory_iterator(folder_, error)) {
    if (!IsRecordFile(entry.path())) continue;
    HR_ASSIGN_OR_RETURN(Node node, Annotate(ReadNode(entry.path().string()), entry.path().string()));
    nodes_.emplace(node.record.number, std::move(node));
  }
  if (error) return absl::UnavailableError(absl::StrCat("cannot read ", folder_, ": ", error.message()));
  const absl::StatusOr<std::string> ended = ReadStateFile(RecordPath(kEndedFile));
  if (!ended.ok()) return absl::IsNotFound(ended.status()) ? absl::OkStatus() : ended.status();
  for (absl::string_view line : absl::StrSplit(*ended, '\n', absl::SkipEmpty())) {
    const std::pair<std::string, std::string> launch = absl::StrSplit(line, absl::MaxSplits(' ', 1));
    ended_.push_back(launch);
  }
  return absl::OkStatus();
}

absl::StatusOr<LocalProvider::Node> LocalProvider::ReadNode(const std::string& path) const {
  HR_ASSIGN_OR_RETURN(const std::string text, ReadStateFile(path));
  HR_ASSIGN_OR_RETURN(LocalRecord record, ParseRecord(text));
  Node node{.record = std::move(record), .pause = options_.restart_pause};
  node.running = node.record.boot_id == boot_id_ && IsAlive(node.record.process);
  if (!node.running) {
    // The controller may have died between starting the process and writing down its pid.
    const std::optional<Process> found = FindByEnvironment(kMarker + node.record.incarnation);
    node.running = found.has_value();
    if (found.has_value()) node.record.process = *found;
  }
  node.record.boot_id = boot_id_;
  node.started_at = node.start_due_at = Clock::now();
  node.kill_due_at = node.started_at + Chrono(options_.terminate_grace);
  if (node.running && node.record.terminated) Signal(node.record.process, SIGTERM);
  const std::string reports_to = ReportsTo(node.record);
  if (node.running && reports_to != options_.controller_address && options_.say) {
    options_.say(absl::StrCat(node.record.node, " was started to report to ", reports_to, ", this controller is at ",
                              options_.controller_address, "; restart the node to have it back"));
  }
  HR_RETURN_IF_ERROR(WriteStateFile(path, FormatRecord(node.record)));
  return node;
}

std::string LocalProvider::ReportsTo(const LocalRecord& record) const {
  for (const std::string& argument : record.argv) {
    if (absl::StartsWith(argument, kController)) return argument.substr(sizeof kController - 1);
  }
  return options_.controller_address;
}

void LocalProvider::ReportHere(LocalRecord& record) const {
  for (std::string& argument : record.argv) {
    if (absl::StartsWith(argument, kController)) argument = kController + options_.controller_address;
  }
}

absl::Status LocalProvider::Begin(int count) {
  if (!watcher_.joinable()) watcher_ = std::thread([this] { Watch(); });
  MonitorLock lock(mutex_);
  const std::string marker = RecordPath(kInitializedFile);
  if (!nodes_.empty() && fs::exists(marker)) return absl::OkStatus();
  while (static_cast<int>(nodes_.size()) < count) {
    const absl::StatusOr<NodeId> node = LaunchLocked({});
    if (!node.ok()) return Annotate(node.status(), "initial nodes");
  }
  return WriteStateFile(marker, "");
}

absl::StatusOr<std::vector<Machine>> LocalProvider::List(absl::Duration) {
  MonitorLock lock(mutex_);
  std::vector<Machine> machines;
  for (const auto& [number, node] : nodes_) {
    Machine::State state = node.running ? Machine::State::kRunning : Machine::State::kStarting;
    if (node.record.terminated) state = Machine::State::kStopping;
    machines.push_back(
        {.node = node.record.node, .state = state, .zone = node.record.zone, .launch_id = node.record.launch_id});
  }
  return machines;
}

absl::StatusOr<NodeId> LocalProvider::Launch(const LaunchRequest& request, absl::Duration) {
  if (request.id.empty()) return absl::InvalidArgumentError("a launch needs the id of its action");
  if (absl::StrContains(request.id, '\n') || absl::StrContains(request.id, ' ')) {
    return absl::InvalidArgumentError(absl::StrCat("launch id with a blank: ", request.id));
  }
  MonitorLock lock(mutex_);
  for (const auto& [number, node] : nodes_) {
    if (node.record.launch_id == request.id) return node.record.node;
  }
  for (const auto& [launch_id, node] : ended_) {
    if (launch_id == request.id) return node;
  }
  return LaunchLocked(request);
}

absl::StatusOr<NodeId> LocalProvider::LaunchLocked(const LaunchRequest& request) {
  HR_ASSIGN_OR_RETURN(LocalRecord record, NewRecord(request));
  HR_RETURN_IF_ERROR(WriteStateFile(RecordPath(record.node), FormatRecord(record)));
  Node node{.record = std::move(record), .pause = options_.restart_pause};
  if (absl::Status started = Start(node); !started.ok()) {
    fs::remove(RecordPath(node.record.node));
    return started;
  }
  NodeId id = node.record.node;
  nodes_.emplace(node.record.number, std::move(node));
  return id;
}

absl::StatusOr<LocalRecord> LocalProvider::NewRecord(const LaunchRequest& request) {
  LocalRecord record{.number = 1, .launch_id = request.id, .zone = request.zone, .boot_id = boot_id_};
  while (nodes_.contains(record.number)) ++record.number;
  if (record.number > kNodesMax) {
    return absl::ResourceExhaustedError(absl::StrCat("this machine runs ", kNodesMax, " nodes already"));
  }
  record.node = absl::StrCat("node-", record.number);
  record.incarnation = absl::StrCat(absl::Hex(random_(), absl::kZeroPad16));
  if (const int first = options_.settings.first_port(); first > 0) {
    record.port = first + record.number;
    record.admin_port = record.port + kAdminPortOffset;
  } else {
    HR_ASSIGN_OR_RETURN(record.port, FreePort(0));
    HR_ASSIGN_OR_RETURN(record.admin_port, FreePort(record.port));
  }
  record.argv = Arguments(record);
  return record;
}

bool LocalProvider::IsPortTaken(int port) const {
  return std::any_of(nodes_.begin(), nodes_.end(), [port](const auto& entry) {
    return entry.second.record.port == port || entry.second.record.admin_port == port;
  });
}

absl::StatusOr<int> LocalProvider::FreePort(int taken) {
  constexpr int kPorts = kFreePortMax - kFreePortMin;
  const int begin = static_cast<int>(random_() % kPorts);
  for (int step = 0; step < kPorts; ++step) {
    const int port = kFreePortMin + (begin + step) % kPorts;
    if (port != taken && !IsPortTaken(port) && CanBind(options_.settings.address(), port)) return port;
  }
  return absl::ResourceExhaustedError(
      absl::StrCat("no free port from ", kFreePortMin, " to ", kFreePortMax, " on ", options_.settings.address()));
}

std::vector<std::string> LocalProvider::Arguments(const LocalRecord& record) const {
  const v1::LocalProvider& settings = options_.settings;
  std::vector<std::string> argv = {settings.program(),
                                   absl::StrCat("--node-id=", record.node),
                                   absl::StrCat("--data-dir=", settings.data_dir()),
                                   absl::StrCat("--listen=", settings.address(), ":", record.port),
                                   absl::StrCat("--admin-listen=", settings.address(), ":", record.admin_port),
                                   absl::StrCat("--state-file=", RecordPath(record.node), ".learned")};
  const auto add = [&argv](absl::string_view flag, absl::string_view value) {
    if (!value.empty()) argv.push_back(absl::StrCat(flag, "=", value));
  };
  if (!options_.controller_address.empty()) argv.push_back(kController + options_.controller_address);
  add("--cluster", options_.cluster);
  add("--zone", record.zone);
  add("--launch-id", record.launch_id);
  if (settings.connection_limit() > 0) add("--connection-limit", absl::StrCat(settings.connection_limit()));
  if (settings.backlog() > 0) add("--backlog", absl::StrCat(settings.backlog()));
  if (settings.has_idle_timeout()) {
    add("--idle-timeout", absl::FormatDuration(absl::Seconds(settings.idle_timeout().seconds()) +
                                               absl::Nanoseconds(settings.idle_timeout().nanos())));
  }
  argv.insert(argv.end(), settings.arguments().begin(), settings.arguments().end());
  return argv;
}

absl::Status LocalProvider::Terminate(const NodeId& id, absl::Duration timeout) {
  const Clock::time_point deadline = Clock::now() + Chrono(std::min(timeout, absl::Hours(1)));
  MonitorLock lock(mutex_);
  const auto find = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return std::find_if(nodes_.begin(), nodes_.end(),
                        [&id](const auto& entry) { return entry.second.record.node == id; });
  };
  const auto found = find();
  if (found == nodes_.end()) return absl::OkStatus();
  const std::string incarnation = found->second.record.incarnation;
  if (!found->second.record.terminated) {
    found->second.record.terminated = true;
    BeginEnd(found->second);
    // Without it on disk a controller that dies before its node would start the node again: no reason to keep it now.
    WriteStateFile(RecordPath(id), FormatRecord(found->second.record)).IgnoreError();
  }
  while (true) {
    const auto now = find();
    if (now == nodes_.end() || now->second.record.incarnation != incarnation) return absl::OkStatus();
    const absl::Duration left = absl::FromChrono(deadline - Clock::now());
    if (left <= absl::ZeroDuration()) {
      return absl::DeadlineExceededError(absl::StrCat(id, " was asked to end and has not yet"));
    }
    mutex_.Wait(left);
  }
}

void LocalProvider::BeginEnd(Node& node) {
  node.kill_due_at = Clock::now() + Chrono(options_.terminate_grace);
  if (node.running) Signal(node.record.process, SIGTERM);
  mutex_.Notify();
}

void LocalProvider::Watch() {
  MonitorLock lock(mutex_);
  while (!stopping_) {
    for (auto at = nodes_.begin(); at != nodes_.end();) {
      if (Supervise(at->second)) {
        ++at;
      } else {
        Forget(at->second);
        at = nodes_.erase(at);
        mutex_.Notify();
      }
    }
    mutex_.Wait(kWatchInterval);
  }
}

bool LocalProvider::Supervise(Node& node) {
  if (node.running && !IsAlive(node.record.process)) NoteEnd(node);
  if (node.record.terminated) {
    if (node.running && Clock::now() >= node.kill_due_at) Signal(node.record.process, SIGKILL);
    return node.running;
  }
  if (node.running) return true;
  const bool was_started = node.record.process.pid != 0;
  if (was_started && !restarts()) return false;
  if (Clock::now() < node.start_due_at) return true;
  // Found only when an earlier controller died at the wrong moment while its child was just being made.
  if (const std::optional<Process> found = FindByEnvironment(kMarker + node.record.incarnation); found.has_value()) {
    node.record.process = *found;
    node.running = true;
  } else if (!Start(node).ok()) {
    NoteEnd(node);
  }
  return true;
}

absl::Status LocalProvider::Start(Node& node) {
  const std::string log = RecordPath(node.record.node) + ".log";
  RotateLog(log);
  ReportHere(node.record);
  HR_ASSIGN_OR_RETURN(
      node.record.process,
      Spawn({.argv = node.record.argv, .environment = kMarker + node.record.incarnation, .log_path = log}));
  node.record.boot_id = boot_id_;
  node.running = true;
  node.started_at = Clock::now();
  // Without its pid on disk it would still be found by its environment.
  WriteStateFile(RecordPath(node.record.node), FormatRecord(node.record)).IgnoreError();
  return absl::OkStatus();
}

void LocalProvider::NoteEnd(Node& node) {
  const Clock::time_point now = Clock::now();
  if (now - node.started_at >= Chrono(options_.restart_reset)) node.pause = options_.restart_pause;
  node.running = false;
  node.start_due_at = now + Chrono(node.pause);
  node.pause = std::min(node.pause * 2, options_.restart_pause_max);
}

void LocalProvider::Forget(const Node& node) {
  if (!node.record.launch_id.empty()) {
    if (ended_.size() >= kEndedMax) ended_.erase(ended_.begin());
    ended_.emplace_back(node.record.launch_id, node.record.node);
    std::string text;
    for (const auto& [launch_id, id] : ended_) absl::StrAppend(&text, launch_id, " ", id, "\n");
    WriteStateFile(RecordPath(kEndedFile), text).IgnoreError();
  }
  std::error_code ignored;  // a record that stays is found terminated at the next start, and goes then
  fs::remove(RecordPath(node.record.node) + ".learned", ignored);
  fs::remove(RecordPath(node.record.node), ignored);
}

}  // namespace headroom
