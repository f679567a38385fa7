#pragma once

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "yaml-cpp/yaml.h"

namespace headroom::load {

// Faults: everything wrong with one YAML file, in the order found.
class Faults {
 public:
  explicit Faults(absl::string_view file_name) : file_name_(file_name) {}

  void Add(const YAML::Node& at, absl::string_view path, absl::string_view what) {
    const int line = at.IsDefined() ? at.Mark().line + 1 : 1;
    lines_.push_back(absl::StrCat(file_name_, ":", line, ": ", path, path.empty() ? "" : ": ", what));
  }
  const std::vector<std::string>& lines() const { return lines_; }

 private:
  std::string file_name_;
  std::vector<std::string> lines_;
};

// Range: the least and the greatest value that a field may have.
struct Range {
  double least, greatest;
};

// Fields: reads the members of one YAML map. A member that is absent leaves its variable alone; one that is bad is
// reported to `faults` and leaves it alone too; Close() reports those that nobody asked for. Values are read from any
// thread that owns the node.
class Fields {
 public:
  Fields(const YAML::Node& node, std::string path, Faults& faults);

  bool Has(const char* name) const { return node_.IsMap() && node_[name].IsDefined(); }
  void Read(const char* name, std::string& value);
  void Read(const char* name, double& value, Range range);
  void Read(const char* name, int& value, Range range);
  void Read(const char* name, int64_t& value, Range range);
  void Read(const char* name, uint64_t& value);
  void Read(const char* name, absl::Duration& value, absl::Duration greatest);
  // The member itself, for lists and maps; undefined when absent.
  YAML::Node Take(const char* name);
  void Require(const char* name);
  void Fault(const char* name, absl::string_view what);
  std::string Path(absl::string_view name) const;
  // Call last.
  void Close();

 private:
  template <typename T>
  void ReadNumber(const char* name, T& value, Range range);

  YAML::Node node_;
  std::string path_;
  Faults& faults_;
  std::vector<std::string> known_;
};

}  // namespace headroom::load
