#include "controller/cli/session.h"

#include <algorithm>
#include <random>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include <google/protobuf/util/json_util.h>
#include <yaml-cpp/yaml.h>

#include "controller/cli/commands.h"
#include "controller/runtime/wire_time.h"
#include "controller/wire/endpoints.h"
#include "controller/wire/leader_word.h"

namespace headroom {
namespace {

constexpr absl::Duration kTimeoutMax = absl::Hours(1);
constexpr char kVersionKey[] = "headroomd-version";  // headroomd puts it into each answer

std::string ToJson(const google::protobuf::Message& message, google::protobuf::util::JsonPrintOptions options) {
  options.always_print_primitive_fields = true;
  std::string json;
  const auto status = google::protobuf::util::MessageToJsonString(message, &json, options);
  return status.ok() ? json : absl::StrCat("\"", status.ToString(), "\"");
}

// JSON is YAML; what was quoted stays so, that "1.0" does not become a number.
void Emit(const YAML::Node& node, YAML::Emitter& out) {
  if (node.IsMap()) {
    out << YAML::BeginMap;
    for (const auto& entry : node) {
      out << YAML::Key << entry.first.Scalar() << YAML::Value;
      Emit(entry.second, out);
    }
    out << YAML::EndMap;
  } else if (node.IsSequence()) {
    if (node.size() == 0) out << YAML::Flow;
    out << YAML::BeginSeq;
    for (const YAML::Node& element : node) Emit(element, out);
    out << YAML::EndSeq;
  } else if (node.IsNull()) {
    out << YAML::Null;
  } else {
    if (node.Tag() == "!") out << YAML::DoubleQuoted;
    out << node.Scalar();
  }
}

std::string ToYaml(const std::string& json) {
  YAML::Emitter out;
  Emit(YAML::Load(json), out);
  return out.c_str();
}

}  // namespace

absl::Status Session::CheckOptions() const {
  for (const absl::string_view endpoint : absl::StrSplit(server, ',')) {
    if (absl::Status status = CheckEndpoint(endpoint); !status.ok()) {
      return absl::InvalidArgumentError(absl::StrCat("--server: ", status.message()));
    }
  }
  const absl::Duration duration = DurationOf(timeout);
  if (duration > absl::ZeroDuration() && duration <= kTimeoutMax) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("--timeout ", timeout, " is not a duration like 10s, up to 1h"));
}

void Session::SetDeadline(grpc::ClientContext& context) const {
  context.set_deadline(absl::ToChronoTime(absl::Now() + DurationOf(timeout)));
}

absl::Status Session::Reach(const Attempt& attempt) {
  std::vector<std::string> servers = absl::StrSplit(server, ',');
  if (stub_ != nullptr) {
    servers.erase(std::remove(servers.begin(), servers.end(), endpoint_), servers.end());
    servers.insert(servers.begin(), endpoint_);
  }
  EndpointWalk walk(std::move(servers));
  std::vector<absl::Status> tried;
  do {
    if (walk.current() != endpoint_) stub_.reset();
    endpoint_ = walk.current();
    const Outcome outcome = Try(attempt);
    if (outcome.next == Outcome::Next::kDone) return outcome.status;
    stub_.reset();
    tried.push_back(outcome.status);
    if (walk.GoOn(outcome.leader) == EndpointWalk::Pause::kLong) break;
  } while (true);
  if (tried.size() == 1) return tried.front();
  const auto message = [](std::string* out, const absl::Status& status) { absl::StrAppend(out, status.message()); };
  return absl::UnavailableError(
      absl::StrCat("no controller that leads was found: ", absl::StrJoin(tried, "; ", message)));
}

Session::Outcome Session::Try(const Attempt& attempt) {
  if (stub_ == nullptr) {
    absl::StatusOr<std::unique_ptr<v1::AdminService::StubInterface>> stub = terminal_.connect(endpoint_, tls);
    if (absl::IsInvalidArgument(stub.status())) return {stub.status()};  // our own files
    if (!stub.ok()) return {Annotated(stub.status()), Outcome::Next::kElsewhere, ""};
    stub_ = *std::move(stub);
  }
  grpc::ClientContext context;
  const grpc::Status status = attempt(*stub_, context);
  if (status.ok()) return {};
  const LeaderWord word = LeaderWordIn(context);
  if (status.error_code() != grpc::StatusCode::UNAVAILABLE || !word.stands_by) return {Explain(status, context)};
  return {absl::UnavailableError(absl::StrCat("headroomd at ", endpoint_, ": ", status.error_message())),
          Outcome::Next::kElsewhere, word.leader};
}

absl::Status Session::Annotated(const absl::Status& status) const {
  if (absl::IsUnavailable(status)) return OutOfReach(status.message());
  return {status.code(), absl::StrCat("headroomd at ", endpoint_, ": ", status.message())};
}

absl::Status Session::OutOfReach(absl::string_view why) const {
  return absl::UnavailableError(absl::StrCat("cannot reach headroomd at ", endpoint_,
                                             "; is it running? --server or HEADROOM_SERVER name another one (", why,
                                             ")"));
}

absl::Status Session::Explain(const grpc::Status& status, const grpc::ClientContext& context) const {
  const absl::Status plain(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
  const bool answered = context.GetServerTrailingMetadata().count(kVersionKey) > 0;
  if (absl::IsUnavailable(plain) && !answered) return OutOfReach(plain.message());
  if (absl::IsDeadlineExceeded(plain)) {
    return absl::DeadlineExceededError(
        absl::StrCat("headroomd at ", endpoint_, " did not answer within ", timeout, "; --timeout waits longer"));
  }
  return plain;
}

bool Session::PrintData(const google::protobuf::Message& message) {
  if (wants_table()) return false;
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  const std::string json = ToJson(message, options);
  if (format == "json") {
    out() << json;
  } else {
    out() << ToYaml(json) << '\n';
  }
  return true;
}

void Session::PrintLine(const google::protobuf::Message& message) {
  const std::string json = ToJson(message, {});
  if (format == "json") {
    out() << json << '\n';
  } else {
    out() << "---\n" << ToYaml(json) << '\n';
  }
  out().flush();
}

std::string NewRequestId() {
  std::random_device random;
  return absl::StrFormat("%08x%08x%08x%08x", random(), random(), random(), random());
}

std::string Short(absl::Duration duration) {
  if (duration < absl::ZeroDuration()) duration = absl::ZeroDuration();
  if (duration < absl::Seconds(1)) return absl::StrCat(absl::ToInt64Milliseconds(duration), "ms");
  if (duration < absl::Minutes(10)) return absl::FormatDuration(absl::Trunc(duration, absl::Seconds(1)));
  if (duration < absl::Hours(10)) return absl::FormatDuration(absl::Trunc(duration, absl::Minutes(1)));
  return absl::FormatDuration(absl::Trunc(duration, absl::Hours(1)));
}

std::string Ago(absl::Time now, bool known, const google::protobuf::Timestamp& time) {
  return known ? absl::StrCat(Short(now - FromWire(time)), " ago") : "never";
}

std::string Number(double value) {
  return value >= 100 || value == 0 ? absl::StrFormat("%.0f", value) : absl::StrFormat("%.1f", value);
}

}  // namespace headroom
