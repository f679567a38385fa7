#include "tests/controller/providers/aws/fake_auto_scaling.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"

#include "controller/providers/aws/sigv4.h"

namespace headroom::aws {
namespace {

std::string Decoded(absl::string_view text) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%') {
      decoded += absl::HexStringToBytes(text.substr(i + 1, 2));
      i += 2;
    } else {
      decoded += text[i];
    }
  }
  return decoded;
}

FakeAutoScaling::Request Parse(const std::string& text) {
  FakeAutoScaling::Request request;
  for (const absl::string_view part : absl::StrSplit(text.substr(text.find("\r\n\r\n") + 4), '&')) {
    const std::pair<absl::string_view, absl::string_view> both = absl::StrSplit(part, absl::MaxSplits('=', 1));
    request.fields[Decoded(both.first)] = Decoded(both.second);
  }
  request.action = request.fields["Action"];
  return request;
}

std::string Quoted(const std::string& text) {
  return absl::StrReplaceAll(text, {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}});
}

std::string ErrorText(const std::string& code, const std::string& message) {
  return absl::StrCat(
      "<ErrorResponse xmlns=\"http://autoscaling.amazonaws.com/doc/2011-01-01/\"><Error><Type>Sender</Type>", "<Code>",
      code, "</Code><Message>", Quoted(message), "</Message></Error></ErrorResponse>");
}

int NumberOf(const std::string& text) {
  int number = 0;
  static_cast<void>(absl::SimpleAtoi(text, &number));
  return number;
}

}  // namespace

FakeAutoScaling::FakeAutoScaling(int capacity) : capacity_(capacity), server_([this](Peer& peer) { Serve(peer); }) {
  const std::lock_guard lock(mutex_);
  Fill();
}

void FakeAutoScaling::Inject(Fault fault) {
  const std::lock_guard lock(mutex_);
  faults_.push_back(std::move(fault));
}

void FakeAutoScaling::RunOutOfStock(const std::string& message) {
  const std::lock_guard lock(mutex_);
  out_of_stock_ = message;
  Fill();
}

void FakeAutoScaling::TryAnew() {
  const std::lock_guard lock(mutex_);
  activities_.push_back({"InProgress", "", absl::Now()});
}

void FakeAutoScaling::BootSlowly() {
  const std::lock_guard lock(mutex_);
  boots_slowly_ = true;
}

void FakeAutoScaling::ComeLate() {
  const std::lock_guard lock(mutex_);
  comes_late_ = true;
}

void FakeAutoScaling::Boot() {
  const std::lock_guard lock(mutex_);
  comes_late_ = false;
  Fill();
}

void FakeAutoScaling::AddHook(const std::string& name) {
  const std::lock_guard lock(mutex_);
  hooks_.insert(name);
}

void FakeAutoScaling::LeaveSlowly() {
  const std::lock_guard lock(mutex_);
  leaves_slowly_ = true;
}

void FakeAutoScaling::SetState(const std::string& instance, const std::string& state) {
  const std::lock_guard lock(mutex_);
  for (Instance& one : instances_) {
    if (one.id == instance) one.state = state;
  }
}

void FakeAutoScaling::SetBounds(int least, int most) {
  const std::lock_guard lock(mutex_);
  size_min_ = least;
  size_max_ = most;
}

void FakeAutoScaling::SetCapacity(int capacity) {
  const std::lock_guard lock(mutex_);
  capacity_ = capacity;
  Fill();
}

void FakeAutoScaling::Suspend(const std::string& process) {
  const std::lock_guard lock(mutex_);
  suspended_.insert(process);
}

void FakeAutoScaling::SetStatus(const std::string& status) {
  const std::lock_guard lock(mutex_);
  status_ = status;
}

void FakeAutoScaling::SetAhead(absl::Duration ahead) {
  const std::lock_guard lock(mutex_);
  ahead_ = ahead;
}

