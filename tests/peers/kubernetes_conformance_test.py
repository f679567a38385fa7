#!/usr/bin/env python3
"""The conformance suite of all providers, which the fake API server passes, on a real one."""

import re

import control_plane
import peer_case
from kubelets import Kubelets


class ConformanceTest(peer_case.ClusterCase):
    BOUND_SECONDS = 400

    def test_the_provider_passes_on_a_real_api_server_what_it_passes_on_the_fake_one(self):
        kubelets = Kubelets(self.kube, None).start()
        self.addCleanup(kubelets.stop)
        suite = self.processes.spawn("suite", [peer_case.HEADROOM / "conformance_peers_test", "--gtest_brief=1"],
                                     HEADROOM_PEER_KUBECONFIG=self.plane.kubeconfig("admin", {"token": self.plane.admin_token}),
                                     HEADROOM_PEER_KUBECONFIG_OF_USER=self.plane.kubeconfig(control_plane.PLAIN_USER, {"token": self.plane.user_token}))
        suite.wait()
        told = self.processes.log(suite)
        self.assertEqual(suite.returncode, 0, told)
        print("\n".join(re.findall(r"(?m)^\[ *(?:PASSED|SKIPPED) *\] \d+ tests?\.|^\[=+\] .*", told)))


if __name__ == "__main__":
    peer_case.main()
