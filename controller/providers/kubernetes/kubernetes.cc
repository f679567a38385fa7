#include "controller/providers/kubernetes/kubernetes.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <thread>
#include <tuple>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

#include "controller/base/percent_encoding.h"
#include "controller/base/status.h"
#include "controller/providers/kubernetes/listing.h"
#include "controller/runtime/recovery.h"

namespace headroom::kubernetes {
namespace {

constexpr char kCost[] = "controller.kubernetes.io/pod-deletion-cost";
constexpr int64_t kGoesFirst = -1000;
constexpr absl::Duration kLook = absl::Milliseconds(100), kLookMax = absl::Seconds(2);
// A ReplicaSet marks the pod that leaves within milliseconds. What is launched before that takes the removal back.
constexpr absl::Duration kActs = absl::Seconds(2);

// 3 of "files-3", a StatefulSet's own name of a pod of "files". Any other: -1.
int OrdinalOf(const NodeId& node, const std::string& workload) {
  int ordinal = -1;
  const bool is_number = absl::SimpleAtoi(node.substr(node.rfind('-') + 1), &ordinal);
  return is_number && node == absl::StrCat(workload, "-", ordinal) ? ordinal : -1;
}

const Pod* FindPod(const std::vector<Pod>& pods, const NodeId& node) {
  const auto found = std::find_if(pods.begin(), pods.end(), [&](const Pod& pod) { return pod.name == node; });
  return found == pods.end() ? nullptr : &*found;
}

// One that failed (it was evicted, its machine went down in order) fills no place any more, and stays to be looked at.
bool HasLeft(const Pod* pod) {
  return pod == nullptr || pod->leaving || pod->failed;
}

Machine::State StateOf(const Pod& pod) {
  if (pod.leaving) return Machine::State::kStopping;
  return pod.ready ? Machine::State::kRunning : Machine::State::kStarting;
}

// Those that pods stand on.
std::set<std::string> MachinesOf(const std::vector<Pod>& pods) {
  std::set<std::string> machines;
  for (const Pod& pod : pods) {
    if (!pod.node.empty() && !pod.failed) machines.insert(pod.node);
  }
  return machines;
}

// The pods of a StatefulSet by what it is told to run: one that is yet to be made, in order or anew, is on its way. A
// launch that raised it to so many pods made the last of them.
std::vector<Machine> WithThoseToCome(std::vector<Machine> machines, const std::string& name, const WorkloadState& state,
                                     const std::map<int, ActionId>& awaited) {
  for (int count = 1; count <= state.replicas; ++count) {
    const NodeId node = absl::StrCat(name, "-", state.first_ordinal + count - 1);
    auto found = std::find_if(machines.begin(), machines.end(),
                              [&node](const Machine& machine) { return machine.node == node; });
    if (found != machines.end() && found->state != Machine::State::kStopping) continue;
    if (found == machines.end()) found = machines.insert(machines.end(), {.node = node});
    found->state = Machine::State::kStarting;
    if (const auto launch = awaited.find(count); launch != awaited.end()) found->launch_id = launch->second;
  }
  return machines;
}

// Without the extra pods of a rolling update: they take the places of others, which leave when they are ready.
std::vector<Pod> WithoutSurge(std::vector<Pod> pods, int replicas) {
  std::stable_sort(pods.begin(), pods.end(), [](const Pod& a, const Pod& b) { return a.created_at < b.created_at; });
  int extra =
      static_cast<int>(std::count_if(pods.begin(), pods.end(), [](const Pod& pod) { return !pod.leaving; })) - replicas;
  for (size_t i = pods.size(); i > 0 && extra > 0; --i) {
    if (pods[i - 1].ready || pods[i - 1].leaving) continue;
    pods.erase(pods.begin() + static_cast<std::ptrdiff_t>(i - 1));
    --extra;
  }
  return pods;
}

// In order a StatefulSet removes nothing while a pod before it is not ready; the drained last one would stay, idle.
absl::Status CheckOrder(const std::vector<Pod>& pods, const std::string& name, const WorkloadState& state) {
  for (int ordinal = state.first_ordinal; ordinal < state.first_ordinal + state.replicas - 1; ++ordinal) {
    const Pod* pod = FindPod(pods, absl::StrCat(name, "-", ordinal));
    if (pod != nullptr && pod->ready) continue;
    return absl::UnavailableError(absl::StrCat(name, "-", ordinal, " is not ready, and until it is a StatefulSet with ",
                                               "podManagementPolicy OrderedReady removes no pod after it"));
  }
  return absl::OkStatus();
}

// As a ReplicaSet orders those that it removes, before it looks at their costs (ActivePodsWithRanks).
std::tuple<bool, Phase, bool> RankOf(const Pod& pod) {
  return {!pod.node.empty(), pod.phase, pod.ready};
}

std::string LackOf(const Pod& pod) {
  if (pod.node.empty()) return "has no machine";
  return pod.phase == Phase::kRunning ? "is not ready" : "is not running yet";
}

// Whether a ReplicaSet removes `named` once it is the cheapest. One that is on its way already does not count.
absl::Status CheckRanks(const Pod& named, const std::vector<Pod>& pods, const std::string& name,
                        const WorkloadState& state) {
  if (const int count = StayingCount(pods); count < state.replicas) {
    return absl::UnavailableError(absl::StrCat(name, " has ", count, " of ", state.replicas,
                                               " pods yet, and one that is still to come would be given up instead of ",
                                               named.name));
  }
  for (const Pod& pod : pods) {
    if (pod.leaving || pod.failed || pod.name == named.name || RankOf(pod) >= RankOf(named)) continue;
    if (state.ledger.IsEnding(pod.name, state.replicas, pods)) continue;
    return absl::UnavailableError(
        absl::StrCat(pod.name, " ", LackOf(pod), ", and Kubernetes removes such a pod first: ", named.name,
                     " stays until it is, or is gone; `kubectl describe pod ", pod.name, "` says what it lacks"));
  }
  return absl::OkStatus();
}

// As the eviction API: what does not run is no loss, and what runs and is not ready is one only where too few others
// are. https://kubernetes.io/docs/tasks/run-application/configure-pdb/#unhealthy-pod-eviction-policy
bool Allows(const Json& budget, const Pod& pod) {
  if (Number(budget, {"status", "disruptionsAllowed"}) > 0) return true;
  if (pod.leaving || pod.failed || pod.phase == Phase::kPending) return true;
  if (pod.ready) return false;
  const std::string policy = Text(budget, {"spec", "unhealthyPodEvictionPolicy"});
  if (policy == "AlwaysAllow") return true;
  const int64_t healthy = Number(budget, {"status", "currentHealthy"});
  const int64_t desired = Number(budget, {"status", "desiredHealthy"});
  return (policy.empty() || policy == "IfHealthyBudget") && desired > 0 && healthy >= desired;
}

absl::Status CheckTime(const Deadline& deadline) {
  if (!deadline.is_over()) return absl::OkStatus();
  return absl::DeadlineExceededError("other changes of the workload have taken all of its time");
}

// Whether a write that failed so may have been done, or is made again.
bool MayBeDone(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) || absl::IsAborted(status);
}

absl::Status Overtaken(int64_t theirs, int64_t ours) {
  return absl::FailedPreconditionError(
      absl::StrCat("a controller of term ", theirs, " acts on it; this one has term ", ours));
}

}  // namespace

