#include "tests/load/yaml_fields.h"

#include <algorithm>
#include <type_traits>
#include <utility>

#include "absl/strings/str_format.h"

namespace headroom::load {

Fields::Fields(const YAML::Node& node, std::string path, Faults& faults)
    : node_(node), path_(std::move(path)), faults_(faults) {
  if (!node_.IsMap()) faults_.Add(node_, path_, "must be a map of fields");
}

std::string Fields::Path(absl::string_view name) const {
  return absl::StrCat(path_, path_.empty() ? "" : ".", name);
}

YAML::Node Fields::Take(const char* name) {
  known_.emplace_back(name);
  return Has(name) ? node_[name] : YAML::Node(YAML::NodeType::Undefined);
}

void Fields::Require(const char* name) {
  if (!Has(name)) faults_.Add(node_, Path(name), "is missing");
}

void Fields::Fault(const char* name, absl::string_view what) {
  faults_.Add(Has(name) ? node_[name] : node_, Path(name), what);
}

void Fields::Read(const char* name, std::string& value) {
  const YAML::Node field = Take(name);
  if (!field.IsDefined()) return;
  if (!field.IsScalar() || field.Scalar().empty()) return Fault(name, "must be a text");
  value = field.Scalar();
}

template <typename T>
void Fields::ReadNumber(const char* name, T& value, Range range) {
  const YAML::Node field = Take(name);
  if (!field.IsDefined()) return;
  T read{};
  const bool is_number = YAML::convert<T>::decode(field, read);
  const auto as_double = static_cast<double>(read);
  // Written so that a NaN is outside of every range.
  if (is_number && as_double >= range.least && as_double <= range.greatest) {
    value = read;
    return;
  }
  const char* kind = std::is_integral_v<T> ? "a whole number" : "a number";
  Fault(name, absl::StrFormat("must be %s from %.10g to %.10g, but is '%s'", kind, range.least, range.greatest,
                              field.IsScalar() ? field.Scalar() : "not a scalar"));
}

void Fields::Read(const char* name, double& value, Range range) {
  ReadNumber(name, value, range);
}
void Fields::Read(const char* name, int& value, Range range) {
  ReadNumber(name, value, range);
}
void Fields::Read(const char* name, int64_t& value, Range range) {
  ReadNumber(name, value, range);
}
void Fields::Read(const char* name, uint64_t& value) {
  ReadNumber(name, value, {.least = 0, .greatest = 0x1p63});
}

void Fields::Read(const char* name, absl::Duration& value, absl::Duration greatest) {
  const YAML::Node field = Take(name);
  if (!field.IsDefined()) return;
  absl::Duration read;
  const bool is_duration = field.IsScalar() && absl::ParseDuration(field.Scalar(), &read);
  if (is_duration && read > absl::ZeroDuration() && read <= greatest) {
    value = read;
    return;
  }
  Fault(name, absl::StrCat("must be a duration with its unit, as in 500ms or 10s, above 0 and at most ",
                           absl::FormatDuration(greatest), ", but is '",
                           field.IsScalar() ? field.Scalar() : "not a scalar", "'"));
}

void Fields::Close() {
  if (!node_.IsMap()) return;
  for (const auto& member : node_) {
    const std::string name = member.first.IsScalar() ? member.first.Scalar() : "?";
    if (std::find(known_.begin(), known_.end(), name) != known_.end()) continue;
    faults_.Add(member.first, Path(name), "is not a field of a load profile");
  }
}

}  // namespace headroom::load
