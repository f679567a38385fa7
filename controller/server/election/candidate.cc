#include "controller/server/election/candidate.h"

#include <ctime>
#include <random>

#include "absl/strings/str_cat.h"

namespace headroom {

absl::Duration SteadyNow() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return absl::DurationFromTimespec(now);
}

std::string MakeIdentity(const std::string& address) {
  std::random_device random;
  const auto word = [&random] { return (uint64_t{random()} << 32) | random(); };
  return absl::StrCat(address, "_", absl::Hex(word(), absl::kZeroPad16), absl::Hex(word(), absl::kZeroPad16));
}

std::string AddressOf(const std::string& identity) {
  const size_t end = identity.rfind('_');
  return end == std::string::npos ? "" : identity.substr(0, end);
}

}  // namespace headroom
