#!/usr/bin/env python3
"""HAProxy in mode http: connections to the nodes are reused, so slots and queue live in HAProxy. A surge of slow requests
fills HAProxy's queue while the nodes' own connections are few; only a limit that is raised there heals it."""

import cluster_case as case
import measure

SECONDS = {"base": 3, "surge": 7, "after": 1}
SERVER_LIMIT = 60
# 200 ms a request: 3 nodes of 60 slots serve 900 requests a second at most, and the surge asks for 1350.
SLOW = {"--device-latency, 20ms": "--device-latency, 200ms", "--boot-delay, 3s, ": "", "max: 6": "max: 3"}


class HttpModeTest(case.ClusterCase):
    def run_load(self, mode):
        running = self.start(mode, mode=mode, balancer="http", server_limit=SERVER_LIMIT, edits=SLOW)
        load = running.start_load(4, case.cluster.campaign(SECONDS))
        seen = self.finish(running, load, sum(SECONDS.values()))
        seen["server_limits"] = {node: int(row["slim"]) for node, row in running.servers().items()}
        seen["node_limits"] = case.limits(running)
        seen["decisions"] = measure.decisions_of(running)
        running.stop()
        return seen

    def test_limits_move_where_the_slots_are(self):
        dry, live = self.run_load("dry_run"), self.run_load("live")
        for name, seen in (("dry run", dry), ("live", live)):
            print(f"{name}: failed {seen['failed']} of {seen['requests']}, in the surge "
                  f"{case.phase(seen, 'surge')['failed_ratio']:.3f}, p99 {seen['p99_ms']:.0f} ms, limits in HAProxy "
                  f"{seen['server_limits']}, at the nodes {seen['node_limits']}")
        self.assertEqual(set(dry["server_limits"].values()), {SERVER_LIMIT})
        self.assertGreater(case.phase(dry, "surge")["failed_ratio"], 0.1)
        self.assertGreater(min(live["server_limits"].values()), SERVER_LIMIT)
        self.assertGreaterEqual(min(live["node_limits"].values()), 200, "the nodes' own limits are not the slots")
        self.assert_clients(live, live["failed_ratio"] <= 0.01, f"{live['failed_ratio']:.4f} of all requests failed")

    def test_a_restart_of_haproxy_in_mid_surge_takes_no_raised_limit_back(self):
        seconds = {"base": 2, "surge": 14, "after": 1}
        running = self.start("restart", balancer="http", server_limit=SERVER_LIMIT, edits=SLOW)
        load = running.start_load(4, case.cluster.campaign(seconds))
        self.eventually("raised limits in HAProxy", lambda: self.lowest(running) > SERVER_LIMIT)
        raised = self.server_limits(running)
        running.kill(running.haproxy)
        self.eventually("the agent to say so", lambda: "event=haproxy_lost" in (running.work / "agent.log").read_text())
        running.start_haproxy()  # from its file, which has every server at SERVER_LIMIT
        self.eventually("the limits to be back", lambda: self.at_least(self.server_limits(running), raised), 8)
        self.assertIsNone(load.poll(), "the surge was over before the limits were back")
        print(f"limits in HAProxy before its restart {raised}, after it {self.server_limits(running)}")

    def server_limits(self, running):
        try:
            return {node: int(row["slim"] or 0) for node, row in running.servers().items()}
        except OSError:
            return {}

    def lowest(self, running):
        return min(self.server_limits(running).values(), default=0)

    def at_least(self, now, before):
        return bool(before) and all(now.get(node, 0) >= limit for node, limit in before.items())


if __name__ == "__main__":
    case.main()
