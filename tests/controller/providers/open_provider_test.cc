#include "controller/providers/open_provider.h"

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "controller/providers/simulated.h"
#include "tests/controller/runtime/temp_dir.h"

namespace headroom {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

class OpenProviderTest : public ::testing::Test {
 protected:
  absl::StatusOr<OpenedProvider> Open(const std::string& provider) {
    const auto config = ParseConfig(absl::StrCat("cluster: test\nnodes: {min: 2, max: 4}\n", provider), "policy.yaml");
    EXPECT_TRUE(config.ok()) << config.status();
    if (!config.ok()) return config.status();
    return OpenProvider(
        *config, {.state_dir = dir_.path(), .controller_address = "127.0.0.1:1", .say = [](absl::string_view) {}});
  }
  std::string Folder() const { return dir_.path(); }

 private:
  TempDir dir_;
};

TEST_F(OpenProviderTest, ASimulatedClusterIsItsOwnWorld) {
  const auto opened = Open("provider: {simulated: {}}\n");
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_EQ(opened->world, opened->provider.get());
  EXPECT_EQ(opened->first_nodes, nullptr);
}

TEST_F(OpenProviderTest, LocalNodesAreStartedByWhatIsCalledOnceTheControllerServes) {
  const auto opened = Open(absl::StrCat("provider: {local: {data_dir: ", Folder(), ", program: /bin/true}}\n"));
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_EQ(opened->world, nullptr);
  EXPECT_NE(opened->first_nodes, nullptr);
  EXPECT_THAT(opened->provider->List(absl::Seconds(5)).value(), IsEmpty());
}

TEST_F(OpenProviderTest, WhatCannotBeOpenedIsSaidToBeTheProviders) {
  const std::string file = Folder() + "/none";
  const auto opened = Open(absl::StrCat("provider: {kubernetes: {workload: statefulset/a, kubeconfig: ", file, "}}\n"));
  EXPECT_EQ(opened.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(opened.status().message()), StartsWith("provider: "));
  EXPECT_THAT(std::string(opened.status().message()), HasSubstr(file));
}

TEST_F(OpenProviderTest, APolicyWithoutAProviderIsRefused) {
  EXPECT_EQ(OpenProvider(Config{}, {}).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace headroom
