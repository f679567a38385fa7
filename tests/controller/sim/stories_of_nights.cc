#include "tests/controller/sim/teller.h"

namespace headroom::sim {
namespace {

const Telling kStories[] = {
    // The limit, by a surge.
    {{"midnight_sale", Cause::kSurge, "24 nodes; customers triple in a minute at midnight, slots half taken before"},
     [](Teller& t) {
       t.At({.nodes = 24, .rate = 40, .slots_share = 0.5});
       t.Traffic(Rise(3, 0, 60));
       t.FeltWhenFull();
     }},
    {{"farm_wakes", Cause::kSurge,
      "6 idle nodes; a render farm's workers all begin to read at once, behind an L4 balancer"},
     [](Teller& t) {
       t.At({.nodes = 6, .rate = 8, .cores_share = 0.03, .slots_share = 0.12, .spread = Spread::kConnections});
       t.Traffic([](double at) { return at < 0 ? 1.0 : 12.0; });
       t.FeltWhenFull();
     }},
    {{"region_cut_over", Cause::kSurge,
      "40 nodes, live; another region's clients are sent here within 20 s; a node had crashed before"},
     [](Teller& t) {
       t.At({.nodes = 40, .rate = 25, .slots_share = 0.6, .mode = Mode::kLive});
       t.Then(NodeCrash{}, {.count = 1}, -100, 30);
       t.Traffic(Rise(2.5, 0, 20));
       t.FeltWhenFull();
     }},
    {{"release_then_campaign", Cause::kSurge,
      "8 nodes; a good release, and three minutes later a campaign: +150 % clients in two minutes"},
     [](Teller& t) {
       t.At({.nodes = 8, .rate = 70, .slots_share = 0.55, .spread = Spread::kConnections, .retries = 3});
       t.Then(GoodDeploy(4), {}, -130);
       t.Traffic(Rise(2.5, 0, 120));
       t.FeltWhenFull();
     }},
    // Leaks.
    {{"shipper_forgets_bodies", Cause::kClientLeak,
      "10 nodes; a log shipper's new release never closes what it opened, while the evening falls"},
     [](Teller& t) {
       t.At({.nodes = 10, .rate = 60, .slots_share = 0.4, .idle_seconds = 900});
       t.Then(ClientLeak{.connections_per_second = t.limit() * 10 / t.Vary(150), .clients = 25});
       t.Traffic(Tide(0.75));
       t.FeltWhenFull();
     }},
    {{"leak_in_the_morning", Cause::kClientLeak,
      "16 nodes; a fuse client leaks while the morning brings two fifths more"},
     [](Teller& t) {
       t.At({.nodes = 16, .rate = 50, .slots_share = 0.3, .idle_seconds = 900});
       t.Then(ClientLeak{.connections_per_second = t.limit() * 16 / t.Vary(180), .clients = 8});
       t.Traffic(Tide(1.4));
       t.FeltWhenFull();
     }},
    {{"one_host_hoards", Cause::kClientLeak,
      "3 nodes; one backup host opens all it can in a few seconds and sends nothing"},
     [](Teller& t) {
       t.At({.nodes = 3,
             .rate = 40,
             .slots_share = 0.3,
             .idle_seconds = 900,
             .spread = Spread::kConnections,
             .tells_attempts = true});
       t.Then(ClientLeak{.connections_per_second = t.limit() * 3 / 12, .clients = 1});
       t.FeltWhenFull();
     }},
    {{"night_leak", Cause::kClientLeak,
      "36 nodes idle at night; a timeout was removed from the balancer, idle sessions pile up for minutes"},
     [](Teller& t) {
       t.At({.nodes = 36, .rate = 6, .cores_share = 0.02, .slots_share = 0.2, .idle_seconds = 900});
       t.Then(ClientLeak{.connections_per_second = t.limit() * 36 / t.Vary(220), .clients = 400});
       t.FeltWhenFull();
     }},
    // Retries.
    {{"hasty_client", Cause::kRetryStorm,
      "12 nodes; a mobile release gives up after a fraction of the usual time and tries ten times"},
     [](Teller& t) {
       t.At({.nodes = 12, .rate = 50, .slots_share = 0.3, .tells_attempts = true});
       t.Then(RetryStorm{
           .request_timeout = Whole(0.6 * t.ServiceSeconds()), .backoff = absl::Milliseconds(20), .retries_max = 10});
     }},
    {{"storm_after_the_blip", Cause::kRetryStorm,
      "20 nodes; a switch reloads for 12 s; clients fall back to a hasty profile and stay there"},
     [](Teller& t) {
       t.At({.nodes = 20, .rate = 40, .slots_share = 0.35, .retries = 4, .tells_attempts = true});
       t.Meanwhile(Cause::kNetwork);
       t.Then(PacketLoss{0.3}, {}, -12, 12);
       t.Then(RetryStorm{
           .request_timeout = Whole(0.7 * t.ServiceSeconds()), .backoff = absl::Milliseconds(30), .retries_max = 6});
     }},
    {{"nested_mesh", Cause::kRetryStorm,
      "30 nodes; a mesh is told to try five times after 0.5 x the usual time, nobody counts attempts"},
     [](Teller& t) {
       t.At({.nodes = 30, .rate = 30, .cores_share = 0.1, .slots_share = 0.3});
       t.Then(RetryStorm{
           .request_timeout = Whole(0.5 * t.ServiceSeconds()), .backoff = absl::Milliseconds(10), .retries_max = 5});
     }},
    // Deploys.
    {{"costly_release", Cause::kBadDeploy,
      "20 nodes; a release checks each object twice: six times the cores, a node each six seconds"},
     [](Teller& t) {
       t.At({.nodes = 20, .rate = 45, .cores_share = 0.2});
       t.Then(BadDeploy{.processor_cost = 6, .gap = absl::Seconds(6)});
       t.Felt(60);
     }},
    {{"config_push", Cause::kBadDeploy,
      "9 nodes; a configuration names a dead key server: 5 % errors, all nodes within 20 s"},
     [](Teller& t) {
       t.At({.nodes = 9, .rate = 60});
       t.Then(BadDeploy{.release = {.version = "simulated/1", .config_hash = "c0ffee"},
                        .error_ratio = t.Vary(0.05),
                        .gap = absl::Seconds(2),
                        .down = absl::Seconds(1)});
       t.Felt(10);
     }},
    {{"canary", Cause::kBadDeploy, "24 nodes; three canaries wait on a lock: eight times as slow"},
     [](Teller& t) {
       t.At({.nodes = 24, .rate = 50, .slots_share = 0.3});
       t.Then(BadDeploy{.code_slowness = 8, .gap = absl::Seconds(8)}, {.count = 3});
       t.Felt(16);
     }},
    {{"release_in_the_morning", Cause::kBadDeploy,
      "6 nodes, live; a release is five times as slow while the morning rises by a third"},
     [](Teller& t) {
       t.At({.nodes = 6, .rate = 60, .slots_share = 0.4, .mode = Mode::kLive});
       t.Then(BadDeploy{.code_slowness = 5, .gap = absl::Seconds(6)});
       t.Traffic(Tide(1.35));
       t.Felt(18);
     }},
    // Software.
    {{"expired_certificate", Cause::kSoftware,
      "14 nodes, idle; the key server's certificate expires: a third of answers fails on all nodes at once"},
     [](Teller& t) {
       t.At({.nodes = 14, .rate = 12, .cores_share = 0.04, .slots_share = 0.15});
       t.Then(SoftwareErrors{t.Vary(0.3)});
     }},
    {{"lost_mount", Cause::kSoftware,
      "18 nodes; two lose a mount and fail six of ten; a good release went out three minutes before"},
     [](Teller& t) {
       t.At({.nodes = 18, .rate = 40, .tells_attempts = true});
       t.Then(GoodDeploy(2), {}, -140);
       t.Then(SoftwareErrors{0.6}, {.count = 2});
     }},
    {{"database_fills", Cause::kSoftware,
      "5 nodes; the metadata database fills: errors 1, 3, 8, 15 % within two minutes, retried"},
     [](Teller& t) {
       t.At({.nodes = 5, .rate = 80, .retries = 3});
       t.Then(SoftwareErrors{0.01}, {}, 0, 40);
       t.Then(SoftwareErrors{0.03}, {}, 40, 40);
       t.Then(SoftwareErrors{0.08}, {}, 80, 40);
       t.Then(SoftwareErrors{0.15}, {}, 120);
       t.Felt(80);
     }},
    // Network.
    {{"topology_change", Cause::kNetwork,
      "15 nodes; a switch stack drops a third of all packets after a cable was moved"},
     [](Teller& t) {
       t.At({.nodes = 15, .rate = 40, .slots_share = 0.3});
       t.Then(PacketLoss{t.Vary(0.3)});
     }},
    {{"zone_uplink", Cause::kNetwork,
      "24 nodes in three zones; one zone's uplink loses 4 %; 0.1 % is lost everywhere, always"},
     [](Teller& t) {
       t.At({.nodes = 24, .rate = 50, .slots_share = 0.35});
       t.Always(PacketLoss{0.001});
       t.Then(PacketLoss{t.Vary(0.04)}, {.zone = "b"});
     }},
    {{"flapping_card", Cause::kNetwork, "12 nodes; one's network card comes and goes, 20 s ill and 15 s well"},
     [](Teller& t) {
       t.At({.nodes = 12, .rate = 60, .slots_share = 0.3});
       for (int turn = 0; turn < 10; ++turn) t.Then(PacketLoss{0.4}, {.count = 1}, 35.0 * turn, 20);
     }},
    {{"dying_optics", Cause::kNetwork, "10 nodes, live, morning; half of them lose 0.3, 1, 3, 6 % within two minutes"},
     [](Teller& t) {
       t.At({.nodes = 10, .rate = 60, .slots_share = 0.4, .mode = Mode::kLive});
       const double losses[] = {0.003, 0.01, 0.03, 0.06};
       for (int step = 0; step < 4; ++step)
         t.Then(PacketLoss{losses[step]}, {.count = 5}, 30.0 * step, step < 3 ? 30 : 0);
       t.Traffic(Tide(1.3));
       t.Felt(60);
     }},
    // Devices.
    {{"failing_ssd", Cause::kSlowDisk, "20 nodes; one's disk retries inside: twelve times as slow"},
     [](Teller& t) {
       t.At({.nodes = 20, .rate = 50, .slots_share = 0.3});
       t.Then(SlowDisk{t.Vary(12)}, {.count = 1});
     }},
    {{"backfill", Cause::kSlowDisk,
      "9 nodes, busy, live; a new node joined and all move data to it: every device takes four times as long"},
     [](Teller& t) {
       t.At({.nodes = 9, .rate = 80, .cores_share = 0.3, .slots_share = 0.45, .mode = Mode::kLive});
       t.Launch(-60, 1);
       t.Then(SlowDisk{t.Vary(4)}, {.count = 9});
     }},
    {{"rebuild", Cause::kSlowDisk,
      "5 nodes; one rebuilds an array: 1.5, 3, 5, 8 times as slow over two minutes; a batch began 30 s before"},
     [](Teller& t) {
       t.At({.nodes = 5, .rate = 60, .slots_share = 0.35});
       const double slow[] = {1.5, 3, 5, 8};
       for (int step = 0; step < 4; ++step) t.Then(SlowDisk{slow[step]}, {.count = 1}, 30.0 * step, step < 3 ? 30 : 0);
       t.Traffic([](double at) { return at > -30 && at < 60 ? 1.2 : 1.0; });
       t.Felt(60);
     }},
    {{"volume_brownout", Cause::kSlowDisk,
      "30 nodes; the network volumes of one zone take twenty times as long; clients try again"},
     [](Teller& t) {
       t.At({.nodes = 30, .rate = 30, .slots_share = 0.4, .retries = 4, .timeout_seconds = 1});
       t.Then(SlowDisk{t.Vary(20)}, {.zone = "b"});
     }},
    // Cores.
    {{"scanner", Cause::kCpu,
      "8 nodes; a security scanner takes the cores of all: a request costs eight times as much"},
     [](Teller& t) {
       t.At({.nodes = 8, .rate = 60, .cores_share = 0.2});
       t.Then(BusyProcessor{t.Vary(8)});
     }},
    {{"no_crypto_card", Cause::kCpu, "24 nodes; one zone's hypervisors throttle: six times the cores for the same"},
     [](Teller& t) {
       t.At({.nodes = 24, .rate = 50, .cores_share = 0.25});
       t.Then(BusyProcessor{t.Vary(6)}, {.zone = "c"});
     }},
    {{"noisy_neighbour", Cause::kCpu,
      "15 nodes; two share a machine with somebody's training: twelve times the cores; one node restarted before"},
     [](Teller& t) {
       t.At({.nodes = 15, .rate = 40, .cores_share = 0.15});
       t.Then(NodeCrash{}, {.count = 1}, -70, 10);
       t.Then(BusyProcessor{t.Vary(12)}, {.count = 2});
     }},
    // Hot nodes.
    {{"viral_object", Cause::kHotNode, "12 nodes; half of all requests want one object"},
     [](Teller& t) {
       t.At({.nodes = 12, .rate = 40, .slots_share = 0.3});
       t.Then(HotNode{0.5}, {.count = 1});
     }},
    {{"hot_directory", Cause::kHotNode,
      "40 nodes; a sixth of all requests falls on one, while traffic rises by a fifth"},
     [](Teller& t) {
       t.At({.nodes = 40, .rate = 25, .slots_share = 0.3});
       t.Then(HotNode{0.17}, {.count = 1});
       t.Traffic(Tide(1.2));
     }},
    {{"hot_in_idleness", Cause::kHotNode,
      "6 idle nodes behind an L4 balancer; clients that reconnect are all sent to one"},
     [](Teller& t) {
       t.At({.nodes = 6, .rate = 10, .cores_share = 0.05, .slots_share = 0.2, .idle_seconds = 10});
       t.Then(HotNode{0.6}, {.count = 1});
     }},
    // Reports.
    {{"collector_gone", Cause::kReportLoss, "20 nodes; the management network of half of them is down, at once"},
     [](Teller& t) {
       t.At({.nodes = 20, .rate = 30});
       const absl::Time start = t.Start();
       t.Hears([start](absl::Time at, const NodeId& node) { return at < start || Mixed(node) % 2 == 0; });
     }},
    {{"agents_die", Cause::kReportLoss,
      "12 nodes; an upgrade of the agents hangs on one after another, each 4 s, up to two thirds"},
     [](Teller& t) {
       t.At({.nodes = 12, .rate = 50});
       const absl::Time start = t.Start();
       t.Hears([start](absl::Time at, const NodeId& node) {
         const size_t place = Mixed(node) % 12;
         return place >= 8 || at < start + absl::Seconds(4 * static_cast<double>(place));
       });
       t.Felt(16);
     }},
    {{"nine_of_ten_lost", Cause::kReportLoss,
      "7 nodes, live; a firewall's table is full: nearly no report arrives any more"},
     [](Teller& t) {
       t.At({.nodes = 7, .rate = 60, .mode = Mode::kLive});
       const absl::Time start = t.Start();
       t.Hears([start](absl::Time at, const NodeId& node) {
         return at < start || (Mixed(node) + static_cast<uint64_t>(absl::ToUnixMillis(at))) % 50 == 0;
       });
     }},
    // New nodes that nobody comes to know.
    {{"sticky_after_scale_out", Cause::kImbalance,
      "6 busy nodes; three more by hand, and the balancer's list is never read again"},
     [](Teller& t) {
       t.At({.nodes = 6, .rate = 80, .cores_share = 0.4, .slots_share = 0.6});
       t.Then(Imbalance{}, {}, -80);
       t.Launch(-50, 3);
       t.Felt(15);
     }},
    {{"cached_names", Cause::kImbalance,
      "20 nodes; five more come for a rising evening, clients keep the names they have cached"},
     [](Teller& t) {
       t.At({.nodes = 20, .rate = 50, .cores_share = 0.3, .slots_share = 0.6, .idle_seconds = 15});
       t.Then(Imbalance{}, {}, -80);
       t.Launch(-50, 5);
       t.Traffic(Tide(1.25));
       t.Felt(15);
     }},

};

}  // namespace

absl::Span<const Telling> StoriesOfNights() {
  return kStories;
}

}  // namespace headroom::sim
