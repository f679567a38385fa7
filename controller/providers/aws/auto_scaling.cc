#include "controller/providers/aws/auto_scaling.h"

#include <algorithm>
#include <iterator>
#include <thread>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "controller/base/status.h"
#include "controller/providers/aws/endpoint.h"

namespace headroom::aws {
namespace {

constexpr char kService[] = "autoscaling";
constexpr absl::Duration kPatience = absl::Seconds(20);
constexpr absl::Duration kLook = absl::Seconds(2);
constexpr absl::Duration kFailureHolds = absl::Minutes(10);  // AWS tries again sooner, and says so anew

absl::Status Overtaken(int64_t theirs, int64_t ours) {
  return absl::FailedPreconditionError(
      absl::StrCat("a controller of term ", theirs, " acts on the group; this one has term ", ours));
}

}  // namespace

absl::StatusOr<std::unique_ptr<AutoScalingProvider>> AutoScalingProvider::Open(AutoScalingOptions options,
                                                                               const Clock& clock) {
  if (options.wait == nullptr)
    options.wait = [](absl::Duration time) { std::this_thread::sleep_for(absl::ToChronoNanoseconds(time)); };
  if (options.say == nullptr) options.say = [](absl::string_view) {};
  HR_ASSIGN_OR_RETURN(
      std::unique_ptr<QueryApi> api,
      QueryApi::Connect({.endpoint = options.endpoint.empty() ? EndpointOf(kService, options.region) : options.endpoint,
                         .region = options.region,
                         .service = kService,
                         .version = "2011-01-01",
                         .wait = options.wait,
                         .seed = options.seed},
                        std::make_unique<CredentialChain>(options.credentials, clock), clock));
  auto provider =
      std::unique_ptr<AutoScalingProvider>(new AutoScalingProvider(std::move(options), std::move(api), clock));
  HR_RETURN_IF_ERROR(provider->CheckGroup());
  return provider;
}

AutoScalingProvider::AutoScalingProvider(AutoScalingOptions options, std::unique_ptr<QueryApi> api, const Clock& clock)
    : options_(std::move(options)), api_(std::move(api)), group_(*api_, options_.group), clock_(clock) {}

absl::Status AutoScalingProvider::CheckGroup() {
  HR_ASSIGN_OR_RETURN(const Group group, group_.Read(kPatience));
  if (!group.status.empty())
    return absl::FailedPreconditionError(
        absl::StrCat("the Auto Scaling group ", group_.name(), " says \"", group.status, "\": name another one"));
  if (group.zones.size() > 1 && !group.suspended.contains("AZRebalance"))
    options_.say(absl::StrCat("AWS may end undrained instances of ", group_.name(),
                              " to even out its zones; forbid it: aws autoscaling suspend-processes "
                              "--auto-scaling-group-name ",
                              group_.name(), " --scaling-processes AZRebalance"));
  return absl::OkStatus();
}

absl::StatusOr<AutoScalingProvider::View> AutoScalingProvider::Look(absl::Duration timeout) {
  HR_ASSIGN_OR_RETURN(Group group, group_.Read(timeout));
  LaunchLedger told = LaunchLedger::FromTags(group.tags);
  const MonitorLock lock(ledger_mutex_);
  if (told.IsNewerThan(newest_)) newest_ = std::move(told);
  newest_.Settle(group.Ids());
  return View{std::move(group), newest_};
}

// From here on it is what this process goes by, whether AWS has heard it or not: who repeats the change writes it
// again.
absl::Status AutoScalingProvider::Note(LaunchLedger& ledger, absl::Duration timeout) {
  HR_ASSIGN_OR_RETURN(const LaunchLedger::Tags tags, ledger.ToTags());
  {
    const MonitorLock lock(ledger_mutex_);
    newest_ = ledger;
  }
  return group_.SetTags(tags, timeout);
}

absl::StatusOr<int64_t> AutoScalingProvider::Fence(int64_t term, absl::Duration timeout) {
  const Deadline deadline(timeout);
  const MonitorLock lock(changing_);
  HR_ASSIGN_OR_RETURN(View view, Look(deadline.left()));
  if (view.ledger.term > term) return view.ledger.term;
  term_ = term;
  if (view.ledger.term == term) return term;
  view.ledger.term = term;
  HR_RETURN_IF_ERROR(Note(view.ledger, deadline.left()));
  return term;
}

absl::StatusOr<std::vector<Machine>> AutoScalingProvider::List(absl::Duration timeout) {
  const Deadline deadline(timeout);
  HR_ASSIGN_OR_RETURN(const View view, Look(deadline.left()));
  if (const absl::Status told = LetGo(view.group, deadline); !told.ok())
    options_.say(absl::StrCat("instances that were drained wait at a lifecycle hook: ", told.message()));
  std::map<std::string, ActionId> launches = view.ledger.Match(view.group.Ids());
  std::vector<Machine> machines;
  for (const Instance& instance : view.group.instances) {
    if (instance.is_gone()) continue;
    machines.push_back({.node = instance.id,
                        .state = instance.machine_state(),
                        .zone = instance.zone,
                        .launch_id = launches[instance.id]});
  }
  for (const ActionId& id : view.ledger.Awaited(view.group.capacity, view.group.Ids()))
    machines.push_back({.state = Machine::State::kStarting, .launch_id = id});
  return machines;
}

absl::StatusOr<NodeId> AutoScalingProvider::Launch(const LaunchRequest& request, absl::Duration timeout) {
  if (request.id.empty()) return absl::InvalidArgumentError("a launch needs the id of its action");
  const Deadline deadline(timeout);
  const absl::Time began = clock_.Now();
  {
    const MonitorLock lock(changing_);
    HR_RETURN_IF_ERROR(Raise(request, deadline));
  }
  return AwaitInstance(request, began, deadline);
}

absl::Status AutoScalingProvider::Raise(const LaunchRequest& request, const Deadline& deadline) {
  HR_ASSIGN_OR_RETURN(View view, Look(deadline.left()));
  if (view.ledger.term > request.term) return Overtaken(view.ledger.term, request.term);
  const LaunchLedger::Target target = view.ledger.Begin(request.id, view.group.capacity, view.group.Ids());
  if (target.is_done && target.is_noted) return absl::OkStatus();
  if (target.capacity > view.group.size_max)
    return absl::ResourceExhaustedError(
        absl::StrCat("the group ", group_.name(), " is at its MaxSize ", view.group.size_max,
                     "; raise it (aws autoscaling update-auto-scaling-group --auto-scaling-group-name ", group_.name(),
                     " --max-size N), or lower nodes.max"));
  HR_RETURN_IF_ERROR(CheckStock(view.group, deadline));
  view.ledger.term = term_ = request.term;
  HR_RETURN_IF_ERROR(Note(view.ledger, deadline.left()));
  if (target.is_done) return absl::OkStatus();
  return group_.SetCapacity(target.capacity, deadline.left());
}

absl::Status AutoScalingProvider::CheckStock(const Group& group, const Deadline& deadline) {
  if (group.StayingCount() >= group.capacity) return absl::OkStatus();
  HR_ASSIGN_OR_RETURN(const std::string failure, group_.LastFailure(clock_.Now() - kFailureHolds, deadline.left()));
  if (failure.empty()) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat("AWS cannot fill the group ", group_.name(), ": ", failure));
}

