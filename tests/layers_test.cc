// Layers: the include rules of docs/architecture.md, kept true by reading the sources. A layer includes what stands in
// its row and nothing else of ours; libraries of the network stay where the network is; the decision core knows no
// clock, no chance, no log, no thread and no container whose order is not its content's.

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace headroom {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// The first row whose path matches a file is its layer.
struct Layer {
  absl::string_view path;
  std::vector<absl::string_view>
      may_include;  // beginnings of paths from the root; "proto": our messages; "grpc": our services
};

const std::vector<Layer>& Layers() {
  static const std::vector<Layer> layers = {
      {"controller/base/", {"controller/base/"}},
      {"controller/wire/", {"controller/base/", "controller/wire/"}},
      {"controller/core/limits/", {"controller/base/", "controller/core/limits/"}},
      {"controller/core/policy_parse", {"controller/base/", "controller/core/", "proto"}},
      {"controller/core/", {"controller/base/", "controller/core/"}},
      {"controller/runtime/", {"controller/base/", "controller/core/", "controller/runtime/", "proto"}},
      {"controller/sim/", {"controller/base/", "controller/core/", "controller/runtime/", "controller/sim/", "proto"}},
      {"controller/lab/",
       {"controller/base/", "controller/core/", "controller/runtime/", "controller/sim/", "controller/lab/", "proto"}},
      {"controller/providers/",
       {"controller/base/", "controller/core/", "controller/runtime/", "controller/sim/", "controller/providers/",
        "controller/wire/", "proto", "grpc"}},
      {"controller/server/",
       {"controller/base/", "controller/core/", "controller/runtime/", "controller/sim/", "controller/providers/",
        "controller/server/", "controller/wire/", "proto", "grpc"}},
      {"controller/cli/",
       {"controller/base/", "controller/core/", "controller/runtime/", "controller/sim/", "controller/lab/",
        "controller/cli/", "controller/wire/", "proto", "grpc"}},
      {"controller/", {"controller/", "proto", "grpc"}},  // the mains wire everything
      {"storage_node/",
       {"controller/base/", "controller/core/limits/", "controller/wire/", "storage_node/", "proto", "grpc"}},
  };
  return layers;
}

struct Library {
  absl::string_view name;
  std::vector<absl::string_view> headers;
  std::vector<absl::string_view> at_home_in;
};

const std::vector<Library>& Libraries() {
  static const std::vector<Library> libraries = {
      {"gRPC",
       {"grpcpp/", "grpc/"},
       {"controller/server/", "controller/cli/", "controller/providers/", "controller/wire/", "controller/headroom",
        "storage_node/"}},
      {"Boost", {"boost/"}, {"controller/server/", "controller/cli/", "storage_node/", "controller/headroom"}},
      {"cpprestsdk", {"cpprest/", "pplx/"}, {"controller/providers/http/"}},
      {"SQLite", {"sqlite3.h"}, {"controller/runtime/"}},
      {"OpenSSL", {"openssl/"}, {"controller/providers/http/", "controller/providers/aws/", "controller/wire/"}},
      {"JSON",
       {"nlohmann/"},
       {"controller/providers/kubernetes/", "controller/providers/aws/", "controller/server/election/",
        "controller/server/operator/"}},
      {"pugixml", {"pugixml"}, {"controller/providers/aws/"}},
      {"yaml-cpp",
       {"yaml-cpp/"},
       {"controller/runtime/", "controller/cli/", "controller/providers/kubernetes/", "storage_node/"}},
      {"spdlog", {"spdlog/"}, {"controller/server/", "controller/providers/", "controller/headroom", "storage_node/"}},
      {"zlib", {"zlib.h"}, {"controller/lab/", "controller/runtime/"}},
      {"systemd", {"systemd/"}, {"controller/server/"}},
      {"prometheus", {"prometheus/"}, {"controller/server/", "controller/headroom"}},
  };
  return libraries;
}

// What the decision core must not say.
struct Ban {
  absl::string_view why;
  const char* pattern;
};
constexpr Ban kCoreBans[] = {
    {"asks the time",
     R"(absl::Now\b|absl/time/clock\.h|base/clock\.h|std::chrono|<chrono>|<ctime>|\btime\(|gettimeofday|clock_gettime)"},
    {"rolls dice", R"(<random>|absl/random|std::mt19937|\brand\(|random_device)"},
    {"logs", R"(<iostream>|<cstdio>|std::cout|std::cerr|printf\(|absl/log)"},
    {"iterates in no order", R"(unordered_(map|set|multi)|flat_hash_|node_hash_)"},
    {"knows threads", R"(<thread>|<mutex>|<atomic>|absl/synchronization)"},
    {"does I/O", R"(<fstream>|<filesystem>|<unistd\.h>|\bfopen\()"},
};

bool StartsWithAny(absl::string_view text, const std::vector<absl::string_view>& beginnings) {
  return std::any_of(beginnings.begin(), beginnings.end(),
                     [&](absl::string_view beginning) { return absl::StartsWith(text, beginning); });
}

std::string WithoutComments(const std::string& source) {
  static const std::regex comment(R"(//[^\n]*)");
  return std::regex_replace(source, comment, "");
}

// What the header belongs to: a path of ours, "proto", "grpc", or itself.
std::string Kind(const std::string& header) {
  if (!absl::StartsWith(header, "headroom/v1/")) return header;
  return absl::EndsWith(header, ".grpc.pb.h") ? "grpc" : "proto";
}

bool IsOurs(absl::string_view kind) {
  return kind == "proto" || kind == "grpc" || StartsWithAny(kind, {"controller/", "storage_node/", "tests/"});
}

const Layer* LayerOf(absl::string_view path) {
  for (const Layer& layer : Layers()) {
    if (absl::StartsWith(path, layer.path)) return &layer;
  }
  return nullptr;
}

std::vector<std::string> FaultsOf(const std::string& path, const std::string& source) {
  static const std::regex include(R"(#include\s+[<"]([^>"]+)[>"])");
  std::vector<std::string> faults;
  const std::string code = WithoutComments(source);
  const Layer* layer = LayerOf(path);
  for (std::sregex_iterator it(code.begin(), code.end(), include), end; it != end; ++it) {
    const std::string header = (*it)[1], kind = Kind(header);
    if (IsOurs(kind) && !StartsWithAny(kind, layer->may_include)) {
      faults.push_back(absl::StrCat(path, " includes ", header, ", which is not below it"));
    }
    for (const Library& library : Libraries()) {
      if (StartsWithAny(header, library.headers) && !StartsWithAny(path, library.at_home_in)) {
        faults.push_back(absl::StrCat(path, " includes ", header, ": ", library.name, " is not at home there"));
      }
    }
  }
  if (!absl::StartsWith(path, "controller/core/")) return faults;
  for (const Ban& ban : kCoreBans) {
    std::smatch found;
    if (std::regex_search(code, found, std::regex(ban.pattern))) {
      faults.push_back(absl::StrCat(path, " ", ban.why, ": ", found.str()));
    }
  }
  return faults;
}

std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

TEST(LayersTest, EveryFileIncludesOnlyWhatIsBelowIt) {
  const char* source = std::getenv("HEADROOM_SOURCE");
  const std::filesystem::path root = source == nullptr ? "." : source;
  std::vector<std::string> faults;
  int files = 0;
  for (const char* folder : {"controller", "storage_node"}) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root / folder)) {
      const std::string extension = entry.path().extension();
      if (extension != ".h" && extension != ".cc") continue;
      ++files;
      for (std::string& fault : FaultsOf(std::filesystem::relative(entry.path(), root), ReadFile(entry.path()))) {
        faults.push_back(std::move(fault));
      }
    }
  }
  EXPECT_GT(files, 30) << "the sources were not found";
  EXPECT_THAT(faults, IsEmpty()) << absl::StrJoin(faults, "\n");
}

