#include "controller/runtime/yaml_message.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include <google/protobuf/descriptor.h>
#include <google/protobuf/duration.pb.h>
#include <yaml-cpp/yaml.h>

#include "controller/base/near_match.h"
#include "controller/base/read_file.h"

namespace headroom {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

constexpr size_t kElementsMax = 10'000;
constexpr absl::Duration kLongest = absl::Hours(24 * 365 * 10);

int LineOf(const YAML::Node& node) {
  return node.Mark().line + 1;
}

// DATA_PLACEMENT_GATEWAY of DataPlacement: "gateway".
std::string EnumeratorName(const EnumValueDescriptor& value) {
  std::string prefix;
  for (const char c : value.type()->name()) {
    if (absl::ascii_isupper(static_cast<unsigned char>(c)) && !prefix.empty()) prefix += '_';
    prefix += absl::ascii_toupper(static_cast<unsigned char>(c));
  }
  absl::string_view name = value.name();
  if (absl::StartsWith(name, prefix + "_")) name.remove_prefix(prefix.size() + 1);
  return absl::AsciiStrToLower(name);
}

std::string UnknownField(absl::string_view name, const Descriptor& type) {
  std::vector<std::string> known;
  for (int i = 0; i < type.field_count(); ++i) known.push_back(type.field(i)->name());
  return absl::StrCat("unknown field", DidYouMean(NearMatches(name, known)));
}

std::string Shorten(absl::string_view text) {
  return text.size() <= 40 ? std::string(text) : absl::StrCat(text.substr(0, 40), "...");
}

std::optional<int64_t> ParseCount(absl::string_view text, bool size) {
  static constexpr std::pair<absl::string_view, int64_t> kUnits[] = {{"Ki", int64_t{1} << 10},
                                                                     {"Mi", int64_t{1} << 20},
                                                                     {"Gi", int64_t{1} << 30},
                                                                     {"Ti", int64_t{1} << 40},
                                                                     {"k", 1'000},
                                                                     {"M", 1'000'000},
                                                                     {"G", 1'000'000'000},
                                                                     {"T", 1'000'000'000'000}};
  int64_t unit = 1;
  for (const auto& [suffix, factor] : kUnits) {
    if (!size || !absl::EndsWith(text, suffix)) continue;
    text.remove_suffix(suffix.size());
    unit = factor;
    break;
  }
  int64_t count = 0;
  if (!absl::SimpleAtoi(text, &count)) return std::nullopt;
  if (count > std::numeric_limits<int64_t>::max() / unit || count < std::numeric_limits<int64_t>::min() / unit) {
    return std::nullopt;
  }
  return count * unit;
}

// Reads one text into one message; every function reports its faults and goes on.
class YamlReader {
 public:
  void Read(const YAML::Node& node, const std::string& path, Message& message);
  void ReadObject(const YAML::Node& node, const ObjectKind& kind, Message& message);
  void Fault(int line, const std::string& path, std::string text) {
    reading_.faults.push_back({line, path, std::move(text)});
  }
  YamlReading Take() { return std::move(reading_); }

 private:
  void ReadField(const YAML::Node& node, const std::string& path, const FieldDescriptor& field, Message& message);
  void ReadList(const YAML::Node& node, const std::string& path, const FieldDescriptor& field, Message& message);
  void ReadScalar(const YAML::Node& node, const std::string& path, const FieldDescriptor& field, Message& message);
  void ReadNumber(const YAML::Node& node, const std::string& path, const FieldDescriptor& field, Message& message);
  void ReadEnum(const YAML::Node& node, const std::string& path, const FieldDescriptor& field, Message& message);
  void ReadDuration(const YAML::Node& node, const std::string& path, const FieldDescriptor& field, Message& message);
  bool ExcludedByOneof(int line, const std::string& path, const FieldDescriptor& field, const Message& message);

  YamlReading reading_;
};

void YamlReader::Read(const YAML::Node& node, const std::string& path, Message& message) {
  if (!node.IsMap()) return Fault(LineOf(node), path, "must be a group of fields, name: value");
  for (const auto& entry : node) {
    const int line = LineOf(entry.first);
    if (!entry.first.IsScalar()) {
      Fault(line, path, "a field's name must be plain text");
      continue;
    }
    const std::string& name = entry.first.Scalar();
    const std::string field_path = path.empty() ? Shorten(name) : absl::StrCat(path, ".", Shorten(name));
    const FieldDescriptor* field = message.GetDescriptor()->FindFieldByName(name);
    if (field == nullptr) {
      Fault(line, field_path, UnknownField(name, *message.GetDescriptor()));
    } else if (const auto [first, fresh] = reading_.lines.emplace(field_path, line); !fresh) {
      Fault(line, field_path, absl::StrCat("stands twice, first in line ", first->second));
    } else if (!ExcludedByOneof(line, field_path, *field, message)) {
      ReadField(entry.second, field_path, *field, message);
    }
  }
}

std::string MetadataText(const YAML::Node& metadata, const char* field) {
  if (!metadata.IsDefined() || !metadata.IsMap()) return "";
  const YAML::Node value = metadata[field];
  return value.IsDefined() && value.IsScalar() ? value.Scalar() : "";
}

void YamlReader::ReadObject(const YAML::Node& node, const ObjectKind& kind, Message& message) {
  if (node["apiVersion"].Scalar() != kind.api_version || node["kind"].Scalar() != kind.kind)
    return Fault(LineOf(node), "", absl::StrCat("must be of kind ", kind.kind, " in ", kind.api_version));
  for (const auto& entry : node) {
    static const std::set<std::string> kKnown = {"apiVersion", "kind", "metadata", "spec", "status"};
    if (!entry.first.IsScalar() || kKnown.count(entry.first.Scalar()) == 0)
      Fault(LineOf(entry.first), "", "only apiVersion, kind, metadata and spec stand in an object");
  }
  reading_.object_name = MetadataText(node["metadata"], "name");
  reading_.object_namespace = MetadataText(node["metadata"], "namespace");
  if (reading_.object_name.empty()) return Fault(LineOf(node), "", "metadata.name is required");
  if (!node["spec"].IsDefined()) return Fault(LineOf(node), "", "spec is required: the policy");
  Read(node["spec"], "", message);
}

bool YamlReader::ExcludedByOneof(int line, const std::string& path, const FieldDescriptor& field,
                                 const Message& message) {
  const auto* oneof = field.real_containing_oneof();
  if (oneof == nullptr) return false;
  const FieldDescriptor* other = message.GetReflection()->GetOneofFieldDescriptor(message, oneof);
  if (other == nullptr) return false;
  Fault(line, path, absl::StrCat("excludes \"", other->name(), "\": only one of them may be given"));
  return true;
}

void YamlReader::ReadField(const YAML::Node& node, const std::string& path, const FieldDescriptor& field,
                           Message& message) {
  if (node.IsNull()) return Fault(reading_.lines[path], path, "has no value");
  if (field.is_repeated()) return ReadList(node, path, field, message);
  if (field.message_type() != nullptr && !IsDuration(field)) {
    return Read(node, path, *message.GetReflection()->MutableMessage(&message, &field));
  }
  ReadScalar(node, path, field, message);
}

void YamlReader::ReadList(const YAML::Node& node, const std::string& path, const FieldDescriptor& field,
                          Message& message) {
  if (!node.IsSequence()) return Fault(LineOf(node), path, "must be a list");
  if (node.size() > kElementsMax)
    return Fault(LineOf(node), path, absl::StrCat("has more than ", kElementsMax, " entries"));
  for (size_t i = 0; i < node.size(); ++i) {
    const std::string element = absl::StrCat(path, "[", i, "]");
    reading_.lines.emplace(element, LineOf(node[i]));
    if (field.message_type() != nullptr) {
      Read(node[i], element, *message.GetReflection()->AddMessage(&message, &field));
    } else if (node[i].IsScalar()) {
      message.GetReflection()->AddString(&message, &field, node[i].Scalar());
    } else {
      Fault(LineOf(node[i]), element, "must be a text");
    }
  }
}

void YamlReader::ReadScalar(const YAML::Node& node, const std::string& path, const FieldDescriptor& field,
                            Message& message) {
  if (!node.IsScalar()) return Fault(LineOf(node), path, "must be a single value");
  if (IsDuration(field)) return ReadDuration(node, path, field, message);
  const Reflection& reflection = *message.GetReflection();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      return reflection.SetString(&message, &field, node.Scalar());
    case FieldDescriptor::CPPTYPE_ENUM:
      return ReadEnum(node, path, field, message);
    case FieldDescriptor::CPPTYPE_BOOL:
      if (node.Scalar() == "true" || node.Scalar() == "false") {
        return reflection.SetBool(&message, &field, node.Scalar() == "true");
      }
      return Fault(LineOf(node), path, absl::StrCat("\"", Shorten(node.Scalar()), "\" is neither true nor false"));
    default:
      return ReadNumber(node, path, field, message);
  }
}

void YamlReader::ReadNumber(const YAML::Node& node, const std::string& path, const FieldDescriptor& field,
                            Message& message) {
  const Reflection& reflection = *message.GetReflection();
  const auto fault = [&](absl::string_view wanted) {
    Fault(LineOf(node), path, absl::StrCat("\"", Shorten(node.Scalar()), "\" is no ", wanted));
  };
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_DOUBLE) {
    double number = 0;
    if (!absl::SimpleAtod(node.Scalar(), &number) || !std::isfinite(number)) return fault("number");
    return reflection.SetDouble(&message, &field, number);
  }
  const std::optional<int64_t> count = ParseCount(node.Scalar(), CountsBytes(field));
  if (!count) return fault(CountsBytes(field) ? "size, for example 100000, 64Mi or 1G" : "whole number");
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_INT64) return reflection.SetInt64(&message, &field, *count);
  if (!std::in_range<int32_t>(*count)) return fault("whole number of this size");
  reflection.SetInt32(&message, &field, static_cast<int32_t>(*count));
}

