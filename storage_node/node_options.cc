#include "storage_node/node_options.h"

#include <cstdint>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include <CLI/CLI.hpp>

#include "controller/wire/endpoints.h"
#include "controller/wire/tls_flags.h"

namespace headroom {
namespace {

constexpr int kUsageError = 2;

constexpr char kFooter[] = R"(
Examples:
  headroom-node --data-dir /srv/files --listen 0.0.0.0:8080
  headroom-node --data-dir /tmp/files --listen 127.0.0.1:0 --connection-limit 200 --idle-timeout 30s
  headroom-node --data-dir /srv/files --listen 10.0.0.7:8080 --controller 10.0.0.2:7600 --state-file /var/lib/node.state
  headroom-node --data-dir /srv/files --listen 10.0.0.7:8080 --controller 10.0.0.2:7600,10.0.0.3:7600 \
      --tls-cert node.pem --tls-key node.key --tls-ca ca.pem --node-id node-7
  headroom-node --data-dir /tmp/files --device-latency 20ms --device-parallel 8     (a declared, emulated device)

  curl -T photo.jpg http://127.0.0.1:8080/a/photo.jpg      curl 'http://127.0.0.1:8080/a/?limit=100'
  curl http://127.0.0.1:8081/status                        curl -X POST 'http://127.0.0.1:8081/limits?connections=500'

Stops on SIGTERM or SIGINT: not ready, stop delay, drain, end. A second signal ends it at once.
Exit codes: 0 stopped in order; 1 could not start; 2 bad command line; 3 stopped with connections still open.
Durations are written 500ms, 30s, 2m.)";

void AddDuration(CLI::App& app, const std::string& name, absl::Duration& value, const std::string& help) {
  app.add_option_function<std::string>(
         name,
         [&value, name](const std::string& text) {
           if (!absl::ParseDuration(text, &value) || value < absl::ZeroDuration()) {
             throw CLI::ValidationError(name, "\"" + text + "\" is not a duration like 500ms or 30s");
           }
         },
         help)
      ->type_name("DURATION")
      ->default_str(absl::FormatDuration(value));
}

std::string BadEndpoint(const std::string& text) {
  return std::string(CheckEndpoint(text).message());
}

void AddServing(CLI::App& app, NodeOptions& node) {
  FileServerOptions& server = node.server;
  app.add_option("--data-dir", server.data_directory, "Directory that is served; several nodes may share it")
      ->required();
  app.add_option("--listen", server.listen, "ADDRESS:PORT for clients; port 0 picks a free one")->capture_default_str();
  app.add_option("--admin-listen", server.admin_listen, "ADDRESS:PORT for probes and operators, unauthenticated")
      ->capture_default_str();
  app.add_option("--threads", server.threads, "Serving threads; 0: one a core")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  app.add_option("--max-body", server.session.body_bytes_max, "Largest body of a PUT in bytes")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option_function<std::string>(
         "--log-format",
         [&node](const std::string& text) { node.log_format = text == "json" ? LogFormat::kJson : LogFormat::kText; },
         "text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->default_str("text");
}

void AddLimits(CLI::App& app, NodeOptions& node) {
  app.add_option("--connection-limit", node.limits.connections, "Client connections open at once")
      ->check(CLI::Range(int64_t{1}, SlotCounter::kMost))
      ->capture_default_str();
  app.add_option("--in-flight-limit", node.limits.in_flight, "Requests served at once, the rest get 503; 0: no limit")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--backlog", node.server.backlog,
                 "Connections that wait in the kernel at the limit; it grows with the limit, and the kernel caps it at "
                 "net.core.somaxconn")
      ->check(CLI::Range(1, 65535))
      ->capture_default_str();
  AddDuration(app, "--idle-timeout", node.limits.idle_timeout, "Idle connections are closed after this");
  AddDuration(app, "--shed-idle-min-age", node.limits.shed_idle_min_age,
              "While others wait at the limit, connections idle for longer than this are closed for them; 0: never");
}

void AddLifeCycle(CLI::App& app, FileServerOptions& server) {
  AddDuration(app, "--boot-delay", server.boot_delay, "Time before it listens and is ready");
  AddDuration(app, "--stop-delay", server.stop_delay, "Time from not ready to the drain, so that balancers notice");
  AddDuration(app, "--drain-timeout", server.drain_timeout, "Longest drain on a stop");
  AddDuration(app, "--device-latency", server.device.latency, "Emulated device: time of each request in it; 0: none");
  app.add_option("--device-parallel", server.device.parallel, "Emulated device: requests in it at once; 0: any number")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
}

void AddController(CLI::App& app, NodeOptions& node) {
  static const std::map<std::string, SoleReporter> kSoleReporter = {
      {"auto", SoleReporter::kAuto}, {"yes", SoleReporter::kYes}, {"no", SoleReporter::kNo}};
  NodeReporterOptions& reporter = node.reporter;
  app.add_option("--controller", reporter.stream.controllers,
                 "HOST:PORT[,HOST:PORT] of the controllers, of which the one that leads is found; without it the node "
                 "runs alone")
      ->delimiter(',')
      ->check(BadEndpoint);
  AddTlsFlags(app, node.tls);
  app.add_option("--node-id", reporter.node_id, "Name of this node, stable over restarts: 1 to 253 of [a-z0-9.-]")
      ->default_str("HOSTNAME-PORT");
  app.add_option("--cluster", reporter.cluster, "Cluster of the node; default: the controller's only one");
  app.add_option("--zone", reporter.zone, "Failure domain of the node");
  app.add_option("--launch-id", reporter.launch_id, "Set by the controller that launches the node");
  app.add_option("--advertise", node.advertised_host, "Host by which others reach the node")
      ->default_str("that of --listen, or the host name");
  app.add_option("--state-file", reporter.state_file,
                 "What the node must remember over restarts: the highest term, what it learned, when version and "
                 "configuration changed; default: it forgets");
  app.add_option_function<std::string>(
         "--sole-reporter",
         [&reporter](const std::string& text) { reporter.sampler.sole_reporter = kSoleReporter.at(text); },
         "Whether the node tells the TCP counters of its network namespace; auto: the first node in it does, its "
         "overflows only while it is the only one")
      ->check(CLI::IsMember({"auto", "yes", "no"}))
      ->default_str("auto");
}

}  // namespace

