#pragma once

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace headroom {

// Annotate(status, "policy") turns "nodes.min 9 exceeds nodes.max 6" into "policy: nodes.min 9 exceeds nodes.max 6".
// OK passes through. Wrap once per layer.
inline absl::Status Annotate(const absl::Status& status, absl::string_view context) {
  if (status.ok()) return status;
  return absl::Status(status.code(), absl::StrCat(context, ": ", status.message()));
}

template <typename T>
absl::StatusOr<T> Annotate(absl::StatusOr<T> result, absl::string_view context) {
  if (result.ok()) return result;
  return Annotate(result.status(), context);
}

}  // namespace headroom

#define HR_CONCAT_INNER_(a, b) a##b
#define HR_CONCAT_(a, b) HR_CONCAT_INNER_(a, b)

// HR_RETURN_IF_ERROR(expression): returns the status of `expression` from the enclosing function unless it is OK.
#define HR_RETURN_IF_ERROR(expression)                              \
  do {                                                              \
    if (absl::Status hr_status_ = (expression); !hr_status_.ok()) { \
      return hr_status_;                                            \
    }                                                               \
  } while (false)

// HR_ASSIGN_OR_RETURN(auto value, expression): `expression` is an absl::StatusOr.
#define HR_ASSIGN_OR_RETURN(lhs, expression) \
  HR_ASSIGN_OR_RETURN_IMPL_(HR_CONCAT_(hr_result_, __LINE__), lhs, expression)
// `lhs` is a declaration and cannot be put in parentheses.
// NOLINTBEGIN(bugprone-macro-parentheses)
#define HR_ASSIGN_OR_RETURN_IMPL_(result, lhs, expression) \
  auto result = (expression);                              \
  if (!result.ok()) return result.status();                \
  lhs = *std::move(result)
// NOLINTEND(bugprone-macro-parentheses)
