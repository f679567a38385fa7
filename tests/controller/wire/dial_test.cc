// Who reaches whom, and what is said to those who do not.

#include "controller/wire/dial.h"

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "controller/wire/why_not.h"
#include "tests/controller/providers/http/scripted_server.h"
#include "tests/controller/wire/key_folder.h"

namespace headroom {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// A gRPC server without a method.
class Server {
 public:
  explicit Server(const std::shared_ptr<grpc::ServerCredentials>& credentials) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", credentials, &port_);
    builder.RegisterCallbackGenericService(&nothing_);
    server_ = builder.BuildAndStart();
    HR_CHECK(server_ != nullptr && port_ != 0);
  }
  std::string at(absl::string_view host) const { return absl::StrCat(host, ":", port_); }
  int port() const { return port_; }

 private:
  grpc::CallbackGenericService nothing_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

// A port that takes connections and does nothing with them.
class Listener {
 public:
  Listener() {
    sockaddr_in address{.sin_family = AF_INET, .sin_port = 0, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
    socklen_t size = sizeof address;
    HR_CHECK(bind(fd_, reinterpret_cast<sockaddr*>(&address), size) == 0);
    HR_CHECK(listen(fd_, 8) == 0);
    HR_CHECK(getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
    endpoint_ = absl::StrCat("127.0.0.1:", ntohs(address.sin_port));
  }
  ~Listener() { close(fd_); }
  int fd() const { return fd_; }
  const std::string& endpoint() const { return endpoint_; }

 private:
  const int fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  std::string endpoint_;
};

absl::Status Try(const std::string& endpoint, const WireCredentials* credentials) {
  return Dial(endpoint, {.timeout = absl::Seconds(10), .credentials = credentials}).status();
}

class DialTest : public ::testing::Test {
 protected:
  const Authority ours_{"ours"}, theirs_{"theirs"};
  const std::vector<std::string> server_names_{"DNS:localhost", "IP:127.0.0.1"};
  const std::vector<std::string> client_names_{"URI:spiffe://headroom/shop/node/a"};
  KeyFolder server_keys_{ours_, server_names_}, client_keys_{ours_, client_names_};
};

TEST_F(DialTest, BothSidesBelieveEachOther) {
  const auto server_side = server_keys_.Open(), client_side = client_keys_.Open();
  const Server server(server_side->ForPort());
  EXPECT_TRUE(Try(server.at("127.0.0.1"), client_side.get()).ok());
  EXPECT_TRUE(Try(server.at("localhost"), client_side.get()).ok());
}

TEST_F(DialTest, PlaintextReachesAPlaintextPort) {
  const Server server(grpc::InsecureServerCredentials());
  EXPECT_TRUE(Try(server.at("127.0.0.1"), nullptr).ok());
}

TEST_F(DialTest, PlaintextToATlsPortIsToldToGiveCertificates) {
  const auto server_side = server_keys_.Open();
  const Server server(server_side->ForPort());
  const absl::Status status = Try(server.at("127.0.0.1"), nullptr);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(status.message(), "it speaks TLS; give --tls-cert, --tls-key and --tls-ca");
}

TEST_F(DialTest, TlsToAPlaintextPortIsToldSo) {
  const auto client_side = client_keys_.Open();
  const Server server(grpc::InsecureServerCredentials());
  EXPECT_THAT(Try(server.at("127.0.0.1"), client_side.get()).message(), HasSubstr("it speaks no TLS"));
}

TEST_F(DialTest, AServerOfAnotherAuthorityIsNotBelieved) {
  const KeyFolder foreign(theirs_, server_names_, ours_);
  const auto server_side = foreign.Open(), client_side = client_keys_.Open();
  const Server server(server_side->ForPort());
  EXPECT_THAT(Try(server.at("127.0.0.1"), client_side.get()).message(),
              AllOf(HasSubstr("signed by no authority in"), HasSubstr("--tls-ca")));
}

TEST_F(DialTest, AServerDoesNotBelieveAClientOfAnotherAuthority) {
  const KeyFolder foreign(theirs_, client_names_, ours_);
  const auto server_side = server_keys_.Open(), client_side = foreign.Open();
  const Server server(server_side->ForPort());
  EXPECT_THAT(Try(server.at("127.0.0.1"), client_side.get()).message(),
              AllOf(HasSubstr("it refuses the certificate in"), HasSubstr("--tls-ca of the other side")));
}

TEST_F(DialTest, AnExpiredServerIsToldOfByName) {
  server_keys_.Put(ours_.Issue(server_names_, -absl::Hours(1)));
  const auto server_side = server_keys_.Open(), client_side = client_keys_.Open();
  const Server server(server_side->ForPort());
  EXPECT_THAT(Try(server.at("127.0.0.1"), client_side.get()).message(), HasSubstr("its certificate has expired"));
}

TEST_F(DialTest, AnExpiredClientIsToldThatItIsItsOwn) {
  client_keys_.Put(ours_.Issue(client_names_, -absl::Hours(1)));
  const auto server_side = server_keys_.Open(), client_side = client_keys_.Open();
  const Server server(server_side->ForPort());
  EXPECT_THAT(Try(server.at("127.0.0.1"), client_side.get()).message(),
              AllOf(HasSubstr("the certificate in"), HasSubstr("has expired and is refused")));
}

TEST_F(DialTest, AServerOfAnotherNameIsToldOfWithItsNames) {
  const KeyFolder other(ours_, {"DNS:other.example"});
  const auto server_side = other.Open(), client_side = client_keys_.Open();
  const Server server(server_side->ForPort());
  EXPECT_THAT(Try(server.at("localhost"), client_side.get()).message(),
              HasSubstr("its certificate is for other.example and not for localhost"));
  EXPECT_THAT(Try(server.at("127.0.0.1"), client_side.get()).message(), HasSubstr("not for 127.0.0.1"));
}

// Whoever answers sends what it likes: names are looked at before anybody is believed.
TEST_F(DialTest, AnAddressOfAWrongLengthInACertificateIsNoName) {
  // A subjectAltName of one iPAddress of one byte; and one with a name by which nobody is reached.
  const KeyFolder broken(ours_, {"DER:30:03:87:01:7F"}), other(ours_, {"RID:1.2.3.4", "DNS:other.example"});
  const auto client_side = client_keys_.Open();
  for (const KeyFolder* keys : {&broken, &other}) {
    // gRPC's own server refuses to show such a certificate.
    const ScriptedServer server([](Peer& peer) { peer.AwaitEnd(); },
                                {.identity = {keys->Open()->Material()->certificate, keys->Open()->Material()->key}});
    const absl::Status status =
        WhyNoConnection(absl::StrCat("127.0.0.1:", server.port()),
                        {.credentials = client_side.get(), .timeout = absl::Seconds(10), .gives_up = nullptr});
    EXPECT_THAT(status.message(),
                HasSubstr(keys == &broken ? "is for nobody and not for" : "is for other.example and not for"));
  }
}

TEST_F(DialTest, ANodesKeyIsNoControllers) {
  const auto server_side = client_keys_.Open(), client_side = client_keys_.Open();
  const Server server(server_side->ForPort());
  EXPECT_EQ(Try(server.at("127.0.0.1"), client_side.get()).code(), absl::StatusCode::kUnauthenticated);
}

TEST_F(DialTest, WhereNobodyListensItIsNoQuestionOfCertificates) {
  const auto client_side = client_keys_.Open();
  std::string gone;
  { gone = Server(grpc::InsecureServerCredentials()).at("127.0.0.1"); }
  for (const WireCredentials* credentials :
       {static_cast<const WireCredentials*>(nullptr), static_cast<const WireCredentials*>(client_side.get())}) {
    const absl::Status status = Try(gone, credentials);
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
    EXPECT_THAT(status.message(), HasSubstr("nothing listens there"));
  }
  EXPECT_THAT(Try("no-such-host.invalid:1", nullptr).message(), HasSubstr("is not known"));
}

// Whoever writes to a connection that the other side has closed gets a signal that ends the process.
TEST_F(DialTest, APeerThatClosesEachConnectionAtOnceIsSurvived) {
  const Listener listener;
  std::atomic<bool> done{false};
  std::thread closer([&] {
    pollfd arrival{listener.fd(), POLLIN, 0};
    while (!done) {
      if (poll(&arrival, 1, 10) == 1) close(accept(listener.fd(), nullptr, nullptr));
    }
  });
  const auto client_side = client_keys_.Open();
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(Try(listener.endpoint(), nullptr).code(), absl::StatusCode::kUnavailable);
    EXPECT_THAT(Try(listener.endpoint(), client_side.get()).message(), HasSubstr("it closes the connection"));
  }
  done = true;
  closer.join();
}

TEST_F(DialTest, AProcessThatIsStoppedIsSaidToBeSo) {
  const Listener listener;
  const auto client_side = client_keys_.Open();
  for (const WireCredentials* credentials :
       {static_cast<const WireCredentials*>(nullptr), static_cast<const WireCredentials*>(client_side.get())}) {
    const absl::Status status =
        Dial(listener.endpoint(), {.timeout = absl::Milliseconds(300), .credentials = credentials}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
    EXPECT_THAT(status.message(), HasSubstr("does not answer"));
  }
}

TEST_F(DialTest, AHandshakeIsByTheFilesOfTheMoment) {
  const auto server_side = server_keys_.Open(), client_side = client_keys_.Open();
  const Server server(server_side->ForPort());
  ASSERT_TRUE(Try(server.at("127.0.0.1"), client_side.get()).ok());
  // The authority changes: first everybody believes both, then each gets a certificate of the new one.
  for (const KeyFolder* keys : {&server_keys_, &client_keys_}) {
    KeyFolder::Replace(keys->files().authorities, ours_.pem() + theirs_.pem());
  }
  server_side->Look();
  client_side->Look();
  server_keys_.Put(theirs_.Issue(server_names_));
  server_side->Look();
  EXPECT_TRUE(Try(server.at("127.0.0.1"), client_side.get()).ok());
  KeyFolder::Replace(client_keys_.files().authorities, ours_.pem());
  client_side->Look();
  EXPECT_THAT(Try(server.at("127.0.0.1"), client_side.get()).message(), HasSubstr("signed by no authority"))
      << "the new certificate is served";
}

}  // namespace
}  // namespace headroom
