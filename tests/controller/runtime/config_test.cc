#include "controller/runtime/config.h"

#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "controller/core/policy_parse.h"

namespace headroom {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr char kGood[] = R"(cluster: west
mode: live
nodes:
  min: 2
  max: 9
  cooldown: 1h30m
  zones: [a, b]
signals:
  throughput:
    bytes_per_node: 64Mi
provider:
  simulated:
    speed: 5
)";

std::vector<std::string> FaultsOf(absl::string_view yaml) {
  const absl::StatusOr<Config> config = ParseConfig(yaml, "policy.yaml");
  if (config.ok()) return {};
  EXPECT_EQ(config.status().code(), absl::StatusCode::kInvalidArgument);
  return absl::StrSplit(std::string(config.status().message()), '\n');
}

// The good policy with `lines` under `nodes`.
std::string WithNodes(absl::string_view lines) {
  return absl::StrCat("provider: {simulated: {}}\nnodes:\n  max: 9\n", lines);
}

TEST(ConfigTest, ReadsWhatIsSaidAndFillsInTheRest) {
  const absl::StatusOr<Config> config = ParseConfig(kGood, "policy.yaml");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->policy.cluster, "west");
  EXPECT_EQ(config->policy.mode, Mode::kLive);
  EXPECT_EQ(config->policy.nodes.min, 2);
  EXPECT_EQ(config->policy.nodes.cooldown, absl::Minutes(90));
  EXPECT_THAT(config->policy.nodes.zones, ElementsAre("a", "b"));
  EXPECT_EQ(config->policy.throughput.bytes_per_second_per_node, 64 << 20);
  EXPECT_EQ(config->policy.source, kGood);
  const Policy defaults;
  EXPECT_EQ(config->policy.nodes.stabilization, defaults.nodes.stabilization);
  EXPECT_EQ(config->message.nodes().stabilization().seconds(), 300);
  EXPECT_EQ(config->message.limits().floor(), defaults.limits.law.floor_count);
  EXPECT_EQ(config->message.provider().simulated().initial_count(), 2);
  EXPECT_EQ(config->message.provider().simulated().speed(), 5);
}

TEST(ConfigTest, AZeroThatWasWrittenIsNotTakenForTheDefault) {
  const absl::StatusOr<Config> config =
      ParseConfig(WithNodes("  cooldown: 0s\nlimits: {reserve: 0, headroom: 0, enabled: false}\n"), "policy.yaml");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->policy.nodes.cooldown, absl::ZeroDuration());
  EXPECT_EQ(config->policy.limits.law.reserve_count, 0);
  EXPECT_EQ(config->policy.limits.law.headroom_ratio, 0.0);
  EXPECT_FALSE(config->policy.limits.enabled);
  EXPECT_THAT(FaultsOf(WithNodes("  min: 0\n")), ElementsAre("policy.yaml:4: nodes.min: 0 is outside 1 to 20000"));
}

TEST(ConfigTest, OfAStatefulSetOnePodLeavesAtATimeUnlessMoreAreAskedFor) {
  const auto nodes = [](const std::string& lines, const std::string& workload) {
    const absl::StatusOr<Config> config = ParseConfig(
        absl::StrCat("nodes: {max: 9", lines, "}\nprovider: {kubernetes: {workload: ", workload, "}}\n"), "");
    EXPECT_TRUE(config.ok()) << config.status();
    EXPECT_EQ(config->message.nodes().remove_count_max(), config->policy.nodes.remove_count_max);
    return config->policy.nodes;
  };
  for (const char* workload : {"statefulset/files", "statefulsets.apps/files"}) {
    EXPECT_EQ(nodes("", workload).removal, Removal::kHighestOrdinal);
    EXPECT_EQ(nodes("", workload).remove_count_max, 1);
    EXPECT_EQ(nodes(", remove_count_max: 0", workload).remove_count_max, 0);
    EXPECT_EQ(nodes(", remove_count_max: 3", workload).remove_count_max, 3);
  }
  EXPECT_EQ(nodes("", "deployment/files").remove_count_max, 0);
  EXPECT_EQ(nodes("", "deployment/files").removal, Removal::kNamed);
}

TEST(ConfigTest, AWorkloadHasOneName) {
  const absl::Status status =
      ParseConfig("nodes: {max: 9}\nprovider: {kubernetes: {workload: statefulset/a/b}}\n", "").status();
  EXPECT_THAT(std::string(status.message()), HasSubstr("\"statefulset/a/b\" is none of"));
}

