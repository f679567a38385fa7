#include "storage_node/file_server/object_store.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <queue>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "controller/base/status.h"

namespace headroom {
namespace {

constexpr char kUploads[] = ".headroom";
constexpr absl::Duration kAbandonedAfter = absl::Hours(24);  // an upload this old died with its process
constexpr int kRaceRetries = 16;                             // openat2 gives EAGAIN when the tree is renamed under it

absl::Status FromErrno(int error, absl::string_view what) {
  const std::string message = absl::StrCat(what, ": ", std::strerror(error));
  switch (error) {
    case ENOENT:
    case EXDEV:  // the way there leaves the directory
    case ELOOP:
      return absl::NotFoundError(message);
    case ENAMETOOLONG:
    case EINVAL:
      return absl::InvalidArgumentError(message);
    case ENOTDIR:
    case EISDIR:
      return absl::FailedPreconditionError(message);
    case EACCES:
    case EPERM:
    case EROFS:
      return absl::PermissionDeniedError(message);
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return absl::ResourceExhaustedError(message);
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case EAGAIN:
      return absl::UnavailableError(message);
    case EEXIST:
      return absl::AlreadyExistsError(message);
    default:
      return absl::InternalError(message);
  }
}

ObjectInfo InfoOf(const struct stat& stat) {
  const int64_t nanos = int64_t{stat.st_mtim.tv_sec} * 1'000'000'000 + stat.st_mtim.tv_nsec;
  return {
      .size = stat.st_size,
      .modified = absl::FromUnixNanos(nanos),
      .etag = absl::StrCat("\"", absl::Hex(stat.st_ino), "-", absl::Hex(stat.st_size), "-", absl::Hex(nanos), "\"")};
}

Descriptor OpenAt2(int root, const char* path, int flags) {
  open_how how{};
  how.flags = static_cast<uint64_t>(flags | O_CLOEXEC);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  long fd = -1;
  for (int i = 0; i < kRaceRetries; ++i) {
    fd = ::syscall(SYS_openat2, root, path, &how, sizeof how);
    if (fd >= 0 || errno != EAGAIN) break;
  }
  return Descriptor(static_cast<int>(fd));
}

std::string TemporaryName() {
  static std::atomic<uint64_t> count{0};
  static const int64_t boot = absl::GetCurrentTimeNanos();
  return absl::StrCat(absl::Hex(::getpid()), "-", absl::Hex(boot), "-", count.fetch_add(1));
}

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};
using Directory = std::unique_ptr<DIR, CloseDirectory>;

Directory OpenDirectory(int fd) {
  const int own = ::openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);  // a read position of our own
  return Directory(own < 0 ? nullptr : ::fdopendir(own));
}

