#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tests/ha/child.h"

namespace headroom {

// EtcdCluster: real members of Debian's etcd on this machine: on free ports of the loopback, or each in a network
// namespace of its own, with one cable to us and one to the other members. One thread.
class EtcdCluster {
 public:
  enum class Network { kLoopback, kNamespaces };
  // Whether etcd is installed.
  static bool IsThere();
  // Whether this process may make network namespaces.
  static bool CanSeparate();
  explicit EtcdCluster(int size, Network network = Network::kLoopback);
  ~EtcdCluster();

  // Where clients reach its members.
  const std::vector<std::string>& endpoints() const { return endpoints_; }
  std::string Endpoints() const;  // with commas between them
  void Start(int member);
  void Kill(int member);
  // Stops it as it stands: its connections stay and nothing is answered, as when the network swallows everything.
  void Freeze(int member);
  void Thaw(int member);
  // Cuts the cable to the other members: it hears us still, and answers what it believes. Namespaces only.
  void Cut(int member) const;
  void Mend(int member) const;

 private:
  std::string Home(int member) const;
  std::string Namespace(int member) const;
  void AddLoopback(int member);
  void AddNamespace(int member);

  const Network network_;
  std::string folder_;
  std::vector<std::string> endpoints_, peers_;
  std::vector<std::unique_ptr<Child>> members_;
};

}  // namespace headroom
