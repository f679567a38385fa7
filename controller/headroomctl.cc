// headroomctl: the operators' program. Wires the command line to a real terminal and a real server.

#include <cstdlib>
#include <cstring>
#include <iostream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include <grpc/grpc.h>
#include <unistd.h>

#include "controller/base/status.h"
#include "controller/cli/app.h"
#include "controller/wire/dial.h"

namespace headroom {
namespace {

bool IsSet(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0';
}

bool IsTerminal(int file) {
  const char* term = std::getenv("TERM");
  const bool dumb = term == nullptr || std::strcmp(term, "dumb") == 0;
  return isatty(file) != 0 && !dumb;
}

Colours ChooseColours() {
  if (IsSet("NO_COLOR")) return Colours::kOff;
  if (IsSet("FORCE_COLOR")) return Colours::kOn;
  return IsTerminal(STDOUT_FILENO) ? Colours::kOn : Colours::kOff;
}

std::string Actor() {
  const char* user = std::getenv("USER");
  char host[256] = "";
  gethostname(host, sizeof host - 1);
  return absl::StrCat(user != nullptr ? user : absl::StrCat("uid", getuid()), "@", host);
}

absl::StatusOr<std::unique_ptr<v1::AdminService::StubInterface>> Connect(const std::string& endpoint,
                                                                         const TlsFiles& tls) {
  std::unique_ptr<WireCredentials> credentials;
  if (!tls.empty()) {
    HR_ASSIGN_OR_RETURN(credentials, WireCredentials::Open(tls, WireCredentials::Watch::kNever, nullptr));
  }
  HR_ASSIGN_OR_RETURN(const std::shared_ptr<grpc::Channel> channel, Dial(endpoint, {.credentials = credentials.get()}));
  return v1::AdminService::NewStub(channel);
}

}  // namespace
}  // namespace headroom

int main(int argc, char** argv) {
  // What gRPC has to say is in our own errors, in one sentence.
  setenv("GRPC_VERBOSITY", "NONE", 0);
  const headroom::Terminal terminal{
      .out = std::cout,
      .err = std::cerr,
      .colours = headroom::ChooseColours(),
      .progress = headroom::IsTerminal(STDERR_FILENO) ? headroom::Progress::kLine : headroom::Progress::kNone,
      .now = [] { return absl::Now(); },
      .actor = headroom::Actor(),
      .connect = headroom::Connect};
  // The last user of gRPC leaves it to be cleaned up by a thread of its own, beside which the process would end.
  grpc_init();
  const int code = headroom::RunHeadroomctl(std::vector<std::string>(argv + 1, argv + argc), terminal);
  grpc_shutdown_blocking();
  return code;
}
