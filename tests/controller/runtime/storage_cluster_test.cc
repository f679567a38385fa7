#include "controller/runtime/storage_cluster.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <google/protobuf/descriptor.h>
#include <yaml-cpp/yaml.h>

#include "controller/runtime/config.h"

namespace headroom {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr char kObject[] = R"(apiVersion: headroom.dev/v1alpha1
kind: StorageCluster
metadata:
  name: files
  namespace: storage
  labels: {team: east}
spec:
  nodes:
    max: 9
  provider:
    kubernetes:
      workload: statefulset/files
status:
  observedGeneration: 3
)";

std::string Source(const std::string& path) {
  const char* root = std::getenv("HEADROOM_SOURCE");
  return absl::StrCat(root == nullptr ? "." : root, "/", path);
}

std::string Read(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string FaultOf(const std::string& yaml) {
  return std::string(ParseConfig(yaml, "policy.yaml").status().message());
}

std::string Replaced(std::string text, const std::string& from, const std::string& to) {
  EXPECT_NE(text.find(from), std::string::npos) << from;
  return text.replace(text.find(from), from.size(), to);
}

YAML::Node SpecSchema() {
  const YAML::Node definition = YAML::Load(StorageClusterDefinition());
  return definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
}

TEST(StorageClusterTest, ItsSpecIsThePolicyAndItsNameTheClusters) {
  const absl::StatusOr<Config> config = ParseConfig(kObject, "policy.yaml");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->policy.cluster, "files");
  EXPECT_EQ(config->policy.nodes.max, 9);
  EXPECT_EQ(config->message.provider().kubernetes().namespace_(), "storage");
}

TEST(StorageClusterTest, WhatTheSpecSaysItselfCounts) {
  std::string yaml = Replaced(kObject, "spec:\n", "spec:\n  cluster: west\n");
  yaml = Replaced(yaml, "statefulset/files\n", "statefulset/files\n      namespace: other\n");
  const absl::StatusOr<Config> config = ParseConfig(yaml, "policy.yaml");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->policy.cluster, "west");
  EXPECT_EQ(config->message.provider().kubernetes().namespace_(), "other");
}

TEST(StorageClusterTest, AFaultHasTheLineOfTheFile) {
  EXPECT_EQ(FaultOf(Replaced(kObject, "max: 9", "max: 9\n    min: 12")),
            "policy.yaml:10: nodes.min: 12 exceeds nodes.max 9");
}

TEST(StorageClusterTest, AnObjectOfAnotherKindIsRefusedInOneSentence) {
  EXPECT_EQ(FaultOf(Replaced(kObject, "kind: StorageCluster", "kind: ConfigMap")),
            "policy.yaml:1: must be of kind StorageCluster in headroom.dev/v1alpha1");
  EXPECT_EQ(FaultOf(Replaced(kObject, "v1alpha1", "v2")),
            "policy.yaml:1: must be of kind StorageCluster in headroom.dev/v1alpha1");
}

TEST(StorageClusterTest, WhatIsMissingIsSaid) {
  EXPECT_THAT(FaultOf(Replaced(kObject, "  name: files\n", "")), HasSubstr("metadata.name is required"));
  EXPECT_THAT(FaultOf("apiVersion: headroom.dev/v1alpha1\nkind: StorageCluster\nmetadata: {name: a}\n"),
              HasSubstr("spec is required"));
}

TEST(StorageClusterTest, APolicyBesideTheSpecIsRefused) {
  EXPECT_THAT(FaultOf(absl::StrCat(kObject, "mode: live\n")),
              HasSubstr("policy.yaml:15: only apiVersion, kind, metadata and spec stand in an object"));
}

TEST(StorageClusterTest, TheFilesInDeployAreThatOfThisBuild) {
  for (const char* path :
       {"deploy/kustomize/crd/storageclusters.yaml", "deploy/helm/headroom/files/storageclusters.yaml"}) {
    EXPECT_EQ(Read(Source(path)), StorageClusterDefinition()) << path << ": run `make manifests`";
  }
}

TEST(StorageClusterTest, TheExamplesAreGood) {
  int count = 0;
  for (const auto& file : std::filesystem::directory_iterator(Source("deploy/examples/kubernetes"))) {
    const std::string text = Read(file.path().string());
    if (text.find("\nkind: StorageCluster\n") == std::string::npos) continue;
    EXPECT_TRUE(ParseConfig(text, file.path().string()).ok()) << FaultOf(text);
    ++count;
  }
  EXPECT_GE(count, 2);
}

