#include "controller/server/access.h"

#include "gtest/gtest.h"

namespace headroom {
namespace {

TEST(AccessTest, AUriSaysClusterRoleAndName) {
  const absl::StatusOr<Caller> caller = ParseCaller("spiffe://headroom/shop/node/node-7.example");
  ASSERT_TRUE(caller.ok()) << caller.status();
  EXPECT_EQ(caller->cluster, "shop");
  EXPECT_EQ(caller->role, Caller::Role::kNode);
  EXPECT_EQ(caller->name, "node-7.example");
  EXPECT_EQ(ParseCaller("spiffe://headroom/shop/balancer/lb-1")->role, Caller::Role::kBalancer);
  EXPECT_EQ(ParseCaller("spiffe://headroom/shop/operator/ann@desk")->role, Caller::Role::kOperator);
  EXPECT_EQ(ParseCaller("spiffe://headroom/shop/admin/ann")->role, Caller::Role::kAdmin);
}

TEST(AccessTest, WhateverElseIsNobody) {
  for (const char* uri :
       {"", "spiffe://headroom/", "spiffe://headroom/shop", "spiffe://headroom/shop/node",
        "spiffe://headroom/shop/node/", "spiffe://headroom/shop/node/a/b", "spiffe://headroom//node/a",
        "spiffe://headroom/shop/Node/a", "spiffe://headroom/shop/root/a", "spiffe://elsewhere/shop/node/a",
        "https://headroom/shop/node/a", "xspiffe://headroom/shop/node/a", "spiffe://headroom/shop/node/a b",
        "spiffe://headroom/shop/node/a%2fb"}) {
    EXPECT_FALSE(ParseCaller(uri).ok()) << uri;
  }
}

}  // namespace
}  // namespace headroom
