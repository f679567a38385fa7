#include "controller/server/election/etcd.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include <grpcpp/create_channel.h>

#include "controller/base/status.h"
#include "etcd/rpc.grpc.pb.h"

namespace headroom::etcd {
namespace {

using Clock = std::chrono::steady_clock;

bool IsWorthAnotherMember(const grpc::Status& status) {
  switch (status.error_code()) {
    case grpc::StatusCode::UNAVAILABLE:
    case grpc::StatusCode::DEADLINE_EXCEEDED:
    case grpc::StatusCode::UNKNOWN:
    case grpc::StatusCode::INTERNAL:
      return true;
    default:
      return false;
  }
}

absl::Status NoSpace() {
  return absl::ResourceExhaustedError(
      "etcd is full and takes no writes: free it with `etcdctl compact REVISION`, `etcdctl defrag --cluster` and "
      "`etcdctl alarm disarm`, and start it with --auto-compaction-retention=1h");
}

etcdserverpb::TxnRequest TxnOf(const FencedPut& put) {
  etcdserverpb::TxnRequest txn;
  etcdserverpb::Compare& compare = *txn.add_compare();
  compare.set_key(put.fence);
  compare.set_target(etcdserverpb::Compare::CREATE);
  compare.set_result(etcdserverpb::Compare::EQUAL);
  compare.set_create_revision(put.fence_revision);
  if (put.mod_revision.has_value()) {
    etcdserverpb::Compare& unchanged = *txn.add_compare();
    unchanged.set_key(put.key);
    unchanged.set_target(etcdserverpb::Compare::MOD);
    unchanged.set_result(etcdserverpb::Compare::EQUAL);
    unchanged.set_mod_revision(*put.mod_revision);
  }
  etcdserverpb::PutRequest& write = *txn.add_success()->mutable_request_put();
  write.set_key(put.key);
  write.set_value(put.value);
  write.set_lease(put.lease);
  return txn;
}

}  // namespace

struct Client::Member {
  explicit Member(const std::shared_ptr<grpc::Channel>& channel)
      : kv(etcdserverpb::KV::NewStub(channel)),
        lease(etcdserverpb::Lease::NewStub(channel)),
        watch(etcdserverpb::Watch::NewStub(channel)) {}
  std::unique_ptr<etcdserverpb::KV::Stub> kv;
  std::unique_ptr<etcdserverpb::Lease::Stub> lease;
  std::unique_ptr<etcdserverpb::Watch::Stub> watch;
};

Client::Client(const std::vector<std::string>& endpoints, std::shared_ptr<grpc::ChannelCredentials> credentials) {
  grpc::ChannelArguments arguments;
  // A member that was away is tried again soon, and one that is cut off is noticed.
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 2'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 10'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 3'000);
  for (const std::string& endpoint : endpoints) {
    members_.push_back(std::make_unique<Member>(grpc::CreateCustomChannel(endpoint, credentials, arguments)));
  }
}

Client::~Client() = default;

size_t Client::current() const {
  const MonitorLock lock(mutex_);
  return current_;
}

absl::Status Client::Do(absl::string_view what, absl::Duration timeout, const Call& call) {
  const auto until = Clock::now() + absl::ToChronoNanoseconds(timeout);
  grpc::Status last(grpc::StatusCode::UNAVAILABLE, "no member was asked");
  const absl::Duration share = std::min(kMemberTimeout, timeout / static_cast<int64_t>(members_.size()));
  for (size_t tried = 0, first = current(); tried < members_.size(); ++tried) {
    const auto left = until - Clock::now();
    if (left <= Clock::duration::zero()) break;
    const size_t member = (first + tried) % members_.size();
    grpc::ClientContext context;
    const auto longest = std::min<Clock::duration>(left, absl::ToChronoNanoseconds(share));
    context.set_deadline(std::chrono::system_clock::now() + longest);
    last = call(*members_[member], context);
    const bool is_next = IsWorthAnotherMember(last);
    const MonitorLock lock(mutex_);
    current_ = is_next ? (member + 1) % members_.size() : member;
    if (!is_next) break;
  }
  if (absl::StrContains(last.error_message(), "database space exceeded")) return NoSpace();
  return absl::Status(static_cast<absl::StatusCode>(last.error_code()),
                      last.ok() ? "" : absl::StrCat("etcd, ", what, ": ", last.error_message()));
}

absl::StatusOr<Entry> Client::Get(const std::string& key, absl::Duration timeout) {
  etcdserverpb::RangeRequest request;
  request.set_key(key);
  etcdserverpb::RangeResponse response;
  HR_RETURN_IF_ERROR(Do("reading", timeout, [&](Member& member, grpc::ClientContext& context) {
    return member.kv->Range(&context, request, &response);
  }));
  if (response.kvs().empty()) return absl::NotFoundError(absl::StrCat("etcd has no key ", key));
  const mvccpb::KeyValue& found = response.kvs(0);
  return Entry{.key = found.key(),
               .value = found.value(),
               .create_revision = found.create_revision(),
               .mod_revision = found.mod_revision(),
               .lease = found.lease()};
}

absl::StatusOr<int64_t> Client::Put(const FencedPut& put, absl::Duration timeout) {
  const etcdserverpb::TxnRequest request = TxnOf(put);
  etcdserverpb::TxnResponse response;
  HR_RETURN_IF_ERROR(Do("writing", timeout, [&](Member& member, grpc::ClientContext& context) {
    return member.kv->Txn(&context, request, &response);
  }));
  if (!response.succeeded())
    return absl::AbortedError(absl::StrCat("etcd: ", put.fence, " is another's, or it has changed"));
  return response.header().revision();
}

absl::StatusOr<int64_t> Client::GrantLease(absl::Duration time_to_live, absl::Duration timeout) {
  etcdserverpb::LeaseGrantRequest request;
  request.set_ttl(std::max<int64_t>(1, absl::ToInt64Seconds(time_to_live)));
  etcdserverpb::LeaseGrantResponse response;
  HR_RETURN_IF_ERROR(Do("lease", timeout, [&](Member& member, grpc::ClientContext& context) {
    return member.lease->LeaseGrant(&context, request, &response);
  }));
  return response.id();
}

absl::Status Client::KeepLease(int64_t lease, absl::Duration timeout) {
  etcdserverpb::LeaseKeepAliveRequest request;
  request.set_id(lease);
  etcdserverpb::LeaseKeepAliveResponse response;
  HR_RETURN_IF_ERROR(Do("keeping the lease", timeout, [&](Member& member, grpc::ClientContext& context) {
    const auto stream = member.lease->LeaseKeepAlive(&context);
    const bool answered = stream->Write(request) && stream->Read(&response);
    if (answered) context.TryCancel();
    stream->WritesDone();
    const grpc::Status ended = stream->Finish();
    if (answered) return grpc::Status::OK;
    return ended.ok() ? grpc::Status(grpc::StatusCode::UNAVAILABLE, "it did not answer") : ended;
  }));
  return response.ttl() > 0 ? absl::OkStatus() : absl::NotFoundError("etcd: the lease has ended");
}

absl::Status Client::RevokeLease(int64_t lease, absl::Duration timeout) {
  etcdserverpb::LeaseRevokeRequest request;
  request.set_id(lease);
  etcdserverpb::LeaseRevokeResponse response;
  return Do("giving the lease back", timeout, [&](Member& member, grpc::ClientContext& context) {
    return member.lease->LeaseRevoke(&context, request, &response);
  });
}

absl::Status Client::WatchDeletes(const std::string& key, grpc::ClientContext& context,
                                  const std::function<void()>& deleted) {
  const auto stream = members_[current()]->watch->Watch(&context);
  etcdserverpb::WatchRequest request;
  request.mutable_create_request()->set_key(key);
  stream->Write(request);
  for (etcdserverpb::WatchResponse response; stream->Read(&response) && !response.canceled();) {
    const bool gone = std::any_of(response.events().begin(), response.events().end(),
                                  [](const mvccpb::Event& event) { return event.type() == mvccpb::Event::DELETE; });
    if (gone) deleted();
  }
  context.TryCancel();
  const grpc::Status ended = stream->Finish();
  return absl::Status(static_cast<absl::StatusCode>(ended.error_code()), ended.error_message());
}

}  // namespace headroom::etcd
