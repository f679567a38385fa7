"""What the tests against real peers share: a control plane, workloads whose pods are headroom-node processes, clients that hold
connections to them, and headroomd; bounded in time and ended by process id."""

import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.request

import control_plane
from kubelets import Kubelets
from processes import PeerError, Processes, free_ports  # noqa: F401

ROOT = pathlib.Path(__file__).resolve().parents[2]
HEADROOM = pathlib.Path(os.environ.get("HEADROOM_BIN", ROOT / "build/release/bin"))
NAMESPACE = "storage"
ROLES = ROOT / "deploy/kustomize/base"
NODE_LIMIT = 20  # connections of a node
SKIPPED = 77  # exit code, as CMakeLists.txt knows it
POLICY = """cluster: files
mode: live
nodes: {{min: {min}, max: 8, lead_time: 2s, stabilization: 1s, cooldown: 2s, {at_once}drain_timeout: 20s}}
limits: {{enabled: false}}
signals: {{connections: {{target: 0.7}}, forecast: {{enabled: false}}}}
anomaly: {{enabled: false}}
control: {{tick: 500ms, report_interval: 500ms, list_interval: 1s, baseline_window: 10s}}
provider: {{{provider}}}
"""


def policy_of(provider, least=3, at_once=2):
    return POLICY.format(min=least, at_once=f"remove_count_max: {at_once}, " if at_once is not None else "", provider=provider)


class TooLate(Exception):
    """No OSError: nobody who shrugs at a lost connection may swallow it."""


class PeerCase(unittest.TestCase):
    """Bounds each test, keeps its files where it failed."""
    BOUND_SECONDS = 240

    def setUp(self):
        signal.signal(signal.SIGALRM, self.too_late)
        signal.signal(signal.SIGTERM, self.too_late)
        signal.alarm(self.BOUND_SECONDS)
        self.addCleanup(signal.alarm, 0)
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="headroom-peers-"))
        self.addCleanup(self.clean)
        self.processes = Processes(self.work)
        self.addCleanup(self.processes.end_all)

    def too_late(self, number, _frame):
        raise TooLate(f"{signal.Signals(number).name}: the test is to end within {self.BOUND_SECONDS} s")

    def clean(self):
        result = self._outcome.result
        if any(getattr(test, "test_case", test) is self for test, _ in result.failures + result.errors):  # subtests, too
            print(f"the logs of {self.id()} are kept in {self.work}", file=sys.stderr)
        else:
            shutil.rmtree(self.work, ignore_errors=True)

    def situation(self):
        """What is good to know when a test has waited in vain."""
        return ""

    def eventually(self, what, holds, seconds=30):
        deadline = time.monotonic() + seconds
        while not (answer := holds()):
            if time.monotonic() > deadline:
                self.fail(f"waited {seconds} s for {what}\n{self.situation()}")
            time.sleep(0.1)
        return answer


class Daemon:
    """One headroomd with its headroomctl. `within`: words before its command."""

    def __init__(self, processes, name, policy, *flags, within=(), **environment):
        self.processes, self.name = processes, name
        self.port, self.http_port = free_ports(2)
        self.policy = processes.work / f"{name}.yaml"
        self.policy.write_text(policy)
        self.command = [*within, HEADROOM / "headroomd", "--config", self.policy, "--state-dir", processes.work / f"{name}.state",
                        "--grpc-port", self.port, "--http-port", self.http_port, *flags]
        self.environment = environment
        self.start()

    def start(self):
        self.process = self.processes.spawn(self.name, self.command, **self.environment)

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def log(self):
        return self.processes.log(self.process)

    def control(self, *words, output="json"):
        """What headroomctl says; an error when it says no."""
        command = [HEADROOM / "headroomctl", "--server", self.address, "-o", output, *words]
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=20)
        if done.returncode != 0:
            raise PeerError(f"headroomctl {' '.join(map(str, words))}: {done.stderr.strip()}")
        return json.loads(done.stdout) if output == "json" else done.stdout

    def told(self, *words):
        """The same for people; or why there is no answer."""
        try:
            return self.control(*words, output="table")
        except (PeerError, subprocess.TimeoutExpired) as error:
            return str(error)

    def decisions(self):
        """All that did something, oldest first; none while it does not answer."""
        try:
            return list(reversed(self.control("decisions", "-n", 500).get("decisions", [])))
        except (PeerError, subprocess.TimeoutExpired):
            return []

    def nodes(self):
        try:
            return self.control("nodes").get("nodes", [])
        except (PeerError, subprocess.TimeoutExpired):
            return []

    def serving(self):
        return sorted(node["nodeId"] for node in self.nodes() if node["state"] == "serving")

    def end(self):
        return self.processes.end(self.process, patience=20)


