#include "tests/controller/sim/teller.h"

namespace headroom::sim {
namespace {

const Telling kStories[] = {
    {{"plain_slow_disk", Cause::kSlowDisk, "the model's own figures, 3 to 20 nodes, a minute or more of calm"},
     [](Teller& t) {
       t.Plain();
       t.Then(SlowDisk{}, {});
     }},
    {{"plain_slow_disk_of_one", Cause::kSlowDisk, "the model's own figures, 3 to 20 nodes, a minute or more of calm"},
     [](Teller& t) {
       t.Plain();
       t.Then(SlowDisk{}, {.count = 1});
     }},
    {{"plain_busy_processor", Cause::kCpu, "the model's own figures, 3 to 20 nodes, a minute or more of calm"},
     [](Teller& t) {
       t.Plain();
       t.Then(BusyProcessor{}, {});
     }},
    {{"plain_busy_processor_of_one", Cause::kCpu, "the model's own figures, 3 to 20 nodes, a minute or more of calm"},
     [](Teller& t) {
       t.Plain();
       t.Then(BusyProcessor{}, {.count = 1});
     }},
    {{"plain_software_errors", Cause::kSoftware, "the model's own figures, 3 to 20 nodes, a minute or more of calm"},
     [](Teller& t) {
       t.Plain();
       t.Then(SoftwareErrors{}, {});
     }},
    {{"plain_software_errors_of_one", Cause::kSoftware,
      "the model's own figures, 3 to 20 nodes, a minute or more of calm"},
     [](Teller& t) {
       t.Plain();
       t.Then(SoftwareErrors{}, {.count = 1});
     }},
    {{"plain_packet_loss", Cause::kNetwork, "the model's own figures, 3 to 20 nodes, a minute or more of calm"},
     [](Teller& t) {
       t.Plain();
       t.Then(PacketLoss{}, {});
     }},
    {{"plain_packet_loss_of_one", Cause::kNetwork, "the model's own figures, 3 to 20 nodes, a minute or more of calm"},
     [](Teller& t) {
       t.Plain();
       t.Then(PacketLoss{}, {.count = 1});
     }},
    {{"plain_hot_node", Cause::kHotNode, "the model's own figures, 3 to 20 nodes, a minute or more of calm"},
     [](Teller& t) {
       t.Plain();
       t.Then(HotNode{}, {});
     }},
    {{"plain_bad_deploy", Cause::kBadDeploy, "the model's own figures, 3 to 20 nodes, a minute or more of calm"},
     [](Teller& t) {
       t.Plain();
       t.Then(BadDeploy{.error_ratio = 0.1}, {});
       t.Felt(10);
     }},
    {{"plain_bad_deploy_of_one", Cause::kBadDeploy, "the model's own figures, 3 to 20 nodes, a minute or more of calm"},
     [](Teller& t) {
       t.Plain();
       t.Then(BadDeploy{.error_ratio = 0.1}, {.count = 1});
       t.Felt(10);
     }},
    {{"plain_slow_deploy", Cause::kBadDeploy, "the model's own figures, 3 to 20 nodes, a minute or more of calm"},
     [](Teller& t) {
       t.Plain();
       t.Then(BadDeploy{.code_slowness = 5}, {});
       t.Felt(10);
     }},
    {{"plain_slow_deploy_of_one", Cause::kBadDeploy,
      "the model's own figures, 3 to 20 nodes, a minute or more of calm"},
     [](Teller& t) {
       t.Plain();
       t.Then(BadDeploy{.code_slowness = 5}, {.count = 1});
       t.Felt(10);
     }},
    {{"plain_client_leak", Cause::kClientLeak, "the model's own figures, 3 to 20 nodes, a minute or more of calm"},
     [](Teller& t) {
       t.Plain();
       t.Then(ClientLeak{.connections_per_second = 30}, {});
       t.FeltWhenFull();
     }},
    {{"plain_retry_storm", Cause::kRetryStorm, "the model's own figures, 3 to 20 nodes, a minute or more of calm"},
     [](Teller& t) {
       t.Plain();
       t.Then(RetryStorm{}, {});
     }},
    {{"plain_surge", Cause::kSurge, "the model's own figures; clients four times as many"},
     [](Teller& t) {
       t.Plain();
       t.Traffic([](double at) { return at < 0 ? 1.0 : 4.0; });
       t.FeltWhenFull();
     }},
};

}  // namespace

absl::Span<const Telling> PlainStories() {
  return kStories;
}

}  // namespace headroom::sim