// What was raised stays raised whatever is seen here: an instance that is late is listed with its launch.
absl::StatusOr<NodeId> AutoScalingProvider::AwaitInstance(const LaunchRequest& request, absl::Time since,
                                                          const Deadline& deadline) {
  for (absl::Duration waited;; waited += kLook) {
    const absl::StatusOr<View> view = Look(deadline.left());
    if (!view.ok()) return "";
    for (const auto& [instance, id] : view->ledger.Match(view->group.Ids())) {
      if (id == request.id) return instance;
    }
    const std::vector<ActionId> awaited = view->ledger.Awaited(view->group.capacity, view->group.Ids());
    if (std::find(awaited.begin(), awaited.end(), request.id) == awaited.end()) return "";
    const std::string failure = group_.LastFailure(since, deadline.left()).value_or("");
    if (!failure.empty()) {
      GiveUp(request.id, deadline).IgnoreError();  // then its room is told apart later: it is filled or has failed
      return absl::ResourceExhaustedError(absl::StrCat("AWS cannot fill the group ", group_.name(), ": ", failure));
    }
    if (waited >= options_.launch_watch || deadline.left() < 2 * kLook) return "";
    options_.wait(kLook);
  }
}

absl::Status AutoScalingProvider::GiveUp(const ActionId& id, const Deadline& deadline) {
  const MonitorLock lock(changing_);
  HR_ASSIGN_OR_RETURN(View view, Look(deadline.left()));
  view.ledger.GiveUp(id);
  return Note(view.ledger, deadline.left());
}

