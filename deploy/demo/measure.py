"""What the demo measures: the nodes' own counters four times a second, the controller's decisions, the clients' outcomes."""

import datetime
import http.client
import json
import os
import threading
import time
import urllib.error

import cluster

PROGRAMS = {"headroomd", "headroom-node", "headroom-agent", "headroom-load", "haproxy"}
SURGE_CAUSE = "limit_exhausted_by_surge"
NO_CAUSE = {"none", "cannot_tell"}
MACHINE_BUSY = 0.85  # from here on the machine itself may be what clients wait for
OK, MISSED, NOT_PROVEN = "ok", "missed", "not proven"


def cpu_times():
    with open("/proc/stat") as stat:
        numbers = [int(word) for word in stat.readline().split()[1:]]
    return sum(numbers[:8]), numbers[3] + numbers[4]


def own_cpu_seconds():
    """CPU time of the demo's own processes: those of its programs in its network namespace."""
    ours, total = os.readlink("/proc/self/ns/net"), 0
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            with open(f"{entry.path}/stat") as stat:
                name, _, rest = stat.read().partition("(")[2].rpartition(")")
            if name in PROGRAMS and os.readlink(f"{entry.path}/ns/net") == ours:
                fields = rest.split()
                total += int(fields[11]) + int(fields[12])
        except OSError:
            continue
    return total / os.sysconf("SC_CLK_TCK")


class Watch(threading.Thread):
    """Samples every node's admin port and the machine's CPU. Each answer carries the time at which it was there."""

    def __init__(self, demo):
        super().__init__(daemon=True)
        self.demo = demo
        self.samples = []  # {"at", "cpu", "own_cpu_s", "nodes": {id: {at, open, active, waiting, limit, rejected}}}
        self.ended = threading.Event()
        self.admin_ports = {}
        # On its own: asking the controller takes longer than a sample may be late.
        self.lister = threading.Thread(target=self.keep_listing, daemon=True)

    def run(self):
        self.lister.start()
        last_cpu, answers = cpu_times(), {}
        while not self.ended.wait(0.25):
            answers = self.ask_nodes(answers)
            busy = cpu_times()
            total, idle = busy[0] - last_cpu[0], busy[1] - last_cpu[1]
            last_cpu = busy
            self.samples.append({"at": time.time(), "cpu": 1 - idle / total if total else 0, "own_cpu_s": own_cpu_seconds(),
                                 "nodes": answers})

    def keep_listing(self):
        while not self.ended.wait(1):
            self.list_nodes()

    def list_nodes(self):
        ports = {node["node_id"]: cluster.admin_port(node) for node in self.demo.nodes()
                 if node.get("address") and not node.get("hypothetical")}
        if ports:  # none at all: the controller did not answer
            self.admin_ports = ports

    def ask_nodes(self, before):
        answers = {}
        for node, port in self.admin_ports.items():
            answer = self.ask_node(port, before.get(node))
            if answer is not None:
                answers[node] = answer
        return answers

    def ask_node(self, port, before):
        """None: it is gone. One that is only slow is as it was."""
        try:
            status = self.demo.node_status(port)
        except (OSError, ValueError, http.client.HTTPException) as error:
            return None if is_refused(error) else before
        return {"at": time.time(), **{key: status[field] for key, field in
                                      {"open": "open", "active": "active", "waiting": "waiting", "limit": "connection_limit",
                                       "rejected": "rejected"}.items()}}

    def now(self):
        if not self.samples:
            return ""
        nodes = self.samples[-1]["nodes"].values()
        return (f"nodes {len(nodes)}  connections {sum(n['open'] for n in nodes)} of {sum(n['limit'] for n in nodes)}"
                f"  waiting {sum(n['waiting'] for n in nodes)}")

    def stop(self):
        self.ended.set()
        self.join(5)


def is_refused(error):
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    return isinstance(reason, ConnectionRefusedError)


def timestamp(text):
    whole, _, fraction = text.rstrip("Z").partition(".")
    moment = datetime.datetime.fromisoformat(whole).replace(tzinfo=datetime.timezone.utc)
    return moment.timestamp() + (float("0." + fraction) if fraction else 0)


def decisions_of(demo):
    """All decisions, oldest first."""
    return list(reversed(demo.control("decisions", "--all", "--count", "20000").get("decisions", [])))


def first(times, begin):
    return next((round(at - begin, 2) for at in times if at >= begin), None)


