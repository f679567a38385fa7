// What clients see of the objects: GET, HEAD, PUT, DELETE and listings over real sockets.
#include <filesystem>

#include "absl/strings/str_cat.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/storage_node/file_server/server_fixture.h"

namespace headroom {
namespace {

using ::testing::HasSubstr;

class ObjectsOverHttpTest : public ServerTest {};

std::string Pattern(size_t size) {
  std::string bytes(size, '\0');
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 31 + i / 251);
  return bytes;
}

TEST_F(ObjectsOverHttpTest, GetAnswersTheFileWithItsValidators) {
  directory_.Put("d/a b.txt", "hello");
  Start();
  const TestResponse got = Once("GET", "/d/a%20b.txt");
  EXPECT_EQ(got.status, 200);
  EXPECT_EQ(got.body, "hello");
  EXPECT_EQ(got.headers.at("content-type"), "text/plain");
  EXPECT_EQ(got.headers.at("accept-ranges"), "bytes");
  EXPECT_THAT(got.headers.at("etag"), ::testing::MatchesRegex("\".+\""));
  EXPECT_THAT(got.headers.at("last-modified"), HasSubstr("GMT"));
  EXPECT_EQ(got.headers.count("connection"), 0u) << "HTTP/1.1 keeps alive without a word";
}

TEST_F(ObjectsOverHttpTest, HeadAnswersTheSameWithoutABody) {
  directory_.Put("f", "hello");
  Start();
  TestClient client(server_->port());
  const TestResponse head = client.Call("HEAD", "/f");
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.headers.at("content-length"), "5");
  const TestResponse ranged = client.Call("HEAD", "/f", "Range: bytes=1-2\r\n");
  EXPECT_EQ(ranged.status, 200) << "ranges are of GET alone";
  EXPECT_EQ(ranged.headers.at("content-length"), "5");
  const TestResponse next = client.Call("GET", "/f");
  EXPECT_EQ(next.body, "hello") << "nothing came between the two answers";
  EXPECT_EQ(next.headers.at("etag"), head.headers.at("etag"));
}

TEST_F(ObjectsOverHttpTest, LargeAndEmptyFilesArriveWhole) {
  const std::string large = Pattern(9 << 20);
  directory_.Put("large", large);
  directory_.Put("empty", "");
  Start();
  TestClient client(server_->port());
  EXPECT_TRUE(client.Call("GET", "/large").body == large);
  const TestResponse empty = client.Call("GET", "/empty");
  EXPECT_EQ(empty.status, 200);
  EXPECT_EQ(empty.headers.at("content-length"), "0");
  EXPECT_TRUE(client.Call("GET", "/large", "Range: bytes=1000000-\r\n").body == large.substr(1000000));
  EXPECT_TRUE(Eventually([&] { return gate_->Read().bytes_out == 2 * int64_t{9 << 20} - 1000000; }));
}

TEST_F(ObjectsOverHttpTest, RangesAnswerTheirPart) {
  directory_.Put("f", "0123456789");
  Start();
  TestClient client(server_->port());
  const auto range = [&](const std::string& value) { return client.Call("GET", "/f", "Range: " + value + "\r\n"); };
  const TestResponse part = range("bytes=2-4");
  EXPECT_EQ(part.status, 206);
  EXPECT_EQ(part.body, "234");
  EXPECT_EQ(part.headers.at("content-range"), "bytes 2-4/10");
  EXPECT_EQ(range("bytes=7-").body, "789");
  EXPECT_EQ(range("bytes=-2").body, "89");
  const TestResponse beyond = range("bytes=10-");
  EXPECT_EQ(beyond.status, 416);
  EXPECT_EQ(beyond.headers.at("content-range"), "bytes */10");
  EXPECT_EQ(range("bytes=0-1,3-4").status, 200) << "several ranges: the whole, as the standard allows";
  const std::string etag = part.headers.at("etag");
  EXPECT_EQ(client.Call("GET", "/f", absl::StrCat("Range: bytes=0-0\r\nIf-Range: ", etag, "\r\n")).status, 206);
  EXPECT_EQ(client.Call("GET", "/f", "Range: bytes=0-0\r\nIf-Range: \"old\"\r\n").body, "0123456789");
}

TEST_F(ObjectsOverHttpTest, ConditionsAreHonoured) {
  directory_.Put("f", "x");
  Start();
  TestClient client(server_->port());
  const TestResponse got = client.Call("GET", "/f");
  const std::string etag = got.headers.at("etag"), modified = got.headers.at("last-modified");
  const auto with = [&](const std::string& header) { return client.Call("GET", "/f", header + "\r\n").status; };
  const TestResponse unchanged = client.Call("GET", "/f", "If-None-Match: " + etag + "\r\n");
  EXPECT_EQ(unchanged.status, 304);
  EXPECT_EQ(unchanged.headers.at("etag"), etag);
  EXPECT_EQ(with("If-None-Match: \"other\""), 200);
  EXPECT_EQ(with("If-Modified-Since: " + modified), 304);
  EXPECT_EQ(with("If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT"), 200);
  EXPECT_EQ(with("If-Match: " + etag), 200);
  EXPECT_EQ(with("If-Match: \"other\""), 412);
  EXPECT_EQ(with("If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT"), 412);
}

