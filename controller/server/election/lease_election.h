#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <random>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "controller/server/election/candidate.h"

namespace headroom {

// Who holds a lease, as it is written (coordination.k8s.io/v1).
struct LeaseRecord {
  std::string holder;       // empty: nobody, it was given back
  absl::Duration duration;  // how long others wait after its last change, by their own clocks
  absl::Time acquired_at, renewed_at;
  int64_t transitions = 0;  // how often the holder has changed: it only grows
  std::string version;      // a write under it fails once anybody else has written
};

// LeaseStore: one lease in a store that compares and sets. Blocking; used by one thread.
class LeaseStore {
 public:
  virtual ~LeaseStore() = default;
  // NOT_FOUND: nobody has ever written it.
  virtual absl::StatusOr<LeaseRecord> Read(absl::Duration timeout) = 0;
  // Creates it where `record.version` is empty. The record with its new version; ABORTED or ALREADY_EXISTS: somebody
  // else was first.
  virtual absl::StatusOr<LeaseRecord> Write(const LeaseRecord& record, absl::Duration timeout) = 0;
  // As Candidate's.
  virtual void Watch(const std::function<void()>& /*changed*/) {}
};

struct LeaseTiming {
  absl::Duration duration = absl::Seconds(15), renew_deadline = absl::Seconds(10), retry = absl::Seconds(2);
};
// INVALID_ARGUMENT unless duration > renew_deadline > 1.2 x retry.
absl::Status CheckTiming(const LeaseTiming& timing);

// LeaseElection: one candidate, as client-go's tools/leaderelection. Others' expiry is judged by how long their record
// has not changed by this process's monotonic clock, with the duration that they wrote: clocks need not agree, only run
// at about the same rate.
class LeaseElection final : public Candidate {
 public:
  struct Options {
    std::string identity;  // unlike any other process's that ever ran: "<host>_<uuid>"
    LeaseTiming timing;
    uint64_t seed = 0;  // of the pauses between tries
    std::function<absl::Duration()> steady = SteadyNow;
    std::function<absl::Time()> wall = absl::Now;  // only written, never compared
  };
  LeaseElection(LeaseStore& store, Options options);

  // One try to get or to keep it. Leadership that could not be renewed for renew_deadline is over.
  Standing Round() override;
  absl::Status Release() override;
  void Watch(const std::function<void()>& changed) override { store_.Watch(changed); }

 private:
  absl::Status Try();
  absl::Status Renew();
  void Observe(const LeaseRecord& record);
  bool IsHeldByAnother() const;
  LeaseRecord Claim() const;
  absl::Duration Pause();

  LeaseStore& store_;
  const Options options_;
  std::mt19937_64 random_;
  std::optional<LeaseRecord> observed_;
  absl::Duration observed_at_;                // when it last changed
  std::optional<absl::Duration> renewed_at_;  // began the write that made or kept us leader
};

}  // namespace headroom