class Programs:
    """The nodes' programs: a headroom-node for each pod, and what each was doing when its pod was told to leave."""

    def __init__(self, processes, controllers):
        self.processes, self.controllers = processes, controllers
        self.files = processes.work / "files"
        self.files.mkdir(exist_ok=True)
        self.ports = {}  # by pod: data, admin
        self.leavers = []  # {"pod", "state", "open"}

    def run(self, pod):
        data, admin = self.ports[pod] = free_ports(2)
        return self.processes.spawn(f"node-{pod}", [
            HEADROOM / "headroom-node", "--data-dir", self.files, "--listen", f"127.0.0.1:{data}", "--admin-listen",
            f"127.0.0.1:{admin}", "--threads", 1, "--connection-limit", NODE_LIMIT, "--idle-timeout", "1h", "--shed-idle-min-age", "0",
            "--controller", ",".join(self.controllers), "--node-id", pod, "--cluster", "files", "--sole-reporter", "no",
            "--state-file", self.processes.work / f"node-{pod}.state", "--stop-delay", "0", "--drain-timeout", "3s"])

    def status(self, pod):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[pod][1]}/status", timeout=2) as answer:
                return json.load(answer)
        except (OSError, ValueError, urllib.error.URLError):
            return None

    def is_ready(self, pod, process):
        if process is None or process.poll() is not None:
            return False
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[pod][1]}/readyz", timeout=2) as answer:
                return answer.status == 200
        except (OSError, urllib.error.URLError):
            return False

    def on_leave(self, pod, process):
        status = self.status(pod) if process is not None and process.poll() is None else None
        self.leavers.append({"pod": pod, "state": status and status["state"], "open": status and status["open"]})


class Clients(threading.Thread):
    """So many connections, spread evenly over the nodes that are ready, as a balancer would spread them."""

    def __init__(self, programs, kubelets):
        super().__init__(daemon=True)
        self.programs, self.kubelets = programs, kubelets
        self.wanted = 0
        self.held = {}  # by pod
        self.ended = threading.Event()

    def run(self):
        while not self.ended.wait(0.2):
            ready = sorted(pod for pod, process in self.kubelets.running() if self.programs.is_ready(pod, process))
            for pod in list(self.held):
                self.sweep(pod)
                if pod not in ready:
                    self.drop(pod, 0)
            for place, pod in enumerate(ready):
                share = self.wanted // len(ready) + (place < self.wanted % len(ready))
                self.drop(pod, share)
                self.add(pod, share)

    def sweep(self, pod):
        """Without those that the node has closed."""
        alive = [line for line in self.held[pod] if is_open(line)]
        for line in self.held[pod]:
            if line not in alive:
                line.close()
        self.held[pod] = alive

    def drop(self, pod, share):
        lines = self.held.get(pod, [])
        for line in lines[share:]:
            line.close()
        self.held[pod] = lines[:share]

    def add(self, pod, share):
        lines = self.held.setdefault(pod, [])
        while len(lines) < share:
            try:
                line = socket.create_connection(("127.0.0.1", self.programs.ports[pod][0]), timeout=2)
                line.sendall(b"GET /none HTTP/1.1\r\nHost: files\r\n\r\n")
            except OSError:
                return
            line.setblocking(False)
            lines.append(line)

    def stop(self):
        self.ended.set()
        self.join(20)
        for pod in list(self.held):
            self.drop(pod, 0)


def is_open(line):
    try:
        return line.recv(1 << 16) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


