#include "controller/providers/http/transport.h"

#include <atomic>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/controller/providers/http/certificates.h"
#include "tests/controller/providers/http/scripted_server.h"

// What providers build on, for every implementation of the port: each promise of transport.h against a server that
// breaks the rules.

namespace headroom {
namespace {

using ::testing::ContainsRegex;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Factory = absl::StatusOr<std::unique_ptr<HttpTransport>> (*)(HttpEndpoint);

constexpr absl::Duration kSoon = absl::Milliseconds(300);  // deadlines of tests that wait for them

struct Implementation {
  std::string name;
  Factory make;
};

class HttpTransportTest : public ::testing::TestWithParam<Implementation> {
 protected:
  std::unique_ptr<HttpTransport> Connect(HttpEndpoint endpoint) {
    absl::StatusOr<std::unique_ptr<HttpTransport>> made = GetParam().make(std::move(endpoint));
    EXPECT_TRUE(made.ok()) << made.status();
    return *std::move(made);
  }
  absl::StatusOr<HttpResponse> Get(const HttpEndpoint& endpoint) { return Connect(endpoint)->Send({}, cancellation_); }
  absl::StatusOr<HttpResponse> Get(const ScriptedServer& server) { return Get(HttpEndpoint{.url = server.url()}); }

  Cancellation cancellation_;
};

std::function<absl::StatusOr<TlsMaterial>()> Always(TlsMaterial material) {
  return [material = std::move(material)] { return material; };
}

void AnswerOnce(Peer& peer) {
  if (!peer.ReadRequest().empty()) peer.Answer("hello");
}

void AnswerAll(Peer& peer) {
  while (!peer.ReadRequest().empty()) peer.Answer("hello");
}

TEST_P(HttpTransportTest, ARequestArrivesWholeAndSoDoesTheAnswer) {
  std::promise<std::string> seen;
  const ScriptedServer server([&](Peer& peer) {
    seen.set_value(peer.ReadRequest());
    peer.Answer("{\"a\":1}", "HTTP/1.1 201 Created\r\nX-Kind: one");
  });
  const auto transport = Connect({.url = server.url()});
  const auto response =
      transport->Send({.method = "PUT",
                       .target = "/apis/v1/things?dryRun=All&x=a%20b",
                       .headers = {{"Content-Type", "application/json"}, {"Authorization", "Bearer t"}},
                       .body = "{}"},
                      cancellation_);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->code, 201);
  EXPECT_EQ(response->body, "{\"a\":1}");
  EXPECT_EQ(response->Header("x-kind"), "one");
  EXPECT_EQ(response->Header("x-other"), "");
  const std::string request = seen.get_future().get();
  EXPECT_THAT(request, HasSubstr("PUT /apis/v1/things?dryRun=All&x=a%20b HTTP/1.1\r\n"));
  EXPECT_THAT(request, ContainsRegex("Content-Type: ?application/json\r\n"));
  EXPECT_THAT(request, ContainsRegex("Authorization: ?Bearer t\r\n"));
  EXPECT_THAT(request, HasSubstr("\r\n\r\n{}"));
}

TEST_P(HttpTransportTest, AnAnswerOfAnyCodeIsAnAnswer) {
  for (const char* line : {"HTTP/1.1 404 Not Found", "HTTP/1.1 409 Conflict", "HTTP/1.1 503 Service Unavailable"}) {
    const ScriptedServer server([line](Peer& peer) {
      peer.ReadRequest();
      peer.Answer("why", line);
    });
    const auto response = Get(server);
    ASSERT_TRUE(response.ok()) << response.status();
    EXPECT_THAT(line, HasSubstr(absl::StrCat(response->code)));
    EXPECT_EQ(response->body, "why");
  }
}

TEST_P(HttpTransportTest, ARedirectIsNotFollowed) {
  const ScriptedServer other(AnswerOnce);
  const ScriptedServer server([&](Peer& peer) {
    peer.ReadRequest();
    peer.Answer("", absl::StrCat("HTTP/1.1 307 Temporary Redirect\r\nLocation: ", other.url(), "/"));
  });
  const auto response = Get(server);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->code, 307);
  EXPECT_EQ(other.connections(), 0);
}

