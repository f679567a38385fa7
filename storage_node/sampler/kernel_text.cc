#include "storage_node/sampler/kernel_text.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace headroom {
namespace {

using Words = std::vector<absl::string_view>;

constexpr int64_t kUnlimitedBytes = int64_t{1} << 60;

Words WordsOf(absl::string_view line) {
  return absl::StrSplit(line, absl::ByAnyChar(" \t\n"), absl::SkipEmpty());
}

std::vector<absl::string_view> LinesOf(absl::string_view text) {
  return absl::StrSplit(text, '\n', absl::SkipEmpty());
}

std::optional<int64_t> ToInt(absl::string_view word) {
  int64_t value = 0;
  if (!absl::SimpleAtoi(word, &value)) return std::nullopt;
  return value;
}

std::optional<Stall> ParseStall(const Words& words) {
  std::optional<double> ratio;
  std::optional<int64_t> micros;
  for (absl::string_view word : words) {
    double percent = 0;
    if (absl::ConsumePrefix(&word, "avg10=") && absl::SimpleAtod(word, &percent)) ratio = percent / 100;
    if (absl::ConsumePrefix(&word, "total=")) micros = ToInt(word);
  }
  if (!ratio || !micros) return std::nullopt;
  return Stall{.ratio_10s = *ratio, .total = absl::Microseconds(*micros)};
}

bool HasWord(absl::string_view list, absl::string_view word) {
  const std::vector<absl::string_view> words = absl::StrSplit(list, ',');
  return std::find(words.begin(), words.end(), word) != words.end();
}

}  // namespace

std::optional<int64_t> CounterIn(absl::string_view text, absl::string_view group, absl::string_view name) {
  // Two lines a group: "TcpExt: NameA NameB", then "TcpExt: 1 2".
  std::optional<Words> names;
  for (const absl::string_view line : LinesOf(text)) {
    Words words = WordsOf(line);
    if (words.empty() || absl::StripSuffix(words[0], ":") != group) continue;
    if (!names) {
      names = std::move(words);
      continue;
    }
    const auto at = std::find(names->begin() + 1, names->end(), name) - names->begin();
    if (static_cast<size_t>(at) >= std::min(names->size(), words.size())) return std::nullopt;
    return ToInt(words[static_cast<size_t>(at)]);
  }
  return std::nullopt;
}

PressureText ParsePressure(absl::string_view text) {
  PressureText pressure;
  for (const absl::string_view line : LinesOf(text)) {
    const Words words = WordsOf(line);
    if (words.empty()) continue;
    if (words[0] == "some") pressure.some = ParseStall(words);
    if (words[0] == "full") pressure.full = ParseStall(words);
  }
  return pressure;
}

std::optional<std::string> CgroupPathIn(absl::string_view self_cgroup, absl::string_view controller) {
  for (const absl::string_view line : LinesOf(self_cgroup)) {
    const std::vector<absl::string_view> parts = absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (parts.size() != 3) continue;
    const bool matches = controller.empty() ? parts[0] == "0" && parts[1].empty() : HasWord(parts[1], controller);
    if (matches) return std::string(parts[2]);
  }
  return std::nullopt;
}

std::optional<CgroupMount> CgroupMountIn(absl::string_view mountinfo, absl::string_view controller) {
  for (const absl::string_view line : LinesOf(mountinfo)) {
    // "38 31 0:35 /root /mount rw,relatime shared:1 - cgroup cgroup rw,memory"
    const std::vector<absl::string_view> halves = absl::StrSplit(line, absl::MaxSplits(" - ", 1));
    if (halves.size() != 2) continue;
    const Words place = WordsOf(halves[0]), kind = WordsOf(halves[1]);
    if (place.size() < 5 || kind.size() < 3) continue;
    const bool matches =
        controller.empty() ? kind[0] == "cgroup2" : kind[0] == "cgroup" && HasWord(kind[2], controller);
    if (matches) return CgroupMount{.root = std::string(place[3]), .mount_point = std::string(place[4])};
  }
  return std::nullopt;
}

std::optional<int64_t> ParseMemoryLimit(absl::string_view text) {
  const Words words = WordsOf(text);
  if (words.size() != 1) return std::nullopt;
  const std::optional<int64_t> bytes = ToInt(words[0]);
  if (!bytes || *bytes <= 0 || *bytes >= kUnlimitedBytes) return std::nullopt;
  return bytes;
}

std::optional<double> ParseCpuMax(absl::string_view text) {
  const Words words = WordsOf(text);
  if (words.size() != 2) return std::nullopt;
  const std::optional<int64_t> quota = ToInt(words[0]), period = ToInt(words[1]);
  if (!quota || !period || *quota <= 0 || *period <= 0) return std::nullopt;
  return static_cast<double>(*quota) / static_cast<double>(*period);
}

std::optional<int64_t> HierarchicalMemoryLimitIn(absl::string_view memory_stat) {
  for (absl::string_view line : LinesOf(memory_stat)) {
    if (absl::ConsumePrefix(&line, "hierarchical_memory_limit ")) return ParseMemoryLimit(line);
  }
  return std::nullopt;
}

std::optional<int64_t> ResidentPagesIn(absl::string_view statm) {
  const Words words = WordsOf(statm);
  return words.size() < 2 ? std::nullopt : ToInt(words[1]);
}

std::optional<int64_t> ParentIn(absl::string_view stat) {
  // "17 (a) b) S 1 ...": the name may hold anything, so its end is the last parenthesis.
  const size_t end = stat.rfind(')');
  if (end == absl::string_view::npos) return std::nullopt;
  const Words words = WordsOf(stat.substr(end + 1));
  return words.size() < 2 ? std::nullopt : ToInt(words[1]);
}

std::vector<int64_t> ParseProcesses(absl::string_view text) {
  std::vector<int64_t> processes;
  for (const absl::string_view line : LinesOf(text)) {
    if (const std::optional<int64_t> id = ToInt(line)) processes.push_back(*id);
  }
  return processes;
}

}  // namespace headroom
