#include "controller/providers/http/tls.h"

#include <memory>

#include "absl/strings/str_cat.h"
#include <openssl/err.h>
#include <openssl/pem.h>

namespace headroom {
namespace {

struct Free {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
using Bio = std::unique_ptr<BIO, Free>;
using Certificate = std::unique_ptr<X509, Free>;
using Key = std::unique_ptr<EVP_PKEY, Free>;

Bio Reader(const std::string& pem) {
  return Bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

Certificate ReadCertificate(BIO* bio) {
  return Certificate(PEM_read_bio_X509(bio, nullptr, nullptr, nullptr));
}

// The text has ended, and nothing in it was wrong.
bool IsAtEnd() {
  const unsigned long last = ERR_peek_last_error();
  return ERR_GET_LIB(last) == ERR_LIB_PEM && ERR_GET_REASON(last) == PEM_R_NO_START_LINE;
}

// OpenSSL would ask for it on the terminal.
int NoPassword(char*, int, int, void* was_asked) {
  *static_cast<bool*>(was_asked) = true;
  return 0;
}

absl::Status Wrong(absl::string_view what) {
  return absl::FailedPreconditionError(absl::StrCat(what, ": ", TakeOpenSslError()));
}

absl::Status Trust(SSL_CTX* context, const std::string& authorities) {
  X509_STORE* store = X509_STORE_new();
  SSL_CTX_set_cert_store(context, store);  // owns it, and frees the one with what was trusted before
  if (authorities.empty()) {
    return SSL_CTX_set_default_verify_paths(context) == 1 ? absl::OkStatus()
                                                          : Wrong("the system's authorities cannot be read");
  }
  const Bio bio = Reader(authorities);
  int count = 0;
  while (const Certificate one = ReadCertificate(bio.get())) {
    if (X509_STORE_add_cert(store, one.get()) != 1) return Wrong("an authority's certificate is refused");
    ++count;
  }
  if (count == 0) return Wrong("the authorities are no certificates in PEM");
  if (!IsAtEnd()) return Wrong(absl::StrCat("authority ", count + 1, " is no certificate in PEM"));
  ERR_clear_error();  // that there is no further one
  return absl::OkStatus();
}

absl::Status Show(SSL_CTX* context, const TlsMaterial& material) {
  const Bio chain = Reader(material.certificate), key_bio = Reader(material.key);
  const Certificate leaf = ReadCertificate(chain.get());
  if (leaf == nullptr) return Wrong("the client's certificate is none in PEM");
  if (SSL_CTX_use_certificate(context, leaf.get()) != 1) return Wrong("the client's certificate is refused");
  while (Certificate next = ReadCertificate(chain.get())) {
    if (SSL_CTX_add0_chain_cert(context, next.get()) != 1) return Wrong("the client's chain is refused");
    static_cast<void>(next.release());
  }
  if (!IsAtEnd()) return Wrong("the client's chain is not all certificates in PEM");
  ERR_clear_error();
  bool has_password = false;
  const Key key(PEM_read_bio_PrivateKey(key_bio.get(), nullptr, &NoPassword, &has_password));
  if (has_password) return Wrong("the client's key has a password; give one without");
  if (key == nullptr) return Wrong("the client's key is none in PEM");
  if (SSL_CTX_use_PrivateKey(context, key.get()) != 1) return Wrong("the client's key is not its certificate's");
  return absl::OkStatus();
}

}  // namespace

std::string TakeOpenSslError() {
  const char* reason = ERR_reason_error_string(ERR_peek_last_error());
  ERR_clear_error();
  return reason == nullptr ? "nothing more is known" : reason;
}

absl::Status UseTls(SSL_CTX* context, const TlsMaterial& material) {
  ERR_clear_error();
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  if (absl::Status trust = Trust(context, material.authorities); !trust.ok()) return trust;
  if (material.certificate.empty() && material.key.empty()) return absl::OkStatus();
  return Show(context, material);
}

}  // namespace headroom
