#!/usr/bin/env python3
"""Replays the outage on real processes: once with Headroom looking on (dry run), once with Headroom acting (live).

A small real cluster on this machine: HAProxy in mode tcp, three headroom-node file servers over one shared folder,
headroomd with its local provider, headroom-agent beside HAProxy, and headroom-load as a campaign's clients. Both passes
see the same requests (same seed). Writes build/demo/report.json and build/demo/report.html.

Examples:
  deploy/demo/demo.py                 both passes and the way back, under 5 minutes
  deploy/demo/demo.py --form short    both passes of the surge only, under 100 seconds
  deploy/demo/demo.py --seed 7        other arrivals
"""

import argparse
import json
import pathlib
import shutil
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cluster  # noqa: E402
import measure  # noqa: E402
import page  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
FORMS = {  # seconds of each phase of the load, and how long the live pass may take to come back
    "full": {"base": 10, "surge": 30, "after": 65},
    "short": {"base": 8, "surge": 18, "after": 6},
}


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--form", choices=sorted(FORMS), default="full", help="full (default) or short")
    parser.add_argument("--seed", type=int, default=1, help="seed of the arrivals (default 1)")
    parser.add_argument("--passes", default="dry_run,live", help="which passes, in order (default dry_run,live)")
    parser.add_argument("--bin", type=pathlib.Path, default=ROOT / "build/release/bin", help="folder of the programs")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "build/demo", help="folder of the report")
    return parser.parse_args()


def say(text):
    print(text, flush=True)


def run_pass(name, arguments, seconds):
    """One pass from clean processes; returns its measurements."""
    work = arguments.out / name
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
    seconds = FORMS[arguments.form]
    arguments.out.mkdir(parents=True, exist_ok=True)
    say(f"Headroom demo, {arguments.form} form, seed {arguments.seed}, network: {network}")
    device = cluster.declared_device()
    say("One machine gains no capacity from one more process, so every node has a declared device: "
        f"{device['device_latency']} a request, {device['device_parallel'] or 'any number'} at once, boot delay {device['boot_delay']}. "
        "Nothing else is emulated.")
    began = time.monotonic()
    passes = {name: run_pass(name, arguments, seconds) for name in arguments.passes.split(",")}
    report = {
        "form": arguments.form, "seed": arguments.seed, "network": network,
        "emulated": device,
        "policy": "deploy/examples/demo.yaml: windows are shortened so that the way back fits into the demo",
        "times": "seconds since the surge began; relief_s since the first failed request",
        "phases_s": seconds, "passes": passes, "took_s": round(time.monotonic() - began, 1),
    }
    report["checks"] = measure.check(arguments.form, passes)
    (arguments.out / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    (arguments.out / "report.html").write_text(page.render(report))
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
