#include "tests/load/response_parser.h"

#include "absl/strings/str_cat.h"
#include <gtest/gtest.h>

namespace headroom::load {
namespace {

using Progress = ResponseParser::Progress;

// Feeds `text` in pieces of `size` bytes.
Progress FeedInPieces(ResponseParser& parser, absl::string_view text, size_t size) {
  Progress progress = Progress::kMore;
  for (; !text.empty(); text.remove_prefix(std::min(size, text.size()))) progress = parser.Feed(text.substr(0, size));
  return progress;
}

TEST(ResponseParser, AnyCutOfTheBytesGivesTheSameResponse) {
  for (const absl::string_view text :
       {absl::string_view("HTTP/1.1 200 OK\r\nETag: \"x\"\r\ncontent-length:  5 \r\n\r\nhello"),
        absl::string_view(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nT: 1\r\n\r\n"),
        absl::string_view("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 5\r\n\r\nhello")}) {
    for (size_t size = 1; size <= text.size(); ++size) {
      ResponseParser parser;
      EXPECT_FALSE(parser.started());
      EXPECT_EQ(FeedInPieces(parser, text.substr(0, text.size() - 1), size), Progress::kMore);
      EXPECT_TRUE(parser.started());
      ASSERT_EQ(parser.Feed(text.substr(text.size() - 1)), Progress::kDone) << text << size;
      EXPECT_EQ(parser.status() / 100, 2);
      EXPECT_EQ(parser.body_bytes(), 5);
      EXPECT_TRUE(parser.keep_alive());
    }
  }
}

TEST(ResponseParser, WhetherTheConnectionStaysFollowsVersionAndField) {
  const auto stays = [](absl::string_view version, absl::string_view field) {
    ResponseParser parser;
    EXPECT_EQ(parser.Feed(absl::StrCat(version, " 200 OK\r\n", field, "Content-Length: 0\r\n\r\n")), Progress::kDone);
    return parser.keep_alive();
  };
  EXPECT_TRUE(stays("HTTP/1.1", ""));
  EXPECT_FALSE(stays("HTTP/1.1", "connection: Close\r\n"));
  EXPECT_FALSE(stays("HTTP/1.0", ""));
  EXPECT_TRUE(stays("HTTP/1.0", "Connection: keep-alive\r\n"));
}

TEST(ResponseParser, ResponsesWithoutABodyEndWithTheirHead) {
  for (const char* status : {"204 No Content", "304 Not Modified"}) {
    ResponseParser parser;
    EXPECT_EQ(parser.Feed(absl::StrCat("HTTP/1.1 ", status, "\r\n\r\n")), Progress::kDone) << status;
  }
}

TEST(ResponseParser, WithoutALengthTheBodyEndsWithTheConnection) {
  ResponseParser parser;
  EXPECT_EQ(parser.Feed("HTTP/1.1 200 OK\r\n\r\nsome"), Progress::kMore);
  EXPECT_EQ(parser.Feed(" more"), Progress::kMore);
  EXPECT_EQ(parser.EndOfStream(), Progress::kDone);
  EXPECT_EQ(parser.body_bytes(), 9);
  EXPECT_FALSE(parser.keep_alive());
}

TEST(ResponseParser, AnEndInTheMiddleIsBad) {
  for (const char* text : {"HTTP/1.1 200", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
                           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"}) {
    ResponseParser parser;
    EXPECT_EQ(parser.Feed(text), Progress::kMore);
    EXPECT_EQ(parser.EndOfStream(), Progress::kBad) << text;
  }
}

TEST(ResponseParser, BytesAfterTheResponseSpoilTheConnection) {
  ResponseParser parser;
  EXPECT_EQ(parser.Feed("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhixx"), Progress::kDone);
  EXPECT_FALSE(parser.keep_alive());
}

TEST(ResponseParser, WhatIsNotHttpIsBad) {
  for (const char* text : {"SSH-2.0-OpenSSH\r\n\r\n", "HTTP/2 200\r\n\r\n", "HTTP/1.1 abc OK\r\n\r\n",
                           "HTTP/1.1 200 OK\r\nnonsense\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
                           "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
                           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
                           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n"}) {
    ResponseParser parser;
    EXPECT_EQ(parser.Feed(text), Progress::kBad) << text;
  }
}

TEST(ResponseParser, AHeadWithoutEndIsBad) {
  ResponseParser parser;
  EXPECT_EQ(parser.Feed(absl::StrCat("HTTP/1.1 200 OK\r\nX: ", std::string(ResponseParser::kHeadMax, 'x'))),
            Progress::kBad);
}

}  // namespace
}  // namespace headroom::load
