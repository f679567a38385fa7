// Real programs over TLS: two headroomd of which one leads, a headroom-node and a headroomctl that find it.

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <sys/wait.h>

#include "controller/server/port.h"
#include "tests/controller/wire/key_folder.h"
#include "tests/ha/child.h"

namespace headroom {
namespace {

using ::testing::HasSubstr;

constexpr absl::Duration kPatience = absl::Seconds(60);

constexpr char kPolicy[] = R"(cluster: shop
mode: dry_run
nodes:
  min: 1
  max: 4
provider:
  simulated:
    seed: 7
)";

class WireTest : public ::testing::Test {
 protected:
  WireTest() {
    std::ofstream(Path("policy.yaml")) << kPolicy;
    for (const char* name : {"a", "b"}) {
      const TempDir probe;
      endpoints_.push_back(absl::StrCat("127.0.0.1:", *ChoosePort(probe.path())));
      StartController(name, endpoints_.back());
    }
  }
  std::string Path(const std::string& name) const { return absl::StrCat(folder_.path(), "/", name); }
  static std::vector<std::string> Flags(const KeyFolder& keys) {
    return {"--tls-cert", keys.files().certificate, "--tls-key", keys.files().key,
            "--tls-ca",   keys.files().authorities};
  }
  static std::vector<std::string> With(std::vector<std::string> arguments, const std::vector<std::string>& more) {
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
  void StartController(const std::string& name, const std::string& endpoint) {
    controllers_.push_back(std::make_unique<Child>(
        "headroomd",
        With({"--config", Path("policy.yaml"), "--state-dir", Path("state"), "--election", "file", "--grpc-port",
              endpoint.substr(endpoint.rfind(':') + 1), "--http-port", "0"},
             Flags(controller_keys_)),
        Path(name)));
  }
  // A node with the names of its certificate.
  std::unique_ptr<Child> StartNode(const std::string& id, const KeyFolder& keys) {
    return std::make_unique<Child>(
        "headroom-node",
        With({"--data-dir", folder_.path(), "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--node-id", id,
              "--controller", absl::StrCat(endpoints_[1], ",", endpoints_[0])},
             Flags(keys)),
        Path("node-" + id));
  }
  // What headroomctl says, and its exit code as the last line.
  std::string Ctl(const std::vector<std::string>& arguments, const KeyFolder& keys) {
    const std::string log = Path(absl::StrCat("ctl-", ++ctl_count_));
    Child ctl("headroomctl",
              With({"--server", absl::StrCat(endpoints_[1], ",", endpoints_[0])}, With(Flags(keys), arguments)), log);
    const int code = ctl.Wait();
    return absl::StrCat(ctl.log(), "exit ", code);
  }
  static bool Eventually(const std::function<bool()>& holds) {
    const absl::Time end = absl::Now() + kPatience;
    while (absl::Now() < end) {
      if (holds()) return true;
      absl::SleepFor(absl::Milliseconds(50));
    }
    return holds();
  }
  // Which of the two leads; -1: none.
  int Leader() const {
    for (size_t i = 0; i < controllers_.size(); ++i) {
      if (absl::StrContains(controllers_[i]->log(), " started ")) return static_cast<int>(i);
    }
    return -1;
  }

  const TempDir folder_;
  const Authority authority_{"the authority"};
  const KeyFolder controller_keys_{authority_, {"IP:127.0.0.1"}};
  const KeyFolder node_keys_{authority_, {"URI:spiffe://headroom/shop/node/node-7"}};
  const KeyFolder operator_keys_{authority_, {"URI:spiffe://headroom/shop/operator/ann"}};
  std::vector<std::string> endpoints_;
  std::vector<std::unique_ptr<Child>> controllers_;
  int ctl_count_ = 0;
};

TEST_F(WireTest, NodesAndOperatorsFindTheLeaderAndTheNextOne) {
  ASSERT_TRUE(Eventually([&] { return Leader() >= 0; }));
  const auto first = static_cast<size_t>(Leader()), second = 1 - first;
  const auto node = StartNode("node-7", node_keys_);
  const auto found = [&](size_t at) {
    return absl::StrContains(node->log(), absl::StrCat("controller_found controller=", endpoints_[at]));
  };
  ASSERT_TRUE(Eventually([&] { return found(first); })) << node->log();
  EXPECT_THAT(Ctl({"status"}, operator_keys_), HasSubstr("exit 0"));
  controllers_[first]->Signal(SIGKILL);
  ASSERT_TRUE(Eventually([&] { return found(second); })) << node->log();
  EXPECT_THAT(Ctl({"hold", "down", "--reason", "test"}, operator_keys_), HasSubstr("exit 0"));
}

TEST_F(WireTest, WhoIsNotWhoItSaysIsToldSo) {
  ASSERT_TRUE(Eventually([&] { return Leader() >= 0; }));
  const std::string refused = Ctl({"status"}, node_keys_);
  EXPECT_THAT(refused, HasSubstr("the certificate is that of node \"node-7\", who may only report"));
  EXPECT_THAT(refused, HasSubstr("exit 4"));
  const auto impostor = StartNode("node-8", node_keys_);
  EXPECT_TRUE(Eventually([&] { return absl::StrContains(impostor->log(), "who may not report as node"); }));
  const Authority foreign("foreign");
  const KeyFolder stranger(foreign, {"URI:spiffe://headroom/shop/admin/eve"}, authority_);
  EXPECT_THAT(Ctl({"status"}, stranger), HasSubstr("it refuses the certificate"));
}

}  // namespace
}  // namespace headroom
