#include "controller/server/operator/operator.h"

#include <algorithm>
#include <set>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"

#include "controller/base/status.h"
#include "controller/runtime/storage_cluster.h"
#include "controller/server/log.h"
#include "controller/server/operator/cluster_status.h"

namespace headroom {
namespace {

using kubernetes::Json;
using kubernetes::Text;

constexpr char kGroup[] = "/apis/headroom.dev/v1alpha1";
constexpr absl::Duration kWriteTimeout = absl::Seconds(5);
constexpr absl::Duration kEndingPause = absl::Milliseconds(100);
constexpr int kWritesMax = 4;  // of statuses, in one look
constexpr absl::Duration kStuckAfter = absl::Minutes(2);

absl::Duration SteadyTime() {
  return absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
}

void SayOperator(absl::string_view text) {
  LogLine(LogLevel::kWarning, "operator").Add("text", text);
}

ObjectKey KeyOf(const Json& object) {
  return {Text(object, {"metadata", "namespace"}), Text(object, {"metadata", "name"})};
}

Operator::Names NamesOf(const std::vector<std::string>& namespaces) {
  const bool one = namespaces.size() == 1 && namespaces.front() != "*";
  return one ? Operator::Names::kPlain : Operator::Names::kOfNamespaces;
}

EventTarget TargetOf(const ObjectKey& key, const Json& object) {
  return {key.name_space, key.name, Text(object, {"metadata", "uid"})};
}

// What an author wrote of it, as a policy file. Where clusters of several namespaces are kept, the namespace stands
// before the name: nobody can take a name that is another namespace's, and the state that is kept under it.
std::string PolicyText(const ObjectKey& key, const Json& object, Operator::Names names) {
  Json policy = {{"apiVersion", std::string(kStorageCluster.api_version)},
                 {"kind", std::string(kStorageCluster.kind)},
                 {"metadata", {{"name", key.name}, {"namespace", key.name_space}}},
                 {"spec", kubernetes::Part(object, {"spec"})}};
  if (names == Operator::Names::kOfNamespaces && policy["spec"].is_object()) {
    const std::string own = Text(object, {"spec", "cluster"});
    policy["spec"]["cluster"] = absl::StrCat(key.name_space, ".", own.empty() ? key.name : own);
  }
  return policy.dump(2);
}

// Lines of a text that nobody sees say nothing.
absl::Status WithoutPlaces(const absl::Status& status, absl::string_view name) {
  std::vector<std::string> faults;
  for (absl::string_view fault : absl::StrSplit(status.message(), '\n', absl::SkipEmpty())) {
    if (absl::ConsumePrefix(&fault, name) && absl::ConsumePrefix(&fault, ":")) {
      const size_t digits = fault.find_first_not_of("0123456789");
      if (digits != absl::string_view::npos && digits > 0) fault.remove_prefix(digits);
      absl::ConsumePrefix(&fault, ":");
      absl::ConsumePrefix(&fault, " ");
    }
    faults.emplace_back(fault);
  }
  return {status.code(), absl::StrJoin(faults, "; ")};
}

// Whoever may write an object may not reach with the controller's rights what they cannot reach themselves.
absl::Status CheckReach(const ObjectKey& key, const v1::Provider& provider, const Operator::Options& options) {
  if (provider.has_local()) {
    return absl::InvalidArgumentError(
        "provider.local: starts processes on the controller's own machine, which a StorageCluster may not; run such a "
        "policy with headroomd --config");
  }
  if ((provider.has_aws() || provider.has_external()) && options.reach != Operator::Reach::kBeyondTheCluster) {
    return absl::InvalidArgumentError(absl::StrCat(
        "provider.", provider.has_aws() ? "aws" : "external",
        ": would act with the controller's own rights outside Kubernetes, whoever writes the object; start "
        "headroomd with --allow-foreign-providers where all who may write StorageClusters may do that"));
  }
  if (!provider.has_kubernetes()) return absl::OkStatus();
  if (provider.kubernetes().namespace_() != key.name_space) {
    return absl::InvalidArgumentError(absl::StrCat(
        "provider.kubernetes.namespace: ", provider.kubernetes().namespace_(), " is not the object's own, ",
        key.name_space, "; leave it out, or create the StorageCluster there"));
  }
  if (!provider.kubernetes().kubeconfig().empty() || !provider.kubernetes().context().empty()) {
    return absl::InvalidArgumentError(
        "provider.kubernetes.kubeconfig and context: are files of the controller's machine, which a StorageCluster may "
        "not name; leave them out");
  }
  return absl::OkStatus();
}

absl::StatusOr<Config> Read(const ObjectKey& key, const std::string& yaml, const Operator::Options& options) {
  absl::StatusOr<Config> config = ParseConfig(yaml, key.Text());
  if (!config.ok()) return WithoutPlaces(config.status(), key.Text());
  HR_RETURN_IF_ERROR(CheckReach(key, config->message.provider(), options));
  return config;
}

}  // namespace

// The decisions of one run of a cluster: the last one that moved nodes is kept, all are told as Events.
class Operator::Followed final : public DecisionListener {
 public:
  explicit Followed(std::shared_ptr<DecisionListener> events) : events_(std::move(events)) {}
  void Offer(const Published& published) override {
    events_->Offer(published);
    if (!MovesNodes(*published.decision)) return;
    const MonitorLock lock(mutex_);
    last_scaling_ = published.decision;
  }
  std::shared_ptr<const Decision> last_scaling() const {
    const MonitorLock lock(mutex_);
    return last_scaling_;
  }

