#!/usr/bin/env python3
"""What the tests against real peers share can itself fail: its exit codes, what it keeps, and what it says. Needs no peer."""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

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


if __name__ == "__main__":
    unittest.main()
