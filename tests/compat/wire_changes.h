#pragma once

#include <string>
#include <vector>

#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>

namespace headroom {

// What of `released` would not be understood by who speaks `current`, a sentence each: a field, enumerator or method
// that has another name, number or type, or that is gone without its number and name being reserved. Names count, since
// policies, JSON and the admin API are read by them. What is new is no change.
std::vector<std::string> WireChanges(const google::protobuf::FileDescriptorSet& released,
                                     const google::protobuf::DescriptorPool& current);

}  // namespace headroom