TEST_P(HttpTransportTest, ReadsShareConnections) {
  const ScriptedServer server(AnswerAll);
  const auto transport = Connect({.url = server.url()});
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(transport->Send({}, cancellation_).ok());
  EXPECT_LT(server.connections(), 25) << "one may still be on its way back into the pool";
}

// --- Who the other one is.

TEST_P(HttpTransportTest, OnlyTheGivenAuthorityIsTrusted) {
  const Authority ours("ours"), theirs("theirs");
  const ScriptedServer server(AnswerOnce, {.identity = theirs.Issue({"IP:127.0.0.1"})});
  const auto refused = Get({.url = server.url(), .tls = Always({.authorities = ours.pem()})});
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition) << refused.status();
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("unable to get local issuer certificate"));
  const auto trusted = Get({.url = server.url(), .tls = Always({.authorities = theirs.pem()})});
  EXPECT_TRUE(trusted.ok()) << trusted.status();
  EXPECT_FALSE(Get({.url = server.url()}).ok()) << "the system knows it as little";
}

TEST_P(HttpTransportTest, ACertificateForAnotherNameIsRefused) {
  const Authority authority("authority");
  const ScriptedServer server(AnswerOnce, {.identity = authority.Issue({"DNS:other.example"})});
  const auto tls = Always({.authorities = authority.pem()});
  const auto refused = Get({.url = server.url(), .tls = tls});
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition) << refused.status();
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("name"));
  const auto named = Get({.url = server.url(), .server_name = "other.example", .tls = tls});
  EXPECT_TRUE(named.ok()) << named.status();
}

TEST_P(HttpTransportTest, ANameAndAnAddressAreNamesToo) {
  const Authority authority("authority");
  const ScriptedServer server(AnswerAll, {.identity = authority.Issue({"DNS:localhost", "IP:127.0.0.1"})});
  for (const char* host : {"localhost", "127.0.0.1"}) {
    const auto response = Get({.url = server.url(host), .tls = Always({.authorities = authority.pem()})});
    EXPECT_TRUE(response.ok()) << host << ": " << response.status();
  }
}

TEST_P(HttpTransportTest, TheClientShowsItsCertificateAndItsSuccessor) {
  const Authority authority("authority");
  const auto say_who = [](Peer& peer) {
    peer.ReadRequest();
    peer.Answer(peer.ClientName(), "HTTP/1.1 200 OK\r\nConnection: close");
  };
  const ScriptedServer server(say_who,
                              {.identity = authority.Issue({"IP:127.0.0.1"}), .client_authority = authority.pem()});
  std::mutex mutex;
  TlsMaterial material{.authorities = authority.pem()};
  const auto show = [&](const std::string& name) {
    const Issued issued = authority.Issue({name});
    const std::lock_guard lock(mutex);
    material.certificate = issued.certificate;
    material.key = issued.key;
  };
  const auto transport = Connect({.url = server.url(), .tls = [&]() -> absl::StatusOr<TlsMaterial> {
                                    const std::lock_guard lock(mutex);
                                    return material;
                                  }});
  EXPECT_FALSE(transport->Send({}, cancellation_).ok()) << "it shows none yet";
  for (const char* name : {"DNS:first", "DNS:second"}) {
    show(name);
    const auto response = transport->Send({}, cancellation_);
    ASSERT_TRUE(response.ok()) << response.status();
    EXPECT_EQ(response->body, name);
  }
}

TEST_P(HttpTransportTest, CredentialsThatCannotBeReadAreAPersonsMatter) {
  const Authority authority("authority");
  const ScriptedServer server(AnswerOnce, {.identity = authority.Issue({"IP:127.0.0.1"})});
  const Issued one = authority.Issue({"DNS:a"}), other = authority.Issue({"DNS:b"});
  const std::vector<std::pair<TlsMaterial, std::string>> cases = {
      {{.authorities = "no PEM"}, "the authorities are no certificates"},
      {{.authorities = authority.pem(), .certificate = "no PEM", .key = one.key}, "the client's certificate"},
      {{.authorities = authority.pem(), .certificate = one.certificate, .key = "no PEM"}, "the client's key"},
      {{.authorities = authority.pem(), .certificate = one.certificate, .key = other.key}, "the client's key"},
  };
  for (const auto& [material, says] : cases) {
    const auto refused = Get({.url = server.url(), .tls = Always(material)});
    EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition) << refused.status();
    EXPECT_THAT(std::string(refused.status().message()), HasSubstr(says));
  }
  const auto unreadable =
      Get({.url = server.url(), .tls = [] { return absl::NotFoundError("/ca.crt: no such file"); }});
  EXPECT_THAT(std::string(unreadable.status().message()), HasSubstr("/ca.crt: no such file"));
}

