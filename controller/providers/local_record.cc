#include "controller/providers/local_record.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <map>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include <fcntl.h>
#include <unistd.h>

#include "controller/base/read_file.h"
#include "controller/base/status.h"

namespace headroom {
namespace {

constexpr size_t kStateBytesMax = size_t{16} << 20;

absl::Status Failed(absl::string_view what, const std::string& path) {
  return absl::UnavailableError(absl::StrCat("cannot ", what, " ", path, ": ", std::strerror(errno)));
}

bool WriteAll(int descriptor, absl::string_view content) {
  while (!content.empty()) {
    const ssize_t written = write(descriptor, content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    content.remove_prefix(static_cast<size_t>(written));
  }
  return true;
}

absl::Status SyncFolder(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  const int descriptor = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return Failed("open", folder);
  const int synced = fsync(descriptor);
  const absl::Status status = synced == 0 ? absl::OkStatus() : Failed("sync", folder);
  close(descriptor);
  return status;
}

}  // namespace

std::string FormatRecord(const LocalRecord& record) {
  std::string text;
  const auto line = [&text](absl::string_view name, absl::string_view value) {
    absl::StrAppend(&text, name, " ", absl::CEscape(value), "\n");
  };
  line("node", record.node);
  line("number", absl::StrCat(record.number));
  line("launch_id", record.launch_id);
  line("zone", record.zone);
  line("incarnation", record.incarnation);
  line("port", absl::StrCat(record.port));
  line("admin_port", absl::StrCat(record.admin_port));
  line("terminated", record.terminated ? "1" : "0");
  line("boot_id", record.boot_id);
  line("pid", absl::StrCat(record.process.pid));
  line("start_ticks", absl::StrCat(record.process.start_ticks));
  for (const std::string& argument : record.argv) line("argument", argument);
  return text;
}

absl::StatusOr<LocalRecord> ParseRecord(absl::string_view text) {
  LocalRecord record;
  std::map<std::string, std::string, std::less<>> fields;
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    const std::pair<absl::string_view, absl::string_view> parts = absl::StrSplit(line, absl::MaxSplits(' ', 1));
    std::string value;
    if (!absl::CUnescape(parts.second, &value)) return absl::DataLossError(absl::StrCat("unreadable line: ", line));
    if (parts.first == "argument") {
      record.argv.push_back(std::move(value));
    } else {
      fields[std::string(parts.first)] = std::move(value);
    }
  }
  record.node = fields["node"];
  record.launch_id = fields["launch_id"];
  record.zone = fields["zone"];
  record.incarnation = fields["incarnation"];
  record.terminated = fields["terminated"] == "1";
  record.boot_id = fields["boot_id"];
  const bool numbers = absl::SimpleAtoi(fields["number"], &record.number) &&
                       absl::SimpleAtoi(fields["port"], &record.port) &&
                       absl::SimpleAtoi(fields["admin_port"], &record.admin_port) &&
                       absl::SimpleAtoi(fields["pid"], &record.process.pid) &&
                       absl::SimpleAtoi(fields["start_ticks"], &record.process.start_ticks);
  if (!numbers || record.node.empty() || record.incarnation.empty() || record.argv.empty()) {
    return absl::DataLossError("a field is missing or no number");
  }
  return record;
}

absl::Status WriteStateFile(const std::string& path, absl::string_view content) {
  const std::string temporary = absl::StrCat(path, ".new");
  const int descriptor = open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
  if (descriptor < 0) return Failed("create", temporary);
  const bool written = WriteAll(descriptor, content) && fsync(descriptor) == 0;
  const absl::Status status = written ? absl::OkStatus() : Failed("write", temporary);
  close(descriptor);
  HR_RETURN_IF_ERROR(status);
  if (std::rename(temporary.c_str(), path.c_str()) != 0) return Failed("replace", path);
  return SyncFolder(path);
}

absl::StatusOr<std::string> ReadStateFile(const std::string& path) {
  absl::StatusOr<std::string> text = ReadFile(path, kStateBytesMax + 1);
  if (absl::IsNotFound(text.status())) return absl::NotFoundError(absl::StrCat("no file ", path));
  if (!text.ok()) return absl::UnavailableError(text.status().message());
  if (text->size() > kStateBytesMax) return absl::UnavailableError(absl::StrCat(path, " is larger than any of ours"));
  return text;
}

}  // namespace headroom