class ClusterCase(PeerCase):
    """With a control plane for all tests of the class; each has a namespace of its own."""

    @classmethod
    def setUpClass(cls):
        if reason := control_plane.missing():
            raise unittest.SkipTest(f"NOT TESTED: {reason}")
        began = time.monotonic()
        cls.home = pathlib.Path(tempfile.mkdtemp(prefix="headroom-control-plane-"))
        cls.plane, cls.has_plane = control_plane.ControlPlane(cls.home), False
        cls.addClassCleanup(cls.end_plane)
        try:
            cls.plane.start()
        except PeerError:
            print("\n".join(path.name + ": " + path.read_text(errors="replace")[-2000:] for path in cls.home.glob("*.log")))
            raise
        cls.kube, cls.has_plane = cls.plane.kube, True
        print(f"the control plane took {time.monotonic() - began:.1f} s", flush=True)

    @classmethod
    def end_plane(cls):
        """The logs of one that did not start are kept."""
        cls.plane.stop()
        if cls.has_plane:
            shutil.rmtree(cls.home, ignore_errors=True)

    def setUp(self):
        super().setUp()
        type(self).count = getattr(type(self), "count", 0) + 1
        self.namespace, self.daemon, self.kubelets = f"storage-{self.count}", None, None
        self.kube.create("/api/v1/namespaces", {"metadata": {"name": self.namespace}})
        self.addCleanup(self.forget)

    def forget(self):
        """No controller goes on working for a test that has ended."""
        for kind in ("statefulsets", "deployments"):
            for item in self.kube.get(f"/apis/apps/v1/namespaces/{self.namespace}/{kind}")["items"]:
                self.kube.delete(f"/apis/apps/v1/namespaces/{self.namespace}/{kind}/{item['metadata']['name']}")

    def apply_roles(self):
        """The service account and roles of deploy/, as they stand there."""
        places = {"ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
                  "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/roles",
                  "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings"}
        for name in ("serviceaccount", "role", "rolebinding"):
            for text in re.split(r"(?m)^---$", (ROLES / f"{name}.yaml").read_text()):
                place = places[re.search(r"(?m)^kind: (\w+)", text)[1]].format(self.namespace)
                self.kube.call("POST", place, raw=text.encode(), content_type="application/yaml")
        return f"system:serviceaccount:{self.namespace}:headroom"

    def token(self, bound_to=None):
        spec = {"audiences": ["https://peers.invalid"], "expirationSeconds": 3600}
        if bound_to is not None:
            spec["boundObjectRef"] = {"apiVersion": "v1", "kind": "Secret", "name": bound_to}
        path = f"/api/v1/namespaces/{self.namespace}/serviceaccounts/headroom/token"
        return self.kube.create(path, {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec})["status"]["token"]

    def service_account(self):
        """A kubeconfig of headroomd's service account; its token is in self.token_file."""
        self.token_file = self.work / "token"
        self.token_file.write_text(self.token())
        return self.plane.kubeconfig(self.namespace, {"tokenFile": str(self.token_file)}, namespace=self.namespace)

    def situation(self):
        pods = [(pod["metadata"]["name"], "leaving" if "deletionTimestamp" in pod["metadata"] else pod["status"].get("phase"))
                for pod in self.pods()]
        told = [self.daemon.told(word) for word in ("explain", "nodes")] if self.daemon else []
        return "\n".join([f"pods: {pods}", f"stand-in: {self.kubelets.trouble if self.kubelets else None}", *told])

    def policy(self, workload, kubeconfig, least=3, at_once=2):
        """`kubeconfig` None: the service account of the pod. `at_once`: nodes that may be leaving; None: the default."""
        access = f', namespace: {self.namespace}, kubeconfig: "{kubeconfig}"' if kubeconfig else ""
        return policy_of(f'kubernetes: {{workload: "{workload}"{access}}}', least, at_once)

    def pods(self):
        return self.kube.get(f"/api/v1/namespaces/{self.namespace}/pods")["items"]

    def make(self, kind, replicas=3, **spec):
        """A StatefulSet or a Deployment named files."""
        if kind == "statefulsets":
            spec = {"serviceName": "files", **spec}
        self.kube.create(f"/apis/apps/v1/namespaces/{self.namespace}/{kind}", {
            "metadata": {"name": "files"},
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "files"}}, **spec,
                     "template": {"metadata": {"labels": {"app": "files"}},
                                  "spec": {"terminationGracePeriodSeconds": 10,
                                           "containers": [{"name": "files", "image": "files"}]}}}})

    def scale_of(self, kind="statefulsets"):
        return self.kube.get(f"/apis/apps/v1/namespaces/{self.namespace}/{kind}/files/scale")["spec"].get("replicas", 0)

    def start_kubelets(self, *controllers):
        """Pods of this test run headroom-node where there are controllers to report to, else nothing."""
        self.programs = Programs(self.processes, controllers)
        hooks = {"run": self.programs.run, "is_ready": self.programs.is_ready, "on_leave": self.programs.on_leave} if controllers else {}
        self.kubelets = Kubelets(self.kube, self.namespace, **hooks).start()
        self.addCleanup(self.kubelets.stop)
        self.clients = Clients(self.programs, self.kubelets)
        self.clients.start()
        self.addCleanup(self.clients.stop)


class CountingResult(unittest.TextTestResult):
    passed = 0

    def addSuccess(self, test):
        super().addSuccess(test)
        self.passed += 1


def main():
    """Exits with 1 where something failed, with SKIPPED where nothing could be tested, else with 0."""
    runner = unittest.TextTestRunner(verbosity=2, warnings="ignore", resultclass=CountingResult)
    result = unittest.main(testRunner=runner, exit=False).result
    for _, reason in result.skipped:
        print(reason, flush=True)
    if not result.wasSuccessful():
        sys.exit(1)
    sys.exit(0 if result.passed else SKIPPED if result.skipped else 1)
