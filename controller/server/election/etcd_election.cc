#include "controller/server/election/etcd_election.h"

#include <utility>

#include "absl/strings/str_cat.h"

#include "controller/base/status.h"

namespace headroom {
namespace {

constexpr absl::Duration kWatchPause = absl::Seconds(1);

}  // namespace

EtcdElection::EtcdElection(etcd::Client& client, Options options) : client_(client), options_(std::move(options)) {}

Standing EtcdElection::Round() {
  Standing standing{.pause = options_.time_to_live / 5};
  const absl::Duration good_for = options_.time_to_live * 2 / 3;
  standing.trouble = leads_ ? Keep() : Campaign();
  if (leads_ && SteadyNow() - renewed_at_ >= good_for) leads_ = false;
  standing.leads = leads_;
  standing.holder = leads_ ? options_.identity : holder_;
  standing.number = revision_;
  if (leads_) standing.good_until = renewed_at_ + good_for;
  return standing;
}

// What it wrote before an answer was lost is its own: the identity is nobody else's.
absl::Status EtcdElection::Campaign() {
  const absl::Duration timeout = options_.time_to_live / 3;
  if (lease_ == 0) {
    HR_ASSIGN_OR_RETURN(lease_, client_.GrantLease(options_.time_to_live, timeout));
  }
  const absl::Duration began = SteadyNow();
  if (const absl::Status kept = client_.KeepLease(lease_, timeout); !kept.ok()) {
    if (absl::IsNotFound(kept)) lease_ = 0;
    return kept;
  }
  HR_RETURN_IF_ERROR(Claim(began));
  if (!IsFormer(holder_)) return absl::OkStatus();
  return Claim(began);  // it has been given back
}

// Takes the key, or notes who has it.
absl::Status EtcdElection::Claim(absl::Duration kept_at) {
  const absl::Duration timeout = options_.time_to_live / 3;
  const absl::StatusOr<int64_t> put =
      client_.Put({.fence = options_.key, .key = options_.key, .value = options_.identity, .lease = lease_}, timeout);
  if (!put.ok() && !absl::IsAborted(put.status())) {
    if (absl::IsNotFound(put.status())) lease_ = 0;  // the lease is gone
    return put.status();
  }
  const absl::StatusOr<etcd::Entry> entry = client_.Get(options_.key, timeout);
  holder_ = entry.ok() ? entry->value : "";
  if (absl::IsNotFound(entry.status())) return absl::OkStatus();  // gone again: the next round tries
  HR_RETURN_IF_ERROR(entry.status());
  if (IsFormer(holder_)) return client_.RevokeLease(entry->lease, timeout);
  if (holder_ != options_.identity || entry->lease != lease_) return absl::OkStatus();
  leads_ = true;
  renewed_at_ = kept_at;
  revision_ = entry->create_revision;
  return absl::OkStatus();
}

absl::Status EtcdElection::Keep() {
  const absl::Duration timeout = options_.time_to_live / 3, began = SteadyNow();
  absl::Status kept = client_.KeepLease(lease_, timeout);
  const absl::StatusOr<etcd::Entry> entry = client_.Get(options_.key, timeout);
  const bool gone = absl::IsNotFound(entry.status());
  if (gone || (entry.ok() && entry->create_revision != revision_)) {
    leads_ = false;
    lease_ = 0;
    holder_ = entry.ok() ? entry->value : "";
    return absl::AbortedError("etcd: leadership has been lost");
  }
  if (absl::IsNotFound(kept)) lease_ = 0;
  HR_RETURN_IF_ERROR(kept);
  HR_RETURN_IF_ERROR(entry.status());
  renewed_at_ = began;
  return absl::OkStatus();
}

absl::Status EtcdElection::Release() {
  if (lease_ == 0) return absl::OkStatus();
  leads_ = false;
  return client_.RevokeLease(std::exchange(lease_, 0), options_.time_to_live / 3);
}

void EtcdElection::Watch(const std::function<void()>& changed) {
  if (watcher_.joinable()) {
    {
      const MonitorLock lock(mutex_);
      ending_ = true;
      if (watch_ != nullptr) watch_->TryCancel();
      mutex_.Notify();
    }
    watcher_.join();
  }
  if (changed == nullptr) return;
  {
    const MonitorLock lock(mutex_);
    ending_ = false;
  }
  watcher_ = std::thread([this, changed] { Follow(changed); });
}

// From now on, not from a revision: it only saves time.
void EtcdElection::Follow(const std::function<void()>& changed) {
  while (true) {
    grpc::ClientContext context;
    {
      const MonitorLock lock(mutex_);
      if (ending_) return;
      watch_ = &context;
    }
    client_.WatchDeletes(options_.key, context, changed).IgnoreError();
    const MonitorLock lock(mutex_);
    watch_ = nullptr;
    if (!ending_) mutex_.Wait(kWatchPause);
  }
}

EtcdState::EtcdState(etcd::Client& client, const EtcdElection& election, std::string key)
    : client_(client), fence_(election.key()), fence_revision_(election.fence_revision()), key_(std::move(key)) {}

std::string EtcdState::name() const {
  return absl::StrCat("etcd key ", key_);
}

absl::StatusOr<std::string> EtcdState::Load(absl::Duration timeout) {
  absl::StatusOr<etcd::Entry> entry = client_.Get(key_, timeout);
  if (entry.ok() || absl::IsNotFound(entry.status())) mod_revision_ = entry.ok() ? entry->mod_revision : 0;
  HR_RETURN_IF_ERROR(entry.status());
  return std::move(entry->value);
}

absl::Status EtcdState::Save(absl::string_view bytes, absl::Duration timeout) {
  const absl::StatusOr<int64_t> written = client_.Put({.fence = fence_,
                                                       .fence_revision = fence_revision_,
                                                       .key = key_,
                                                       .value = std::string(bytes),
                                                       .mod_revision = mod_revision_},
                                                      timeout);
  if (written.ok()) mod_revision_ = *written;
  return written.status();
}

}  // namespace headroom
