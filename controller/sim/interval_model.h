#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "controller/sim/waiting_line.h"
#include "controller/sim/world.h"

namespace headroom::sim {

class Latencies;

// IntervalModel: the cluster of ClusterModel in the mean: numbers of connections and requests are fractions that move
// in intervals, for weeks in seconds. An interval ends where something turns (a phase, a boot, a report) and is the
// shorter, the faster connections grow or requests wait: kStepMin in the thick of it, kCalmStepMax when nothing waits.
//
// Clients are alike, so it is enough to count those with at least one connection, with at least two, and so on (the
// ranks): the k-th connection of a client is made, and used again, when a request finds its first k - 1 busy (Erlang's
// loss formula), so that it idles longer than the first; the one used last is the first, so that ranks mix over nodes.
// Ages of idle connections are kept, so that time-outs, sheds and their delays come out. A request without a connection
// waits in accept queues or between SYNs, by attempt, and fails, pauses and comes back as the clients of that rank; so
// newcomers fail while those who are in go on.
//
// No chance: two runs are the same, and there is no noise in what is reported but what the phases bring. Of
// Spread::kRequests it takes each node for itself, with all clients and a share of the requests. Ranks end at kRanks:
// more connections count as so many. Held against ClusterModel by tests/controller/sim/interval_model_test.cc;
// docs/planning.md has the errors.
class IntervalModel final : public World {
 public:
  static constexpr int kRanks = 4;
  static constexpr absl::Duration kStepMin = absl::Milliseconds(20);
  static constexpr absl::Duration kCalmStepMax = absl::Seconds(10);

  explicit IntervalModel(ClusterSettings settings);
  ~IntervalModel() override;

  absl::Time now() const override { return settings_.start + absl::Nanoseconds(now_nanos_); }
  absl::Time AdvanceTo(absl::Time until) override;
  std::vector<NodeChange> TakeChanges() override;

  NodeId Launch(const LaunchSettings& settings) override;
  absl::Status Terminate(absl::string_view node) override;
  absl::Status Restart(absl::string_view node, absl::Duration down) override;
  absl::Status SetLimits(absl::string_view node, const LimitsInForce& limits) override;
  absl::Status Shed(absl::string_view node, const ShedConnections& order) override;
  absl::Status Drain(absl::string_view node) override;
  absl::Status Undrain(absl::string_view node) override;
  absl::Status SetSlowness(absl::string_view node, double factor) override;

  std::vector<Machine> Machines() const override;
  bool Exists(absl::string_view node) const override { return nodes_.find(node) != nodes_.end(); }
  bool IsServing(absl::string_view node) const override;
  const LimitsInForce& Limits(absl::string_view node) const override;
  NodeHello Hello(absl::string_view node) const override;
  void FillReport(absl::string_view node, NodeReport& fresh) override;
  int64_t OpenCount(absl::string_view node) const override;

  ClientStatistics Statistics(absl::Time from, absl::Time to) const override;
  const ClientStatistics& total() const override { return total_; }
  int64_t step_count() const { return steps_; }

 private:
  enum class NodeState : uint8_t { kBooting, kServing, kDraining };
  struct Node;
  struct Pool;  // clients that share their connections among nodes
  struct Step;  // what one step brings to a pool

  // A sum of fractions, counted in whole ones.
  struct Tally {
    double sum = 0;
    int64_t counted = 0;
    int64_t Take() {
      const int64_t whole = static_cast<int64_t>(sum) - counted;
      counted += whole;
      return whole;
    }
  };

  // Nodes.
  absl::StatusOr<Node*> Find(absl::string_view id) const;
  const Node& Heard(absl::string_view id) const;
  Node& Speaker(absl::string_view id);
  void RefreshServing();
  void Boot(Node& node);
  void Reset(Node& node);
  void Turn(Node& node, Urgency urgency);
  void Announce(Node& node);
  void Use(Node& node, const Pool& pool, const Step& step);
  void Serve(Node& node, Pool& pool, const Step& step);
  static void FillClients(const Node& node, NodeReport& report);
  double ServiceSeconds(const Node& node, double active) const;
  double Settled(const Node& node, double seconds) const;

  // Clients.
  void EnterPhases();
  void SetClients(double clients);
  void Leave(Pool& pool, double clients);
  int64_t StepNanos(int64_t until_nanos) const;
  double Pace(const Pool& pool) const;
  void Advance(double seconds);
  void AdvancePool(Pool& pool, Step& step);
  ByAttempt Return(ByAttempt& pausing, double seconds) const;
  void Settle(Pool& pool) const;
  void Offer(Pool& pool, Step& step);
  void AcceptWaiting(Pool& pool, Step& step);
  static void FillUp(Pool& pool, double total);
  void Open(Pool& pool, Step& step);
  void Wait(Pool& pool, int rank, const ByAttempt& flow, Step& step);
  void Knock(Pool& pool, Step& step);
  void KnockAgain(Pool& pool, double seconds);
  void Promote(Pool& pool, int rank, double clients, Step& step);
  void GiveUp(Pool& pool);
  double Afford(double retries);
  void Fail(Pool& pool, int rank, const ByAttempt& attempts);
  void Spread(Pool& pool, Step& step);
  void Count();

  const ClusterSettings settings_;
  const int ranks_;
  const double request_timeout_, connect_timeout_, backoff_;
  const double service_time_, quadratic_;  // of the law of service: seconds, and what n (n + 2) counts
  const bool spreads_requests_;
  int64_t now_nanos_ = 0, phase_end_nanos_ = 0;
  double now_ = 0;  // seconds since the start: the end of the step, while in it
  size_t phase_ = 0;
  double rate_ = 0, clients_ = 0, clients_max_ = 0, turned_at_ = 0;  // the traffic last jumped at
  int64_t steps_ = 0, launched_ = 0;
  std::map<NodeId, std::unique_ptr<Node>, std::less<>> nodes_;
  std::vector<Node*> heard_, booting_;        // serving or draining, and the others; by id
  size_t speaks_next_ = 0;                    // of heard_, after the one that reported last
  std::vector<std::unique_ptr<Pool>> pools_;  // one, or one a serving node
  ByAttempt pausing_{};                       // where requests choose a node anew each time
  std::vector<NodeChange> changes_;

  Tally offered_, completed_, failed_, attempts_, syn_drops_;
  std::unique_ptr<std::array<Latencies, kAttemptsMax>> latencies_;
  double retry_tokens_ = 0.1 * ClientSettings::kRetryTokensMax;
  ByAttempt served_{};          // in this step
  double service_seconds_ = 0;  // of all that was served in this step, added up
  std::deque<ClientStatistics> statistics_;
  int64_t first_second_ = 0;
  ClientStatistics total_;
};

}  // namespace headroom::sim
