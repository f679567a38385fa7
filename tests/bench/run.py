#!/usr/bin/env python3
"""Headroom's figures of speed, each beside its reference in the same run. docs/benchmarks.md says what each one means.

    tests/bench/run.py [--only gate,tick,interval,requests,ingest,memory,operator,static,reaction] [--bin build/release/bin] [--out build/bench]

Prints a table and writes summary.json: [{name, ours, reference, unit, ratio, goal, met}]. Everything is bounded and on
loopback. A figure is a ratio, or a time beside its goal; a machine that is busy with other work makes them worse, so the
load is stated and a loaded run is marked. Exits 0 whether goals are met or not, 1 when something could not be measured.
"""
import argparse
import collections
import contextlib
import json
import os
import pathlib
import re
import resource
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent


class Bench:
    """The rows so far, and where the programs are."""

    def __init__(self, programs, scale):
        self.bin, self.scale, self.rows = pathlib.Path(programs), scale, []

    def program(self, name):
        return str(self.bin / name)

    def row(self, name, ours, reference, unit, goal, note="", goal_is_least=False, proves=True):
        """`proves` False: measured at less than the goal is for, so it is never met."""
        ratio = ours / reference if reference else float("inf")
        met = proves and (ratio >= goal if goal_is_least else ratio <= goal)
        self.rows.append({"name": name, "ours": round(ours, 4), "reference": round(reference, 4), "unit": unit,
                          "ratio": round(ratio, 3), "goal": goal, "met": met, **({"note": note} if note else {})})
        print(f"  {name}: {ours:.3f} beside {reference:.3f} {unit}, ratio {ratio:.2f}", file=sys.stderr)


@contextlib.contextmanager
def running(command, **options):
    """A child process with pipes, ended when the block is left."""
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options)
    try:
        yield child
    finally:
        with contextlib.suppress(BrokenPipeError):
            child.stdin.close()
        child.terminate()
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(condition, seconds, what, pause=0.002):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, ValueError):
            answer = condition()
            if answer:
                return answer
        time.sleep(pause)
    raise RuntimeError(f"waited {seconds} s in vain for {what}")


