#!/usr/bin/env python3
"""Replays the outage on real processes: once with Headroom looking on (dry run), once with Headroom acting (live).

A small real cluster on this machine: HAProxy in mode tcp, three headroom-node file servers over one shared folder,
headroomd with its local provider, headroom-agent beside HAProxy, and headroom-load as a campaign's clients. Both passes
see the same requests (same seed). Writes build/demo/report.json and build/demo/report.html.

Examples:
  deploy/demo/demo.py                 both passes and the way back, under 5 minutes
  deploy/demo/demo.py --form short    both passes of the surge only, under 100 seconds
  deploy/demo/demo.py --seed 7        other arrivals
  deploy/demo/demo.py --runs 3        three runs one after the other; the report is of the median one, with all medians
"""

import argparse
import json
import pathlib
import shutil
import signal
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cluster  # noqa: E402
import measure  # noqa: E402
import page  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
FORMS = {  # seconds of each phase of the load, and how long the live pass may take to come back
    "full": {"base": 10, "surge": 30, "after": 80},
    "short": {"base": 8, "surge": 18, "after": 6},
}


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--form", choices=sorted(FORMS), default="full", help="full (default) or short")
    parser.add_argument("--seed", type=int, default=1, help="seed of the arrivals (default 1)")
    parser.add_argument("--runs", type=int, choices=range(1, 10), default=1, help="how many runs (default 1)")
    parser.add_argument("--chart", type=pathlib.Path, help="also write the chart of connections as one SVG file")
    parser.add_argument("--passes", default="dry_run,live", help="which passes, in order (default dry_run,live)")
    parser.add_argument("--bin", type=pathlib.Path, default=ROOT / "build/release/bin", help="folder of the programs")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "build/demo", help="folder of the report")
    return parser.parse_args()


def say(text):
    print(text, flush=True)


def end_with_processes():
    """SIGTERM and SIGHUP end the demo as an exception does: with all that it has started. Once; the way out is not cut short."""
    def leave(number, _frame):
        for each in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(each, signal.SIG_IGN)
        sys.exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)


def run(number, arguments, seconds):
    """All passes once: their measurements by name."""
    work = arguments.out / f"run-{number}" if arguments.runs > 1 else arguments.out
    if arguments.runs > 1:
        say(f"run {number} of {arguments.runs}")
    return {name: try_pass(name, arguments, seconds, work / name) for name in arguments.passes.split(",")}


def try_pass(name, arguments, seconds, work):
    """A pass whose generator was late says nothing: it is repeated once, and the report says so."""
    try:
        return {**run_pass(name, arguments, seconds, work), "void_before": ""}
    except cluster.VoidError as error:
        say(f"  {name}: void, {error}: once more")
        return {**run_pass(name, arguments, seconds, work), "void_before": str(error)}


def median_run(runs):
    """The run in the middle, by the share of failed requests, then relief, then p99, of the last pass (live)."""
    def rank(passes):
        last = list(passes.values())[-1]
        return last["failed_ratio"], float("inf") if last["relief_s"] is None else last["relief_s"], last["p99_ms"]
    return sorted(runs, key=rank)[(len(runs) - 1) // 2]


def medians(runs):
    """Of every figure that is a number in each run, by pass."""
    def median(name, key):
        values = [passes[name][key] for passes in runs]
        numbers = [value for value in values if isinstance(value, (int, float))]
        return statistics.median(numbers) if len(numbers) == len(values) else None
    found = {name: {key: median(name, key) for key in one} for name, one in runs[0].items()}
    return {name: {key: value for key, value in one.items() if value is not None} for name, one in found.items()}


def without_series(passes):
    return {name: {key: value for key, value in one.items() if key != "series"} for name, one in passes.items()}


def run_pass(name, arguments, seconds, work):
    """One pass from clean processes; returns its measurements."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    with cluster.Cluster(work, arguments.bin, mode=name) as demo:
        say(f"  {name}: 3 nodes, HAProxy, headroomd and its agent are starting")
        demo.start()
        demo.upload()
        say(f"  {name}: files uploaded through the API; the load begins")
        watch = measure.Watch(demo)
        watch.start()
        load = demo.start_load(arguments.seed, cluster.campaign(seconds))
        follow(name, load, watch, sum(seconds.values()))
        watch.stop()
        return measure.evaluate(name, demo, watch, seconds)


def follow(name, load, watch, total):
    """Shows progress until the load has ended: a line that renews itself on a terminal, one in ten seconds elsewhere."""
    terminal = sys.stdout.isatty()
    began = time.monotonic()
    shown = 0.0
    while load.poll() is None:
        elapsed = time.monotonic() - began
        if elapsed > total + 60:
            load.terminate()
        line = f"  {name}: {elapsed:5.0f} of {total} s   {watch.now()}"
        if terminal:
            print("\r" + line.ljust(100), end="", flush=True)
        elif elapsed - shown >= 10:
            say(line)
            shown = elapsed
        time.sleep(0.5)
    if terminal:
        print()
    if load.returncode not in (0, 3):
        raise cluster.DemoError(f"headroom-load ended with {load.returncode}; see {watch.demo.work}/load.log")


def main():
    arguments = parse_arguments()
    network = cluster.enter_own_network()
    end_with_processes()
    seconds = FORMS[arguments.form]
    arguments.out.mkdir(parents=True, exist_ok=True)
    say(f"Headroom demo, {arguments.form} form, seed {arguments.seed}, network: {network}")
    device = cluster.declared_device()
    say("One machine gains no capacity from one more process, so every node has a declared device: "
        f"{device['device_latency']} a request, {device['device_parallel'] or 'any number'} at once, boot delay {device['boot_delay']}. "
        "Nothing else is emulated.")
    began = time.monotonic()
    runs = [run(number, arguments, seconds) for number in range(1, arguments.runs + 1)]
    passes = median_run(runs)
    report = {
        "form": arguments.form, "seed": arguments.seed, "network": network,
        "emulated": device,
        "policy": "deploy/examples/demo.yaml: windows are shortened so that the way back fits into the demo",
        "times": "seconds since the surge began; relief_s since the first failed request",
        "phases_s": seconds, "passes": passes, "took_s": round(time.monotonic() - began, 1),
    }
    if arguments.runs > 1:
        report["runs"], report["medians"] = [without_series(one) for one in runs], medians(runs)
    report["checks"] = measure.check(arguments.form, passes)
    (arguments.out / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    (arguments.out / "report.html").write_text(page.render(report))
    if arguments.chart:
        arguments.chart.write_text(page.overview(report))
    say("")
    say(page.table(report))
    say(f"report: {arguments.out / 'report.html'} and report.json, after {report['took_s']:.0f} s")
    return 1 if any(check["verdict"] == measure.MISSED for check in report["checks"]) else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except cluster.DemoError as error:
        sys.exit(f"demo: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
