#!/usr/bin/env python3
"""The conformance suite of all providers, which the fake API server passes, on a real one."""

import re

import control_plane
import peer_case
from kubelets import Kubelets

TOLD_MAX = 4000  # characters of a failed test


class ConformanceTest(peer_case.ClusterCase):
    BOUND_SECONDS = 1200  # two minutes on two cores that others use, too

    def test_the_provider_passes_on_a_real_api_server_what_it_passes_on_the_fake_one(self):
        kubelets = self.kubelets = Kubelets(self.kube, None).start()
        self.addCleanup(kubelets.stop)
        suite = self.processes.spawn("suite", [peer_case.HEADROOM / "conformance_peers_test"],
                                     HEADROOM_PEER_KUBECONFIG=self.plane.kubeconfig("admin", {"token": self.plane.admin_token}),
                                     HEADROOM_PEER_KUBECONFIG_OF_USER=self.plane.kubeconfig(control_plane.PLAIN_USER, {"token": self.plane.user_token}))
        try:
            ended = f"it ended with {suite.wait()}"
        except peer_case.TooLate as error:
            ended = str(error)
        told = self.processes.log(suite)
        if suite.poll() != 0:
            self.fail(f"{ended}\nthe stand-in's trouble: {kubelets.trouble[-5:]}\n{unmet(told)}")
        print("\n".join(re.findall(r"(?m)^\[ *(?:PASSED|SKIPPED) *\] \d+ tests?[.,]|^\[=+\] .* ran\. .*", told)))


def unmet(log):
    """The failed tests of googletest's log with what they said, one that never ended among them; else the log's end."""
    found = []
    for name, said in re.findall(r"(?ms)^\[ RUN      \] (\S+)\n(.*?)(?=^\[ RUN      \]|^\[-----|\Z)", log):
        if not re.search(r"(?m)^\[ *(?:OK|SKIPPED) *\]", said):
            found.append(f"{name}\n{said[:TOLD_MAX]}")
    return "\n".join(found) or log[-TOLD_MAX:]


if __name__ == "__main__":
    peer_case.main()
