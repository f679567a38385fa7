#include "controller/wire/why_not.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "controller/base/monitor.h"

namespace headroom {
namespace {

template <class T>
using Owned = std::unique_ptr<T, void (*)(T*)>;

constexpr absl::Duration kPoll = absl::Milliseconds(100);
constexpr char kCloses[] = "it closes the connection; it is no headroomd, or it is about to stop";
constexpr char kNobodyAnswers[] = "it takes the connection and does not answer; is it stopped, or overloaded?";

absl::Duration MonotonicNow() {
  return absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
}

struct HostAndPort {
  std::string host, port;
};

HostAndPort Split(const std::string& endpoint) {
  const size_t colon = endpoint.rfind(':');
  if (colon == std::string::npos) return {endpoint, "0"};
  HostAndPort parts{endpoint.substr(0, colon), endpoint.substr(colon + 1)};
  if (parts.host.size() > 2 && parts.host.front() == '[') parts.host = parts.host.substr(1, parts.host.size() - 2);
  return parts;
}

using Addresses = std::shared_ptr<addrinfo>;

// What a name stands for. The resolver takes the time that it takes: a thread that asks it too long is left to itself.
class Lookup {
 public:
  explicit Lookup(HostAndPort of) : state_(std::make_shared<State>()) {
    std::thread([state = state_, of = std::move(of)] {
      addrinfo hints{};
      hints.ai_socktype = SOCK_STREAM;
      addrinfo* found = nullptr;
      const int fault = getaddrinfo(of.host.c_str(), of.port.c_str(), &hints, &found);
      MonitorLock lock(state->mutex);
      if (found != nullptr) state->addresses = {found, freeaddrinfo};
      state->fault = fault == 0 ? "" : gai_strerror(fault);
      state->done = true;
      state->mutex.Notify();
    }).detach();
  }
  // Waits so long at most; whether it has ended.
  bool Wait(absl::Duration longest) const {
    MonitorLock lock(state_->mutex);
    if (!state_->done) state_->mutex.Wait(longest);
    return state_->done;
  }
  Addresses addresses() const {
    MonitorLock lock(state_->mutex);
    return state_->addresses;
  }
  std::string fault() const {
    MonitorLock lock(state_->mutex);
    return state_->fault;
  }

 private:
  struct State {
    Monitor mutex;
    bool done ABSL_GUARDED_BY(mutex) = false;
    std::string fault ABSL_GUARDED_BY(mutex);
    Addresses addresses ABSL_GUARDED_BY(mutex);
  };
  const std::shared_ptr<State> state_;
};

// One TCP connection with a deadline for all that is done on it.
class Line {
 public:
  explicit Line(const WhyNotOptions& options)
      : deadline_(MonotonicNow() + options.timeout), gives_up_(options.gives_up) {}
  ~Line() {
    if (fd_ >= 0) close(fd_);
  }
  Line(const Line&) = delete;
  Line& operator=(const Line&) = delete;

  int fd() const { return fd_; }
  absl::Status Connect(const HostAndPort& to);
  // False: the time is up.
  bool Wait(short events) const {
    pollfd waited{fd_, events, 0};
    while (!IsOver()) {
      if (poll(&waited, 1, static_cast<int>(absl::ToInt64Milliseconds(kPoll))) > 0) return true;
    }
    return false;
  }

 private:
  absl::Status ConnectTo(const addrinfo& address);
  bool IsOver() const { return MonotonicNow() >= deadline_ || (gives_up_ && gives_up_()); }

