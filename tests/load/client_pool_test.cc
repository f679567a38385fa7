#include "tests/load/client_pool.h"

#include <gtest/gtest.h>

namespace headroom::load {
namespace {

using Grant = ClientPool::Grant;

TEST(ClientPool, OpensUpToItsBoundAndThenLetsWait) {
  ClientPool pool;
  EXPECT_EQ(pool.Acquire(1, 2).grant, Grant::kOpen);
  EXPECT_EQ(pool.Acquire(2, 2).grant, Grant::kOpen);
  EXPECT_EQ(pool.Acquire(3, 2).grant, Grant::kWait);
  EXPECT_FALSE(pool.CanServe(2));
  EXPECT_TRUE(pool.CanServe(3));
}

TEST(ClientPool, TheConnectionUsedLastGoesOutFirst) {
  ClientPool pool;
  pool.Acquire(1, 2);
  pool.Acquire(2, 2);
  pool.Return(70);
  pool.Return(71);
  const ClientPool::Answer answer = pool.Acquire(3, 2);
  EXPECT_EQ(answer.grant, Grant::kReuse);
  EXPECT_EQ(answer.connection, 71u);
}

TEST(ClientPool, TheFirstInLineIsServedFirstAndWhoLeftIsNot) {
  ClientPool pool;
  pool.Acquire(1, 1);
  for (const RequestId id : {2u, 3u, 4u}) EXPECT_EQ(pool.Acquire(id, 1).grant, Grant::kWait);
  pool.Leave(2);
  pool.Return(70);
  ASSERT_TRUE(pool.CanServe(1));
  EXPECT_EQ(pool.TakeFirst(), 3u);
  EXPECT_EQ(pool.TakeFirst(), 4u);
  EXPECT_FALSE(pool.CanServe(1));
}

TEST(ClientPool, AClosedConnectionMakesRoom) {
  ClientPool pool;
  pool.Acquire(1, 2);
  pool.Acquire(2, 2);
  pool.Return(70);
  pool.ClosedIdle(70);
  EXPECT_EQ(pool.open(), 1);
  EXPECT_TRUE(pool.idle().empty());
  pool.Closed();
  EXPECT_EQ(pool.open(), 0);
  EXPECT_EQ(pool.Acquire(3, 1).grant, Grant::kOpen);
}

}  // namespace
}  // namespace headroom::load
