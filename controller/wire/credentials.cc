#include "controller/wire/credentials.h"

#include <cstring>
#include <ctime>
#include <mutex>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "controller/base/read_file.h"
#include "controller/base/status.h"

namespace headroom {

// What the C core holds on to for as long as the port is open.
struct PortSource {
  explicit PortSource(const WireCredentials& from) : credentials(from) {}
  const WireCredentials& credentials;
  std::mutex mutex;
  std::shared_ptr<const KeyMaterial> served;  // last
};

namespace {

constexpr absl::Duration kLookInterval = absl::Seconds(1);
constexpr absl::Duration kExpirySoon = absl::Hours(24 * 7);
constexpr size_t kFileBytesMax = 1 << 20;

template <class T>
using Owned = std::unique_ptr<T, void (*)(T*)>;

absl::StatusOr<std::string> ReadPem(absl::string_view option, const std::string& path) {
  if (path.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(option, " is missing: --tls-cert, --tls-key and --tls-ca are given together or not at all"));
  }
  absl::StatusOr<std::string> text = ReadFile(path, kFileBytesMax + 1);
  if (!text.ok()) return absl::InvalidArgumentError(absl::StrCat(option, ": ", text.status().message()));
  if (text->size() > kFileBytesMax) {
    return absl::InvalidArgumentError(absl::StrCat(option, ": ", path, " is larger than a certificate file can be"));
  }
  return text;
}

// Keys with a password are none: nobody is there to type it.
int NoPassword(char*, int, int, void*) {
  return 0;
}

// All certificates of the text, in order; the text is good when it has one at least and nothing broken.
std::vector<Owned<X509>> Certificates(const std::string& pem) {
  std::vector<Owned<X509>> certificates;
  const Owned<BIO> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), BIO_free_all);
  while (X509* const next = PEM_read_bio_X509(bio.get(), nullptr, NoPassword, nullptr)) {
    certificates.emplace_back(next, X509_free);
  }
  const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  if (!at_end) certificates.clear();
  return certificates;
}

absl::Time ExpiryOf(const X509& certificate) {
  std::tm tm{};
  if (ASN1_TIME_to_tm(X509_get0_notAfter(&certificate), &tm) != 1) return absl::InfinitePast();
  return absl::FromTM(tm, absl::UTCTimeZone());
}

std::string Day(absl::Time time) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", time, absl::UTCTimeZone());
}

bool Same(const KeyMaterial& a, const KeyMaterial& b) {
  return a.certificate == b.certificate && a.key == b.key && a.authorities == b.authorities;
}

// gRPC's own classes read a server's files once; its C core asks for them at each handshake, where it is told to.
class PortCredentials final : public grpc::ServerCredentials {
 public:
  explicit PortCredentials(PortSource& source) : source_(source) {}

  void SetAuthMetadataProcessor(const std::shared_ptr<grpc::AuthMetadataProcessor>&) override {}

 private:
  int AddPortToServer(const std::string& address, grpc_server* server) override {
    grpc_ssl_server_credentials_options* const options =
        grpc_ssl_server_credentials_create_options_using_config_fetcher(
            GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY, Fetch, &source_);
    grpc_server_credentials* const credentials = grpc_ssl_server_credentials_create_with_options(options);
    const int port = grpc_server_add_http2_port(server, address.c_str(), credentials);
    grpc_server_credentials_release(credentials);
    return port;
  }

  static grpc_ssl_certificate_config_reload_status Fetch(void* user, grpc_ssl_server_certificate_config** config) {
    auto* const source = static_cast<PortSource*>(user);
    const std::shared_ptr<const KeyMaterial> material = source->credentials.Material();
    const std::lock_guard lock(source->mutex);
    if (material == source->served) return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
    const grpc_ssl_pem_key_cert_pair pair = {material->key.c_str(), material->certificate.c_str()};
    *config = grpc_ssl_server_certificate_config_create(material->authorities.c_str(), &pair, 1);
    source->served = material;
    return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
  }

  PortSource& source_;
};

}  // namespace

