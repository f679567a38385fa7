#include "controller/providers/aws/launch_ledger.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace headroom::aws {
namespace {

constexpr size_t kMark = 8, kShort = 4;
constexpr size_t kPiece = 240;  // with "<version>:" before it a tag's 256 are kept
constexpr absl::string_view kGivenUp = "-";

template <typename Number>
Number NumberOf(absl::string_view text) {
  Number number = 0;
  return absl::SimpleAtoi(text, &number) ? number : 0;
}

}  // namespace

std::string LaunchLedger::MarkOf(const std::string& instance) {
  return instance.size() <= kMark ? instance : instance.substr(instance.size() - kMark);
}

// 24 bits of FNV-1a.
std::string LaunchLedger::ShortOf(absl::string_view mark) {
  uint32_t hash = 0x811c9dc5;
  for (const char c : mark) hash = (hash ^ static_cast<uint8_t>(c)) * 0x01000193;
  hash ^= hash >> 24;
  const std::string bytes = {static_cast<char>(hash), static_cast<char>(hash >> 8), static_cast<char>(hash >> 16)};
  return absl::WebSafeBase64Escape(bytes);
}

bool LaunchLedger::IsWaiting() const {
  return std::any_of(launches_.begin(), launches_.end(), [](const Launch& launch) { return launch.instance.empty(); });
}

// "term/shortshort.../id:capacity:mark/...", in characters that tags may have. A later term is no longer: what fits
// under one fits under the next.
std::string LaunchLedger::Text() const {
  std::string text = absl::StrCat(absl::Dec(term, absl::kZeroPad12), "/", absl::StrJoin(known_, ""));
  for (const Launch& launch : launches_)
    absl::StrAppend(&text, "/", launch.id, ":", launch.capacity, ":", launch.is_given_up ? kGivenUp : launch.instance);
  return text;
}

LaunchLedger LaunchLedger::FromTags(const Tags& tags) {
  const auto piece = [&tags](int number) -> std::pair<absl::string_view, absl::string_view> {
    const auto found = tags.find(absl::StrCat(kTagPrefix, number));
    if (found == tags.end()) return {};
    return absl::StrSplit(found->second, absl::MaxSplits(':', 1));
  };
  LaunchLedger ledger;
  const absl::string_view version = piece(0).first;
  std::string text;
  for (int number = 0; number < kTagsMax && !version.empty(); ++number) {
    const auto [of, words] = piece(number);
    if (of != version) return ledger;
    absl::StrAppend(&text, absl::StripSuffix(words, "="));
    if (absl::EndsWith(words, "=")) break;
  }
  ledger.version_ = NumberOf<int64_t>(version);
  const std::vector<std::string> parts = absl::StrSplit(text, '/');
  if (parts.size() < 2) return ledger;
  ledger.term = NumberOf<int64_t>(parts[0]);
  ledger.known_ = absl::StrSplit(parts[1], absl::ByLength(kShort), absl::SkipEmpty());
  for (size_t i = 2; i < parts.size(); ++i) {
    const std::vector<std::string> words = absl::StrSplit(parts[i], ':');
    if (words.size() != 3) continue;
    const bool given_up = words[2] == kGivenUp;
    ledger.launches_.push_back({words[0], NumberOf<int>(words[1]), given_up ? "" : words[2], given_up});
  }
  return ledger;
}

absl::StatusOr<LaunchLedger::Tags> LaunchLedger::ToTags() {
  const auto is_settled = [](const Launch& launch) { return !launch.instance.empty(); };
  const auto fits = [this] { return Text().size() < kPiece * kTagsMax; };
  while (std::count_if(launches_.begin(), launches_.end(), is_settled) > kSettledMax || !fits()) {
    const auto oldest = std::find_if(launches_.begin(), launches_.end(), is_settled);
    if (oldest == launches_.end())
      return absl::ResourceExhaustedError(absl::StrCat(
          "the group's tags have no room to note ", launches_.size(), " launches under way beside ", known_.size(),
          " instances; more come once some of these have, or make groups of fewer ", "than 1000 instances"));
    if (IsWaiting()) known_.insert(ShortOf(oldest->instance));
    launches_.erase(oldest);
  }
  ++version_;
  Tags tags;
  const std::string text = Text() + "=";
  for (size_t begin = 0; begin < text.size(); begin += kPiece)
    tags[absl::StrCat(kTagPrefix, begin / kPiece)] = absl::StrCat(version_, ":", text.substr(begin, kPiece));
  return tags;
}