 private:
  const std::shared_ptr<DecisionListener> events_;
  mutable Monitor mutex_;
  std::shared_ptr<const Decision> last_scaling_ ABSL_GUARDED_BY(mutex_);
};

struct Operator::Managed {
  Json object;  // as it was last taken up
  std::string yaml;
  std::shared_ptr<Cluster> cluster;  // null: it is not run
  std::shared_ptr<Followed> followed;
  absl::Status spec, running;
  absl::Duration retry_at = absl::InfiniteDuration(), retry_pause;  // by the monotonic clock
  absl::Duration written_at = -absl::InfiniteDuration();
  bool is_overtaken = false;  // somebody else wrote the object before its status was
};

// The objects of one namespace, or of all.
class Operator::Watched final : public kubernetes::Reflector::Sink {
 public:
  Watched(Operator& owner, const std::string& name_space)
      : owner_(owner), reflector_(owner.api_, OptionsFor(name_space), *this) {}

  void Replace(std::vector<Json> objects) override {
    std::set<ObjectKey> gone = std::exchange(known_, {});
    for (Json& object : objects) {
      gone.erase(KeyOf(object));
      Put(std::move(object));
    }
    for (const ObjectKey& key : gone) owner_.Change(key, std::nullopt);
  }
  void Apply(const kubernetes::WatchEvent& event) override {
    if (event.kind != kubernetes::WatchEvent::Kind::kDeleted) return Put(event.object);
    known_.erase(KeyOf(event.object));
    owner_.Change(KeyOf(event.object), std::nullopt);
  }
  // What is run goes on; the reflector has said why in the log.
  void Lost(const absl::Status&) override {}

 private:
  static kubernetes::Reflector::Options OptionsFor(const std::string& name_space) {
    const std::string within = name_space == "*" ? "" : absl::StrCat("/namespaces/", name_space);
    return {.path = absl::StrCat(kGroup, within, "/storageclusters"),
            .what = name_space == "*" ? "the StorageClusters" : absl::StrCat("the StorageClusters of ", name_space),
            .say = SayOperator};
  }
  void Put(Json object) {
    const ObjectKey key = KeyOf(object);
    known_.insert(key);
    owner_.Change(key, std::move(object));
  }

  Operator& owner_;
  std::set<ObjectKey> known_;
  kubernetes::Reflector reflector_;  // last: it calls
};

Operator::Operator(kubernetes::Api& api, Daemon& daemon, Options options)
    : api_(api),
      daemon_(daemon),
      options_(std::move(options)),
      names_(NamesOf(options_.namespaces)),
      events_(api, {.instance = options_.instance, .say = SayOperator}),
      looked_at_(SteadyTime()) {
  for (const std::string& name_space : options_.namespaces) {
    watched_.push_back(std::make_unique<Watched>(*this, name_space));
  }
  thread_ = std::thread([this] { Run(); });
}

Operator::~Operator() {
  watched_.clear();
  ending_.Cancel();
  {
    const MonitorLock lock(mutex_);
    stopping_ = true;
    mutex_.Notify();
  }
  thread_.join();
}

absl::Status Operator::Health() const {
  const MonitorLock lock(mutex_);
  const absl::Duration age = SteadyTime() - looked_at_;
  if (age <= kStuckAfter) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat("the StorageClusters were last looked at ", absl::FormatDuration(age),
                                             " ago, at most ", absl::FormatDuration(kStuckAfter), " is healthy"));
}

