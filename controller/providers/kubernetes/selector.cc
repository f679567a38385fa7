#include "controller/providers/kubernetes/selector.h"

#include <algorithm>

namespace headroom::kubernetes {
namespace {

bool Holds(const Json& expression, const Labels& labels) {
  const auto label = labels.find(Text(expression, {"key"}));
  const bool there = label != labels.end();
  const Json& values = Part(expression, {"values"});
  const bool listed = there && std::find(values.begin(), values.end(), Json(label->second)) != values.end();
  const std::string op = Text(expression, {"operator"});
  if (op == "In") return listed;
  if (op == "NotIn") return !listed;
  if (op == "Exists") return there;
  return op == "DoesNotExist" && !there;
}

}  // namespace

bool Selects(const Json& selector, const Labels& labels) {
  if (!selector.is_object()) return false;
  for (const auto& [key, value] : Part(selector, {"matchLabels"}).items()) {
    const auto label = labels.find(key);
    if (label == labels.end() || value != label->second) return false;
  }
  const Json& expressions = Part(selector, {"matchExpressions"});
  return std::all_of(expressions.begin(), expressions.end(),
                     [&](const Json& expression) { return Holds(expression, labels); });
}

}  // namespace headroom::kubernetes
