#!/usr/bin/env python3
"""headroomd with a platform behind gRPC: the example in Python, whose machines are real storage nodes. Both are killed."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys

import cluster_case as case

PYTHON = os.environ.get("HEADROOM_PYTHON", "")
PROTO = os.environ.get("HEADROOM_PYTHON_PROTO", "")
MISSING = "the example of an external provider: apt install python3-grpcio python3-protobuf"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class ExternalProviderTest(case.ClusterCase):
    def setUp(self):
        super().setUp()
        self.ports = {name: free_port() for name in ("provider", "grpc", "http")}
        self.data = self.work / "data"
        self.data.mkdir()
        policy = (case.ROOT / "deploy/examples/external.yaml").read_text()
        for old, new in {"127.0.0.1:7700": f"127.0.0.1:{self.ports['provider']}", "mode: dry_run": "mode: live"}.items():
            self.assertIn(old, policy)
            policy = policy.replace(old, new)
        (self.work / "policy.yaml").write_text(policy)
        self.running = {}
        self.addCleanup(self.end_all)

    def end_all(self):
        for process in self.running.values():
            process.kill()
            process.wait()
        for pid in self.machines().values():
            os.kill(pid, signal.SIGKILL)

    def run_program(self, name, command, **variables):
        log = open(self.work / f"{name}.log", "ab")
        self.addCleanup(log.close)
        self.running[name] = subprocess.Popen([str(word) for word in command], stdout=log, stderr=log,
                                              env=dict(os.environ, **variables))

    def run_provider(self):
        node = [case.PROGRAMS / "headroom-node", "--node-id", "{node}", "--controller", f"127.0.0.1:{self.ports['grpc']}",
                "--data-dir", self.data, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--stop-delay", "0"]
        self.run_program("provider", [PYTHON, case.ROOT / "deploy/examples/external_provider/provider.py", "--listen",
                                      f"127.0.0.1:{self.ports['provider']}", "--state-dir", self.work / "machines", "--", *node],
                         PYTHONPATH=PROTO)

    def run_daemon(self):
        self.run_program("headroomd", [case.PROGRAMS / "headroomd", "--config", self.work / "policy.yaml", "--state-dir",
                                       self.work / "state", "--grpc-port", self.ports["grpc"], "--http-port", self.ports["http"]])

    def kill(self, name):
        self.running[name].kill()
        self.running.pop(name).wait()

    def control(self, *words):
        done = subprocess.run([case.PROGRAMS / "headroomctl", "--server", f"127.0.0.1:{self.ports['grpc']}", "-o", "json", *words],
                              capture_output=True, text=True, timeout=15)
        return case.cluster.snake_keys(json.loads(done.stdout)) if done.returncode == 0 else {}

    def serving(self):
        return sorted(node["node_id"] for node in self.control("nodes").get("nodes", []) if node["state"] == "serving")

    def machines(self):
        """Processes by node id, as the machine itself says."""
        mark = f"HEADROOM_MACHINE={(self.work / 'machines').resolve()}:".encode()
        found = {}
        for entry in pathlib.Path("/proc").iterdir():
            try:
                variables = (entry / "environ").read_bytes().split(b"\0") if entry.name.isdigit() else []
            except OSError:
                continue
            found.update({word[len(mark):].decode(): int(entry.name) for word in variables if word.startswith(mark)})
        return found

    def override(self, count):
        self.eventually("the override", lambda: self.control("override", "--nodes", str(count), "--reason", "a test"))

    def test_it_grows_and_shrinks_through_deaths_of_both_sides(self):
        self.run_provider()
        self.run_daemon()
        self.eventually("the first two nodes", lambda: len(self.serving()) == 2, 30)

        self.kill("provider")
        self.override(4)
        self.eventually("the word that the provider is away",
                        lambda: "result=UNAVAILABLE" in (self.work / "headroomd.log").read_text(), 30)
        self.kill("headroomd")
        self.run_provider()
        self.run_daemon()
        self.eventually("four nodes", lambda: len(self.serving()) == 4, 60)
        four = self.machines()
        self.assertEqual(sorted(four), self.serving(), "every machine is a node that serves: none was launched twice")

        self.kill("headroomd")
        self.kill("provider")
        self.run_provider()
        self.run_daemon()
        self.eventually("four nodes again", lambda: len(self.serving()) == 4, 30)
        self.assertEqual(self.machines(), four, "they have outlived both")

        self.override(2)
        self.eventually("two nodes", lambda: len(self.machines()) == 2, 60)
        left = self.machines()
        self.assertLessEqual(left.items(), four.items(), "those that stay are the same processes")
        self.assertEqual(self.eventually("both of them", lambda: len(self.serving()) == 2 and self.serving()), sorted(left))
        decisions = self.control("decisions", "--all", "--count", "20000")["decisions"]
        asked = [(action["kind"], action["node_id"]) for action in case.actions(reversed(decisions), "drain", "terminate")]
        for node in set(four) - set(left):
            self.assertLess(asked.index(("drain", node)), asked.index(("terminate", node)))
            self.assertIn("event=stopped", (self.work / "machines" / f"{node}.log").read_text(), "it ended in order")


if __name__ == "__main__":
    if not PROTO:
        print(f"NOT MEASURED: {MISSING}")
        sys.exit(0)
    case.main()