void Operator::Change(const ObjectKey& key, std::optional<Json> object) {
  const MonitorLock lock(mutex_);
  changed_[key] = std::move(object);
  mutex_.Notify();
}

// One object at a time, so that it is seen to work and ends soon, however long one of them takes.
void Operator::Run() {
  absl::Duration next_look;
  while (true) {
    std::optional<std::pair<ObjectKey, std::optional<Json>>> changed;
    {
      const MonitorLock lock(mutex_);
      looked_at_ = SteadyTime();
      if (changed_.empty() && !stopping_) mutex_.Wait(std::min(next_look, NextRetry()) - SteadyTime());
      if (stopping_) return;
      if (!changed_.empty()) {
        auto first = changed_.extract(changed_.begin());
        changed.emplace(first.key(), std::move(first.mapped()));
      }
    }
    if (changed.has_value()) Take(changed->first, std::move(changed->second));
    RetryOpening();
    if (SteadyTime() < next_look) continue;
    WriteStatuses();
    next_look = SteadyTime() + options_.look_interval;
  }
}

void Operator::Take(const ObjectKey& key, std::optional<Json> object) {
  if (!object.has_value()) return Forget(key);
  const auto known = managed_.find(key);
  const std::string uid = Text(*object, {"metadata", "uid"});
  if (known != managed_.end() && Text(known->second->object, {"metadata", "uid"}) != uid) Forget(key);  // another one
  std::unique_ptr<Managed>& managed = managed_[key];
  if (managed == nullptr) managed = std::make_unique<Managed>();
  managed->object = *std::move(object);
  if (std::exchange(managed->is_overtaken, false)) managed->written_at = -absl::InfiniteDuration();
  std::string yaml = PolicyText(key, managed->object, names_);
  if (yaml == managed->yaml) return;  // its status, or a label
  managed->yaml = std::move(yaml);
  managed->retry_pause = options_.retry_min;
  Converge(key, *managed);
}

void Operator::Forget(const ObjectKey& key) {
  const auto found = managed_.find(key);
  if (found == managed_.end()) return;
  StopCluster(key, *found->second, "its StorageCluster was deleted; its nodes keep running");
  managed_.erase(found);
}

// What is run comes to be what the object says, or the object's trouble is known.
void Operator::Converge(const ObjectKey& key, Managed& managed) {
  managed.retry_at = absl::InfiniteDuration();
  absl::StatusOr<Config> config = Read(key, managed.yaml, options_);
  managed.spec = config.status();
  if (!config.ok()) {
    const InForce in_force = managed.cluster != nullptr ? InForce::kPolicyBefore : InForce::kNothing;
    return Tell(key, managed, PolicyRefusedEvent(managed.spec, in_force));
  }
  if (managed.cluster != nullptr) {
    const absl::StatusOr<PolicyKeeper::Change> change = managed.cluster->policy().Apply(managed.yaml, key.Text());
    if (change.ok()) {
      LogLine(LogLevel::kInfo, "policy_changed")
          .Add("object", key.Text())
          .Add("change", absl::StrJoin(change->changes, "; "));
      return Tell(key, managed, PolicyTakenEvent());
    }
    StopCluster(key, managed, "it begins anew with another name, provider or mode");
  }
  if (IsEnding(config->policy.cluster)) {
    managed.retry_at = SteadyTime() + kEndingPause;
    return;
  }
  managed.running = Start(key, managed, *std::move(config));
  if (managed.running.ok()) return;
  managed.retry_at = SteadyTime() + managed.retry_pause;
  managed.retry_pause = std::min(2 * managed.retry_pause, options_.retry_max);
  Tell(key, managed, NotRunEvent(managed.running));
}

// Calls and streams of the last cluster of this name are still ending, and its journal is locked.
bool Operator::IsEnding(const std::string& name) {
  std::erase_if(stopped_, [](const auto& stopped) { return stopped.second.expired(); });
  return stopped_.contains(name);
}