ParsedNodeOptions ParseNodeOptions(int argc, char** argv) {
  ParsedNodeOptions parsed;
  CLI::App app("headroom-node: a file storage server whose connection limit can be changed while it runs");
  app.footer(kFooter);
  AddServing(app, parsed.options);
  AddLimits(app, parsed.options);
  AddLifeCycle(app, parsed.options.server);
  AddController(app, parsed.options);
  try {
    app.parse(argc, argv);
    parsed.run = true;
  } catch (const CLI::ParseError& error) {
    parsed.exit_code = app.exit(error) == 0 ? 0 : kUsageError;
  }
  return parsed;
}

std::string ConfigHash(const NodeOptions& options) {
  const FileServerOptions& server = options.server;
  const std::string text = absl::StrCat(
      options.limits.connections, " ", options.limits.in_flight, " ", absl::FormatDuration(options.limits.idle_timeout),
      " ", absl::FormatDuration(options.limits.shed_idle_min_age), " ", server.backlog, " ", server.threads, " ",
      server.session.body_bytes_max, " ", absl::FormatDuration(server.drain_timeout), " ",
      absl::FormatDuration(server.device.latency), " ", server.device.parallel);
  uint64_t hash = 0xcbf29ce484222325;  // FNV-1a: the same in every build, unlike absl::Hash
  for (const char c : text) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  return absl::StrCat(absl::Hex(hash, absl::kZeroPad16));
}

}  // namespace headroom