absl::Status AutoScalingProvider::Terminate(const NodeId& node, absl::Duration timeout) {
  const Deadline deadline(timeout);
  {
    const MonitorLock lock(changing_);
    HR_ASSIGN_OR_RETURN(View view, Look(deadline.left()));
    const Instance* const instance = view.group.Find(node);
    if (instance == nullptr || instance->is_gone()) return absl::OkStatus();
    if (!instance->is_leaving()) HR_RETURN_IF_ERROR(Remove(node, view, deadline));
  }
  {
    const MonitorLock lock(ending_mutex_);
    ending_.insert(node);
  }
  // Whatever holds it, it has left: to say otherwise would have a dying instance taken back.
  if (const absl::Status told = AwaitEnd(node, deadline); !told.ok())
    options_.say(absl::StrCat(node, " leaves, and a lifecycle hook may hold it for now: ", told.message()));
  return absl::OkStatus();
}

absl::Status AutoScalingProvider::Remove(const NodeId& node, View& view, const Deadline& deadline) {
  if (view.ledger.term > term_) return Overtaken(view.ledger.term, term_);
  if (view.group.capacity <= view.group.size_min)
    return absl::FailedPreconditionError(
        absl::StrCat("the group ", group_.name(), " is at its MinSize ", view.group.size_min,
                     "; lower it (aws autoscaling update-auto-scaling-group --auto-scaling-group-name ", group_.name(),
                     " --min-size N), or raise nodes.min"));
  if (view.ledger.Lower(view.group.capacity, view.group.Ids())) HR_RETURN_IF_ERROR(Note(view.ledger, deadline.left()));
  const absl::Status told = group_.Terminate(node, deadline.left());
  // It went by itself meanwhile.
  if (absl::IsInvalidArgument(told) && absl::StrContains(told.message(), "not found")) return absl::OkStatus();
  return told;
}

absl::Status AutoScalingProvider::LetGo(const Group& group, const Deadline& deadline) {
  std::vector<NodeId> waiting;
  {
    const MonitorLock lock(ending_mutex_);
    std::erase_if(ending_, [&group](const NodeId& node) {
      const Instance* const instance = group.Find(node);
      return instance == nullptr || instance->is_gone();
    });
    std::copy_if(ending_.begin(), ending_.end(), std::back_inserter(waiting),
                 [&group](const NodeId& node) { return group.Find(node)->waits_to_go(); });
  }
  if (waiting.empty()) return absl::OkStatus();
  HR_ASSIGN_OR_RETURN(const std::vector<std::string> hooks, group_.HooksOfTheEnd(deadline.left()));
  absl::Status first;  // that failed; it keeps no other
  for (const NodeId& node : waiting) {
    for (const std::string& hook : hooks) first.Update(group_.Release(hook, node, deadline.left()));
  }
  return first;
}

absl::Status AutoScalingProvider::AwaitEnd(const NodeId& node, const Deadline& deadline) {
  HR_ASSIGN_OR_RETURN(const std::vector<std::string> hooks, group_.HooksOfTheEnd(deadline.left()));
  while (!hooks.empty()) {
    HR_ASSIGN_OR_RETURN(const Group group, group_.Read(deadline.left()));
    const Instance* const instance = group.Find(node);
    if (instance == nullptr || instance->is_gone()) break;
    HR_RETURN_IF_ERROR(LetGo(group, deadline));
    if (absl::StartsWith(instance->state, "Terminating:") || deadline.left() <= kLook) break;
    options_.wait(kLook);
  }
  return absl::OkStatus();
}

}  // namespace headroom::aws
