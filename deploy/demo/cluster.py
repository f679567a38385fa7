"""The demo's cluster: real processes on loopback, started in order and ended by their process id."""

import concurrent.futures
import csv
import http.client
import json
import os
import pathlib
import random
import re
import resource
import signal
import socket
import subprocess
import sys
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
NODES = 3
FIRST_PORT = 19101
NODES_MAX = 6  # of demo.yaml
FRONT_PORT, GRPC_PORT, HTTP_PORT = 19080, 19600, 19601
OBJECTS = 200
UPLOADERS = 8


FRONT_CONNECTIONS = 8000  # two file descriptors each, and some for HAProxy itself


class DemoError(Exception):
    """Something that the person who runs the demo should read."""


class VoidError(DemoError):
    """The figures say nothing; another try may."""


def declared_device():
    """What the nodes are told to emulate, in the policy itself. device_parallel 0: any number of requests at once."""
    words = re.search(r"arguments: \[(.*)\]", (ROOT / "deploy/examples/demo.yaml").read_text())[1].split(", ")
    given = dict(zip(words[::2], words[1::2]))
    return {"device_latency": given["--device-latency"], "device_parallel": int(given.get("--device-parallel", 0)),
            "boot_delay": given["--boot-delay"]}


def front_connections():
    """As many as a hard limit of file descriptors allows: HAProxy ends where it cannot have what it is told."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return FRONT_CONNECTIONS if hard == resource.RLIM_INFINITY else min(FRONT_CONNECTIONS, (hard - 200) // 2)


def port_in_use():
    """A port of the demo at which somebody listens; None: there is none."""
    nodes = range(FIRST_PORT, FIRST_PORT + NODES_MAX)
    for port in (FRONT_PORT, GRPC_PORT, HTTP_PORT, *nodes, *(port + 1000 for port in nodes)):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return port
    return None


def check_ports_free(patience=10):
    """Where the network is shared with others, what listens there already would only show as nodes that do not come up.
    `patience`: seconds for the nodes of the pass before to end."""
    deadline = time.monotonic() + patience
    while (port := port_in_use()) is not None:
        if time.monotonic() > deadline:
            raise DemoError(f"port {port} is in use by another program; end it (ss -ltnp tells which it is) and try again")
        time.sleep(0.2)


def admin_port(node):
    return int(node["address"].rsplit(":", 1)[1]) + 1000


def snake(name):
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def snake_keys(value):
    """Protobuf's JSON, with the field names of the .proto files."""
    if isinstance(value, dict):
        return {snake(key): snake_keys(item) for key, item in value.items()}
    if isinstance(value, list):
        return [snake_keys(item) for item in value]
    return value


def enter_own_network():
    """A network of our own where that is allowed, so that kernel counters and ports are ours alone; mounts too, for tests."""
    if os.environ.get("HEADROOM_DEMO_NETWORK"):
        return os.environ["HEADROOM_DEMO_NETWORK"]
    ways = [["unshare", "--mount", "--net"], ["unshare", "--user", "--map-root-user", "--mount", "--net"]]
    for way in ways:
        if subprocess.run(way + ["ip", "link", "set", "lo", "up"], capture_output=True).returncode == 0:
            os.environ["HEADROOM_DEMO_NETWORK"] = "own namespace"
            command = way + ["sh", "-c", 'ip link set lo up && exec "$0" "$@"', sys.executable, *sys.argv]
            os.execvp(command[0], command)
    os.environ["HEADROOM_DEMO_NETWORK"] = "shared"
    return "shared"


def edited(text, edits):
    for old, new in edits.items():
        if old not in text:
            raise DemoError(f"there is no {old!r} to replace")
        text = text.replace(old, str(new))
    return text


def campaign(seconds):
    """The profile of the outage, with phases of so many seconds."""
    text = (ROOT / "tests/load/profiles/campaign.yaml").read_text()
    for phase, length in seconds.items():
        text = re.sub(rf"(name: {phase}, duration: )\d+s", rf"\g<1>{length}s", text)
    return text


