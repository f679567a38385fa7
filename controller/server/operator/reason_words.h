#pragma once

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

#include "controller/core/reason.h"

// Reasons as objects of Kubernetes say them. Pure functions, any thread.

namespace headroom {

// "limit_demand" as "LimitDemand": the reason of a condition or an Event. "": none.
std::string CamelCase(absl::string_view snake_case);
std::string CamelCase(ReasonCode code);

// Why a cluster is not run, as a reason: "NameTaken" where another object has its name (ALREADY_EXISTS), else "NotRun".
std::string NotRunName(const absl::Status& why);
std::string NotRunSentence(const absl::Status& why);

// That a spec is refused, with all faults, and what counts instead.
enum class InForce { kPolicyBefore, kNothing };
std::string RefusedSentence(const absl::Status& faults, InForce in_force);

// The sentence of a reason without what moves from one decision to the next (loads, ages, what remains of a wait): it
// stays the same for as long as the reason does, so that it may stand where every change of it is a write.
std::string SteadySentence(const Reason& reason);

// At most so many bytes of a text, cut where a character begins, "..." at the end of what was longer. What is no UTF-8
// becomes U+FFFD, as it will on its way to the API server.
std::string Cut(absl::string_view text, size_t bytes_max);

}  // namespace headroom
