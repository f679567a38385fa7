#include "controller/providers/kubernetes/zones.h"

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/controller/providers/kubernetes/fake_api_server.h"

namespace headroom::kubernetes {
namespace {

using ::testing::ElementsAre;

class ZonesTest : public ::testing::Test {
 protected:
  ZonesTest() {
    Access access{.url = server_.url()};
    access.headers = [] { return std::vector<HttpHeader>(); };
    api_ = *Api::Connect(std::move(access), {.wait = [](absl::Duration) {}});
    zones_ = std::make_unique<Zones>(*api_);
    for (const char* name : {"a", "b", "c"}) Label(name, absl::StrCat("zone-", name));
  }
  void Label(const std::string& machine, const std::string& zone) {
    server_.Put(absl::StrCat("/api/v1/nodes/", machine),
                {{"metadata", {{"labels", {{"topology.kubernetes.io/zone", zone}}}}}});
  }
  // Those of the machines, in the order of their names.
  std::vector<std::string> Of(const std::set<std::string>& machines, absl::Duration timeout = absl::Seconds(20)) {
    std::map<std::string, std::string> zones = zones_->Of(machines, Deadline(timeout));
    std::vector<std::string> listed;
    for (const std::string& machine : machines) listed.push_back(zones[machine]);
    return listed;
  }
  int Questions() const { return server_.CountOf("GET", "/nodes/"); }

  FakeApiServer server_;
  std::unique_ptr<Api> api_;
  std::unique_ptr<Zones> zones_;
};

TEST_F(ZonesTest, AMachineIsAskedForOnce) {
  EXPECT_THAT(Of({"a", "b"}), ElementsAre("zone-a", "zone-b"));
  EXPECT_THAT(Of({"a", "b", "c"}), ElementsAre("zone-a", "zone-b", "zone-c"));
  EXPECT_EQ(Questions(), 3);
}

TEST_F(ZonesTest, OneThatIsNotThereOrHasNoLabelIsInNoZoneAndNotAskedForAgain) {
  server_.Delete("/api/v1/nodes/a");
  server_.Put("/api/v1/nodes/b", {{"metadata", {{"labels", {{"arch", "arm64"}}}}}});
  EXPECT_THAT(Of({"a", "b", "c"}), ElementsAre("", "", "zone-c"));
  EXPECT_THAT(Of({"a", "b", "c"}), ElementsAre("", "", "zone-c"));
  EXPECT_EQ(Questions(), 3);
}

TEST_F(ZonesTest, AFailureIsNoAnswer) {
  for (const int code : {401, 403, 429, 500, 503}) {
    zones_ = std::make_unique<Zones>(*api_);
    server_.Inject({.path_contains = "/nodes/a", .code = code});
    EXPECT_EQ(Of({"a", "b"})[0], "") << code;
    EXPECT_THAT(Of({"a", "b"}), ElementsAre("zone-a", "zone-b")) << code;
  }
  zones_ = std::make_unique<Zones>(*api_);
  EXPECT_THAT(Of({"a"}, absl::ZeroDuration()), ElementsAre("")) << "there was no time to ask";
  EXPECT_THAT(Of({"a"}), ElementsAre("zone-a"));
}

TEST_F(ZonesTest, AFailureOfOneLeavesTheOthersTheirs) {
  server_.Inject({.path_contains = "/nodes/b", .code = 500});
  EXPECT_THAT(Of({"a", "b", "c"}), ElementsAre("zone-a", "", "zone-c"));
}

TEST_F(ZonesTest, WhereNoneMayBeReadALookCostsOneQuestion) {
  EXPECT_THAT(Of({"c"}), ElementsAre("zone-c"));
  server_.Inject({.path_contains = "/nodes/", .code = 403, .times = 2});
  EXPECT_THAT(Of({"a", "b", "c"}), ElementsAre("", "", "zone-c"));
  EXPECT_THAT(Of({"a", "b", "c"}), ElementsAre("", "", "zone-c"));
  EXPECT_EQ(Questions(), 3);
  EXPECT_THAT(Of({"a", "b", "c"}), ElementsAre("zone-a", "zone-b", "zone-c")) << "the right was given";
}

TEST_F(ZonesTest, OneThatNoPodStandsOnIsForgotten) {
  EXPECT_THAT(Of({"a", "b"}), ElementsAre("zone-a", "zone-b"));
  Label("b", "zone-z");
  EXPECT_THAT(Of({"a", "b"}), ElementsAre("zone-a", "zone-b"));
  EXPECT_THAT(Of({"a"}), ElementsAre("zone-a"));
  EXPECT_THAT(Of({"a", "b"}), ElementsAre("zone-a", "zone-z")) << "another machine of the same name";
  EXPECT_EQ(Questions(), 3);
}

}  // namespace
}  // namespace headroom::kubernetes
