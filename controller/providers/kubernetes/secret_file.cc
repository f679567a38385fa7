#include "controller/providers/kubernetes/secret_file.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace headroom::kubernetes {
namespace {

absl::StatusOr<std::string> ReadNow(const std::string& path) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::string text(SecretFile::kBytesMax, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  const bool unread = !file.eof();
  text.resize(static_cast<size_t>(file.gcount()));
  absl::StripAsciiWhitespace(&text);
  if (!text.empty() && !unread) return text;
  const char* why = errno != 0 ? std::strerror(errno) : text.empty() ? "it is empty" : "it is too long";
  return absl::FailedPreconditionError(absl::StrCat("cannot read ", path, ": ", why));
}

}  // namespace

absl::StatusOr<std::string> SecretFile::Read() {
  absl::StatusOr<std::string> now = ReadNow(path_);
  const MonitorLock lock(mutex_);
  if (now.ok()) last_ = *now;
  if (last_.has_value()) return *last_;
  return now;
}

}  // namespace headroom::kubernetes