absl::StatusOr<KeyMaterial> ReadTlsFiles(const TlsFiles& files) {
  KeyMaterial material;
  HR_ASSIGN_OR_RETURN(material.certificate, ReadPem("--tls-cert", files.certificate));
  HR_ASSIGN_OR_RETURN(material.key, ReadPem("--tls-key", files.key));
  HR_ASSIGN_OR_RETURN(material.authorities, ReadPem("--tls-ca", files.authorities));
  const std::vector<Owned<X509>> chain = Certificates(material.certificate);
  if (chain.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--tls-cert: ", files.certificate, " holds no whole certificate (PEM)"));
  }
  const Owned<BIO> bio(BIO_new_mem_buf(material.key.data(), static_cast<int>(material.key.size())), BIO_free_all);
  const Owned<EVP_PKEY> key(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassword, nullptr), EVP_PKEY_free);
  const bool fits = key != nullptr && X509_check_private_key(chain.front().get(), key.get()) == 1;
  ERR_clear_error();
  if (key == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("--tls-key: ", files.key, " holds no whole private key without a password (PEM)"));
  }
  if (!fits) {
    return absl::InvalidArgumentError(
        absl::StrCat("--tls-key: ", files.key, " is not the key of the certificate in ", files.certificate));
  }
  if (Certificates(material.authorities).empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--tls-ca: ", files.authorities, " holds no whole certificate of an authority (PEM)"));
  }
  material.expires_at = ExpiryOf(*chain.front());
  return material;
}

absl::StatusOr<std::unique_ptr<WireCredentials>> WireCredentials::Open(const TlsFiles& files, Watch watch, Say say) {
  HR_ASSIGN_OR_RETURN(KeyMaterial material, ReadTlsFiles(files));
  std::unique_ptr<WireCredentials> credentials(new WireCredentials(files, std::move(material), std::move(say)));
  credentials->TellExpiry(*credentials->Material());
  if (watch == Watch::kEverySecond) credentials->watch_ = std::thread([c = credentials.get()] { c->WatchFiles(); });
  return credentials;
}

WireCredentials::WireCredentials(const TlsFiles& files, KeyMaterial material, Say say)
    : files_(files),
      say_(say ? std::move(say) : [](const absl::Status&, absl::string_view) {}),
      material_(std::make_shared<const KeyMaterial>(std::move(material))) {}

WireCredentials::~WireCredentials() {
  {
    MonitorLock lock(mutex_);
    stopping_ = true;
    mutex_.Notify();
  }
  if (watch_.joinable()) watch_.join();
}

std::shared_ptr<const KeyMaterial> WireCredentials::Material() const {
  MonitorLock lock(mutex_);
  return material_;
}

void WireCredentials::WatchFiles() {
  while (true) {
    {
      MonitorLock lock(mutex_);
      if (!stopping_) mutex_.Wait(kLookInterval);
      if (stopping_) return;
    }
    Look();
  }
}

void WireCredentials::Look() {
  const std::shared_ptr<const KeyMaterial> before = Material();
  absl::StatusOr<KeyMaterial> now = ReadTlsFiles(files_);
  if (!now.ok()) {
    // The first look may have come between two renames.
    const std::string fault(now.status().message());
    if (std::exchange(fault_, fault) != fault || std::exchange(fault_told_, fault) == fault) return;
    say_(now.status(), absl::StrCat("the files of TLS do not fit and the old ones stay in force: ", fault));
    return;
  }
  fault_.clear();
  fault_told_.clear();
  if (!Same(*now, *before)) {
    const auto material = std::make_shared<const KeyMaterial>(*std::move(now));
    {
      MonitorLock lock(mutex_);
      material_ = material;
    }
    expiry_told_ = false;
    say_(absl::OkStatus(),
         absl::StrCat("new files of TLS are in force; the certificate holds until ", Day(material->expires_at)));
  }
  TellExpiry(*Material());
}

void WireCredentials::TellExpiry(const KeyMaterial& material) {
  const absl::Time now = absl::Now();
  if (expiry_told_ || material.expires_at > now + kExpirySoon) return;
  expiry_told_ = true;
  const absl::string_view ends = material.expires_at > now ? " expires at " : " has expired at ";
  say_(absl::FailedPreconditionError("expiry"), absl::StrCat("the certificate in ", files_.certificate, ends,
                                                             Day(material.expires_at), "; put a new one in its place"));
}

std::shared_ptr<grpc::ChannelCredentials> WireCredentials::ForChannel() const {
  const std::shared_ptr<const KeyMaterial> material = Material();
  return grpc::SslCredentials({material->authorities, material->key, material->certificate});
}

std::shared_ptr<grpc::ServerCredentials> WireCredentials::ForPort() {
  MonitorLock lock(mutex_);
  ports_.push_back(std::make_unique<PortSource>(*this));
  return std::make_shared<PortCredentials>(*ports_.back());
}

}  // namespace headroom
