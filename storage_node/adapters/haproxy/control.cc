#include "storage_node/adapters/haproxy/control.h"

#include <algorithm>
#include <array>
#include <map>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include <arpa/inet.h>
#include <netinet/in.h>

#include "controller/base/status.h"

namespace headroom::haproxy {
namespace {

constexpr size_t kNameBytesMax = 253;

struct HostPort {
  std::string host;  // bare
  int port = 0;

  // HAProxy wants IPv6 in brackets where a configuration line has it, and bare in "set server".
  std::string Bracketed() const { return absl::StrContains(host, ":") ? absl::StrCat("[", host, "]") : host; }
  std::string Text() const { return absl::StrCat(Bracketed(), ":", port); }
};

absl::StatusOr<HostPort> Split(absl::string_view endpoint) {
  const size_t colon = endpoint.rfind(':');
  const auto bad = [&] {
    return absl::InvalidArgumentError(absl::StrCat("'", endpoint.substr(0, 80), "' is not ip:port"));
  };
  int port = 0;
  if (colon == absl::string_view::npos || !absl::SimpleAtoi(endpoint.substr(colon + 1), &port)) return bad();
  if (port < 1 || port > 65535) return bad();
  std::string host(endpoint.substr(0, colon));
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (in_addr v4{}; inet_pton(AF_INET, host.c_str(), &v4) == 1) {
    return HostPort{inet_ntop(AF_INET, &v4, text.data(), text.size()), port};
  }
  if (host.size() < 2 || host.front() != '[' || host.back() != ']') return bad();
  host = host.substr(1, host.size() - 2);
  if (in6_addr v6{}; inet_pton(AF_INET6, host.c_str(), &v6) == 1) {
    return HostPort{inet_ntop(AF_INET6, &v6, text.data(), text.size()), port};
  }
  return bad();
}

absl::StatusOr<HostPort> SplitCheck(const Endpoints& endpoints) {
  return Split(endpoints.check.empty() ? endpoints.data : endpoints.check);
}

absl::Status CheckWeight(int weight) {
  if (weight >= 1 && weight <= 256) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("weight ", weight, " is not within 1 to 256"));
}

absl::Status CheckLimit(int64_t limit, int64_t limit_max) {
  if (limit >= 1 && limit <= limit_max) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("limit ", limit, " is not within 1 to ", limit_max));
}

template <typename IsLegal>
absl::Status CheckName(absl::string_view name, IsLegal is_legal) {
  if (!name.empty() && name.size() <= kNameBytesMax && std::all_of(name.begin(), name.end(), is_legal)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat("'", name.substr(0, 80), "' is no name to be used with HAProxy"));
}

// What HAProxy says where it will not; anything else that a command does not expect is FAILED_PRECONDITION.
absl::Status RefusalIn(absl::string_view answer) {
  if (absl::StartsWith(answer, "Permission denied")) {
    return absl::PermissionDeniedError("the stats socket is not at level admin");
  }
  if (absl::StartsWith(answer, "No such") || absl::StartsWith(answer, "Can't find") ||
      absl::StartsWith(answer, "Unknown server")) {
    return absl::NotFoundError(answer);
  }
  if (absl::StartsWith(answer, "Already exists")) return absl::AlreadyExistsError(answer);
  if (absl::StartsWith(answer, "Unknown command")) return absl::UnimplementedError("HAProxy does not know the command");
  return absl::OkStatus();
}

absl::Status Refused(absl::string_view command, absl::string_view answer) {
  return absl::FailedPreconditionError(absl::StrCat(command, ": HAProxy says: ", answer.substr(0, 200)));
}

absl::Status Differs(absl::string_view command, absl::string_view shown) {
  return absl::AbortedError(absl::StrCat(command, ": HAProxy took it but shows ", shown));
}

