#include "controller/base/address.h"

#include "gtest/gtest.h"

namespace headroom {
namespace {

TEST(AddressTest, ASixthVersionAddressIsPutInBracketsBeforeItsPort) {
  EXPECT_EQ(HostPort("10.0.0.1", 80), "10.0.0.1:80");
  EXPECT_EQ(HostPort("gateway.example", 80), "gateway.example:80");
  EXPECT_EQ(HostPort("::1", 80), "[::1]:80");
  EXPECT_EQ(HostPort("[::1]", 80), "[::1]:80");
}

TEST(AddressTest, OnlyAWholeAddressIsLoopback) {
  EXPECT_TRUE(IsLoopbackV4("127.0.0.1"));
  EXPECT_TRUE(IsLoopbackV4("127.3.2.1"));
  for (const char* other : {"", "127.", "127.0.0", "128.0.0.1", "::1", "localhost", "127.0.0.1:80"}) {
    EXPECT_FALSE(IsLoopbackV4(other)) << other;
  }
}

}  // namespace
}  // namespace headroom
