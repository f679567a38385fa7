"""A real etcd from Debian's package: one member or several on loopback, each of which can be stopped, frozen and started again."""

import shutil
import signal
import time
import urllib.error
import urllib.request

from processes import PeerError, Processes, free_ports

PROGRAM = "etcd"
MISSING = "etcd is missing: install Debian's packages etcd-server and etcd-client"


def is_there():
    return shutil.which(PROGRAM) is not None


class EtcdCluster:
    """`addresses`: one loopback address for each member (127.0.0.1 for all where nothing is to be partitioned).
    Heartbeats of 100 ms and elections after 1 s, etcd's own defaults. Data lies in `work`."""

    def __init__(self, work, count=3, addresses=None):
        self.processes = Processes(work)
        self.work, self.count = work, count
        self.addresses = addresses or ["127.0.0.1"] * count
        ports = free_ports(2 * count)
        self.client_ports, self.peer_ports = ports[:count], ports[count:]
        self.members = [None] * count

    @property
    def endpoints(self):
        return [f"{address}:{port}" for address, port in zip(self.addresses, self.client_ports)]

    def start(self, patience=30):
        for member in range(self.count):
            self.start_member(member)
        self.wait_for_leader(patience)
        return self

    def start_member(self, member):
        """Anew with an empty folder, or where it was."""
        def peer(number):
            return f"http://{self.addresses[number]}:{self.peer_ports[number]}"
        client = f"http://{self.endpoints[member]}"
        self.members[member] = self.processes.spawn(f"etcd-{member}", [
            PROGRAM, "--name", f"m{member}", "--data-dir", self.work / f"etcd-{member}", "--unsafe-no-fsync",
            "--listen-client-urls", client, "--advertise-client-urls", client,
            "--listen-peer-urls", peer(member), "--initial-advertise-peer-urls", peer(member),
            "--initial-cluster", ",".join(f"m{number}={peer(number)}" for number in range(self.count)),
            "--log-level", "warn", "--logger", "zap"])

    def healthy(self, member):
        try:
            with urllib.request.urlopen(f"http://{self.endpoints[member]}/health", timeout=2) as answer:
                return b'"true"' in answer.read()
        except (OSError, urllib.error.URLError):
            return False

    def wait_for_leader(self, patience=30):
        deadline = time.monotonic() + patience
        while not any(self.healthy(member) for member in range(self.count) if self.members[member] is not None):
            for member in self.members:
                if member is not None:
                    self.processes.check(member)
            if time.monotonic() > deadline:
                raise PeerError(f"etcd has no leader after {patience} s; its logs are in {self.work}")
            time.sleep(0.1)

    def leader(self):
        """The number of the member that says so; None: nobody does."""
        for member in range(self.count):
            try:
                with urllib.request.urlopen(f"http://{self.endpoints[member]}/metrics", timeout=2) as answer:
                    if b"\netcd_server_is_leader 1\n" in answer.read():
                        return member
            except (OSError, urllib.error.URLError):
                continue
        return None

    def kill(self, member):
        self.processes.kill(self.members[member])
        self.members[member] = None

    def freeze(self, member):
        self.members[member].send_signal(signal.SIGSTOP)

    def thaw(self, member):
        self.members[member].send_signal(signal.SIGCONT)

    def stop(self):
        self.processes.end_all()