def evaluate(name, demo, watch, seconds):
    load = json.loads((demo.work / "load.json").read_text())
    if load["void"]:
        raise cluster.VoidError(f"the generator itself was late: {'; '.join(load['void_reasons'])}")
    began = load["started_at"]
    surge = began + seconds["base"]
    samples = [sample for sample in watch.samples if sample["at"] >= began]
    decisions = [(timestamp(decision["time"]), decision) for decision in decisions_of(demo)]
    decisions = [(at, decision) for at, decision in decisions if at >= began]
    phases = {item["name"]: item for item in load["phases"]}
    in_surge = [sample for sample in samples if surge <= sample["at"] < surge + seconds["surge"]]
    if len(in_surge) < 2:
        raise cluster.DemoError(f"the nodes could be looked at only {len(in_surge)} times in the surge: this machine is too busy")
    spent = (in_surge[-1]["own_cpu_s"] - in_surge[0]["own_cpu_s"]) / (in_surge[-1]["at"] - in_surge[0]["at"]) / os.cpu_count()
    changes = limit_changes(samples)
    # In a dry run the controller counts its shadow fleet too; what serves really is what has an address.
    serving = [(at, decision.get("serving_count", 0)) for at, decision in decisions if name == "live"]
    counts = [len(sample["nodes"]) for sample in samples]
    result = {
        "requests": load["requests"], "failed": load["failed"], "failed_ratio": round(load["failed_ratio"], 6),
        "surge_failed_ratio": round(phases["surge"]["failed_ratio"], 6), "after_failed": phases["after"]["failed"], "p50_ms": load["p50_ms"], "p99_ms": load["p99_ms"],
        "over_250ms": load["over_250ms"], "seconds_over_objective": load["seconds_over_objective"],
        "failures": {key: value for key, value in load["failures"].items() if value},
        "first_rejection_s": first(rejections(samples), surge),
        "first_limit_change_s": first([at for at, _, before, now in changes if now > before], surge),
        "first_node_serving_s": first([at for at, count in serving if count > cluster.NODES], surge),
        "relief_s": load["relief_s"] if load["failed"] else 0,
        "node_seconds": round(sum(counts) * (samples[-1]["at"] - samples[0]["at"]) / len(samples), 1),
        "limit_changes": len(changes), "nodes_peak": max(counts), "nodes_end": counts[-1],
        "limits_end": {node: values["limit"] for node, values in sorted(samples[-1]["nodes"].items())},
        "limits_begin": limits_begin(samples),
        "cpu_in_surge": round(spent, 3), "machine_cpu_in_surge": round(sum(sample["cpu"] for sample in in_surge) / len(in_surge), 3),
        "generator_lag_max_ms": load["lag_max_ms"], "stale_retries": load["stale_retries"],
        "diagnosis": diagnosis(decisions, surge),
    }
    result["series"] = series(load, samples, decisions, began)
    return result


def rejections(samples):
    """Times at which a node's count of connections not admitted had grown."""
    last = {}
    for sample in samples:
        for node, values in sample["nodes"].items():
            if values["rejected"] > last.get(node, values["rejected"]):
                yield values["at"]
            last[node] = values["rejected"]


def limit_changes(samples):
    """Changes of limits in force at the nodes themselves, whoever made them: when, at which node, from what to what."""
    last, found = {}, []
    for sample in samples:
        for node, values in sample["nodes"].items():
            if values["limit"] != last.get(node, values["limit"]):
                found.append((values["at"], node, last[node], values["limit"]))
            last[node] = values["limit"]
    return found


def limits_begin(samples):
    """The limits of the first sample that has all nodes: the first of all may come before they are known."""
    whole = next((sample for sample in samples if len(sample["nodes"]) >= cluster.NODES), samples[0])
    return {node: values["limit"] for node, values in sorted(whole["nodes"].items())}


def diagnosis(decisions, surge):
    """The first diagnosis since the surge began that names the surge, what was named wrongly before it (the surge too, as
    long as there was none), and what else was ever named."""
    causes = [(at, d["diagnosis"]) for at, d in decisions if d.get("diagnosis", {}).get("cause", "none") not in NO_CAUSE]
    named = next(((at, found) for at, found in causes if at >= surge and found["cause"] == SURGE_CAUSE), None)
    others = sorted({found["cause"] for _, found in causes} - {SURGE_CAUSE})
    wrong = {found["cause"] for at, found in causes if at < surge}
    if named is None:
        return {"code": others[0] if others else "none", "sentence": "", "at_s": None, "ruled_out": {}, "remedy": "",
                "wrong_before": sorted(wrong | set(others)), "other_causes_named": others}
    at, found = named
    wrong |= {other["cause"] for when, other in causes if surge <= when < at}
    return {"code": found["cause"], "sentence": found["reason"]["text"], "at_s": round(at - surge, 2),
            "ruled_out": {reason["code"]: reason["text"] for reason in found.get("ruled_out", [])},
            "remedy": found.get("remedy", {}).get("text", ""), "wrong_before": sorted(wrong), "other_causes_named": others}