void YamlReader::ReadEnum(const YAML::Node& node, const std::string& path, const FieldDescriptor& field,
                          Message& message) {
  const EnumDescriptor& type = *field.enum_type();
  for (int i = 1; i < type.value_count(); ++i) {
    if (EnumeratorName(*type.value(i)) != node.Scalar()) continue;
    return message.GetReflection()->SetEnumValue(&message, &field, type.value(i)->number());
  }
  Fault(LineOf(node), path,
        absl::StrCat("\"", Shorten(node.Scalar()), "\" is none of ", absl::StrJoin(EnumeratorNames(type), ", ")));
}

void YamlReader::ReadDuration(const YAML::Node& node, const std::string& path, const FieldDescriptor& field,
                              Message& message) {
  absl::Duration duration;
  if (!absl::ParseDuration(node.Scalar(), &duration) || duration < absl::ZeroDuration() || duration > kLongest) {
    return Fault(LineOf(node), path,
                 absl::StrCat("\"", Shorten(node.Scalar()), "\" is no duration, for example 50ms, 30s or 1h30m"));
  }
  google::protobuf::Duration value;
  value.set_seconds(absl::IDivDuration(duration, absl::Seconds(1), &duration));
  value.set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(duration)));
  message.GetReflection()->MutableMessage(&message, &field)->CopyFrom(value);
}

