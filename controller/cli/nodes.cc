#include <memory>
#include <optional>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include <CLI/CLI.hpp>

#include "controller/base/status.h"
#include "controller/cli/commands.h"
#include "controller/runtime/wire_time.h"

namespace headroom {
namespace {

using Stub = v1::AdminService::StubInterface;

Tone StateTone(const std::string& state) {
  if (state == "serving") return Tone::kGood;
  if (state == "lost" || state == "silent") return Tone::kBad;
  return Tone::kWarning;
}

std::string Marks(const v1::Node& node) {
  std::string marks;
  const auto add = [&](bool on, absl::string_view mark) {
    if (on) absl::StrAppend(&marks, marks.empty() ? "" : ",", mark);
  };
  add(node.pinned(), "pinned");
  add(node.limit_fixed(), "fixed");
  add(node.hypothetical(), "hypothetical");
  add(!node.bound_by().empty(), absl::StrCat("bound by ", node.bound_by()));
  return marks;
}

void PrintNodes(Session& session, const v1::ListNodesResponse& nodes) {
  Table table({"NODE", "STATE", ">OPEN", ">ACTIVE", ">WAITING", ">LIMIT", ">GRANTED", ">REQ/S", ">ERR/S", ">P50",
               ">P99", ">REPORT", "MARKS"});
  for (const v1::Node& node : nodes.nodes()) {
    table.Add({node.node_id(),
               {node.state(), StateTone(node.state())},
               absl::StrCat(node.open_count()),
               absl::StrCat(node.active_count()),
               {absl::StrCat(node.waiting_count()), node.waiting_count() > 0 ? Tone::kBad : Tone::kPlain},
               absl::StrCat(node.limit_count()),
               absl::StrCat(node.granted_count()),
               Number(node.requests_per_second()),
               {Number(node.errors_per_second()), node.errors_per_second() > 0 ? Tone::kBad : Tone::kPlain},
               node.has_latency_p50() ? Short(FromWire(node.latency_p50())) : std::string("-"),
               node.has_latency_p99() ? Short(FromWire(node.latency_p99())) : std::string("-"),
               node.has_report_age() ? Short(FromWire(node.report_age())) : std::string("-"),
               Marks(node)});
  }
  if (table.empty()) {
    session.err() << "no nodes\n";
  } else {
    table.Print(session.out(), session.colours());
  }
}

// All pages as one answer.
absl::StatusOr<v1::ListNodesResponse> AllNodes(Session& session) {
  v1::ListNodesResponse all;
  v1::ListNodesRequest request;
  do {
    HR_ASSIGN_OR_RETURN(v1::ListNodesResponse page, session.Call(&Stub::ListNodes, request));
    all.mutable_nodes()->MergeFrom(page.nodes());
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return all;
}

absl::Status Nodes(Session& session) {
  HR_ASSIGN_OR_RETURN(const v1::ListNodesResponse nodes, AllNodes(session));
  if (!session.PrintData(nodes)) PrintNodes(session, nodes);
  return absl::OkStatus();
}

// What the commands about one node are given.
struct NodeArguments {
  std::string node, limit, reason, duration;
  bool validate_only = false;
};

template <typename Request>
Request Begin(Session& session, const NodeArguments& arguments) {
  Request request;
  request.set_node_id(arguments.node);
  request.set_reason(arguments.reason);
  request.set_validate_only(arguments.validate_only);
  request.set_request_id(NewRequestId());
  request.set_actor(session.actor());
  return request;
}

// Carries the request out and says what was done.
template <typename Request, typename Response>
absl::Status Do(Session& session, grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                const Request& request, const std::string& text) {
  HR_ASSIGN_OR_RETURN(const Response response, session.Call(method, request));
  if (session.PrintData(response)) return absl::OkStatus();
  session.err() << response.node().node_id() << ": " << Told(request, text) << '\n';
  return absl::OkStatus();
}

// 0: off. Nothing: neither off nor a number of connections.
std::optional<int64_t> ParseLimit(const std::string& text) {
  int64_t limit = 0;
  if (text == "off") return limit;
  return absl::SimpleAtoi(text, &limit) && limit > 0 ? std::optional<int64_t>(limit) : std::nullopt;
}

std::string LimitFault(const std::string& text) {
  return ParseLimit(text).has_value() ? "" : absl::StrCat(text, " is neither a number of connections nor off");
}

absl::Status Limit(Session& session, const NodeArguments& arguments) {
  auto request = Begin<v1::SetNodeLimitRequest>(session, arguments);
  const int64_t limit = ParseLimit(arguments.limit).value_or(0);
  request.set_limit_count(limit);
  SetDuration(DurationOf(arguments.duration), request.mutable_duration());
  return Do(session, &Stub::SetNodeLimit, request,
            limit == 0 ? "the limit is the controller's again"
                       : absl::StrCat("limit fixed at ", limit, " for ", arguments.duration));
}

CLI::App* AddNodeCommand(CLI::App& app, const std::string& name, const std::string& help,
                         const std::shared_ptr<NodeArguments>& arguments) {
  CLI::App* command = app.add_subcommand(name, help);
  command->add_option("NODE", arguments->node, "Node id")->required();
  command->add_option("--reason", arguments->reason, "Why, for the journal");
  command->add_flag("--dry-run", arguments->validate_only, "Check only, do nothing");
  return command;
}

template <typename Request, typename Response>
CLI::App* AddSimple(CLI::App& app, Session& session, const std::string& name, const std::string& help,
                    grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                    const std::string& told) {
  const auto arguments = std::make_shared<NodeArguments>();
  CLI::App* command = AddNodeCommand(app, name, help, arguments);
  command->callback([&session, arguments, method, told] {
    session.command = [&session, arguments, method, told] {
      return Do(session, method, Begin<Request>(session, *arguments), told);
    };
  });
  return command;
}

void AddPin(CLI::App& app, Session& session, const std::string& name, const std::string& help,
            const std::string& told) {
  const auto arguments = std::make_shared<NodeArguments>();
  AddNodeCommand(app, name, help, arguments)->callback([&session, arguments, name, told] {
    session.command = [&session, arguments, name, told] {
      auto request = Begin<v1::PinNodeRequest>(session, *arguments);
      request.set_pinned(name == "pin");
      return Do(session, &Stub::PinNode, request, told);
    };
  });
}

}  // namespace

std::string DurationFault(const std::string& text) {
  return DurationOf(text) > absl::ZeroDuration() ? "" : text + " is not a duration like 30m or 2h";
}

absl::Duration DurationOf(const std::string& text) {
  absl::Duration duration;
  return absl::ParseDuration(text, &duration) ? duration : absl::ZeroDuration();
}

void AddFor(CLI::App& command, std::string& duration) {
  command.add_option("--for", duration, "How long, at most 168h")->check(DurationFault)->default_val("1h");
}

void AddNodes(CLI::App& app, Session& session) {
  app.add_subcommand("nodes", "The nodes, their load and their limits")->callback([&session] {
    session.command = [&session] { return Nodes(session); };
  });
}

void AddNodeCommands(CLI::App& app, Session& session) {
  const auto arguments = std::make_shared<NodeArguments>();
  CLI::App* limit = AddNodeCommand(
      app, "limit", "Fix a node's connection limit for a while: limit NODE N, limit NODE off", arguments);
  limit->add_option("LIMIT", arguments->limit, "Connections, or off")->required()->check(LimitFault);
  limit->get_option("--reason")->description("Why, for the journal; required unless off");
  AddFor(*limit, arguments->duration);
  limit->callback(
      [&session, arguments] { session.command = [&session, arguments] { return Limit(session, *arguments); }; });
  AddSimple(app, session, "drain", "Empty a node and keep it empty", &Stub::DrainNode, "is being drained")
      ->get_option("--reason")
      ->required();
  AddSimple(app, session, "undrain", "Take a drained node back", &Stub::UndrainNode, "takes load again");
  AddPin(app, session, "pin", "Never choose this node for removal", "pinned");
  AddPin(app, session, "unpin", "Allow its removal again", "no longer pinned");
}

}  // namespace headroom
