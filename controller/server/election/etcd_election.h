#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"

#include "controller/base/monitor.h"
#include "controller/runtime/state_store.h"
#include "controller/server/election/candidate.h"
#include "controller/server/election/etcd.h"

namespace headroom {

// EtcdElection: whoever has created a key that ends with its lease leads; the revision of its creation is the number of
// the leadership, and the fence of all that is written under it. An answer to a keep-alive is not believed alone (etcd
// 3.4 gives it for revoked leases, etcd#15247): the key is read, too. Leadership ends 2/3 of the time to live after the
// last renewal began, by this process's clock, whatever etcd says. One thread; its watch has one of its own.
class EtcdElection final : public Candidate {
 public:
  struct Options {
    std::string key;  // "/headroom/files/leader"
    std::string identity;
    // Of this process before it began anew; empty: it did not. A key of that name is given back, not waited for: etcd
    // gives a lease its whole time again whenever it elects.
    std::string former_identity = {};
    absl::Duration time_to_live = absl::Seconds(15);
  };
  EtcdElection(etcd::Client& client, Options options);
  ~EtcdElection() override { Watch(nullptr); }

  Standing Round() override;
  absl::Status Release() override;
  void Watch(const std::function<void()>& changed) override;
  // Of the key that this process leads by, also after it has lost it; 0: it never led. Any thread.
  int64_t fence_revision() const { return revision_; }
  const std::string& key() const { return options_.key; }

 private:
  absl::Status Campaign();
  absl::Status Claim(absl::Duration kept_at);
  absl::Status Keep();
  bool IsFormer(const std::string& holder) const { return !holder.empty() && holder == options_.former_identity; }
  void Follow(const std::function<void()>& changed);

  etcd::Client& client_;
  const Options options_;
  int64_t lease_ = 0;
  bool leads_ = false;
  absl::Duration renewed_at_;
  std::string holder_;
  std::atomic<int64_t> revision_{0};

  Monitor mutex_;
  grpc::ClientContext* watch_ ABSL_GUARDED_BY(mutex_) = nullptr;
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread watcher_;
};

// EtcdState: a cluster's state under a key that only who leads now, as it is made, can write, and only over what it has
// seen. One thread.
class EtcdState final : public StateStore {
 public:
  EtcdState(etcd::Client& client, const EtcdElection& election, std::string key);
  std::string name() const override;
  absl::StatusOr<std::string> Load(absl::Duration timeout) override;
  absl::Status Save(absl::string_view bytes, absl::Duration timeout) override;

 private:
  etcd::Client& client_;
  const std::string fence_;
  const int64_t fence_revision_;
  const std::string key_;
  int64_t mod_revision_ = 0;  // of what was last read or written
};

}  // namespace headroom
