#include "tests/ha/etcd_cluster.h"

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include <unistd.h>

#include "controller/server/port.h"

namespace headroom {
namespace {

constexpr char kProgram[] = "/usr/bin/etcd";

bool Sh(const std::string& command) {
  return std::system(absl::StrCat("(", command, ") >/dev/null 2>&1").c_str()) == 0;
}

// At most 15 characters.
std::string Bridge() {
  return absl::StrCat("hrb", getpid());
}

}  // namespace

bool EtcdCluster::IsThere() {
  return std::filesystem::exists(kProgram);
}

bool EtcdCluster::CanSeparate() {
  // To make one is not enough: below a chroot nothing can be run in it.
  return Sh("ip netns add hr-probe && { ip netns exec hr-probe true; ran=$?; ip netns del hr-probe; exit $ran; }");
}

EtcdCluster::EtcdCluster(int size, Network network) : network_(network) {
  char folder[] = "/tmp/headroom-etcd-XXXXXX";
  folder_ = mkdtemp(folder);
  if (network_ == Network::kNamespaces)
    Sh(absl::StrCat("ip link add ", Bridge(), " type bridge; ip link set ", Bridge(), " up"));
  for (int i = 0; i < size; ++i) {
    std::filesystem::create_directories(Home(i));
    network_ == Network::kLoopback ? AddLoopback(i) : AddNamespace(i);
  }
  members_.resize(static_cast<size_t>(size));
  for (int i = 0; i < size; ++i) Start(i);
}

EtcdCluster::~EtcdCluster() {
  const int size = static_cast<int>(members_.size());
  members_.clear();
  if (network_ == Network::kNamespaces) {
    for (int i = 0; i < size; ++i) Sh(absl::StrCat("ip netns del ", Namespace(i)));
    Sh(absl::StrCat("ip link del ", Bridge()));
  }
  std::filesystem::remove_all(folder_);
}

void EtcdCluster::AddLoopback(int member) {
  for (std::vector<std::string>* addresses : {&endpoints_, &peers_}) {
    const std::string home = absl::StrCat(Home(member), "/", addresses == &peers_ ? "peer" : "client");
    std::filesystem::create_directories(home);
    addresses->push_back(absl::StrCat("127.0.0.1:", *ChoosePort(home)));
  }
}

// 10.213.N.0/30 is between us and a member, 10.214.0.0/24 between the members.
void EtcdCluster::AddNamespace(int member) {
  const std::string name = Namespace(member), client = absl::StrCat("hrc", member), peer = absl::StrCat("hrp", member);
  const std::string inside = absl::StrCat("ip -n ", name, " ");
  Sh(absl::StrCat("ip link del ", client));  // of a run that was killed
  Sh(absl::StrCat("ip link del ", peer));
  Sh(absl::StrCat("ip netns add ", name, " && ip link add ", client, " type veth peer name c netns ", name,
                  " && ip link add ", peer, " type veth peer name p netns ", name, " && ip addr add 10.213.", member,
                  ".1/30 dev ", client, " && ip link set ", client, " up && ip link set ", peer, " master ", Bridge(),
                  " && ip link set ", peer, " up"));
  Sh(absl::StrCat(inside, "addr add 10.213.", member, ".2/30 dev c && ", inside, "addr add 10.214.0.", member + 1,
                  "/24 dev p && ", inside, "link set c up && ", inside, "link set p up && ", inside, "link set lo up"));
  endpoints_.push_back(absl::StrCat("10.213.", member, ".2:2379"));
  peers_.push_back(absl::StrCat("10.214.0.", member + 1, ":2380"));
}

void EtcdCluster::Cut(int member) const {
  Sh(absl::StrCat("ip link set hrp", member, " down"));
}

void EtcdCluster::Mend(int member) const {
  Sh(absl::StrCat("ip link set hrp", member, " up"));
}

std::string EtcdCluster::Namespace(int member) const {
  return absl::StrCat("hr-etcd-", getpid(), "-", member);
}

std::string EtcdCluster::Endpoints() const {
  return absl::StrJoin(endpoints_, ",");
}

std::string EtcdCluster::Home(int member) const {
  return absl::StrCat(folder_, "/", member);
}

void EtcdCluster::Start(int member) {
  const auto index = static_cast<size_t>(member);
  std::vector<std::string> all;
  for (size_t i = 0; i < peers_.size(); ++i) all.push_back(absl::StrCat("m", i, "=http://", peers_[i]));
  const std::string client = "http://" + endpoints_[index], peer = "http://" + peers_[index];
  std::vector<std::string> arguments = {"--name",
                                        absl::StrCat("m", member),
                                        "--data-dir",
                                        Home(member) + "/data",
                                        "--unsafe-no-fsync",  // no test loses its machine
                                        "--listen-client-urls",
                                        client,
                                        "--advertise-client-urls",
                                        client,
                                        "--listen-peer-urls",
                                        peer,
                                        "--initial-advertise-peer-urls",
                                        peer,
                                        "--initial-cluster",
                                        absl::StrJoin(all, ","),
                                        "--initial-cluster-state",
                                        "new",
                                        "--heartbeat-interval",
                                        "100",
                                        "--election-timeout",
                                        "1000",
                                        "--logger",
                                        "zap",
                                        "--log-level",
                                        "error"};
  std::string program = kProgram;
  if (network_ == Network::kNamespaces) {  // which replaces itself by the program: the process is etcd's
    arguments.insert(arguments.begin(), {"netns", "exec", Namespace(member), kProgram});
    program = "/usr/sbin/ip";
  }
  members_[index] = std::make_unique<Child>(program, arguments, Home(member) + "/log");
}

void EtcdCluster::Kill(int member) {
  Child& child = *members_[static_cast<size_t>(member)];
  child.Signal(SIGKILL);
  child.Wait();
}

void EtcdCluster::Freeze(int member) {
  members_[static_cast<size_t>(member)]->Signal(SIGSTOP);
}

void EtcdCluster::Thaw(int member) {
  members_[static_cast<size_t>(member)]->Signal(SIGCONT);
}

}  // namespace headroom
