#!/usr/bin/env python3
"""What deploy/ holds is taken by a real API server: the one file, the chart, the examples; and its rules for a StorageCluster are those
that the CRD says."""

import os
import shutil
import subprocess
import unittest

import peer_case
from control_plane import PROGRAMS
from kube import KubeError

try:
    import yaml
except ImportError:
    yaml = None

DEPLOY = peer_case.ROOT / "deploy"
CLUSTERS = "/apis/headroom.dev/v1alpha1/namespaces/{}/storageclusters"
GROUPS = {"v1": "/api/v1", "headroom.dev/v1alpha1": "/apis/headroom.dev/v1alpha1"}
PLURALS = {"NetworkPolicy": "networkpolicies"}
WITHOUT_NAMESPACE = {"Namespace", "CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding"}
CRD = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
# What a spec gets wrong, and what is said of it.
REFUSED = [
    ("nodes: {min: 3, max: 2}\nprovider: {simulated: {}}", "min exceeds max"),
    ("nodes: {max: 2}\nprovider: {}", "needs exactly one of local, simulated, kubernetes"),
    ("nodes: {max: 2}\nprovider: {simulated: {}, local: {data_dir: /srv}}", "needs exactly one of local, simulated, kubernetes"),
    ("nodes: {max: 2, mim: 1}\nprovider: {simulated: {}}", 'unknown field "spec.nodes.mim"'),
    ("provider: {simulated: {}}", "spec.nodes: Required value"),
    ("nodes: {max: 2, lead_time: soon}\nprovider: {simulated: {}}", "spec.nodes.lead_time"),
    ("nodes: {max: 2}\nprovider: {simulated: {}}\nmode: now", 'Unsupported value: "now"'),
    ("nodes: {max: 2}\nprovider: {simulated: {}}\nsignals: {stored: {target: 0.7}}", "signals.stored needs nodes.data: bearing"),
    ("nodes: {max: 2}\nprovider: {simulated: {}}\ncalendar: [{name: a, start: '01:00', end: '02:00'}]",
     "needs exactly one of multiply, connections and nodes"),
    ("nodes: {max: 2}\nprovider: {simulated: {}}\nlimits: {floor: 9, ceiling: 8}", "floor exceeds ceiling"),
]


def objects(path):
    return [item for item in yaml.safe_load_all(path.read_text()) if item]


@unittest.skipIf(yaml is None, "NOT TESTED: python3-yaml is missing, so nothing of deploy/ was applied")
class InstallTest(peer_case.ClusterCase):
    def path(self, item):
        group = GROUPS.get(item["apiVersion"], f"/apis/{item['apiVersion']}")
        plural = PLURALS.get(item["kind"], item["kind"].lower() + "s")
        place = "" if item["kind"] in WITHOUT_NAMESPACE else f"/namespaces/{item['metadata'].get('namespace', self.namespace)}"
        return f"{group}{place}/{plural}"

    def apply(self, items):
        """As kubectl does: what the API server does not know is an error."""
        for item in items:
            self.kube.create(self.path(item) + "?fieldValidation=Strict", item)

    def know_storage_clusters(self):
        crd, = objects(DEPLOY / "kustomize/crd/storageclusters.yaml")
        if self.kube.find(f"{CRD}/{crd['metadata']['name']}") is None:
            self.apply([crd])
        self.eventually("StorageClusters to be served", lambda: self.kube.find(CLUSTERS.format(self.namespace)) is not None)

    def assert_pods_are_admitted(self, items):
        """Under the pod security standard `restricted`, enforced."""
        self.kube.patch(f"/api/v1/namespaces/{self.namespace}", {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}})
        pods = f"/api/v1/namespaces/{self.namespace}/pods?dryRun=All"
        with self.assertRaisesRegex(KubeError, "restricted"):
            self.kube.create(pods, {"metadata": {"name": "careless"}, "spec": {"containers": [{"name": "a", "image": "a"}]}})
        for item in items:
            if item["kind"] == "StatefulSet":
                self.kube.create(pods, {"metadata": {"name": item["metadata"]["name"]}, "spec": item["spec"]["template"]["spec"]})

    def test_the_one_file_is_taken(self):
        items = objects(DEPLOY / "install.yaml")
        if self.kube.find(f"{CRD}/storageclusters.headroom.dev") is not None:
            items = [item for item in items if item["kind"] != "CustomResourceDefinition"]
        self.apply(items)
        self.assert_pods_are_admitted(items)

    def test_the_example_of_a_file_service_is_taken(self):
        items = objects(DEPLOY / "examples/kubernetes/files.yaml")
        self.apply(items)
        self.assert_pods_are_admitted(items)

    def test_a_policy_is_taken_unchanged_and_a_wrong_one_is_refused_with_a_reason(self):
        self.know_storage_clusters()
        for path in (DEPLOY / "examples/kubernetes").glob("*.yaml"):
            for item in objects(path):
                if item["kind"] == "StorageCluster":
                    del item["metadata"]["namespace"]
                    self.apply([item])
        self.assertEqual(len(self.kube.get(CLUSTERS.format(self.namespace))["items"]), 2)
        for spec, reason in REFUSED:
            with self.subTest(reason=reason), self.assertRaises(KubeError) as refused:
                self.apply([{"apiVersion": "headroom.dev/v1alpha1", "kind": "StorageCluster", "metadata": {"name": "wrong"},
                             "spec": yaml.safe_load(spec)}])
            self.assertIn(reason, str(refused.exception))

    def test_the_chart_comes_changes_and_goes_and_leaves_the_crd(self):
        helm = PROGRAMS / "helm"
        if not helm.exists():
            self.skipTest("NOT TESTED: build/peers/helm is missing (`make test-chart` builds it where Go 1.22 or newer is), so no chart was installed")
        chart = self.work / "chart"
        shutil.copytree(DEPLOY / "helm/headroom", chart)
        # An API server built as a Go module knows of no version of its own.
        about = chart / "Chart.yaml"
        about.write_text("".join(line for line in about.read_text().splitlines(True) if not line.startswith("kubeVersion")))
        if self.kube.find(f"{CRD}/storageclusters.headroom.dev") is not None:
            self.kube.delete(f"{CRD}/storageclusters.headroom.dev")
            self.eventually("the CRD to go", lambda: self.kube.find(f"{CRD}/storageclusters.headroom.dev") is None)
        config = self.plane.kubeconfig("helm", {"token": self.plane.admin_token})

        def run(*words):
            done = subprocess.run([str(word) for word in (helm, *words, "--namespace", self.namespace)], capture_output=True, text=True, timeout=90,
                                  env={**os.environ, "KUBECONFIG": str(config), "HOME": str(self.work)})
            self.assertEqual(done.returncode, 0, done.stderr)
            return done.stdout

        scale = f"/apis/apps/v1/namespaces/{self.namespace}/statefulsets/headroom"
        self.assertIn("It is in dry run", run("install", "headroom", chart))
        self.assertEqual(self.kube.get(scale)["spec"]["replicas"], 2)
        run("upgrade", "headroom", chart, "--set", "replicas=3,policy.mode=live")
        self.assertEqual(self.kube.get(scale)["spec"]["replicas"], 3)
        run("uninstall", "headroom")
        self.assertIsNone(self.kube.find(scale))
        self.assertIsNotNone(self.kube.find(f"{CRD}/storageclusters.headroom.dev"))


if __name__ == "__main__":
    peer_case.main()
