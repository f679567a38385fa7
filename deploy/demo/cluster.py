"""The demo's cluster: real processes on loopback, started in order and ended by their process id."""

import http.client
import json
import os
import pathlib
import random
import re
import signal
import subprocess
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEVICE_LATENCY = "20ms"
DEVICE_PARALLEL = 0  # any number at once: slots run out here, not the device
BOOT_DELAY = "3s"
NODES = 3
FIRST_PORT = 19101
FRONT_PORT, GRPC_PORT, HTTP_PORT = 19080, 19600, 19601
OBJECTS = 200


class DemoError(Exception):
    """Something that the person who runs the demo should read."""


def snake(name):
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def snake_keys(value):
    """Protobuf's JSON, with the field names of the .proto files."""
    if isinstance(value, dict):
        return {snake(key): snake_keys(item) for key, item in value.items()}
    if isinstance(value, list):
        return [snake_keys(item) for item in value]
    return value


class Cluster:
    def __init__(self, work, programs, mode):
        self.work, self.programs, self.mode = work, programs, mode
        self.processes = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def spawn(self, name, command, **environment):
        log = open(self.work / f"{name}.log", "wb")
        process = subprocess.Popen([str(word) for word in command], stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                   env={**os.environ, **{key: str(value) for key, value in environment.items()}})
        self.processes.append((name, process))
        return process

    def start(self):
        self.policy = self.work / "policy.yaml"
        text = (ROOT / "deploy/examples/demo.yaml").read_text()
        for key, value in {"MODE": self.mode, "DATA_DIR": self.work / "files"}.items():
            text = text.replace("${" + key + "}", str(value))
        self.policy.write_text(text)
        (self.work / "files").mkdir()
        self.daemon = self.start_daemon()
        self.wait("three serving nodes", 30, lambda: sum(node["state"] == "serving" for node in self.nodes()) == NODES)
        self.start_balancer()

    def start_daemon(self):
        return self.spawn("headroomd", [self.programs / "headroomd", "--config", self.policy, "--state-dir", self.work / "state",
                                        "--grpc-port", GRPC_PORT, "--http-port", HTTP_PORT])

    def start_balancer(self):
        configuration = self.work / "haproxy.cfg"
        servers = "".join(f"  server {node['node_id']} {node['address']} check port {int(node['address'].rsplit(':', 1)[1]) + 1000}\n"
                          for node in self.nodes())
        configuration.write_text((ROOT / "deploy/examples/haproxy-tcp.cfg").read_text().rstrip() + "\n" + servers)
        socket = self.work / "haproxy.sock"
        self.spawn("haproxy", ["haproxy", "-db", "-f", configuration], HEADROOM_FRONT_PORT=FRONT_PORT,
                   HEADROOM_HAPROXY_SOCKET=socket)
        self.spawn("agent", [self.programs / "headroom-agent", "--adapter", "haproxy", "--haproxy-socket", socket, "--backend", "nodes",
                             "--frontend", "front", "--controller", f"127.0.0.1:{GRPC_PORT}", "--balancer-id", "front"])
        self.wait("HAProxy to answer for the nodes", 20, self.front_answers)

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
        """Files of 2 to 30 KB, through HAProxy and the nodes' own API."""
        chance = random.Random(1)
        connection = http.client.HTTPConnection("127.0.0.1", FRONT_PORT, timeout=10)
        for number in range(OBJECTS):
            connection.request("PUT", f"/campaign/object-{number}", body=chance.randbytes(chance.randrange(2_000, 30_000)))
            answer = connection.getresponse()
            answer.read()
            if answer.status not in (200, 201, 204):
                raise DemoError(f"uploading object {number} was answered with {answer.status}")
        connection.close()

    def start_load(self, seed, seconds):
        profile = self.work / "profile.yaml"
        text = (ROOT / "tests/load/profiles/campaign.yaml").read_text()
        for phase, length in seconds.items():
            text = re.sub(rf"(name: {phase}, duration: )\d+s", rf"\g<1>{length}s", text)
        profile.write_text(text)
        return self.spawn("load", [self.programs / "headroom-load", profile, "--target", f"127.0.0.1:{FRONT_PORT}", "--seed", seed,
                                   "--json", self.work / "load.json"])

    def control(self, *words):
        """What headroomctl says, as JSON."""
        command = [self.programs / "headroomctl", "--server", f"127.0.0.1:{GRPC_PORT}", "-o", "json", *words]
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=15)
        if done.returncode != 0:
            raise DemoError(f"headroomctl {' '.join(words)}: {done.stderr.strip()}")
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

    def stop(self):
        for name, process in reversed(self.processes):
            self.end(process)
        self.stop_nodes()

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

    def stop_nodes(self):
        """Nodes outlive the controller by design; the demo ends those that it caused, by pid and command line."""
        for entry in pathlib.Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            files = str(self.work / "files").encode()
            if words[0].endswith(b"headroom-node") and any(word.endswith(files) for word in words):
                try:
                    os.kill(int(entry.name), signal.SIGKILL)
                except ProcessLookupError:
                    pass