// The line of a tab where YAML wants blanks, 0: none. The parser takes some of them for text.
int LineOfTab(absl::string_view yaml) {
  int number = 0;
  for (const absl::string_view line : absl::StrSplit(yaml, '\n')) {
    ++number;
    const size_t text = line.find_first_not_of(" \t");
    const bool blank = text == absl::string_view::npos || line[text] == '#' || line[text] == '\r';
    if (!blank && line.substr(0, text).find('\t') != absl::string_view::npos) return number;
  }
  return 0;
}

bool IsObject(const YAML::Node& node) {
  const auto has = [&node](const char* name) { return node[name].IsDefined() && node[name].IsScalar(); };
  return node.IsMap() && has("apiVersion") && has("kind");
}

void ReadDocument(absl::string_view yaml, const ObjectKind* kind, Message& message, YamlReader& reader) {
  const std::vector<YAML::Node> documents = YAML::LoadAll(std::string(yaml));
  if (documents.size() > 1)
    return reader.Fault(LineOf(documents[1]), "", "a second document begins: there must be one");
  if (documents.empty() || documents[0].IsNull()) return reader.Fault(0, "", "the file is empty");
  const YAML::Node& node = documents[0];
  if (kind != nullptr && IsObject(node)) return reader.ReadObject(node, *kind, message);
  reader.Read(node, "", message);
}