// --- Deadlines.

TEST_P(HttpTransportTest, AServerThatNeverShakesHandsIsGivenUp) {
  const Authority authority("authority");
  const ScriptedServer silent([](Peer& peer) { peer.AwaitEnd(); });  // plain TCP
  const auto response = Get({.url = absl::StrCat("https://127.0.0.1:", silent.port()),
                             .tls = Always({.authorities = authority.pem()}),
                             .connect_timeout = kSoon});
  EXPECT_EQ(response.status().code(), absl::StatusCode::kDeadlineExceeded) << response.status();
  EXPECT_THAT(std::string(response.status().message()), HasSubstr("no connection in time"));
}

TEST_P(HttpTransportTest, AServerThatFallsSilentIsGivenUp) {
  for (const char* said : {"", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhal"}) {
    const ScriptedServer server([said](Peer& peer) {
      peer.ReadRequest();
      peer.Write(said);
      peer.AwaitEnd();
    });
    const auto response = Get({.url = server.url(), .idle_timeout = kSoon});
    EXPECT_EQ(response.status().code(), absl::StatusCode::kDeadlineExceeded) << response.status();
    EXPECT_THAT(std::string(response.status().message()), HasSubstr("silent"));
  }
}

TEST_P(HttpTransportTest, AServerThatDripsForEverIsGivenUp) {
  const ScriptedServer server([](Peer& peer) {
    peer.ReadRequest();
    peer.Write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    while (peer.Write("1\r\nx\r\n")) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  });
  const auto transport = Connect({.url = server.url()});
  const auto response = transport->Send({.timeout = kSoon}, cancellation_);
  EXPECT_EQ(response.status().code(), absl::StatusCode::kDeadlineExceeded) << response.status();
  EXPECT_THAT(std::string(response.status().message()), HasSubstr("whole answer"));
}

TEST_P(HttpTransportTest, ACancelledCallEndsWhateverTheServerDoes) {
  std::promise<void> asked;
  const ScriptedServer server([&](Peer& peer) {
    peer.ReadRequest();
    asked.set_value();
    peer.AwaitEnd();
  });
  auto response = std::async(std::launch::async, [&] { return Get(server); });
  asked.get_future().wait();
  cancellation_.Cancel();
  EXPECT_EQ(response.get().status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(Get(server).status().code(), absl::StatusCode::kCancelled) << "for good";
}

// --- Answers that come oddly or not at all.

TEST_P(HttpTransportTest, AnAnswerThatComesByteByByteIsWhole) {
  const ScriptedServer server([](Peer& peer) {
    peer.ReadRequest();
    for (const char byte :
         std::string("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")) {
      peer.Write(std::string(1, byte));
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    peer.AwaitEnd();
  });
  const auto response = Get(server);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->body, "hello");
}

TEST_P(HttpTransportTest, AnAnswerThatEndsWithItsConnectionIsWhole) {
  const ScriptedServer server([](Peer& peer) {
    peer.ReadRequest();
    peer.Write("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello");
    peer.HalfClose();
    peer.AwaitEnd();
  });
  const auto response = Get(server);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->body, "hello");
}

TEST_P(HttpTransportTest, AnAnswerThatIsCutShortIsNoAnswer) {
  for (const char* part : {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhal", "HTTP/1.1 200 OK\r\nConten",
                           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", ""}) {
    for (const bool reset : {false, true}) {
      const ScriptedServer server([&](Peer& peer) {
        peer.ReadRequest();
        peer.Write(part);
        if (reset) peer.Reset();
      });
      const auto response = Get(server);
      EXPECT_EQ(response.status().code(), absl::StatusCode::kUnavailable) << part << reset << response.status();
    }
  }
}

TEST_P(HttpTransportTest, WhatIsNoHttpIsNoAnswer) {
  const ScriptedServer server([](Peer& peer) {
    peer.ReadRequest();
    peer.Write("SSH-2.0-OpenSSH_9.2\r\n\r\n");
  });
  EXPECT_EQ(Get(server).status().code(), absl::StatusCode::kUnavailable);
}

TEST_P(HttpTransportTest, AnAnswerWithoutEndIsGivenUp) {
  std::atomic<int64_t> sent = 0;
  const ScriptedServer server([&](Peer& peer) {
    peer.ReadRequest();
    peer.Write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    const std::string chunk = absl::StrCat("10000\r\n", std::string(0x10000, 'x'), "\r\n");
    while (peer.Write(chunk)) sent += 0x10000;
  });
  const auto response = Get({.url = server.url(), .bytes_max = 1 << 20});
  EXPECT_EQ(response.status().code(), absl::StatusCode::kFailedPrecondition) << response.status();
  EXPECT_THAT(std::string(response.status().message()), HasSubstr("more than 1048576 bytes"));
  EXPECT_LT(sent, 64 << 20) << "it was hung up on";
}

TEST_P(HttpTransportTest, WhereNobodyListensIsUnavailable) {
  std::string url;
  { url = ScriptedServer(AnswerOnce).url(); }
  EXPECT_EQ(Get(HttpEndpoint{.url = url}).status().code(), absl::StatusCode::kUnavailable);
}

TEST_P(HttpTransportTest, AnAddressThatIsNoneIsRefusedAtOnce) {
  for (const char* url : {"", "127.0.0.1:80", "ftp://host", "http://", "http://a b"}) {
    EXPECT_EQ(GetParam().make({.url = url}).status().code(), absl::StatusCode::kInvalidArgument) << url;
  }
}

// --- A change happens at most once.

TEST_P(HttpTransportTest, AChangeIsSentOnceThoughTheServerHangsUp) {
  std::atomic<int> posts = 0;
  const ScriptedServer server([&](Peer& peer) {
    for (std::string request; !(request = peer.ReadRequest()).empty();) {
      if (request.rfind("POST", 0) == 0) {
        ++posts;
        return;  // as a server that has just decided to close an idle connection
      }
      peer.Answer("hello");
    }
  });
  const auto transport = Connect({.url = server.url()});
  ASSERT_TRUE(transport->Send({}, cancellation_).ok());
  const auto response = transport->Send({.method = "POST", .body = "launch one"}, cancellation_);
  EXPECT_EQ(response.status().code(), absl::StatusCode::kUnavailable) << response.status();
  EXPECT_EQ(posts, 1);
}

TEST_P(HttpTransportTest, AReadAfterTheServerHungUpOnAnIdleConnectionWorks) {
  const ScriptedServer server(AnswerOnce);
  const auto transport = Connect({.url = server.url()});
  for (int i = 0; i < 5; ++i) {
    const auto response = transport->Send({}, cancellation_);
    EXPECT_TRUE(response.ok()) << response.status();
  }
}

TEST_P(HttpTransportTest, ChangesHaveNoTroubleAfterEachOther) {
  std::atomic<int> posts = 0;
  const ScriptedServer server([&](Peer& peer) {
    while (!peer.ReadRequest().empty()) {
      ++posts;  // before the answer, with which the test goes on
      peer.Answer("done");
    }
  });
  const auto transport = Connect({.url = server.url()});
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(transport->Send({.method = "POST", .body = "x"}, cancellation_).ok());
  EXPECT_EQ(posts, 20);
}

// --- Lines.

class HttpLinesTest : public HttpTransportTest {
 protected:
  absl::StatusOr<HttpResponse> Stream(const HttpEndpoint& endpoint) {
    const auto keep = [this](absl::string_view line) {
      lines_.emplace_back(line);
      return sink_says_;
    };
    return Connect(endpoint)->StreamLines({.timeout = absl::InfiniteDuration()}, keep, cancellation_);
  }
  std::vector<std::string> lines_;
  absl::Status sink_says_;
};

constexpr char kStreamHead[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

TEST_P(HttpLinesTest, LinesComeAsTheyAreSentHoweverTheyAreCut) {
  const ScriptedServer server([](Peer& peer) {
    peer.ReadRequest();
    peer.Write(kStreamHead);
    for (const char* part : {"one\ntw", "o\n", "\nthree", "\n"}) peer.Chunk(part);
    peer.Write("0\r\n\r\n");
  });
  const auto response = Stream({.url = server.url()});
  EXPECT_TRUE(response.ok()) << response.status();
  EXPECT_THAT(lines_, ElementsAre("one", "two", "", "three"));
}

TEST_P(HttpLinesTest, ALineIsGivenBeforeTheNextIsThere) {
  std::promise<void> seen;
  const ScriptedServer server([&](Peer& peer) {
    peer.ReadRequest();
    peer.Write(kStreamHead);
    peer.Chunk("first\n");
    seen.get_future().wait();  // nothing more until the client has it
    peer.Chunk("second\n");
    peer.Write("0\r\n\r\n");
  });
  std::vector<std::string> lines;
  const auto take = [&](absl::string_view line) {
    if (lines.empty()) seen.set_value();
    lines.emplace_back(line);
    return absl::OkStatus();
  };
  const auto transport = Connect({.url = server.url()});
  EXPECT_TRUE(transport->StreamLines({}, take, cancellation_).ok());
  EXPECT_THAT(lines, ElementsAre("first", "second"));
}

TEST_P(HttpLinesTest, WhatTheSinkSaysEndsTheCall) {
  const ScriptedServer server([](Peer& peer) {
    peer.ReadRequest();
    peer.Write(kStreamHead);
    peer.Chunk("one\ntwo\n");
    peer.AwaitEnd();
  });
  sink_says_ = absl::OutOfRangeError("410 Gone");
  EXPECT_EQ(Stream({.url = server.url()}).status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_THAT(lines_, ElementsAre("one"));
}

TEST_P(HttpLinesTest, ALineWithoutItsEndIsCutShort) {
  const ScriptedServer server([](Peer& peer) {
    peer.ReadRequest();
    peer.Write(kStreamHead);
    peer.Chunk("one\ntw");
    peer.Write("0\r\n\r\n");
  });
  EXPECT_EQ(Stream({.url = server.url()}).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(lines_, ElementsAre("one"));
}

TEST_P(HttpLinesTest, ALineWithoutMeasureIsGivenUp) {
  const ScriptedServer server([](Peer& peer) {
    peer.ReadRequest();
    peer.Write(kStreamHead);
    const std::string chunk = absl::StrCat("1000\r\n", std::string(0x1000, 'x'), "\r\n");
    while (peer.Write(chunk)) {
    }
  });
  const auto response = Stream({.url = server.url(), .bytes_max = 1 << 16});
  EXPECT_EQ(response.status().code(), absl::StatusCode::kFailedPrecondition) << response.status();
  EXPECT_THAT(lines_, ElementsAre());
}

TEST_P(HttpLinesTest, ARefusalHasABodyAndNoLines) {
  const ScriptedServer server([](Peer& peer) {
    peer.ReadRequest();
    peer.Answer("{\"code\":410}\n", "HTTP/1.1 410 Gone");
  });
  const auto response = Stream({.url = server.url()});
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->code, 410);
  EXPECT_EQ(response->body, "{\"code\":410}\n");
  EXPECT_THAT(lines_, ElementsAre());
}

TEST_P(HttpLinesTest, ASilentStreamEndsAtItsIdleTime) {
  const ScriptedServer server([](Peer& peer) {
    peer.ReadRequest();
    peer.Write(kStreamHead);
    peer.Chunk("one\n");
    peer.AwaitEnd();
  });
  EXPECT_EQ(Stream({.url = server.url(), .idle_timeout = kSoon}).status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(lines_, ElementsAre("one"));
}

const auto kImplementations = ::testing::Values(Implementation{"Cpprest", &MakeHttpTransport});
std::string NameOf(const ::testing::TestParamInfo<Implementation>& info) {
  return info.param.name;
}

INSTANTIATE_TEST_SUITE_P(All, HttpTransportTest, kImplementations, NameOf);
INSTANTIATE_TEST_SUITE_P(All, HttpLinesTest, kImplementations, NameOf);

}  // namespace
}  // namespace headroom
