// How many requests the request-level model simulates in a second of one core, and what a production loop adds.
#include <cstdlib>
#include <ctime>
#include <iostream>

#include "absl/strings/str_format.h"
#include <sys/resource.h>

#include "controller/sim/runner.h"

namespace headroom::sim {
namespace {

double ProcessorSeconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

Scenario Cluster(Spread spread, double requests_per_second, int64_t clients) {
  Scenario scenario;
  scenario.policy.mode = Mode::kLive;
  scenario.policy.nodes = {.min = 12, .max = 24};
  scenario.cluster.initial_count = 12;
  scenario.cluster.settings.client.spread = spread;
  scenario.cluster.settings.phases = {
      {.duration = absl::Seconds(40), .requests_per_second = requests_per_second, .clients = clients},
      {.duration = absl::Seconds(20), .requests_per_second = 2 * requests_per_second, .clients = 2 * clients}};
  return scenario;
}

// Requests a second of processor time.
double Speed(const Scenario& scenario, absl::Duration span) {
  SimRunner run(scenario);
  const double began = ProcessorSeconds();
  run.RunUntil(run.start() + span);
  return static_cast<double>(run.cluster().model().total().offered) / (ProcessorSeconds() - began);
}

int Main(absl::Duration span) {
  const double balanced = Speed(Cluster(Spread::kConnections, 5000, 600), span);
  const double spread = Speed(Cluster(Spread::kRequests, 5000, 100), span);
  std::cout << absl::StrFormat("{\"connections\": %.0f, \"requests\": %.0f}\n", balanced, spread);
  return 0;
}

}  // namespace
}  // namespace headroom::sim

// One argument, optional: virtual seconds of each run.
int main(int argc, char** argv) {
  return headroom::sim::Main(absl::Seconds(argc > 1 ? std::atoi(argv[1]) : 120));
}