// Every field of a message of the policy stands in the schema with a description and a type.
void ExpectWhole(const google::protobuf::Descriptor& type, const YAML::Node& schema, const std::string& path) {
  ASSERT_TRUE(schema["properties"].IsMap()) << path;
  EXPECT_THAT(schema["properties"], SizeIs(static_cast<size_t>(type.field_count()))) << path;
  for (int i = 0; i < type.field_count(); ++i) {
    const google::protobuf::FieldDescriptor& field = *type.field(i);
    const std::string name = absl::StrCat(path, ".", field.name());
    YAML::Node part = schema["properties"][field.name()];
    ASSERT_TRUE(part.IsMap()) << name;
    EXPECT_TRUE(part["description"].IsDefined()) << name;
    if (field.is_repeated()) part = part["items"];
    EXPECT_TRUE(part["type"].IsDefined() || part["x-kubernetes-int-or-string"].IsDefined()) << name;
    if (field.message_type() != nullptr && !IsDuration(field)) ExpectWhole(*field.message_type(), part, name);
  }
}

TEST(StorageClusterTest, TheSchemaHasEveryFieldOfThePolicy) {
  ExpectWhole(*v1::Policy::descriptor(), SpecSchema(), "spec");
}

TEST(StorageClusterTest, TheSchemaSaysWhatIsRequired) {
  const YAML::Node spec = SpecSchema();
  EXPECT_EQ(spec["required"].as<std::vector<std::string>>(), (std::vector<std::string>{"nodes", "provider"}));
  EXPECT_EQ(spec["properties"]["nodes"]["required"].as<std::vector<std::string>>(), std::vector<std::string>{"max"});
}

TEST(StorageClusterTest, EveryKindOfProviderIsInTheRuleThatWantsExactlyOne) {
  const YAML::Node provider = SpecSchema()["properties"]["provider"];
  const std::string rule = provider["x-kubernetes-validations"][0]["rule"].as<std::string>();
  for (const auto& kind : provider["properties"]) {
    EXPECT_THAT(rule, HasSubstr(absl::StrCat("has(self.", kind.first.as<std::string>(), ")")));
  }
}

// "kubectl get" shows an empty column for a path that leads nowhere, and nobody is told.
TEST(StorageClusterTest, EveryColumnShowsAFieldOfTheSchema) {
  const YAML::Node version = YAML::Load(StorageClusterDefinition())["spec"]["versions"][0];
  std::vector<std::string> names;
  for (const auto& column : version["additionalPrinterColumns"]) {
    if (!column["priority"]) names.push_back(column["name"].as<std::string>());
    YAML::Node at = version["schema"]["openAPIV3Schema"];
    const std::string path = column["jsonPath"].as<std::string>();
    // A filter, as [*] and [?(@.type=="Ready")], is no field.
    for (absl::string_view field : absl::StrSplit(path, absl::ByAnyChar(".["), absl::SkipEmpty())) {
      if (absl::StrContains(field, "]") || absl::StrContains(field, "@") || path[1] == 'm') continue;
      if (at["items"]) at.reset(at["items"]);
      at.reset(at["properties"][std::string(field)]);
      ASSERT_TRUE(at.IsDefined()) << path << " at " << field;
    }
  }
  EXPECT_THAT(names,
              ElementsAre("Target", "Min", "Current", "Desired", "Max", "Ready", "Frozen", "Mode", "Diagnosis", "Age"));
}

// What the API server refuses is refused by headroomd, too, with or without an API server before it.
struct BadCase {
  const char* name;
  const char* message;  // of the schema's rule
  const char* yaml;
};
constexpr BadCase kBadCases[] = {
    {"min", "min exceeds max", "nodes: {min: 3, max: 2}\nprovider: {simulated: {}}\n"},
    {"data_floor", "data_floor exceeds max", "nodes: {data_floor: 3, max: 2}\nprovider: {simulated: {}}\n"},
    {"floor", "floor exceeds ceiling",
     "nodes: {max: 2}\nprovider: {simulated: {}}\nlimits: {floor: 30, ceiling: 20}\n"},
    {"decay_at", "decay_at exceeds raise_at",
     "nodes: {max: 2}\nprovider: {simulated: {}}\nlimits: {decay_at: 0.9, raise_at: 0.8}\n"},
    {"stored", "signals.stored needs nodes.data: bearing",
     "nodes: {max: 2}\nprovider: {simulated: {}}\nsignals: {stored: {target: 0.7}}\n"},
    {"calendar", "needs exactly one of multiply, connections and nodes",
     "nodes: {max: 2}\nprovider: {simulated: {}}\ncalendar: [{name: a, start: '01:00', end: '02:00'}]\n"},
    {"provider", "needs exactly one of local, simulated, ", "nodes: {max: 2}\nprovider: {}\n"},
};

TEST(StorageClusterTest, EveryRuleOfTheSchemaIsHeadroomdsToo) {
  const std::string definition = StorageClusterDefinition();
  size_t rules = 0;
  for (size_t at = definition.find("- rule:"); at != std::string::npos; at = definition.find("- rule:", at + 1))
    ++rules;
  EXPECT_EQ(rules, std::size(kBadCases) + 1) << "and the one of the object's name";
  for (const BadCase& bad : kBadCases) {
    EXPECT_THAT(definition, HasSubstr(bad.message));
    EXPECT_FALSE(ParseConfig(bad.yaml, "policy.yaml").ok()) << bad.name;
  }
}

}  // namespace
}  // namespace headroom
