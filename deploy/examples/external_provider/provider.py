#!/usr/bin/env python3
"""A provider of your own for Headroom: machines are processes here, and could be anything.

It serves headroom.v1.ProviderService (proto/headroom/v1/provider.proto) and shows what such a service must keep to: the
same action is the same machine, over kill -9 too; what is gone is gone; an older term is refused; one sentence says why not.

    apt install python3-grpcio python3-protobuf protobuf-compiler
    protoc -I proto --python_out=. headroom/v1/provider.proto          # once; makes headroom/v1/provider_pb2.py
    PYTHONPATH=. deploy/examples/external_provider/provider.py --listen 127.0.0.1:7700 --state-dir machines -- \\
        headroom-node --node-id {node} --controller 127.0.0.1:7600 --data-dir /srv/headroom \\
        --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0

{node} in the command becomes the node's id. Machines outlive this program and are found again by its next run.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

try:
    import grpc
    from headroom.v1 import provider_pb2 as pb
except ImportError as error:
    sys.exit(f"provider.py: {error}; its head says how to begin (provider.py --help needs it, too)")

GRACE_SECONDS = 10  # from SIGTERM to SIGKILL
MARK = "HEADROOM_MACHINE"  # in the environment of a machine, with its node's id


class Refusal(Exception):
    """An answer that is none: a code, which says what to do, and one sentence."""

    def __init__(self, code, sentence):
        super().__init__(sentence)
        self.code, self.sentence = code, sentence


class Machines:
    """The table of machines, on disk before anything is done. One lock: a machine takes milliseconds to start."""

    def __init__(self, folder, command, places):
        self.path = folder / "machines.json"
        self.folder, self.command, self.places = folder, command, places
        self.lock = threading.Lock()
        self.children = {}  # those of this run, which must be waited for
        folder.mkdir(parents=True, exist_ok=True)
        known = json.loads(self.path.read_text()) if self.path.exists() else {}
        # By action id, of those that are gone too: the node's id, and whether it was ever started.
        self.launches = known.get("launches", {})
        self.term, self.next = known.get("term", 0), known.get("next", 1)

    def save(self):
        new = self.path.with_suffix(".new")
        with open(new, "w") as file:
            json.dump({"launches": self.launches, "term": self.term, "next": self.next}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, self.path)

    def processes(self):
        """Process ids of machines that run, by node id: the mark in their environment is the proof."""
        for node, child in list(self.children.items()):
            if child.poll() is not None:
                del self.children[node]
        found = {}
        for entry in pathlib.Path("/proc").iterdir():
            try:
                variables = (entry / "environ").read_bytes().split(b"\0") if entry.name.isdigit() else []
            except OSError:
                continue  # it has ended, or is not ours
            ours = f"{MARK}={self.folder.resolve()}:".encode()
            for variable in variables:
                if variable.startswith(ours):
                    found.setdefault(variable[len(ours):].decode(), []).append(int(entry.name))
        return found

    def check_term(self, term):
        if term < self.term:
            raise Refusal(grpc.StatusCode.FAILED_PRECONDITION,
                          f"a controller of term {self.term} acts on these machines; this one has term {term}")
        if term > self.term:
            self.term = term
            self.save()

    def fence(self, term):
        with self.lock:
            if term > self.term:
                self.term = term
                self.save()
            return self.term

    def list(self):
        with self.lock:
            actions = {launch["node"]: action for action, launch in self.launches.items()}
            return [(node, actions.get(node, "")) for node in sorted(self.processes())]

    def launch(self, action, term):
        if not action:
            raise Refusal(grpc.StatusCode.INVALID_ARGUMENT, "a launch needs the id of its action")
        with self.lock:
            self.check_term(term)
            running = self.processes()
            launch = self.launches.get(action)
            if launch is None:
                if len(running) >= self.places:
                    raise Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED,
                                  f"all {self.places} places are taken; --machines-max gives more")
                launch = self.launches[action] = {"node": f"machine-{self.next}", "started": False}
                self.next += 1
                self.save()  # first: who is killed here finds it, and starts it when it is asked again
            if not launch["started"]:
                if launch["node"] not in running:
                    self.start(launch["node"])
                launch["started"] = True
                self.save()
            return launch["node"]

    def start(self, node):
        environment = dict(os.environ, **{MARK: f"{self.folder.resolve()}:{node}"})
        command = [word.replace("{node}", node) for word in self.command]
        try:
            with open(self.folder / f"{node}.log", "ab") as log:
                self.children[node] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                                       env=environment, start_new_session=True)
        except OSError as error:
            raise Refusal(grpc.StatusCode.FAILED_PRECONDITION, f"cannot start {command[0]}: {error.strerror}") from error

    def terminate(self, node, term, seconds):
        with self.lock:
            self.check_term(term)
        ends = time.monotonic() + min(seconds, 3600)
        kills = time.monotonic() + GRACE_SECONDS
        asked = False
        while True:
            with self.lock:
                pids = self.processes().get(node, [])
            if not pids:
                return
            late = time.monotonic() > kills
            for pid in pids if late or not asked else []:
                try:
                    os.kill(pid, signal.SIGKILL if late else signal.SIGTERM)
                except ProcessLookupError:
                    pass
            asked = True
            if time.monotonic() > ends:
                raise Refusal(grpc.StatusCode.DEADLINE_EXCEEDED, f"{node} is still ending")
            time.sleep(0.05)


class Service:
    """headroom.v1.ProviderService over the table."""

    def __init__(self, machines):
        self.machines = machines

    def GetCapabilities(self, request, context):
        return pb.GetCapabilitiesResponse(named_termination=True, zones=False, fenced=True, evacuates=False)

    def Fence(self, request, context):
        return pb.FenceResponse(term=self.machines.fence(request.term))

    def ListMachines(self, request, context):
        return pb.ListMachinesResponse(machines=[
            pb.ProviderMachine(node_id=node, state=pb.MACHINE_STATE_RUNNING, action_id=action)
            for node, action in self.machines.list()
        ])

    def LaunchMachine(self, request, context):
        return pb.LaunchMachineResponse(node_id=self.machines.launch(request.action_id, request.term))

    def TerminateMachine(self, request, context):
        left = context.time_remaining()
        self.machines.terminate(request.node_id, request.term, 30 if left is None else max(0, left - 0.2))
        return pb.TerminateMachineResponse()


def handler_of(service, name):
    """One method as gRPC wants it. grpcio-tools would write this down; it is not needed for so little."""

    def call(request, context):
        try:
            return getattr(service, name)(request, context)
        except Refusal as refusal:
            return context.abort(refusal.code, refusal.sentence)

    return grpc.unary_unary_rpc_method_handler(
        call, request_deserializer=getattr(pb, f"{name}Request").FromString,
        response_serializer=getattr(pb, f"{name}Response").SerializeToString)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--listen", default="127.0.0.1:7700", help="ADDRESS:PORT or unix:PATH; port 0: any, printed")
    parser.add_argument("--state-dir", type=pathlib.Path, required=True, help="folder of the table and of machines' output")
    parser.add_argument("--machines-max", type=int, default=16)
    parser.add_argument("command", nargs="+", help="of a machine; {node} becomes its node's id")
    options = parser.parse_args()
    service = Service(Machines(options.state_dir, options.command, options.machines_max))
    names = [name for name in vars(Service) if not name.startswith("_")]
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(max_workers=16))
    server.add_generic_rpc_handlers([
        grpc.method_handlers_generic_handler("headroom.v1.ProviderService",
                                             {name: handler_of(service, name) for name in names})
    ])
    port = server.add_insecure_port(options.listen)
    server.start()
    host = options.listen if options.listen.startswith("unix:") else f"{options.listen.rpartition(':')[0]}:{port}"
    print(f"listening on {host}", flush=True)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    ended.wait()
    server.stop(grace=1).wait()


if __name__ == "__main__":
    main()