absl::StatusOr<std::unique_ptr<KubernetesProvider>> KubernetesProvider::Open(KubernetesProviderOptions options) {
  constexpr absl::Duration kPatience = absl::Seconds(10);
  const std::string name_space = options.name_space.empty() ? options.access.name_space : options.name_space;
  std::function<void(absl::Duration)> wait = options.api.wait;
  if (wait == nullptr) wait = [](absl::Duration time) { std::this_thread::sleep_for(absl::ToChronoNanoseconds(time)); };
  HR_ASSIGN_OR_RETURN(std::unique_ptr<Api> api, Api::Connect(std::move(options.access), std::move(options.api)));
  HR_ASSIGN_OR_RETURN(Workload workload, Workload::Find(*api, name_space, options.workload, kPatience));
  HR_ASSIGN_OR_RETURN(const WorkloadState state, workload.Read(Deadline(kPatience)));
  if (state.selector.empty())
    return absl::FailedPreconditionError(
        absl::StrCat(options.workload, " does not say which pods are its own (status.selector of its scale)"));
  return std::unique_ptr<KubernetesProvider>(new KubernetesProvider({.api = std::move(api),
                                                                     .name_space = name_space,
                                                                     .workload = std::move(workload),
                                                                     .selector = state.selector,
                                                                     .wait = std::move(wait),
                                                                     .say = std::move(options.say),
                                                                     .still_leads = std::move(options.still_leads)}));
}

