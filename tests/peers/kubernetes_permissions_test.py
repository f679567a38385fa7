#!/usr/bin/env python3
"""The roles in deploy/ are enough for headroomd, and nothing more is in them: what it uses is what they grant, and without any one
of their verbs it says in one sentence which one is missing."""

import peer_case

# Of the first role; the second is of the election and events.
WORKLOADS = {"statefulsets": "statefulset/files", "deployments": "deployment/files"}


class PermissionsTest(peer_case.ClusterCase):
    def setUp(self):
        super().setUp()
        self.user = self.apply_roles()
        self.role = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{self.namespace}/roles/headroom"
        self.rules = self.kube.get(self.role)["rules"]
        self.config = self.service_account()

    def granted(self):
        return {(verb, resource) for rule in self.rules for resource in rule["resources"] for verb in rule["verbs"]}

    def run_daemon(self, name, kind, least=3):
        self.daemon = peer_case.Daemon(self.processes, name, self.policy(WORKLOADS[kind], self.config, least=least))
        return self.daemon

    def up_and_down(self, kind):
        self.make(kind)
        daemon = self.run_daemon(kind, kind)
        self.start_kubelets(daemon.address)
        self.eventually("three serving nodes", lambda: len(daemon.serving()) == 3)
        daemon.control("override", "--nodes", 4, "--reason", "one more")
        self.eventually("four serving nodes", lambda: len(daemon.serving()) == 4)
        daemon.control("override", "--off")
        self.eventually("three pods", lambda: len(self.pods()) == 3, 60)
        daemon.end()
        self.kubelets.stop()
        self.clients.stop()

    def test_what_is_used_is_what_is_granted(self):
        for kind in WORKLOADS:
            self.up_and_down(kind)
            self.kube.delete(f"/apis/apps/v1/namespaces/{self.namespace}/{kind}/files")
            for pod in self.pods():
                self.kube.delete(f"/api/v1/namespaces/{self.namespace}/pods/{pod['metadata']['name']}", grace=0)
        asked = self.plane.audited(self.user)
        refused = {(verb, resource) for verb, resource, code in asked if code == 403}
        self.assertEqual(refused, {("get", "nodes")}, "zones are a role of their own, and nothing else may be missing")
        self.assertEqual({(verb, resource) for verb, resource, code in asked if code != 403}, self.granted())

    def test_what_the_election_uses_is_granted(self):
        """A leader that keeps its state, and one that stands by."""
        self.make("statefulsets")
        role = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{self.namespace}/roles/headroom-election"
        granted = {(verb, resource) for rule in self.kube.get(role)["rules"] for resource in rule["resources"] for verb in rule["verbs"]}
        flags = ["--election", "kubernetes", "--election-kubeconfig", self.config, "--election-namespace", self.namespace,
                 "--election-name", "headroom", "--lease-seconds", 5]
        first, second = [peer_case.Daemon(self.processes, f"headroomd-{number}", self.policy("statefulset/files", self.config), *flags)
                         for number in range(2)]
        def used():
            return {(verb, resource) for verb, resource, code in self.plane.audited(self.user)
                    if resource in ("leases", "configmaps", "events") and code != 403}
        self.eventually(f"all of {sorted(granted)} to be used", lambda: used() >= granted, 60)
        self.assertEqual(used(), granted)
        for daemon in (first, second):
            self.assertNotIn("forbidden", daemon.log())

    def without(self, verb, resource):
        """The role without this one."""
        left = []
        for rule in self.rules:
            for one in rule["resources"]:
                verbs = [other for other in rule["verbs"] if (other, one) != (verb, resource)]
                if verbs:
                    left.append({**rule, "resources": [one], "verbs": verbs})
        self.kube.patch(self.role, {"rules": left})

    def restore(self):
        self.kube.patch(self.role, {"rules": self.rules})

    def assert_said(self, daemon, verb, resource, seconds=40):
        """In the log: as the reason why it does not start, or as an alarm."""
        plain, _, subresource = resource.partition("/")
        def said():
            lines = [line for line in daemon.log().splitlines() if f'cannot {verb} resource' in line.replace("\\", "")]
            return lines and lines[0]
        line = self.eventually(f"a sentence on {verb} {resource}", said, seconds).replace("\\", "")
        self.assertIn(f'cannot {verb} resource "{plain}{"/" if subresource else ""}{subresource}"', line)
        self.assertIn(f'"{self.namespace}"', line)
        self.assertIn("role.yaml", line, "it says what to do")

    def test_without_one_verb_it_says_which(self):
        """What is needed to begin and to grow; nobody plays the nodes."""
        self.make("statefulsets")
        self.start_kubelets()
        self.eventually("three pods", lambda: len(self.pods()) == 3)
        begins = [("get", "statefulsets"), ("get", "statefulsets/scale"), ("list", "pods"), ("watch", "pods")]
        grows = [("patch", "statefulsets"), ("update", "statefulsets/scale"), ("list", "horizontalpodautoscalers")]
        for least, verb, resource in [(3, *one) for one in begins] + [(4, *one) for one in grows]:
            with self.subTest(verb=verb, resource=resource):
                self.without(verb, resource)
                daemon = self.run_daemon(f"without-{verb}-{resource.replace('/', '-')}", "statefulsets", least=least)
                self.assert_said(daemon, verb, resource)
                daemon.end()
                self.assertEqual(self.scale_of(), 3)
                self.restore()

    def test_without_what_a_removal_needs_it_says_so(self):
        self.make("deployments")
        daemon = self.run_daemon("headroomd", "deployments", least=1)
        self.start_kubelets(daemon.address)
        self.eventually("three serving nodes", lambda: len(daemon.serving()) == 3)
        self.without("list", "poddisruptionbudgets")
        daemon.control("override", "--nodes", 2, "--reason", "one fewer")
        self.assert_said(daemon, "list", "poddisruptionbudgets")
        self.without("patch", "pods")
        self.assert_said(daemon, "patch", "pods")
        self.assertEqual(self.scale_of("deployments"), 3)
        self.restore()
        self.eventually("two pods", lambda: len(self.pods()) == 2, 60)


if __name__ == "__main__":
    peer_case.main()
