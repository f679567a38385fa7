#include <vector>

#include <gtest/gtest.h>

#include "tests/controller/providers/conformance/provider_under_test.h"

namespace headroom {

std::vector<ProviderKind> KindsUnderTest() {
  return {
      {"Local", &MakeLocal, {.named_termination = true, .zones = true, .fenced = false}},
      {"Simulated", &MakeSimulated, {.named_termination = true, .zones = true, .fenced = false}},
      {"StatefulSet", &MakeStatefulSet, {.named_termination = false, .zones = false, .fenced = true}},
      {"Deployment", &MakeDeployment, {.named_termination = true, .zones = false, .fenced = true}},
      {"CustomResource", &MakeCustomResource, {.named_termination = true, .zones = false, .fenced = true}},
      {"AutoScalingGroup", &MakeAutoScalingGroup, {.named_termination = true, .zones = false, .fenced = false}},
      {"External", &MakeExternal, {.named_termination = true, .zones = true, .fenced = true}},
#ifdef HEADROOM_PYTHON_PROTO
      {"PythonExample", &MakePythonExample, {.named_termination = true, .zones = false, .fenced = true}},
#endif
  };
}

#ifndef HEADROOM_PYTHON_PROTO
TEST(PythonExample, IsTested) {
  GTEST_SKIP() << "NOT TESTED: the example of an external provider: apt install python3-grpcio python3-protobuf";
}
#endif

}  // namespace headroom