std::string Quoted(absl::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    if (c == '\n')
      quoted += "\\n";
    else
      quoted += c;
  }
  return quoted + "\"";
}

std::string ShowDouble(double value) {
  char buffer[32];
  return std::string(buffer, std::to_chars(buffer, buffer + sizeof(buffer), value).ptr);
}

std::string ShowScalar(const Message& message, const FieldDescriptor& field) {
  const Reflection& reflection = *message.GetReflection();
  if (IsDuration(field)) {
    const auto& value = static_cast<const google::protobuf::Duration&>(reflection.GetMessage(message, &field));
    return absl::FormatDuration(absl::Seconds(value.seconds()) + absl::Nanoseconds(value.nanos()));
  }
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      return Quoted(reflection.GetString(message, &field));
    case FieldDescriptor::CPPTYPE_BOOL:
      return reflection.GetBool(message, &field) ? "true" : "false";
    case FieldDescriptor::CPPTYPE_ENUM:
      return EnumeratorName(*reflection.GetEnum(message, &field));
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return ShowDouble(reflection.GetDouble(message, &field));
    case FieldDescriptor::CPPTYPE_INT32:
      return absl::StrCat(reflection.GetInt32(message, &field));
    default:
      return absl::StrCat(reflection.GetInt64(message, &field));
  }
}

void Write(const Message& message, const std::string& indent, std::string& out);

void WriteList(const Message& message, const FieldDescriptor& field, const std::string& indent, std::string& out) {
  const Reflection& reflection = *message.GetReflection();
  const int size = reflection.FieldSize(message, &field);
  out += size == 0 ? " []\n" : "\n";
  for (int i = 0; i < size; ++i) {
    if (field.message_type() == nullptr) {
      absl::StrAppend(&out, indent, "  - ", Quoted(reflection.GetRepeatedString(message, &field, i)), "\n");
      continue;
    }
    std::string element;
    Write(reflection.GetRepeatedMessage(message, &field, i), indent + "    ", element);
    if (!element.empty()) element.replace(indent.size(), 4, "  - ");
    out += element.empty() ? indent + "  - {}\n" : element;
  }
}

void Write(const Message& message, const std::string& indent, std::string& out) {
  const Reflection& reflection = *message.GetReflection();
  for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor& field = *message.GetDescriptor()->field(i);
    const bool group = field.message_type() != nullptr || field.real_containing_oneof() != nullptr;
    if (!field.is_repeated() && group && !reflection.HasField(message, &field)) continue;
    // An enum that was not chosen has no name in YAML.
    if (field.enum_type() != nullptr && reflection.GetEnumValue(message, &field) == 0) continue;
    absl::StrAppend(&out, indent, field.name(), ":");
    if (field.is_repeated()) {
      WriteList(message, field, indent, out);
    } else if (field.message_type() != nullptr && !IsDuration(field)) {
      std::string content;
      Write(reflection.GetMessage(message, &field), indent + "  ", content);
      out += content.empty() ? " {}\n" : "\n" + content;
    } else {
      absl::StrAppend(&out, " ", ShowScalar(message, field), "\n");
    }
  }
}