ServerView ToServerView(const StatRow& row, const ServerState& state) {
  ServerView view;
  view.name = row.name, view.address = row.address;
  if (state.check_port > 0 && state.check_address != "-") {
    view.check_address = HostPort{state.check_address, static_cast<int>(state.check_port)}.Text();
  }
  view.up = state.running && !state.maintenance;
  view.draining = state.drain, view.maintenance = state.maintenance;
  view.half_added = state.maintenance && state.check == ServerState::Check::kOff;
  view.session_count = row.session_count, view.queue_count = row.queue_count;
  view.session_count_max = row.session_count_max, view.weight = row.weight;
  view.connect_error_count = row.connect_error_count, view.error_count = row.error_count;
  view.retry_count = row.retry_count;
  // In mode tcp a session is the request; there are no responses to count.
  view.completed_count =
      row.mode == "http" ? row.response_count : std::max<int64_t>(0, row.session_total_count - row.session_count);
  return view;
}

}  // namespace

absl::StatusOr<std::string> CanonicalEndpoint(absl::string_view endpoint) {
  HR_ASSIGN_OR_RETURN(const HostPort parts, Split(endpoint));
  return parts.Text();
}

absl::Status CheckProxyName(absl::string_view name) {
  return CheckName(name, [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.' || c == ':' || c == '-';
  });
}

absl::Status CheckServerName(absl::string_view name) {
  return CheckName(name, [](char c) {
    const auto letter = static_cast<unsigned char>(c);
    return absl::ascii_islower(letter) || absl::ascii_isdigit(letter) || c == '.' || c == '-';
  });
}

std::string HaproxyControl::Target(absl::string_view name) const {
  return absl::StrCat(place_.backend, "/", name);
}

absl::StatusOr<std::string> HaproxyControl::AskText(absl::string_view command) {
  HR_ASSIGN_OR_RETURN(const std::string reply, line_.Ask(command));
  const absl::string_view text = absl::StripAsciiWhitespace(reply);
  HR_RETURN_IF_ERROR(Annotate(RefusalIn(text), command));
  return std::string(text);
}

absl::Status HaproxyControl::Tell(absl::string_view command) {
  HR_ASSIGN_OR_RETURN(const std::string answer, AskText(command));
  return answer.empty() ? absl::OkStatus() : Refused(command, answer);
}

absl::StatusOr<ServerState> HaproxyControl::ReadState(absl::string_view name) {
  HR_ASSIGN_OR_RETURN(const std::string text, AskText(absl::StrCat("show servers state ", place_.backend)));
  HR_ASSIGN_OR_RETURN(const std::vector<ServerState> states, ParseServersState(text));
  for (const ServerState& state : states) {
    if (state.name == name) return state;
  }
  return absl::NotFoundError(absl::StrCat("no server ", Target(name)));
}

absl::StatusOr<StatRow> HaproxyControl::ReadRow(absl::string_view proxy, absl::string_view name, StatRow::Kind kind) {
  HR_ASSIGN_OR_RETURN(const std::string text, AskText(absl::StrCat("show stat ", proxy, " 7 -1")));
  HR_ASSIGN_OR_RETURN(const std::vector<StatRow> rows, ParseStat(text));
  for (const StatRow& row : rows) {
    if (row.kind == kind && row.proxy == proxy && (name.empty() || row.name == name)) return row;
  }
  return absl::NotFoundError(absl::StrCat("no row ", proxy, "/", name));
}

absl::StatusOr<BackendView> HaproxyControl::Look() {
  HR_ASSIGN_OR_RETURN(const std::string info_text, AskText("show info"));
  HR_ASSIGN_OR_RETURN(const ProcessInfo info, ParseInfo(info_text));
  if (info.stopping) return absl::UnavailableError("haproxy is stopping");
  HR_ASSIGN_OR_RETURN(const std::string stat_text, AskText("show stat"));
  HR_ASSIGN_OR_RETURN(const std::vector<StatRow> rows, ParseStat(stat_text));
  HR_ASSIGN_OR_RETURN(const std::string state_text, AskText(absl::StrCat("show servers state ", place_.backend)));
  HR_ASSIGN_OR_RETURN(const std::vector<ServerState> states, ParseServersState(state_text));
  std::map<std::string, const ServerState*> state_of;
  for (const ServerState& state : states) state_of.emplace(state.name, &state);

  BackendView view{.life = info.life, .version = info.version};
  bool has_backend = false, has_frontend = false;
  for (const StatRow& row : rows) {
    if (row.kind == StatRow::Kind::kFrontend && row.proxy == place_.frontend) {
      has_frontend = true;
      view.frontend_session_count = row.session_count;
      view.frontend_session_count_max = row.session_count_max;
    } else if (row.proxy != place_.backend) {
      continue;
    } else if (row.kind == StatRow::Kind::kBackend) {
      has_backend = true;
      view.holds_slots = row.mode == "http";
      view.backend_queue_count = row.queue_count;
    } else if (const auto state = state_of.find(row.name); state != state_of.end()) {
      // A server of only one of the two answers came or went between them: the next look has it.
      view.servers.push_back(ToServerView(row, *state->second));
    }
  }
  if (!has_backend) return absl::NotFoundError(absl::StrCat("HAProxy has no backend ", place_.backend));
  if (!has_frontend) return absl::NotFoundError(absl::StrCat("HAProxy has no frontend ", place_.frontend));
  return view;
}

