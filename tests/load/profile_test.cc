#include "tests/load/profile.h"

#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace headroom::load {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr absl::string_view kSmall = R"(paths: [/a]
phases: [{duration: 1s, rate: 10, clients: 2}]
)";

std::vector<std::string> FaultsOf(absl::string_view yaml) {
  const absl::StatusOr<Profile> profile = ParseProfile(yaml, "p.yaml");
  EXPECT_FALSE(profile.ok());
  return absl::StrSplit(std::string(profile.status().message()), '\n');
}

std::vector<std::string> FaultsOfSmallWith(absl::string_view line) {
  return FaultsOf(absl::StrCat(kSmall, line, "\n"));
}

TEST(Profile, TheCampaignIsTheOneOfTheOutage) {
  const char* source = std::getenv("HEADROOM_SOURCE");
  const absl::StatusOr<Profile> profile =
      LoadProfile(absl::StrCat(source == nullptr ? "." : source, "/tests/load/profiles/campaign.yaml"));
  ASSERT_TRUE(profile.ok()) << profile.status();
  ASSERT_EQ(profile->phases.size(), 3u);
  EXPECT_EQ(profile->phases[0].rate, 450);
  EXPECT_EQ(profile->phases[1].rate, 3 * profile->phases[0].rate);
  EXPECT_EQ(profile->phases[1].clients, 3 * profile->phases[0].clients);
  EXPECT_EQ(profile->phases[1].pool_max, 2);
  EXPECT_EQ(profile->phases[1].duration, absl::Seconds(30));
  EXPECT_EQ(profile->request_timeout, absl::Seconds(1));
  EXPECT_EQ(profile->connect_timeout, absl::Seconds(3));
  EXPECT_EQ(profile->retries, 3);
  EXPECT_EQ(profile->objects.size(), 200u);
  EXPECT_EQ(profile->objects.back().path, "/campaign/object-199");
}

TEST(Profile, WhatIsNotSaidHasTheDefault) {
  const absl::StatusOr<Profile> profile = ParseProfile(kSmall, "p.yaml");
  ASSERT_TRUE(profile.ok()) << profile.status();
  EXPECT_TRUE(profile->targets.empty());
  EXPECT_EQ(profile->sources.size(), 8u);
  EXPECT_EQ(profile->sources.front(), uint32_t{INADDR_LOOPBACK} + 1);
  EXPECT_EQ(profile->phases.front().pool_max, 2);
  EXPECT_EQ(profile->leavers, Leavers::kIdle);
  EXPECT_FALSE(profile->retry_budget.has_value());
}

TEST(Profile, AllFaultsAreReportedTogetherWithLineAndField) {
  const std::vector<std::string> faults = FaultsOf(R"(target: 8.8.8.8:80
paths: [/a, "b c"]
request_timeout: 10
colour: red
phases:
  - {duration: 1s, rate: 10, clients: 2}
  - {duration: 1s, rate: fast, wombats: 3}
)");
  EXPECT_THAT(faults, ElementsAre(HasSubstr("p.yaml:1: target: '8.8.8.8' is not a loopback address"),
                                  HasSubstr("p.yaml:2: paths[1]: must be a path"),
                                  HasSubstr("p.yaml:3: request_timeout: must be a duration with its unit"),
                                  HasSubstr("p.yaml:7: phases[1].rate: must be a number"),
                                  HasSubstr("p.yaml:7: phases[1].wombats: is not a field"),
                                  HasSubstr("p.yaml:4: colour: is not a field")));
}

TEST(Profile, BadYamlNamesItsLine) {
  EXPECT_THAT(FaultsOf("a: 1\nb: [\n"), ElementsAre(HasSubstr("p.yaml:3:")));
}

TEST(Profile, AnEmptyProfileIsAFault) {
  EXPECT_THAT(FaultsOf(""), ElementsAre(HasSubstr("must be a map")));
}

TEST(Profile, NumbersThatMakeNoSenseAreFaults) {
  for (const char* line :
       {"retries: -1", "retries: 1.5", "retries: many", "request_timeout: 0s", "request_timeout: -1s",
        "request_timeout: inf", "seed: -1", "source_addresses: 0", "source_addresses: [10.0.0.1]",
        "puts: {fraction: .nan}", "puts: {fraction: 2}", "popularity: fashion", "leavers: stay", "zipf_exponent: 1",
        "retry_budget: {per_success: 5}", "target: nowhere", "idle_timeout: []"}) {
    EXPECT_THAT(FaultsOfSmallWith(line), ElementsAre(HasSubstr("p.yaml:3: "))) << line;
  }
}

TEST(Profile, ARunIsBoundedInTimeAndInCount) {
  EXPECT_THAT(FaultsOf("paths: [/a]\nphases: [{duration: 10m, rate: 1, clients: 1}, {duration: 6m, rate: 1}]"),
              ElementsAre(HasSubstr("bounded to 15m")));
  EXPECT_THAT(FaultsOf("paths: [/a]\nphases: [{duration: 10m, rate: 20000, clients: 1}]"),
              ElementsAre(HasSubstr("ask for 12000000 requests; a run is bounded to 10000000")));
}

TEST(Profile, ObjectsAreEitherAListOrANumber) {
  EXPECT_THAT(FaultsOfSmallWith("path_prefix: /x\nobjects: 3"), ElementsAre(HasSubstr("give either paths")));
  EXPECT_THAT(FaultsOf("path_prefix: /x\nphases: [{duration: 1s, rate: 1, clients: 1}]"),
              ElementsAre(HasSubstr("objects: is missing")));
}

TEST(Profile, APathMayNameTheSizeOfItsObject) {
  const absl::StatusOr<Profile> profile =
      ParseProfile("paths: [/a, {path: /b, bytes: 7}]\nphases: [{duration: 1s, rate: 1, clients: 1}]", "p");
  ASSERT_TRUE(profile.ok()) << profile.status();
  EXPECT_FALSE(profile->objects[0].bytes.has_value());
  EXPECT_EQ(profile->objects[1].bytes, 7);
}

TEST(Endpoint, OnlyLoopbackAddressesAreTaken) {
  EXPECT_EQ(ParseEndpoint("127.9.9.9:1")->ToString(), "127.9.9.9:1");
  EXPECT_EQ(ParseEndpoint("localhost:8080")->ToString(), "127.0.0.1:8080");
  EXPECT_EQ(ParseEndpoint("192.168.0.1:80").status().code(), absl::StatusCode::kPermissionDenied);
  for (const char* text : {"", ":", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "example.com:80"}) {
    EXPECT_EQ(ParseEndpoint(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

}  // namespace
}  // namespace headroom::load
