#!/usr/bin/env python3
"""kill -9 of headroomd in mid-surge, beside the same seed without it. HEADROOM_REPEATS=5 takes the median of five pairs."""

import os
import statistics
import time

import cluster_case as case
import measure

SECONDS = {"base": 5, "surge": 12, "after": 3}
KILL_AT, AWAY = 7.5, 1.5  # seconds since the load began; how long there is no controller
MORE_FAILED_MAX = 0.001   # of all requests


REPEATS = int(os.environ.get("HEADROOM_REPEATS", "1"))


class Kill9Test(case.ClusterCase):
    BOUND_SECONDS = case.BOUND_SECONDS * REPEATS

    def run_load(self, name):
        running = self.start(name)
        running.control("hold", "down", "--reason", "moving house", "--for", "1h")
        running.control("override", "--max", 5, "--reason", "rack is full", "--for", "1h")
        load = running.start_load(3, case.cluster.campaign(SECONDS))
        return running, load, time.monotonic()

    def test_the_cluster_does_not_notice(self):
        pairs = [self.pair(number) for number in range(REPEATS)]
        without, killed = ([pair[i]["failed_ratio"] for pair in pairs] for i in (0, 1))
        text = f"shares failed without kill -9: {without}, with: {killed}"
        print(text)
        worst = {"void": any(seen["void"] for pair in pairs for seen in pair),
                 "void_reasons": [reason for pair in pairs for seen in pair for reason in seen["void_reasons"]],
                 "failed_ratio": max(killed)}
        self.assert_clients(worst, statistics.median(killed) <= statistics.median(without) + MORE_FAILED_MAX, text)

    def pair(self, number):
        """What clients saw without the kill and with it."""
        running, load, _ = self.run_load(f"without-{number}")
        reference = self.finish(running, load, sum(SECONDS.values()))
        running.stop()

        running, load, began = self.run_load(f"with-{number}")
        time.sleep(max(0, began + KILL_AT - time.monotonic()))
        before = self.now(running)
        processes, limits = running.node_processes(), case.limits(running)
        running.kill(running.daemon)
        self.assertGreater(max(limits.values()), 200, "no limit was raised before the kill, so nothing is tested")
        self.keeps_serving(running, processes, limits)
        running.daemon = running.start_daemon()
        after = self.eventually("the new headroomd", lambda: self.now(running))
        seen = self.finish(running, load, sum(SECONDS.values()))

        self.goes_on(before["status"], after["status"])
        self.started_nothing_twice(running, processes)
        self.decisions_go_on(running, before["decision"])
        print(f"failed without kill -9: {reference['failed']} of {reference['requests']}, "
              f"with: {seen['failed']} of {seen['requests']}; limits at the kill {limits}")
        running.stop()
        return reference, seen

    def now(self, running):
        """What the controller says; None while there is none."""
        try:
            newest = running.control("decisions", "--all", "-n", 1).get("decisions", [])
            return {"status": running.control("status"), "decision": newest[0]} if newest else None
        except case.cluster.DemoError:
            return None

    def keeps_serving(self, running, processes, limits):
        end = time.monotonic() + AWAY
        while time.monotonic() < end:
            for node, limit in case.limits(running).items():
                self.assertGreaterEqual(limit, limits.get(node, 0), f"{node} took its limit back without a controller")
            time.sleep(0.2)
        now = running.node_processes()
        self.assertEqual(processes, {node: now.get(node) for node in processes}, "a node ended with its controller")
        self.assertTrue(running.front_answers())

    def goes_on(self, before, after):
        self.assertEqual(int(after["term"]), int(before["term"]) + 1)
        for what in ("holds", "override"):
            self.assertEqual(after[what], before[what])
        self.assertEqual(after["holds"][0]["reason"], "moving house")

    def started_nothing_twice(self, running, processes):
        now = running.node_processes()  # refuses two processes of one node
        self.assertEqual(processes, {node: now.get(node) for node in processes}, "a node was started again")
        self.assertEqual(set(now), {node["node_id"] for node in running.nodes()}, "the controller and /proc disagree")
        self.assertLessEqual(len(now), 5)
        self.assertEqual(set(case.starts(running).values()), {1}, "every node starts once")

    def decisions_go_on(self, running, last):
        decisions = measure.decisions_of(running)
        sequences = [int(decision["sequence"]) for decision in decisions]
        self.assertEqual(sequences, sorted(set(sequences)), "a sequence number was given twice")
        old = [decision for decision in decisions if decision["term"] == last["term"]]
        new = [decision for decision in decisions if decision["term"] != last["term"]]
        self.assertTrue(old and new, "both controllers decided")
        self.assertGreaterEqual(int(old[-1]["sequence"]), int(last["sequence"]), "a decision that was seen is lost")
        usual = [argument for reason in [new[0]["diagnosis"]["reason"], *new[0]["diagnosis"]["ruled_out"]]
                 for argument in reason["arguments"] if argument["name"] == "demand_ratio"]
        self.assertTrue(usual, "the usual demand is forgotten: windows began anew")
        self.assertEqual(case.actions(new, "drain", "terminate"), [])
        launched = [action["action_id"] for action in case.actions(decisions, "launch")]
        self.assertEqual(len(launched), len(set(launched)))
        self.assertEqual(len(launched), len(running.node_processes()) - case.cluster.NODES, "launched, and not there")


if __name__ == "__main__":
    case.main()
