#include "storage_node/file_server/admin.h"

#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>

#include "controller/base/json_string.h"
#include "storage_node/file_server/http_rules.h"

namespace headroom {
namespace {

namespace http = boost::beast::http;

constexpr absl::Duration kAdminTimeout = absl::Seconds(5);
constexpr absl::Duration kAcceptPause = absl::Milliseconds(50);  // when no reserved slot or descriptor is free

using AdminStream = boost::beast::basic_stream<asio::ip::tcp, Executor>;

std::string Field(absl::string_view name, int64_t value) {
  return absl::StrCat(JsonString(name), ":", value, ",");
}
std::string SecondsField(absl::string_view name, absl::Duration value) {
  return absl::StrCat(JsonString(name), ":", absl::ToDoubleSeconds(value), ",");
}

std::string CountersJson(const GateCounters& read) {
  return absl::StrCat(
             Field("accepted", read.accepted), Field("rejected", read.rejected), Field("closed_idle", read.closed_idle),
             Field("completed", read.completed), Field("errors_5xx", read.errors_5xx),
             Field("errors_while_slots_free", read.errors_while_slots_free),
             Field("requests_rejected", read.requests_rejected), Field("accept_failures", read.accept_failures),
             Field("bytes_in", read.bytes_in), Field("bytes_out", read.bytes_out)) +
         absl::StrCat(Field("open", read.open), Field("active", read.active), Field("idle", read.idle),
                      Field("waiting", read.waiting), Field("in_flight", read.in_flight),
                      Field("reserved_open", read.reserved_open), Field("connection_limit", read.limits.connections),
                      Field("in_flight_limit", read.limits.in_flight),
                      SecondsField("idle_timeout_seconds", read.limits.idle_timeout),
                      SecondsField("shed_idle_min_age_seconds", read.limits.shed_idle_min_age),
                      SecondsField("latency_p50_seconds", read.latency.Quantile(0.5)),
                      SecondsField("latency_p99_seconds", read.latency.Quantile(0.99)));
}

std::string CensusJson(const ConnectionCensus& census) {
  std::string json = "\"idle_ages\":{";
  for (size_t i = 0; i < census.idle_ages.size(); ++i) {
    const bool last = i == ConnectionCensus::kAgeSeconds.size();
    const std::string name = last ? absl::StrCat("over_", ConnectionCensus::kAgeSeconds.back(), "s")
                                  : absl::StrCat("under_", ConnectionCensus::kAgeSeconds[i], "s");
    absl::StrAppend(&json, i > 0 ? "," : "", JsonString(name), ":", census.idle_ages[i]);
  }
  json += "},\"top_clients\":{";
  for (size_t i = 0; i < census.top_clients.size(); ++i) {
    const auto& client = census.top_clients[i];
    absl::StrAppend(&json, i > 0 ? "," : "", JsonString(client.address.ToString()), ":", client.connections);
  }
  return json + "}";
}

std::string StatusJson(FileServer& server) {
  const FileServerOptions& options = server.options();
  const auto queue = ReadAcceptQueue(server.listener());
  return absl::StrCat("{\"state\":", JsonString(Name(server.state())), ",", CountersJson(server.gate().Read()),
                      Field("accept_queue", queue.ok() ? queue->waiting : 0),
                      Field("accept_queue_capacity", queue.ok() ? queue->capacity : 0),
                      SecondsField("device_latency_seconds", options.device.latency),
                      Field("device_parallel", options.device.parallel),
                      SecondsField("boot_delay_seconds", options.boot_delay),
                      CensusJson(server.gate().connections().Census(MonotonicNow(), 5)), "}\n");
}

Reply Ready(const FileServer& server) {
  const ServerState state = server.state();
  if (state == ServerState::kServing) return TextReply(HttpStatus::ok, "ready");
  return TextReply(HttpStatus::service_unavailable, Name(state));
}

using Query = std::map<std::string, std::string>;

// Absent: nullopt. Present and not a number of at least `least`: InvalidArgument.
absl::StatusOr<std::optional<int64_t>> Number(const Query& query, const std::string& name, int64_t least) {
  const auto found = query.find(name);
  if (found == query.end()) return std::nullopt;
  int64_t value = 0;
  if (absl::SimpleAtoi(found->second, &value) && value >= least) return value;
  return absl::InvalidArgumentError(absl::StrCat(name, "=", found->second, " is not a number of ", least, " or more"));
}

absl::StatusOr<std::optional<absl::Duration>> Time(const Query& query, const std::string& name) {
  const auto found = query.find(name);
  if (found == query.end()) return std::nullopt;
  absl::Duration value;
  if (absl::ParseDuration(found->second, &value) && value >= absl::ZeroDuration()) return value;
  return absl::InvalidArgumentError(absl::StrCat(name, "=", found->second, " is not a duration like 30s"));
}

Reply SetLimits(FileServer& server, const Query& query) {
  const auto connections = Number(query, "connections", 1), in_flight = Number(query, "in_flight", 0);
  const auto idle = Time(query, "idle_timeout"), shed = Time(query, "shed_idle_min_age");
  for (const absl::Status& status : {connections.status(), in_flight.status(), idle.status(), shed.status()}) {
    if (!status.ok()) return TextReply(HttpStatus::bad_request, status.message());
  }
  Gate& gate = server.gate();
  LimitBound bound = LimitBound::kNone;
  if (connections->has_value()) {
    const auto applied = server.ApplyConnectionLimit(**connections);
    if (!applied.ok()) return TextReply(HttpStatus::internal_server_error, applied.status().message());
    bound = applied->bound_by;
  }
  if (in_flight->has_value()) gate.SetInFlightLimit(**in_flight);
  if (idle->has_value()) gate.SetIdleTimeout(**idle);
  if (shed->has_value()) gate.SetShedIdleMinAge(**shed);
  const GateLimits limits = gate.limits();
  return JsonReply(HttpStatus::ok,
                   absl::StrCat("{", Field("connections", limits.connections), Field("in_flight", limits.in_flight),
                                SecondsField("idle_timeout_seconds", limits.idle_timeout),
                                SecondsField("shed_idle_min_age_seconds", limits.shed_idle_min_age),
                                "\"bound_by\":", JsonString(Name(bound)), "}\n"));
}

Reply Shed(FileServer& server, const Query& query) {
  const auto connections = Number(query, "connections", 1);
  const auto min_age = Time(query, "min_age");
  if (!connections.ok()) return TextReply(HttpStatus::bad_request, connections.status().message());
  if (!min_age.ok()) return TextReply(HttpStatus::bad_request, min_age.status().message());
  if (!connections->has_value()) return TextReply(HttpStatus::bad_request, "connections=N is missing");
  const int64_t shed = server.gate().ShedIdle(MonotonicNow(), **connections, min_age->value_or(absl::ZeroDuration()));
  return JsonReply(HttpStatus::ok, absl::StrCat("{\"shed\":", shed, "}\n"));
}

Awaitable<void> ServeOne(FileServer& server, ConnectionSlot slot, AdminStream stream) {
  const ConnectionSlot held = std::move(slot);
  boost::beast::flat_buffer buffer;
  for (bool keep_alive = true; keep_alive;) {
    ErrorCode error;
    http::request_parser<http::string_body> parser;
    parser.body_limit(4096);
    stream.expires_after(absl::ToChronoNanoseconds(kAdminTimeout));
    co_await http::async_read(stream, buffer, parser, asio::redirect_error(kAwait, error));
    if (error) co_return;
    const auto& request = parser.get();
    const Reply reply = AnswerAdmin(server, {request.method_string().data(), request.method_string().size()},
                                    {request.target().data(), request.target().size()});
    keep_alive = request.keep_alive();
    std::string bytes = RenderHead(reply, keep_alive ? "keep-alive" : "close");
    if (request.method() != http::verb::head) bytes += reply.text;
    co_await asio::async_write(stream, asio::buffer(bytes), asio::redirect_error(kAwait, error));
    if (error) co_return;
  }
}

Awaitable<ConnectionSlot> ReservedSlot(Gate& gate, Executor executor) {
  while (true) {
    if (std::optional<ConnectionSlot> slot = gate.TryConnect(SlotClass::kReserved)) co_return *std::move(slot);
    co_await Sleep(executor, kAcceptPause);
  }
}

}  // namespace

Reply AnswerAdmin(FileServer& server, absl::string_view method, absl::string_view target) {
  const auto parsed = ParseTarget(target);
  if (!parsed.ok()) return TextReply(HttpStatus::bad_request, parsed.status().message());
  const std::string path = parsed->path.ToString();
  const bool reads = method == "GET" || method == "HEAD";
  if (path == "healthz" && reads) return TextReply(HttpStatus::ok, "alive");
  if (path == "readyz" && reads) return Ready(server);
  if (path == "status" && reads) return JsonReply(HttpStatus::ok, StatusJson(server));
  const bool changes = path == "drain" || path == "undrain" || path == "limits" || path == "shed";
  if (changes && method != "POST") return TextReply(HttpStatus::method_not_allowed, "use POST");
  if (path == "limits") return SetLimits(server, parsed->query);
  if (path == "shed") return Shed(server, parsed->query);
  if (path == "drain") server.Drain();
  if (path == "undrain") server.Undrain();
  if (changes) return TextReply(HttpStatus::ok, Name(server.state()));
  return TextReply(HttpStatus::not_found, "there are /healthz /readyz /status /drain /undrain /limits /shed");
}

Awaitable<void> ServeAdmin(FileServer& server, asio::ip::tcp::acceptor& listener, Executor executor) {
  while (true) {
    ErrorCode error;
    Socket socket(executor);
    co_await listener.async_accept(socket, asio::redirect_error(kAwait, error));
    if (error == asio::error::operation_aborted) co_return;
    if (error) {
      co_await Sleep(executor, kAcceptPause);
      continue;
    }
    ConnectionSlot slot = co_await ReservedSlot(server.gate(), executor);
    asio::co_spawn(executor, ServeOne(server, std::move(slot), AdminStream(std::move(socket))), asio::detached);
  }
}

}  // namespace headroom
