#include "controller/providers/aws/sigv4.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace headroom::aws {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;

// The secret, the moment and the scope of AWS's own suite of vectors.
const Credentials kExample = {.access_key_id = "AKIDEXAMPLE",
                              .secret_access_key = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"};
const SigningScope kScope = {.region = "us-east-1",
                             .service = "service",
                             .at = absl::FromCivil(absl::CivilSecond(2015, 8, 30, 12, 36, 0), absl::UTCTimeZone())};
constexpr char kHost[] = "example.amazonaws.com";

std::string Header(const HttpRequest& request, const std::string& name) {
  for (const HttpHeader& header : request.headers) {
    if (header.name == name) return header.value;
  }
  return "";
}

std::string Signature(HttpRequest request, const Credentials& credentials = kExample) {
  Sign(request, kHost, credentials, kScope);
  const std::string authorization = Header(request, "Authorization");
  return authorization.substr(authorization.rfind('=') + 1);
}

TEST(SigV4, TheVectorsOfItsSuiteComeOut) {
  EXPECT_EQ(Signature({}), "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31") << "get-vanilla";
  EXPECT_EQ(Signature({.target = "/?Param2=value2&Param1=value1"}),
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500")
      << "get-vanilla-query-order-key-case";
  EXPECT_EQ(Signature({.method = "POST",
                       .headers = {{"Content-Type", "application/x-www-form-urlencoded"}},
                       .body = "Param1=value1"}),
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a")
      << "post-x-www-form-urlencoded";
}

TEST(SigV4, WhatIsSignedIsSaid) {
  HttpRequest request;
  Sign(request, kHost, kExample, kScope);
  EXPECT_EQ(Header(request, "X-Amz-Date"), "20150830T123600Z");
  EXPECT_THAT(
      Header(request, "Authorization"),
      HasSubstr("Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date,"));
}

TEST(SigV4, ATemporaryKeysTokenIsSentAndSigned) {
  Credentials temporary = kExample;
  temporary.session_token = "a token";
  HttpRequest request;
  Sign(request, kHost, temporary, kScope);
  EXPECT_EQ(Header(request, "X-Amz-Security-Token"), "a token");
  EXPECT_THAT(Header(request, "Authorization"), HasSubstr("host;x-amz-date;x-amz-security-token"));
  EXPECT_NE(Signature({}, temporary), Signature({}));
}

TEST(SigV4, HeadersAreCanonical) {
  EXPECT_EQ(CanonicalRequest({.headers = {{"My-Header", "  a   b c  "}, {"MY-HEADER", "d"}}}, kHost),
            "GET\n/\n\nhost:example.amazonaws.com\nmy-header:a b c,d\n\nhost;my-header\n"
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(SigV4, AFormIsEncodedAsAwsWantsIt) {
  EXPECT_EQ(FormOf({{"Action", "Describe"}, {"Names.member.1", "a b/ü*~"}}),
            "Action=Describe&Names.member.1=a%20b%2F%C3%BC%2A~");
}

}  // namespace
}  // namespace headroom::aws