KubernetesProvider::KubernetesProvider(Parts parts)
    : api_(std::move(parts.api)),
      name_space_(std::move(parts.name_space)),
      workload_(std::move(parts.workload)),
      selector_(std::move(parts.selector)),
      wait_(std::move(parts.wait)),
      say_(std::move(parts.say)),
      still_leads_(std::move(parts.still_leads)),
      zones_(*api_),
      pods_(*api_, {.name_space = name_space_, .selector = selector_, .say = say_}) {}

// Again while somebody else writes in between: what they wrote is looked at first, by whoever leads still. Kubernetes'
// own controllers write a workload's status with each pod that comes and each that becomes ready, so there are pauses,
// which double.
template <class Result, class Attempt>
Result KubernetesProvider::Insist(const Attempt& attempt, const Deadline& deadline) const {
  constexpr absl::Duration kPause = absl::Milliseconds(20), kPauseMax = absl::Milliseconds(500);
  if (const absl::Status time = CheckTime(deadline); !time.ok()) return time;
  Result result = attempt();
  absl::Duration pause = kPause;
  for (int tries = 1; tries < kTries && result.status().code() == absl::StatusCode::kAborted; ++tries) {
    if (deadline.left() <= pause) break;
    wait_(pause);
    pause = std::min(2 * pause, kPauseMax);
    if (still_leads_ && !still_leads_()) return absl::FailedPreconditionError("another controller leads");
    result = attempt();
  }
  if (result.status().code() != absl::StatusCode::kAborted) return result;
  return absl::UnavailableError(absl::StrCat("somebody else keeps writing to it: ", result.status().message()));
}

ProviderCapabilities KubernetesProvider::capabilities() const {
  return {.named_termination = workload_.leaving() == Leaving::kCheapest, .zones = false, .fenced = true};
}

