#!/usr/bin/env python3
"""A rolling restart of all nodes under load: no growth, no alarm of a lost node, no failed request."""

import os
import signal
import time

import cluster_case as case
import measure

SECONDS = {"base": 26, "surge": 1, "after": 1}
STEADY = {"clients: 750": "clients: 250", "rate: 1350": "rate: 450"}  # the surge is as calm as the rest
# The nodes stop so: not ready, a pause in which HAProxy notices, then the drain.
POLICY = {"--boot-delay, 3s": "--boot-delay, 1s, --stop-delay, 2s, --drain-timeout, 5s"}


class RollingRestartTest(case.ClusterCase):
    def test_nobody_notices(self):
        running = self.start("live", edits=POLICY)
        load = running.start_load(5, case.cluster.edited(case.cluster.campaign(SECONDS), STEADY))
        time.sleep(2)
        before = running.node_processes()
        for node in sorted(before):
            self.restart(running, node)
        self.assertIsNone(load.poll(), "the load ended before the last restart")
        after = running.node_processes()
        seen = self.finish(running, load, sum(SECONDS.values()))

        self.assertEqual(set(after), set(before))
        self.assertFalse(set(after.values()) & set(before.values()), "a process was not restarted")
        self.assertEqual(set(case.starts(running).values()), {2}, "every node started once and once more")
        decisions = measure.decisions_of(running)
        self.assertEqual(case.actions(decisions, "launch", "drain", "terminate"), [])
        self.assertNotIn("alarm_node_lost", case.alarm_codes(decisions))
        self.assertGreater(seen["requests"], 5000)
        self.assert_clients(seen, seen["failed"] == 0, f"{seen['failed']} of {seen['requests']} failed: {seen['failures']}")

    def restart(self, running, node):
        pid = running.node_processes()[node]
        os.kill(pid, signal.SIGTERM)
        self.eventually(f"{node} to be another process", lambda: running.node_processes().get(node, pid) != pid)
        self.eventually(f"{node} to serve again", lambda: self.serves(running, node))

    def serves(self, running, node):
        """For the controller, and for HAProxy."""
        shown = next((item for item in running.nodes() if item["node_id"] == node), None)
        if shown is None or shown["state"] != "serving":
            return False
        return running.servers()[node]["status"] == "UP"


if __name__ == "__main__":
    case.main()
