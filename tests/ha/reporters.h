#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/time.h"

namespace headroom {

// Reporters: a node for each name that `names` gives, for as long as it gives it: each reports its share of the demand
// to whichever controller takes it, follows drains and limits, and refuses a controller whose term is lower than one
// that it has heard. Thread-safe.
class Reporters {
 public:
  struct Options {
    std::vector<std::string> endpoints;
    std::string cluster;
    std::function<std::vector<std::string>()> names;
    absl::Duration interval = absl::Milliseconds(200);
  };
  explicit Reporters(Options options);
  ~Reporters();

  // Connections of all nodes together.
  void Demand(int64_t count) { demand_ = count; }
  // Nodes that went away without having been drained.
  std::vector<std::string> undrained() const;
  // Directives that were refused for their term, and the terms that were followed.
  int refused_count() const { return refused_; }
  std::set<int64_t> terms() const;
  // When a directive of a term was first followed.
  std::map<int64_t, absl::Time> first_heard() const;

 private:
  struct Node;
  void Run();
  void Report(Node& node);
  bool Talk(Node& node, const std::string& endpoint);

  const Options options_;
  std::atomic<int64_t> demand_{0};
  std::atomic<int> serving_{0}, refused_{0};
  std::atomic<bool> ending_{false};
  mutable std::mutex mutex_;
  std::map<std::string, std::unique_ptr<Node>> nodes_;
  std::vector<std::string> undrained_;
  std::map<int64_t, absl::Time> heard_;
  std::thread thread_;
};

}  // namespace headroom
