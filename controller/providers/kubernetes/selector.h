#pragma once

#include <map>
#include <string>

#include "controller/providers/kubernetes/api.h"

namespace headroom::kubernetes {

using Labels = std::map<std::string, std::string>;

// Whether a metav1.LabelSelector selects what has these labels: every one of matchLabels, and every expression (In,
// NotIn, Exists, DoesNotExist; an unknown operator selects nothing). An empty selector selects all, null nothing.
bool Selects(const Json& selector, const Labels& labels);

}  // namespace headroom::kubernetes
