#include "tests/load/profile.h"

#include <algorithm>
#include <fstream>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

#include "controller/base/status.h"
#include "tests/load/yaml_fields.h"

namespace headroom::load {
namespace {

constexpr absl::Duration kLongestTimeout = absl::Minutes(5);
constexpr int kMostObjects = 1'000'000;
constexpr int kMostSources = 250;
constexpr int kDefaultSources = 8;
constexpr int64_t kSpareFiles = 64;  // standard streams, epoll, output, libraries

// 127.0.0.2, 127.0.0.3, ...: not 127.0.0.1, so that the clients are told from everything else on the machine.
std::vector<uint32_t> FirstSources(int count) {
  std::vector<uint32_t> sources;
  sources.reserve(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) sources.push_back(INADDR_LOOPBACK + 1 + static_cast<uint32_t>(i));
  return sources;
}

std::string At(absl::string_view path, size_t index) {
  return absl::StrCat(path, "[", index, "]");
}

void ReadTarget(Fields& fields, Profile& profile) {
  std::string text;
  fields.Read("target", text);
  if (text.empty()) return;
  absl::StatusOr<Endpoint> target = ParseEndpoint(text);
  if (!target.ok()) return fields.Fault("target", target.status().message());
  profile.targets = {*target};
}

void ReadSources(Fields& fields, Faults& faults, Profile& profile) {
  const YAML::Node node = fields.Take("source_addresses");
  profile.sources = FirstSources(kDefaultSources);
  if (!node.IsDefined()) return;
  if (node.IsScalar()) {
    int count = kDefaultSources;
    fields.Read("source_addresses", count, {.least = 1, .greatest = kMostSources});
    profile.sources = FirstSources(count);
    return;
  }
  if (!node.IsSequence() || node.size() == 0 || node.size() > kMostSources) {
    return fields.Fault("source_addresses", "must be a count, or a list of 1 to 250 loopback addresses");
  }
  profile.sources.clear();
  for (size_t i = 0; i < node.size(); ++i) {
    absl::StatusOr<uint32_t> address = ParseLoopbackAddress(node[i].IsScalar() ? node[i].Scalar() : "");
    if (address.ok()) profile.sources.push_back(*address);
    if (!address.ok()) faults.Add(node[i], At("source_addresses", i), address.status().message());
  }
}

bool IsPath(absl::string_view path) {
  return absl::StartsWith(path, "/") &&
         std::all_of(path.begin(), path.end(), [](char c) { return c > ' ' && c < '\x7f'; });
}

void ReadPath(const YAML::Node& node, const std::string& at, Faults& faults, Profile& profile) {
  Object object;
  if (node.IsScalar()) {
    object.path = node.Scalar();
  } else {
    Fields fields(node, at, faults);
    int64_t bytes = -1;
    fields.Require("path");
    fields.Read("path", object.path);
    fields.Read("bytes", bytes, {.least = 0, .greatest = 0x1p40});
    if (bytes >= 0) object.bytes = bytes;
    fields.Close();
  }
  if (!IsPath(object.path)) faults.Add(node, at, "must be a path that begins with / and holds no spaces");
  profile.objects.push_back(std::move(object));
}

void ReadPopularity(Fields& fields, Profile& profile) {
  std::string popularity = "uniform";
  fields.Read("popularity", popularity);
  if (popularity == "zipf") profile.zipf_exponent = 1.0;
  if (popularity != "zipf" && popularity != "uniform") fields.Fault("popularity", "must be uniform or zipf");
  if (popularity != "zipf" && fields.Has("zipf_exponent")) fields.Fault("zipf_exponent", "needs popularity: zipf");
  fields.Read("zipf_exponent", profile.zipf_exponent, {.least = 0, .greatest = 5});
}

void ReadObjects(Fields& fields, Profile& profile) {
  const YAML::Node paths = fields.Take("paths");
  std::string prefix;
  int count = 0;
  fields.Read("path_prefix", prefix);
  fields.Read("objects", count, {.least = 1, .greatest = kMostObjects});
  if (paths.IsDefined() == !prefix.empty()) {
    return fields.Fault("paths", "give either paths, or path_prefix with objects");
  }
  if (paths.IsDefined()) return;
  if (!IsPath(prefix)) return fields.Fault("path_prefix", "must begin with / and hold no spaces");
  if (!fields.Has("objects"))
    return fields.Fault("objects", "is missing: how many objects there are under path_prefix");
  for (int i = 0; i < count; ++i) profile.objects.push_back({.path = absl::StrCat(prefix, i)});
}

void ReadPaths(Fields& fields, Faults& faults, Profile& profile) {
  const YAML::Node paths = fields.Take("paths");
  if (!paths.IsDefined()) return;
  if (!paths.IsSequence() || paths.size() == 0) return fields.Fault("paths", "must be a list with one path at least");
  for (size_t i = 0; i < paths.size(); ++i) ReadPath(paths[i], At("paths", i), faults, profile);
}

void ReadPuts(Fields& fields, Faults& faults, Profile& profile) {
  const YAML::Node node = fields.Take("puts");
  if (!node.IsDefined()) return;
  Fields puts(node, "puts", faults);
  puts.Require("fraction");
  puts.Read("fraction", profile.puts.fraction, {.least = 0, .greatest = 1});
  puts.Read("bytes", profile.puts.bytes, {.least = 0, .greatest = 0x1p30});
  puts.Read("path_prefix", profile.puts.path_prefix);
  if (!IsPath(profile.puts.path_prefix)) puts.Fault("path_prefix", "must begin with / and hold no spaces");
  puts.Close();
}

void ReadRetryBudget(Fields& fields, Faults& faults, Profile& profile) {
  const YAML::Node node = fields.Take("retry_budget");
  if (!node.IsDefined()) return;
  Fields budget(node, "retry_budget", faults);
  profile.retry_budget.emplace();
  budget.Read("per_success", profile.retry_budget->per_success, {.least = 0, .greatest = 1});
  budget.Read("capacity", profile.retry_budget->capacity, {.least = 1, .greatest = 1e6});
  budget.Close();
}

void ReadLeavers(Fields& fields, Profile& profile) {
  std::string leavers = "idle";
  fields.Read("leavers", leavers);
  if (leavers == "close") profile.leavers = Leavers::kClose;
  if (leavers != "close" && leavers != "idle") fields.Fault("leavers", "must be idle or close");
}

void ReadPhases(Fields& fields, Faults& faults, Profile& profile) {
  const YAML::Node node = fields.Take("phases");
  if (!node.IsSequence() || node.size() == 0) return fields.Fault("phases", "must be a list with one phase at least");
  for (size_t i = 0; i < node.size(); ++i) {
    Phase phase{.name = absl::StrCat("phase ", i + 1)};
    // What a phase does not say stays as it was in the phase before.
    if (i > 0) phase.clients = profile.phases.back().clients;
    if (i > 0) phase.pool_max = profile.phases.back().pool_max;
    Fields member(node[i], At("phases", i), faults);
    member.Require("duration");
    member.Require("rate");
    if (i == 0) member.Require("clients");
    member.Read("name", phase.name);
    member.Read("duration", phase.duration, kLongestRun);
    member.Read("rate", phase.rate, {.least = 0, .greatest = 100'000});
    member.Read("clients", phase.clients, {.least = 1, .greatest = 100'000});
    member.Read("pool", phase.pool_max, {.least = 1, .greatest = 10'000});
    member.Close();
    profile.phases.push_back(std::move(phase));
  }
}

Profile ReadAll(const YAML::Node& root, Faults& faults) {
  Profile profile;
  Fields fields(root, "", faults);
  if (!root.IsMap()) return profile;
  fields.Read("name", profile.name);
  ReadTarget(fields, profile);
  ReadSources(fields, faults, profile);
  ReadPaths(fields, faults, profile);
  ReadObjects(fields, profile);
  ReadPopularity(fields, profile);
  ReadPuts(fields, faults, profile);
  fields.Read("request_timeout", profile.request_timeout, kLongestTimeout);
  fields.Read("connect_timeout", profile.connect_timeout, kLongestTimeout);
  fields.Read("pool_wait", profile.pool_wait, kLongestTimeout);
  fields.Read("idle_timeout", profile.idle_timeout, kLongestRun);
  fields.Read("backoff", profile.backoff, kLongestTimeout);
  fields.Read("retries", profile.retries, {.least = 0, .greatest = 10});
  fields.Read("objective_p99", profile.objective_p99, kLongestTimeout);
  fields.Read("seed", profile.seed);
  ReadRetryBudget(fields, faults, profile);
  ReadLeavers(fields, profile);
  ReadPhases(fields, faults, profile);
  fields.Close();
  return profile;
}

}  // namespace

absl::Duration Profile::Length() const {
  absl::Duration length;
  for (const Phase& phase : phases) length += phase.duration;
  return length;
}

double Profile::ExpectedRequests() const {
  double requests = 0;
  for (const Phase& phase : phases) requests += phase.rate * absl::ToDoubleSeconds(phase.duration);
  return requests;
}

int Profile::MostClients() const {
  int most = 0;
  for (const Phase& phase : phases) most = std::max(most, phase.clients);
  return most;
}

int64_t Profile::FilesNeeded(size_t target_count) const {
  int64_t most = 0;
  for (const Phase& phase : phases) most = std::max<int64_t>(most, phase.pool_max);
  return most * MostClients() * static_cast<int64_t>(target_count) + kSpareFiles;
}

absl::Status CheckBounds(const Profile& profile) {
  if (profile.Length() > kLongestRun) {
    return absl::InvalidArgumentError(absl::StrCat("phases: last ", absl::FormatDuration(profile.Length()),
                                                   " together; a run is bounded to ",
                                                   absl::FormatDuration(kLongestRun)));
  }
  if (profile.ExpectedRequests() > kMostRequests) {
    return absl::InvalidArgumentError(absl::StrFormat("phases: ask for %.0f requests; a run is bounded to %.0f",
                                                      profile.ExpectedRequests(), kMostRequests));
  }
  return absl::OkStatus();
}

absl::StatusOr<Profile> ParseProfile(absl::string_view yaml, absl::string_view file_name) {
  YAML::Node root;
  try {
    root = YAML::Load(std::string(yaml));
  } catch (const YAML::Exception& fault) {
    return absl::InvalidArgumentError(absl::StrCat(file_name, ":", fault.mark.line + 1, ": ", fault.msg));
  }
  Faults faults(file_name);
  Profile profile = ReadAll(root, faults);
  if (absl::Status bounds = CheckBounds(profile); !bounds.ok()) faults.Add(root, "", bounds.message());
  if (!faults.lines().empty()) return absl::InvalidArgumentError(absl::StrJoin(faults.lines(), "\n"));
  return profile;
}

absl::StatusOr<Profile> LoadProfile(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  if (!file) return absl::NotFoundError(absl::StrCat("cannot read the profile ", path));
  return ParseProfile(text.str(), path);
}

}  // namespace headroom::load
