#include "controller/server/port.h"

#include "gtest/gtest.h"
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "controller/providers/local_record.h"
#include "tests/controller/runtime/temp_dir.h"

namespace headroom {
namespace {

// Holds a port as another server would.
class Listener {
 public:
  explicit Listener(int port) : descriptor_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listens_ =
        bind(descriptor_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 && listen(descriptor_, 1) == 0;
  }
  ~Listener() { close(descriptor_); }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;
  bool listens() const { return listens_; }

 private:
  int descriptor_;
  bool listens_ = false;
};

TEST(PortTest, ARestartComesBackToThePortThatItsNodesKnow) {
  TempDir dir;
  const auto first = ChoosePort(dir.path());
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_GT(*first, 0);
  for (int restart = 0; restart < 5; ++restart) EXPECT_EQ(ChoosePort(dir.path()).value_or(0), *first);
}

TEST(PortTest, APortThatSomebodyElseHasIsReplacedForGood) {
  TempDir dir;
  const int first = ChoosePort(dir.path()).value_or(0);
  const Listener stranger(first);
  ASSERT_TRUE(stranger.listens());
  const int second = ChoosePort(dir.path()).value_or(0);
  EXPECT_GT(second, 0);
  EXPECT_NE(second, first);
  EXPECT_EQ(ChoosePort(dir.path()).value_or(0), second);
}

TEST(PortTest, AFileThatSaysNoPortIsNoReasonNotToStart) {
  TempDir dir;
  for (const char* text : {"", "none", "-1", "65536", "0"}) {
    ASSERT_TRUE(WriteStateFile(dir.path() + "/grpc_port", text).ok());
    EXPECT_GT(ChoosePort(dir.path()).value_or(0), 0) << text;
  }
}

}  // namespace
}  // namespace headroom
