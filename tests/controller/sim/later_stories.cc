#include "tests/controller/sim/teller.h"

namespace headroom::sim {
namespace {

const Telling kStories[] = {

    {{"weekend_restore", Cause::kSurge,
      "50 nodes behind an L4 balancer, live; a restore multiplies the clients by three in ten seconds"},
     [](Teller& t) {
       t.At({.nodes = 50, .rate = 20, .slots_share = 0.5, .spread = Spread::kConnections, .mode = Mode::kLive});
       t.Traffic(Rise(3, 0, 10));
       t.FeltWhenFull();
     }},
    {{"phones_come_home", Cause::kSurge,
      "10 nodes; two and a half times the clients within a minute, who ask little: a third more requests"},
     [](Teller& t) {
       t.At({.nodes = 10, .rate = 40, .slots_share = 0.55});
       t.Traffic(Rise(2.5, 0, 60));
       t.Requests(Rise(1.33, 0, 60));
       t.FeltWhenFull();
     }},
    {{"leak_after_maintenance", Cause::kClientLeak,
      "5 nodes, restarted one by one; then a client with a new pool loses connections"},
     [](Teller& t) {
       t.At({.nodes = 5, .rate = 50, .slots_share = 0.35, .idle_seconds = 300});
       t.Then(RollingRestart{.gap = absl::Seconds(8)}, {}, -100, 60);
       t.Then(ClientLeak{.connections_per_second = t.limit() * 5 / t.Vary(100), .clients = 2});
       t.FeltWhenFull();
     }},
    {{"storm_of_sixty", Cause::kRetryStorm,
      "60 nodes, hardly busy; a library gives up after most answers' time and tries seven times"},
     [](Teller& t) {
       t.At({.nodes = 60, .rate = 12, .cores_share = 0.05, .slots_share = 0.25});
       t.Then(RetryStorm{
           .request_timeout = Whole(0.8 * t.ServiceSeconds()), .backoff = absl::Milliseconds(20), .retries_max = 7});
     }},
    {{"zone_by_zone", Cause::kBadDeploy, "45 nodes; a release goes to the first zone and fails one of twelve"},
     [](Teller& t) {
       t.At({.nodes = 45, .rate = 25});
       t.Then(BadDeploy{.error_ratio = 0.08, .gap = absl::Seconds(2)}, {.zone = "a"});
       t.Felt(15);
     }},
    {{"dear_release", Cause::kBadDeploy, "5 nodes behind an L4 balancer; a release costs five times the cores"},
     [](Teller& t) {
       t.At({.nodes = 5, .rate = 60, .cores_share = 0.15, .spread = Spread::kConnections});
       t.Then(BadDeploy{.processor_cost = 5, .gap = absl::Seconds(5)});
       t.Felt(15);
     }},
    {{"zone_loses_its_index", Cause::kSoftware, "12 nodes; those of one zone fail half"},
     [](Teller& t) {
       t.At({.nodes = 12, .rate = 40, .slots_share = 0.3});
       t.Then(SoftwareErrors{0.5}, {.zone = "c"});
     }},
    {{"one_lossy_of_five", Cause::kNetwork, "5 nodes behind an L4 balancer; a twelfth is lost at one"},
     [](Teller& t) {
       t.At({.nodes = 5, .rate = 50, .spread = Spread::kConnections});
       t.Then(PacketLoss{0.08}, {.count = 1});
     }},
    {{"half_the_shelves", Cause::kSlowDisk,
      "10 nodes behind an L4 balancer; five on one shelf take five times as long"},
     [](Teller& t) {
       t.At({.nodes = 10, .rate = 50, .idle_seconds = 10, .spread = Spread::kConnections});
       t.Then(SlowDisk{t.Vary(5)}, {.count = 5});
     }},
    {{"three_of_a_chassis", Cause::kCpu,
      "45 nodes; three in one chassis run hot and clock down: ten times the processor time; clients try five times"},
     [](Teller& t) {
       t.At({.nodes = 45, .rate = 25, .cores_share = 0.12, .retries = 5, .timeout_seconds = 1});
       t.Then(BusyProcessor{t.Vary(10)}, {.count = 3});
     }},
    {{"favourite_of_eight", Cause::kHotNode, "8 nodes; a third of all requests, then a half, want what one has"},
     [](Teller& t) {
       t.At({.nodes = 8, .rate = 40, .slots_share = 0.25});
       t.Then(HotNode{0.35}, {.count = 1}, 0, 20);
       t.Then(HotNode{0.5}, {.count = 1}, 20);
     }},
    {{"a_third_is_silent", Cause::kReportLoss,
      "30 nodes; a third of the reporters lose their way in a rise of traffic"},
     [](Teller& t) {
       t.At({.nodes = 30, .rate = 25});
       t.Traffic(Tide(1.3));
       const absl::Time start = t.Start();
       t.Hears([start](absl::Time at, const NodeId& node) { return at < start || Mixed(node) % 3 != 1; });
     }},
    {{"two_more_unknown", Cause::kImbalance,
      "10 nodes behind an L4 balancer; two more come, clients make new connections now and then"},
     [](Teller& t) {
       t.At({.nodes = 10,
             .rate = 60,
             .cores_share = 0.3,
             .slots_share = 0.6,
             .idle_seconds = 5,
             .spread = Spread::kConnections});
       t.Then(Imbalance{}, {}, -80);
       t.Launch(-50, 2);
       t.Felt(15);
     }},
    {{"evening_after_a_busy_day", Cause::kNone,
      "25 nodes behind an L4 balancer; traffic falls to a quarter, restarts go on"},
     [](Teller& t) {
       t.At({.nodes = 25, .rate = 40, .cores_share = 0.4, .slots_share = 0.6, .spread = Spread::kConnections});
       t.Traffic(Tide(0.25));
       t.Then(RollingRestart{}, {.count = 8}, 30, 90);
     }},
    {{"busy_release", Cause::kNone, "6 busy nodes; a release that is as good, during the morning"},
     [](Teller& t) {
       t.At({.nodes = 6, .rate = 80, .cores_share = 0.5, .slots_share = 0.5});
       t.Then(GoodDeploy(6));
       t.Traffic(Tide(1.3));
     }},

};

}  // namespace

absl::Span<const Telling> LaterStories() {
  return kStories;
}

}  // namespace headroom::sim
