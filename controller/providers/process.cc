#include "controller/providers/process.h"

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "controller/base/read_file.h"

namespace headroom {
namespace {

// Of the kernel. A process that ends while it is looked at has nothing to say.
std::string ReadAll(const std::string& path) {
  constexpr size_t kBytesMax = size_t{4} << 20;  // an environment is the largest of them
  return ReadFile(path, kBytesMax).value_or("");
}

// Start time of a process that runs; nothing when it is gone or a zombie.
std::optional<uint64_t> StartTicks(pid_t pid) {
  const std::string stat = ReadAll(absl::StrCat("/proc/", pid, "/stat"));
  const size_t name_end = stat.rfind(')');  // the name in field 2 may hold spaces and brackets
  if (name_end == std::string::npos) return std::nullopt;
  const std::vector<absl::string_view> fields =
      absl::StrSplit(absl::string_view(stat).substr(name_end + 1), ' ', absl::SkipEmpty());
  constexpr size_t kState = 0, kStartTime = 19;  // fields 3 and 22 of proc(5)
  uint64_t ticks = 0;
  if (fields.size() <= kStartTime || !absl::SimpleAtoi(fields[kStartTime], &ticks)) return std::nullopt;
  if (fields[kState] == "Z" || fields[kState] == "X") return std::nullopt;
  return ticks;
}

// posix_spawn's two option objects, released together.
class SpawnOptions {
 public:
  explicit SpawnOptions(const std::string& log_path) {
    posix_spawn_file_actions_init(&actions_);
    posix_spawn_file_actions_addopen(&actions_, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions_, 1, log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0640);
    posix_spawn_file_actions_adddup2(&actions_, 1, 2);
    posix_spawn_file_actions_addclosefrom_np(&actions_, 3);
    posix_spawnattr_init(&attributes_);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes_, &none);
    posix_spawnattr_setsigdefault(&attributes_, &all);
    posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  }
  SpawnOptions(const SpawnOptions&) = delete;
  SpawnOptions& operator=(const SpawnOptions&) = delete;
  ~SpawnOptions() {
    posix_spawn_file_actions_destroy(&actions_);
    posix_spawnattr_destroy(&attributes_);
  }
  const posix_spawn_file_actions_t* actions() const { return &actions_; }
  const posix_spawnattr_t* attributes() const { return &attributes_; }

 private:
  posix_spawn_file_actions_t actions_;
  posix_spawnattr_t attributes_;
};

std::vector<char*> Pointers(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  pointers.reserve(strings.size() + 1);
  for (std::string& text : strings) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

absl::StatusOr<Process> Spawn(const SpawnRequest& request) {
  std::vector<std::string> argv = request.argv, environment;
  for (char** entry = environ; *entry != nullptr; ++entry) environment.emplace_back(*entry);
  environment.push_back(request.environment);
  const SpawnOptions options(request.log_path);
  pid_t pid = 0;
  const int error = posix_spawn(&pid, argv[0].c_str(), options.actions(), options.attributes(), Pointers(argv).data(),
                                Pointers(environment).data());
  if (error != 0) {
    const std::string what = absl::StrCat("cannot start ", argv[0], ": ", std::strerror(error));
    if (error == EAGAIN || error == ENOMEM) return absl::ResourceExhaustedError(what);
    return absl::FailedPreconditionError(what);
  }
  // Our own child keeps its pid until we reap it, so a start time that cannot be read means that it already ended.
  return Process{.pid = pid, .start_ticks = StartTicks(pid).value_or(0)};
}

bool IsAlive(const Process& process) {
  if (process.pid <= 0) return false;
  int status = 0;
  if (waitpid(process.pid, &status, WNOHANG) == process.pid) return false;
  return StartTicks(process.pid) == process.start_ticks;
}

void Signal(const Process& process, int signal_number) {
  if (process.pid <= 0) return;
  // By number: <sys/pidfd.h> of glibc 2.36 cannot be linked from C++.
  // The descriptor holds on to one process; checking the start time after it was opened leaves no gap for a reused pid.
  const int descriptor = static_cast<int>(syscall(SYS_pidfd_open, process.pid, 0));
  if (descriptor < 0 && errno != ENOSYS) return;
  if (StartTicks(process.pid) == process.start_ticks) {
    if (descriptor >= 0) {
      syscall(SYS_pidfd_send_signal, descriptor, signal_number, nullptr, 0);
    } else {
      kill(process.pid, signal_number);
    }
  }
  if (descriptor >= 0) close(descriptor);
}

std::optional<Process> FindByEnvironment(absl::string_view variable) {
  const std::string entry = absl::StrCat(variable, absl::string_view("\0", 1));
  std::error_code ignored;  // processes come and go while we look
  for (const auto& folder : std::filesystem::directory_iterator("/proc", ignored)) {
    pid_t pid = 0;
    if (!absl::SimpleAtoi(folder.path().filename().string(), &pid) || pid == getpid()) continue;
    const std::optional<uint64_t> start = StartTicks(pid);
    if (!start.has_value()) continue;
    const std::string environment = ReadAll(absl::StrCat("/proc/", pid, "/environ"));
    const size_t found = environment.find(entry);
    const bool whole = found == 0 || (found != std::string::npos && environment[found - 1] == '\0');
    if (whole) return Process{.pid = pid, .start_ticks = *start};
  }
  return std::nullopt;
}

std::string KernelBootId() {
  return std::string(absl::StripAsciiWhitespace(ReadAll("/proc/sys/kernel/random/boot_id")));
}

}  // namespace headroom
