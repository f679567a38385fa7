#include "controller/server/service_manager.h"

#include <cstdlib>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/controller/server/notify_socket.h"

namespace headroom {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class ServiceManagerTest : public ::testing::Test {
 protected:
  ServiceManagerTest() {
    setenv("WATCHDOG_USEC", "30000000", 1);
    unsetenv("WATCHDOG_PID");
  }
  ~ServiceManagerTest() override { unsetenv("WATCHDOG_USEC"); }
  std::vector<std::string> Heard() { return systemd_.Heard(); }

 private:
  NotifySocket systemd_;
};

TEST_F(ServiceManagerTest, GoodHealthFeedsTheWatchdogEachTimeAndTellsTheStateOnce) {
  ServiceManager manager("cluster files");
  manager.SayReady();
  manager.SayHealth(absl::OkStatus(), "deciding");
  manager.SayHealth(absl::OkStatus(), "deciding");
  EXPECT_THAT(Heard(), ElementsAre("READY=1", "WATCHDOG=1", "STATUS=cluster files: deciding", "WATCHDOG=1"));
}

TEST_F(ServiceManagerTest, ALoopThatDoesNotDecideStarvesTheWatchdogAndSaysWhy) {
  ServiceManager manager("cluster files");
  manager.SayHealth(absl::OkStatus(), "deciding");
  Heard();
  manager.SayHealth(absl::UnavailableError("no decision for 5s"), "deciding");
  manager.SayHealth(absl::UnavailableError("no decision for 5s"), "deciding");
  EXPECT_THAT(Heard(), ElementsAre("STATUS=cluster files: no decision for 5s"));
  manager.SayHealth(absl::OkStatus(), "deciding");
  EXPECT_THAT(Heard(), ElementsAre("WATCHDOG=1", "STATUS=cluster files: deciding"));
}

TEST_F(ServiceManagerTest, AStateOfSeveralLinesIsToldInOne) {
  ServiceManager manager("cluster files");
  manager.SayHealth(absl::UnavailableError("first\nREADY=1"), "deciding");
  EXPECT_THAT(Heard(), ElementsAre("STATUS=cluster files: first; READY=1"));
}

TEST_F(ServiceManagerTest, AReloadBeginsAndEnds) {
  ServiceManager manager("cluster files");
  manager.SayReloading();
  manager.SayReady();
  EXPECT_THAT(Heard(), ElementsAre("RELOADING=1", "READY=1"));
}

TEST_F(ServiceManagerTest, TheEndIsTold) {
  ServiceManager manager("cluster files");
  manager.SayStopping();
  EXPECT_THAT(Heard(), ElementsAre("STOPPING=1", "STATUS=cluster files: stopping, nodes keep running"));
}

TEST_F(ServiceManagerTest, NoWatchdogIsFedWhereNoneWaits) {
  unsetenv("WATCHDOG_USEC");
  ServiceManager manager("cluster files");
  manager.SayHealth(absl::OkStatus(), "deciding");
  EXPECT_THAT(Heard(), ElementsAre("STATUS=cluster files: deciding"));
}

TEST_F(ServiceManagerTest, NothingIsSaidWhereNobodyAsked) {
  unsetenv("NOTIFY_SOCKET");
  ServiceManager manager("cluster files");
  manager.SayReady();
  manager.SayHealth(absl::OkStatus(), "deciding");
  manager.SayStopping();
  EXPECT_THAT(Heard(), IsEmpty());
}

}  // namespace
}  // namespace headroom
