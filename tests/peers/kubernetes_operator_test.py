#!/usr/bin/env python3
"""headroomd --operator on a real API server: StorageClusters are its policies, their status and Events tell what it does."""

import urllib.request

import peer_case

try:
    import yaml
except ImportError:
    yaml = None

CLUSTERS = "/apis/headroom.dev/v1alpha1/namespaces/{}/storageclusters"
CRD = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
CALM, SURGE = 30, 75  # connections; a node takes 20 and is to be filled to 70 %
SPEC = {"mode": "live",
        "nodes": {"min": 3, "max": 8, "lead_time": "2s", "stabilization": "1s", "cooldown": "2s", "remove_count_max": 2,
                  "drain_timeout": "20s"},
        "limits": {"enabled": False},
        "signals": {"connections": {"target": 0.7}, "forecast": {"enabled": False}},
        "anomaly": {"enabled": False},
        "control": {"tick": "500ms", "report_interval": "500ms", "list_interval": "1s", "baseline_window": "10s"},
        "provider": {"kubernetes": {"workload": "statefulset/files"}}}


def objects(path):
    return [item for item in yaml.safe_load_all(path.read_text()) if item]


class OperatorDaemon(peer_case.Daemon):
    """It has no policy of its own."""

    def __init__(self, processes, kubeconfig, namespace):
        super().__init__(processes, "headroomd", "", kubeconfig=kubeconfig, namespace=namespace)

    def start(self):
        at = self.command.index("--config")
        self.command[at:at + 2] = ["--operator", "--kubeconfig", self.environment.pop("kubeconfig"),
                                   "--namespaces", self.environment.pop("namespace")]
        super().start()


