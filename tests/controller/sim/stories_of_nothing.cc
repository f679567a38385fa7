#include "tests/controller/sim/teller.h"

namespace headroom::sim {
namespace {

const Telling kStories[] = {
    {{"quiet", Cause::kNone, "12 nodes, an ordinary day"}, [](Teller& t) { t.At({.nodes = 12}); }},
    {{"three_asleep", Cause::kNone, "3 nodes, a request a second"},
     [](Teller& t) { t.At({.nodes = 3, .rate = 0.4, .cores_share = 0.01, .slots_share = 0.05}); }},
    {{"sixty", Cause::kNone, "60 nodes, an ordinary day"}, [](Teller& t) { t.At({.nodes = 60, .rate = 25}); }},
    {{"busy", Cause::kNone, "10 nodes, two thirds of the cores and of the slots in use, always"},
     [](Teller& t) { t.At({.nodes = 10, .rate = 80, .cores_share = 0.6, .slots_share = 0.65}); }},
    {{"morning", Cause::kNone, "10 nodes, traffic doubles within ten minutes, slots suffice"},
     [](Teller& t) {
       t.At({.nodes = 10, .rate = 40, .slots_share = 0.3});
       t.Traffic(Tide(2));
     }},
    {{"evening", Cause::kNone, "20 nodes, traffic falls to a third"},
     [](Teller& t) {
       t.At({.nodes = 20, .rate = 40});
       t.Traffic(Tide(0.33));
     }},
    {{"rolling_restart", Cause::kNone, "12 nodes, each is restarted, one each 10 s"},
     [](Teller& t) {
       t.At({.nodes = 12});
       t.Then(RollingRestart{});
     }},
    {{"good_release", Cause::kNone, "16 nodes, a release that is as good as the one before"},
     [](Teller& t) {
       t.At({.nodes = 16});
       t.Then(GoodDeploy(4));
     }},
    {{"one_crash", Cause::kNone, "8 nodes, one server dies and is back after 20 s"},
     [](Teller& t) {
       t.At({.nodes = 8, .rate = 60});
       t.Then(NodeCrash{}, {.count = 1}, 0, 20);
     }},
    {{"short_batch", Cause::kNone, "9 nodes, half as much again for 40 s, slots suffice"},
     [](Teller& t) {
       t.At({.nodes = 9, .slots_share = 0.3});
       t.Traffic([](double at) { return at > 0 && at < 40 ? 1.5 : 1.0; });
     }},
    {{"batch_each_minute", Cause::kNone, "9 nodes behind an L4 balancer, a batch for ten seconds of each minute"},
     [](Teller& t) {
       t.At({.nodes = 9, .slots_share = 0.3, .spread = Spread::kConnections});
       t.Requests([](double at) { return std::fmod(at + 6000, 60) < 10 ? 1.6 : 1.0; });
     }},
    {{"a_little_loss", Cause::kNone, "14 nodes, 0.1 % of packets are lost for two minutes"},
     [](Teller& t) {
       t.At({.nodes = 14});
       t.Then(PacketLoss{0.001}, {}, 0, 120);
     }},
    {{"a_few_errors", Cause::kNone, "10 nodes, 0.3 % of answers fail, always"},
     [](Teller& t) {
       t.At({.nodes = 10});
       t.Always(SoftwareErrors{0.003});
     }},
    {{"reconnect", Cause::kNone,
      "8 nodes behind an L4 balancer; one client's pool connects anew: some 5 % of slots at once, then closes them"},
     [](Teller& t) {
       t.At({.nodes = 8, .rate = 50, .spread = Spread::kConnections});
       t.Then(ClientLeak{.connections_per_second = t.limit() * 8 * 0.05 / 3, .clients = 1}, {}, 0, 3);
     }},
    {{"older_machines", Cause::kNone, "12 nodes, a third of them have slower disks and cores, always"},
     [](Teller& t) {
       t.At({.nodes = 12, .rate = 50});
       t.Always(SlowDisk{1.4}, {.count = 4});
       t.Always(BusyProcessor{1.5}, {.count = 4});
     }},
    {{"scale_out_well_done", Cause::kNone, "6 nodes, three more by hand, clients find them"},
     [](Teller& t) {
       t.At({.nodes = 6, .rate = 60, .cores_share = 0.3});
       t.Launch(-30, 3);
     }},
    {{"live_growth", Cause::kNone, "8 nodes, live, traffic rises by four fifths within ten minutes"},
     [](Teller& t) {
       t.At({.nodes = 8, .rate = 50, .slots_share = 0.5, .mode = Mode::kLive});
       t.Traffic(Tide(1.8));
     }},
    {{"zone_rests", Cause::kNone,
      "15 nodes behind an L4 balancer, nearly nothing to do for minutes, then half of an ordinary day"},
     [](Teller& t) {
       t.At({.nodes = 15, .rate = 30, .spread = Spread::kConnections});
       t.Traffic([](double at) { return at < 0 ? 0.05 : 0.5; });
     }},
    {{"backup_reads", Cause::kNone,
      "10 nodes; a nightly backup reads from few connections: a fifth more requests, no more clients"},
     [](Teller& t) {
       t.At({.nodes = 10, .rate = 50});
       t.Requests(Rise(1.2, 0, 10));
     }},
    {{"no_traffic_at_all", Cause::kNone, "5 nodes, nobody calls"},
     [](Teller& t) {
       t.At({.nodes = 5, .rate = 0.05, .cores_share = 0.01, .slots_share = 0.05});
       t.Traffic([](double) { return 0.0; });
     }},
};

}  // namespace

absl::Span<const Telling> StoriesOfNothing() {
  return kStories;
}

}  // namespace headroom::sim
