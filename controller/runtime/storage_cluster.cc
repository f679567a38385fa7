#include "controller/runtime/storage_cluster.h"

#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>
#include <yaml-cpp/yaml.h>

#include "controller/base/check.h"
#include "headroom/policy_descriptor.h"

namespace headroom {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::DescriptorPool;
using google::protobuf::FieldDescriptor;
using google::protobuf::FileDescriptorSet;

constexpr int kListMax = 200;
constexpr int kTextMax = 1024;

// What the API server checks beyond names and types, by message. Fields that are not given have no defaults here.
struct Rule {
  absl::string_view message, rule, text;
};
constexpr Rule kRules[] = {
    {"Policy",
     "!has(self.signals) || !has(self.signals.stored) || (has(self.nodes.data) && self.nodes.data == 'bearing')",
     "signals.stored needs nodes.data: bearing"},
    {"Nodes", "!has(self.min) || self.min <= self.max", "min exceeds max"},
    {"Nodes", "!has(self.data_floor) || self.data_floor <= self.max", "data_floor exceeds max"},
    {"Limits", "!has(self.floor) || !has(self.ceiling) || self.floor <= self.ceiling", "floor exceeds ceiling"},
    {"Limits", "!has(self.decay_at) || !has(self.raise_at) || self.decay_at <= self.raise_at",
     "decay_at exceeds raise_at"},
    {"CalendarEntry", "[has(self.multiply), has(self.connections), has(self.nodes)].filter(given, given).size() == 1",
     "needs exactly one of multiply, connections and nodes"},
};

// Around the spec: what users see at a glance, and what headroomd says of the cluster. @SPEC@ is the schema.
constexpr int kSpecDepth = 14;
constexpr char kFrame[] = R"(# Made by `headroomctl policy crd`.
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: storageclusters.headroom.dev
  annotations:
    helm.sh/resource-policy: keep
spec:
  group: headroom.dev
  scope: Namespaced
  names:
    kind: StorageCluster
    listKind: StorageClusterList
    plural: storageclusters
    singular: storagecluster
    shortNames: [hsc]
    categories: [all]
  versions:
    - name: v1alpha1
      served: true
      storage: true
      subresources:
        status: {}
      additionalPrinterColumns:
        - {name: Target, type: string, jsonPath: .spec.provider.kubernetes.workload}
        - {name: Min, type: integer, jsonPath: .spec.nodes.min}
        - {name: Current, type: integer, jsonPath: .status.nodes.current}
        - {name: Desired, type: integer, jsonPath: .status.nodes.desired}
        - {name: Max, type: integer, jsonPath: .spec.nodes.max}
        - {name: Ready, type: string, jsonPath: '.status.conditions[?(@.type=="Ready")].status'}
        - {name: Frozen, type: string, jsonPath: '.status.conditions[?(@.type=="Frozen")].status'}
        - {name: Mode, type: string, jsonPath: .status.mode}
        - {name: Diagnosis, type: string, jsonPath: .status.diagnosis.cause}
        - {name: Alarms, type: string, priority: 1, jsonPath: '.status.alarms[*].reason'}
        - {name: Reason, type: string, priority: 1, jsonPath: '.status.conditions[?(@.type=="Ready")].message'}
        - {name: Age, type: date, jsonPath: .metadata.creationTimestamp}
      schema:
        openAPIV3Schema:
          description: A storage cluster and how Headroom keeps it. Its spec is a policy, as in a policy file.
          type: object
          required: [spec]
          properties:
            apiVersion: {type: string}
            kind: {type: string}
            metadata: {type: object}
            spec:
@SPEC@
            status:
              description: What Headroom sees and does; written by headroomd.
              type: object
              properties:
                observedGeneration:
                  description: The generation of the object that the rest of this status is about.
                  type: integer
                  format: int64
                  minimum: 0
                nodes:
                  description: How many nodes there are.
                  type: object
                  properties:
                    current: {type: integer, format: int32, description: 'Nodes that are there: the draining, restarting and silent ones too.'}
                    desired: {type: integer, format: int32, description: Nodes that the last decision asks for.}
                    launching: {type: integer, format: int32, description: Nodes that are asked for and do not serve yet.}
                    draining: {type: integer, format: int32, description: Nodes that leave.}
                mode:
                  description: 'What becomes of decisions: live, or dry_run. An operator may have chosen another than the spec.'
                  type: string
                  maxLength: 64
                diagnosis:
                  description: What is wrong with the cluster, as it was when the cause was named.
                  type: object
                  properties:
                    cause: {type: string, maxLength: 64, description: 'none, cannot_tell, limit_exhausted_by_surge, retry_storm ...'}
                    message: {type: string, maxLength: 8192, description: The sentence with its evidence.}
                    remedy: {type: string, maxLength: 8192, description: What is to be done.}
                    ruledOut: {type: array, maxItems: 20, x-kubernetes-list-type: atomic, items: {type: string, maxLength: 8192}, description: 'The causes that it is not, each with its evidence.'}
                    sinceTime: {type: string, format: date-time, description: When this cause was first seen.}
                alarms:
                  description: What needs a person, one of each kind.
                  type: array
                  maxItems: 20
                  x-kubernetes-list-type: atomic
                  items:
                    type: object
                    properties:
                      reason: {type: string, maxLength: 128}
                      message: {type: string, maxLength: 8192, description: Of the first of this kind.}
                      count: {type: integer, format: int64, minimum: 1}
                lastAction:
                  description: The last change in the number of nodes.
                  type: object
                  properties:
                    reason: {type: string, maxLength: 128}
                    message: {type: string, maxLength: 8192}
                    time: {type: string, format: date-time}
                conditions:
                  description: Ready, TelemetryFresh, ProviderReachable, ScalingLimited, Draining, Frozen and DryRun.
                  type: array
                  maxItems: 20
                  x-kubernetes-list-type: map
                  x-kubernetes-list-map-keys: [type]
                  items:
                    type: object
                    required: [type, status, lastTransitionTime, reason, message]
                    properties:
                      type: {type: string, maxLength: 316}
                      status: {type: string, enum: ['True', 'False', Unknown]}
                      observedGeneration: {type: integer, format: int64, minimum: 0}
                      lastTransitionTime: {type: string, format: date-time}
                      reason: {type: string, minLength: 1, maxLength: 1024, pattern: '^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$'}
                      message: {type: string, maxLength: 32768}
          x-kubernetes-validations:
            - rule: has(self.spec.cluster) || self.metadata.name.matches('^[a-z0-9-]{1,63}$')
              message: metadata.name names the cluster, so it must be 1 to 63 of a-z, 0-9 and -; or set spec.cluster
)";

