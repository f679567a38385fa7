#include "controller/providers/external.h"

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include <grpcpp/grpcpp.h>

#include "controller/base/deadline.h"
#include "controller/base/status.h"
#include "controller/providers/sentence.h"

namespace headroom {
namespace {

constexpr absl::Duration kPause = absl::Milliseconds(200);

// What is to be done decides, not whose fault it is.
absl::StatusCode Remedy(grpc::StatusCode code) {
  switch (code) {
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
    case grpc::StatusCode::DEADLINE_EXCEEDED:
    case grpc::StatusCode::FAILED_PRECONDITION:
    case grpc::StatusCode::PERMISSION_DENIED:
    case grpc::StatusCode::INVALID_ARGUMENT:
    case grpc::StatusCode::NOT_FOUND:
      return static_cast<absl::StatusCode>(code);
    case grpc::StatusCode::UNAUTHENTICATED:
      return absl::StatusCode::kPermissionDenied;
    case grpc::StatusCode::UNIMPLEMENTED:
    case grpc::StatusCode::OUT_OF_RANGE:
    case grpc::StatusCode::DATA_LOSS:
      return absl::StatusCode::kFailedPrecondition;
    default:
      return absl::StatusCode::kUnavailable;
  }
}

absl::Status FromGrpc(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  std::string said = SentenceOf(status.error_message());
  if (said.empty()) said = "it failed and does not say why";
  return absl::Status(Remedy(status.error_code()), said);
}

Machine::State StateOf(v1::MachineState state) {
  if (state == v1::MACHINE_STATE_STARTING) return Machine::State::kStarting;
  return state == v1::MACHINE_STATE_STOPPING ? Machine::State::kStopping : Machine::State::kRunning;
}

}  // namespace

ExternalProvider::ExternalProvider(ExternalProviderOptions options)
    : options_(std::move(options)),
      stub_(v1::ProviderService::NewStub(grpc::CreateChannel(options_.address, grpc::InsecureChannelCredentials()))) {}

absl::StatusOr<std::unique_ptr<ExternalProvider>> ExternalProvider::Open(ExternalProviderOptions options) {
  if (options.wait == nullptr)
    options.wait = [](absl::Duration time) { std::this_thread::sleep_for(absl::ToChronoNanoseconds(time)); };
  const absl::Duration timeout = options.open_timeout;
  std::unique_ptr<ExternalProvider> provider(new ExternalProvider(std::move(options)));
  HR_RETURN_IF_ERROR(provider->Ask(timeout));
  return provider;
}

absl::Status ExternalProvider::Ask(absl::Duration timeout) {
  grpc::ClientContext context;
  context.set_wait_for_ready(true);  // it may be starting, too
  context.set_deadline(std::chrono::system_clock::now() + absl::ToChronoMicroseconds(timeout));
  v1::GetCapabilitiesRequest request;
  request.set_cluster(options_.cluster);
  const grpc::Status status = stub_->GetCapabilities(&context, request, &can_);
  if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED ||
      status.error_code() == grpc::StatusCode::UNAVAILABLE)
    return absl::UnavailableError(absl::StrCat("nobody answers at ", options_.address, " within ",
                                               absl::FormatDuration(timeout),
                                               ": start the provider there, or correct provider.external.address"));
  if (status.error_code() == grpc::StatusCode::UNIMPLEMENTED)
    return absl::FailedPreconditionError(absl::StrCat("what answers at ", options_.address,
                                                      " does not speak headroom.v1.ProviderService for providers"));
  return Annotate(FromGrpc(status), options_.address);
}

ProviderCapabilities ExternalProvider::capabilities() const {
  return {.named_termination = can_.named_termination(), .zones = can_.zones(), .fenced = can_.fenced()};
}

template <class Request, class Response>
absl::Status ExternalProvider::Call(grpc::Status (v1::ProviderService::Stub::*call)(grpc::ClientContext*,
                                                                                    const Request&, Response*),
                                    const Request& request, Response& response, absl::Duration timeout) {
  const Deadline deadline(timeout);
  absl::Duration pause = kPause;
  for (int attempts = 1;; ++attempts) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + absl::ToChronoMicroseconds(deadline.left()));
    const absl::Status status = FromGrpc((stub_.get()->*call)(&context, request, &response));
    if (!absl::IsUnavailable(status) || attempts == kAttemptsMax || deadline.left() <= pause) return status;
    options_.wait(pause);
    pause *= 2;
  }
}

