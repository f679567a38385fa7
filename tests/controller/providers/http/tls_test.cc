#include "controller/providers/http/tls.h"

#include <memory>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/pem.h>

#include "tests/controller/providers/http/certificates.h"

namespace headroom {
namespace {

using ::testing::HasSubstr;

absl::Status Use(const TlsMaterial& material) {
  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_client_method()), &SSL_CTX_free);
  return UseTls(context.get(), material);
}

// The same key behind a password.
std::string Encrypted(const std::string& pem) {
  BIO* const in = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  EVP_PKEY* const key = PEM_read_bio_PrivateKey(in, nullptr, nullptr, nullptr);
  BIO* const out = BIO_new(BIO_s_mem());
  EXPECT_EQ(PEM_write_bio_PKCS8PrivateKey(out, key, EVP_aes_128_cbc(), "secret", 6, nullptr, nullptr), 1);
  char* bytes = nullptr;
  const auto size = static_cast<size_t>(BIO_get_mem_data(out, &bytes));
  std::string text(bytes, size);
  BIO_free(in);
  BIO_free(out);
  EVP_PKEY_free(key);
  return text;
}

TEST(TlsTest, GoodFilesAreTaken) {
  const Authority authority("ours"), other("theirs");
  const Issued client = authority.Issue({"URI:spiffe://headroom/a"});
  EXPECT_TRUE(
      Use({.authorities = authority.pem() + other.pem(), .certificate = client.certificate, .key = client.key}).ok());
}

TEST(TlsTest, AKeyWithAPasswordIsRefusedAndNobodyIsAsked) {
  const Authority authority("ours");
  const Issued client = authority.Issue({"URI:spiffe://headroom/a"});
  const absl::Status status =
      Use({.authorities = authority.pem(), .certificate = client.certificate, .key = Encrypted(client.key)});
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("has a password"));
}

TEST(TlsTest, ABrokenAuthorityInTheMiddleHidesNoneAfterIt) {
  const Authority first("first"), broken("broken"), last("last");
  std::string middle = broken.pem();
  middle[middle.size() / 2] = '!';
  const absl::Status status = Use({.authorities = first.pem() + middle + last.pem()});
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("authority 2"));
}

}  // namespace
}  // namespace headroom
