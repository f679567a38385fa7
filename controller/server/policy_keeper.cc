#include "controller/server/policy_keeper.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include <google/protobuf/descriptor.h>
#include <google/protobuf/text_format.h>
#include <google/protobuf/util/message_differencer.h>

#include "controller/base/status.h"
#include "controller/server/convert.h"

namespace headroom {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::util::MessageDifferencer;

std::string ElementText(const Message& message, const FieldDescriptor* field, int index) {
  if (field->message_type() == google::protobuf::Duration::descriptor()) {
    const Message& element = index < 0 ? message.GetReflection()->GetMessage(message, field)
                                       : message.GetReflection()->GetRepeatedMessage(message, field, index);
    return absl::FormatDuration(FromWire(static_cast<const google::protobuf::Duration&>(element)));
  }
  google::protobuf::TextFormat::Printer printer;
  printer.SetSingleLineMode(true);
  std::string text;
  printer.PrintFieldValueToString(message, field, index, &text);
  return text;
}

std::string FieldText(const Message& message, const FieldDescriptor* field) {
  if (!field->is_repeated()) return ElementText(message, field, -1);
  std::vector<std::string> elements;
  elements.reserve(static_cast<size_t>(message.GetReflection()->FieldSize(message, field)));
  for (int i = 0; i < message.GetReflection()->FieldSize(message, field); ++i) {
    elements.push_back(ElementText(message, field, i));
  }
  return absl::StrCat("[", absl::StrJoin(elements, ", "), "]");
}

bool IsTree(const FieldDescriptor* field) {
  return !field->is_repeated() && field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE &&
         field->message_type() != google::protobuf::Duration::descriptor();
}

// The policy's own depth bounds the recursion.
void Compare(const Message& before, const Message& after, const std::string& path, std::vector<std::string>& changes) {
  for (int i = 0; i < before.GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor* field = before.GetDescriptor()->field(i);
    const std::string name = absl::StrCat(path, field->name());
    if (IsTree(field)) {
      Compare(before.GetReflection()->GetMessage(before, field), after.GetReflection()->GetMessage(after, field),
              name + ".", changes);
      continue;
    }
    const std::string old_text = FieldText(before, field), new_text = FieldText(after, field);
    if (old_text != new_text) changes.push_back(absl::StrCat(name, ": ", old_text, " -> ", new_text));
  }
}

// What a process was built around. How many nodes it began with matters to a fresh start only, and where the policy
// does not say it follows nodes.min, which may change.
v1::Provider Fixed(v1::Provider provider) {
  if (provider.has_local()) provider.mutable_local()->clear_initial_count();
  if (provider.has_simulated()) provider.mutable_simulated()->clear_initial_count();
  return provider;
}

struct ModeChange {
  v1::Mode written, in_force, after;
};
absl::Status CheckMode(const ModeChange& mode) {
  if (mode.after == mode.written || mode.after == mode.in_force) return absl::OkStatus();
  const absl::string_view command = mode.after == v1::MODE_LIVE ? "enable" : "disable";
  return absl::FailedPreconditionError(
      absl::StrCat("mode cannot change by the policy while the controller runs; `headroomctl ", command,
                   "` changes it, or restart headroomd with the new policy (nodes keep running meanwhile)"));
}

absl::Status CheckFixed(const v1::Policy& before, const v1::Policy& after) {
  std::vector<std::string> fixed;
  if (before.cluster() != after.cluster()) fixed.push_back("cluster");
  if (!MessageDifferencer::Equals(Fixed(before.provider()), Fixed(after.provider()))) fixed.push_back("provider");
  if (fixed.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(absl::StrJoin(fixed, " and "),
                                                    " cannot change while the controller runs; restart headroomd with "
                                                    "the new policy (nodes keep running meanwhile)"));
}

}  // namespace

std::vector<std::string> PolicyChanges(const v1::Policy& before, const v1::Policy& after) {
  std::vector<std::string> changes;
  Compare(before, after, "", changes);
  return changes;
}

PolicyKeeper::PolicyKeeper(Config config, std::string yaml, std::function<void(const Config&)> on_change)
    : on_change_(std::move(on_change)),
      config_(std::move(config)),
      mode_in_force_(config_.policy.mode),
      yaml_(std::move(yaml)) {}

absl::StatusOr<PolicyKeeper::Change> PolicyKeeper::Check(absl::string_view yaml, absl::string_view name) const {
  HR_ASSIGN_OR_RETURN(Config config, ParseConfig(yaml, name));
  absl::MutexLock lock(&mutex_);
  HR_RETURN_IF_ERROR(Annotate(CheckFixed(config_.message, config.message), name));
  HR_RETURN_IF_ERROR(
      Annotate(CheckMode({config_.message.mode(), ToWire(mode_in_force_), config.message.mode()}), name));
  std::vector<std::string> changes = PolicyChanges(config_.message, config.message);
  return Change{std::move(config), std::move(changes)};
}

absl::StatusOr<PolicyKeeper::Change> PolicyKeeper::Apply(absl::string_view yaml, absl::string_view name) {
  absl::MutexLock one_at_a_time(&apply_mutex_);
  HR_ASSIGN_OR_RETURN(Change change, Check(yaml, name));
  {
    absl::MutexLock lock(&mutex_);
    config_ = change.config;
    yaml_ = std::string(yaml);
  }
  on_change_(change.config);
  return change;
}

absl::StatusOr<PolicyKeeper::Change> PolicyKeeper::Reload(const std::string& path) {
  absl::StatusOr<std::string> yaml = ReadPolicyFile(path);
  absl::StatusOr<Change> change = yaml.ok() ? Apply(*yaml, path) : absl::StatusOr<Change>(yaml.status());
  NoteFaults(change.status());
  return change;
}

void PolicyKeeper::NoteFaults(const absl::Status& status) {
  absl::MutexLock lock(&mutex_);
  faults_.clear();
  if (!status.ok()) faults_ = absl::StrSplit(status.message(), '\n', absl::SkipEmpty());
}

void PolicyKeeper::SetModeInForce(Mode mode) {
  absl::MutexLock lock(&mutex_);
  mode_in_force_ = mode;
}

Config PolicyKeeper::config() const {
  absl::MutexLock lock(&mutex_);
  return config_;
}

std::string PolicyKeeper::yaml() const {
  absl::MutexLock lock(&mutex_);
  return yaml_;
}

std::vector<std::string> PolicyKeeper::faults() const {
  absl::MutexLock lock(&mutex_);
  return faults_;
}

}  // namespace headroom
