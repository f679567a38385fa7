#!/usr/bin/env python3
"""What goes wrong with a real API server: a watch that is too old, a token that is replaced and revoked, other autoscalers, people."""

import os
import signal
import subprocess

import peer_case
import relay
from kube import Kube, KubeError
from kubelets import UNREADY, condition
from processes import free_ports

POD = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]


class FaultsTest(peer_case.ClusterCase):
    def setUp(self):
        super().setUp()
        self.user = self.apply_roles()
        self.make("statefulsets", podManagementPolicy="Parallel")

    def begin(self, config, least=3):
        self.daemon = peer_case.Daemon(self.processes, "headroomd", self.policy("statefulset/files", config, least=least))
        self.start_kubelets(self.daemon.address)
        self.eventually("three serving nodes", lambda: len(self.daemon.serving()) == 3)
        return self.daemon

    def writes(self):
        return [asked for asked in self.plane.audited(self.user) if asked[0] in ("create", "update", "patch", "delete")]

    def say(self, text, seconds=30):
        """The first line of headroomd's log with these words."""
        return self.eventually(f"headroomd to say: {text}",
                               lambda: next((line for line in self.daemon.log().splitlines() if text in line), None), seconds)

    def test_a_token_is_replaced_and_the_old_one_revoked(self):
        secrets = f"/api/v1/namespaces/{self.namespace}/secrets"
        for name in ("old", "new"):
            self.kube.create(secrets, {"metadata": {"name": name}})
        config = self.service_account()
        old = self.token("old")
        self.token_file.write_text(old)
        daemon = self.begin(config)
        self.token_file.write_text(self.token("new"))
        self.kube.delete(f"{secrets}/old")
        stale = Kube(self.plane.port, self.plane.authority, old)
        path = f"/apis/apps/v1/namespaces/{self.namespace}/statefulsets/files"
        self.eventually("the old token to be refused", lambda: refusal(stale, path) == 401, 40)
        daemon.control("override", "--nodes", 4, "--reason", "with the new token")
        self.eventually("four serving nodes", lambda: len(daemon.serving()) == 4)
        self.assertNotIn("not accepted", daemon.log())

    def test_inside_of_a_pod_its_service_account_is_used_and_its_token_read_anew(self):
        if subprocess.run([*POD, "true"], capture_output=True).returncode != 0:
            self.skipTest("NOT TESTED: credentials inside of a pod: mounts of one's own are not allowed here")
        secrets = f"/api/v1/namespaces/{self.namespace}/secrets"
        for name in ("old", "new"):
            self.kube.create(secrets, {"metadata": {"name": name}})
        self.project("old")
        mount = ('mount -t tmpfs none /run && mkdir -p "$(dirname $0)" && mkdir $0 && mount --bind "$1" $0 && shift && exec "$@"')
        self.daemon = peer_case.Daemon(
            self.processes, "headroomd", self.policy("statefulset/files", None),
            within=[*POD, "sh", "-c", mount, "/run/secrets/kubernetes.io/serviceaccount", self.work / "projected"],
            KUBERNETES_SERVICE_HOST="127.0.0.1", KUBERNETES_SERVICE_PORT=self.plane.port)
        self.start_kubelets(self.daemon.address)
        self.eventually("three serving nodes", lambda: len(self.daemon.serving()) == 3)
        old = (self.work / "projected/token").read_text()
        self.project("new")
        self.kube.delete(f"{secrets}/old")
        stale = Kube(self.plane.port, self.plane.authority, old)
        path = f"/apis/apps/v1/namespaces/{self.namespace}/statefulsets/files"
        self.eventually("the old token to be refused", lambda: refusal(stale, path) == 401, 40)
        self.daemon.control("override", "--nodes", 4, "--reason", "with the new token")
        self.eventually("four serving nodes", lambda: len(self.daemon.serving()) == 4)

    def project(self, name):
        """The files of a service account, replaced all at once by a symbolic link, as the kubelet does."""
        folder = self.work / "projected" / f"..{name}"
        folder.mkdir(parents=True)
        (folder / "token").write_text(self.token(name))
        (folder / "ca.crt").write_text(self.plane.authority.read_text())
        (folder / "namespace").write_text(self.namespace)
        (folder.parent / "..new_data").symlink_to(folder.name)
        (folder.parent / "..new_data").rename(folder.parent / "..data")
        for file in ("token", "ca.crt", "namespace"):
            if not (folder.parent / file).is_symlink():
                (folder.parent / file).symlink_to(f"..data/{file}")

    def test_a_revoked_token_without_a_new_one_is_said_and_a_new_one_cures_it(self):
        secrets = f"/api/v1/namespaces/{self.namespace}/secrets"
        self.kube.create(secrets, {"metadata": {"name": "old"}})
        config = self.service_account()
        self.token_file.write_text(self.token("old"))
        daemon = self.begin(config)
        self.kube.delete(f"{secrets}/old")
        self.say("the credentials are not accepted", 40)
        self.token_file.write_text(self.token())
        daemon.control("override", "--nodes", 4, "--reason", "with the new token")
        self.eventually("four serving nodes", lambda: len(daemon.serving()) == 4)

    def test_where_an_autoscaler_of_kubernetes_is_at_work_nothing_is_written(self):
        config = self.service_account()
        daemon = self.begin(config)
        self.kube.create(f"/apis/autoscaling/v2/namespaces/{self.namespace}/horizontalpodautoscalers", {
            "metadata": {"name": "cpu"},
            "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "files"}, "minReplicas": 3,
                     "maxReplicas": 6, "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {
                         "type": "Utilization", "averageUtilization": 80}}}]}})
        before = self.writes()
        daemon.control("override", "--nodes", 5, "--reason", "try")
        self.say("HorizontalPodAutoscaler cpu scales files, too; delete it, or leave the workload to it")
        self.assertEqual(self.scale_of(), 3)
        self.assertEqual(self.writes(), before)
        self.kube.delete(f"/apis/autoscaling/v2/namespaces/{self.namespace}/horizontalpodautoscalers/cpu")
        self.eventually("five serving nodes", lambda: len(daemon.serving()) == 5, 60)

    def test_replicas_that_somebody_else_sets_are_noticed_and_taken_over(self):
        config = self.service_account()
        daemon = self.begin(config)
        path = f"/apis/apps/v1/namespaces/{self.namespace}/statefulsets/files/scale?fieldManager=kubectl"
        self.kube.patch(path, {"spec": {"replicas": 5}})
        line = self.say("has set files from 3 to 5 replicas")
        self.assertIn("kubectl", line)
        self.eventually("three nodes again, each drained first", lambda: len(self.pods()) == 3 and self.programs.leavers, 60)
        self.assertEqual({leaver["open"] for leaver in self.programs.leavers}, {0})
        self.assertEqual({leaver["state"] for leaver in self.programs.leavers}, {"draining"})
        self.assertEqual(daemon.log().count("replicas"), 1, "its own writes are not told")

    def test_an_unready_pod_before_the_last_is_named_where_the_workload_keeps_order(self):
        self.kube.delete(f"/apis/apps/v1/namespaces/{self.namespace}/statefulsets/files")
        self.eventually("the workload's end", lambda: not self.pods())
        self.make("statefulsets")
        config = self.service_account()
        daemon = self.begin(config, least=1)
        path = f"/api/v1/namespaces/{self.namespace}/pods/files-0"
        self.kube.patch(path, {"metadata": {"annotations": {UNREADY: "true"}}})
        self.eventually("files-0 to be unready", lambda: condition(self.kube.get(path)["status"], "Ready") == "False")
        daemon.control("override", "--nodes", 2, "--reason", "one fewer")
        self.say("files-0 is not ready, and until it is a StatefulSet with podManagementPolicy OrderedReady removes no pod after it")
        self.assertEqual(self.scale_of(), 3)
        self.kube.patch(path, {"metadata": {"annotations": {UNREADY: None}}})
        self.eventually("two pods", lambda: len(self.pods()) == 2, 60)
        self.assertEqual([leaver["pod"] for leaver in self.programs.leavers], ["files-2"])

    def test_a_watch_that_is_too_old_is_begun_anew(self):
        """An API server is replaced, as in an upgrade: the memory of the new one begins later than the watch would go on from."""
        first = self.start_api_server("first")
        way = relay.Relay(first.port)
        way.start()
        self.addCleanup(way.stop)
        self.service_account()
        config = self.plane.kubeconfig(f"{self.namespace}-relayed", {"tokenFile": str(self.token_file)}, port=way.port,
                                       namespace=self.namespace)
        daemon = self.begin(config)
        self.eventually("a watch", lambda: ("watch", "pods") in self.asked("first"))
        way.target = self.start_api_server("second").port
        daemon.process.send_signal(signal.SIGSTOP)  # it finds the watch ended in order and its connection closed, both at once
        self.plane.processes.end(first, patience=30)
        daemon.process.send_signal(signal.SIGCONT)
        self.eventually("the second server to list the pods", lambda: ("list", "pods") in self.asked("second"), 60)
        pods = [verb for verb, resource in self.asked("second") if resource == "pods"]
        self.assertEqual(pods[0], "watch", "it went on where it was, and was told that this is too old")
        daemon.control("override", "--nodes", 4, "--reason", "is the new pod seen?")
        self.eventually("four serving nodes", lambda: len(daemon.serving()) == 4)

    def asked(self, server):
        return [(verb, resource) for verb, resource, _ in self.plane.audited(self.user, server)]

    def start_api_server(self, name):
        port = free_ports(1)[0]
        process = self.plane.start_api_server(port, name)
        process.port = port
        self.addCleanup(self.plane.processes.end, process)
        there = Kube(port, self.plane.authority, self.plane.admin_token)
        self.plane.wait(f"API server {name}", lambda: self.plane.is_ready(there), process)
        return process


def refusal(kube, path):
    try:
        kube.get(path)
    except KubeError as error:
        return error.code
    return None


if __name__ == "__main__":
    peer_case.main()