std::map<std::string, ActionId> LaunchLedger::Match(const Instances& instances) const {
  std::map<std::string, ActionId> by_mark, owners;
  for (const Launch& launch : launches_) {
    if (!launch.instance.empty()) by_mark[launch.instance] = launch.id;
  }
  std::vector<std::string> strangers;
  for (const std::string& instance : instances) {
    const std::string mark = MarkOf(instance);
    if (const auto owner = by_mark.find(mark); owner != by_mark.end()) {
      owners[instance] = owner->second;
    } else if (!known_.contains(ShortOf(mark))) {
      strangers.push_back(instance);
    }
  }
  std::sort(strangers.begin(), strangers.end());
  auto next = strangers.begin();
  for (const Launch& launch : launches_) {
    if (launch.instance.empty() && next != strangers.end()) owners[*next++] = launch.id;
  }
  return owners;
}

void LaunchLedger::Settle(const Instances& instances) {
  for (const auto& [instance, id] : Match(instances)) {
    const auto launch =
        std::find_if(launches_.begin(), launches_.end(), [&id = id](const Launch& one) { return one.id == id; });
    launch->instance = MarkOf(instance);
    launch->is_given_up = false;
  }
  if (!IsWaiting()) known_.clear();
}

LaunchLedger::Target LaunchLedger::Begin(const ActionId& id, int capacity, const Instances& instances) {
  Settle(instances);
  const auto find = [this](const auto& is) { return std::find_if(launches_.begin(), launches_.end(), is); };
  const auto told = find([&](const Launch& launch) { return launch.id == id; });
  if (told != launches_.end() && (!told->instance.empty() || told->capacity <= capacity))
    return {told->capacity, true, true};
  // Whoever was to raise it as far never did, or was taken back.
  std::erase_if(launches_, [&](const Launch& launch) { return launch.instance.empty() && launch.capacity > capacity; });
  if (const auto left = find([](const Launch& launch) { return launch.is_given_up; }); left != launches_.end()) {
    left->id = id;
    left->is_given_up = false;
    return {left->capacity, true, false};
  }
  if (!IsWaiting()) {
    for (const std::string& instance : instances) known_.insert(ShortOf(MarkOf(instance)));
  }
  launches_.push_back({id, capacity + 1, "", false});
  return {capacity + 1, false, false};
}

void LaunchLedger::GiveUp(const ActionId& id) {
  for (Launch& launch : launches_) {
    if (launch.id == id && launch.instance.empty()) launch.is_given_up = true;
  }
}

bool LaunchLedger::Lower(int capacity, const Instances& instances) {
  const std::string before = Text();
  Settle(instances);
  std::erase_if(launches_, [&](const Launch& launch) { return launch.instance.empty() && launch.capacity > capacity; });
  for (Launch& launch : launches_) {
    if (launch.instance.empty()) --launch.capacity;
  }
  return Text() != before;
}

std::vector<ActionId> LaunchLedger::Awaited(int capacity, const Instances& instances) const {
  std::set<ActionId> there;
  for (const auto& [instance, id] : Match(instances)) there.insert(id);
  std::vector<ActionId> awaited;
  for (const Launch& launch : launches_) {
    const bool asked = launch.instance.empty() && !launch.is_given_up && launch.capacity <= capacity;
    if (asked && !there.contains(launch.id)) awaited.push_back(launch.id);
  }
  return awaited;
}

}  // namespace headroom::aws
