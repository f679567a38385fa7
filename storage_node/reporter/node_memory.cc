#include "storage_node/reporter/node_memory.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include <fcntl.h>
#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/text_format.h>
#include <google/protobuf/util/message_differencer.h>
#include <unistd.h>

#include "controller/base/status.h"
#include "storage_node/proto_time.h"
#include "storage_node/sampler/small_file.h"

namespace headroom {
namespace {

using google::protobuf::util::MessageDifferencer;

absl::Status Failed(absl::string_view what, const std::string& path) {
  return absl::UnavailableError(absl::StrCat(what, " ", path, ": ", std::strerror(errno)));
}

// Keeps the first error, which protobuf would else write to stderr.
class FirstError final : public google::protobuf::io::ErrorCollector {
 public:
  void AddError(int line, int, const std::string& message) override {
    if (text_.empty()) text_ = absl::StrCat("line ", line + 1, ": ", message);
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

absl::Status WriteDurably(const std::string& path, const std::string& text) {
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file < 0) return Failed("creating", path);
  const bool written = write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && fsync(file) == 0;
  absl::Status status = written ? absl::OkStatus() : Failed("writing", path);
  close(file);
  return status;
}

}  // namespace

NodeMemory::NodeMemory(std::string path, const ServerIdentity& identity, absl::Time now) : path_(std::move(path)) {
  problem_ = Load();
  const bool same_version = hello_.server_version() == identity.server_version;
  const bool same_config = hello_.config_hash() == identity.config_hash;
  // What was never seen before did not change now: a machine's first start is no deploy.
  if (!same_version && !hello_.server_version().empty()) *hello_.mutable_server_version_time() = ToProto(now);
  if (!same_config && !hello_.config_hash().empty()) *hello_.mutable_config_time() = ToProto(now);
  if (!same_version || !same_config) hello_.clear_learned();
  hello_.set_server_version(identity.server_version);
  hello_.set_config_hash(identity.config_hash);
  if (const absl::Status saved = Save(path_, hello_); problem_.ok()) problem_ = saved;
}

absl::Status NodeMemory::Load() {
  if (path_.empty() || access(path_.c_str(), F_OK) != 0) return absl::OkStatus();
  const std::optional<std::string> text = ReadSmallFile(path_);
  if (!text) return Failed("reading", path_);
  v1::Hello loaded;
  FirstError error;
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&error);
  parser.AllowUnknownField(true);  // a newer release may have written it
  if (!parser.ParseFromString(*text, &loaded)) {
    return absl::DataLossError(absl::StrCat(path_, " is no node's memory (", error.text(), "); the node begins anew"));
  }
  hello_ = std::move(loaded);
  return absl::OkStatus();
}

bool NodeMemory::Note(int64_t term_max_seen, const v1::Learned& learned) {
  if (term_max_seen == hello_.term_max_seen() && MessageDifferencer::Equals(learned, hello_.learned())) return false;
  hello_.set_term_max_seen(term_max_seen);
  *hello_.mutable_learned() = learned;
  return true;
}

absl::Status NodeMemory::Save(const std::string& path, const v1::Hello& hello) {
  if (path.empty()) return absl::OkStatus();
  std::string text;
  google::protobuf::TextFormat::PrintToString(hello, &text);
  const std::string beside = absl::StrCat(path, ".new");
  HR_RETURN_IF_ERROR(WriteDurably(beside, text));
  if (std::rename(beside.c_str(), path.c_str()) != 0) return Failed("renaming onto", path);
  return absl::OkStatus();
}

}  // namespace headroom
