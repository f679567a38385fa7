#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>

#include "controller/base/monitor.h"

namespace headroom {

struct PortSource;

// The files by which a program proves who it is and whom it believes, PEM; all three or none.
struct TlsFiles {
  std::string certificate;  // its own, and those between it and the authority
  std::string key;          // without a password
  std::string authorities;  // who may sign the other side's certificate
  bool empty() const { return certificate.empty() && key.empty() && authorities.empty(); }
};

// What the files held when they last fitted together.
struct KeyMaterial {
  std::string certificate, key, authorities;  // PEM
  absl::Time expires_at;
};

// INVALID_ARGUMENT: a part is missing or cannot be read, or the key is another certificate's; which file, in one
// sentence. An expired certificate is taken: who is to be told so is the other side.
absl::StatusOr<KeyMaterial> ReadTlsFiles(const TlsFiles& files);

// WireCredentials: the certificate, key and authorities of this process, as their files are now.
//
// Promise: the files may be replaced at any time, in any order, by rename or in place. What was read last and fitted
// together is in force, for every handshake from then on; connections that are open stay. Files that do not fit change
// nothing and are told of once, when a second look finds them still so. Thread-safe; must outlive the servers that use
// it.
class WireCredentials {
 public:
  enum class Watch { kEverySecond, kNever };
  // One line for a log: "loaded ...", "not loaded: ...", "expires ...". From the thread that looks.
  using Say = std::function<void(const absl::Status& status, absl::string_view text)>;

  static absl::StatusOr<std::unique_ptr<WireCredentials>> Open(const TlsFiles& files, Watch watch, Say say);
  ~WireCredentials();
  WireCredentials(const WireCredentials&) = delete;
  WireCredentials& operator=(const WireCredentials&) = delete;

  // Reads the files again.
  void Look();

  const TlsFiles& files() const { return files_; }
  std::shared_ptr<const KeyMaterial> Material() const;

  // For one new channel.
  std::shared_ptr<grpc::ChannelCredentials> ForChannel() const;
  // For one port: asks each client for a certificate and verifies it; each handshake is by the material of the moment.
  std::shared_ptr<grpc::ServerCredentials> ForPort();

 private:
  WireCredentials(const TlsFiles& files, KeyMaterial material, Say say);
  void WatchFiles();
  void TellExpiry(const KeyMaterial& material);

  const TlsFiles files_;
  const Say say_;
  mutable Monitor mutex_;
  std::shared_ptr<const KeyMaterial> material_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::unique_ptr<PortSource>> ports_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  // Of the looking thread.
  std::string fault_, fault_told_;
  bool expiry_told_ = false;
  std::thread watch_;
};

}  // namespace headroom
