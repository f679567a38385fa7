#include "controller/cli/prometheus.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <future>
#include <limits>
#include <thread>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

#include "controller/base/percent_encoding.h"
#include "controller/base/status.h"

namespace headroom {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using Json = google::protobuf::Value;

constexpr int64_t kPointsMax = 10'000;  // of one answer; a server gives 11,000 at most
constexpr uint64_t kAnswerBytesMax = 64 << 20;

struct Address {
  std::string host, port = "80", prefix;
};

absl::StatusOr<Address> ParseUrl(const std::string& url) {
  absl::string_view rest = url;
  if (absl::StartsWith(rest, "https://")) {
    return absl::InvalidArgumentError(
        absl::StrCat(url, ": only http:// is spoken; put a local proxy before it, or export a CSV"));
  }
  absl::ConsumePrefix(&rest, "http://");
  Address address;
  const size_t slash = std::min(rest.find('/'), rest.size());
  address.prefix = std::string(absl::StripSuffix(rest.substr(slash), "/"));
  absl::string_view authority = rest.substr(0, slash);
  const size_t colon = authority.rfind(':');
  if (colon != absl::string_view::npos && authority.back() != ']') {
    address.port = std::string(authority.substr(colon + 1));
    authority = authority.substr(0, colon);
  }
  absl::ConsumePrefix(&authority, "[");
  absl::ConsumeSuffix(&authority, "]");
  address.host = std::string(authority);
  int port = 0;
  if (address.host.empty() || !absl::SimpleAtoi(address.port, &port) || port <= 0 || port > 65535) {
    return absl::InvalidArgumentError(absl::StrCat("\"", url, "\" is no URL like http://prometheus:9090"));
  }
  return address;
}

struct Answer {
  unsigned status = 0;
  std::string body;
};

// Fetcher: one GET with a time limit on all of it.
class Fetcher {
 public:
  Fetcher(const Address& address, absl::Duration timeout) : address_(address), stream_(context_), timeout_(timeout) {}

  absl::StatusOr<Answer> Get(const std::string& target) {
    beast::error_code error;
    const auto deadline = std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(timeout_);
    std::future<Found> finding = Find();
    if (finding.wait_until(deadline) != std::future_status::ready) {
      return Failed("cannot be found", beast::error::timeout);
    }
    const Found found = finding.get();
    if (found.error) return Failed("cannot be found", found.error);
    stream_.expires_at(deadline);
    const auto done = [&error](beast::error_code ended, auto&&...) { error = ended; };
    stream_.async_connect(found.endpoints, done);
    Run();
    if (error) return Failed("cannot be reached", error);
    http::request<http::empty_body> request(http::verb::get, target, 11);
    request.set(http::field::host, absl::StrCat(address_.host, ":", address_.port));
    request.set(http::field::user_agent, "headroomctl");
    request.set(http::field::accept, "application/json");
    http::async_write(stream_, request, done);
    Run();
    if (error) return Failed("did not take the question", error);
    beast::flat_buffer buffer;
    http::response_parser<http::string_body> parser;
    parser.body_limit(kAnswerBytesMax);
    http::async_read(stream_, buffer, parser, done);
    Run();
    if (error == http::error::body_limit) {
      return absl::ResourceExhaustedError("answers with more than 64 MiB; ask for one series, by sum(...) for example");
    }
    if (error) return Failed("did not answer", error);
    return Answer{parser.get().result_int(), std::move(parser.get().body())};
  }

 private:
  struct Found {
    asio::ip::tcp::resolver::results_type endpoints;
    beast::error_code error;
  };

  // The system's resolver can be neither limited nor stopped: one that hangs is left behind in its thread.
  std::future<Found> Find() const {
    std::promise<Found> promise;
    std::future<Found> found = promise.get_future();
    std::thread([promise = std::move(promise), address = address_]() mutable {
      asio::io_context context;
      asio::ip::tcp::resolver resolver(context);
      Found result;
      result.endpoints = resolver.resolve(address.host, address.port, result.error);
      promise.set_value(std::move(result));
    }).detach();
    return found;
  }
  void Run() {
    context_.restart();
    context_.run();
  }
  absl::Status Failed(absl::string_view what, beast::error_code error) const {
    const std::string why =
        error == beast::error::timeout ? absl::StrCat("within ", absl::FormatDuration(timeout_)) : error.message();
    return absl::UnavailableError(absl::StrCat(address_.host, ":", address_.port, " ", what, ": ", why));
  }

