#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "controller/lab/trace.h"

namespace headroom {

// A range of one series of a Prometheus server, by its HTTP API (query_range), over plain HTTP.
struct PrometheusRange {
  std::string url;    // http://HOST[:PORT][/PREFIX]
  std::string query;  // that gives one series
  absl::Time from, to;
  absl::Duration step = absl::Minutes(1);
  absl::Duration timeout = absl::Seconds(30);  // for each request; a long range takes several
};

// What is wrong with a URL, without asking it: INVALID_ARGUMENT.
absl::Status CheckPrometheusUrl(const std::string& url);

// NaN, infinite and negative values are unknown, which the trace's notes say, as they do gaps.
// UNAVAILABLE: it cannot be reached, does not answer in time, or is overloaded; PERMISSION_DENIED: it wants a login;
// INVALID_ARGUMENT: the URL or query is wrong, or the query gives several series; NOT_FOUND: it gives none.
absl::StatusOr<lab::Trace> ReadPrometheus(const PrometheusRange& range);

}  // namespace headroom
