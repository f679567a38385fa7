#include "controller/providers/kubernetes/selector.h"

#include <gtest/gtest.h>

namespace headroom::kubernetes {
namespace {

TEST(Selector, SelectsByLabelsAndExpressions) {
  const Labels labels = {{"app", "files"}, {"tier", "gold"}};
  const auto selects = [&](const char* selector) { return Selects(Json::parse(selector), labels); };
  EXPECT_TRUE(selects("{}"));
  EXPECT_FALSE(selects("null"));
  EXPECT_TRUE(selects(R"({"matchLabels": {"app": "files"}})"));
  EXPECT_FALSE(selects(R"({"matchLabels": {"app": "files", "tier": "silver"}})"));
  EXPECT_FALSE(selects(R"({"matchLabels": {"zone": "a"}})"));
  EXPECT_TRUE(selects(R"({"matchExpressions": [{"key": "tier", "operator": "In", "values": ["gold", "x"]}]})"));
  EXPECT_FALSE(selects(R"({"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["gold"]}]})"));
  EXPECT_TRUE(selects(R"({"matchExpressions": [{"key": "zone", "operator": "NotIn", "values": ["a"]}]})"));
  EXPECT_TRUE(selects(R"({"matchExpressions": [{"key": "app", "operator": "Exists"}]})"));
  EXPECT_FALSE(selects(R"({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]})"));
  EXPECT_FALSE(selects(R"({"matchExpressions": [{"key": "app", "operator": "Gt", "values": ["1"]}]})"));
}

}  // namespace
}  // namespace headroom::kubernetes