int FakeAutoScaling::capacity() const {
  const std::lock_guard lock(mutex_);
  return capacity_;
}

bool FakeAutoScaling::Stays(const Instance& instance) {
  return !absl::StartsWith(instance.state, "Terminating");
}

std::vector<std::string> FakeAutoScaling::instances() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> ids;
  for (const Instance& instance : instances_) {
    if (Stays(instance)) ids.push_back(instance.id);
  }
  return ids;
}

std::string FakeAutoScaling::StateOf(const std::string& instance) const {
  const std::lock_guard lock(mutex_);
  for (const Instance& one : instances_) {
    if (one.id == instance) return one.state;
  }
  return "";
}

std::map<std::string, std::string> FakeAutoScaling::tags() const {
  const std::lock_guard lock(mutex_);
  return tags_;
}

std::vector<FakeAutoScaling::Request> FakeAutoScaling::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

int FakeAutoScaling::CountOf(absl::string_view action) const {
  const std::lock_guard lock(mutex_);
  return static_cast<int>(std::count_if(requests_.begin(), requests_.end(),
                                        [&](const Request& request) { return request.action == action; }));
}

int FakeAutoScaling::Writes() const {
  const std::lock_guard lock(mutex_);
  return static_cast<int>(std::count_if(requests_.begin(), requests_.end(), [](const Request& request) {
    return !absl::StartsWith(request.action, "Describe");
  }));
}

void FakeAutoScaling::Fill() {
  const auto staying = [this] { return static_cast<int>(std::count_if(instances_.begin(), instances_.end(), &Stays)); };
  while (!comes_late_ && staying() < capacity_) {
    if (!out_of_stock_.empty()) {
      activities_.push_back({"Failed", out_of_stock_, absl::Now()});
      return;
    }
    ++made_;
    // Ids in no order of their age.
    instances_.push_back({absl::StrFormat("i-0%08x%08x", 0x9e3779b9u * static_cast<unsigned>(made_), made_),
                          made_ % 2 == 0 ? "eu-west-1b" : "eu-west-1a", boots_slowly_ ? "Pending" : "InService"});
    activities_.push_back({"Successful", "", absl::Now()});
  }
}

std::optional<FakeAutoScaling::Fault> FakeAutoScaling::TakeFault(const Request& request) {
  for (auto fault = faults_.begin(); fault != faults_.end(); ++fault) {
    if (!fault->action.empty() && fault->action != request.action) continue;
    const Fault taken = *fault;
    if (--fault->times == 0) faults_.erase(fault);
    return taken;
  }
  return std::nullopt;
}

void FakeAutoScaling::Serve(Peer& peer) {
  for (std::string text; !(text = peer.ReadRequest()).empty();) {
    const Request request = Parse(text);
    std::unique_lock lock(mutex_);
    Answer answer = CheckSignature(text);
    std::optional<Fault> fault;
    if (answer.code == 200) {
      requests_.push_back(request);
      fault = TakeFault(request);
      if (!fault.has_value() || fault->after_effect) answer = Do(request);
    }
    const std::string date = absl::FormatTime("%a, %d %b %Y %H:%M:%S GMT", absl::Now() + ahead_, absl::UTCTimeZone());
    lock.unlock();
    if (fault.has_value() && fault->never_answers) return peer.AwaitEnd();
    if (fault.has_value() && fault->code == 0) return;
    if (fault.has_value()) answer = {fault->code, ErrorText(fault->error, fault->message)};
    const std::string pause = fault.has_value() ? fault->retry_after : "";
    peer.Answer(answer.body, absl::StrCat("HTTP/1.1 ", answer.code, " X\r\nContent-Type: text/xml\r\nDate: ", date,
                                          pause.empty() ? "" : "\r\nRetry-After: ", pause));
  }
}