absl::Status Operator::Start(const ObjectKey& key, Managed& managed, Config config) {
  const std::string name = config.policy.cluster;
  const auto holder = std::find_if(managed_.begin(), managed_.end(), [&name](const auto& other) {
    return other.second->cluster != nullptr && other.second->cluster->name() == name;
  });
  if (holder != managed_.end()) {
    return absl::AlreadyExistsError(absl::StrCat("the cluster name ", name, " is taken by StorageCluster ",
                                                 holder->first.Text(), "; give this one another with spec.cluster"));
  }
  HR_ASSIGN_OR_RETURN(Cluster::Parts parts, options_.open(key, std::move(config), managed.yaml));
  const EventTarget target = TargetOf(key, managed.object);
  managed.followed = std::make_shared<Followed>(events_.ListenerOf(target));
  HR_ASSIGN_OR_RETURN(managed.cluster, daemon_.Add(std::move(parts)));
  if (const absl::Status follows = managed.cluster->feed().Subscribe(managed.followed); !follows.ok()) {
    SayOperator(absl::StrCat("Events of ", key.Text(), " are not written: ", follows.message()));
  }
  Tell(key, managed, TakenUpEvent(name));
  return absl::OkStatus();
}

void Operator::StopCluster(const ObjectKey& key, Managed& managed, absl::string_view why) {
  if (managed.cluster == nullptr) return;
  const std::string name = managed.cluster->name();
  stopped_[name] = std::exchange(managed.cluster, nullptr);
  managed.followed.reset();
  daemon_.Remove(name);
  Tell(key, managed, GivenUpEvent(name, why));
}

// In the log and as an Event.
void Operator::Tell(const ObjectKey& key, const Managed& managed, ClusterEvent event) {
  const bool is_warning = event.type == ClusterEvent::Type::kWarning;
  LogLine(is_warning ? LogLevel::kWarning : LogLevel::kInfo, "operator")
      .Add("object", key.Text())
      .Add("reason", event.reason)
      .Add("text", event.note);
  events_.Record(TargetOf(key, managed.object), std::move(event));
}

absl::Duration Operator::NextRetry() const {
  absl::Duration next = absl::InfiniteDuration();
  for (const auto& [key, managed] : managed_) next = std::min(next, managed->retry_at);
  return next;
}

// One: the others are as late at the next turn.
void Operator::RetryOpening() {
  for (const auto& [key, managed] : managed_) {
    if (managed->retry_at > SteadyTime()) continue;
    return Converge(key, *managed);
  }
}

// The longest unwritten first: many that change at once take turns.
void Operator::WriteStatuses() {
  std::vector<std::pair<absl::Duration, const ObjectKey*>> due;
  for (const auto& [key, managed] : managed_) {
    if (SteadyTime() - managed->written_at >= options_.status_interval) due.emplace_back(managed->written_at, &key);
  }
  std::sort(due.begin(), due.end());
  int writes = 0;
  for (const auto& [written_at, key] : due) {
    if (writes == kWritesMax) return;
    if (WriteStatus(*key, *managed_.at(*key))) ++writes;
  }
}

ClusterFacts Operator::FactsOf(const Managed& managed) {
  ClusterFacts facts{.generation = kubernetes::Number(managed.object, {"metadata", "generation"}),
                     .spec = managed.spec,
                     .running = managed.running,
                     .provider = absl::UnknownError("")};
  if (managed.cluster == nullptr) return facts;
  facts.provider = managed.cluster->ProviderHealth();
  facts.decision = managed.cluster->LatestDecision();
  facts.last_scaling = managed.followed->last_scaling();
  if (absl::StatusOr<v1::GetStatusResponse> status = managed.cluster->admin().ReadStatus(); status.ok()) {
    facts.status = *std::move(status);
  }
  return facts;
}

// Whether the API server was asked.
bool Operator::WriteStatus(const ObjectKey& key, Managed& managed) {
  const Json& before = kubernetes::Part(managed.object, {"status"});
  Json status = StatusOf(FactsOf(managed), before, absl::Now());
  if (status == before) return false;
  Json object = managed.object;
  object["status"] = std::move(status);
  managed.written_at = SteadyTime();
  absl::StatusOr<Json> written =
      api_.Call({.method = "PUT",
                 .path = absl::StrCat(kGroup, "/namespaces/", key.name_space, "/storageclusters/", key.name,
                                      "/status?fieldManager=headroom"),
                 .body = std::move(object),
                 .timeout = kWriteTimeout,
                 .cancellation = &ending_});
  if (written.ok()) {
    managed.object = *std::move(written);
  } else if (absl::IsAborted(written.status())) {
    managed.is_overtaken = true;  // the watch brings what they wrote
  } else if (!absl::IsCancelled(written.status())) {
    LogLine(LogLevel::kWarning, "status_not_written")
        .Add("object", key.Text())
        .Add("error", written.status().message());
  }
  return true;
}

}  // namespace headroom
