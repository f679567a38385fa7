#include "controller/server/election/kubernetes_lease.h"

#include <memory>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/controller/providers/kubernetes/fake_api_server.h"

namespace headroom {
namespace {

using kubernetes::Json;

constexpr char kPath[] = "/apis/coordination.k8s.io/v1/namespaces/storage/leases/headroom";
constexpr absl::Duration kPatience = absl::Seconds(20);

class KubernetesLeaseTest : public ::testing::Test {
 protected:
  KubernetesLeaseTest() {
    kubernetes::Access access{.url = server_.url()};
    access.headers = [] { return std::vector<HttpHeader>(); };
    api_ = *kubernetes::Api::Connect(std::move(access), {});
  }
  kubernetes::FakeApiServer server_;
  std::unique_ptr<kubernetes::Api> api_;
};

LeaseRecord Record() {
  return {.holder = "host_1",
          .duration = absl::Seconds(15),
          .acquired_at = absl::FromUnixMicros(1'763'000'000'000'001),
          .renewed_at = absl::FromUnixMicros(1'763'000'002'000'000),
          .transitions = 3};
}

TEST_F(KubernetesLeaseTest, IsMadeAndReadAsOthersWriteIt) {
  KubernetesLease lease(*api_, "storage", "headroom");
  EXPECT_EQ(lease.Read(kPatience).status().code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(lease.Write(Record(), kPatience).ok());
  const Json spec = server_.Get(kPath)["spec"];
  EXPECT_EQ(spec["acquireTime"], "2025-11-13T02:13:20.000001Z");
  EXPECT_EQ(spec["leaseDurationSeconds"], 15);
  const auto read = lease.Read(kPatience);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->holder, "host_1");
  EXPECT_EQ(read->acquired_at, Record().acquired_at);
  EXPECT_EQ(read->renewed_at, Record().renewed_at);
  EXPECT_EQ(read->transitions, 3);
  EXPECT_EQ(lease.Write(Record(), kPatience).status().code(), absl::StatusCode::kAlreadyExists);
}

TEST_F(KubernetesLeaseTest, AWriteUnderAnOldVersionFails) {
  KubernetesLease ours(*api_, "storage", "headroom"), theirs(*api_, "storage", "headroom");
  const auto first = ours.Write(Record(), kPatience);
  ASSERT_TRUE(first.ok());
  ASSERT_TRUE(theirs.Read(kPatience).ok());
  ASSERT_TRUE(theirs.Write(*first, kPatience).ok());
  EXPECT_EQ(ours.Write(*first, kPatience).status().code(), absl::StatusCode::kAborted);
}

TEST_F(KubernetesLeaseTest, WhatItDoesNotKnowSurvivesAWrite) {
  server_.Put(kPath,
              {{"metadata", {{"labels", {{"team", "storage"}}}}},
               {"spec", {{"holderIdentity", ""}, {"strategy", "OldestEmulationVersion"}, {"preferredHolder", "b"}}}});
  KubernetesLease lease(*api_, "storage", "headroom");
  auto record = lease.Read(kPatience);
  ASSERT_TRUE(record.ok());
  record->holder = "a";
  ASSERT_TRUE(lease.Write(*record, kPatience).ok());
  const Json written = server_.Get(kPath);
  EXPECT_EQ(written["spec"]["strategy"], "OldestEmulationVersion");
  EXPECT_EQ(written["spec"]["preferredHolder"], "b");
  EXPECT_EQ(written["metadata"]["labels"]["team"], "storage");
  EXPECT_EQ(written["spec"]["holderIdentity"], "a");
}

TEST_F(KubernetesLeaseTest, TwoCandidatesThroughARealApi) {
  KubernetesLease first(*api_, "storage", "headroom"), second(*api_, "storage", "headroom");
  absl::Duration now = absl::Hours(1);
  const auto candidate = [&](LeaseStore& store, const std::string& identity) {
    return LeaseElection(
        store,
        {.identity = identity, .steady = [&now] { return now; }, .wall = [&now] { return absl::UnixEpoch() + now; }});
  };
  LeaseElection a = candidate(first, "a"), b = candidate(second, "b");
  EXPECT_TRUE(a.Round().leads);
  EXPECT_FALSE(b.Round().leads);
  now += absl::Seconds(2);
  EXPECT_TRUE(a.Round().leads);
  EXPECT_FALSE(b.Round().leads);
  ASSERT_TRUE(a.Release().ok());
  EXPECT_TRUE(b.Round().leads);
  EXPECT_EQ(server_.Get(kPath)["spec"]["leaseTransitions"], 1);
}

}  // namespace
}  // namespace headroom
