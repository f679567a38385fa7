#include "controller/server/load_intake.h"

#include <utility>

#include "absl/strings/str_cat.h"

#include "controller/base/status.h"
#include "controller/server/convert.h"

namespace headroom {
namespace {

absl::Status CheckVersion(int32_t version) {
  if (version == kProtocolVersion) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("protocol_version: ", version, " is not understood; this controller speaks ", kProtocolVersion));
}

absl::Status CheckRole(v1::Role role) {
  if (role == v1::ROLE_NODE || role == v1::ROLE_BALANCER) return absl::OkStatus();
  return absl::InvalidArgumentError("role: say ROLE_NODE or ROLE_BALANCER");
}

}  // namespace

LoadCounters::LoadCounters() {
  for (const std::string& label : RefusalLabels()) refused_[label] = 0;
}

void LoadCounters::Refused(absl::string_view label) {
  if (const auto found = refused_.find(std::string(label)); found != refused_.end()) ++found->second;
}

std::map<std::string, int64_t> LoadCounters::refused() const {
  return {refused_.begin(), refused_.end()};
}

absl::Status LoadIntake::Join(const grpc::AuthContext& connection, const v1::Hello& hello,
                              std::shared_ptr<DirectiveStream> stream) {
  HR_RETURN_IF_ERROR(options_.access.MayReport(connection, hello));
  HR_RETURN_IF_ERROR(CheckVersion(hello.protocol_version()));
  HR_RETURN_IF_ERROR(CheckRole(hello.role()));
  HR_RETURN_IF_ERROR(CheckReporterId(hello.reporter_id()));
  HR_ASSIGN_OR_RETURN(NodeHello node, Annotate(ToNodeHello(hello), "hello"));
  const int64_t term_max_seen = node.term_max_seen;
  absl::MutexLock lock(&order_mutex_);
  const DirectiveStream* const opened = stream.get();
  HR_RETURN_IF_ERROR(registry_.Open({hello.role(), hello.reporter_id()}, std::move(stream)));
  absl::Status posted = hello.role() == v1::ROLE_NODE ? options_.post(NodeJoined{hello.reporter_id(), std::move(node)})
                                                      : options_.post(BalancerJoined{hello.reporter_id()});
  if (!posted.ok()) {
    registry_.Close({hello.role(), hello.reporter_id()}, opened);
    return posted;
  }
  options_.saw_term(term_max_seen, hello.reporter_id());
  return absl::OkStatus();
}

void LoadIntake::Leave(const Reporter& reporter, const DirectiveStream* stream) {
  absl::MutexLock lock(&order_mutex_);
  if (!registry_.Close(reporter.key, stream)) return;
  if (reporter.key.role == v1::ROLE_NODE) {
    options_.post(NodeLeft{reporter.key.id, reporter.boot_id, reporter.how}).IgnoreError();  // the mailbox takes leaves
  } else {
    options_.post(BalancerLeft{reporter.key.id}).IgnoreError();
  }
}

absl::Status LoadIntake::Take(const Reporter& reporter, const v1::LoadReport& message) {
  absl::Status status;
  if (message.has_node() && reporter.key.role == v1::ROLE_NODE) {
    absl::StatusOr<NodeReport> report = ToNodeReport(message.node());
    status = report.ok() ? options_.post(NodeReported{reporter.key.id, *std::move(report)}) : report.status();
  } else if (message.has_balancer() && reporter.key.role == v1::ROLE_BALANCER) {
    absl::StatusOr<BalancerReport> report = ToBalancerReport(message.balancer());
    status = report.ok() ? options_.post(BalancerReported{reporter.key.id, *std::move(report)}) : report.status();
  } else {
    status = absl::InvalidArgumentError("content: not what a reporter of this role sends");
  }
  if (status.ok()) {
    counters_.Accepted();
  } else {
    counters_.Refused(RefusalLabel(status));
  }
  return status;
}

}  // namespace headroom