absl::StatusOr<int64_t> KubernetesProvider::Fence(int64_t term, absl::Duration timeout) {
  const Deadline deadline(timeout);
  const MonitorLock lock(writing_);
  return Insist<absl::StatusOr<int64_t>>(
      [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(writing_) { return TryFence(term, deadline); }, deadline);
}

absl::StatusOr<int64_t> KubernetesProvider::TryFence(int64_t term, const Deadline& deadline) {
  HR_ASSIGN_OR_RETURN(WorkloadState state, workload_.Read(deadline));
  if (state.term > kTermSeenMax) {
    return absl::FailedPreconditionError(absl::StrCat(workload_.name(), " says that a controller of term ", state.term,
                                                      " acts on it, and none comes to that; `kubectl -n ", name_space_,
                                                      " annotate ", workload_.reference(),
                                                      " headroom.dev/term-` takes the word away"));
  }
  if (state.term > term) return state.term;
  state.term = term_ = term;
  HR_RETURN_IF_ERROR(workload_.Remember(state, deadline.left()));
  return term;
}

absl::StatusOr<std::vector<Machine>> KubernetesProvider::List(absl::Duration timeout) {
  const Deadline deadline(timeout);
  int64_t writes_before = 0;
  {
    const MonitorLock lock(seen_mutex_);
    writes_before = writes_;
  }
  HR_ASSIGN_OR_RETURN(const WorkloadState state, workload_.Read(deadline));
  Compare(state, writes_before);
  HR_ASSIGN_OR_RETURN(const std::vector<Pod> pods, pods_.Pods(deadline.left()));
  const std::map<std::string, ActionId> launches = state.ledger.Match(pods);
  std::vector<Machine> machines;
  std::map<std::string, std::string> zones = zones_.Of(MachinesOf(pods), deadline);
  for (const Pod& pod : WithoutSurge(pods, state.replicas)) {
    if (pod.failed) continue;
    const auto launch = launches.find(pod.name);
    machines.push_back({pod.name, StateOf(pod), zones[pod.node], launch == launches.end() ? "" : launch->second});
  }
  const std::map<int, ActionId> awaited = state.ledger.Awaited(state.replicas, pods);
  if (workload_.leaving() == Leaving::kHighestOrdinal)
    return WithThoseToCome(std::move(machines), workload_.name(), state, awaited);
  for (const auto& [count, id] : awaited) machines.push_back({.state = Machine::State::kStarting, .launch_id = id});
  return machines;
}

// What was read while a write of our own was under way may be from before or after it, and says nothing.
void KubernetesProvider::Compare(const WorkloadState& state, int64_t writes_before) {
  std::optional<int> before;
  {
    const MonitorLock lock(seen_mutex_);
    if (writes_ != writes_before || writes_ % 2 != 0) return;
    before = std::exchange(seen_replicas_, state.replicas);
  }
  if (!before.has_value() || *before == state.replicas || say_ == nullptr) return;
  say_(absl::StrCat("somebody else (", state.set_by.empty() ? "not known who" : state.set_by, ") has set ",
                    workload_.name(), " from ", *before, " to ", state.replicas,
                    " replicas; they are taken for the cluster's, and scaled on from there"));
}

absl::Status KubernetesProvider::Write(WorkloadState& state, int replicas, const Deadline& deadline) {
  {
    const MonitorLock lock(seen_mutex_);
    ++writes_;
  }
  absl::Status written = workload_.Remember(state, deadline.left());
  if (written.ok()) written = workload_.Scale(state, replicas, deadline.left());
  const MonitorLock lock(seen_mutex_);
  ++writes_;
  seen_replicas_.reset();  // the next list says; where the answer was lost nobody else does
  return written;
}

absl::StatusOr<NodeId> KubernetesProvider::Launch(const LaunchRequest& request, absl::Duration timeout) {
  if (request.id.empty()) return absl::InvalidArgumentError("a launch needs the id of its action");
  const Deadline deadline(timeout);
  const MonitorLock lock(writing_);
  return Insist<absl::StatusOr<NodeId>>(
      [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(writing_) { return TryLaunch(request, deadline); }, deadline);
}

absl::StatusOr<NodeId> KubernetesProvider::TryLaunch(const LaunchRequest& request, const Deadline& deadline) {
  HR_ASSIGN_OR_RETURN(WorkloadState state, workload_.Read(deadline));
  if (state.term > request.term) return Overtaken(state.term, request.term);
  HR_ASSIGN_OR_RETURN(const std::vector<Pod> pods, pods_.Pods(deadline.left()));
  const Ledger::Target target = state.ledger.Begin(request.id, state.replicas, pods);
  const bool ordinal = workload_.leaving() == Leaving::kHighestOrdinal;
  const NodeId node = ordinal ? absl::StrCat(workload_.name(), "-", state.first_ordinal + target.replicas - 1) : "";
  if (target.is_done) return node;
  HR_RETURN_IF_ERROR(CheckRivals(deadline));
  state.term = term_ = request.term;
  HR_RETURN_IF_ERROR(Write(state, target.replicas, deadline));
  return node;
}

absl::Status KubernetesProvider::Terminate(const NodeId& node, absl::Duration timeout) {
  const Deadline deadline(timeout);
  {
    const MonitorLock lock(writing_);
    const auto attempt = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(writing_) -> absl::StatusOr<bool> {
      HR_RETURN_IF_ERROR(TryTerminate(node, deadline));
      return true;
    };
    HR_RETURN_IF_ERROR(Insist<absl::StatusOr<bool>>(attempt, deadline).status());
    if (workload_.leaving() == Leaving::kHighestOrdinal) return absl::OkStatus();
    if (const auto seen = AwaitLeaving(node, Deadline(std::min(kActs, deadline.left()))); seen.has_value())
      return *seen;
  }
  return AwaitLeaving(node, deadline).value_or(absl::OkStatus());
}

absl::Status KubernetesProvider::TryTerminate(const NodeId& node, const Deadline& deadline) {
  HR_ASSIGN_OR_RETURN(const std::vector<Pod> pods, PodsWith(node, deadline));
  const bool by_ordinal = workload_.leaving() == Leaving::kHighestOrdinal;
  const Pod* pod = FindPod(pods, node);
  if (!by_ordinal && HasLeft(pod)) return absl::OkStatus();
  HR_ASSIGN_OR_RETURN(WorkloadState state, workload_.Read(deadline));
  if (state.term > term_) return Overtaken(state.term, term_);
  const int ordinal = OrdinalOf(node, workload_.name()), last = state.first_ordinal + state.replicas - 1;
  if (by_ordinal && ordinal > last) return absl::OkStatus();  // it is on its way
  const bool comes_again = ordinal >= state.first_ordinal;    // as long as its ordinal is asked for
  if (by_ordinal && HasLeft(pod) && !comes_again) return absl::OkStatus();
  if (by_ordinal && (!comes_again || ordinal < last))
    return absl::FailedPreconditionError(
        absl::StrCat("a StatefulSet removes its last pod first, ", workload_.name(), "-", last, ", not ", node));
  HR_RETURN_IF_ERROR(CheckRivals(deadline));
  if (pod != nullptr) HR_RETURN_IF_ERROR(CheckBudgets(*pod, deadline));
  if (state.one_by_one) HR_RETURN_IF_ERROR(CheckOrder(pods, workload_.name(), state));
  const Ledger::Target target = state.ledger.End(node, state.replicas, pods);
  if (target.is_done) return absl::OkStatus();
  return by_ordinal ? Write(state, target.replicas, deadline) : RemoveCheapest(*pod, state, pods, deadline);
}

// What the watch has shown, and this one: a pod that was made a moment ago may not have come by the watch yet, and is
// not gone for that. Of the workload's alone, as the watch: for any other one of these would leave.
absl::StatusOr<std::vector<Pod>> KubernetesProvider::PodsWith(const NodeId& node, const Deadline& deadline) {
  HR_ASSIGN_OR_RETURN(std::vector<Pod> pods, pods_.Pods(deadline.left()));
  if (FindPod(pods, node) != nullptr) return pods;
  HR_ASSIGN_OR_RETURN(
      const Listing listing,
      ListAll(*api_, {.path = absl::StrCat("/api/v1/namespaces/", name_space_, "/pods"),
                      .selection = absl::StrCat("labelSelector=", PercentEncoded(selector_),
                                                "&fieldSelector=", PercentEncoded("metadata.name=" + node)),
                      .deadline = deadline}));
  for (const Json& object : listing.objects) {
    if (Text(object, {"metadata", "name"}) == node) pods.push_back(PodOf(object));
  }
  return pods;
}

absl::Status KubernetesProvider::RemoveCheapest(const Pod& pod, WorkloadState& state, const std::vector<Pod>& pods,
                                                const Deadline& deadline) {
  HR_RETURN_IF_ERROR(CheckRanks(pod, pods, workload_.name(), state));
  const absl::Status marked = MarkOnly(pod.name, state, pods, deadline);
  if (absl::IsNotFound(marked)) return absl::OkStatus();  // it has left, and the watch is late
  HR_RETURN_IF_ERROR(marked);
  const absl::Status written = Write(state, state.replicas - 1, deadline);
  // Where it may have been done the mark is needed; the next removal takes it back.
  const bool is_refused = !written.ok() && !MayBeDone(written);
  if (is_refused && Mark(pod.name, pod.deletion_cost, deadline).ok()) marked_.erase(pod.name);
  return written;
}

// A mark that an earlier removal left, which failed, would let that pod go instead: by now it may serve. The watch may
// not have shown it yet.
absl::Status KubernetesProvider::MarkOnly(const NodeId& node, const WorkloadState& state, const std::vector<Pod>& pods,
                                          const Deadline& deadline) {
  std::erase_if(marked_, [&](const NodeId& marked) { return FindPod(pods, marked) == nullptr; });
  for (const Pod& pod : pods) {
    const bool is_marked = pod.deletion_cost == kGoesFirst || marked_.contains(pod.name);
    if (pod.name == node || pod.leaving || !is_marked) continue;
    if (state.ledger.IsEnding(pod.name, state.replicas, pods)) continue;
    const absl::Status reset = Mark(pod.name, 0, deadline);
    if (!absl::IsNotFound(reset)) HR_RETURN_IF_ERROR(reset);
    marked_.erase(pod.name);
  }
  marked_.insert(node);  // before the answer, which may be lost
  return Mark(node, kGoesFirst, deadline);
}

absl::Status KubernetesProvider::Mark(const NodeId& node, int64_t cost, const Deadline& deadline) {
  return api_
      ->Call({.method = "PATCH",
              .path = absl::StrCat("/api/v1/namespaces/", name_space_, "/pods/", node, "?fieldManager=headroom"),
              .content_type = "application/merge-patch+json",
              .body = {{"metadata", {{"annotations", {{kCost, absl::StrCat(cost)}}}}}},
              .timeout = deadline.left()})
      .status();
}

// Deletion costs are best effort: who has left is looked at, not believed. Nothing: it is not seen yet. Where no more
// pods stay than are wanted nobody leaves any more: another one has left, or somebody has asked for one more.
std::optional<absl::Status> KubernetesProvider::AwaitLeaving(const NodeId& node, const Deadline& deadline) {
  for (absl::Duration pause = kLook;; pause = std::min(2 * pause, kLookMax)) {
    const absl::StatusOr<std::vector<Pod>> pods = PodsWith(node, deadline);
    if (pods.ok() && HasLeft(FindPod(*pods, node))) return absl::OkStatus();
    const absl::StatusOr<WorkloadState> state = workload_.Read(deadline);
    if (pods.ok() && state.ok() && StayingCount(*pods) <= state->replicas) {
      return absl::UnavailableError(absl::StrCat("there was one replica fewer, but ", node,
                                                 " has not left: another pod has, ",
                                                 "or somebody has asked for one more since"));
    }
    if (deadline.left() <= pause) return std::nullopt;
    std::this_thread::sleep_for(absl::ToChronoNanoseconds(pause));
  }
}

absl::Status KubernetesProvider::CheckRivals(const Deadline& deadline) const {
  const std::string path = absl::StrCat("/apis/autoscaling/v2/namespaces/", name_space_, "/horizontalpodautoscalers");
  HR_ASSIGN_OR_RETURN(const Listing listing, ListAll(*api_, {.path = path, .deadline = deadline}));
  for (const Json& rival : listing.objects) {
    if (Text(rival, {"spec", "scaleTargetRef", "name"}) != workload_.name()) continue;
    if (Text(rival, {"spec", "scaleTargetRef", "kind"}) != workload_.kind()) continue;
    return absl::FailedPreconditionError(absl::StrCat("HorizontalPodAutoscaler ", Text(rival, {"metadata", "name"}),
                                                      " scales ", workload_.name(),
                                                      ", too; delete it, or leave the workload to it"));
  }
  return absl::OkStatus();
}

absl::Status KubernetesProvider::CheckBudgets(const Pod& pod, const Deadline& deadline) const {
  const std::string path = absl::StrCat("/apis/policy/v1/namespaces/", name_space_, "/poddisruptionbudgets");
  HR_ASSIGN_OR_RETURN(const Listing listing, ListAll(*api_, {.path = path, .deadline = deadline}));
  for (const Json& budget : listing.objects) {
    if (!Selects(Part(budget, {"spec", "selector"}), pod.labels)) continue;
    if (Allows(budget, pod)) continue;
    return absl::UnavailableError(absl::StrCat("PodDisruptionBudget ", Text(budget, {"metadata", "name"}),
                                               " allows no pod to leave now",
                                               pod.ready ? ""
                                                         : "; one that is drained may whoever else is not ready, too, "
                                                           "with unhealthyPodEvictionPolicy: AlwaysAllow"));
  }
  return absl::OkStatus();
}

}  // namespace headroom::kubernetes