TEST(ConfigTest, AllFaultsAreToldAtOnceInTheOrderOfTheText) {
  EXPECT_THAT(FaultsOf("cluster: Bad_Name\n"
                       "nodes:\n"
                       "  min: 9\n"
                       "  max: 6\n"
                       "  colddown: 5m\n"
                       "  drain_timeout: soon\n"
                       "limits:\n"
                       "  floor: [1]\n"
                       "  raise_at: 1.5\n"
                       "mode: dry\n"
                       "provider: {simulated: {phases: [{duration: 1m}, {clients: -1, duration: 1m}]}}\n"),
              ElementsAre("policy.yaml:1: cluster: must be 1 to 63 of a-z, 0-9 and -",
                          "policy.yaml:3: nodes.min: 9 exceeds nodes.max 6",
                          "policy.yaml:5: nodes.colddown: unknown field; did you mean cooldown?",
                          "policy.yaml:6: nodes.drain_timeout: \"soon\" is no duration, for example 50ms, 30s or 1h30m",
                          "policy.yaml:8: limits.floor: must be a single value",
                          "policy.yaml:9: limits.raise_at: 1.5 is outside 0.05 to 1",
                          "policy.yaml:10: mode: \"dry\" is none of dry_run, live",
                          "policy.yaml:11: provider.simulated.phases[1].clients: -1 is outside 0 to 10000000"));
}

struct BadText {
  const char* name;
  std::string yaml;
  std::string fault;
};

class BadConfigTest : public ::testing::TestWithParam<BadText> {};

TEST_P(BadConfigTest, GivesOneClearLine) {
  EXPECT_THAT(FaultsOf(GetParam().yaml), ElementsAre(StartsWith(GetParam().fault)));
}

