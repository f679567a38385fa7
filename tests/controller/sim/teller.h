#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

#include "tests/controller/sim/dice.h"
#include "tests/controller/sim/stories.h"

// What stories are told with.

namespace headroom::sim {

// What a site is on an ordinary day.
struct Habit {
  int nodes = 10;
  double rate = 60;           // requests a second and node
  double service_ms = 15;     // of a request, alone
  double cores = 4;           // of a node
  double cores_share = 0.15;  // in use
  double slots_share = 0.35;  // of the connections that a node takes
  double idle_seconds = 30;
  Spread spread = Spread::kRequests;
  int retries = 2;
  double timeout_seconds = 2;
  bool tells_attempts = false;
  Mode mode = Mode::kDryRun;
};

inline BadDeploy GoodDeploy(double gap) {
  return BadDeploy{.release = {.version = "simulated/1.9"}, .gap = Whole(gap), .down = absl::Seconds(2)};
}

// Sets up a site and what befalls it. Seconds are counted from when it begins.
class Teller {
  static constexpr double kStep = 4;  // seconds, of the traffic's course
  static constexpr double kCourse = 900;

 public:
  Teller(Cause cause, uint64_t seed, size_t index) : dice_(seed * 131 + index * 7 + 9'000'000'000) {
    incident_.cause = cause;
    settings().seed = seed + 1000 * index;
    begins_ = static_cast<double>(dice_.Whole(150, 330));
  }

  void At(const Habit& habit) {
    habit_ = habit;
    Scenario& scenario = incident_.scenario;
    scenario.policy.mode = habit.mode;
    scenario.cluster.initial_count = habit.nodes;
    scenario.policy.nodes = {.min = 2, .max = 2 * habit.nodes + 4, .lead_time = absl::Minutes(1)};
    scenario.cluster.zones = {"a", "b", "c"};
    NodeSettings& node = settings().node;
    rate_ = Vary(habit.rate) * habit.nodes;
    node.service_time = Whole(Vary(habit.service_ms) / 1000);
    node.cores = habit.cores;
    const double service = absl::ToDoubleSeconds(node.service_time);
    node.processor_time = absl::Microseconds(
        std::llround(1e6 * std::min(0.7 * service, habit.cores_share * habit.cores * habit.nodes / rate_)));
    node.idle_timeout = Whole(Vary(habit.idle_seconds));
    node.knee = dice_.Chance(0.5) ? 0 : std::max<int64_t>(60, std::llround(20 * rate_ / habit.nodes * service));
    ClientSettings& client = settings().client;
    client.spread = habit.spread;
    client.connections_max = habit.spread == Spread::kRequests ? 0 : 2;
    client.retries_max = habit.retries;
    client.request_timeout = Whole(habit.timeout_seconds);
    client.backoff = absl::Milliseconds(100);
    client.tells_attempts = habit.tells_attempts;
    Slots();
  }

  // All as in world.h; only nodes, traffic and clients are said.
  void Plain() {
    begins_ = dice_.Between(60, 180);
    habit_.nodes = dice_.Whole(3, 20);
    Scenario& scenario = incident_.scenario;
    scenario.policy.mode = dice_.Chance(0.5) ? Mode::kLive : Mode::kDryRun;
    scenario.cluster.initial_count = habit_.nodes;
    scenario.policy.nodes.max = 3 * habit_.nodes;
    settings().client.spread = dice_.Chance(0.5) ? Spread::kRequests : Spread::kConnections;
    rate_ = habit_.nodes * dice_.Scale(20, 200);
    const double taken = limit() * dice_.Between(0.3, 0.6);
    people_ = std::llround(settings().client.spread == Spread::kConnections ? taken * habit_.nodes * 0.7 : taken);
  }

  double Vary(double figure) { return figure * dice_.Between(0.8, 1.25); }
  void Then(FaultKind what, FaultTarget where = {}, double after = 0, double lasts = 0) {
    incident_.scenario.cluster.faults.push_back(
        {Whole(begins_ + after), Whole(lasts), std::move(where), std::move(what)});
  }
  void Always(FaultKind what, FaultTarget where = {}) { Then(std::move(what), std::move(where), -begins_ + 1); }
  void Felt(double after) { incident_.felt = Whole(begins_ + after); }
  void FeltWhenFull(double earliest = 0) {
    Felt(earliest);
    const auto nearly = static_cast<int64_t>(0.9 * static_cast<double>(settings().node.connection_limit));
    incident_.is_felt = [nearly](const World& world) {
      for (const Machine& machine : world.Machines())
        if (world.IsServing(machine.node) && world.OpenCount(machine.node) >= nearly) return true;
      return false;
    };
  }
  // Traffic, of the ordinary, at so many seconds after the onset.
  void Traffic(std::function<double(double)> requests) { clients_ = requests_ = std::move(requests); }
  void Requests(std::function<double(double)> requests) { requests_ = std::move(requests); }
  void Meanwhile(Cause cause) { incident_.meanwhile.insert(cause); }
  void Launch(double after, int count) { incident_.launches = {Whole(begins_ + after), count}; }
  void Hears(std::function<bool(absl::Time, const NodeId&)> heard) { incident_.is_heard = std::move(heard); }
  absl::Time Start() { return settings().start + Whole(begins_); }
  Scenario& scenario() { return incident_.scenario; }
  ClusterSettings& settings() { return incident_.scenario.cluster.settings; }
  double ServiceSeconds() { return absl::ToDoubleSeconds(settings().node.service_time); }
  Dice& dice() { return dice_; }
  int nodes() const { return habit_.nodes; }
  double limit() { return static_cast<double>(settings().node.connection_limit); }