// Signs what has come as its sender should have, and looks whether it is the same.
FakeAutoScaling::Answer FakeAutoScaling::CheckSignature(const std::string& text) const {
  HttpRequest request{.method = "POST", .target = "/", .body = text.substr(text.find("\r\n\r\n") + 4)};
  std::string host, moment, said;
  for (const absl::string_view line : absl::StrSplit(text.substr(0, text.find("\r\n\r\n")), "\r\n")) {
    const std::pair<absl::string_view, absl::string_view> both = absl::StrSplit(line, absl::MaxSplits(':', 1));
    const std::string name = absl::AsciiStrToLower(both.first), value(absl::StripAsciiWhitespace(both.second));
    if (name == "content-type") request.headers.push_back({"Content-Type", value});
    if (name == "host") host = value;
    if (name == "x-amz-date") moment = value;
    if (name == "authorization") said = value;
  }
  absl::Time at;
  std::string ignored;
  if (!absl::ParseTime("%E4Y%m%dT%H%M%SZ", moment, &at, &ignored)) return {403, ErrorText("IncompleteSignature", "")};
  if (absl::AbsDuration(absl::Now() + ahead_ - at) > absl::Minutes(5))
    return {403, ErrorText("RequestExpired", "Request has expired.")};
  if (!absl::StrContains(said, "/eu-west-1/"))
    return {403, ErrorText("SignatureDoesNotMatch", "Credential should be scoped to a valid region.")};
  if (!absl::StrContains(said, "Credential=AKID/"))
    return {403, ErrorText("InvalidClientTokenId", "The security token included in the request is invalid.")};
  Sign(request, host, {.access_key_id = "AKID", .secret_access_key = "secret"},
       {.region = "eu-west-1", .service = "autoscaling", .at = at});
  if (request.headers.back().value != said)
    return {403, ErrorText("SignatureDoesNotMatch", "The request signature we calculated does not match.")};
  return {};
}

FakeAutoScaling::Answer FakeAutoScaling::Do(const Request& request) {
  const auto wrapped = [&](const std::string& inside) {
    return Answer{200, absl::StrCat("<", request.action, "Response><", request.action, "Result>", inside, "</",
                                    request.action, "Result></", request.action, "Response>")};
  };
  Fields fields = request.fields;
  if (request.action == "DescribeAutoScalingGroups") return Describe(request);
  if (request.action == "DescribeScalingActivities") return wrapped(ActivitiesText());
  if (request.action == "DescribeLifecycleHooks") return wrapped(HooksText());
  if (request.action == "TerminateInstanceInAutoScalingGroup") return Terminate(request);
  if (request.action == "CompleteLifecycleAction") return Release(request);
  if (request.action == "CreateOrUpdateTags") {
    for (int i = 1; fields.contains(absl::StrCat("Tags.member.", i, ".Key")); ++i) {
      const std::string value = fields[absl::StrCat("Tags.member.", i, ".Value")];
      if (value.size() > 256) return {400, ErrorText("ValidationError", "tag value too long")};
      tags_[fields[absl::StrCat("Tags.member.", i, ".Key")]] = value;
    }
    return wrapped("");
  }
  if (request.action == "SetDesiredCapacity") {
    const int wanted = NumberOf(fields["DesiredCapacity"]);
    if (wanted > size_max_ || wanted < size_min_)
      return {400, ErrorText("ValidationError", "New SetDesiredCapacity value is outside of the size limits")};
    capacity_ = wanted;
    Fill();
    return wrapped("");
  }
  return {400, ErrorText("InvalidAction", "Could not find operation")};
}

