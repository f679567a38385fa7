#!/usr/bin/env python3
"""What the demo says of its own figures."""

import http.client
import pathlib
import socket
import sys
import unittest
import unittest.mock
import urllib.error

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "deploy/demo"))
import cluster  # noqa: E402
import measure  # noqa: E402


def decision(at, cause):
    return at, {"diagnosis": {"cause": cause, "reason": {"text": cause}, "ruled_out": []}}


def sample(**limits):
    return {"at": 99.0, "nodes": {node: {"at": at, "limit": limit, "rejected": 0} for node, (at, limit) in limits.items()}}


class FakeDemo:
    """Two nodes; what the second one's admin port does is up to the test."""

    def __init__(self):
        self.second = None
        self.listed = [{"node_id": "a", "address": "127.0.0.1:100"}, {"node_id": "b", "address": "127.0.0.1:200"}]

    def nodes(self):
        return self.listed

    def node_status(self, port):
        if port == 1200 and self.second is not None:
            raise self.second
        return {"open": port, "active": 1, "waiting": 0, "connection_limit": 200, "rejected": 0}


class WatchTest(unittest.TestCase):
    def setUp(self):
        self.demo = FakeDemo()
        self.watch = measure.Watch(self.demo)
        self.watch.list_nodes()
        self.before = self.watch.ask_nodes({})

    def test_a_node_that_is_only_slow_is_as_it_was(self):
        for slow in (TimeoutError(), urllib.error.URLError(TimeoutError()), http.client.BadStatusLine("")):
            self.demo.second = slow
            self.assertEqual(self.watch.ask_nodes(self.before)["b"], self.before["b"])

    def test_a_node_that_is_gone_is_gone(self):
        self.demo.second = urllib.error.URLError(ConnectionRefusedError())
        self.assertEqual(set(self.watch.ask_nodes(self.before)), {"a"})

    def test_a_controller_that_does_not_answer_takes_no_node_away(self):
        self.demo.listed = []
        self.watch.list_nodes()
        self.assertEqual(set(self.watch.ask_nodes({})), {"a", "b"})


class DiagnosisTest(unittest.TestCase):
    def test_what_was_named_in_the_base_phase_is_no_diagnosis_of_the_surge(self):
        found = measure.diagnosis([decision(5, measure.SURGE_CAUSE), decision(12, measure.SURGE_CAUSE)], surge=10)
        self.assertEqual(found["at_s"], 2)
        self.assertEqual(found["wrong_before"], [measure.SURGE_CAUSE])

    def test_a_wrong_cause_before_the_right_one_is_said(self):
        found = measure.diagnosis([decision(11, "network"), decision(12, measure.SURGE_CAUSE), decision(13, "cpu_bound")], surge=10)
        self.assertEqual((found["wrong_before"], found["other_causes_named"]), (["network"], ["cpu_bound", "network"]))


class LimitsTest(unittest.TestCase):
    def test_a_change_has_the_time_at_which_its_node_answered(self):
        samples = [sample(a=(1.0, 200), b=(1.1, 200)), sample(a=(2.0, 200), b=(2.7, 100)), sample(a=(3.0, 400), b=(3.1, 100))]
        self.assertEqual(measure.limit_changes(samples), [(2.7, "b", 200, 100), (3.0, "a", 200, 400)])


class ProcessorTest(unittest.TestCase):
    def verdict(self, form, ours, machine):
        return measure.cpu_check(form, {"cpu_in_surge": ours, "machine_cpu_in_surge": machine})["verdict"]

    def test_a_machine_that_is_busy_with_other_work_proves_nothing(self):
        self.assertEqual(self.verdict("short", 0.2, 1.0), measure.NOT_PROVEN)
        self.assertEqual(self.verdict("full", 0.2, 1.0), measure.MISSED)

    def test_a_demo_that_needs_the_machine_itself_is_missed(self):
        self.assertEqual(self.verdict("short", 0.7, 1.0), measure.MISSED)
        self.assertEqual(self.verdict("full", 0.2, 0.5), measure.OK)


class PortTest(unittest.TestCase):
    def test_a_port_that_another_program_has_is_named(self):
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen(1)
            port = other.getsockname()[1]
            with unittest.mock.patch.object(cluster, "FRONT_PORT", port), self.assertRaisesRegex(cluster.DemoError, f"port {port} is in use"):
                cluster.check_ports_free(patience=0)


class FirstLimitsTest(unittest.TestCase):
    def test_they_are_of_the_first_sample_that_has_all_nodes(self):
        whole = sample(a=(1.0, 200), b=(1.0, 200), c=(1.0, 200))
        self.assertEqual(measure.limits_begin([{"at": 98.0, "nodes": {}}, whole, sample(a=(2.0, 400))]), {"a": 200, "b": 200, "c": 200})


class DeviceTest(unittest.TestCase):
    def test_what_is_printed_is_what_the_nodes_are_told(self):
        self.assertEqual(cluster.declared_device(), {"device_latency": "20ms", "device_parallel": 0, "boot_delay": "3s"})


if __name__ == "__main__":
    unittest.main()