  const Address& address_;
  asio::io_context context_;
  beast::tcp_stream stream_;
  const absl::Duration timeout_;
};

// A member of an object; null where there is none.
const Json& Member(const Json& object, const std::string& name) {
  const auto& fields = object.struct_value().fields();
  const auto found = fields.find(name);
  return found != fields.end() ? found->second : Json::default_instance();
}

absl::StatusOr<Json> ParseAnswer(const Answer& answer) {
  Json json;
  const auto parsed = google::protobuf::util::JsonStringToMessage(answer.body, &json);
  const std::string& error = Member(json, "error").string_value();
  if (answer.status == 401 || answer.status == 403) {
    return absl::PermissionDeniedError(absl::StrCat("wants a login (HTTP ", answer.status,
                                                    "), which is not supported: use a local proxy that adds it"));
  }
  if (answer.status == 400 || answer.status == 422) {
    return absl::InvalidArgumentError(absl::StrCat("refuses the query: ", error.empty() ? "no reason given" : error));
  }
  const bool is_elsewhere = answer.status / 100 == 3 || answer.status == 404 || answer.status == 405;
  if (answer.status != 200 && !is_elsewhere) {
    return absl::UnavailableError(absl::StrCat("answers with HTTP ", answer.status, error.empty() ? "" : ": ", error));
  }
  if (is_elsewhere || !parsed.ok() || Member(json, "status").string_value() != "success") {
    return absl::InvalidArgumentError(absl::StrCat("does not answer as a Prometheus does (HTTP ", answer.status,
                                                   "): is the URL its own, with the prefix that it is served under?"));
  }
  return json;
}

// What was repaired.
struct Repairs {
  int64_t not_finite = 0, negative = 0;
};

absl::Status AddPoints(const Json& answer, lab::Trace& trace, Repairs& repairs) {
  const auto& results = Member(Member(answer, "data"), "result").list_value().values();
  if (results.size() > 1) {
    std::vector<std::string> names;
    for (int i = 0; i < std::min(3, results.size()); ++i) {
      std::vector<std::string> labels;
      for (const auto& [name, value] : Member(results[i], "metric").struct_value().fields())
        labels.push_back(absl::StrCat(name, "=", value.string_value()));
      std::sort(labels.begin(), labels.end());
      names.push_back(absl::StrCat("{", absl::StrJoin(labels, ", "), "}"));
    }
    return absl::InvalidArgumentError(absl::StrCat("the query gives ", results.size(), " series (",
                                                   absl::StrJoin(names, ", "), results.size() > 3 ? ", ..." : "",
                                                   "): make it one, by sum(...) for example"));
  }
  for (const Json& result : results) {
    for (const Json& point : Member(result, "values").list_value().values()) {
      if (point.list_value().values_size() != 2)
        return absl::InvalidArgumentError("a point of the answer is no pair of time and value");
      lab::TraceSample sample{.unix_seconds = static_cast<int64_t>(point.list_value().values(0).number_value())};
      if (!absl::SimpleAtod(point.list_value().values(1).string_value(), &sample.value)) {
        return absl::InvalidArgumentError(
            absl::StrCat("\"", point.list_value().values(1).string_value(), "\" is no value"));
      }
      if (!std::isfinite(sample.value) || sample.value < 0) {
        ++(std::isfinite(sample.value) ? repairs.negative : repairs.not_finite);
        sample.value = std::numeric_limits<double>::quiet_NaN();
      }
      trace.samples.push_back(sample);
    }
  }
  return absl::OkStatus();
}

void Say(const Repairs& repairs, int64_t asked, lab::Trace& trace) {
  if (repairs.not_finite > 0)
    trace.notes.push_back(absl::StrCat(repairs.not_finite, " values are not finite: taken as unknown"));
  if (repairs.negative > 0)
    trace.notes.push_back(absl::StrCat(repairs.negative, " values are negative: taken as unknown"));
  const int64_t missing = asked - std::ssize(trace.samples);
  if (missing > 0)
    trace.notes.push_back(absl::StrCat("of ", asked, " points ", missing, " are missing in Prometheus: gaps"));
}

absl::StatusOr<lab::Trace> Read(const PrometheusRange& range) {
  HR_ASSIGN_OR_RETURN(const Address address, ParseUrl(range.url));
  lab::Trace trace{.name = range.query, .column = "value", .step = range.step};
  const int64_t step = absl::ToInt64Seconds(range.step);
  const int64_t from = absl::ToUnixSeconds(range.from) / step * step, to = absl::ToUnixSeconds(range.to);
  Repairs repairs;
  for (int64_t begin = from; begin <= to; begin += kPointsMax * step) {
    const int64_t end = std::min(to, begin + (kPointsMax - 1) * step);
    const std::string target = absl::StrCat(address.prefix, "/api/v1/query_range?query=", PercentEncoded(range.query),
                                            "&start=", begin, "&end=", end, "&step=", step);
    HR_ASSIGN_OR_RETURN(const Answer answer, Fetcher(address, range.timeout).Get(target));
    HR_ASSIGN_OR_RETURN(const Json json, ParseAnswer(answer));
    HR_RETURN_IF_ERROR(AddPoints(json, trace, repairs));
  }
  const auto known = std::count_if(trace.samples.begin(), trace.samples.end(),
                                   [](const lab::TraceSample& sample) { return !std::isnan(sample.value); });
  if (known < 2) {
    constexpr char kMinutes[] = "%Y-%m-%d %H:%M";
    return absl::NotFoundError(absl::StrCat("the query gives ", known, " values from ",
                                            absl::FormatTime(kMinutes, range.from, absl::UTCTimeZone()), " to ",
                                            absl::FormatTime(kMinutes, range.to, absl::UTCTimeZone()),
                                            " UTC: is the metric's name right, and is it kept for so long?"));
  }
  Say(repairs, (to - from) / step + 1, trace);
  return trace;
}

}  // namespace

absl::Status CheckPrometheusUrl(const std::string& url) {
  return ParseUrl(url).status();
}

absl::StatusOr<lab::Trace> ReadPrometheus(const PrometheusRange& range) {
  return Annotate(Read(range), absl::StrCat("--prometheus ", range.url));
}

}  // namespace headroom