absl::Status HaproxyControl::Add(const NewServer& server) {
  HR_RETURN_IF_ERROR(CheckServerName(server.name));
  HR_RETURN_IF_ERROR(CheckWeight(server.weight));
  if (server.session_count_max) HR_RETURN_IF_ERROR(CheckLimit(*server.session_count_max, kSessionsMax));
  HR_ASSIGN_OR_RETURN(const HostPort data, Split(server.endpoints.data));
  HR_ASSIGN_OR_RETURN(const HostPort check, SplitCheck(server.endpoints));
  HR_ASSIGN_OR_RETURN(const StatRow backend, ReadRow(place_.backend, "", StatRow::Kind::kBackend));
  std::string command =
      absl::StrCat("add server ", Target(server.name), " ", data.Text(), " check addr ", check.Bracketed(), " port ",
                   check.port, " inter 500ms fall 2 rise 1 weight ", server.weight);
  if (backend.mode == "http") {
    // Without it a server that is added at run time keeps no idle connections to reuse.
    absl::StrAppend(&command, " pool-max-conn -1");
    if (server.session_count_max) absl::StrAppend(&command, " maxconn ", *server.session_count_max);
  }
  HR_ASSIGN_OR_RETURN(const std::string answer, AskText(command));
  if (answer != "New server registered.") return Refused(command, answer);
  return Enable(server.name);
}

absl::Status HaproxyControl::Enable(absl::string_view name) {
  HR_RETURN_IF_ERROR(CheckServerName(name));
  HR_RETURN_IF_ERROR(Tell(absl::StrCat("enable health ", Target(name))));
  HR_RETURN_IF_ERROR(Tell(absl::StrCat("enable server ", Target(name))));
  HR_ASSIGN_OR_RETURN(const ServerState state, ReadState(name));
  if (state.maintenance || state.check != ServerState::Check::kOn) {
    return Differs(absl::StrCat("enable server ", Target(name)), "maintenance, or no check");
  }
  return absl::OkStatus();
}

absl::Status HaproxyControl::SetState(absl::string_view name, State state) {
  HR_RETURN_IF_ERROR(CheckServerName(name));
  constexpr std::array<absl::string_view, 3> kWords = {"ready", "drain", "maint"};
  const std::string command = absl::StrCat("set server ", Target(name), " state ", kWords[static_cast<size_t>(state)]);
  HR_RETURN_IF_ERROR(Tell(command));
  HR_ASSIGN_OR_RETURN(const ServerState shown, ReadState(name));
  const bool as_asked = shown.maintenance == (state == State::kMaintenance) &&
                        (state == State::kMaintenance || shown.drain == (state == State::kDrain));
  if (!as_asked) return Differs(command, shown.maintenance ? "maintenance" : shown.drain ? "drain" : "ready");
  return absl::OkStatus();
}

absl::Status HaproxyControl::Drain(absl::string_view name) {
  return SetState(name, State::kDrain);
}
absl::Status HaproxyControl::Ready(absl::string_view name) {
  return SetState(name, State::kReady);
}

