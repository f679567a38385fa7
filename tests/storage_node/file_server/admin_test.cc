#include "storage_node/file_server/admin.h"

#include <list>

#include "absl/strings/str_cat.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/storage_node/file_server/server_fixture.h"

namespace headroom {
namespace {

using ::testing::HasSubstr;

class AdminTest : public ServerTest {};

TEST_F(AdminTest, IsServedWhileTheDataPortIsFull) {
  limits_.connections = 1;
  directory_.Put("f", "x");
  Start();
  TestClient holder(server_->port()), waiting(server_->port());
  ASSERT_EQ(holder.Call("GET", "/f").status, 200);
  ASSERT_TRUE(Eventually([&] { return gate_->Read().waiting == 1; }));
  EXPECT_EQ(Admin("GET", "/healthz").status, 200);
  EXPECT_EQ(Admin("GET", "/readyz").status, 200) << "full is not dead";
  EXPECT_THAT(Admin("GET", "/status").body, HasSubstr("\"rejected\":1,"));
}

TEST_F(AdminTest, MoreProbesThanReservedSlotsAreServedInTurn) {
  Start();
  std::list<TestClient> probes;
  const auto reserved = static_cast<size_t>(gate_->reserved_limit());
  for (size_t i = 0; i < reserved; ++i) {
    probes.emplace_back(server_->admin_port());
    ASSERT_EQ(probes.back().Call("GET", "/healthz").status, 200);
  }
  TestClient next(server_->admin_port());
  ASSERT_TRUE(next.Send("GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n"));
  EXPECT_FALSE(next.HasBytesWithin(absl::Milliseconds(100)));
  probes.pop_front();
  EXPECT_EQ(next.Read().status, 200);
}

TEST_F(AdminTest, StatusTellsCountersLimitsAndTheDeclaredDevice) {
  options_.device = {.latency = absl::Milliseconds(2), .parallel = 3};
  limits_.connections = 77;
  directory_.Put("f", "x");
  Start();
  TestClient client(server_->port());
  ASSERT_EQ(client.Call("GET", "/f").status, 200);
  ASSERT_TRUE(Eventually([&] { return gate_->Read().idle == 1; }));
  const std::string status = Admin("GET", "/status").body;
  for (const char* part :
       {"\"state\":\"serving\"", "\"accepted\":1,", "\"open\":1,", "\"idle\":1,", "\"completed\":1,",
        "\"bytes_out\":1,", "\"connection_limit\":77,", "\"device_latency_seconds\":0.002,", "\"device_parallel\":3,",
        "\"accept_queue_capacity\":128,", "\"under_", "\"top_clients\":{\"127.0.0.1\":1}"}) {
    EXPECT_THAT(status, HasSubstr(part));
  }
}

TEST_F(AdminTest, LimitsAreSetTogetherOrNotAtAll) {
  Start();
  const TestResponse set = Admin("POST", "/limits?connections=50&in_flight=7&idle_timeout=5s&shed_idle_min_age=200ms");
  EXPECT_EQ(set.status, 200);
  EXPECT_THAT(set.body, HasSubstr("\"connections\":50,\"in_flight\":7,\"idle_timeout_seconds\":5,"));
  EXPECT_THAT(set.body, HasSubstr("\"bound_by\":\"none\""));
  for (const char* bad : {"connections=0", "connections=-1", "connections=abc", "in_flight=-2", "idle_timeout=5",
                          "connections=60&idle_timeout=soon", "idle_timeout=-1s"}) {
    EXPECT_EQ(Admin("POST", absl::StrCat("/limits?", bad)).status, 400) << bad;
  }
  EXPECT_EQ(gate_->limits().connections, 50);
  EXPECT_EQ(gate_->limits().in_flight, 7);
  EXPECT_EQ(gate_->limits().shed_idle_min_age, absl::Milliseconds(200));
  EXPECT_EQ(gate_->limits().idle_timeout, absl::Seconds(5));
}

TEST_F(AdminTest, ALimitBeyondTheDescriptorsIsCutAndSaysWhy) {
  Start();
  const TestResponse set = Admin("POST", absl::StrCat("/limits?connections=", SlotCounter::kMost));
  EXPECT_EQ(set.status, 200);
  const bool cut = gate_->limits().connections < SlotCounter::kMost;  // not where the hard limit is huge
  EXPECT_THAT(set.body, HasSubstr(cut ? "\"bound_by\":\"fds\"" : "\"bound_by\":\"none\""));
}

TEST_F(AdminTest, ShedsIdleConnectionsOnRequest) {
  directory_.Put("f", "x");
  Start();
  TestClient first(server_->port()), second(server_->port());
  ASSERT_EQ(first.Call("GET", "/f").status, 200);
  ASSERT_TRUE(Eventually([&] { return gate_->Read().idle == 2; }));
  ASSERT_EQ(second.Call("GET", "/f").status, 200);
  ASSERT_TRUE(Eventually([&] { return gate_->Read().idle == 2; }));
  EXPECT_EQ(Admin("POST", "/shed?connections=1&min_age=1h").body, "{\"shed\":0}\n");
  EXPECT_EQ(Admin("POST", "/shed?connections=1").body, "{\"shed\":1}\n");
  EXPECT_TRUE(first.ReadsEnd());
  EXPECT_EQ(second.Call("GET", "/f").status, 200);
  EXPECT_EQ(Admin("POST", "/shed").status, 400);
}

TEST_F(AdminTest, DrainsAndUndrains) {
  Start();
  EXPECT_THAT(Admin("POST", "/drain").body, HasSubstr("draining"));
  EXPECT_THAT(Admin("GET", "/readyz").body, HasSubstr("draining"));
  EXPECT_EQ(Admin("GET", "/healthz").status, 200);
  EXPECT_THAT(Admin("POST", "/undrain").body, HasSubstr("serving"));
  EXPECT_EQ(Admin("GET", "/readyz").status, 200);
}

TEST_F(AdminTest, RefusesWhatItDoesNotKnow) {
  Start();
  EXPECT_EQ(Admin("GET", "/drain").status, 405) << "a look must change nothing";
  EXPECT_EQ(Admin("GET", "/limits?connections=5").status, 405);
  EXPECT_EQ(Admin("GET", "/other").status, 404);
  EXPECT_EQ(server_->state(), ServerState::kServing);
}

TEST(FileServerStartTest, SaysInOneSentenceWhyItCannotStart) {
  TemporaryDirectory directory;
  const auto start = [&](FileServerOptions options) {
    Gate gate;
    return FileServer::Start(gate, std::move(options)).status();
  };
  FileServerOptions good;
  good.data_directory = directory.path();
  good.listen = good.admin_listen = "127.0.0.1:0";

  FileServerOptions options = good;
  options.data_directory = "/nowhere/at/all";
  EXPECT_THAT(std::string(start(options).message()), HasSubstr("/nowhere/at/all"));
  options = good;
  options.listen = "8080";
  EXPECT_EQ(start(options).code(), absl::StatusCode::kInvalidArgument);
  options.listen = "not-an-address:1";
  EXPECT_EQ(start(options).code(), absl::StatusCode::kInvalidArgument);

  Gate gate;
  const auto running = FileServer::Start(gate, good);
  ASSERT_TRUE(running.ok());
  options = good;
  options.listen = absl::StrCat("127.0.0.1:", (*running)->port());
  EXPECT_EQ(start(options).code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(start(options).message()), HasSubstr(options.listen));
  options = good;
  options.admin_listen = absl::StrCat("127.0.0.1:", (*running)->admin_port());
  EXPECT_THAT(std::string(start(options).message()), HasSubstr("admin port"));
}

}  // namespace
}  // namespace headroom