  // What happens anyway, and has nothing to do with it.
  void Coincidence() {
    const double before = -dice_.Between(20, 90);
    switch (dice_.Whole(0, 6)) {
      case 0:
        if (incident_.cause != Cause::kBadDeploy) Then(GoodDeploy(Vary(20.0 / habit_.nodes)), {}, before - 60);
        return;
      case 1:
        return Then(NodeCrash{}, {.count = 1}, before, Vary(12));
      case 2: {  // a batch around the onset
        const double from = dice_.Between(-60, 0), to = from + Vary(40), by = dice_.Between(1.15, 1.4);
        return Requests([=, now = requests_](double at) { return now(at) * (at >= from && at < to ? by : 1); });
      }
      case 3:
        return Always(PacketLoss{0.001});
      case 4:  // a client's pool connects anew
        return Then(ClientLeak{.connections_per_second = limit() * habit_.nodes * 0.04 / 4, .clients = 1}, {}, before,
                    4);
      case 5:
        Always(SlowDisk{Vary(1.3)}, {.count = std::max(1, habit_.nodes / 4)});
        return Always(SoftwareErrors{0.002});
      default:
        return;
    }
  }

  Incident Told() {
    incident_.begins = Whole(begins_);
    incident_.felt = std::max(incident_.felt, incident_.begins);
    double drift = 0;
    for (double at = 0; at < kCourse; at += kStep) {
      drift = 0.85 * drift + 0.02 * dice_.Between(-1.7, 1.7);
      const double after = at - begins_;
      const bool last = at + kStep >= kCourse;
      settings().phases.push_back({last ? absl::Hours(1000) : Whole(kStep),
                                   std::max(0.01, rate_ * requests_(after) * (1 + drift)),
                                   std::max<int64_t>(1, std::llround(static_cast<double>(people_) * clients_(after)))});
    }
    return std::move(incident_);
  }

 private:
  // The limit, by how many connections there are.
  void Slots() {
    const double each = rate_ / habit_.nodes;
    people_ = std::max<int64_t>(4, std::llround(each * habit_.nodes * (habit_.spread == Spread::kRequests ? 0.5 : 1)));
    const double people = static_cast<double>(people_);
    double open = people / habit_.nodes;
    if (habit_.spread == Spread::kRequests) {
      people_ = std::max<int64_t>(4, std::llround(each * 2));
      open = static_cast<double>(people_) * (1 - std::exp(-each * habit_.idle_seconds / static_cast<double>(people_)));
    }
    settings().node.connection_limit = std::max<int64_t>(12, std::llround(open / habit_.slots_share));
  }

  Dice dice_;
  Incident incident_;
  Habit habit_;
  double begins_ = 0, rate_ = 0;
  int64_t people_ = 0;
  std::function<double(double)> requests_ = [](double) { return 1.0; }, clients_ = requests_;
};

// From one to `to` between these seconds, and there it stays.
inline std::function<double(double)> Rise(double to, double from_second, double to_second) {
  return [=](double at) {
    const double way = std::clamp((at - from_second) / (to_second - from_second), 0.0, 1.0);
    return 1 + (to - 1) * way;
  };
}
// An hour of morning or evening.
inline std::function<double(double)> Tide(double to) {
  return Rise(to, -120, 480);
}

// Of a name, the same in every build.
inline uint64_t Mixed(absl::string_view name) {
  uint64_t mixed = 1469598103934665603ULL;
  for (const char letter : name) mixed = (mixed ^ static_cast<unsigned char>(letter)) * 1099511628211ULL;
  return mixed >> 17;
}

struct Telling {
  Story story;
  void (*tell)(Teller& t);
};
absl::Span<const Telling> StoriesOfNights();       // incidents, each with its circumstances
absl::Span<const Telling> StoriesOfCoincidence();  // incidents beside something harmless
absl::Span<const Telling> PlainStories();          // of a model that is left as it is
absl::Span<const Telling> StoriesOfNothing();      // all is well
absl::Span<const Telling> LaterStories();          // told after the rules had been mended on the others

}  // namespace headroom::sim