FakeAutoScaling::Answer FakeAutoScaling::Describe(const Request& request) {
  std::string text =
      "<DescribeAutoScalingGroupsResponse xmlns=\"http://autoscaling.amazonaws.com/doc/2011-01-01/\">"
      "<DescribeAutoScalingGroupsResult><AutoScalingGroups>";
  if (request.fields.at("AutoScalingGroupNames.member.1") == "files") {
    absl::StrAppend(&text, "<member><AutoScalingGroupName>files</AutoScalingGroupName><MinSize>", size_min_,
                    "</MinSize><MaxSize>", size_max_, "</MaxSize><DesiredCapacity>", capacity_, "</DesiredCapacity>",
                    status_.empty() ? "" : absl::StrCat("<Status>", status_, "</Status>"),
                    "<AvailabilityZones><member>eu-west-1a</member><member>eu-west-1b</member></AvailabilityZones>",
                    "<SuspendedProcesses>");
    for (const std::string& process : suspended_)
      absl::StrAppend(&text, "<member><ProcessName>", process, "</ProcessName></member>");
    absl::StrAppend(&text, "</SuspendedProcesses><Instances>");
    for (const Instance& instance : instances_)
      absl::StrAppend(&text, "<member><InstanceId>", instance.id, "</InstanceId><AvailabilityZone>", instance.zone,
                      "</AvailabilityZone><LifecycleState>", instance.state, "</LifecycleState></member>");
    absl::StrAppend(&text, "</Instances><Tags>");
    for (const auto& [key, value] : tags_)
      absl::StrAppend(&text, "<member><Key>", key, "</Key><Value>", Quoted(value), "</Value></member>");
    absl::StrAppend(&text, "</Tags></member>");
  }
  absl::StrAppend(&text, "</AutoScalingGroups></DescribeAutoScalingGroupsResult></DescribeAutoScalingGroupsResponse>");
  return {200, text};
}

std::string FakeAutoScaling::ActivitiesText() const {
  if (activities_.empty()) return "<Activities/>";
  const Activity& newest = activities_.back();
  return absl::StrCat("<Activities><member><StatusCode>", newest.status, "</StatusCode><StatusMessage>",
                      Quoted(newest.message), "</StatusMessage><StartTime>",
                      absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", newest.began_at, absl::UTCTimeZone()),
                      "</StartTime></member></Activities>");
}

std::string FakeAutoScaling::HooksText() const {
  std::string text =
      "<LifecycleHooks><member><LifecycleHookName>starts</LifecycleHookName>"
      "<LifecycleTransition>autoscaling:EC2_INSTANCE_LAUNCHING</LifecycleTransition></member>";
  for (const std::string& hook : hooks_)
    absl::StrAppend(&text, "<member><LifecycleHookName>", hook,
                    "</LifecycleHookName><LifecycleTransition>autoscaling:EC2_INSTANCE_TERMINATING"
                    "</LifecycleTransition></member>");
  return text + "</LifecycleHooks>";
}

FakeAutoScaling::Answer FakeAutoScaling::Terminate(const Request& request) {
  const auto found = std::find_if(instances_.begin(), instances_.end(), [&](const Instance& instance) {
    return instance.id == request.fields.at("InstanceId");
  });
  if (found == instances_.end() || !Stays(*found))
    return {400, ErrorText("ValidationError", "Instance Id not found - No managed instance found for instance ID")};
  if (capacity_ <= size_min_) return {400, ErrorText("ValidationError", "Currently, desiredSize equals minSize")};
  --capacity_;
  if (hooks_.empty()) {
    instances_.erase(found);
  } else {
    found->state = leaves_slowly_ ? "Terminating" : "Terminating:Wait";
  }
  return {200, "<TerminateInstanceInAutoScalingGroupResponse/>"};
}

FakeAutoScaling::Answer FakeAutoScaling::Release(const Request& request) {
  const auto found = std::find_if(instances_.begin(), instances_.end(), [&](const Instance& instance) {
    return instance.id == request.fields.at("InstanceId") && instance.state == "Terminating:Wait";
  });
  if (found == instances_.end())
    return {400, ErrorText("ValidationError", "No active Lifecycle Action found with instance ID")};
  instances_.erase(found);
  return {200, "<CompleteLifecycleActionResponse/>"};
}

}  // namespace headroom::aws