void ExternalProvider::Adopt(int64_t term) {
  for (int64_t seen = term_; seen < term && !term_.compare_exchange_weak(seen, term);) {
  }
}

absl::StatusOr<int64_t> ExternalProvider::Fence(int64_t term, absl::Duration timeout) {
  Adopt(term);
  if (!can_.fenced()) return term;
  v1::FenceRequest request;
  request.set_cluster(options_.cluster);
  request.set_term(term);
  v1::FenceResponse response;
  HR_RETURN_IF_ERROR(Call(&v1::ProviderService::Stub::Fence, request, response, timeout));
  return response.term();
}

absl::StatusOr<std::vector<Machine>> ExternalProvider::List(absl::Duration timeout) {
  v1::ListMachinesRequest request;
  request.set_cluster(options_.cluster);
  v1::ListMachinesResponse response;
  HR_RETURN_IF_ERROR(Call(&v1::ProviderService::Stub::ListMachines, request, response, timeout));
  std::vector<Machine> machines;
  for (const v1::ProviderMachine& machine : response.machines()) {
    machines.push_back({.node = machine.node_id(),
                        .state = StateOf(machine.state()),
                        .zone = machine.zone(),
                        .launch_id = machine.action_id()});
  }
  return machines;
}

absl::StatusOr<NodeId> ExternalProvider::Launch(const LaunchRequest& request, absl::Duration timeout) {
  if (request.id.empty()) return absl::InvalidArgumentError("a launch needs the id of its action");
  Adopt(request.term);
  v1::LaunchMachineRequest asked;
  asked.set_cluster(options_.cluster);
  asked.set_action_id(request.id);
  asked.set_zone(request.zone);
  asked.set_term(request.term);
  v1::LaunchMachineResponse response;
  HR_RETURN_IF_ERROR(Call(&v1::ProviderService::Stub::LaunchMachine, asked, response, timeout));
  return response.node_id();
}

absl::Status ExternalProvider::Terminate(const NodeId& node, absl::Duration timeout) {
  const Deadline deadline(timeout);
  if (can_.evacuates()) HR_RETURN_IF_ERROR(Evacuate(node, timeout));
  v1::TerminateMachineRequest request;
  request.set_cluster(options_.cluster);
  request.set_node_id(node);
  request.set_term(term_);
  v1::TerminateMachineResponse response;
  const absl::Status status = Call(&v1::ProviderService::Stub::TerminateMachine, request, response, deadline.left());
  return absl::IsNotFound(status) ? absl::OkStatus() : status;
}

absl::Status ExternalProvider::Evacuate(const NodeId& node, absl::Duration timeout) {
  const Deadline deadline(timeout);
  v1::EvacuateMachineRequest begin;
  begin.set_cluster(options_.cluster);
  begin.set_node_id(node);
  begin.set_term(term_);
  v1::EvacuateMachineResponse begun;
  const absl::Status status = Call(&v1::ProviderService::Stub::EvacuateMachine, begin, begun, timeout);
  if (absl::IsNotFound(status)) return absl::OkStatus();
  HR_RETURN_IF_ERROR(Annotate(status, "evacuate"));
  v1::GetEvacuationRequest ask;
  ask.set_cluster(options_.cluster);
  ask.set_node_id(node);
  v1::GetEvacuationResponse how;
  HR_RETURN_IF_ERROR(
      Annotate(Call(&v1::ProviderService::Stub::GetEvacuation, ask, how, deadline.left()), "evacuation"));
  if (how.done()) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat(node, " still holds data",
                   how.left_bytes() > 0 ? absl::StrCat(": ", how.left_bytes(), " bytes are to be moved") : "",
                   how.waits_for().empty() ? "" : absl::StrCat("; it waits for ", SentenceOf(how.waits_for()))));
}

}  // namespace headroom
