#include <algorithm>
#include <map>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/controller/core/diagnosis/generated_cluster.h"

namespace headroom {
namespace {

constexpr int kSeeds = 5;

// One incident: `seconds` after its onset, node `index` of the cluster, on top of its everyday weather.
struct Case {
  std::string name;
  Cause want;
  std::function<void(int seconds, int index, NodeWeather&)> incident;
  ClusterSetup setup;
  int calm_seconds = 30;
  int named_within = 10;                          // seconds after the onset
  std::function<void(GeneratedCluster&)> change;  // at the onset
  std::function<void(NodeWeather&)> everyday;
};

void PrintTo(const Case& one, std::ostream* out) {
  *out << one.name;
}

double Ramp(int seconds, int over, double to) {
  return 1 + (to - 1) * std::min(1.0, static_cast<double>(seconds + 1) / over);
}

Case OnTopOf(std::function<void(NodeWeather&)> everyday, Case one) {
  one.everyday = std::move(everyday);
  return one;
}

std::vector<Case> Surges() {
  return {
      {"surge behind a tcp balancer with a short past",
       Cause::kSurge,
       [](int, int, NodeWeather& w) { Scale(w, 3); },
       {.nodes = 3,
        .tells_clients = false,
        .tells_device = false,
        .tells_kernel = false,
        .has_balancer = true,
        .idle_timeout = absl::Seconds(30)},
       10},
      {"surge of direct clients that try again",
       Cause::kSurge,
       [](int s, int, NodeWeather& w) {
         Scale(w, Ramp(s, 5, 2.6));
         w.retries = s > 3 ? 0.6 : 0.01;
       },
       {.nodes = 6, .tells_retries = true}},
      OnTopOf([](NodeWeather& w) { w.connections = 148; },
              {"surge onto a well used cluster", Cause::kSurge, [](int, int, NodeWeather& w) { Scale(w, 1.8); }}),
      {"surge on one node", Cause::kSurge, [](int, int, NodeWeather& w) { Scale(w, 4); }, {.nodes = 1}},
      {"surge that fills the accept queues over and over",
       Cause::kSurge,
       [](int s, int, NodeWeather& w) {
         Scale(w, Ramp(s, 3, 2));
         w.connections = w.established * Ramp(s, 3, 6);
         w.arrivals = 4 * Ramp(s, 3, 20);
       },
       {.nodes = 3, .tells_clients = false}},
  };
}

std::vector<Case> RetryStorms() {
  const auto storm = [](NodeWeather& w) {
    w.retries = 2;
    w.arrivals *= 4;
    w.connections *= 1.6;
    w.service_ms *= 4;
  };
  return {
      {"retry storm with attempts told",
       Cause::kRetryStorm,
       [=](int, int, NodeWeather& w) { storm(w); },
       {.tells_retries = true}},
      {"retry storm that burns the cpu",
       Cause::kRetryStorm,
       [=](int, int, NodeWeather& w) {
         storm(w);
         w.cpu_ms = 4.2;
         w.cpu_some = 0.7;
       },
       {.nodes = 3, .tells_retries = true}},
      {"retry storm without a count of attempts", Cause::kRetryStorm,
       [](int s, int, NodeWeather& w) {
         w.arrivals *= Ramp(s, 3, 6);
         w.service_ms *= Ramp(s, 3, 5);
         w.error_ratio = 0.05;
         w.connections *= 1.3;
       }},
      {"retry storm with full slots",
       Cause::kRetryStorm,
       [=](int, int, NodeWeather& w) {
         storm(w);
         w.connections = 320;
       },
       {.tells_clients = false, .tells_retries = true}},
  };
}

std::vector<Case> BadDeploys() {
  return {
      {"canary with errors",
       Cause::kBadDeploy,
       [](int, int i, NodeWeather& w) {
         if (i == 0) w.error_ratio = 0.15;
       },
       {},
       30,
       10,
       [](GeneratedCluster& c) { c.Change(0, "server/1.5.0", "cfg-1"); }},
      {"configuration with errors everywhere",
       Cause::kBadDeploy,
       [](int, int, NodeWeather& w) { w.error_ratio = 0.06; },
       {},
       30,
       10,
       [](GeneratedCluster& c) {
         for (int i = 0; i < 4; ++i) c.Change(i, "server/1.4.2", "cfg-2");
       }},
      {"half rolled out and slow",
       Cause::kBadDeploy,
       [](int, int i, NodeWeather& w) {
         if (i < 2) w.service_ms = 70;
       },
       {},
       30,
       10,
       [](GeneratedCluster& c) {
         for (int i = 0; i < 2; ++i) c.Change(i, "server/1.5.0", "cfg-1");
       }},
      {"slow everywhere and clients try again",
       Cause::kBadDeploy,
       [](int, int, NodeWeather& w) {
         w.service_ms = 90;
         w.arrivals *= 3;
         w.retries = 0.5;
         w.error_ratio = 0.04;
       },
       {.tells_retries = true},
       30,
       10,
       [](GeneratedCluster& c) {
         for (int i = 0; i < 4; ++i) c.Change(i, "server/1.5.0", "cfg-1");
       }},
  };
}

std::vector<Case> SoftwareErrors() {
  return {
      {"errors out of the blue", Cause::kSoftware, [](int, int, NodeWeather& w) { w.error_ratio = 0.06; }},
      {"errors and clients that try again",
       Cause::kSoftware,
       [](int, int, NodeWeather& w) {
         w.error_ratio = 0.4;
         w.retries = 0.7;
       },
       {.tells_retries = true}},
      {"errors long after a deploy",
       Cause::kSoftware,
       [](int, int, NodeWeather& w) { w.error_ratio = 0.05; },
       {.version_age = absl::Minutes(25)}},
  };
}

std::vector<Case> Networks() {
  return {
      {"packets are lost", Cause::kNetwork, [](int, int, NodeWeather& w) { w.retransmit_ratio = 0.05; }},
      {"packets are lost and connections pile up", Cause::kNetwork,
       [](int, int, NodeWeather& w) {
         w.retransmit_ratio = 0.08;
         w.service_ms *= 5;
         w.connections *= 1.8;
         w.requests *= 0.8;
         w.arrivals *= 2;
       }},
      {"connects fail while slots are free",
       Cause::kNetwork,
       [](int, int, NodeWeather& w) {
         w.failed_connects = 6;
         w.requests *= 0.8;
       },
       {.tells_clients = false, .tells_kernel = false, .has_balancer = true}},
  };
}

std::vector<Case> SlowDisks() {
  const auto slow = [](NodeWeather& w, double factor) {
    w.device_ms *= factor;
    w.service_ms += w.device_ms;
    w.io_full = 0.4;
  };
  return {
      {"slow disks fill the slots", Cause::kSlowDisk, [=](int s, int, NodeWeather& w) { slow(w, Ramp(s, 4, 100)); }},
      {"slow disks with free slots", Cause::kSlowDisk, [=](int, int, NodeWeather& w) { slow(w, 6); }},
      {"one slow disk", Cause::kSlowDisk,
       [=](int, int i, NodeWeather& w) {
         if (i == 2) slow(w, 10);
       }},
      {"slow disks seen by stalls alone",
       Cause::kSlowDisk,
       [=](int, int, NodeWeather& w) { slow(w, 8); },
       {.tells_device = false}},
      {"slow disks and clients that connect again",
       Cause::kSlowDisk,
       [=](int, int, NodeWeather& w) {
         slow(w, 40);
         w.arrivals *= 6;
         w.connections *= 3;
         w.retries = 1;
       },
       {.tells_retries = true}},
  };
}

std::vector<Case> CpuBounds() {
  return {
      {"requests became dearer", Cause::kCpu,
       [](int, int, NodeWeather& w) {
         w.cpu_ms = 12.8;
         w.service_ms = 80;
       }},
      OnTopOf([](NodeWeather& w) { w.cpu_ms = 7; }, {"more work than the cores can do", Cause::kCpu,
                                                     [](int, int, NodeWeather& w) {
                                                       w.requests = 270;
                                                       w.connections *= 1.3;
                                                       w.service_ms = 70;
                                                       w.cpu_some = 0.6;
                                                     }}),
      {"stalls for the cpu fill the slots", Cause::kCpu,
       [](int, int, NodeWeather& w) {
         w.cpu_ms = 12.9;
         w.cpu_some = 0.8;
         w.service_ms = 400;
         w.connections = 230;
         w.requests *= 1.1;
       }},
  };
}

std::vector<Case> HotNodes() {
  return {
      {"one node is full",
       Cause::kHotNode,
       [](int, int i, NodeWeather& w) {
         if (i == 1) Scale(w, 2.6);
       },
       {.nodes = 5}},
      OnTopOf([](NodeWeather& w) { w.connections = 60; }, {"one node is busy and slow", Cause::kHotNode,
                                                           [](int, int i, NodeWeather& w) {
                                                             if (i != 3) return;
                                                             Scale(w, 2.6);
                                                             w.service_ms = 60;
                                                           }}),
      {"one of many rejects",
       Cause::kHotNode,
       [](int, int i, NodeWeather& w) {
         if (i == 7) w.connections = 260;
       },
       {.nodes = 12, .tells_clients = false}},
  };
}

// In the first minute of a cluster that is known its clients' pools fill, which looks the same.
std::vector<Case> ClientLeaks() {
  return {
      {"one client leaks",
       Cause::kClientLeak,
       [](int s, int, NodeWeather& w) {
         const double leaked = 12 * (s + 1);
         w.connections += leaked;
         w.largest_client += leaked;
         w.arrivals += 12;
       },
       {},
       90,
       15},
      {"several clients leak while traffic rises",
       Cause::kClientLeak,
       [](int s, int, NodeWeather& w) {
         const double leaked = 12 * (s + 1), clients = w.clients;
         Scale(w, 1.35);
         w.clients = 1.05 * clients;
         w.connections += leaked;
         w.largest_client += leaked / 8;
         w.arrivals += 12;
       },
       {.limit = 400},
       90,
       24},
      {"connections leak behind a balancer",
       Cause::kClientLeak,
       [](int s, int, NodeWeather& w) {
         w.connections += 10 * (s + 1);
         w.arrivals += 3;
       },
       {.tells_clients = false, .tells_kernel = false, .has_balancer = true, .idle_timeout = absl::Seconds(30)},
       90,
       20},
      {"a slow leak of old connections",
       Cause::kClientLeak,
       [](int s, int, NodeWeather& w) {
         const double leaked = 4.0 * (s + 1);
         w.connections += leaked;
         w.old_idle = leaked / w.connections;
         w.largest_client += leaked / 2;
         w.arrivals += 1;
       },
       {.idle_timeout = absl::ZeroDuration()},
       60,
       29},
  };
}

std::vector<Case> ReportLosses() {
  return {
      {"half the nodes fall silent",
       Cause::kReportLoss,
       [](int, int i, NodeWeather& w) { w.reports = i % 2 == 0; },
       {.nodes = 6},
       30,
       12},
      {"all fall silent",
       Cause::kReportLoss,
       [](int, int, NodeWeather& w) { w.reports = false; },
       {.nodes = 3},
       30,
       12},
      {"a third falls silent and is up for the balancer",
       Cause::kReportLoss,
       [](int, int i, NodeWeather& w) { w.reports = i > 2; },
       {.nodes = 9, .has_balancer = true},
       30,
       12},
  };
}

std::vector<Case> AllIncidents() {
  std::vector<Case> cases;
  for (auto* list : {Surges, RetryStorms, BadDeploys, SoftwareErrors, Networks, SlowDisks, CpuBounds, HotNodes,
                     ClientLeaks, ReportLosses}) {
    for (Case& one : list()) cases.push_back(std::move(one));
  }
  return cases;
}

struct Outcome {
  Diagnosis last_calm, last;
  int named_at = -1;          // seconds after the onset
  std::map<Cause, int> seen;  // in halves of a second, after the onset
  std::string first_wrong;
};

Outcome Play(const Case& one, uint64_t seed) {
  GeneratedCluster cluster(one.setup, seed);
  Outcome outcome;
  for (int s = -one.calm_seconds; s < 30; ++s) {
    if (one.change && s == 0) one.change(cluster);
    const auto diagnoses = cluster.Second([&](int index, NodeWeather& w) {
      if (one.everyday) one.everyday(w);
      if (s >= 0) one.incident(s, index, w);
    });
    for (const Diagnosis& diagnosis : diagnoses) {
      outcome.last = diagnosis;
      if (s < 0) {
        outcome.last_calm = diagnosis;
        continue;
      }
      ++outcome.seen[diagnosis.cause];
      if (diagnosis.cause == one.want && outcome.named_at < 0) outcome.named_at = s;
      const bool wrong = diagnosis.cause >= Cause::kSurge && diagnosis.cause != one.want;
      if (wrong && outcome.first_wrong.empty())
        outcome.first_wrong = absl::StrCat("after ", s, " s: ", RenderReason(diagnosis.reason));
    }
  }
  return outcome;
}

class Incidents : public testing::TestWithParam<Case> {};

TEST_P(Incidents, AreNamedInTimeAndNeverMistaken) {
  const Case& one = GetParam();
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    const Outcome outcome = Play(one, seed);
    EXPECT_EQ(outcome.last_calm.cause, Cause::kNone) << Explain(outcome.last_calm);
    EXPECT_EQ(outcome.first_wrong, "") << "seed " << seed;
    EXPECT_EQ(outcome.last.cause, one.want) << "seed " << seed << ": " << Explain(outcome.last);
    EXPECT_GE(outcome.named_at, 0) << "seed " << seed;
    EXPECT_LE(outcome.named_at, one.named_within) << "seed " << seed;
    if (seed == 1 && std::getenv("HEADROOM_EXPLAIN") != nullptr)
      printf("%s at %d s\n  %s\n", one.name.c_str(), outcome.named_at, Explain(outcome.last).c_str());
  }
}

std::string NameOf(const testing::TestParamInfo<Case>& info) {
  std::string name;
  for (const char c : info.param.name) name += std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  return name;
}
INSTANTIATE_TEST_SUITE_P(Diagnosis, Incidents, testing::ValuesIn(AllIncidents()), NameOf);

// Rows are what happened, columns what was said half a minute later. Bent by no threshold of its own: the table is
// printed, and the bounds are those of the project's goal.
TEST(Diagnosis, IsRightNineteenTimesInTwentyAndWrongOnceInAHundred) {
  int incidents = 0, right = 0, wrong = 0;
  std::map<Cause, std::map<Cause, int>> matrix;
  for (const Case& one : AllIncidents()) {
    for (uint64_t seed = 100; seed < 110; ++seed) {
      const Outcome outcome = Play(one, seed);
      ++matrix[one.want][outcome.last.cause];
      ++incidents;
      right += outcome.named_at >= 0 && outcome.last.cause == one.want ? 1 : 0;
      wrong += outcome.first_wrong.empty() ? 0 : 1;
    }
  }
  for (const auto& [want, row] : matrix) {
    printf("%-26s", std::string(CauseName(want)).c_str());
    for (const auto& [said, count] : row) printf(" %s %d", std::string(CauseName(said)).c_str(), count);
    printf("\n");
  }
  EXPECT_GE(incidents, 300);
  EXPECT_GE(right, 0.95 * incidents);
  EXPECT_LE(wrong, 0.01 * incidents);
}

}  // namespace
}  // namespace headroom
