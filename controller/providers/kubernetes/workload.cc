#include "controller/providers/kubernetes/workload.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

#include "controller/base/status.h"

namespace headroom::kubernetes {
namespace {

constexpr char kTerm[] = "headroom.dev/term";
constexpr char kLaunches[] = "headroom.dev/launches";
constexpr int kReadTries = 5;  // the object and its scale are two reads, and its status may change in between

struct Kind {
  std::string group, version, plural, name;
};

absl::Status Misspelt(const std::string& reference) {
  return absl::InvalidArgumentError(absl::StrCat("\"", reference,
                                                 "\" is no workload: statefulset/NAME, deployment/NAME and "
                                                 "PLURAL.GROUP/NAME are (cephobjectstores.ceph.rook.io/store)"));
}

// The owner of spec.replicas among those that the server keeps for each field.
std::string SetBy(const Json& object) {
  for (const Json& manager : Part(object, {"metadata", "managedFields"})) {
    const Json& spec = Part(manager, {"fieldsV1", "f:spec"});
    if (!spec.is_object() || !spec.contains("f:replicas")) continue;
    return absl::StrCat(Text(manager, {"manager"}), " at ", Text(manager, {"time"}));
  }
  return "";
}

// The version of the group that the server prefers, and whether the kind can be scaled there.
absl::StatusOr<Kind> Discover(Api& api, const std::string& kind, absl::Duration timeout) {
  const std::pair<std::string, std::string> parts = absl::StrSplit(kind, absl::MaxSplits('.', 1));
  const auto& [plural, group] = parts;
  const std::string root = absl::StrCat("/apis/", group);
  const absl::StatusOr<Json> found = api.Call({.path = root, .timeout = timeout});
  if (absl::IsNotFound(found.status()))
    return absl::FailedPreconditionError(
        absl::StrCat("the server knows no API group ", group, "; is its CRD installed?"));
  HR_RETURN_IF_ERROR(found.status());
  const std::string version = Text(*found, {"preferredVersion", "version"});
  HR_ASSIGN_OR_RETURN(const Json list, api.Call({.path = absl::StrCat(root, "/", version), .timeout = timeout}));
  const Json& resources = Part(list, {"resources"});
  const auto has = [&resources](const std::string& name) {
    return std::any_of(resources.begin(), resources.end(),
                       [&](const Json& resource) { return Text(resource, {"name"}) == name; });
  };
  if (!has(plural)) return absl::FailedPreconditionError(absl::StrCat(group, "/", version, " has no ", plural));
  if (!has(absl::StrCat(plural, "/scale")))
    return absl::FailedPreconditionError(absl::StrCat(kind, " has no scale subresource: it cannot be scaled"));
  std::string name;
  for (const Json& resource : resources) {
    if (Text(resource, {"name"}) == plural) name = Text(resource, {"kind"});
  }
  return Kind{group, version, plural, name};
}

absl::StatusOr<Kind> KindOf(Api& api, const std::string& kind, absl::Duration timeout) {
  if (kind == "statefulset") return Kind{"apps", "v1", "statefulsets", "StatefulSet"};
  if (kind == "deployment") return Kind{"apps", "v1", "deployments", "Deployment"};
  return Discover(api, kind, timeout);
}

}  // namespace

absl::StatusOr<Workload> Workload::Find(Api& api, const std::string& name_space, const std::string& reference,
                                        absl::Duration timeout) {
  const std::vector<std::string> parts = absl::StrSplit(reference, '/');
  const bool known = parts[0] == "statefulset" || parts[0] == "deployment";
  if (parts.size() != 2 || parts[1].empty() || (!known && parts[0].find('.') == std::string::npos))
    return Misspelt(reference);
  HR_ASSIGN_OR_RETURN(const Kind kind, KindOf(api, parts[0], timeout));
  Workload workload;
  workload.api_ = &api;
  workload.name_ = parts[1];
  workload.kind_ = kind.name;
  workload.name_space_ = name_space;
  workload.reference_ = absl::StrCat(kind.plural, ".", kind.group, "/", parts[1]);
  workload.leaving_ = kind.plural == "statefulsets" ? Leaving::kHighestOrdinal : Leaving::kCheapest;
  workload.path_ = absl::StrCat("/apis/", kind.group, "/", kind.version, "/namespaces/", name_space, "/", kind.plural,
                                "/", parts[1]);
  const absl::Status there = workload.Read(Deadline(timeout)).status();
  if (absl::IsNotFound(there))
    return absl::NotFoundError(absl::StrCat("there is no ", reference, " in namespace ", name_space));
  HR_RETURN_IF_ERROR(there);
  return workload;
}

absl::StatusOr<WorkloadState> Workload::Read(const Deadline& deadline) const {
  absl::StatusOr<WorkloadState> state = TryRead(deadline);
  for (int tries = 1; tries < kReadTries && absl::IsAborted(state.status()); ++tries) state = TryRead(deadline);
  return state;
}

absl::StatusOr<WorkloadState> Workload::TryRead(const Deadline& deadline) const {
  HR_ASSIGN_OR_RETURN(const Json object, api_->Call({.path = path_, .timeout = deadline.left()}));
  HR_ASSIGN_OR_RETURN(const Json scale,
                      api_->Call({.path = absl::StrCat(path_, "/scale"), .timeout = deadline.left()}));
  WorkloadState state{.replicas = static_cast<int>(Number(scale, {"spec", "replicas"})),  // left out where it is 0
                      .first_ordinal = static_cast<int>(Number(object, {"spec", "ordinals", "start"})),
                      .selector = Text(scale, {"status", "selector"}),
                      .version = Text(scale, {"metadata", "resourceVersion"}),
                      .ledger = Ledger::Parse(Text(object, {"metadata", "annotations", kLaunches}))};
  if (!absl::SimpleAtoi(Text(object, {"metadata", "annotations", kTerm}), &state.term)) state.term = 0;
  state.one_by_one =
      leaving_ == Leaving::kHighestOrdinal && Text(object, {"spec", "podManagementPolicy"}) != "Parallel";
  state.set_by = SetBy(object);
  if (state.version != Text(object, {"metadata", "resourceVersion"}))
    return absl::AbortedError(absl::StrCat(name_, " changed while it was read"));
  return state;
}

absl::Status Workload::Remember(WorkloadState& state, absl::Duration timeout) const {
  const Json patch = {{"metadata",
                       {{"resourceVersion", state.version},
                        {"annotations", {{kTerm, absl::StrCat(state.term)}, {kLaunches, state.ledger.Text()}}}}}};
  HR_ASSIGN_OR_RETURN(const Json written, api_->Call({.method = "PATCH",
                                                      .path = absl::StrCat(path_, "?fieldManager=headroom"),
                                                      .content_type = "application/merge-patch+json",
                                                      .body = patch,
                                                      .timeout = timeout}));
  state.version = Text(written, {"metadata", "resourceVersion"});
  return absl::OkStatus();
}

absl::Status Workload::Scale(WorkloadState& state, int replicas, absl::Duration timeout) const {
  const Json scale = {{"kind", "Scale"},
                      {"apiVersion", "autoscaling/v1"},
                      {"metadata", {{"name", name_}, {"namespace", name_space_}, {"resourceVersion", state.version}}},
                      {"spec", {{"replicas", replicas}}}};
  HR_ASSIGN_OR_RETURN(const Json written, api_->Call({.method = "PUT",
                                                      .path = absl::StrCat(path_, "/scale?fieldManager=headroom"),
                                                      .body = scale,
                                                      .timeout = timeout}));
  state.version = Text(written, {"metadata", "resourceVersion"});
  state.replicas = replicas;
  return absl::OkStatus();
}

}  // namespace headroom::kubernetes
