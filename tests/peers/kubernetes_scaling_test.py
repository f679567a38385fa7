#!/usr/bin/env python3
"""headroomd scales real workloads through a surge, up and down, on a real API server with its real controllers."""

import threading
import unittest

import peer_case
from kube import KubeError

GROUP = "peers.headroom.dev"
CALM, SURGE = 30, 75  # connections; a node takes 20 and is to be filled to 70 %


class Operator(threading.Thread):
    """Of the custom resource: a Deployment with as many replicas, and a status that says so."""

    def __init__(self, kube, namespace):
        super().__init__(daemon=True)
        self.kube, self.ended = kube, threading.Event()
        self.gateway = f"/apis/{GROUP}/v1/namespaces/{namespace}/filegateways/files"
        self.deployment = f"/apis/apps/v1/namespaces/{namespace}/deployments/files"

    def run(self):
        while not self.ended.wait(0.1):
            try:
                wanted = self.kube.get(self.gateway)["spec"].get("instances", 0)
                deployment = self.kube.get(self.deployment)
                if deployment["spec"]["replicas"] != wanted:
                    self.kube.patch(f"{self.deployment}/scale", {"spec": {"replicas": wanted}})
                status = {"replicas": deployment.get("status", {}).get("replicas", 0), "selector": "app=files"}
                if self.kube.get(self.gateway).get("status") != status:
                    self.kube.patch(f"{self.gateway}/status", {"status": status})
            except (KubeError, OSError):
                continue

    def stop(self):
        self.ended.set()
        self.join(20)


class ScalingTest(peer_case.ClusterCase):
    def surge(self, reference, **edits):
        """3 -> n -> 3 nodes."""
        config = self.service_account()
        daemon = self.daemon = peer_case.Daemon(self.processes, "headroomd", self.policy(reference, config, **edits))
        self.start_kubelets(daemon.address)
        self.clients.wanted = CALM
        self.eventually("three serving nodes", lambda: len(daemon.serving()) == 3)
        self.clients.wanted = SURGE
        self.eventually("at least five serving nodes", lambda: len(daemon.serving()) >= 5, 60)
        self.assertEqual(self.programs.leavers, [], "a pod left in the surge")
        self.clients.wanted = CALM
        self.eventually("three nodes again", lambda: len(self.pods()) == 3 and len(daemon.serving()) == 3, 90)
        decisions = daemon.decisions()
        print(f"{reference}: 3 -> {3 + len(self.programs.leavers)} -> 3; left: {self.programs.leavers}")
        self.assert_drained()
        self.assert_explained(daemon, decisions)

    def assert_drained(self):
        self.assertTrue(self.programs.leavers)
        for leaver in self.programs.leavers:
            self.assertEqual(leaver["open"], 0, f"{leaver['pod']} left with connections: {leaver}")
            self.assertIn(leaver["state"], ("draining", "drained", "stopping"), f"{leaver['pod']} was not drained: {leaver}")

    def assert_explained(self, daemon, decisions):
        """Each launch, drain and removal has a decision that says what and why."""
        told = {}
        for decision in decisions:
            text = daemon.control("explain", decision["sequence"], output="table")
            for action in decision.get("actions", []):
                told.setdefault(action["kind"], []).append(text)
                if "nodeId" in action:
                    self.assertIn(action["nodeId"], text)
        for kind in ("launch", "drain", "terminate"):
            self.assertIn(kind, told, "no decision tells of it")
        gone = {action["nodeId"] for decision in decisions for action in decision.get("actions", []) if action["kind"] == "terminate"}
        self.assertEqual(gone, {leaver["pod"] for leaver in self.programs.leavers}, "what left is not what was decided on")

    def test_a_stateful_set(self):
        self.apply_roles()
        self.make("statefulsets", podManagementPolicy="Parallel")
        self.surge("statefulset/files")
        self.assertEqual(self.scale_of(), 3)
        self.assertEqual(sorted(pod["metadata"]["name"] for pod in self.pods()), ["files-0", "files-1", "files-2"])

    def test_a_stateful_set_whose_pods_start_in_order(self):
        """The controller removes an unready pod only if none before it is unready, so of a StatefulSet they are drained one
        by one where the policy says nothing else."""
        self.apply_roles()
        self.make("statefulsets")
        self.surge("statefulset/files", at_once=None)
        self.assertEqual(self.scale_of(), 3)

    def test_a_deployment(self):
        self.apply_roles()
        self.make("deployments")
        self.surge("deployment/files")
        self.assertEqual(self.scale_of("deployments"), 3)

    def test_a_custom_resource(self):
        self.apply_roles()
        self.make_custom()
        self.surge(f"filegateways.{GROUP}/files")
        self.assertEqual(self.scale_of("deployments"), 3)

    def make_custom(self):
        """What Rook does for its gateways."""
        schema = {"type": "object", "properties": {
            "spec": {"type": "object", "properties": {"instances": {"type": "integer"}}},
            "status": {"type": "object", "properties": {"replicas": {"type": "integer"}, "selector": {"type": "string"}}}}}
        scale = {"specReplicasPath": ".spec.instances", "statusReplicasPath": ".status.replicas", "labelSelectorPath": ".status.selector"}
        self.kube.create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", {
            "metadata": {"name": f"filegateways.{GROUP}"},
            "spec": {"group": GROUP, "scope": "Namespaced", "names": {"plural": "filegateways", "singular": "filegateway",
                                                                      "kind": "FileGateway", "listKind": "FileGatewayList"},
                     "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema},
                                   "subresources": {"status": {}, "scale": scale}}]}})
        place = f"/apis/{GROUP}/v1/namespaces/{self.namespace}/filegateways"
        self.eventually("the API server to know the kind", lambda: self.kube.find(place))
        self.kube.create(place, {"apiVersion": f"{GROUP}/v1", "kind": "FileGateway", "metadata": {"name": "files"},
                                 "spec": {"instances": 3}})
        self.make("deployments")
        operator = Operator(self.kube, self.namespace)
        operator.start()
        self.addCleanup(operator.stop)
        self.eventually("the operator", lambda: "status" in self.kube.get(f"{place}/files"))
        role = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{self.namespace}/roles/headroom"
        rules = self.kube.get(role)["rules"] + [
            {"apiGroups": [GROUP], "resources": ["filegateways"], "verbs": ["get", "patch"]},
            {"apiGroups": [GROUP], "resources": ["filegateways/scale"], "verbs": ["get", "update"]}]
        self.kube.patch(role, {"rules": rules})


if __name__ == "__main__":
    peer_case.main()
