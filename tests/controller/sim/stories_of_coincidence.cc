#include "tests/controller/sim/teller.h"

namespace headroom::sim {
namespace {

const Telling kStories[] = {
    {{"cdn_purge", Cause::kSurge, "14 nodes; a CDN is purged: its few edges want five times as much"},
     [](Teller& t) {
       t.At({.nodes = 14, .rate = 30, .cores_share = 0.08, .slots_share = 0.3});
       t.Traffic([](double at) { return at < 0 ? 1.0 : 5.0; });
       t.FeltWhenFull();
       t.Coincidence();
     }},
    {{"slow_climb", Cause::kSurge,
      "10 nodes; five minutes of climbing to two and a half times the usual, until slots are out"},
     [](Teller& t) {
       t.At({.nodes = 10, .rate = 50, .slots_share = 0.5, .spread = Spread::kConnections});
       t.Traffic(Rise(2.6, -120, 180));
       t.FeltWhenFull();
       t.Coincidence();
     }},
    {{"three_nodes_overrun", Cause::kSurge,
      "3 nodes; everybody wants the same results at noon; clients try five times"},
     [](Teller& t) {
       t.At({.nodes = 3, .rate = 60, .slots_share = 0.5, .retries = 5, .timeout_seconds = 1});
       t.Traffic(Rise(3.5, 0, 15));
       t.FeltWhenFull();
       t.Coincidence();
     }},
    {{"leak_from_many", Cause::kClientLeak, "10 nodes; 200 hosts got a library that loses one connection now and then"},
     [](Teller& t) {
       t.At({.nodes = 10, .rate = 60, .slots_share = 0.4, .idle_seconds = 900, .spread = Spread::kConnections});
       t.Then(ClientLeak{.connections_per_second = t.limit() * 10 / t.Vary(120), .clients = 200});
       t.FeltWhenFull();
       t.Coincidence();
     }},
    {{"leak_at_noon", Cause::kClientLeak, "5 nodes, live, busy; a tenant leaks in a minute what is left"},
     [](Teller& t) {
       t.At({.nodes = 5, .rate = 80, .cores_share = 0.3, .slots_share = 0.6, .idle_seconds = 900, .mode = Mode::kLive});
       t.Then(ClientLeak{.connections_per_second = t.limit() * 5 * 0.4 / t.Vary(60), .clients = 3});
       t.FeltWhenFull();
       t.Coincidence();
     }},
    {{"leak_and_rise", Cause::kClientLeak,
      "20 nodes; a leak fills the slots in two minutes, while traffic rises by a quarter"},
     [](Teller& t) {
       t.At({.nodes = 20, .rate = 40, .slots_share = 0.4, .idle_seconds = 900});
       t.Then(ClientLeak{.connections_per_second = t.limit() * 20 / t.Vary(140), .clients = 12});
       t.Traffic(Rise(1.25, -30, 90));
       t.FeltWhenFull();
       t.Coincidence();
     }},
    {{"storm_at_night", Cause::kRetryStorm, "5 idle nodes; a cron job's client gives up at once and tries eight times"},
     [](Teller& t) {
       t.At({.nodes = 5, .rate = 10, .cores_share = 0.03, .slots_share = 0.15, .tells_attempts = true});
       t.Then(RetryStorm{.request_timeout = Whole(0.6 * t.ServiceSeconds()), .retries_max = 8});
       t.Coincidence();
     }},
    {{"storm_through_l4", Cause::kRetryStorm, "16 nodes behind an L4 balancer; clients give up early and often"},
     [](Teller& t) {
       t.At({.nodes = 16, .rate = 50, .slots_share = 0.35, .spread = Spread::kConnections});
       t.Then(RetryStorm{
           .request_timeout = Whole(0.6 * t.ServiceSeconds()), .backoff = absl::Milliseconds(10), .retries_max = 8});
       t.Coincidence();
     }},
    {{"storm_in_a_rise", Cause::kRetryStorm,
      "25 nodes, live; a third more traffic, and a library that tries six times"},
     [](Teller& t) {
       t.At({.nodes = 25, .rate = 40, .slots_share = 0.35, .tells_attempts = true, .mode = Mode::kLive});
       t.Then(RetryStorm{.request_timeout = Whole(0.7 * t.ServiceSeconds()), .retries_max = 6});
       t.Traffic(Rise(1.33, -30, 60));
       t.Coincidence();
     }},
    {{"broken_release", Cause::kBadDeploy, "3 nodes; a release fails four of ten"},
     [](Teller& t) {
       t.At({.nodes = 3, .rate = 50});
       t.Then(BadDeploy{.error_ratio = 0.4, .gap = absl::Seconds(8)});
       t.Felt(10);
       t.Coincidence();
     }},
    {{"slow_release_at_night", Cause::kBadDeploy,
      "30 idle nodes; a release waits on a lock, three times as long, a node each 3 s"},
     [](Teller& t) {
       t.At({.nodes = 30, .rate = 8, .cores_share = 0.03, .slots_share = 0.2});
       t.Then(BadDeploy{.code_slowness = 3, .gap = absl::Seconds(3)});
       t.Felt(45);
       t.Coincidence();
     }},
    {{"two_in_a_hundred", Cause::kBadDeploy, "12 nodes; after a release two answers in a hundred fail"},
     [](Teller& t) {
       t.At({.nodes = 12, .rate = 60});
       t.Then(BadDeploy{.error_ratio = 0.025, .gap = absl::Seconds(3)});
       t.Felt(20);
       t.Coincidence();
     }},
    {{"one_fails_all", Cause::kSoftware, "40 nodes; one's file system went read-only: it fails all"},
     [](Teller& t) {
       t.At({.nodes = 40, .rate = 25});
       t.Then(SoftwareErrors{1.0}, {.count = 1});
       t.Coincidence();
     }},
    {{"errors_after_maintenance", Cause::kSoftware,
      "8 nodes; restarted one by one for the kernel, then the identity service fails a fifth"},
     [](Teller& t) {
       t.At({.nodes = 8, .rate = 50});
       t.Then(RollingRestart{.gap = absl::Seconds(8)}, {}, -110);
       t.Then(SoftwareErrors{t.Vary(0.2)});
     }},
    {{"errors_at_noon", Cause::kSoftware, "25 busy nodes, live; 4 % of answers fail"},
     [](Teller& t) {
       t.At({.nodes = 25, .rate = 60, .cores_share = 0.5, .slots_share = 0.6, .mode = Mode::kLive});
       t.Then(SoftwareErrors{t.Vary(0.04)});
       t.Coincidence();
     }},
    {{"mild_loss", Cause::kNetwork, "10 nodes; 2 % of packets are lost everywhere"},
     [](Teller& t) {
       t.At({.nodes = 10, .rate = 50});
       t.Then(PacketLoss{t.Vary(0.02)});
       t.Coincidence();
     }},
    {{"one_bad_cable", Cause::kNetwork, "40 nodes; one's cable loses a fifth"},
     [](Teller& t) {
       t.At({.nodes = 40, .rate = 30});
       t.Then(PacketLoss{0.2}, {.count = 1});
       t.Coincidence();
     }},
    {{"loss_at_night", Cause::kNetwork, "3 idle nodes; a tenth is lost"},
     [](Teller& t) {
       t.At({.nodes = 3, .rate = 8, .cores_share = 0.03, .slots_share = 0.2});
       t.Then(PacketLoss{0.1});
       t.Coincidence();
     }},
    {{"loss_and_impatience", Cause::kNetwork, "15 nodes; a quarter is lost, clients wait 0.3 s and try four times"},
     [](Teller& t) {
       t.At({.nodes = 15,
             .rate = 40,
             .slots_share = 0.35,
             .retries = 4,
             .timeout_seconds = 0.3,
             .tells_attempts = true});
       t.Then(PacketLoss{t.Vary(0.25)});
       t.Coincidence();
     }},
    {{"all_devices_at_night", Cause::kSlowDisk, "12 idle nodes; a scrub: every device takes eight times as long"},
     [](Teller& t) {
       t.At({.nodes = 12, .rate = 8, .cores_share = 0.03, .slots_share = 0.2});
       t.Then(SlowDisk{t.Vary(8)});
       t.Coincidence();
     }},
    {{"one_of_three", Cause::kSlowDisk, "3 nodes; one's disk takes seven times as long"},
     [](Teller& t) {
       t.At({.nodes = 3, .rate = 50});
       t.Then(SlowDisk{t.Vary(7)}, {.count = 1});
       t.Coincidence();
     }},
    {{"array_stalls", Cause::kSlowDisk,
      "8 nodes on one array that stalls: forty times; clients try again, slots run out"},
     [](Teller& t) {
       t.At({.nodes = 8, .rate = 60, .slots_share = 0.4, .retries = 3, .timeout_seconds = 1.5});
       t.Then(SlowDisk{t.Vary(40)});
       t.Coincidence();
     }},
    {{"one_of_sixty", Cause::kSlowDisk, "60 nodes; one's disk takes fifteen times as long"},
     [](Teller& t) {
       t.At({.nodes = 60, .rate = 25});
       t.Then(SlowDisk{t.Vary(15)}, {.count = 1});
       t.Coincidence();
     }},
    {{"one_core_thief", Cause::kCpu, "30 nodes; one has a runaway process: twenty times the cores"},
     [](Teller& t) {
       t.At({.nodes = 30, .rate = 40, .cores_share = 0.15});
       t.Then(BusyProcessor{t.Vary(20)}, {.count = 1});
       t.Coincidence();
     }},
    {{"all_cores_at_noon", Cause::kCpu,
      "9 nodes, a third of the cores in use; live migration halves, then thirds them"},
     [](Teller& t) {
       t.At({.nodes = 9, .rate = 60, .cores_share = 0.35});
       t.Then(BusyProcessor{2}, {}, 0, 30);
       t.Then(BusyProcessor{t.Vary(4)}, {}, 30);
       t.Felt(30);
       t.Coincidence();
     }},
    {{"hot_of_three", Cause::kHotNode, "3 nodes; eight of ten requests fall on one"},
     [](Teller& t) {
       t.At({.nodes = 3, .rate = 40, .slots_share = 0.25});
       t.Then(HotNode{0.8}, {.count = 1});
       t.Coincidence();
     }},
    {{"hot_behind_l4", Cause::kHotNode,
      "10 nodes behind an L4 balancer whose hash has gone wrong: six of ten new connections to one"},
     [](Teller& t) {
       t.At({.nodes = 10, .rate = 40, .slots_share = 0.25, .idle_seconds = 5, .spread = Spread::kConnections});
       t.Then(HotNode{0.6}, {.count = 1});
       t.Felt(30);
       t.Coincidence();
     }},
    {{"reports_half_lost", Cause::kReportLoss, "12 nodes; a third of the agents hang"},
     [](Teller& t) {
       t.At({.nodes = 12, .rate = 40});
       const absl::Time start = t.Start();
       t.Hears([start](absl::Time at, const NodeId& node) { return at < start || Mixed(node) % 3 != 0; });
       t.Coincidence();
     }},
    {{"all_silent", Cause::kReportLoss, "9 nodes; the controller's network is cut"},
     [](Teller& t) {
       t.At({.nodes = 9, .rate = 40});
       const absl::Time start = t.Start();
       t.Hears([start](absl::Time at, const NodeId&) { return at < start; });
       t.Coincidence();
     }},
    {{"new_nodes_unknown", Cause::kImbalance, "40 nodes; eight come and the balancer's discovery hangs"},
     [](Teller& t) {
       t.At({.nodes = 40, .rate = 30, .cores_share = 0.3, .slots_share = 0.6});
       t.Then(Imbalance{}, {}, -80);
       t.Launch(-50, 8);
       t.Felt(15);
       t.Coincidence();
     }},
    {{"fifth_node_unknown", Cause::kImbalance, "4 nodes behind an L4 balancer; a fifth comes and is not in its list"},
     [](Teller& t) {
       t.At({.nodes = 4,
             .rate = 60,
             .cores_share = 0.3,
             .slots_share = 0.6,
             .idle_seconds = 10,
             .spread = Spread::kConnections});
       t.Then(Imbalance{}, {}, -80);
       t.Launch(-50, 1);
       t.Felt(15);
       t.Coincidence();
     }},
};

}  // namespace

absl::Span<const Telling> StoriesOfCoincidence() {
  return kStories;
}

}  // namespace headroom::sim
