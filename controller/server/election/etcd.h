#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/security/credentials.h>

#include "controller/base/monitor.h"

namespace headroom::etcd {

// A key as it is.
struct Entry {
  std::string key, value;
  int64_t create_revision = 0, mod_revision = 0;
  int64_t lease = 0;  // that it ends with; 0: none
};

// A write that happens only if the key `fence` was created at this revision and is there still; revision 0: only if
// there is no such key.
struct FencedPut {
  std::string fence;
  int64_t fence_revision = 0;
  std::string key, value;
  int64_t lease = 0;                         // that the key ends with; 0: none
  std::optional<int64_t> mod_revision = {};  // and only if `key` was last changed at this one; 0: is not there
};

// Client: the few calls of etcd that an election and a small state need, at any of its members: one that does not
// answer in time (kMemberTimeout, or its share of a shorter one) is left for the next. Every write that it makes may be
// repeated. Blocking, thread-safe. Codes: UNAVAILABLE, DEADLINE_EXCEEDED no member, or no quorum; NOT_FOUND;
// PERMISSION_DENIED, UNAUTHENTICATED.
class Client {
 public:
  static constexpr absl::Duration kMemberTimeout = absl::Seconds(2);

  // `endpoints`: "10.0.0.1:2379", each a member.
  Client(const std::vector<std::string>& endpoints, std::shared_ptr<grpc::ChannelCredentials> credentials);
  ~Client();

  absl::StatusOr<Entry> Get(const std::string& key, absl::Duration timeout);
  // The revision of the write; ABORTED: the fence is another one.
  absl::StatusOr<int64_t> Put(const FencedPut& put, absl::Duration timeout);
  absl::StatusOr<int64_t> GrantLease(absl::Duration time_to_live, absl::Duration timeout);
  // NOT_FOUND: it has ended.
  absl::Status KeepLease(int64_t lease, absl::Duration timeout);
  absl::Status RevokeLease(int64_t lease, absl::Duration timeout);
  // Calls `deleted` whenever the key ends, until Cancel() of the context or an error, which it returns.
  absl::Status WatchDeletes(const std::string& key, grpc::ClientContext& context, const std::function<void()>& deleted);

 private:
  struct Member;
  using Call = std::function<grpc::Status(Member&, grpc::ClientContext&)>;
  absl::Status Do(absl::string_view what, absl::Duration timeout, const Call& call);
  size_t current() const;

  std::vector<std::unique_ptr<Member>> members_;
  mutable Monitor mutex_;
  size_t current_ ABSL_GUARDED_BY(mutex_) = 0;  // answered last
};

}  // namespace headroom::etcd
