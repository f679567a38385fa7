#include <memory>

#include "absl/strings/str_cat.h"
#include <CLI/CLI.hpp>

#include "controller/base/status.h"
#include "controller/cli/commands.h"
#include "controller/runtime/config.h"
#include "controller/runtime/storage_cluster.h"

namespace headroom {
namespace {

using Stub = v1::AdminService::StubInterface;

absl::Status Get(Session& session) {
  HR_ASSIGN_OR_RETURN(const v1::GetPolicyResponse response, session.Call(&Stub::GetPolicy, v1::GetPolicyRequest()));
  if (session.format == "json") {
    session.PrintData(response);
  } else {
    session.out() << ConfigToYaml(response.policy());
  }
  return absl::OkStatus();
}

struct CheckArguments {
  std::string file;
  bool defaults = false;
};

absl::Status Check(Session& session, const CheckArguments& arguments) {
  HR_ASSIGN_OR_RETURN(const Config config, LoadConfig(arguments.file));
  if (arguments.defaults) {
    session.out() << ConfigToYaml(config.message);
  } else {
    session.err() << arguments.file << ": good\n";
  }
  return absl::OkStatus();
}

struct ApplyArguments {
  std::string file, reason;
  bool validate_only = false;
};

absl::Status Apply(Session& session, const ApplyArguments& arguments) {
  v1::ApplyPolicyRequest request;
  HR_ASSIGN_OR_RETURN(*request.mutable_yaml(), ReadPolicyFile(arguments.file));
  request.set_reason(arguments.reason);
  request.set_validate_only(arguments.validate_only);
  request.set_request_id(NewRequestId());
  request.set_actor(session.actor());
  HR_ASSIGN_OR_RETURN(const v1::ApplyPolicyResponse response, session.Call(&Stub::ApplyPolicy, request));
  if (session.PrintData(response)) return absl::OkStatus();
  for (const std::string& change : response.changes()) session.out() << change << '\n';
  if (response.changes().empty()) session.err() << "nothing changes\n";
  if (arguments.validate_only) {
    session.err() << "checked, nothing done\n";
  } else {
    session.err() << "in force until headroomd restarts or its policy file changes; put it there to keep it\n";
  }
  return absl::OkStatus();
}

}  // namespace

void AddPolicy(CLI::App& app, Session& session) {
  CLI::App* policy = app.add_subcommand("policy", "The policy: get, check FILE, apply FILE, crd");
  policy->require_subcommand(1);
  policy->fallthrough();
  policy->add_subcommand("get", "The policy in force, with every default")->callback([&session] {
    session.command = [&session] { return Get(session); };
  });
  const auto check = std::make_shared<CheckArguments>();
  CLI::App* check_command = policy->add_subcommand("check", "Every fault of a policy file; needs no server");
  check_command->add_option("FILE", check->file, "Policy file (YAML)")->required();
  check_command->add_flag("--defaults", check->defaults, "Print it with every default");
  check_command->callback(
      [&session, check] { session.command = [&session, check] { return Check(session, *check); }; });
  policy
      ->add_subcommand("crd",
                       "The CustomResourceDefinition of a policy in Kubernetes, for kubectl apply; needs no server")
      ->callback([&session] {
        session.command = [&session] {
          session.out() << StorageClusterDefinition();
          return absl::OkStatus();
        };
      });
  const auto apply = std::make_shared<ApplyArguments>();
  CLI::App* apply_command = policy->add_subcommand("apply", "Put a policy in force and say what changes");
  apply_command->add_option("FILE", apply->file, "Policy file (YAML)")->required();
  apply_command->add_option("--reason", apply->reason, "Why, for the journal");
  apply_command->add_flag("--dry-run", apply->validate_only, "Say what would change, do nothing");
  apply_command->callback(
      [&session, apply] { session.command = [&session, apply] { return Apply(session, *apply); }; });
}

}  // namespace headroom