class OperatorTest(peer_case.ClusterCase):
    def setUp(self):
        super().setUp()
        if yaml is None:
            self.skipTest("NOT TESTED: python3-yaml is missing, so StorageClusters were not tried")
        crd, = objects(peer_case.ROOT / "deploy/kustomize/crd/storageclusters.yaml")
        if self.kube.find(f"{CRD}/{crd['metadata']['name']}") is None:
            self.kube.create(f"{CRD}", crd)
        self.place = CLUSTERS.format(self.namespace)
        self.eventually("StorageClusters to be served", lambda: self.kube.find(self.place) is not None)
        self.apply_operator_roles()

    def apply_operator_roles(self):
        self.apply_roles()
        for item in objects(peer_case.ROOT / "deploy/kustomize/operator/role.yaml"):
            plural = item["kind"].lower() + "s"
            self.kube.create(f"/apis/rbac.authorization.k8s.io/v1/namespaces/{self.namespace}/{plural}", item)

    def operate(self):
        self.daemon = OperatorDaemon(self.processes, self.service_account(), self.namespace)
        return self.daemon

    def create(self, name, **spec):
        return self.kube.create(f"{self.place}?fieldValidation=Strict",
                                {"apiVersion": "headroom.dev/v1alpha1", "kind": "StorageCluster", "metadata": {"name": name}, "spec": {**SPEC, **spec}})

    def status(self, name="files"):
        return self.kube.get(f"{self.place}/{name}").get("status", {})

    def condition(self, kind, name="files"):
        found = [one for one in self.status(name).get("conditions", []) if one["type"] == kind]
        return found[0] if found else {"status": "", "reason": "", "message": ""}

    def await_condition(self, kind, status, name="files", seconds=40):
        self.eventually(f"{kind} {status}", lambda: self.condition(kind, name)["status"] == status, seconds)
        return self.condition(kind, name)

    def events(self):
        return self.kube.get(f"/apis/events.k8s.io/v1/namespaces/{self.namespace}/events")["items"]

    def table(self):
        """What `kubectl get storageclusters` prints."""
        table = self.kube.call("GET", self.place, accept="application/json;as=Table;v=v1;g=meta.k8s.io")
        names = [column["name"] for column in table["columnDefinitions"]]
        return [dict(zip(names, row["cells"])) for row in table["rows"]]

    def test_a_surge_is_told_by_status_and_events(self):
        self.make("statefulsets", podManagementPolicy="Parallel")
        daemon = self.operate()
        self.create("files")
        self.start_kubelets(daemon.address)
        self.clients.wanted = CALM
        self.eventually("three serving nodes", lambda: len(daemon.serving()) == 3)
        self.await_condition("Ready", "True")
        self.await_condition("TelemetryFresh", "True")
        self.await_condition("ProviderReachable", "True")
        self.assertEqual(self.condition("DryRun")["status"], "False")
        self.clients.wanted = SURGE
        self.eventually("at least five serving nodes", lambda: len(daemon.serving()) >= 5, 60)
        self.eventually("a status that says so", lambda: self.status().get("nodes", {}).get("current", 0) >= 5, 30)
        row, = self.table()
        print("kubectl get storageclusters:", row)
        self.assertEqual((row["Name"], row["Min"], row["Max"]), ("files", 3, 8))
        self.clients.wanted = CALM
        self.eventually("three nodes again", lambda: len(self.pods()) == 3 and len(daemon.serving()) == 3, 90)
        for leaver in self.programs.leavers:
            self.assertEqual(leaver["open"], 0, f"{leaver['pod']} left with connections: {leaver}")
        told = {}
        for event in self.events():
            if event["regarding"]["kind"] == "StorageCluster":
                told.setdefault(event["reason"], []).append(event["note"])
        print("events:", *(f"{reason}: {notes[0]}" for reason, notes in told.items()), sep="\n  ")
        decided = {action["reason"]["code"] for decision in daemon.decisions() for action in decision.get("actions", [])
                   if action["kind"] in ("launch", "drain", "terminate")}
        wanted = {"".join(word.capitalize() for word in code.split("_")) for code in decided}
        self.assertTrue(wanted & set(told), f"no Event tells of {wanted}")
        self.eventually("nodes that have left to be told", lambda: self.condition("Draining")["status"] == "False", 30)

    def test_objects_come_change_are_refused_and_go(self):
        daemon = self.operate()
        self.create("early")
        told = self.await_condition("Ready", "False", "early")
        self.assertRegex(told["message"], "statefulsets?.*files|files.*not")
        self.make("statefulsets", podManagementPolicy="Parallel")
        self.start_kubelets(daemon.address)
        self.await_condition("ProviderReachable", "True", "early")
        self.create("second", provider={"simulated": {}}, mode="dry_run")
        self.await_condition("DryRun", "True", "second")
        self.assertEqual(self.status("second")["observedGeneration"], 1)
        self.kube.patch(f"{self.place}/second", {"spec": {"nodes": {"max": 9}}})
        self.eventually("the new policy to be observed", lambda: self.status("second")["observedGeneration"] == 2)
        self.assertEqual(daemon.control("--cluster", "second", "status")["nodesMax"], 9)
        self.kube.patch(f"{self.place}/second", {"spec": {"provider": {"simulated": None, "kubernetes": {
            "workload": "statefulset/files", "namespace": "elsewhere"}}}})
        self.eventually("a refusal", lambda: self.condition("Ready", "second")["reason"] == "PolicyRefused")
        self.assertIn("elsewhere is not the object's own", self.condition("Ready", "second")["message"])
        self.assertEqual(self.condition("DryRun", "second")["status"], "True", "the old policy is no longer in force")
        self.kube.delete(f"{self.place}/second")
        self.eventually("its cluster to stop", lambda: 'cluster="second"' not in self.metrics())
        self.assertIn('cluster="early"', self.metrics())
        self.assertEqual(self.scale_of(), 3)

    def metrics(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.daemon.http_port}/metrics", timeout=5) as answer:
            return answer.read().decode()

    def test_its_rights_are_enough_and_no_right_is_idle(self):
        """Of what deploy/kustomize/operator adds to the roles of a controller of one cluster."""
        self.make("statefulsets", podManagementPolicy="Parallel")
        self.operate()
        self.create("files")
        self.await_condition("ProviderReachable", "True")
        self.eventually("an Event", self.events)
        user = f"system:serviceaccount:{self.namespace}:headroom"
        asked = self.plane.audited(user)
        self.assertEqual([call for call in asked if call[2] == 403], [])
        used = {(verb, resource) for verb, resource, _ in asked}
        for item in objects(peer_case.ROOT / "deploy/kustomize/operator/role.yaml"):
            for rule in item.get("rules", []):
                for resource in rule["resources"]:
                    for verb in rule["verbs"]:
                        if (verb, resource) not in used and (verb, resource) != ("patch", "events"):  # a series, after minutes
                            self.fail(f"nothing uses {verb} {resource}")


if __name__ == "__main__":
    peer_case.main()
