#include "tests/compat/wire_changes.h"

#include "absl/strings/str_cat.h"

namespace headroom {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::DescriptorPool;
using google::protobuf::EnumDescriptor;
using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::FileDescriptor;
using google::protobuf::FileDescriptorProto;
using google::protobuf::FileDescriptorSet;
using google::protobuf::MethodDescriptor;
using google::protobuf::OneofDescriptor;
using google::protobuf::ServiceDescriptor;

// The kind of a field as the wire and its readers see it: "repeated message headroom.v1.Node".
std::string KindOf(const FieldDescriptor& field) {
  std::string kind = absl::StrCat(field.is_repeated() ? "repeated " : "", field.has_presence() ? "present-or-not " : "",
                                  FieldDescriptor::TypeName(field.type()));
  if (field.message_type() != nullptr) absl::StrAppend(&kind, " ", field.message_type()->full_name());
  if (field.enum_type() != nullptr) absl::StrAppend(&kind, " ", field.enum_type()->full_name());
  if (const OneofDescriptor* oneof = field.real_containing_oneof()) absl::StrAppend(&kind, " of ", oneof->name());
  return kind;
}

std::string KindOf(const MethodDescriptor& method) {
  return absl::StrCat(method.client_streaming() ? "stream " : "", method.input_type()->full_name(), " -> ",
                      method.server_streaming() ? "stream " : "", method.output_type()->full_name());
}

class Comparison {
 public:
  explicit Comparison(const DescriptorPool& current) : current_(current) {}

  void Compare(const FileDescriptor& released) {
    for (int i = 0; i < released.message_type_count(); ++i) Compare(*released.message_type(i));
    for (int i = 0; i < released.enum_type_count(); ++i) Compare(*released.enum_type(i));
    for (int i = 0; i < released.service_count(); ++i) Compare(*released.service(i));
  }
  std::vector<std::string> Take() { return std::move(changes_); }

 private:
  template <typename... Words>
  void Say(const Words&... words) {
    changes_.push_back(absl::StrCat(words...));
  }

  void Compare(const Descriptor& released) {
    const Descriptor* now = current_.FindMessageTypeByName(released.full_name());
    if (now == nullptr) return Say(released.full_name(), " is gone");
    for (int i = 0; i < released.field_count(); ++i) Compare(*released.field(i), *now);
    CompareReserved(released, *now);
    for (int i = 0; i < released.nested_type_count(); ++i) Compare(*released.nested_type(i));
    for (int i = 0; i < released.enum_type_count(); ++i) Compare(*released.enum_type(i));
  }

  void Compare(const FieldDescriptor& released, const Descriptor& type) {
    const FieldDescriptor* now = type.FindFieldByNumber(released.number());
    if (now == nullptr) {
      if (!type.IsReservedNumber(released.number()) || !type.IsReservedName(released.name()))
        Say(released.full_name(), " is gone, and its number ", released.number(), " and name are not both reserved");
      return;
    }
    if (now->name() != released.name())
      Say(released.full_name(), ": its number ", released.number(), " is now ", now->name(), "'s");
    else if (KindOf(*now) != KindOf(released))
      Say(released.full_name(), " was ", KindOf(released), " and is ", KindOf(*now));
  }

  // What was reserved stays so: somebody older may still send it.
  void CompareReserved(const Descriptor& released, const Descriptor& now) {
    for (int i = 0; i < released.reserved_range_count(); ++i) {
      const Descriptor::ReservedRange& range = *released.reserved_range(i);
      for (int number = range.start; number < range.end; ++number) {
        if (!now.IsReservedNumber(number)) Say(now.full_name(), " reserves ", number, " no longer");
      }
    }
    for (int i = 0; i < released.reserved_name_count(); ++i) {
      if (!now.IsReservedName(released.reserved_name(i)))
        Say(now.full_name(), " reserves ", released.reserved_name(i), " no longer");
    }
  }

  void Compare(const EnumDescriptor& released) {
    const EnumDescriptor* now = current_.FindEnumTypeByName(released.full_name());
    if (now == nullptr) return Say(released.full_name(), " is gone");
    for (int i = 0; i < released.value_count(); ++i) {
      const EnumValueDescriptor& value = *released.value(i);
      const EnumValueDescriptor* same = now->FindValueByNumber(value.number());
      if (same != nullptr && same->name() != value.name())
        Say(value.full_name(), ": its number ", value.number(), " is now ", same->name(), "'s");
      if (same == nullptr && (!now->IsReservedNumber(value.number()) || !now->IsReservedName(value.name())))
        Say(value.full_name(), " is gone, and its number ", value.number(), " and name are not both reserved");
    }
  }

  void Compare(const ServiceDescriptor& released) {
    const ServiceDescriptor* now = current_.FindServiceByName(released.full_name());
    if (now == nullptr) return Say(released.full_name(), " is gone");
    for (int i = 0; i < released.method_count(); ++i) {
      const MethodDescriptor& method = *released.method(i);
      const MethodDescriptor* same = now->FindMethodByName(method.name());
      if (same == nullptr)
        Say(method.full_name(), " is gone");
      else if (KindOf(*same) != KindOf(method))
        Say(method.full_name(), " was ", KindOf(method), " and is ", KindOf(*same));
    }
  }

  const DescriptorPool& current_;
  std::vector<std::string> changes_;
};

}  // namespace

std::vector<std::string> WireChanges(const FileDescriptorSet& released, const DescriptorPool& current) {
  DescriptorPool pool;
  Comparison comparison(current);
  for (const FileDescriptorProto& file : released.file()) {
    const FileDescriptor* built = pool.BuildFile(file);
    if (built == nullptr) return {absl::StrCat(file.name(), " of the released schema cannot be read")};
    if (file.package() == "headroom.v1") comparison.Compare(*built);
  }
  return comparison.Take();
}

}  // namespace headroom