class Cluster:
    """`balancer`: tcp or http, as the examples of HAProxy are named, or none. `server_limit`: what each server of HAProxy
    begins with; 0: none. `edits`: what is replaced in deploy/examples/demo.yaml."""

    def __init__(self, work, programs, mode, balancer="tcp", server_limit=0, edits=None):
        self.work, self.programs, self.mode = work, programs, mode
        self.balancer, self.server_limit, self.edits = balancer, server_limit, edits or {}
        self.processes = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def spawn(self, name, command, **environment):
        with open(self.work / f"{name}.log", "ab") as log:
            process = subprocess.Popen([str(word) for word in command], stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                       env={**os.environ, **{key: str(value) for key, value in environment.items()}})
        self.processes.append((name, process))
        return process

    def start(self):
        check_ports_free()
        self.policy = self.work / "policy.yaml"
        text = (ROOT / "deploy/examples/demo.yaml").read_text()
        self.policy.write_text(edited(text, {"${MODE}": self.mode, "${DATA_DIR}": self.work / "files", **self.edits}))
        (self.work / "files").mkdir()
        self.daemon = self.start_daemon()
        self.wait("three serving nodes", 30, lambda: sum(node["state"] == "serving" for node in self.nodes()) == NODES)
        if self.balancer != "none":
            self.start_balancer()

    def start_daemon(self):
        return self.spawn("headroomd", [self.programs / "headroomd", "--config", self.policy, "--state-dir", self.work / "state",
                                        "--grpc-port", GRPC_PORT, "--http-port", HTTP_PORT])

    def start_balancer(self):
        maxconn = f" maxconn {self.server_limit}" if self.server_limit else ""
        servers = "".join(f"  server {node['node_id']} {node['address']} check port {admin_port(node)}{maxconn}\n"
                          for node in self.nodes())
        text = (ROOT / f"deploy/examples/haproxy-{self.balancer}.cfg").read_text()
        (self.work / "haproxy.cfg").write_text(text.rstrip() + "\n" + servers)
        self.start_haproxy()
        self.agent = self.spawn("agent", [
            self.programs / "headroom-agent", "--adapter", "haproxy", "--haproxy-socket", self.work / "haproxy.sock", "--backend",
            "nodes", "--frontend", "front", "--controller", f"127.0.0.1:{GRPC_PORT}", "--balancer-id", "front",
            "--server-limit", self.server_limit])
        self.wait("HAProxy to answer for the nodes", 20, self.front_answers)

    def start_haproxy(self):
        self.haproxy = self.spawn("haproxy", ["haproxy", "-db", "-f", self.work / "haproxy.cfg"], HEADROOM_FRONT_PORT=FRONT_PORT,
                                  HEADROOM_FRONT_MAXCONN=front_connections(), HEADROOM_HAPROXY_SOCKET=self.work / "haproxy.sock")

    def servers(self):
        """HAProxy's own figures of its servers, by node."""
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(5)
            line.connect(str(self.work / "haproxy.sock"))
            line.sendall(b"show stat\n")
            text = b"".join(iter(lambda: line.recv(1 << 16), b"")).decode()
        rows = csv.DictReader(text.removeprefix("# ").splitlines())
        return {row["svname"]: row for row in rows if row["pxname"] == "nodes" and row["svname"] != "BACKEND"}

    def front_answers(self):
        connection = http.client.HTTPConnection("127.0.0.1", FRONT_PORT, timeout=2)
        try:
            connection.request("GET", "/?limit=1")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def upload(self):
        """Files of 2 to 30 KB, through HAProxy, where there is one, and the nodes' own API."""
        chance = random.Random(1)
        bodies = [chance.randbytes(chance.randrange(2_000, 30_000)) for _ in range(OBJECTS)]
        with concurrent.futures.ThreadPoolExecutor(UPLOADERS) as uploaders:
            list(uploaders.map(lambda first: self.upload_some(bodies, first), range(UPLOADERS)))

    def upload_some(self, bodies, first):
        connection = http.client.HTTPConnection("127.0.0.1", FRONT_PORT if self.balancer != "none" else FIRST_PORT, timeout=10)
        for number in range(first, OBJECTS, UPLOADERS):
            connection.request("PUT", f"/campaign/object-{number}", body=bodies[number])
            answer = connection.getresponse()
            answer.read()
            if answer.status not in (200, 201, 204):
                raise DemoError(f"uploading object {number} was answered with {answer.status}")
        connection.close()

    def start_load(self, seed, profile, *target):
        path = self.work / "profile.yaml"
        path.write_text(profile)
        return self.spawn("load", [self.programs / "headroom-load", path, *(target or ("--target", f"127.0.0.1:{FRONT_PORT}")),
                                   "--seed", seed, "--json", self.work / "load.json"])

    def control(self, *words):
        """What headroomctl says, as JSON."""
        command = [self.programs / "headroomctl", "--server", f"127.0.0.1:{GRPC_PORT}", "-o", "json", *words]
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=15)
        if done.returncode != 0:
            raise DemoError(f"headroomctl {' '.join(map(str, words))}: {done.stderr.strip()}")
        return snake_keys(json.loads(done.stdout))

    def nodes(self):
        try:
            return self.control("nodes").get("nodes", [])
        except (DemoError, subprocess.TimeoutExpired):
            return []

    def node_status(self, admin_port):
        with urllib.request.urlopen(f"http://127.0.0.1:{admin_port}/status", timeout=1) as answer:
            return json.load(answer)

    def wait(self, what, seconds, ready):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.check_alive()
            if ready():
                return
            time.sleep(0.2)
        raise DemoError(f"waited {seconds} s for {what}; the logs are in {self.work}")

    def check_alive(self):
        for name, process in self.processes:
            if process.poll() not in (None, 0):
                last = (self.work / f"{name}.log").read_text(errors="replace").strip().splitlines()[-1:]
                raise DemoError(f"{name} ended with {process.returncode}: {' '.join(last)}")

    def kill(self, process):
        """As the kernel's killer of memory hogs would: with no time to say anything."""
        process.kill()
        process.wait()
        self.processes = [(name, other) for name, other in self.processes if other is not process]

    def stop(self):
        for name, process in reversed(self.processes):
            self.end(process)
        for _, pid in self.running_nodes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    @staticmethod
    def end(process):
        if process.poll() is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def node_processes(self):
        """The pids of the nodes by their ids; it is an error if one runs twice."""
        found = {}
        for node, pid in self.running_nodes():
            if node in found:
                raise DemoError(f"{node} runs twice: as process {found[node]} and {pid}")
            found[node] = pid
        return found

    def running_nodes(self):
        """(id, pid) of each node process. Nodes outlive the controller by design; these serve this cluster's files."""
        files = b"--data-dir=" + str(self.work / "files").encode()
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdigit() else [b""]
            except OSError:
                continue
            if not words[0].endswith(b"headroom-node") or files not in words:
                continue
            node = next(word for word in words if word.startswith(b"--node-id=")).decode().partition("=")[2]
            found.append((node, int(entry.name)))
        return found