TEST_F(ObjectsOverHttpTest, PutCreatesThenReplacesAndItsEtagIsTheOneOfGet) {
  Start();
  TestClient client(server_->port());
  const TestResponse created = client.Call("PUT", "/a/b/c", "", "one");
  EXPECT_EQ(created.status, 201);
  EXPECT_EQ(directory_.Get("a/b/c"), "one");
  EXPECT_EQ(client.Call("GET", "/a/b/c").headers.at("etag"), created.headers.at("etag"));
  const TestResponse replaced = client.Call("PUT", "/a/b/c", "", "");
  EXPECT_EQ(replaced.status, 204);
  EXPECT_EQ(client.Call("GET", "/a/b/c").headers.at("content-length"), "0");
  EXPECT_NE(replaced.headers.at("etag"), created.headers.at("etag"));
}

TEST_F(ObjectsOverHttpTest, PutsOfManySizesArriveWhole) {
  Start();
  TestClient client(server_->port());
  for (const size_t size : {size_t{1}, size_t{4095}, size_t{65536}, size_t{65537}, size_t{3 << 20}}) {
    const std::string body = Pattern(size);
    EXPECT_THAT(client.Call("PUT", "/f", "", body).status, ::testing::AnyOf(201, 204));
    EXPECT_TRUE(directory_.Get("f") == body) << size;
  }
}

TEST_F(ObjectsOverHttpTest, ChunkedPutsAreDecodedHoweverTheyAreCut) {
  Start();
  const std::string request =
      "PUT /f HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
      "5\r\nhello\r\n1;ext=1\r\n,\r\n6\r\n world\r\n0\r\nTrailer: x\r\n\r\n"
      "GET /f HTTP/1.1\r\nHost: t\r\n\r\n";
  for (const size_t piece : {size_t{1}, size_t{3}, size_t{7}, request.size()}) {
    TestClient client(server_->port());
    for (size_t at = 0; at < request.size(); at += piece) {
      ASSERT_TRUE(client.Send(request.substr(at, piece)));
      if (piece == 1 && at % 16 == 0) absl::SleepFor(absl::Milliseconds(1));  // cuts that the kernel does not join
    }
    EXPECT_THAT(client.Read().status, ::testing::AnyOf(201, 204)) << piece;
    EXPECT_EQ(client.Read().body, "hello, world") << piece;
  }
}

TEST_F(ObjectsOverHttpTest, OversizeBodiesAreRefusedBeforeTheyAreRead) {
  options_.session.body_bytes_max = 1000;
  Start();
  TestClient client(server_->port());
  ASSERT_TRUE(client.Send("PUT /f HTTP/1.1\r\nHost: t\r\nContent-Length: 1001\r\nExpect: 100-continue\r\n\r\n"));
  const TestResponse refused = client.Read();
  EXPECT_EQ(refused.status, 413) << "and not 100";
  EXPECT_EQ(refused.headers.at("connection"), "close");
  EXPECT_TRUE(client.ReadsEnd());
  EXPECT_EQ(Once("PUT", "/f", "", std::string(1000, 'x')).status, 201);
  EXPECT_EQ(Once("PUT", "/g", "", std::string(1001, 'x')).status, 413) << "although its body was already on its way";

  TestClient chunked(server_->port());
  ASSERT_TRUE(chunked.Send("PUT /h HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n"));
  ASSERT_TRUE(chunked.Send(std::string(1001, 'x')));
  EXPECT_EQ(chunked.Read().status, 413);
  EXPECT_FALSE(directory_.Has("h"));
  EXPECT_EQ(directory_.UnfinishedUploads(), 0u);
}

TEST_F(ObjectsOverHttpTest, ExpectedContinueIsSaid) {
  Start();
  TestClient client(server_->port());
  ASSERT_TRUE(client.Send("PUT /f HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"));
  EXPECT_EQ(client.Read().status, 100);
  ASSERT_TRUE(client.Send("ab"));
  EXPECT_EQ(client.Read().status, 201);
  EXPECT_EQ(directory_.Get("f"), "ab");
}

TEST_F(ObjectsOverHttpTest, AClientThatDiesInMidBodyLeavesTheOldFile) {
  directory_.Put("f", "old");
  Start();
  TestClient client(server_->port());
  ASSERT_TRUE(client.Send("PUT /f HTTP/1.1\r\nHost: t\r\nContent-Length: 100000\r\n\r\nhalf"));
  ASSERT_TRUE(Eventually([&] { return directory_.UnfinishedUploads() == 1; }));
  client.Close();
  EXPECT_TRUE(Eventually([&] { return directory_.UnfinishedUploads() == 0; }));
  EXPECT_EQ(directory_.Get("f"), "old");
}