def get(port, path):
    with socket.create_connection(("127.0.0.1", port), 5) as link:
        link.sendall(f"GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while piece := link.recv(65536):
            answer += piece
    head, _, body = answer.decode().partition("\r\n\r\n")
    if " 200 " not in head.partition("\r\n")[0]:
        raise ValueError(head)
    return body or "ok"


# The gate ------------------------------------------------------------------------------------------------------------

def bench_gate(bench):
    answer = subprocess.run([bench.program("gate_bench"), "--benchmark_format=json", "--benchmark_repetitions=5",
                             "--benchmark_report_aggregates_only=true"], capture_output=True, text=True, check=True)
    median = {row["run_name"]: row["real_time"] for row in json.loads(answer.stdout)["benchmarks"]
              if row.get("aggregate_name") == "median"}
    for threads in (1, 2):
        tail = f"/real_time/threads:{threads}"
        for name in ("GateConnection", "GateRequest"):
            bench.row(f"gate: {name}, {threads} threads", median[name + tail], median["BareIncrementDecrement" + tail],
                      "ns", 3)


# A tick --------------------------------------------------------------------------------------------------------------

def bench_tick(bench):
    figures = json.loads(subprocess.run([bench.program("tick_bench")], capture_output=True, text=True,
                                        check=True).stdout)
    for day in ("calm", "surge"):
        one = figures[day]
        note = f"wall p99, best of {figures['repetitions']}; p50 {one['p50_ms']:.1f} ms"
        note += f", p99 of processor time {one['processor_p99_ms']:.1f} ms"
        bench.row(f"tick of 10,000 nodes, {day}: p99", one["p99_ms"], 10, "ms", 1, note)
    bench.row("core state a node", figures["bytes_per_node"], 20_000, "bytes", 1)


# Weeks ---------------------------------------------------------------------------------------------------------------

def bench_interval(bench):
    figures = json.loads(subprocess.run([bench.program("interval_bench")], capture_output=True, text=True,
                                        check=True).stdout)
    for tick, goal in (("minute", 15), ("second", 300)):
        one = figures[tick]
        note = (f"processor time, from {one['days']:g} days of {one['nodes_mean']:.0f} nodes; "
                f"{one['micros_per_decision']:.0f} us a decision, its reports and the model included")
        bench.row(f"30 days of a cluster, tick of a {tick}", one["seconds_for_30_days"], goal, "s", 1, note)


# Requests ------------------------------------------------------------------------------------------------------------

def bench_requests(bench):
    figures = json.loads(subprocess.run([bench.program("sim_bench")], capture_output=True, text=True,
                                        check=True).stdout)
    for name, what in (("connections", "a balancer chooses a node for each connection"),
                       ("requests", "clients choose a node for each request")):
        bench.row(f"simulated requests a second of a core: {what}", figures[name], 300_000, "1/s", 1,
                  "processor time; 12 nodes under the production loop", goal_is_least=True)


# Report ingest -------------------------------------------------------------------------------------------------------

def usage(server):
    server.stdin.write("\n")
    server.stdin.flush()
    return json.loads(server.stdout.readline())


def ingest(bench, what, nodes, per_second, seconds):
    """One run of the wire: processor seconds a report, resident bytes, and what was sent."""
    program = bench.program("ingest_bench")
    with tempfile.TemporaryDirectory() as state, running([program, "serve", what, state]) as server:
        port = server.stdout.readline().strip()
        with running([program, "report", port, str(nodes), str(per_second), str(seconds)]) as client:
            if client.stdout.readline().strip() != "begin":
                raise RuntimeError("the reporters did not begin")
            before, began = usage(server), time.monotonic()
            sent = json.loads(client.stdout.readline())
            after, took = usage(server), time.monotonic() - began
    reports = after["reports"] - before["reports"]
    cpu = after["cpu_seconds"] - before["cpu_seconds"]
    return {"micros": 1e6 * cpu / max(1, reports), "resident": after["resident_bytes"], "cores": cpu / took,
            "per_second": reports / took, "broken": sent["broken"], "late": sent["late"]}


def measured(run, per_second):
    """A run that did not carry what was asked for is no figure."""
    if run["broken"] or run["per_second"] < 0.95 * per_second:
        raise RuntimeError(f"{run['per_second']:.0f} of {per_second} reports/s arrived ({run['late']} were late), "
                           f"{run['broken']} connections broke")
    return run


def bench_ingest(bench):
    runs = {what: [] for what in ("nothing", "headroom", "untimed")}
    for _ in range(3):
        for what, found in runs.items():
            found.append(measured(ingest(bench, what, 200, 10_000, 6), 10_000))
    micros = {what: statistics.median(run["micros"] for run in found) for what, found in runs.items()}
    rate = statistics.median(run["per_second"] for run in runs["headroom"])
    note = f"{rate:.0f} reports/s over 200 connections, median of 3"
    bench.row("report ingest: server CPU a report", micros["headroom"], micros["nothing"], "us", 1.3, note)
    bench.row("report ingest, without regular ticks", micros["untimed"], micros["nothing"], "us", 1.3, note)


GOAL_NODES = 10_000


def bench_memory(bench):
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    nodes = bench.scale or GOAL_NODES
    if limit != resource.RLIM_INFINITY and limit < nodes + 1000:
        raise RuntimeError(f"{nodes} connections need {nodes + 1000} file descriptors; the hard limit is {limit} (ulimit -Hn)")
    ours, nothing = (measured(ingest(bench, what, nodes, nodes, 20), nodes) for what in ("headroom", "nothing"))
    note = f"{nodes} connections, {ours['per_second']:.0f} reports/s"
    goal = nodes >= GOAL_NODES
    bench.row("resident memory of the server", ours["resident"] / 1e6, nothing["resident"] / 1e6, "MB", 2, note, proves=goal)
    bench.row("server at 1 report/s a node", ours["cores"], 1, "cores", 1, note, proves=goal)


# Many clusters --------------------------------------------------------------------------------------------------------

CLUSTERS, NODES_OF_A_CLUSTER = 50, 200


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def calls(world):
    """How often the API server was asked, watches aside: they stay open."""
    world.stdin.write("\n")
    world.stdin.flush()
    return {what: count for what, count in json.loads(world.stdout.readline()).items() if not what.startswith("watch ")}


def bench_operator(bench):
    """One headroomd --operator on one core, each node reporting once a second."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    clusters = max(1, bench.scale // NODES_OF_A_CLUSTER) if bench.scale else CLUSTERS
    nodes = clusters * NODES_OF_A_CLUSTER
    port, http_port = free_port(), free_port()
    with tempfile.TemporaryDirectory() as state, contextlib.ExitStack() as stack:
        config = pathlib.Path(state) / "kubeconfig"
        world = stack.enter_context(running([bench.program("operator_world"), str(clusters), str(NODES_OF_A_CLUSTER), str(config)]))
        world.stdout.readline()
        log = stack.enter_context(open(pathlib.Path(state) / "log", "w"))
        daemon = stack.enter_context(running(
            ["taskset", "-c", "0", bench.program("headroomd"), "--operator", "--namespaces", "*", "--kubeconfig", str(config),
             "--state-dir", f"{state}/state", "--grpc-port", str(port), "--http-port", str(http_port)], stderr=log))
        until(lambda: metric_lines(http_port, "headroom_nodes_max{") == clusters, 120, f"{clusters} clusters to run")
        client = stack.enter_context(running(["taskset", "-c", "1", bench.program("ingest_bench"), "report", str(port), str(nodes),
                                              str(nodes), "60", str(NODES_OF_A_CLUSTER)]))
        if client.stdout.readline().strip() != "begin":
            raise RuntimeError("the reporters did not begin")
        time.sleep(20)  # leases and first decisions
        asked, used, began = sum(calls(world).values()), cpu_seconds(daemon.pid), time.monotonic()
        sent = json.loads(client.stdout.readline())
        took = time.monotonic() - began
        rate, cores = (sum(calls(world).values()) - asked) / took, (cpu_seconds(daemon.pid) - used) / took
        resident = int(pathlib.Path(f"/proc/{daemon.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    note = f"{clusters} clusters x {NODES_OF_A_CLUSTER} nodes, {resident:.0f} MB; reports late: {sent['late']}, broken: {sent['broken']}"
    proves = clusters >= CLUSTERS and not sent["broken"]
    bench.row("headroomd --operator on one core", cores, 1, "cores", 1, note, proves=proves)
    bench.row("its calls to the API server", rate, 5, "calls/s", 1, note, proves=proves)


def metric_lines(port, prefix):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        return sum(line.startswith(prefix) for line in answer.read().decode().splitlines())


# A real node ---------------------------------------------------------------------------------------------------------

Served = collections.namedtuple("Served", "port admin pid")

POLICY = """cluster: bench
mode: live
nodes: {{min: 1, max: 2, data: gateway}}
provider:
  local:
    data_dir: {data}
    initial_count: 1
    first_port: {port}
"""


@contextlib.contextmanager
def controller(bench, folder):
    """headroomd on loopback; yields its gRPC address."""
    data = folder / "data"
    data.mkdir()
    policy = folder / "policy.yaml"
    policy.write_text(POLICY.format(data=data, port=free_port()))
    ports = free_port(), free_port()
    with open(folder / "headroomd.log", "w") as log, running(
            [bench.program("headroomd"), "--config", str(policy), "--state-dir", str(folder / "state"), "--grpc-port",
             str(ports[0]), "--http-port", str(ports[1])], stderr=log):
        try:
            until(lambda: "ok" in get(ports[1], "/healthz"), 20, "headroomd")
            yield f"127.0.0.1:{ports[0]}", data
        finally:
            end_nodes(folder / "state")


def end_nodes(state):
    """Local nodes outlive their controller: the ones of this folder are ended by their process id."""
    for entry in os.listdir("/proc"):
        with contextlib.suppress(OSError, ValueError):
            command = pathlib.Path("/proc", entry, "cmdline").read_bytes().decode().split("\0")
            if command[0].endswith("headroom-node") and any(str(state) in part for part in command):
                os.kill(int(entry), 15)


@contextlib.contextmanager
def node(bench, address, data, *arguments):
    ports = free_port(), free_port()
    command = [bench.program("headroom-node"), "--data-dir", str(data), "--listen", f"127.0.0.1:{ports[0]}",
               "--admin-listen", f"127.0.0.1:{ports[1]}", "--controller", address, "--node-id", "bench-node",
               "--threads", "1", "--stop-delay", "0s", "--drain-timeout", "0.2s", *arguments]
    with tempfile.NamedTemporaryFile("w+") as log, running(command, stderr=log) as child:
        until(lambda: get(ports[1], "/readyz"), 20, "the node")
        until(lambda: "controller_found" in pathlib.Path(log.name).read_text(), 20, "its controller")
        yield Served(ports[0], ports[1], child.pid)


NGINX = """worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
events {{ worker_connections 1024; }}
http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000; client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi; server {{ listen 127.0.0.1:{port}; root {data}; }} }}
"""


def wrk(port):
    pin = ["taskset", "-c", "1"] if os.cpu_count() > 1 else []
    answer = subprocess.run([*pin, "wrk", "-t1", "-c32", "-d4s", f"http://127.0.0.1:{port}/file"], capture_output=True,
                            text=True, check=True).stdout
    if "Non-2xx" in answer or "Socket errors" in answer:
        raise RuntimeError(answer)
    return float(re.search(r"Requests/sec:\s+([\d.]+)", answer).group(1))


def pin(pid):
    subprocess.run(["taskset", "-acp", "0", str(pid)], stdout=subprocess.DEVNULL, check=True)


def bench_static(bench):
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        os.chmod(folder, 0o755)
        with controller(bench, folder) as (address, data):
            (data / "file").write_bytes(os.urandom(65536))
            config, port = folder / "nginx.conf", free_port()
            config.write_text(NGINX.format(folder=folder, port=port, data=data))
            with running(["nginx", "-c", str(config)], stderr=subprocess.DEVNULL) as nginx, node(
                    bench, address, data) as own:
                until(lambda: socket.create_connection(("127.0.0.1", port), 1).close() is None, 10, "nginx")
                # The master listens before it has a worker.
                children = pathlib.Path(f"/proc/{nginx.pid}/task/{nginx.pid}/children")
                workers = until(lambda: children.read_text().split(), 10, "nginx's worker")
                for pid in [*workers, own.pid]:
                    pin(pid)
                wrk(own.port), wrk(port)
                pairs = [(wrk(own.port), wrk(port)) for _ in range(5)]
    ours, reference = (statistics.median(side) for side in zip(*pairs))
    bench.row("GET of 64 KiB, keep-alive, beside nginx", ours, reference, "requests/s", 0.8, goal_is_least=True,
              note="median of 5 pairs; wrk -t1 -c32")


# Reaction ------------------------------------------------------------------------------------------------------------

LIMIT, BEYOND = 50, 20


def burst(port, admin):
    """Opens more connections than the limit at once, each busy for seconds: an idle one would give its slot away before
    any limit is raised. Seconds from the first that is left waiting to the raised limit in force."""
    if json.loads(get(admin, "/status"))["connection_limit"] != LIMIT:
        raise RuntimeError("the limit was raised before there was any need")
    links, began = [], []
    for _ in range(LIMIT + BEYOND):
        links.append(socket.create_connection(("127.0.0.1", port), 5))
        began.append(time.monotonic())
        links[-1].sendall(b"GET /file HTTP/1.1\r\nHost: bench\r\n\r\n")
    until(lambda: json.loads(get(admin, "/status"))["connection_limit"] > LIMIT, 10, "a raised limit")
    took = time.monotonic() - began[LIMIT]
    for link in links:
        link.close()
    return took


def bench_reaction(bench, trials=50):
    milliseconds = []
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        with controller(bench, folder) as (address, data):
            (data / "file").write_bytes(b"x" * 100)
            busy = ("--device-latency", "5s", "--connection-limit", str(LIMIT))
            for _ in range(trials):
                with node(bench, address, data, *busy) as served:  # a new boot begins with the configured limit again
                    time.sleep(1.2)  # a report and a tick: the node is known, and calm
                    milliseconds.append(1000 * burst(served.port, served.admin))
    milliseconds.sort()
    p99 = milliseconds[min(len(milliseconds) - 1, int(0.99 * len(milliseconds)))]
    bench.row("first rejection to raised limit in force: p99", p99, 250, "ms", 1,
              f"{trials} trials, p50 {statistics.median(milliseconds):.0f} ms, each up to 2 ms late by polling")


# -----------------------------------------------------------------------------------------------------------------------

BENCHES = {"gate": bench_gate, "tick": bench_tick, "interval": bench_interval, "requests": bench_requests,
           "ingest": bench_ingest, "memory": bench_memory, "operator": bench_operator,
           "static": bench_static, "reaction": bench_reaction}


def busy_share():
    """Share of the processors that others use right now."""
    def read():
        fields = [int(field) for field in open("/proc/stat").readline().split()[1:]]
        return sum(fields), fields[3] + fields[4]
    (total, idle), _ = read(), time.sleep(1)
    total_now, idle_now = read()
    return 1 - (idle_now - idle) / max(1, total_now - total)


def print_table(rows):
    width = max(len(row["name"]) for row in rows)
    print(f"\n{'figure':{width}}  {'ours':>10}  {'reference':>10}  {'unit':10}  {'ratio':>6}  {'goal':>6}  met")
    for row in rows:
        print(f"{row['name']:{width}}  {row['ours']:10.2f}  {row['reference']:10.2f}  {row['unit']:10}  "
              f"{row['ratio']:6.2f}  {row['goal']:6.2f}  {'yes' if row['met'] else 'NO'}"
              + (f"  ({row['note']})" if row.get("note") else ""))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(BENCHES), help="some of: " + ",".join(BENCHES))
    parser.add_argument("--bin", default=str(ROOT / "build/release/bin"))
    parser.add_argument("--out", default=str(ROOT / "build/bench"))
    parser.add_argument("--connections", type=int, default=0, help="of the memory figure; with fewer than the default of 10,000 its goals are not met")
    options = parser.parse_args()
    names = options.only.split(",")
    if unknown := [name for name in names if name not in BENCHES]:
        parser.error("no such figure: " + ", ".join(unknown))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was started is ended then too
    bench, failed = Bench(options.bin, options.connections), []
    busy = busy_share()
    loaded = busy > 0.15
    print(f"{os.cpu_count()} processors, {100 * busy:.0f} % busy with other work before the run, load "
          f"{os.getloadavg()[0]:.1f}" + (": LOADED, these figures are worse than the machine's own" if loaded else ""))
    for name in names:
        began = len(bench.rows)
        try:
            BENCHES[name](bench)
        except (OSError, RuntimeError, subprocess.SubprocessError, KeyError, ValueError) as error:
            failed.append(name)
            print(f"  {name}: could not be measured: {error}", file=sys.stderr)
        for row in bench.rows[began:]:
            row["loaded"] = loaded
    out = pathlib.Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    (out / "summary.json").write_text(json.dumps(bench.rows, indent=1) + "\n")
    if bench.rows:
        print_table(bench.rows)
    print(f"\nwritten: {out / 'summary.json'}" + (f"; not measured: {', '.join(failed)}" if failed else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
