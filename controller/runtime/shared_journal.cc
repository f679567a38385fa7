#include "controller/runtime/shared_journal.h"

#include <algorithm>
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <type_traits>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include <zlib.h>

#include "controller/base/status.h"
#include "controller/runtime/archive.h"
#include "controller/runtime/records.h"

namespace headroom {
namespace {

// What it may unpack to: kBytesMax of zeros would be a hundred times as much as any state of ours.
constexpr size_t kUnpackedMax = size_t{64} << 20;
constexpr absl::Duration kLoadTimeout = absl::Seconds(10);

using Clock = std::chrono::steady_clock;

// What a successor does not learn anew: nodes tell their load, the provider its machines, streams that they are there.
bool IsKept(const Event& event) {
  return std::visit(
      [](const auto& e) {
        using E = std::decay_t<decltype(e)>;
        if constexpr (std::is_same_v<E, ActionStarted>) {
          return ChangesMachines(e.action) || std::holds_alternative<DrainNode>(e.action.body) ||
                 std::holds_alternative<CancelDrain>(e.action.body);
        } else {
          return std::is_same_v<E, ActionFinished> || std::is_same_v<E, PolicyChanged> ||
                 std::is_same_v<E, ModeChosen> || std::is_same_v<E, HoldChanged> || std::is_same_v<E, OverrideSet> ||
                 std::is_same_v<E, NodeLimitFixed> || std::is_same_v<E, NodePinned> ||
                 std::is_same_v<E, DrainRequested>;
        }
      },
      event);
}

// Nobody else can say it again.
bool IsOperators(const Event& event) {
  return !std::holds_alternative<ActionStarted>(event) && !std::holds_alternative<ActionFinished>(event);
}

absl::Status Broken() {
  return absl::DataLossError("the saved state is broken");
}

absl::StatusOr<SharedState> ReadHead(absl::string_view bytes, size_t& size) {
  SharedState head;
  const std::string line(bytes.substr(0, std::min(bytes.find('\n'), size_t{200})));
  const int read = std::sscanf(line.c_str(), "headroom state 1 term %" SCNd64 " sequence %" SCNu64 " bytes %zu",
                               &head.term, &head.sequence, &size);
  if (read != 3 || size > kUnpackedMax) return Broken();
  return head;
}

absl::Duration Steady() {
  return absl::FromChrono(Clock::now().time_since_epoch());
}

enum class Nodes { kKept, kLeftOut };

// A state without what is learned anew from load. What operators said of the whole cluster is always in it.
State Part(const State& whole, Nodes nodes) {
  State part;
  part.term = whole.term;
  part.sequence = whole.sequence;
  part.grant_sequence = whole.grant_sequence;
  part.last_tick_at = whole.last_tick_at;
  part.holds = whole.holds;
  part.override_set = whole.override_set;
  part.mode_chosen = whole.mode_chosen;
  part.trial = whole.trial;
  if (nodes == Nodes::kLeftOut) return part;
  part.fleet = whole.fleet;
  part.scale = whole.scale;
  part.at_max = whole.at_max;
  part.servers = whole.servers;
  part.without_share = whole.without_share;
  part.servers_due = whole.servers_due;
  return part;
}

// The newest snapshot, with what was recorded since.
absl::StatusOr<Recovered> ToRecovered(SharedState shared) {
  Recovered recovered{.complete = false, .term_max = shared.term, .sequence_max = shared.sequence};
  if (shared.at != absl::InfinitePast()) {
    HR_ASSIGN_OR_RETURN(Policy policy, DecodePolicy(shared.policy));
    HR_ASSIGN_OR_RETURN(State state, DecodeState(shared.state));
    recovered.snapshot = Snapshot{shared.at, std::move(policy), std::move(state)};
  }
  recovered.since = std::move(shared.since);
  recovered.open_intents = std::move(shared.intents);
  return recovered;
}

}  // namespace

std::string PackShared(const SharedState& state) {
  const std::string bytes = ToArchive(state);
  uLongf size = compressBound(bytes.size());
  std::string packed(size, '\0');
  compress2(reinterpret_cast<Bytef*>(packed.data()), &size, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size(),
            Z_DEFAULT_COMPRESSION);
  packed.resize(size);
  return absl::StrCat("headroom state 1 term ", state.term, " sequence ", state.sequence, " bytes ", bytes.size(), "\n",
                      packed);
}

absl::StatusOr<SharedState> UnpackHead(absl::string_view bytes) {
  size_t size = 0;
  return ReadHead(bytes, size);
}

absl::StatusOr<SharedState> UnpackShared(absl::string_view bytes) {
  size_t size = 0;
  HR_RETURN_IF_ERROR(ReadHead(bytes, size).status());
  std::string unpacked(size, '\0');
  uLongf got = size;
  const absl::string_view packed = bytes.substr(bytes.find('\n') + 1);
  if (uncompress(reinterpret_cast<Bytef*>(unpacked.data()), &got, reinterpret_cast<const Bytef*>(packed.data()),
                 packed.size()) != Z_OK ||
      got != size)
    return Broken();
  return FromArchive<SharedState>(unpacked);
}

SharedJournal::SharedJournal(std::unique_ptr<Journal> local, std::unique_ptr<StateStore> store, Options options)
    : local_(std::move(local)), store_(std::move(store)), options_(std::move(options)) {}

SharedJournal::~SharedJournal() {
  if (!saver_.joinable()) return;
  {
    const MonitorLock lock(mutex_);
    stopping_ = true;
    mutex_.Notify();
  }
  saver_.join();
}

absl::StatusOr<Recovered> SharedJournal::Recover() {
  HR_ASSIGN_OR_RETURN(Recovered local, local_->Recover());
  int64_t shared_term = 0;
  absl::StatusOr<Recovered> shared = LoadShared(shared_term);
  if (!shared.ok() && !absl::IsDataLoss(shared.status())) return Annotate(shared.status(), store_->name());
  if (!shared.ok() && options_.say) {
    options_.say(
        absl::StrCat(store_->name(), ": ", shared.status().message(), "; this machine's own journal is taken instead"));
  }
  // Terms are of one controller each: what is here goes on where the store's was written by this machine.
  has_adopted_ = shared.ok() && shared_term > local.term_max;
  if (has_adopted_) CloseIntents(local, *shared);
  Recovered chosen = has_adopted_ ? *shared : local;
  chosen.term_max = std::max({local.term_max, shared_term, options_.term_min});
  chosen.sequence_max = std::max(local.sequence_max, shared.ok() ? shared->sequence_max : 0);
  Begin(chosen);
  return chosen;
}

// Its term is known also where nothing else of it is.
absl::StatusOr<Recovered> SharedJournal::LoadShared(int64_t& term_max) {
  const absl::StatusOr<std::string> bytes = store_->Load(kLoadTimeout);
  if (absl::IsNotFound(bytes.status())) return Recovered{};
  HR_RETURN_IF_ERROR(bytes.status());
  const absl::StatusOr<SharedState> head = UnpackHead(*bytes);
  if (head.ok()) term_max = head->term;
  HR_ASSIGN_OR_RETURN(SharedState state, UnpackShared(*bytes));
  return ToRecovered(std::move(state));
}

// What this machine asked for in a leadership long ago has been settled by others since: were it still open here, it
// would come back as a fact.
void SharedJournal::CloseIntents(const Recovered& local, const Recovered& adopted) {
  absl::Time at = local.snapshot ? local.snapshot->at : absl::UnixEpoch();
  for (const Recorded& record : local.since) at = std::max(at, record.at);
  for (const Action& intent : local.open_intents) {
    const bool still_open = std::any_of(adopted.open_intents.begin(), adopted.open_intents.end(),
                                        [&](const Action& other) { return other.id == intent.id; });
    if (still_open) continue;
    local_->RecordEvent(at, ActionFinished{.id = intent.id,
                                           .code = absl::StatusCode::kUnavailable,
                                           .message = "another controller has led since",
                                           .node = intent.node});
  }
}

// What is saved before the first snapshot has all that a successor would have found.
void SharedJournal::Begin(const Recovered& chosen) {
  {
    const MonitorLock lock(mutex_);
    state_.sequence = chosen.sequence_max;
    state_.intents = chosen.open_intents;
    if (chosen.snapshot) snapshot_ = std::make_shared<const Snapshot>(*chosen.snapshot);
    for (const Recorded& record : chosen.since) {
      if (record.event && IsKept(*record.event)) Keep(record);
    }
  }
  saver_ = std::thread([this] { SaveLoop(); });
}

absl::Status SharedJournal::WriteTerm(int64_t term, absl::Duration longest) {
  const auto until = Steady() + longest;
  int64_t ticket = 0;
  {
    const MonitorLock lock(mutex_);
    state_.term = std::max(state_.term, term);
    if (saved_term_ < term) ticket = Request();
  }
  if (ticket > 0) HR_RETURN_IF_ERROR(WaitFor(ticket, longest));
  if (has_adopted_) {
    local_term_ = term;
    return absl::OkStatus();
  }
  return local_->WriteTerm(term, std::max(absl::ZeroDuration(), until - Steady()));
}

void SharedJournal::Keep(Recorded record) {
  std::vector<Recorded>& since = state_.since;
  if (since.size() >= kSinceMax) {
    if (!IsOperators(*record.event)) return;
    const auto other =
        std::find_if(since.begin(), since.end(), [](const Recorded& r) { return !IsOperators(*r.event); });
    since.erase(other == since.end() ? since.begin() : other);
  }
  since.push_back(std::move(record));
}

void SharedJournal::RecordEvent(absl::Time at, Event&& event) {
  if (IsKept(event)) {
    const MonitorLock lock(mutex_);
    if (const auto* finished = std::get_if<ActionFinished>(&event)) {
      std::erase_if(state_.intents, [&](const Action& intent) { return intent.id == finished->id; });
    }
    Keep({at, event});
    is_dirty_ = true;
  }
  local_->RecordEvent(at, std::move(event));
}

void SharedJournal::RecordTick(absl::Time at, std::shared_ptr<const Decision> decision) {
  {
    const MonitorLock lock(mutex_);
    state_.sequence = std::max(state_.sequence, decision->sequence);
  }
  local_->RecordTick(at, std::move(decision));
}

bool SharedJournal::HasFacts() const {
  const MonitorLock lock(mutex_);
  return !state_.since.empty();
}

void SharedJournal::RecordSnapshot(absl::Time at, const Autoscaler& core) {
  if (at >= snapshot_at_ + kQuietSnapshotInterval || HasFacts()) {
    auto snapshot = std::make_shared<const Snapshot>(Snapshot{at, core.policy(), core.Save()});
    snapshot_at_ = at;
    const MonitorLock lock(mutex_);
    snapshot_ = std::move(snapshot);
    state_.since.clear();
    is_dirty_ = true;
  }
  local_->RecordSnapshot(at, core);
  if (!has_adopted_) return;
  // They are queued together. Where it is not written the store's is taken again, as it has the higher term.
  has_adopted_ = false;
  local_->WriteTerm(local_term_, absl::ZeroDuration()).IgnoreError();
}

void SharedJournal::RecordLastSnapshot(absl::Time at, const Autoscaler& core) {
  snapshot_at_ = absl::InfinitePast();  // however quiet it was: a successor begins with it
  RecordSnapshot(at, core);
}

absl::Status SharedJournal::CommitIntents(absl::Time at, const std::vector<Action>& intents) {
  const absl::Duration until = Steady() + kIntentWaitMax;
  int64_t ticket = 0;
  bool is_silent = false;
  {
    const MonitorLock lock(mutex_);
    state_.intents.insert(state_.intents.end(), intents.begin(), intents.end());
    is_silent = IsSilent(kIntentWaitMax);
    ticket = Request();
  }
  const absl::Status local = local_->CommitIntents(at, intents);
  // It has hung for longer than an intent may wait: waiting once more would only delay limits.
  const absl::Status shared = WaitFor(ticket, is_silent ? absl::ZeroDuration() : until - Steady());
  return shared.ok() ? local : shared;
}

absl::Status SharedJournal::Commit() {
  const absl::Status local = local_->Commit();
  const MonitorLock lock(mutex_);
  mutex_.Notify();
  if (!health_.ok()) return health_;
  if (IsSilent(kStuckAfter)) return absl::UnavailableError(absl::StrCat(store_->name(), " does not answer"));
  return local.ok() ? left_out_ : local;
}

bool SharedJournal::IsSilent(absl::Duration longest) const {
  return saving_since_ != absl::InfiniteDuration() && Steady() - saving_since_ > longest;
}

absl::Status SharedJournal::Sync(absl::Duration longest) {
  const absl::Duration until = Steady() + longest;
  int64_t ticket = 0;
  {
    const MonitorLock lock(mutex_);
    ticket = Request();
  }
  const absl::Status shared = WaitFor(ticket, longest);
  const absl::Status local = local_->Sync(std::max(absl::ZeroDuration(), until - Steady()));
  return shared.ok() ? local : shared;
}

int64_t SharedJournal::Request() {
  requested_ = begun_ + 1;
  mutex_.Notify();
  return requested_;
}

absl::Status SharedJournal::WaitFor(int64_t ticket, absl::Duration longest) {
  const auto until = Clock::now() + absl::ToChronoNanoseconds(longest);
  const MonitorLock lock(mutex_);
  while (ended_ < ticket) {
    const auto left = until - Clock::now();
    if (left <= Clock::duration::zero())
      return absl::UnavailableError(absl::StrCat(store_->name(), " has not answered in time"));
    mutex_.Wait(absl::FromChrono(left));
  }
  return health_;
}

void SharedJournal::SaveLoop() {
  auto saved_at = Clock::now() - std::chrono::hours(1);
  const MonitorLock lock(mutex_);
  while (true) {
    const bool asked = requested_ > begun_, last = stopping_;
    const absl::Duration waited = absl::FromChrono(Clock::now() - saved_at);
    if (asked || (is_dirty_ && (last || waited >= kSaveInterval))) {
      saved_at = Clock::now();
      SaveOnce();
    } else if (!last) {
      mutex_.Wait(is_dirty_ ? kSaveInterval - waited : absl::Minutes(1));
    }
    if (last) return;
  }
}

void SharedJournal::SaveOnce() {
  const int64_t ticket = ++begun_;
  requested_ = std::max(requested_, ticket);
  is_dirty_ = false;
  saving_since_ = Steady();
  SharedState copy = state_;
  const std::shared_ptr<const Snapshot> snapshot = snapshot_;
  const int64_t term = copy.term;
  mutex_.Unlock();
  absl::Status saved = Save(Pack(std::move(copy), snapshot), term);
  mutex_.Lock();
  saving_since_ = absl::InfiniteDuration();
  if (!saved.ok()) is_dirty_ = true;
  if (saved.ok()) saved_term_ = std::max(saved_term_, term);
  health_ = Annotate(saved, store_->name());
  left_out_ = Annotate(LeftOut(encoded_.detail), store_->name());
  ended_ = ticket;
  mutex_.Notify();
}

// As much of the snapshot as fits, beside all else. One that did not fit is not tried again whole.
std::string SharedJournal::Pack(SharedState state, const std::shared_ptr<const Snapshot>& snapshot) {
  if (snapshot == nullptr) return PackShared(state);
  if (encoded_.of != snapshot) encoded_ = Encode(snapshot, Detail::kWhole);
  state.at = snapshot->at;
  while (true) {
    state.policy = encoded_.policy;
    state.state = encoded_.state;
    std::string packed = PackShared(state);
    if (packed.size() <= options_.bytes_max || encoded_.detail == Detail::kWithoutNodes) return packed;
    encoded_ = Encode(snapshot, static_cast<Detail>(static_cast<int>(encoded_.detail) + 1));
  }
}

SharedJournal::Encoded SharedJournal::Encode(std::shared_ptr<const Snapshot> snapshot, Detail detail) {
  Encoded encoded{.detail = detail, .policy = EncodePolicy(snapshot->policy)};
  const Nodes nodes = detail == Detail::kWithoutNodes ? Nodes::kLeftOut : Nodes::kKept;
  encoded.state = detail == Detail::kWhole ? EncodeState(snapshot->state) : EncodeState(Part(snapshot->state, nodes));
  encoded.of = std::move(snapshot);
  return encoded;
}

absl::Status SharedJournal::LeftOut(Detail detail) {
  if (detail == Detail::kWhole) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("a successor would not know ", detail == Detail::kWithoutNodes ? "the nodes and " : "",
                   "what was learned of their load: it does not fit any more; split the cluster"));
}

