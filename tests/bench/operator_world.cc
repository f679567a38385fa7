// A Kubernetes API server in this process with many storage clusters, for headroomd --operator:
//
//   operator_world CLUSTERS NODES KUBECONFIG
//
// Namespace storage-0, storage-1, ... each have a StorageCluster files-0, files-1, ..., and a StatefulSet with pods
// files-0 to files-(NODES-1), all ready. Writes the kubeconfig, prints "ready", then what was called so far as one JSON
// object for every line that it reads, and ends with its input. Loopback only.
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <string>

#include "absl/strings/str_cat.h"
#include <nlohmann/json.hpp>

#include "tests/controller/providers/kubernetes/fake_api_server.h"

namespace headroom {
namespace {

using Json = nlohmann::json;

Json ClusterOf(int nodes) {
  return {{"apiVersion", "headroom.dev/v1alpha1"},
          {"kind", "StorageCluster"},
          {"spec",
           {{"mode", "live"},
            {"nodes", {{"min", nodes}, {"max", nodes + 50}}},
            {"provider", {{"kubernetes", {{"workload", "statefulset/files"}}}}}}}};
}

Json Pod(int number) {
  return {{"metadata", {{"creationTimestamp", "2026-11-20T08:00:00Z"}, {"labels", {{"app", "files"}}}}},
          {"spec", {{"nodeName", absl::StrCat("worker-", number % 3)}}},
          {"status", {{"phase", "Running"}, {"conditions", {{{"type", "Ready"}, {"status", "True"}}}}}}};
}

void Fill(kubernetes::FakeApiServer& server, int cluster, int nodes) {
  const std::string place = absl::StrCat("namespaces/storage-", cluster);
  server.Put(absl::StrCat("/apis/apps/v1/", place, "/statefulsets/files"),
             {{"spec", {{"replicas", nodes}, {"podManagementPolicy", "Parallel"}}}});
  for (int n = 0; n < nodes; ++n) server.Put(absl::StrCat("/api/v1/", place, "/pods/files-", n), Pod(n));
  server.Put(absl::StrCat("/apis/headroom.dev/v1alpha1/", place, "/storageclusters/files-", cluster), ClusterOf(nodes));
}

int Serve(int clusters, int nodes, const std::string& kubeconfig) {
  kubernetes::FakeApiServer server;
  for (int zone = 0; zone < 3; ++zone) {
    server.Put(absl::StrCat("/api/v1/nodes/worker-", zone),
               {{"metadata", {{"labels", {{"topology.kubernetes.io/zone", absl::StrCat("zone-", zone)}}}}}});
  }
  for (int cluster = 0; cluster < clusters; ++cluster) Fill(server, cluster, nodes);
  std::ofstream(kubeconfig) << Json{
      {"apiVersion", "v1"},
      {"kind", "Config"},
      {"current-context", "bench"},
      {"clusters", {{{"name", "bench"}, {"cluster", {{"server", server.url()}}}}}},
      {"users", {{{"name", "bench"}, {"user", Json::object()}}}},
      {"contexts", {{{"name", "bench"}, {"context", {{"cluster", "bench"}, {"user", "bench"}}}}}}};
  std::cout << "ready" << std::endl;
  for (std::string line; std::getline(std::cin, line);) std::cout << Json(server.Calls()).dump() << std::endl;
  return 0;
}

}  // namespace
}  // namespace headroom

int main(int argc, char** argv) {
  if (argc == 4) return headroom::Serve(std::atoi(argv[1]), std::atoi(argv[2]), argv[3]);
  std::cerr << "operator_world CLUSTERS NODES KUBECONFIG\n";
  return 2;
}
