#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <grpcpp/grpcpp.h>

#include "headroom/v1/provider.grpc.pb.h"

namespace headroom {

// FakePlatform: a headroom.v1.ProviderService in this process, with a table of machines; and whatever goes wrong with
// one. Thread-safe.
class FakePlatform final : public v1::ProviderService::Service {
 public:
  // What goes wrong with the next call of that name.
  struct Fault {
    std::string call;  // "LaunchMachine"; empty: any
    grpc::Status answer;
    bool after_effect = false;
    bool never_answers = false;
    int times = 1;
  };

  FakePlatform(v1::GetCapabilitiesResponse can, int machines);
  ~FakePlatform() override;
  std::string address() const { return address_; }

  void Inject(Fault fault);
  void SetState(const std::string& node, int state);
  void RunOutOfStock(const std::string& sentence);
  // Machines have no id until they Come().
  void ComeLate();
  // What the machine still holds; 0: nothing.
  void SetData(const std::string& node, int64_t bytes);

  std::vector<std::string> nodes() const;
  int asked() const;
  int writes() const;
  int CountOf(const std::string& call) const;

 private:
  struct Machine {
    std::string node, action;
    int state = v1::MACHINE_STATE_RUNNING;
    int64_t bytes = 0;
  };
  using Context = grpc::ServerContext;
  grpc::Status GetCapabilities(Context*, const v1::GetCapabilitiesRequest*, v1::GetCapabilitiesResponse*) override;
  grpc::Status Fence(Context*, const v1::FenceRequest*, v1::FenceResponse*) override;
  grpc::Status ListMachines(Context*, const v1::ListMachinesRequest*, v1::ListMachinesResponse*) override;
  grpc::Status LaunchMachine(Context*, const v1::LaunchMachineRequest*, v1::LaunchMachineResponse*) override;
  grpc::Status TerminateMachine(Context*, const v1::TerminateMachineRequest*, v1::TerminateMachineResponse*) override;
  grpc::Status EvacuateMachine(Context*, const v1::EvacuateMachineRequest*, v1::EvacuateMachineResponse*) override;
  grpc::Status GetEvacuation(Context*, const v1::GetEvacuationRequest*, v1::GetEvacuationResponse*) override;

  // Does it, unless a fault is due.
  template <class Work>
  grpc::Status Serve(Context* context, const std::string& call, const Work& work);
  grpc::Status CheckTerm(int64_t term);
  Machine* Find(const std::string& node);

  const v1::GetCapabilitiesResponse can_;
  mutable std::mutex mutex_;
  std::vector<Machine> machines_;
  std::map<std::string, std::string> launched_;  // node by action
  std::vector<Fault> faults_;
  std::map<std::string, int> calls_;
  std::string out_of_stock_;
  bool comes_late_ = false;
  int made_ = 0;
  int64_t term_ = 0;
  std::string address_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace headroom
