#include "controller/server/node_channels.h"

#include <algorithm>
#include <tuple>

#include "absl/strings/str_cat.h"

#include "controller/base/check.h"
#include "controller/server/convert.h"

namespace headroom {

void MergeDirective(const v1::Directive& update, v1::Directive& pending) {
  pending.set_term(std::max(pending.term(), update.term()));
  pending.set_mode(update.mode());
  if (update.has_report_interval()) *pending.mutable_report_interval() = update.report_interval();
  if (update.has_grant()) *pending.mutable_grant() = update.grant();
  if (update.has_shed()) *pending.mutable_shed() = update.shed();
  if (update.lifecycle() != v1::LIFECYCLE_UNSPECIFIED) pending.set_lifecycle(update.lifecycle());
  if (update.has_servers()) {
    *pending.mutable_servers() = update.servers();
    pending.set_has_servers(true);
  }
}

absl::Status StreamRegistry::Open(const ReporterKey& key, std::shared_ptr<DirectiveStream> stream) {
  DirectiveStream* const newest = stream.get();
  std::shared_ptr<DirectiveStream> older;
  {
    absl::MutexLock lock(&mutex_);
    if (!ended_.ok()) return ended_;
    auto found = streams_.find(key);
    if (found == streams_.end()) {
      if (streams_.size() >= options_.reporters_max) {
        return absl::ResourceExhaustedError(absl::StrCat(
            "this controller takes ", options_.reporters_max,
            " reporters and has them all; run another controller for another cluster, or try again later"));
      }
      found = streams_.emplace(key, nullptr).first;
    }
    older = std::exchange(found->second, std::move(stream));
  }
  if (older != nullptr) {
    older->EndWith(absl::AlreadyExistsError("a newer stream of the same reporter took over"));
  }
  newest->Deliver(Greeting());
  return absl::OkStatus();
}

bool StreamRegistry::Close(const ReporterKey& key, const DirectiveStream* stream) {
  absl::MutexLock lock(&mutex_);
  const auto found = streams_.find(key);
  if (found == streams_.end() || found->second.get() != stream) return false;
  streams_.erase(found);
  return true;
}

void StreamRegistry::Refuse(const ReporterKey& key, const absl::Status& status) {
  if (const auto stream = Find(key); stream != nullptr) stream->EndWith(status);
}

std::shared_ptr<DirectiveStream> StreamRegistry::Find(const ReporterKey& key) const {
  absl::MutexLock lock(&mutex_);
  const auto found = streams_.find(key);
  return found == streams_.end() ? nullptr : found->second;
}

void StreamRegistry::EndAll(const absl::Status& status) {
  {
    absl::MutexLock lock(&mutex_);
    ended_ = status;
  }
  for (const v1::Role role : {v1::ROLE_NODE, v1::ROLE_BALANCER}) {
    for (const auto& [key, stream] : Streams(role)) stream->EndWith(status);
  }
}

size_t StreamRegistry::size() const {
  absl::MutexLock lock(&mutex_);
  return streams_.size();
}

void StreamRegistry::SetReportInterval(absl::Duration interval) {
  {
    absl::MutexLock lock(&mutex_);
    if (interval_ == interval) return;
    interval_ = interval;
  }
  Announce();
}

void StreamRegistry::Announce() {
  const v1::Directive greeting = Greeting();
  for (const v1::Role role : {v1::ROLE_NODE, v1::ROLE_BALANCER}) DeliverToAll(role, greeting);
}

void StreamRegistry::SetMode(Mode mode) {
  {
    absl::MutexLock lock(&mutex_);
    if (mode_ == mode) return;
    mode_ = mode;
  }
  Announce();
}

v1::Directive StreamRegistry::Blank() const {
  v1::Directive directive;
  directive.set_term(options_.term());
  absl::MutexLock lock(&mutex_);
  directive.set_mode(mode_ == Mode::kLive ? v1::DIRECTIVE_MODE_LIVE : v1::DIRECTIVE_MODE_OBSERVE);
  return directive;
}

v1::Directive StreamRegistry::Greeting() const {
  v1::Directive directive = Blank();
  absl::MutexLock lock(&mutex_);
  SetDuration(interval_, directive.mutable_report_interval());
  return directive;
}

absl::Status StreamRegistry::Deliver(const ReporterKey& key, const v1::Directive& directive) {
  const std::shared_ptr<DirectiveStream> stream = Find(key);
  if (stream == nullptr) return absl::NotFoundError(absl::StrCat(key.id, " is not connected"));
  stream->Deliver(directive);
  return absl::OkStatus();
}

std::vector<std::pair<ReporterKey, std::shared_ptr<DirectiveStream>>> StreamRegistry::Streams(v1::Role role) const {
  std::vector<std::pair<ReporterKey, std::shared_ptr<DirectiveStream>>> streams;
  absl::MutexLock lock(&mutex_);
  for (const auto& [key, stream] : streams_) {
    if (key.role == role) streams.emplace_back(key, stream);
  }
  return streams;
}

void StreamRegistry::DeliverToAll(v1::Role role, const v1::Directive& directive) {
  for (const auto& [key, stream] : Streams(role)) stream->Deliver(directive);
}

// Each balancer is told once: one that shares no limit must not see one for a moment either.
void NodeChannels::SendServers(const SetServers& set, v1::Directive directive) {
  directive.set_has_servers(true);
  for (const ServerTarget& target : set.servers) *directive.add_servers() = ToWire(target);
  v1::Directive unlimited = directive;
  for (v1::ServerTarget& target : *unlimited.mutable_servers()) target.clear_session_count_max();
  for (const auto& [key, stream] : registry_.Streams(v1::ROLE_BALANCER)) {
    const auto& without = set.without_share;
    const bool shares = std::find(without.begin(), without.end(), key.id) == without.end();
    stream->Deliver(shares ? directive : unlimited);
  }
}

absl::Status NodeChannels::Send(const Action& action) {
  v1::Directive directive = registry_.Blank();
  if (directive.mode() != v1::DIRECTIVE_MODE_LIVE) {
    return absl::FailedPreconditionError("this controller only observes");
  }
  directive.set_term(action.term);
  if (const auto* servers = std::get_if<SetServers>(&action.body)) {
    SendServers(*servers, std::move(directive));
    return absl::OkStatus();
  }
  if (const auto* grant = std::get_if<GrantLimits>(&action.body)) {
    *directive.mutable_grant() = ToWire(*grant);
  } else if (const auto* shed = std::get_if<ShedConnections>(&action.body)) {
    *directive.mutable_shed() = ToWire(*shed);
  } else if (std::holds_alternative<DrainNode>(action.body)) {
    directive.set_lifecycle(v1::LIFECYCLE_DRAIN);
  } else {
    HR_CHECK(std::holds_alternative<CancelDrain>(action.body));
    directive.set_lifecycle(v1::LIFECYCLE_SERVE);
  }
  return registry_.Deliver({v1::ROLE_NODE, action.node}, directive);
}

}  // namespace headroom
