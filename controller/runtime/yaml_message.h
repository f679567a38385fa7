#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

// YAML of any protobuf message: fields by name, durations as "1h30m", sizes as "64Mi" where the name says bytes,
// enumerators in lower case without their prefix. Any thread.

namespace headroom {

// One fault of a file.
struct YamlFault {
  int line = 0;      // 0: the file as a whole
  std::string path;  // "nodes.min"; empty: the file as a whole
  std::string text;
};

// What a text said.
struct YamlReading {
  std::vector<YamlFault> faults;     // in the order of the text
  std::map<std::string, int> lines;  // of each path that was given
  // Where the message was the spec of an object: its metadata's.
  std::string object_name, object_namespace;
};

// What an object of Kubernetes says that it is.
struct ObjectKind {
  absl::string_view api_version, kind;
};

inline constexpr size_t kYamlBytesMax = size_t{1} << 20;

// The text of a file, read up to a little more than kYamlBytesMax. NOT_FOUND / PERMISSION_DENIED: "cannot read `what`
// PATH", and why.
absl::StatusOr<std::string> ReadYamlFile(const std::string& path, absl::string_view what);

// Fills `message`. All faults are collected; a fault of syntax ends the reading.
YamlReading ReadYaml(absl::string_view yaml, google::protobuf::Message& message);
// The same, where the text may also be an object of that kind, {apiVersion, kind, metadata, spec}, whose spec is the
// message; a status is not looked at. Paths are those of the message.
YamlReading ReadYamlOrObject(absl::string_view yaml, const ObjectKind& kind, google::protobuf::Message& message);

// OK, or INVALID_ARGUMENT with all faults, a line each, in the order of the text: `name`:4: nodes.min: 9 exceeds 6.
// `values` are faults of what could be read; their lines are those of their paths, or of the group around, and those in
// what could not be read are left out. A fault of syntax stands alone.
absl::Status YamlStatus(absl::string_view name, YamlReading reading, const std::vector<YamlFault>& values);

// How a field is written.
bool IsDuration(const google::protobuf::FieldDescriptor& field);
bool CountsBytes(const google::protobuf::FieldDescriptor& field);
// The names of an enum; the first says "unspecified" and is nobody's choice.
std::vector<std::string> EnumeratorNames(const google::protobuf::EnumDescriptor& type);

// Every field with its value, messages and `oneof` fields that are not set left out. ReadYaml gives the message back.
std::string WriteYaml(const google::protobuf::Message& message);

}  // namespace headroom