// A comment of the schema as one line.
std::string Comment(const std::string& text) {
  std::vector<absl::string_view> lines = absl::StrSplit(text, '\n', absl::SkipWhitespace());
  for (absl::string_view& line : lines) line = absl::StripAsciiWhitespace(line);
  return absl::StrJoin(lines, " ");
}

template <typename T>
std::string CommentOf(const T& part) {
  google::protobuf::SourceLocation location;
  return part.GetSourceLocation(&location) ? Comment(location.leading_comments) : "";
}

YAML::Node Flow(const std::vector<std::string>& texts) {
  YAML::Node list;
  for (const std::string& text : texts) list.push_back(text);
  list.SetStyle(YAML::EmitterStyle::Flow);
  return list;
}

void AddRule(YAML::Node& schema, absl::string_view rule, absl::string_view text) {
  YAML::Node entry;
  entry["rule"] = std::string(rule);
  entry["message"] = std::string(text);
  schema["x-kubernetes-validations"].push_back(entry);
}

// Exactly one of a oneof that says so. The rest of the rules is between fields that the schema does not join.
void AddRules(const Descriptor& type, YAML::Node& schema) {
  for (int i = 0; i < type.real_oneof_decl_count(); ++i) {
    std::vector<std::string> names, given;
    for (int j = 0; j < type.oneof_decl(i)->field_count(); ++j) {
      names.push_back(type.oneof_decl(i)->field(j)->name());
      given.push_back(absl::StrCat("has(self.", names.back(), ")"));
    }
    AddRule(schema, absl::StrCat("[", absl::StrJoin(given, ", "), "].filter(given, given).size() == 1"),
            absl::StrCat("needs exactly one of ", absl::StrJoin(names, ", ")));
  }
  for (const Rule& rule : kRules) {
    if (rule.message == type.name()) AddRule(schema, rule.rule, rule.text);
  }
}

