// A release talks to the previous one both ways: nothing of what the last release said has changed its meaning.
// tests/compat/record.sh writes released.txtpb anew; that is part of making a release and of nothing else.

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <google/protobuf/text_format.h>

#include "headroom/v1/admin.pb.h"
#include "headroom/v1/decision.pb.h"
#include "headroom/v1/load.pb.h"
#include "headroom/v1/policy.pb.h"
#include "headroom/v1/provider.pb.h"
#include "tests/compat/wire_changes.h"

namespace headroom {
namespace {

using google::protobuf::DescriptorPool;
using google::protobuf::FileDescriptorSet;
using google::protobuf::TextFormat;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

FileDescriptorSet Released() {
  const char* root = std::getenv("HEADROOM_SOURCE");
  std::ifstream file(absl::StrCat(root == nullptr ? "." : root, "/tests/compat/released.txtpb"));
  std::ostringstream text;
  text << file.rdbuf();
  FileDescriptorSet released;
  EXPECT_TRUE(TextFormat::ParseFromString(text.str(), &released));
  return released;
}

// Only what is used is linked: a message of each file.
const DescriptorPool& Current() {
  v1::GetPolicyRequest::descriptor();
  v1::Decision::descriptor();
  v1::LoadReport::descriptor();
  v1::ProviderMachine::descriptor();
  return *v1::Policy::descriptor()->file()->pool();
}

TEST(WireTest, NothingOfTheLastReleaseHasChanged) {
  const FileDescriptorSet released = Released();
  ASSERT_GE(released.file_size(), 4);
  EXPECT_THAT(WireChanges(released, Current()), IsEmpty());
}

constexpr char kReleased[] = R"pb(
  file {
    name: "a.proto"
    package: "headroom.v1"
    syntax: "proto3"
    message_type {
      name: "Thing"
      field { name: "name" number: 1 label: LABEL_OPTIONAL type: TYPE_STRING json_name: "name" }
      field { name: "count" number: 2 label: LABEL_OPTIONAL type: TYPE_INT32 json_name: "count" }
      reserved_range { start: 7 end: 8 }
      reserved_name: "old"
    }
    enum_type {
      name: "Colour"
      value { name: "COLOUR_UNSPECIFIED" number: 0 }
      value { name: "COLOUR_RED" number: 1 }
    }
    service {
      name: "Service"
      method { name: "Do" input_type: ".headroom.v1.Thing" output_type: ".headroom.v1.Thing" }
    }
  })pb";

// What is found when `from` of the schema becomes `to`.
std::vector<std::string> ChangesOf(const std::string& from, const std::string& to) {
  std::string text = kReleased;
  EXPECT_NE(text.find(from), std::string::npos) << from;
  text.replace(text.find(from), from.size(), to);
  FileDescriptorSet released, changed;
  EXPECT_TRUE(TextFormat::ParseFromString(kReleased, &released));
  EXPECT_TRUE(TextFormat::ParseFromString(text, &changed));
  DescriptorPool current;
  EXPECT_NE(current.BuildFile(changed.file(0)), nullptr) << text;
  return WireChanges(released, current);
}

constexpr char kCount[] =
    R"pb(field { name: "count" number: 2 label: LABEL_OPTIONAL type: TYPE_INT32 json_name: "count" })pb";

TEST(WireTest, WhatIsNewIsNoChange) {
  EXPECT_THAT(ChangesOf("reserved_range", R"(field { name: "more" number: 3 label: LABEL_OPTIONAL type: TYPE_BOOL }
                                             reserved_range)"),
              IsEmpty());
}

TEST(WireTest, AFieldOfAnotherTypeIsFound) {
  EXPECT_THAT(ChangesOf("TYPE_INT32", "TYPE_INT64"), ElementsAre("headroom.v1.Thing.count was int32 and is int64"));
  EXPECT_THAT(ChangesOf("LABEL_OPTIONAL type: TYPE_INT32", "LABEL_REPEATED type: TYPE_INT32"),
              ElementsAre("headroom.v1.Thing.count was int32 and is repeated int32"));
}

TEST(WireTest, ANumberThatChangesHandsIsFound) {
  EXPECT_THAT(ChangesOf(R"(name: "count" number: 2)", R"(name: "total" number: 2)"),
              ElementsAre("headroom.v1.Thing.count: its number 2 is now total's"));
  EXPECT_THAT(ChangesOf("number: 2", "number: 3"), ElementsAre(HasSubstr("headroom.v1.Thing.count is gone")));
}

TEST(WireTest, AFieldMayGoWhenItsNumberAndItsNameAreReserved) {
  EXPECT_THAT(ChangesOf(kCount, ""), ElementsAre(HasSubstr("headroom.v1.Thing.count is gone")));
  EXPECT_THAT(ChangesOf(kCount, "reserved_range { start: 2 end: 3 }"),
              ElementsAre(HasSubstr("headroom.v1.Thing.count is gone")));
  EXPECT_THAT(ChangesOf(kCount, R"(reserved_range { start: 2 end: 3 } reserved_name: "count")"), IsEmpty());
}

TEST(WireTest, WhatWasReservedStaysReserved) {
  EXPECT_THAT(ChangesOf("reserved_range { start: 7 end: 8 }", ""),
              ElementsAre("headroom.v1.Thing reserves 7 no longer"));
  EXPECT_THAT(ChangesOf(R"(reserved_name: "old")", ""), ElementsAre("headroom.v1.Thing reserves old no longer"));
}

TEST(WireTest, EnumeratorsAndMethodsAreLookedAtToo) {
  EXPECT_THAT(ChangesOf(R"(value { name: "COLOUR_RED" number: 1 })", ""),
              ElementsAre(HasSubstr("COLOUR_RED is gone, and its number 1")));
  EXPECT_THAT(ChangesOf("COLOUR_RED", "COLOUR_BLUE"), ElementsAre(HasSubstr("its number 1 is now COLOUR_BLUE's")));
  EXPECT_THAT(ChangesOf(R"(name: "Do")", R"(name: "Do" server_streaming: true)"),
              ElementsAre(HasSubstr("headroom.v1.Service.Do was ")));
  EXPECT_THAT(ChangesOf(R"(name: "Do")", R"(name: "Make")"), ElementsAre("headroom.v1.Service.Do is gone"));
  EXPECT_THAT(ChangesOf(R"(name: "Colour")", R"(name: "Color")"), ElementsAre("headroom.v1.Colour is gone"));
}

}  // namespace
}  // namespace headroom
