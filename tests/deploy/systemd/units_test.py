#!/usr/bin/env python3
"""The systemd units are understood by systemd, and their sandbox is as tight as docs/operations.md says."""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

UNITS = pathlib.Path(__file__).resolve().parents[3] / "deploy/systemd"
EXPOSURE_MAX = 2.0  # of systemd's ten; above five it frowns


def run(*arguments):
    return subprocess.run(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)


class UnitsTest(unittest.TestCase):
    def setUp(self):
        self.units = sorted(UNITS.glob("*.service"))
        self.assertEqual([unit.stem for unit in self.units], ["headroom-agent", "headroom-node", "headroomd"])

    def test_systemd_finds_no_fault(self):
        with tempfile.TemporaryDirectory() as folder:
            for unit in self.units:
                # A machine that builds has not installed: any program that is there stands for ours.
                text = re.sub(r"/usr/bin/headroom\S+", "/bin/true", unit.read_text())
                copy = pathlib.Path(folder) / unit.name
                copy.write_text(text)
                found = run("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(copy))
                # Machines have units of their own that it grumbles about.
                told = [line for line in found.stdout.splitlines() if unit.stem in line]
                self.assertEqual((found.returncode, told), (0, []), found.stdout)

    def test_systemd_would_find_a_fault(self):
        with tempfile.TemporaryDirectory() as folder:
            copy = pathlib.Path(folder) / "headroomd.service"
            copy.write_text((UNITS / "headroomd.service").read_text().replace("ProtectSystem", "ProtectSystme"))
            found = run("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(copy))
            self.assertIn("ProtectSystme", found.stdout)

    def test_the_sandbox_is_tight(self):
        for unit in self.units:
            found = run("systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE_MAX * 10:.0f}", str(unit))
            told = re.search(r"Overall exposure level for \S+: ([0-9.]+)", found.stdout)
            self.assertIsNotNone(told, found.stdout)
            self.assertLessEqual(float(told.group(1)), EXPOSURE_MAX, unit.name)
            self.assertEqual(found.returncode, 0, unit.name)

    def test_only_the_controller_promises_to_tell_systemd_of_itself(self):
        types = {unit.stem: re.search(r"^Type=(.*)$", unit.read_text(), re.M).group(1) for unit in self.units}
        self.assertEqual(types, {"headroomd": "notify", "headroom-node": "exec", "headroom-agent": "exec"})
        self.assertIn("\nWatchdogSec=", (UNITS / "headroomd.service").read_text())

    def test_a_restarted_controller_sees_the_nodes_that_it_left(self):
        """In a user namespace of its own it may not look into those of its earlier life, and ProtectProc= hides them."""
        settings = (UNITS / "headroomd.service").read_text().splitlines()
        self.assertIn("KillMode=process", settings)
        self.assertNotIn("PrivateUsers=yes", settings)


if __name__ == "__main__":
    if shutil.which("systemd-analyze") is None:
        print("NOT TESTED: systemd-analyze is missing (Debian's package systemd), so the units were not looked at")
        sys.exit(77)
    unittest.main()