TEST(LayersTest, AnIncludeFromAboveIsFound) {
  EXPECT_THAT(FaultsOf("controller/core/x.cc", "#include \"controller/runtime/journal.h\"\n"),
              ElementsAre(HasSubstr("is not below it")));
  EXPECT_THAT(FaultsOf("controller/core/limits/law.h", "#include \"controller/core/fleet/fleet.h\"\n"),
              ElementsAre(HasSubstr("is not below it")));
  EXPECT_THAT(FaultsOf("controller/core/x.cc", "#include \"headroom/v1/policy.pb.h\"\n"),
              ElementsAre(HasSubstr("is not below it")));
  EXPECT_THAT(FaultsOf("controller/core/policy_parse.h", "#include \"headroom/v1/policy.pb.h\"\n"), IsEmpty());
  EXPECT_THAT(FaultsOf("controller/runtime/x.cc", "#include \"headroom/v1/admin.grpc.pb.h\"\n"),
              ElementsAre(HasSubstr("is not below it")));
  EXPECT_THAT(FaultsOf("storage_node/x.cc", "#include \"controller/core/fleet/fleet.h\"\n"),
              ElementsAre(HasSubstr("is not below it")));
}

TEST(LayersTest, ALibraryAwayFromHomeIsFound) {
  EXPECT_THAT(FaultsOf("controller/runtime/x.cc", "#include <grpcpp/grpcpp.h>\n"),
              ElementsAre(HasSubstr("gRPC is not at home there")));
  EXPECT_THAT(FaultsOf("controller/server/x.cc", "#include <grpcpp/grpcpp.h>\n"), IsEmpty());
}

TEST(LayersTest, AClockChanceLogOrUnorderedContainerInTheCoreIsFound) {
  for (const char* line : {"absl::Now()", "#include <random>", "std::cerr << 1", "std::unordered_map<int, int> m",
                           "absl::flat_hash_map<int, int> m", "absl::Mutex m; // nothing\n#include <mutex>"}) {
    EXPECT_EQ(FaultsOf("controller/core/x.cc", line).size(), 1u) << line;
    EXPECT_THAT(FaultsOf("controller/runtime/x.cc", line), IsEmpty()) << line;
  }
  EXPECT_THAT(FaultsOf("controller/core/x.cc", "// absl::Now() is forbidden here\n"), IsEmpty());
}

}  // namespace
}  // namespace headroom