INSTANTIATE_TEST_SUITE_P(
    Texts, BadConfigTest,
    ::testing::Values(
        BadText{"empty", "", "policy.yaml: the file is empty"},
        BadText{"only_comments", "# nothing\n", "policy.yaml: the file is empty"},
        BadText{"tab", "nodes:\n\tmin: 1\n", "policy.yaml:2: a tab stands where YAML wants blanks"},
        BadText{"two_documents", "cluster: a\n---\ncluster: b\n", "policy.yaml:3: a second document begins"},
        BadText{"no_map", "- a\n- b\n", "policy.yaml:1: must be a group of fields"},
        BadText{"just_text", "hello", "policy.yaml:1: must be a group of fields"},
        BadText{"unclosed", "nodes: {min: 1\n", "policy.yaml:"},
        BadText{"endless_nesting", "cluster: " + std::string(100'000, '['), "policy.yaml:"},
        BadText{"huge", "cluster: a\n#" + std::string(size_t{1} << 20, 'x'), "policy.yaml: the file is larger than"},
        BadText{"binary", std::string("cluster: \0\x01", 11), "policy.yaml:"},
        BadText{"no_provider", "nodes: {max: 3}\n",
                "policy.yaml: provider: is required: one of local, simulated, kubernetes, aws, external"},
        BadText{"no_workload", "nodes: {max: 3}\nprovider:\n  kubernetes: {workload: daemonset/files}\n",
                "policy.yaml:3: provider.kubernetes.workload: \"daemonset/files\" is none of"},
        BadText{"no_group", "nodes: {max: 3}\nprovider:\n  aws: {region: eu-west-1}\n",
                "policy.yaml:3: provider.aws.group: is required"},
        BadText{"no_url", "nodes: {max: 3}\nprovider:\n  aws: {group: a, endpoint: 'ftp://a'}\n",
                "policy.yaml:3: provider.aws.endpoint: \"ftp://a\" is no URL"},
        BadText{"no_address", "nodes: {max: 3}\nprovider:\n  external: {}\n",
                "policy.yaml:3: provider.external.address: is required"},
        BadText{"far_address", "nodes: {max: 3}\nprovider:\n  external: {address: '10.0.0.1:7700'}\n",
                "policy.yaml:3: provider.external.address: \"10.0.0.1:7700\" is neither"},
        BadText{"two_providers", "nodes: {max: 3}\nprovider:\n  simulated: {}\n  local: {data_dir: /x}\n",
                "policy.yaml:4: provider.local: excludes \"simulated\": only one of them may be given"},
        BadText{"no_max", "provider: {simulated: {}}\nnodes: {min: 3}\n", "policy.yaml:2: nodes.max: is required"},
        BadText{"twice", WithNodes("  max: 8\n"), "policy.yaml:4: nodes.max: stands twice, first in line 3"},
        BadText{"no_value", WithNodes("  min:\n"), "policy.yaml:4: nodes.min: has no value"},
        BadText{"not_whole", WithNodes("  min: 1.5\n"), "policy.yaml:4: nodes.min: \"1.5\" is no whole number"},
        BadText{"too_large", WithNodes("  min: 99999999999\n"),
                "policy.yaml:4: nodes.min: \"99999999999\" is no whole number"},
        BadText{"nan", WithNodes("  growth_ratio_max: .nan\n"),
                "policy.yaml:4: nodes.growth_ratio_max: \".nan\" is no number"},
        BadText{"no_unit", WithNodes("  cooldown: 30\n"), "policy.yaml:4: nodes.cooldown: \"30\" is no duration"},
        BadText{"negative", WithNodes("  cooldown: -5m\n"), "policy.yaml:4: nodes.cooldown: \"-5m\" is no duration"},
        BadText{"endless", WithNodes("  cooldown: inf\n"), "policy.yaml:4: nodes.cooldown: \"inf\" is no duration"},
        BadText{"group_as_list", WithNodes("limits: [1]\n"), "policy.yaml:4: limits: must be a group of fields"},
        BadText{"list_as_text", WithNodes("  zones: a\n"), "policy.yaml:4: nodes.zones: must be a list"},
        BadText{"zone_twice", WithNodes("  zones: [a, a]\n"), "policy.yaml:4: nodes.zones[1]: \"a\" stands twice"},
        BadText{"size_without_bytes", WithNodes("  min: 1Ki\n"),
                "policy.yaml:4: nodes.min: \"1Ki\" is no whole number"},
        BadText{"merge_key", "<<: {}\nprovider: {simulated: {}}\nnodes: {max: 1}\n",
                "policy.yaml:1: <<: unknown field"},
        BadText{"not_loopback", "nodes: {max: 3}\nprovider: {local: {data_dir: /x, address: 0.0.0.0}}\n",
                "policy.yaml:2: provider.local.address: \"0.0.0.0\" is no loopback address (127.0.0.0/8)"},
        BadText{"loopback_of_another_kind", "nodes: {max: 3}\nprovider: {local: {data_dir: /x, address: '::1'}}\n",
                "policy.yaml:2: provider.local.address: \"::1\" is no loopback address (127.0.0.0/8)"}),
    [](const auto& each) { return each.param.name; });

TEST(ConfigTest, YamlOfAConfigGivesTheSameConfigBack) {
  const absl::StatusOr<Config> config = ParseConfig(kGood, "policy.yaml");
  ASSERT_TRUE(config.ok()) << config.status();
  const std::string yaml = ConfigToYaml(config->message);
  EXPECT_THAT(yaml, HasSubstr("  stabilization: 5m\n"));
  EXPECT_THAT(yaml, HasSubstr("  data: gateway\n"));
  EXPECT_THAT(yaml, HasSubstr("      - duration: 20m\n        requests_per_second: 450\n"));
  EXPECT_THAT(yaml, Not(HasSubstr("latency:")));
  const absl::StatusOr<Config> again = ParseConfig(yaml, "again.yaml");
  ASSERT_TRUE(again.ok()) << again.status() << "\n" << yaml;
  EXPECT_EQ(again->message.SerializeAsString(), config->message.SerializeAsString());
}

TEST(ConfigTest, AMessageIsCheckedAsAFileIs) {
  const absl::StatusOr<Config> config = ParseConfig(kGood, "policy.yaml");
  ASSERT_TRUE(config.ok());
  v1::Policy message = config->message;
  ASSERT_TRUE(ConfigFromMessage(message).ok());
  message.mutable_nodes()->set_min(10);
  EXPECT_EQ(ConfigFromMessage(message).status(), absl::InvalidArgumentError("nodes.min: 10 exceeds nodes.max 9"));
}

TEST(ConfigTest, AFileThatIsMissingIsNotFoundWithItsPath) {
  const absl::Status status = LoadConfig("/nonexistent/policy.yaml").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr("/nonexistent/policy.yaml"));
}

TEST(ConfigTest, TheExamplesAreGood) {
  const char* source = std::getenv("HEADROOM_SOURCE");
  const std::string folder = absl::StrCat(source == nullptr ? "." : source, "/deploy/examples/");
  for (const char* name : {"aws.yaml", "external.yaml"}) EXPECT_TRUE(LoadConfig(folder + name).ok()) << name;
  const absl::StatusOr<Config> simulated = LoadConfig(folder + "simulated.yaml");
  ASSERT_TRUE(simulated.ok()) << simulated.status();
  EXPECT_TRUE(simulated->message.provider().has_simulated());
  const absl::StatusOr<Config> local = LoadConfig(folder + "local.yaml");
  ASSERT_TRUE(local.ok()) << local.status();
  EXPECT_EQ(local->policy.mode, Mode::kDryRun);
}

}  // namespace
}  // namespace headroom
