#include "controller/providers/kubernetes/ledger.h"

#include <algorithm>

#include <nlohmann/json.hpp>

namespace headroom::kubernetes {
namespace {

constexpr char kRemoved = '-';

}  // namespace

int StayingCount(const std::vector<Pod>& pods) {
  return static_cast<int>(
      std::count_if(pods.begin(), pods.end(), [](const Pod& pod) { return !pod.leaving && !pod.failed; }));
}

Ledger Ledger::Parse(absl::string_view text) {
  Ledger ledger;
  const Json json = Json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return ledger;
  for (const Json& launch : Part(json, {"launches"})) {
    ledger.launches_.push_back({kubernetes::Text(launch, {"id"}), static_cast<int>(Number(launch, {"replicas"})),
                                kubernetes::Text(launch, {"pod"})});
  }
  for (const Json& pod : Part(json, {"known"})) {
    if (pod.is_string()) ledger.known_.insert(pod.get<std::string>());
  }
  for (const auto& [pod, replicas] : Part(json, {"removals"}).items()) {
    if (replicas.is_number_integer()) ledger.removals_[pod] = replicas.get<int>();
  }
  return ledger;
}

std::string Ledger::Text() const {
  Json json = {{"launches", Json::array()}, {"known", known_}, {"removals", removals_}};
  for (const Launch& launch : launches_) {
    Json entry = {{"id", launch.id}, {"replicas", launch.replicas}};
    if (!launch.pod.empty()) entry["pod"] = launch.pod;
    json["launches"].push_back(std::move(entry));
  }
  return json.dump();
}

std::map<std::string, ActionId> Ledger::Match(const std::vector<Pod>& pods) const {
  std::map<std::string, ActionId> owners;
  for (const Launch& launch : launches_) {
    if (!launch.pod.empty() && launch.pod[0] != kRemoved) owners[launch.pod] = launch.id;
  }
  std::vector<const Pod*> strangers;
  for (const Pod& pod : pods) {
    if (!pod.leaving && !known_.contains(pod.name) && !owners.contains(pod.name)) strangers.push_back(&pod);
  }
  std::sort(strangers.begin(), strangers.end(), [](const Pod* a, const Pod* b) {
    return std::tie(a->created_at, a->name) < std::tie(b->created_at, b->name);
  });
  auto next = strangers.begin();
  for (const Launch& launch : launches_) {
    if (launch.pod.empty() && next != strangers.end()) owners[(*next++)->name] = launch.id;
  }
  return owners;
}

std::map<int, ActionId> Ledger::Awaited(int replicas, const std::vector<Pod>& pods) const {
  std::set<ActionId> there;
  for (const auto& [pod, id] : Match(pods)) there.insert(id);
  std::map<int, ActionId> awaited;
  for (const Launch& launch : launches_) {
    if (launch.pod.empty() && launch.replicas <= replicas && !there.contains(launch.id))
      awaited[launch.replicas] = launch.id;
  }
  return awaited;
}

bool Ledger::IsWaiting() const {
  return std::any_of(launches_.begin(), launches_.end(), [](const Launch& launch) { return launch.pod.empty(); });
}

// Notes what is seen by now, so that a pod which leaves is not taken for one that has yet to come.
void Ledger::Settle(const std::vector<Pod>& pods) {
  for (const auto& [pod, id] : Match(pods)) {
    const auto launch =
        std::find_if(launches_.begin(), launches_.end(), [&id = id](const Launch& one) { return one.id == id; });
    launch->pod = pod;
  }
  if (!IsWaiting()) known_.clear();
}

Ledger::Target Ledger::Begin(const ActionId& id, int replicas, const std::vector<Pod>& pods) {
  Settle(pods);
  const auto told =
      std::find_if(launches_.begin(), launches_.end(), [&](const Launch& launch) { return launch.id == id; });
  if (told != launches_.end() && (!told->pod.empty() || told->replicas <= replicas)) return {told->replicas, true};
  // Whoever was to raise it as far never did, or was taken back.
  std::erase_if(launches_,
                [replicas](const Launch& launch) { return launch.pod.empty() && launch.replicas > replicas; });
  if (!IsWaiting()) {
    known_.clear();
    for (const Pod& pod : pods) {
      if (!pod.leaving) known_.insert(pod.name);
    }
  }
  launches_.push_back({id, replicas + 1, ""});
  if (launches_.size() > kLaunchesMax) ForgetOldest();
  return {replicas + 1, false};
}

void Ledger::ForgetOldest() {
  auto oldest =
      std::find_if(launches_.begin(), launches_.end(), [](const Launch& launch) { return !launch.pod.empty(); });
  if (oldest == launches_.end()) oldest = launches_.begin();
  if (!oldest->pod.empty()) known_.insert(oldest->pod);
  launches_.erase(oldest);
}

bool Ledger::IsEnding(const std::string& pod, int replicas, const std::vector<Pod>& pods) const {
  const auto told = removals_.find(pod);
  return told != removals_.end() && told->second >= replicas && StayingCount(pods) > replicas;
}

Ledger::Target Ledger::End(const std::string& pod, int replicas, const std::vector<Pod>& pods) {
  std::erase_if(removals_, [&pods](const auto& removal) {
    return std::none_of(pods.begin(), pods.end(), [&](const Pod& one) { return one.name == removal.first; });
  });
  if (IsEnding(pod, replicas, pods)) return {removals_[pod], true};
  Settle(pods);
  for (Launch& launch : launches_) {
    if (launch.pod == pod) launch.pod = kRemoved;
  }
  if (IsWaiting()) known_.insert(pod);  // until it has left
  removals_[pod] = replicas - 1;
  return {replicas - 1, false};
}

}  // namespace headroom::kubernetes