void DescribeInteger(const FieldDescriptor& field, YAML::Node& schema) {
  if (CountsBytes(field)) {
    schema["x-kubernetes-int-or-string"] = true;
    schema["pattern"] = "^[0-9]+(Ki|Mi|Gi|Ti|k|M|G|T)?$";
    return;
  }
  schema["type"] = "integer";
  schema["format"] = field.cpp_type() == FieldDescriptor::CPPTYPE_INT32 ? "int32" : "int64";
}

void DescribeText(YAML::Node& schema) {
  schema["type"] = "string";
  schema["maxLength"] = kTextMax;
}

void DescribeMessage(const Descriptor& type, YAML::Node& schema);

void DescribeValue(const FieldDescriptor& field, YAML::Node& schema) {
  if (IsDuration(field)) {
    schema["type"] = "string";
    schema["maxLength"] = 64;
    schema["pattern"] = "^(0|([0-9]+([.][0-9]*)?(ns|us|ms|s|m|h))+)$";
    return;
  }
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return DescribeMessage(*field.message_type(), schema);
    case FieldDescriptor::CPPTYPE_STRING:
      return DescribeText(schema);
    case FieldDescriptor::CPPTYPE_ENUM:
      schema["type"] = "string";
      schema["enum"] = Flow(EnumeratorNames(*field.enum_type()));
      return;
    case FieldDescriptor::CPPTYPE_BOOL:
      schema["type"] = "boolean";
      return;
    case FieldDescriptor::CPPTYPE_DOUBLE:
      schema["type"] = "number";
      return;
    default:
      return DescribeInteger(field, schema);
  }
}

YAML::Node SchemaOf(const FieldDescriptor& field) {
  YAML::Node schema;
  if (const std::string comment = CommentOf(field); !comment.empty()) schema["description"] = comment;
  if (!field.is_repeated()) {
    DescribeValue(field, schema);
    return schema;
  }
  YAML::Node items;
  DescribeValue(field, items);
  schema["type"] = "array";
  schema["maxItems"] = kListMax;
  schema["x-kubernetes-list-type"] = "atomic";
  schema["items"] = items;
  return schema;
}

void DescribeMessage(const Descriptor& type, YAML::Node& schema) {
  schema["type"] = "object";
  std::vector<std::string> required;
  YAML::Node properties;
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    properties[field.name()] = SchemaOf(field);
    if (absl::StrContains(CommentOf(field), "Required")) required.push_back(field.name());
  }
  if (!required.empty()) schema["required"] = Flow(required);
  schema["properties"] = properties;
  AddRules(type, schema);
}

// Schema of the policy with its comments, which the linked one has not.
class CommentedPolicy {
 public:
  CommentedPolicy() {
    FileDescriptorSet set;
    HR_CHECK(set.ParseFromArray(kPolicyDescriptor, sizeof kPolicyDescriptor));
    for (const google::protobuf::FileDescriptorProto& file : set.file()) HR_CHECK(pool_.BuildFile(file) != nullptr);
  }
  const Descriptor& type() const { return *pool_.FindMessageTypeByName("headroom.v1.Policy"); }

 private:
  DescriptorPool pool_;
};

std::string Indented(const YAML::Node& node, int depth) {
  YAML::Emitter emitter;
  emitter << node;
  const std::string margin(static_cast<size_t>(depth), ' ');
  return absl::StrCat(margin, absl::StrReplaceAll(emitter.c_str(), {{"\n", absl::StrCat("\n", margin)}}));
}

}  // namespace

std::string StorageClusterDefinition() {
  YAML::Node spec;
  const CommentedPolicy policy;
  spec["description"] = "The policy of this cluster, with the fields of a policy file.";
  DescribeMessage(policy.type(), spec);
  return absl::StrReplaceAll(kFrame, {{"@SPEC@", Indented(spec, kSpecDepth)}});
}

}  // namespace headroom