  const absl::Duration deadline_;
  const std::function<bool()>& gives_up_;
  int fd_ = -1;
};

absl::Status Line::Connect(const HostAndPort& to) {
  const Lookup lookup(to);
  while (!lookup.Wait(kPoll)) {
    if (IsOver()) return absl::UnavailableError(absl::StrCat("the name ", to.host, " is still being looked up"));
  }
  const Addresses addresses = lookup.addresses();
  absl::Status status = absl::UnavailableError(absl::StrCat("the name ", to.host, " is not known: ", lookup.fault()));
  for (const addrinfo* at = addresses.get(); at != nullptr && !IsOver(); at = at->ai_next) {
    if (status = ConnectTo(*at); status.ok()) return status;
  }
  return status;
}

absl::Status Line::ConnectTo(const addrinfo& address) {
  if (fd_ >= 0) close(fd_);
  fd_ = socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd_ < 0) return absl::UnavailableError(std::strerror(errno));
  if (connect(fd_, address.ai_addr, address.ai_addrlen) == 0) return absl::OkStatus();
  int fault = errno;
  if (fault == EINPROGRESS) {
    if (!Wait(POLLOUT)) return absl::UnavailableError("no answer from the machine; is a firewall between?");
    socklen_t size = sizeof fault;
    getsockopt(fd_, SOL_SOCKET, SO_ERROR, &fault, &size);
  }
  if (fault == 0) return absl::OkStatus();
  if (fault == ECONNREFUSED) return absl::UnavailableError("connection refused: nothing listens there");
  return absl::UnavailableError(std::strerror(fault));
}

// OpenSSL writes also to what the other side has closed. The signal of that, which ends a process, is this thread's: it
// is held back, and taken away at the end.
class NoPipeSignal {
 public:
  NoPipeSignal() {
    sigemptyset(&pipe_);
    sigaddset(&pipe_, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  ~NoPipeSignal() {
    const timespec at_once{};
    while (sigtimedwait(&pipe_, nullptr, &at_once) == SIGPIPE) {
    }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  NoPipeSignal(const NoPipeSignal&) = delete;
  NoPipeSignal& operator=(const NoPipeSignal&) = delete;

 private:
  sigset_t pipe_, before_;
};

// What an exchange over TLS came to.
enum class Course { kDone, kSilent, kNoTls, kClosed, kRefused };

class Handshake {
 public:
  Handshake(const Line& line, const HostAndPort& to, const KeyMaterial* material);
  Course Run();
  // After a good handshake: the first bytes of the other side, who sends them once it believes us.
  Course AwaitWord();
  bool HasCertificate() const { return Owned<X509>(SSL_get1_peer_certificate(ssl_.get()), X509_free) != nullptr; }
  long verified() const { return seen_.code; }
  const std::string& names() const { return seen_.names; }
  const std::string& alert() const { return alert_; }

 private:
  struct Seen {
    long code = X509_V_OK;  // the first fault that the other side's certificate has
    std::string names;
  };
  static int Verify(int ok, X509_STORE_CTX* context);
  Course After(int result);

  const Line& line_;
  Owned<SSL_CTX> context_;
  Owned<SSL> ssl_;
  Seen seen_;
  std::string alert_;
};

void UseMaterial(SSL_CTX* context, const KeyMaterial& material) {
  const auto memory = [](const std::string& pem) {
    return Owned<BIO>(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), BIO_free_all);
  };
  Owned<BIO> bio = memory(material.authorities);
  while (X509* const authority = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) {
    X509_STORE_add_cert(SSL_CTX_get_cert_store(context), authority);
    X509_free(authority);
  }
  bio = memory(material.certificate);
  if (const Owned<X509> own(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr), X509_free); own != nullptr) {
    SSL_CTX_use_certificate(context, own.get());
  }
  while (X509* const next = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) {
    if (SSL_CTX_add_extra_chain_cert(context, next) != 1) X509_free(next);
  }
  bio = memory(material.key);
  if (const Owned<EVP_PKEY> key(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr), EVP_PKEY_free);
      key != nullptr) {
    SSL_CTX_use_PrivateKey(context, key.get());
  }
  ERR_clear_error();
}

// A name of a certificate, as a person writes it; empty: one of a kind that nobody is reached by, or broken.
std::string TextOf(const GENERAL_NAME& name) {
  const bool is_address = name.type == GEN_IPADD;
  if (!is_address && name.type != GEN_DNS && name.type != GEN_URI) return "";
  const ASN1_STRING* const value = is_address ? name.d.iPAddress : name.d.ia5;
  const auto* const bytes = ASN1_STRING_get0_data(value);
  const auto size = static_cast<size_t>(ASN1_STRING_length(value));
  if (!is_address) return {reinterpret_cast<const char*>(bytes), size};
  if (size != sizeof(in_addr) && size != sizeof(in6_addr)) return "";
  std::array<char, INET6_ADDRSTRLEN> text{};
  inet_ntop(size == sizeof(in_addr) ? AF_INET : AF_INET6, bytes, text.data(), text.size());
  return text.data();
}

std::string NamesOf(const X509* certificate) {
  std::vector<std::string> names;
  auto* const all = static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(all); ++i) {
    if (std::string name = TextOf(*sk_GENERAL_NAME_value(all, i)); !name.empty()) names.push_back(std::move(name));
  }
  GENERAL_NAMES_free(all);
  return names.empty() ? "nobody" : absl::StrJoin(names, ", ");
}

