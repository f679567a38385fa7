#include "tests/controller/providers/external/fake_platform.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "absl/strings/str_cat.h"

#include "controller/base/check.h"

namespace headroom {

FakePlatform::FakePlatform(v1::GetCapabilitiesResponse can, int machines) : can_(std::move(can)) {
  for (int i = 0; i < machines; ++i) machines_.push_back({absl::StrCat("machine-", ++made_)});
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(this);
  server_ = builder.BuildAndStart();
  HR_CHECK(server_ != nullptr && port > 0);
  address_ = absl::StrCat("127.0.0.1:", port);
}

FakePlatform::~FakePlatform() {
  server_->Shutdown(std::chrono::system_clock::now());
}

void FakePlatform::Inject(Fault fault) {
  const std::lock_guard lock(mutex_);
  faults_.push_back(std::move(fault));
}

void FakePlatform::SetState(const std::string& node, int state) {
  const std::lock_guard lock(mutex_);
  Find(node)->state = state;
}

void FakePlatform::RunOutOfStock(const std::string& sentence) {
  const std::lock_guard lock(mutex_);
  out_of_stock_ = sentence;
}

void FakePlatform::ComeLate() {
  const std::lock_guard lock(mutex_);
  comes_late_ = true;
}

void FakePlatform::SetData(const std::string& node, int64_t bytes) {
  const std::lock_guard lock(mutex_);
  Find(node)->bytes = bytes;
}

std::vector<std::string> FakePlatform::nodes() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> nodes;
  for (const Machine& machine : machines_) {
    if (!machine.node.empty() && machine.state != v1::MACHINE_STATE_STOPPING) nodes.push_back(machine.node);
  }
  return nodes;
}

int FakePlatform::asked() const {
  const std::lock_guard lock(mutex_);
  return static_cast<int>(machines_.size());
}

int FakePlatform::CountOf(const std::string& call) const {
  const std::lock_guard lock(mutex_);
  const auto found = calls_.find(call);
  return found == calls_.end() ? 0 : found->second;
}

int FakePlatform::writes() const {
  return CountOf("Fence") + CountOf("LaunchMachine") + CountOf("TerminateMachine") + CountOf("EvacuateMachine");
}

FakePlatform::Machine* FakePlatform::Find(const std::string& node) {
  const auto found =
      std::find_if(machines_.begin(), machines_.end(), [&](const Machine& machine) { return machine.node == node; });
  return found == machines_.end() ? nullptr : &*found;
}

template <class Work>
grpc::Status FakePlatform::Serve(Context* context, const std::string& call, const Work& work) {
  std::unique_lock lock(mutex_);
  ++calls_[call];
  const auto fault = std::find_if(faults_.begin(), faults_.end(),
                                  [&](const Fault& one) { return one.call.empty() || one.call == call; });
  if (fault == faults_.end()) return work();
  const Fault taken = *fault;
  if (--fault->times == 0) faults_.erase(fault);
  if (taken.after_effect) static_cast<void>(work());
  lock.unlock();
  while (taken.never_answers && !context->IsCancelled()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  return taken.answer;
}

grpc::Status FakePlatform::CheckTerm(int64_t term) {
  if (can_.fenced() && term < term_)
    return {grpc::StatusCode::FAILED_PRECONDITION,
            absl::StrCat("a controller of term ", term_, " acts here; this one has term ", term)};
  term_ = std::max(term_, term);
  return grpc::Status::OK;
}

grpc::Status FakePlatform::GetCapabilities(Context* context, const v1::GetCapabilitiesRequest*,
                                           v1::GetCapabilitiesResponse* response) {
  return Serve(context, "GetCapabilities", [&] {
    *response = can_;
    return grpc::Status::OK;
  });
}

grpc::Status FakePlatform::Fence(Context* context, const v1::FenceRequest* request, v1::FenceResponse* response) {
  return Serve(context, "Fence", [&] {
    term_ = std::max(term_, request->term());
    response->set_term(term_);
    return grpc::Status::OK;
  });
}

grpc::Status FakePlatform::ListMachines(Context* context, const v1::ListMachinesRequest*,
                                        v1::ListMachinesResponse* response) {
  return Serve(context, "ListMachines", [&] {
    for (const Machine& machine : machines_) {
      v1::ProviderMachine& told = *response->add_machines();
      told.set_node_id(machine.node);
      told.set_state(static_cast<v1::MachineState>(machine.state));
      told.set_zone("z");
      told.set_action_id(machine.action);
    }
    return grpc::Status::OK;
  });
}

grpc::Status FakePlatform::LaunchMachine(Context* context, const v1::LaunchMachineRequest* request,
                                         v1::LaunchMachineResponse* response) {
  return Serve(context, "LaunchMachine", [&]() -> grpc::Status {
    if (const grpc::Status fenced = CheckTerm(request->term()); !fenced.ok()) return fenced;
    if (!out_of_stock_.empty()) return {grpc::StatusCode::RESOURCE_EXHAUSTED, out_of_stock_};
    const auto [known, is_new] = launched_.try_emplace(request->action_id());
    if (is_new) {
      known->second = comes_late_ ? "" : absl::StrCat("machine-", ++made_);
      const int state = comes_late_ ? v1::MACHINE_STATE_STARTING : v1::MACHINE_STATE_RUNNING;
      machines_.push_back({known->second, request->action_id(), state});
    }
    response->set_node_id(known->second);
    return grpc::Status::OK;
  });
}

grpc::Status FakePlatform::TerminateMachine(Context* context, const v1::TerminateMachineRequest* request,
                                            v1::TerminateMachineResponse*) {
  return Serve(context, "TerminateMachine", [&]() -> grpc::Status {
    if (const grpc::Status fenced = CheckTerm(request->term()); !fenced.ok()) return fenced;
    if (Find(request->node_id()) == nullptr) return {grpc::StatusCode::NOT_FOUND, "there is no such machine"};
    std::erase_if(machines_, [&](const Machine& machine) { return machine.node == request->node_id(); });
    return grpc::Status::OK;
  });
}

grpc::Status FakePlatform::EvacuateMachine(Context* context, const v1::EvacuateMachineRequest* request,
                                           v1::EvacuateMachineResponse*) {
  return Serve(context, "EvacuateMachine", [&]() -> grpc::Status {
    if (Find(request->node_id()) == nullptr) return {grpc::StatusCode::NOT_FOUND, "there is no such machine"};
    return grpc::Status::OK;
  });
}

grpc::Status FakePlatform::GetEvacuation(Context* context, const v1::GetEvacuationRequest* request,
                                         v1::GetEvacuationResponse* response) {
  return Serve(context, "GetEvacuation", [&] {
    const Machine* const machine = Find(request->node_id());
    response->set_left_bytes(machine == nullptr ? 0 : machine->bytes);
    response->set_done(response->left_bytes() == 0);
    if (!response->done()) response->set_waits_for("two copies in zone b");
    return grpc::Status::OK;
  });
}

}  // namespace headroom