TEST_F(ObjectsOverHttpTest, ConditionalPutsGuardAgainstLostUpdates) {
  Start();
  TestClient client(server_->port());
  const std::string etag = client.Call("PUT", "/f", "If-None-Match: *\r\n", "one").headers.at("etag");
  EXPECT_EQ(Once("PUT", "/f", "If-None-Match: *\r\n", "two").status, 412);
  EXPECT_EQ(Once("PUT", "/f", "If-Match: \"other\"\r\n", "two").status, 412);
  EXPECT_EQ(directory_.Get("f"), "one");
  EXPECT_EQ(client.Call("PUT", "/f", absl::StrCat("If-Match: ", etag, "\r\n"), "two").status, 204);
  EXPECT_EQ(directory_.Get("f"), "two");
}

TEST_F(ObjectsOverHttpTest, AnUpdateThatComesWhileABodyIsOnItsWayIsNotLost) {
  Start();
  const std::string etag = Once("PUT", "/f", "", "one").headers.at("etag");
  TestClient slow(server_->port());
  ASSERT_TRUE(slow.Send(absl::StrCat(
      "PUT /f HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\nIf-Match: ", etag, "\r\n\r\n")));
  ASSERT_EQ(slow.Read().status, 100) << "the condition holds so far";
  EXPECT_EQ(Once("PUT", "/f", "", "two").status, 204);
  ASSERT_TRUE(slow.Send("slow"));
  EXPECT_EQ(slow.Read().status, 412);
  EXPECT_EQ(directory_.Get("f"), "two");
  EXPECT_EQ(directory_.UnfinishedUploads(), 0u);
}

TEST_F(ObjectsOverHttpTest, DeleteRemovesFilesAndOnlyFiles) {
  directory_.Put("d/f", "x");
  Start();
  TestClient client(server_->port());
  EXPECT_EQ(client.Call("DELETE", "/d").status, 409);
  EXPECT_EQ(client.Call("DELETE", "/d/").status, 409);
  EXPECT_EQ(client.Call("DELETE", "/d/f", "If-Match: \"other\"\r\n").status, 412);
  EXPECT_EQ(client.Call("DELETE", "/d/f").status, 204);
  EXPECT_EQ(client.Call("DELETE", "/d/f").status, 404);
  EXPECT_EQ(client.Call("GET", "/d/f").status, 404);
}

TEST_F(ObjectsOverHttpTest, ListingsArePagedAndBounded) {
  for (int i = 0; i < 1005; ++i) directory_.Put(absl::StrCat("d/f", 10000 + i), "");
  directory_.Put("d/sub/x", "");
  Start();
  TestClient client(server_->port());
  const TestResponse page = client.Call("GET", "/d/?limit=2");
  EXPECT_EQ(page.status, 200);
  EXPECT_EQ(page.headers.at("content-type"), "application/json");
  EXPECT_THAT(page.body, HasSubstr("\"f10000\""));
  EXPECT_THAT(page.body, HasSubstr("\"next\":\"f10001\""));
  const TestResponse last = client.Call("GET", "/d?list&after=f11003");
  EXPECT_THAT(last.body, HasSubstr("\"f11004\""));
  EXPECT_THAT(last.body, HasSubstr("{\"name\":\"sub\",\"type\":\"directory\""));
  EXPECT_THAT(last.body, HasSubstr("\"next\":null"));
  EXPECT_THAT(client.Call("GET", "/d/?limit=999999").body, HasSubstr("\"next\":\"f10999\"")) << "1000 at most";
  EXPECT_EQ(client.Call("GET", "/d/?limit=0").status, 400);
  EXPECT_EQ(client.Call("GET", "/d").status, 404) << "a directory is no file";
  EXPECT_EQ(client.Call("GET", "/none/").status, 404);
  EXPECT_THAT(client.Call("GET", "/").body, ::testing::Not(HasSubstr(".headroom")));
}

TEST_F(ObjectsOverHttpTest, NoPathLeavesTheDirectory) {
  TemporaryDirectory outside;
  outside.Put("secret", "s");
  std::filesystem::create_directory_symlink(outside.path(), directory_ / "out");
  directory_.Put("in", "fine");
  std::filesystem::create_symlink("in", directory_ / "link");
  Start();
  const std::string up = "/../" + std::filesystem::path(outside.path()).filename().string() + "/secret";
  for (const std::string& target :
       {up, "/x/.." + up, "/%2e%2e" + up.substr(3), "/..%2f" + up.substr(4), std::string("/out/secret"),
        std::string("/.headroom/"), std::string("/in%00.txt")}) {
    for (const char* method : {"GET", "DELETE", "PUT"}) {
      EXPECT_THAT(Once(method, target).status, ::testing::AllOf(::testing::Ge(400), ::testing::Lt(500)))
          << method << " " << target;
    }
  }
  EXPECT_EQ(Once("GET", outside / "secret").status, 404) << "an absolute path begins at the data directory";
  EXPECT_EQ(Once("GET", "/" + (outside / "secret")).status, 404);
  EXPECT_EQ(outside.Get("secret"), "s");
  EXPECT_EQ(Once("GET", "/link").body, "fine") << "links that stay inside work";
}

}  // namespace
}  // namespace headroom
