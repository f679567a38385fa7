"""Programs of a test: started with their output in a file, ended by process id whatever happens."""

import ctypes
import os
import signal
import socket
import subprocess

PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None, use_errno=True)


class PeerError(Exception):
    """Something that the person who runs the tests should read."""


def die_with_parent():
    """So that nothing stays behind even if this process is killed at once."""
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def free_ports(count):
    """Ports that nobody listens on now, all different."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


class Processes:
    def __init__(self, work):
        self.work = work
        self.running = []

    def spawn(self, name, command, **environment):
        with open(self.work / f"{name}.log", "ab") as log:
            process = subprocess.Popen([str(word) for word in command], stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                       env={**os.environ, **{key: str(value) for key, value in environment.items()}},
                                       preexec_fn=die_with_parent)
        process.name = name
        self.running.append(process)
        return process

    def log(self, process):
        return (self.work / f"{process.name}.log").read_text(errors="replace")

    def check(self, process):
        """An error with its last words when it has ended."""
        if process.poll() is not None:
            last = self.log(process).strip().splitlines()[-1:]
            raise PeerError(f"{process.name} ended with {process.returncode}: {' '.join(last)}")

    def end(self, process, patience=10):
        """SIGTERM, and SIGKILL where that does not help. Returns its exit code."""
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.terminate()
            try:
                process.wait(patience)
            except subprocess.TimeoutExpired:
                process.kill()
        process.wait()
        self.running = [other for other in self.running if other is not process]
        return process.returncode

    def kill(self, process):
        process.kill()
        process.wait()
        self.running = [other for other in self.running if other is not process]

    def end_all(self):
        for process in reversed(list(self.running)):
            self.end(process, patience=5)