absl::Status SharedJournal::Save(const std::string& packed, int64_t term) {
  if (packed.size() > options_.bytes_max) {
    return absl::ResourceExhaustedError(absl::StrCat("intents and facts alone have ", packed.size(), " bytes, and ",
                                                     options_.bytes_max, " can be kept; split the cluster"));
  }
  absl::Status saved = store_->Save(packed, options_.save_timeout);
  return absl::IsAborted(saved) ? SaveOver(packed, term) : saved;
}

// Somebody has touched what is ours, or leads by now: that is told by the election first, and then by the term.
absl::Status SharedJournal::SaveOver(absl::string_view packed, int64_t term) {
  if (options_.still_leads && !options_.still_leads())
    return absl::AbortedError("this controller does not lead any more, or the election does not answer");
  const absl::StatusOr<std::string> theirs = store_->Load(options_.save_timeout);
  if (!theirs.ok() && !absl::IsNotFound(theirs.status())) return theirs.status();
  const absl::StatusOr<SharedState> state =
      theirs.ok() ? UnpackHead(*theirs) : absl::StatusOr<SharedState>(SharedState{});
  if (state.ok() && state->term > term) {
    return absl::FailedPreconditionError(absl::StrCat("a controller of term ", state->term,
                                                      " writes it, this one has term ", term,
                                                      "; two clusters must not have one name"));
  }
  return store_->Save(packed, options_.save_timeout);
}

}  // namespace headroom
