#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "storage_node/file_server/descriptor.h"
#include "storage_node/file_server/http_rules.h"

namespace headroom {

struct ObjectInfo {
  int64_t size = 0;
  absl::Time modified;
  std::string etag;  // strong, quoted: inode, size and time of change in nanoseconds
};

struct OpenObject {
  enum class Kind { kFile, kDirectory };
  Descriptor descriptor;
  Kind kind = Kind::kFile;
  ObjectInfo info;
};

struct Listing {
  struct Entry {
    std::string name;
    OpenObject::Kind kind = OpenObject::Kind::kFile;
    int64_t size = 0;
    absl::Time modified;
  };
  std::vector<Entry> entries;  // by name
  std::string next;            // where the next page begins: ask for names after this one; empty: no more
};

// How a path is kept inside the data directory: by openat2(RESOLVE_BENEATH), which lets symbolic links work as long as
// they stay inside, or, where the kernel or a sandbox has no openat2, one step at a time without following any link.
enum class PathResolution { kKernel, kStepByStep };

class Upload;

// Asked last, while nobody else changes a name of the store, in whatever process: an error of it ends the change. None:
// nothing is asked.
using Allow = std::function<absl::Status()>;

// ObjectStore: files under one directory, named by paths that cannot leave it. A file is replaced as a whole or not at
// all, whatever dies in between, and is on the disk (fsync of the file and of its directory) before Commit returns.
// Unfinished uploads live in ".headroom" under the root, which no path reaches; several processes may share the root.
// Thread-safe; every call may block on the disk.
// Errors by remedy: NotFound; InvalidArgument (bad name); FailedPrecondition (a directory where a file is meant, or the
// reverse); PermissionDenied; ResourceExhausted (disk full); Unavailable (out of descriptors; try again); Internal.
class ObjectStore {
 public:
  // FailedPrecondition, with the path, when the directory is missing or cannot be written.
  static absl::StatusOr<ObjectStore> Open(const std::string& directory);

  absl::StatusOr<OpenObject> Read(const ObjectPath& path) const;
  absl::StatusOr<Upload> BeginUpload(const ObjectPath& path) const;  // creates parent directories
  // Files only. `allow` as in Upload::Commit.
  absl::Status Remove(const ObjectPath& path, const Allow& allow = {}) const;
  struct Page {
    std::string after;  // names after this one; empty: from the beginning
    size_t entries_max = 1000;
  };
  // Takes memory for one page however large the directory is.
  absl::StatusOr<Listing> List(const OpenObject& directory, const Page& page) const;

  void set_resolution(PathResolution resolution) { resolution_ = resolution; }

 private:
  ObjectStore(Descriptor root, Descriptor uploads) : root_(std::move(root)), uploads_(std::move(uploads)) {}
  absl::StatusOr<Descriptor> OpenBeneath(const std::vector<std::string>& segments, int flags) const;
  absl::StatusOr<Descriptor> StepTo(const std::vector<std::string>& segments, int flags) const;
  absl::StatusOr<Descriptor> MakeParents(const ObjectPath& path) const;
  absl::StatusOr<Descriptor> OpenParent(const ObjectPath& path) const;
  void RemoveAbandonedUploads() const;

  Descriptor root_, uploads_;
  PathResolution resolution_ = PathResolution::kKernel;
};

// Upload: a file on its way in. Destroyed without Commit, it leaves no trace. Not thread-safe.
class Upload {
 public:
  Upload(Upload&&) noexcept = default;
  Upload& operator=(Upload&&) = delete;
  ~Upload();

  absl::Status Write(absl::string_view bytes);
  enum class Rule { kReplace, kOnlyIfAbsent };
  struct Committed {
    enum class How { kCreated, kReplaced } how = How::kCreated;
    ObjectInfo info;
  };
  // AlreadyExists under kOnlyIfAbsent when the name is taken; what `allow` says.
  absl::StatusOr<Committed> Commit(Rule rule, const Allow& allow = {});

 private:
  friend class ObjectStore;
  Upload(int uploads, std::string temporary, Descriptor file, Descriptor parent, std::string name)
      : uploads_(uploads),
        temporary_(std::move(temporary)),
        file_(std::move(file)),
        parent_(std::move(parent)),
        name_(std::move(name)) {}
  absl::StatusOr<Committed::How> PutInPlace(Rule rule, const Allow& allow);

  int uploads_;            // the store's; the store outlives its uploads
  std::string temporary_;  // the name in `uploads_`; empty once it is in place or moved from
  Descriptor file_, parent_;
  std::string name_;
};

}  // namespace headroom
