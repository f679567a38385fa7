#!/usr/bin/env python3
"""Clients that connect to the nodes directly: nothing stands before the accept queues, and a surge is absorbed there."""

import os
import threading

import cluster_case as case
import measure

SECONDS = {"base": 5, "surge": 12, "after": 3}
FAILED_RATIO_MAX = 0.01


class Addresses(threading.Thread):
    """Keeps a file of the addresses of the serving nodes, as a name service would."""

    def __init__(self, running):
        super().__init__(daemon=True)
        self.running, self.path = running, running.work / "targets"
        self.ended = threading.Event()
        self.write()

    def write(self):
        serving = [node["address"] for node in self.running.nodes() if node["state"] == "serving"]
        if not serving:
            return
        new = self.path.with_suffix(".new")
        new.write_text("\n".join(serving) + "\n")
        os.replace(new, self.path)

    def run(self):
        while not self.ended.wait(0.5):
            self.write()

    def stop(self):
        self.ended.set()
        self.join(20)


class DirectTest(case.ClusterCase):
    def test_a_surge_on_the_nodes_own_ports_is_absorbed(self):
        running = self.start("live", balancer="none")
        addresses = Addresses(running)
        addresses.start()
        self.addCleanup(addresses.stop)
        load = running.start_load(2, case.cluster.campaign(SECONDS), "--targets-file", addresses.path)
        seen = self.finish(running, load, sum(SECONDS.values()))
        addresses.stop()

        decisions = measure.decisions_of(running)
        raised = [limit for limit in case.limits(running).values() if limit > 200]
        text = (f"failed {seen['failed']} of {seen['requests']}, p99 {seen['p99_ms']:.0f} ms, limits at the end "
                f"{case.limits(running)}, {len(case.actions(decisions, 'launch'))} nodes launched")
        print(text)
        self.assertTrue(raised, "the surge never pressed on a limit")
        self.assertGreater(len(case.actions(decisions, "launch")), 0)
        self.assertGreater(len(seen["targets"]), case.cluster.NODES, "new nodes get traffic too")
        self.assert_clients(seen, seen["failed_ratio"] <= FAILED_RATIO_MAX, text)


if __name__ == "__main__":
    case.main()