// The line of `path`, or of the group around it.
int LineOf(const YamlReading& reading, std::string path) {
  while (true) {
    if (const auto found = reading.lines.find(path); found != reading.lines.end()) return found->second;
    const size_t dot = path.find_last_of(".[");
    if (dot == std::string::npos) return 0;
    path.resize(dot);
  }
}

std::string Render(absl::string_view name, const YamlFault& fault) {
  return absl::StrCat(name, fault.line > 0 ? absl::StrCat(":", fault.line) : "", ": ", fault.path,
                      fault.path.empty() ? "" : ": ", fault.text);
}

// `kind` null: the text is the message itself.
YamlReading ReadText(absl::string_view yaml, const ObjectKind* kind, Message& message) {
  YamlReader reader;
  if (yaml.size() > kYamlBytesMax) {
    reader.Fault(0, "", absl::StrCat("the file is larger than ", kYamlBytesMax, " bytes"));
  } else if (const int line = LineOfTab(yaml); line > 0) {
    reader.Fault(line, "", "a tab stands where YAML wants blanks");
  } else {
    try {
      ReadDocument(yaml, kind, message, reader);
    } catch (const YAML::Exception& error) {
      reader.Fault(error.mark.is_null() ? 0 : error.mark.line + 1, "", error.msg);
    }
  }
  return reader.Take();
}

}  // namespace

bool IsDuration(const FieldDescriptor& field) {
  return field.message_type() != nullptr && field.message_type()->full_name() == "google.protobuf.Duration";
}

bool CountsBytes(const FieldDescriptor& field) {
  const std::vector<std::string> words = absl::StrSplit(field.name(), '_');
  return std::find(words.begin(), words.end(), "bytes") != words.end();
}

std::vector<std::string> EnumeratorNames(const EnumDescriptor& type) {
  std::vector<std::string> names;
  for (int i = 1; i < type.value_count(); ++i) names.push_back(EnumeratorName(*type.value(i)));
  return names;
}

YamlReading ReadYaml(absl::string_view yaml, Message& message) {
  return ReadText(yaml, nullptr, message);
}

YamlReading ReadYamlOrObject(absl::string_view yaml, const ObjectKind& kind, Message& message) {
  return ReadText(yaml, &kind, message);
}

absl::StatusOr<std::string> ReadYamlFile(const std::string& path, absl::string_view what) {
  return ReadFile(path, kYamlBytesMax + 1, what);
}

absl::Status YamlStatus(absl::string_view name, YamlReading reading, const std::vector<YamlFault>& values) {
  std::vector<YamlFault>& faults = reading.faults;
  const bool readable = faults.empty() || !faults[0].path.empty();
  // A value that could not be read is no missing or wrong value besides.
  std::set<std::string> told;
  for (const YamlFault& fault : faults) told.insert(fault.path);
  for (const YamlFault& fault : values) {
    const bool around = std::any_of(told.begin(), told.end(), [&](const std::string& path) {
      return !path.empty() && absl::StartsWith(fault.path, path);
    });
    if (readable && !around) faults.push_back({LineOf(reading, fault.path), fault.path, fault.text});
  }
  if (faults.empty()) return absl::OkStatus();
  std::stable_sort(faults.begin(), faults.end(),
                   [](const YamlFault& a, const YamlFault& b) { return a.line < b.line; });
  return absl::InvalidArgumentError(absl::StrJoin(
      faults, "\n", [&](std::string* out, const YamlFault& fault) { absl::StrAppend(out, Render(name, fault)); }));
}

std::string WriteYaml(const Message& message) {
  std::string out;
  Write(message, "", out);
  return out;
}

}  // namespace headroom