Handshake::Handshake(const Line& line, const HostAndPort& to, const KeyMaterial* material)
    : line_(line), context_(SSL_CTX_new(TLS_client_method()), SSL_CTX_free), ssl_(nullptr, SSL_free) {
  if (material != nullptr) UseMaterial(context_.get(), *material);
  SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER, Verify);
  constexpr unsigned char kHttp2[] = {2, 'h', '2'};
  SSL_CTX_set_alpn_protos(context_.get(), kHttp2, sizeof kHttp2);
  ssl_.reset(SSL_new(context_.get()));
  SSL_set_app_data(ssl_.get(), &seen_);
  X509_VERIFY_PARAM* const wanted = SSL_get0_param(ssl_.get());
  if (X509_VERIFY_PARAM_set1_ip_asc(wanted, to.host.c_str()) != 1) {
    X509_VERIFY_PARAM_set1_host(wanted, to.host.c_str(), to.host.size());
    SSL_set_tlsext_host_name(ssl_.get(), to.host.c_str());
  }
  SSL_set_fd(ssl_.get(), line.fd());
}

// Goes on whatever it finds, so that the other side's view is seen too.
int Handshake::Verify(int ok, X509_STORE_CTX* context) {
  const auto* const ssl = static_cast<SSL*>(X509_STORE_CTX_get_ex_data(context, SSL_get_ex_data_X509_STORE_CTX_idx()));
  auto* const seen = static_cast<Seen*>(SSL_get_app_data(ssl));
  if (ok == 0 && seen->code == X509_V_OK) {
    seen->code = X509_STORE_CTX_get_error(context);
    seen->names = NamesOf(X509_STORE_CTX_get0_cert(context));
  }
  return 1;
}

Course Handshake::After(int result) {
  const int error = SSL_get_error(ssl_.get(), result);
  const unsigned long fault = ERR_peek_error();
  const int reason = ERR_GET_REASON(fault);
  ERR_clear_error();
  if (error != SSL_ERROR_SSL) return Course::kClosed;
  if (reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_HTTP_REQUEST) return Course::kNoTls;
  if (reason < SSL_AD_REASON_OFFSET) return Course::kClosed;
  alert_ = ERR_reason_error_string(fault);  // what the other side says
  return Course::kRefused;
}

Course Handshake::Run() {
  while (true) {
    const int result = SSL_connect(ssl_.get());
    if (result == 1) return Course::kDone;
    const int wants = SSL_get_error(ssl_.get(), result);
    if (wants != SSL_ERROR_WANT_READ && wants != SSL_ERROR_WANT_WRITE) return After(result);
    if (!line_.Wait(wants == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT)) return Course::kSilent;
  }
}

