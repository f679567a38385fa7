#include "controller/cli/session.h"

#include <random>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include <google/protobuf/util/json_util.h>
#include <yaml-cpp/yaml.h>

#include "controller/cli/commands.h"
#include "controller/runtime/wire_time.h"

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

v1::AdminService::StubInterface& Session::stub() {
  if (stub_ == nullptr) stub_ = terminal_.connect(server);
  return *stub_;
}

absl::Status Session::CheckOptions() const {
  const absl::Duration duration = DurationOf(timeout);
  if (duration > absl::ZeroDuration() && duration <= kTimeoutMax) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("--timeout ", timeout, " is not a duration like 10s, up to 1h"));
}

void Session::SetDeadline(grpc::ClientContext& context) const {
  context.set_deadline(absl::ToChronoTime(absl::Now() + DurationOf(timeout)));
}

absl::Status Session::Explain(const grpc::Status& status, const grpc::ClientContext& context) const {
  const absl::Status plain(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
  const bool answered = context.GetServerTrailingMetadata().count(kVersionKey) > 0;
  if (absl::IsUnavailable(plain) && !answered) {
    return absl::UnavailableError(absl::StrCat("cannot reach headroomd at ", server,
                                               "; is it running? --server or HEADROOM_SERVER name another one (",
                                               plain.message(), ")"));
  }
  if (absl::IsDeadlineExceeded(plain)) {
    return absl::DeadlineExceededError(
        absl::StrCat("headroomd at ", server, " did not answer within ", timeout, "; --timeout waits longer"));
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