def series(load, samples, decisions, began):
    keep = samples[::2]
    return {
        "seconds": [row["second"] for row in load["series"]],
        "offered": [row["offered"] for row in load["series"]],
        "failed": [row["failed"] for row in load["series"]],
        "p99_ms": [row["p99_ms"] for row in load["series"]],
        "at": [round(sample["at"] - began, 2) for sample in keep],
        "nodes": {node: {key: [sample["nodes"].get(node, {}).get(key) for sample in keep] for key in ("open", "limit", "waiting")}
                  for node in sorted({node for sample in samples for node in sample["nodes"]})},
        "decisions": [{"at": round(at - began, 2), "text": action["reason"]["text"], "kind": action["kind"]}
                      for at, decision in decisions for action in decision.get("actions", [])
                      if action["kind"] not in ("list", "set_servers") and action["reason"]["code"] != "limit_renewed"],
    }


def cpu_check(form, dry):
    """A surge that fails on a busy machine proves nothing about limits. The short form says so; the full one is missed."""
    ours, machine = dry["cpu_in_surge"], dry["machine_cpu_in_surge"]
    text = f"dry run: nothing waits for processors ({100 * machine:.0f} % of the machine is in use in the surge, {100 * ours:.0f} % by the demo)"
    if ours < 0.5 and machine >= MACHINE_BUSY:
        return {"text": f"{text}: not proven, the machine was busy with other work", "verdict": NOT_PROVEN if form == "short" else MISSED}
    return {"text": text, "verdict": OK if ours < 0.5 else MISSED}


def check(form, passes):
    """The demo's own promises; each is said with its numbers."""
    checks = []

    def expect(text, ok):
        checks.append({"text": text, "verdict": OK if ok else MISSED})

    dry, live = passes.get("dry_run"), passes.get("live")
    if dry:
        expect(f"dry run: at least 20 % of the surge's requests fail ({100 * dry['surge_failed_ratio']:.1f} %)", dry["surge_failed_ratio"] >= 0.2)
        checks.append(cpu_check(form, dry))
        expect(f"dry run: nothing is touched ({dry['limit_changes']} limit changes, {dry['nodes_peak']} nodes at most)",
               dry["limit_changes"] == 0 and dry["nodes_peak"] == cluster.NODES)
        named, rejected = dry["diagnosis"]["at_s"], dry["first_rejection_s"]
        quick = named is not None and rejected is not None and named - rejected <= 5
        expect(f"dry run: the cause is named within 5 s of the first rejection (rejection {rejected} s, named {named} s)", quick)
        wrong = dry["diagnosis"]["wrong_before"]
        expect(f"dry run: no cause is named wrongly before it ({', '.join(wrong) or 'none'})", not wrong)
        wanted = {"not_bad_deploy", "not_network", "not_software"}
        expect(f"dry run: deploy, network and software are ruled out ({', '.join(sorted(dry['diagnosis']['ruled_out']))})",
               wanted <= set(dry["diagnosis"]["ruled_out"]))
    if live:
        bound = 0.01 if form == "short" else 0.001
        expect(f"live: at most {100 * bound:g} % of all requests fail ({live['failed']} of {live['requests']})", live["failed_ratio"] <= bound)
    if live and form == "full":
        expect(f"live: relief within 2 s ({live['relief_s']} s)", live["relief_s"] is not None and live["relief_s"] <= 2)
        expect(f"live: nodes were added and are back ({live['nodes_peak']} at the peak, {live['nodes_end']} at the end)",
               live["nodes_peak"] > cluster.NODES and live["nodes_end"] == cluster.NODES)
        expect(f"live: no request fails on the way back, with its drains ({live['after_failed']} failed, {live['stale_retries']} "
               "met a connection that was just closed and were sent again)", live["after_failed"] == 0)
        expect(f"live: limits are back where they began ({live['limits_end']})", live["limits_end"] == live["limits_begin"])
    return checks