// Held while a name is changed. Each holder opens the folder anew, so threads exclude each other as processes do. Where
// the file system has no locks (an empty descriptor, or an error) a condition may be checked a moment too early.
Descriptor LockNames(int uploads) {
  Descriptor lock(::openat(uploads, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  while (lock && ::flock(lock.get(), LOCK_EX) != 0 && errno == EINTR) {
  }
  return lock;
}

bool Hidden(absl::string_view name) {
  return name == "." || name == ".." || name == kUploads;
}

bool Reserved(const ObjectPath& path) {
  return !path.segments.empty() && path.segments[0] == kUploads;
}

}  // namespace

absl::StatusOr<ObjectStore> ObjectStore::Open(const std::string& directory) {
  Descriptor root(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const auto fail = [&](absl::string_view what) {
    return absl::FailedPreconditionError(
        absl::StrCat("data directory ", directory, " ", what, ": ", std::strerror(errno)));
  };
  if (!root) return fail("cannot be opened");
  if (::mkdirat(root.get(), kUploads, 0700) != 0 && errno != EEXIST) return fail("cannot be written");
  Descriptor uploads(::openat(root.get(), kUploads, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!uploads) return fail("has no usable .headroom");
  if (::faccessat(uploads.get(), ".", W_OK, 0) != 0) return fail("cannot be written");
  ObjectStore store(std::move(root), std::move(uploads));
  if (!OpenAt2(store.root_.get(), ".", O_PATH | O_DIRECTORY)) store.resolution_ = PathResolution::kStepByStep;
  store.RemoveAbandonedUploads();
  return store;
}

void ObjectStore::RemoveAbandonedUploads() const {
  const Directory directory = OpenDirectory(uploads_.get());
  const int64_t oldest = absl::ToUnixSeconds(absl::Now() - kAbandonedAfter);
  while (const dirent* entry = directory ? ::readdir(directory.get()) : nullptr) {
    struct stat stat {};
    if (::fstatat(uploads_.get(), entry->d_name, &stat, AT_SYMLINK_NOFOLLOW) != 0) continue;
    if (S_ISREG(stat.st_mode) && stat.st_mtim.tv_sec < oldest) ::unlinkat(uploads_.get(), entry->d_name, 0);
  }
}

absl::StatusOr<Descriptor> ObjectStore::OpenBeneath(const std::vector<std::string>& segments, int flags) const {
  if (resolution_ == PathResolution::kStepByStep) return StepTo(segments, flags);
  const std::string path = segments.empty() ? "." : ObjectPath{segments}.ToString();
  Descriptor opened = OpenAt2(root_.get(), path.c_str(), flags);
  if (!opened) return FromErrno(errno, path);
  return opened;
}

absl::StatusOr<Descriptor> ObjectStore::StepTo(const std::vector<std::string>& segments, int flags) const {
  Descriptor at(::openat(root_.get(), ".", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (segments.empty()) at = Descriptor(::openat(root_.get(), ".", flags | O_CLOEXEC));
  for (size_t i = 0; i < segments.size() && at; ++i) {
    const int step = i + 1 == segments.size() ? flags : O_PATH | O_DIRECTORY;
    at = Descriptor(::openat(at.get(), segments[i].c_str(), step | O_NOFOLLOW | O_CLOEXEC));
  }
  if (!at) return FromErrno(errno, ObjectPath{segments}.ToString());
  return at;
}

absl::StatusOr<OpenObject> ObjectStore::Read(const ObjectPath& path) const {
  if (Reserved(path)) return absl::NotFoundError("reserved name");
  // O_NONBLOCK: a FIFO in the tree must not hold the thread; regular files do not care.
  HR_ASSIGN_OR_RETURN(Descriptor opened, OpenBeneath(path.segments, O_RDONLY | O_NONBLOCK));
  struct stat stat {};
  if (::fstat(opened.get(), &stat) != 0) return FromErrno(errno, path.ToString());
  if (!S_ISREG(stat.st_mode) && !S_ISDIR(stat.st_mode)) return absl::NotFoundError("neither file nor directory");
  return OpenObject{.descriptor = std::move(opened),
                    .kind = S_ISDIR(stat.st_mode) ? OpenObject::Kind::kDirectory : OpenObject::Kind::kFile,
                    .info = InfoOf(stat)};
}

absl::StatusOr<Descriptor> ObjectStore::OpenParent(const ObjectPath& path) const {
  if (path.segments.empty()) return absl::InvalidArgumentError("a file needs a name");
  if (Reserved(path)) return absl::PermissionDeniedError("reserved name");
  return OpenBeneath({path.segments.begin(), path.segments.end() - 1}, O_RDONLY | O_DIRECTORY);
}

absl::StatusOr<Descriptor> ObjectStore::MakeParents(const ObjectPath& path) const {
  absl::StatusOr<Descriptor> parent = OpenParent(path);
  if (!absl::IsNotFound(parent.status())) return parent;
  std::vector<std::string> way;
  HR_ASSIGN_OR_RETURN(Descriptor at, OpenBeneath(way, O_RDONLY | O_DIRECTORY));
  for (size_t i = 0; i + 1 < path.segments.size(); ++i) {
    const std::string& name = path.segments[i];
    if (::mkdirat(at.get(), name.c_str(), 0777) == 0) {
      ::fsync(at.get());
    } else if (errno != EEXIST) {
      return FromErrno(errno, name);
    }
    way.push_back(name);
    HR_ASSIGN_OR_RETURN(at, OpenBeneath(way, O_RDONLY | O_DIRECTORY));
  }
  return at;
}

absl::StatusOr<Upload> ObjectStore::BeginUpload(const ObjectPath& path) const {
  HR_ASSIGN_OR_RETURN(Descriptor parent, MakeParents(path));
  const std::string& name = path.segments.back();
  struct stat stat {};
  if (::fstatat(parent.get(), name.c_str(), &stat, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(stat.st_mode)) {
    return absl::FailedPreconditionError(absl::StrCat(path.ToString(), " is a directory"));
  }
  std::string temporary = TemporaryName();
  Descriptor file(::openat(uploads_.get(), temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  if (!file) return FromErrno(errno, "upload");
  return Upload(uploads_.get(), std::move(temporary), std::move(file), std::move(parent), name);
}

absl::Status ObjectStore::Remove(const ObjectPath& path, const Allow& allow) const {
  HR_ASSIGN_OR_RETURN(const Descriptor parent, OpenParent(path));
  {
    const Descriptor lock = LockNames(uploads_.get());
    if (allow) HR_RETURN_IF_ERROR(allow());
    if (::unlinkat(parent.get(), path.segments.back().c_str(), 0) != 0) return FromErrno(errno, path.ToString());
  }
  if (::fsync(parent.get()) != 0) return FromErrno(errno, path.ToString());
  return absl::OkStatus();
}

absl::StatusOr<Listing> ObjectStore::List(const OpenObject& directory, const Page& page) const {
  const Directory reader = OpenDirectory(directory.descriptor.get());
  if (!reader) return FromErrno(errno, "listing");
  std::priority_queue<std::string> first;  // the smallest names after `after`, and one more to know whether more follow
  while (const dirent* entry = ::readdir(reader.get())) {
    if (Hidden(entry->d_name) || page.after >= entry->d_name) continue;
    first.emplace(entry->d_name);
    if (first.size() > page.entries_max + 1) first.pop();
  }
  const bool more = first.size() > page.entries_max;
  if (more) first.pop();
  Listing listing;
  for (; !first.empty(); first.pop()) {
    struct stat stat {};
    if (::fstatat(directory.descriptor.get(), first.top().c_str(), &stat, AT_SYMLINK_NOFOLLOW) != 0) continue;
    listing.entries.push_back({.name = first.top(),
                               .kind = S_ISDIR(stat.st_mode) ? OpenObject::Kind::kDirectory : OpenObject::Kind::kFile,
                               .size = stat.st_size,
                               .modified = absl::TimeFromTimespec(stat.st_mtim)});
  }
  std::reverse(listing.entries.begin(), listing.entries.end());
  if (more && !listing.entries.empty()) listing.next = listing.entries.back().name;
  return listing;
}

Upload::~Upload() {
  if (file_ && !temporary_.empty()) ::unlinkat(uploads_, temporary_.c_str(), 0);
}

absl::Status Upload::Write(absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file_.get(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return FromErrno(errno, "write");
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

absl::StatusOr<Upload::Committed> Upload::Commit(Rule rule, const Allow& allow) {
  if (::fsync(file_.get()) != 0) return FromErrno(errno, "fsync");
  struct stat stat {};
  if (::fstat(file_.get(), &stat) != 0) return FromErrno(errno, name_);
  HR_ASSIGN_OR_RETURN(const Committed::How how, PutInPlace(rule, allow));
  temporary_.clear();
  if (::fsync(parent_.get()) != 0) return FromErrno(errno, "fsync of the directory");
  return Committed{.how = how, .info = InfoOf(stat)};
}

// Tries to take a free name first: that says whether the file is new, and is the whole of kOnlyIfAbsent.
absl::StatusOr<Upload::Committed::How> Upload::PutInPlace(Rule rule, const Allow& allow) {
  const Descriptor lock = LockNames(uploads_);
  if (allow) HR_RETURN_IF_ERROR(allow());
  if (::renameat2(uploads_, temporary_.c_str(), parent_.get(), name_.c_str(), RENAME_NOREPLACE) == 0) {
    return Committed::How::kCreated;
  }
  bool taken = errno == EEXIST;
  if (errno == EINVAL || errno == ENOSYS) {  // a file system without it; a link does not replace either
    if (::linkat(uploads_, temporary_.c_str(), parent_.get(), name_.c_str(), 0) == 0) {
      ::unlinkat(uploads_, temporary_.c_str(), 0);
      return Committed::How::kCreated;
    }
    // Nor hard links (EPERM, EOPNOTSUPP): what may be replaced needs neither.
    taken = errno == EEXIST || rule == Rule::kReplace;
  }
  if (!taken || rule == Rule::kOnlyIfAbsent) return FromErrno(errno, name_);
  if (::renameat(uploads_, temporary_.c_str(), parent_.get(), name_.c_str()) != 0) return FromErrno(errno, name_);
  return Committed::How::kReplaced;
}

}  // namespace headroom
