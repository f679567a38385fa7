#include "controller/providers/aws/sigv4.h"

#include <algorithm>
#include <array>
#include <map>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "controller/base/check.h"
#include "controller/base/percent_encoding.h"

namespace headroom::aws {
namespace {

constexpr char kAlgorithm[] = "AWS4-HMAC-SHA256";

std::string Hash(const std::string& text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned length = 0;
  HR_CHECK(EVP_Digest(text.data(), text.size(), digest.data(), &length, EVP_sha256(), nullptr) == 1);
  return {reinterpret_cast<const char*>(digest.data()), length};
}

std::string Keyed(const std::string& key, const std::string& text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned length = 0;
  HR_CHECK(HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
                reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data(), &length) != nullptr);
  return {reinterpret_cast<const char*>(digest.data()), length};
}

std::string HashHex(const std::string& text) {
  return absl::BytesToHexString(Hash(text));
}

// Values in the order of their names, lower case, white space inside and around them as one blank and none.
std::map<std::string, std::string> CanonicalHeaders(const HttpRequest& request, const std::string& host) {
  std::map<std::string, std::string> headers = {{"host", host}};
  for (const HttpHeader& header : request.headers) {
    std::string value = header.value;
    absl::RemoveExtraAsciiWhitespace(&value);
    std::string& all = headers[absl::AsciiStrToLower(header.name)];
    absl::StrAppend(&all, all.empty() ? "" : ",", value);
  }
  return headers;
}

std::string SignedNames(const std::map<std::string, std::string>& headers) {
  return absl::StrJoin(headers, ";", [](std::string* out, const auto& header) { out->append(header.first); });
}

std::string CanonicalQuery(const std::string& query) {
  if (query.empty()) return "";
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const absl::string_view part : absl::StrSplit(query, '&'))
    pairs.push_back(absl::StrSplit(part, absl::MaxSplits('=', 1)));
  std::sort(pairs.begin(), pairs.end());
  return absl::StrJoin(pairs, "&", absl::PairFormatter("="));
}

}  // namespace

std::string FormOf(const std::vector<std::pair<std::string, std::string>>& fields) {
  return absl::StrJoin(fields, "&", [](std::string* out, const auto& field) {
    absl::StrAppend(out, PercentEncoded(field.first), "=", PercentEncoded(field.second));
  });
}

std::string CanonicalRequest(const HttpRequest& request, const std::string& host) {
  const std::pair<std::string, std::string> target = absl::StrSplit(request.target, absl::MaxSplits('?', 1));
  const std::map<std::string, std::string> headers = CanonicalHeaders(request, host);
  std::string lines;
  for (const auto& [name, value] : headers) absl::StrAppend(&lines, name, ":", value, "\n");
  return absl::StrCat(request.method, "\n", target.first, "\n", CanonicalQuery(target.second), "\n", lines, "\n",
                      SignedNames(headers), "\n", HashHex(request.body));
}

void Sign(HttpRequest& request, const std::string& host, const Credentials& credentials, const SigningScope& scope) {
  const std::string moment = absl::FormatTime("%Y%m%dT%H%M%SZ", scope.at, absl::UTCTimeZone());
  const std::string day = moment.substr(0, 8);
  request.headers.push_back({"X-Amz-Date", moment});
  if (!credentials.session_token.empty())
    request.headers.push_back({"X-Amz-Security-Token", credentials.session_token});
  const std::string whole = absl::StrCat(day, "/", scope.region, "/", scope.service, "/aws4_request");
  const std::string text =
      absl::StrCat(kAlgorithm, "\n", moment, "\n", whole, "\n", HashHex(CanonicalRequest(request, host)));
  std::string key = Keyed("AWS4" + credentials.secret_access_key, day);
  for (const std::string& part : {scope.region, scope.service, std::string("aws4_request")}) key = Keyed(key, part);
  request.headers.push_back(
      {"Authorization", absl::StrCat(kAlgorithm, " Credential=", credentials.access_key_id, "/", whole,
                                     ", SignedHeaders=", SignedNames(CanonicalHeaders(request, host)),
                                     ", Signature=", absl::BytesToHexString(Keyed(key, text)))});
}

}  // namespace headroom::aws
