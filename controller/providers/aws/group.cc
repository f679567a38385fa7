#include "controller/providers/aws/group.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "controller/base/status.h"
#include "controller/providers/sentence.h"

namespace headroom::aws {
namespace {

int NumberOf(const pugi::xml_node& node, const char* name) {
  return node.child(name).text().as_int();
}

Instance InstanceOf(const pugi::xml_node& member) {
  return {.id = member.child_value("InstanceId"),
          .zone = member.child_value("AvailabilityZone"),
          .state = member.child_value("LifecycleState")};
}

Group GroupOf(const pugi::xml_node& node) {
  Group group{.size_min = NumberOf(node, "MinSize"),
              .size_max = NumberOf(node, "MaxSize"),
              .capacity = NumberOf(node, "DesiredCapacity"),
              .status = node.child_value("Status")};
  for (const pugi::xml_node member : node.child("Instances").children("member"))
    group.instances.push_back(InstanceOf(member));
  for (const pugi::xml_node member : node.child("AvailabilityZones").children("member"))
    group.zones.emplace_back(member.child_value());
  for (const pugi::xml_node member : node.child("SuspendedProcesses").children("member"))
    group.suspended.insert(member.child_value("ProcessName"));
  for (const pugi::xml_node member : node.child("Tags").children("member"))
    group.tags[member.child_value("Key")] = member.child_value("Value");
  return group;
}

}  // namespace

bool Instance::is_leaving() const {
  return absl::StartsWith(state, "Terminating") || state == "Detaching";
}

bool Instance::is_gone() const {
  return state == "Terminated" || state == "Detached" || absl::StartsWith(state, "Warmed:");
}

// A word that we do not know ends nothing: the instance is there, and its node says how it is.
Machine::State Instance::machine_state() const {
  if (is_leaving()) return Machine::State::kStopping;
  return absl::StartsWith(state, "Pending") ? Machine::State::kStarting : Machine::State::kRunning;
}

const Instance* Group::Find(const std::string& id) const {
  const auto found =
      std::find_if(instances.begin(), instances.end(), [&](const Instance& instance) { return instance.id == id; });
  return found == instances.end() ? nullptr : &*found;
}

std::vector<std::string> Group::Ids() const {
  std::vector<std::string> ids;
  for (const Instance& instance : instances) {
    if (!absl::StartsWith(instance.state, "Warmed:")) ids.push_back(instance.id);
  }
  return ids;
}

int Group::StayingCount() const {
  return static_cast<int>(std::count_if(instances.begin(), instances.end(), [](const Instance& instance) {
    return !instance.is_leaving() && !instance.is_gone() && !absl::StrContains(instance.state, "Standby");
  }));
}

absl::StatusOr<Group> GroupApi::Read(absl::Duration timeout) {
  HR_ASSIGN_OR_RETURN(const QueryApi::Answer answer,
                      api_.Call({.action = "DescribeAutoScalingGroups",
                                 .fields = {{"AutoScalingGroupNames.member.1", name_}, {"MaxRecords", "1"}},
                                 .timeout = timeout}));
  const pugi::xml_node member = answer.result.child("AutoScalingGroups").child("member");
  if (!member)
    return absl::NotFoundError(absl::StrCat("there is no Auto Scaling group \"", name_,
                                            "\" here: check provider.aws.group and provider.aws.region"));
  return GroupOf(member);
}

absl::StatusOr<std::string> GroupApi::LastFailure(absl::Time since, absl::Duration timeout) {
  HR_ASSIGN_OR_RETURN(const QueryApi::Answer answer,
                      api_.Call({.action = "DescribeScalingActivities",
                                 .fields = {{"AutoScalingGroupName", name_}, {"MaxRecords", "1"}},
                                 .timeout = timeout}));
  const pugi::xml_node newest = answer.result.child("Activities").child("member");
  const std::string status = newest.child_value("StatusCode"), message = newest.child_value("StatusMessage");
  absl::Time began;
  std::string ignored;
  if (status != "Failed" || !absl::ParseTime(absl::RFC3339_full, newest.child_value("StartTime"), &began, &ignored) ||
      began < absl::FromUnixMillis(absl::ToUnixMillis(since)))  // AWS says no more than milliseconds
    return "";
  return message.empty() ? "AWS could not start an instance and does not say why" : SentenceOf(message);
}

absl::StatusOr<std::vector<std::string>> GroupApi::HooksOfTheEnd(absl::Duration timeout) {
  HR_ASSIGN_OR_RETURN(
      const QueryApi::Answer answer,
      api_.Call({.action = "DescribeLifecycleHooks", .fields = {{"AutoScalingGroupName", name_}}, .timeout = timeout}));
  std::vector<std::string> hooks;
  for (const pugi::xml_node member : answer.result.child("LifecycleHooks").children("member")) {
    if (absl::string_view(member.child_value("LifecycleTransition")) == "autoscaling:EC2_INSTANCE_TERMINATING")
      hooks.emplace_back(member.child_value("LifecycleHookName"));
  }
  return hooks;
}

absl::Status GroupApi::SetCapacity(int capacity, absl::Duration timeout) {
  return api_
      .Call({.action = "SetDesiredCapacity",
             .fields = {{"AutoScalingGroupName", name_},
                        {"DesiredCapacity", absl::StrCat(capacity)},
                        {"HonorCooldown", "false"}},
             .timeout = timeout})
      .status();
}

absl::Status GroupApi::SetTags(const std::map<std::string, std::string>& tags, absl::Duration timeout) {
  QueryCall call{.action = "CreateOrUpdateTags", .timeout = timeout};
  int number = 0;
  for (const auto& [key, value] : tags) {
    const std::string member = absl::StrCat("Tags.member.", ++number, ".");
    call.fields.insert(call.fields.end(), {{member + "ResourceId", name_},
                                           {member + "ResourceType", "auto-scaling-group"},
                                           {member + "Key", key},
                                           {member + "Value", value},
                                           {member + "PropagateAtLaunch", "false"}});
  }
  return api_.Call(call).status();
}

absl::Status GroupApi::Terminate(const std::string& instance, absl::Duration timeout) {
  return api_
      .Call({.action = "TerminateInstanceInAutoScalingGroup",
             .fields = {{"InstanceId", instance}, {"ShouldDecrementDesiredCapacity", "true"}},
             .repeat = Repeat::kIfRefused,
             .timeout = timeout})
      .status();
}

absl::Status GroupApi::Release(const std::string& hook, const std::string& instance, absl::Duration timeout) {
  const absl::Status status = api_.Call({.action = "CompleteLifecycleAction",
                                         .fields = {{"AutoScalingGroupName", name_},
                                                    {"LifecycleHookName", hook},
                                                    {"InstanceId", instance},
                                                    {"LifecycleActionResult", "CONTINUE"}},
                                         .timeout = timeout})
                                  .status();
  // "No active Lifecycle Action found": this hook does not hold it, or not any more.
  if (absl::IsInvalidArgument(status) && absl::StrContains(status.message(), "No active Lifecycle Action"))
    return absl::OkStatus();
  return status;
}

}  // namespace headroom::aws
