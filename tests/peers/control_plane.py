"""A real Kubernetes control plane on loopback: etcd, kube-apiserver and kube-controller-manager, with certificates of its own."""

import json
import pathlib
import secrets
import subprocess
import time

import etcd_cluster
from kube import Kube, KubeError
from processes import PeerError, Processes, free_ports

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = ROOT / "build/peers"
CONTROLLERS = ["deployment-controller", "replicaset-controller", "statefulset-controller", "disruption-controller",
               "horizontal-pod-autoscaler-controller", "serviceaccount-controller", "garbage-collector-controller"]
PLAIN_USER = "headroom-under-test"  # may do what the test's own roles say
# What everybody but the control plane itself asks and is answered; the tests read it.
AUDIT = """apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: None, users: [admin, "system:apiserver"]}
- {level: Metadata}
"""


def missing():
    """What is not here and how to get it, in one line; empty: everything is here."""
    if not etcd_cluster.is_there():
        return etcd_cluster.MISSING
    for program in ("kube-apiserver", "kube-controller-manager"):
        if not (PROGRAMS / program).exists():
            return (f"build/peers/{program} is missing: `make test-peers` builds it where Go 1.25 or newer is installed "
                    "(https://go.dev/dl; Debian 12's own is too old)")
    return ""


class ControlPlane:
    """`kube` is its administrator. A second API server on the same etcd can be had by start_api_server()."""

    def __init__(self, work):
        self.work = work
        self.processes = Processes(work)
        self.etcd = etcd_cluster.EtcdCluster(work, count=1)
        self.port = free_ports(1)[0]
        self.admin_token, self.user_token = secrets.token_hex(16), secrets.token_hex(16)
        self.authority = work / "ca.crt"
        self.kube = None

    def start(self):
        self.make_secrets()
        self.etcd.start()
        self.api_server = self.start_api_server(self.port)
        self.kube = Kube(self.port, self.authority, self.admin_token)
        self.wait("the API server to be ready", lambda: self.is_ready(self.kube), self.api_server)
        config = self.kubeconfig("admin", {"token": self.admin_token})
        self.manager = self.processes.spawn("kube-controller-manager", [
            PROGRAMS / "kube-controller-manager", "--kubeconfig", config, "--leader-elect=false", "--secure-port=0",
            "--controllers", ",".join(CONTROLLERS), "--service-account-private-key-file", self.work / "accounts.key",
            "--kube-api-qps=200", "--kube-api-burst=400", "--horizontal-pod-autoscaler-sync-period=1s"])
        self.wait("the controller manager to work", self.controllers_work, self.manager)
        return self

    def openssl(self, *words):
        done = subprocess.run(["openssl", *[str(word) for word in words]], capture_output=True, text=True, cwd=self.work)
        if done.returncode != 0:
            raise PeerError(f"openssl {words[0]}: {done.stderr.strip()}")

    def make_secrets(self):
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-x509"]
        self.openssl("req", *key, "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=peers")
        self.openssl("req", *key, "-keyout", "server.key", "-out", "server.crt", "-subj", "/CN=kube-apiserver", "-CA", "ca.crt",
                     "-CAkey", "ca.key", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost")
        self.openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "accounts.key")
        (self.work / "tokens.csv").write_text(f'{self.admin_token},admin,admin,"system:masters"\n'
                                              f"{self.user_token},{PLAIN_USER},{PLAIN_USER}\n")
        (self.work / "audit.yaml").write_text(AUDIT)

    def start_api_server(self, port, name="kube-apiserver"):
        return self.processes.spawn(name, [
            PROGRAMS / "kube-apiserver", "--etcd-servers", f"http://{self.etcd.endpoints[0]}", "--secure-port", port,
            "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none",
            "--tls-cert-file", self.work / "server.crt", "--tls-private-key-file", self.work / "server.key",
            "--token-auth-file", self.work / "tokens.csv", "--authorization-mode=RBAC", "--anonymous-auth=false",
            "--service-account-issuer=https://peers.invalid", "--service-account-signing-key-file", self.work / "accounts.key",
            "--service-account-key-file", self.work / "accounts.key", "--service-cluster-ip-range=10.255.0.0/24",
            "--disable-admission-plugins=ServiceAccount", "--shutdown-watch-termination-grace-period=2s", "--audit-policy-file", self.work / "audit.yaml",
            "--audit-log-path", self.work / f"{name}.audit"])

    @staticmethod
    def is_ready(kube):
        try:
            kube.get("/readyz")
            return True
        except (OSError, KubeError):
            return False

    def controllers_work(self):
        """They do once a namespace has its service account."""
        return self.kube.find("/api/v1/namespaces/default/serviceaccounts/default") is not None

    def wait(self, what, holds, process, patience=90):
        deadline = time.monotonic() + patience
        while not holds():
            self.processes.check(process)
            if time.monotonic() > deadline:
                raise PeerError(f"waited {patience} s for {what}; the logs are in {self.work}")
            time.sleep(0.2)

    def kubeconfig(self, name, user, port=None, namespace="default"):
        """A kubeconfig file with this user entry."""
        path = self.work / f"{name}.kubeconfig"
        path.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "peers",
            "clusters": [{"name": "peers", "cluster": {"server": f"https://127.0.0.1:{port or self.port}",
                                                       "certificate-authority": str(self.authority)}}],
            "users": [{"name": name, "user": user}],
            "contexts": [{"name": "peers", "context": {"cluster": "peers", "user": name, "namespace": namespace}}]}))
        return path

    def audited(self, user, name="kube-apiserver"):
        """What this user asked: (verb, resource with subresource, code) of each answered call, oldest first."""
        asked = []
        for line in (self.work / f"{name}.audit").read_text().splitlines():
            try:
                event = json.loads(line)
            except ValueError:
                continue  # it is being written
            if event["user"].get("username") != user or "objectRef" not in event:
                continue
            target = event["objectRef"]
            resource = target["resource"] + (f"/{target['subresource']}" if "subresource" in target else "")
            asked.append((event["verb"], resource, event.get("responseStatus", {}).get("code", 0)))
        return asked

    def stop(self):
        self.processes.end_all()
        self.etcd.stop()
