#!/usr/bin/env python3
"""What the tests against real peers share can itself fail: its exit codes, what it keeps, and what it says. Needs no peer."""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

import control_plane
import peer_case
from processes import PeerError

HEAD = "import unittest, peer_case\nclass Some(peer_case.PeerCase):\n"
TAIL = "\npeer_case.main()\n"
PASSES = "    def test_a(self): pass\n"
FAILS = "    def test_b(self): self.fail('NOT TESTED: said by one that fails')\n"
SKIPPED = "    def test_c(self): self.skipTest('NOT TESTED: no such thing here')\n"
SUBTEST_FAILS = "    def test_d(self):\n        with self.subTest(): self.fail()\n"


class MainTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def run_with(self, *tests):
        return subprocess.run([sys.executable, "-c", HEAD + "".join(tests) + TAIL], cwd=pathlib.Path(__file__).parent, text=True,
                              env={**os.environ, "TMPDIR": self.folder.name}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)

    def test_a_failure_is_one_whatever_else_is_said(self):
        self.assertEqual(self.run_with(PASSES, FAILS, SKIPPED).returncode, 1)
        self.assertEqual(self.run_with(SUBTEST_FAILS).returncode, 1)
        self.assertEqual(self.run_with("    pass\n").returncode, 1, "nothing was tested")

    def test_only_what_was_skipped_altogether_is_skipped(self):
        self.assertEqual(self.run_with(SKIPPED).returncode, 77)
        some = self.run_with(PASSES, SKIPPED)
        self.assertEqual(some.returncode, 0)
        self.assertIn("\nNOT TESTED: no such thing here\n", some.stdout)

    def test_a_class_that_cannot_begin_is_skipped(self):
        self.assertEqual(self.run_with("    @classmethod\n    def setUpClass(cls): raise unittest.SkipTest('NOT TESTED: no peer')\n", PASSES).returncode, 77)

    def test_the_logs_of_a_failure_are_kept(self):
        for failing in (FAILS, SUBTEST_FAILS):
            told = self.run_with(failing).stdout
            kept = pathlib.Path(told.partition("are kept in ")[2].partition("\n")[0])
            self.assertTrue(kept.is_absolute() and kept.is_dir(), told)
        self.assertNotIn("are kept in", self.run_with(PASSES).stdout)


class ClusterCaseTest(unittest.TestCase):
    def test_the_logs_of_a_control_plane_that_does_not_start_are_kept(self):
        class Cluster(peer_case.ClusterCase):
            def runTest(self):
                pass

        result = unittest.TestResult()
        with tempfile.TemporaryDirectory() as folder, mock.patch.object(tempfile, "tempdir", folder), \
                mock.patch.object(control_plane, "missing", return_value=""), mock.patch("builtins.print"), \
                mock.patch.object(control_plane.ControlPlane, "start", side_effect=PeerError("no")), \
                mock.patch.object(control_plane.ControlPlane, "stop") as stop:
            unittest.TestSuite([Cluster()]).run(result)
            self.assertEqual(len(result.errors), 1)
            self.assertTrue(Cluster.home.is_dir())
            stop.assert_called_once()

    def test_a_situation_is_told_where_the_daemon_is_not(self):
        case = peer_case.ClusterCase()
        case.kubelets, case.daemon = None, mock.Mock()
        case.daemon.told = lambda word: peer_case.Daemon.told(case.daemon, word)
        case.daemon.control.side_effect = PeerError("headroomctl explain: no controller")
        with mock.patch.object(case, "pods", return_value=[]):
            self.assertIn("no controller", case.situation())


if __name__ == "__main__":
    unittest.main()