Course Handshake::AwaitWord() {
  char byte = 0;
  while (true) {
    const int result = SSL_read(ssl_.get(), &byte, 1);
    if (result == 1) return Course::kDone;
    if (SSL_get_error(ssl_.get(), result) != SSL_ERROR_WANT_READ) return After(result);
    if (!line_.Wait(POLLIN)) return Course::kSilent;
  }
}

absl::Status Unbelieved(const std::string& text) {
  return absl::UnauthenticatedError(text);
}

absl::Status OfTheirCertificate(const Handshake& handshake, const HostAndPort& to, const TlsFiles& files) {
  switch (handshake.verified()) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return Unbelieved("its certificate has expired; put a new one in its place there, no restart is needed");
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return Unbelieved("its certificate is not valid yet; compare the clocks of both machines");
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return Unbelieved(absl::StrCat("its certificate is for ", handshake.names(), " and not for ", to.host,
                                     "; reach it by a name that it has, or give it one with this name"));
    case X509_V_ERR_INVALID_PURPOSE:
      return Unbelieved("its certificate is no server's; it needs extendedKeyUsage serverAuth");
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
      return Unbelieved(absl::StrCat("its certificate is signed by no authority in ", files.authorities,
                                     "; give the file of the one that signed it with --tls-ca"));
    default:
      return Unbelieved(
          absl::StrCat("its certificate is not good: ", X509_verify_cert_error_string(handshake.verified())));
  }
}

absl::Status OfOurCertificate(const Handshake& handshake, const WireCredentials& credentials) {
  if (credentials.Material()->expires_at < absl::Now()) {
    return Unbelieved(absl::StrCat("the certificate in ", credentials.files().certificate,
                                   " has expired and is refused; put a new one in its place, no restart is needed"));
  }
  return Unbelieved(
      absl::StrCat("it refuses the certificate in ", credentials.files().certificate,
                   handshake.alert().empty() ? "" : absl::StrCat(" (", handshake.alert(), ")"),
                   "; it must be signed by an authority in the --tls-ca of the other side, for clientAuth"));
}

absl::Status WhyNotInPlaintext(const Line& line, const HostAndPort& to) {
  Handshake handshake(line, to, nullptr);
  const Course course = handshake.Run();
  if (course == Course::kDone || handshake.HasCertificate()) {
    return Unbelieved("it speaks TLS; give --tls-cert, --tls-key and --tls-ca");
  }
  if (course == Course::kNoTls) return absl::UnavailableError("it answered too late, or it is no headroomd");
  if (course == Course::kSilent) return absl::UnavailableError(kNobodyAnswers);
  return absl::UnavailableError(kCloses);
}

}  // namespace

absl::Status WhyNoConnection(const std::string& endpoint, const WhyNotOptions& options) {
  const WireCredentials* const credentials = options.credentials;
  const HostAndPort to = Split(endpoint);
  const NoPipeSignal held;
  Line line(options);
  if (absl::Status status = line.Connect(to); !status.ok()) return status;
  if (options.depth == WhyNotOptions::Depth::kConnection) return absl::UnavailableError(kNobodyAnswers);
  if (credentials == nullptr) return WhyNotInPlaintext(line, to);
  Handshake handshake(line, to, credentials->Material().get());
  Course course = handshake.Run();
  if (course == Course::kNoTls) {
    return Unbelieved("it speaks no TLS; start headroomd there with --tls-cert, --tls-key and --tls-ca");
  }
  if (handshake.verified() != X509_V_OK) return OfTheirCertificate(handshake, to, credentials->files());
  if (course == Course::kDone) course = handshake.AwaitWord();
  if (course == Course::kDone) return absl::UnavailableError("it answered too late; is it overloaded?");
  if (course == Course::kSilent) return absl::UnavailableError(kNobodyAnswers);
  if (!handshake.HasCertificate()) return absl::UnavailableError(kCloses);
  return OfOurCertificate(handshake, *credentials);
}

}  // namespace headroom