absl::Status HaproxyControl::Remove(absl::string_view name) {
  HR_RETURN_IF_ERROR(CheckServerName(name));
  HR_ASSIGN_OR_RETURN(const StatRow row, ReadRow(place_.backend, name, StatRow::Kind::kServer));
  HR_ASSIGN_OR_RETURN(const ServerState before, ReadState(name));
  if (!before.drain && !before.maintenance) {
    return absl::FailedPreconditionError(absl::StrCat(Target(name), " is neither drained nor in maintenance"));
  }
  if (row.session_count > 0 || row.queue_count > 0) {
    return absl::FailedPreconditionError(
        absl::StrCat(Target(name), " has ", row.session_count, " sessions, ", row.queue_count, " waiting"));
  }
  HR_RETURN_IF_ERROR(SetState(name, State::kMaintenance));
  const std::string command = absl::StrCat("del server ", Target(name));
  const absl::StatusOr<std::string> answer = AskText(command);
  if (answer.ok() && *answer == "Server deleted.") return absl::OkStatus();
  // Left in maintenance it would look like an operator's wish, which nobody may undo.
  if (!before.maintenance) HR_RETURN_IF_ERROR(SetState(name, State::kDrain));
  return answer.ok() ? Refused(command, *answer) : answer.status();
}

absl::Status HaproxyControl::SetEndpoints(absl::string_view name, const Endpoints& endpoints) {
  HR_RETURN_IF_ERROR(CheckServerName(name));
  HR_ASSIGN_OR_RETURN(const HostPort data, Split(endpoints.data));
  HR_ASSIGN_OR_RETURN(const HostPort check, SplitCheck(endpoints));
  HR_RETURN_IF_ERROR(Tell(absl::StrCat("set server ", Target(name), " check-addr ", check.host, " port ", check.port)));
  const std::string command = absl::StrCat("set server ", Target(name), " addr ", data.host, " port ", data.port);
  // Its answer is a sentence on success too; only the read-back tells.
  HR_ASSIGN_OR_RETURN(const std::string answer, AskText(command));
  HR_ASSIGN_OR_RETURN(const StatRow row, ReadRow(place_.backend, name, StatRow::Kind::kServer));
  if (row.address != data.Text()) return Refused(command, answer);
  return absl::OkStatus();
}

absl::Status HaproxyControl::SetServerLimit(absl::string_view name, std::optional<int64_t> session_count_max) {
  HR_RETURN_IF_ERROR(CheckServerName(name));
  if (session_count_max) HR_RETURN_IF_ERROR(CheckLimit(*session_count_max, kSessionsMax));
  const int64_t limit = session_count_max.value_or(0);
  const std::string command = absl::StrCat("set maxconn server ", Target(name), " ", limit);
  HR_RETURN_IF_ERROR(Tell(command));
  HR_ASSIGN_OR_RETURN(const StatRow row, ReadRow(place_.backend, name, StatRow::Kind::kServer));
  if (row.session_count_max != limit) return Differs(command, absl::StrCat(row.session_count_max));
  return absl::OkStatus();
}

absl::Status HaproxyControl::SetWeight(absl::string_view name, int weight) {
  HR_RETURN_IF_ERROR(CheckServerName(name));
  HR_RETURN_IF_ERROR(CheckWeight(weight));
  const std::string command = absl::StrCat("set server ", Target(name), " weight ", weight);
  HR_RETURN_IF_ERROR(Tell(command));
  HR_ASSIGN_OR_RETURN(const StatRow row, ReadRow(place_.backend, name, StatRow::Kind::kServer));
  if (row.weight != weight) return Differs(command, absl::StrCat(row.weight));
  return absl::OkStatus();
}

absl::Status HaproxyControl::SetFrontendLimit(int64_t session_count_max) {
  HR_ASSIGN_OR_RETURN(const std::string info_text, AskText("show info"));
  HR_ASSIGN_OR_RETURN(const ProcessInfo info, ParseInfo(info_text));
  HR_RETURN_IF_ERROR(CheckLimit(session_count_max, info.session_count_max));
  const std::string command = absl::StrCat("set maxconn frontend ", place_.frontend, " ", session_count_max);
  HR_RETURN_IF_ERROR(Tell(command));
  HR_ASSIGN_OR_RETURN(const StatRow row, ReadRow(place_.frontend, "", StatRow::Kind::kFrontend));
  if (row.session_count_max != session_count_max) return Differs(command, absl::StrCat(row.session_count_max));
  return absl::OkStatus();
}

}  // namespace headroom::haproxy
