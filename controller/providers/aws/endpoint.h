#pragma once

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace headroom::aws {

// Where AWS has a service of a region: EndpointOf("sts", "eu-west-1") is "https://sts.eu-west-1.amazonaws.com". China
// has a domain of its own. Source: botocore's partitions.json.
inline std::string EndpointOf(absl::string_view service, absl::string_view region) {
  return absl::StrCat("https://", service, ".", region, ".amazonaws.com", absl::StartsWith(region, "cn-") ? ".cn" : "");
}

}  // namespace headroom::aws
