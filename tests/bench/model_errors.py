#!/usr/bin/env python3
"""How far the two models of a cluster are from the demo's real run, and from each other.

`make demo` leaves build/demo/report.json; its scenario is run in the request-level and in the interval-level model, with
the same policy and the production control loop, and compared pass by pass:
  connections in use, mean over the surge                 within 15 %
  failed requests, share of the surge's                   within 15 % or 0.5 points
  number of nodes                                         within 1, at a moment at most 15 s away
Without a report only the two models are compared. Prints a table (Markdown) and writes build/bench/model_errors.json.
Exits 0 whether they are met or not, 1 when something could not be measured.

  tests/bench/model_errors.py [--report build/demo/report.json] [--bin build/release/bin] [--seeds 3]
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
FULL = {"base": 10, "surge": 30, "after": 65}
APART_SECONDS = 15


def policy_file(out):
    """The demo's policy; its provider is of no matter here."""
    path = out / "demo-policy.yaml"
    text = (ROOT / "deploy/examples/demo.yaml").read_text()
    path.write_text(text.replace("${MODE}", "dry_run").replace("${DATA_DIR}", "/nowhere"))
    return path


def per_second(report_pass, seconds):
    """Connections and nodes of a real pass, at each whole second."""
    series = report_pass["series"]
    length = sum(seconds.values())
    open_counts, nodes = [], []
    for second in range(1, length + 1):
        at = min(range(len(series["at"])), key=lambda i: abs(series["at"][i] - second))
        values = [node["open"][at] for node in series["nodes"].values()]
        open_counts.append(sum(value for value in values if value is not None))
        nodes.append(sum(value is not None for value in values))
    return {"open": open_counts, "nodes": nodes, "surge_failed_ratio": report_pass["surge_failed_ratio"]}


def nodes_apart(ours, reference):
    """The largest distance of a second's count to the nearest count that the reference has within the time allowed."""
    apart = 0
    for second, count in enumerate(ours):
        near = reference[max(0, second - APART_SECONDS):second + APART_SECONDS + 1]
        apart = max(apart, min(abs(count - other) for other in near))
    return apart


def compare(ours, reference, seconds):
    begin, end = seconds["base"], seconds["base"] + seconds["surge"]
    open_ours, open_reference = (statistics.fmean(one["open"][begin:end]) for one in (ours, reference))
    failed_ours, failed_reference = ours["surge_failed_ratio"], reference["surge_failed_ratio"]
    error = open_ours / open_reference - 1
    # Real nodes are looked at late where they are new: a second's zero at the very end is the end of the run.
    length = len(reference["nodes"]) - 2
    apart = nodes_apart(ours["nodes"][1:length], reference["nodes"][:length])
    return {"connections": open_ours, "connections_reference": open_reference, "connections_error": error,
            "failed": failed_ours, "failed_reference": failed_reference, "nodes_apart": apart,
            "met": abs(error) <= 0.15 and apart <= 1
            and abs(failed_ours - failed_reference) <= max(0.15 * failed_reference, 0.005)}


def mean_run(runs):
    """Several seeds as one."""
    return {"open": [statistics.fmean(values) for values in zip(*(run["open"] for run in runs))],
            "nodes": [statistics.median_low(values) for values in zip(*(run["nodes"] for run in runs))],
            "surge_failed_ratio": statistics.fmean(run["surge_failed_ratio"] for run in runs)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--report", type=pathlib.Path, default=ROOT / "build/demo/report.json")
    parser.add_argument("--bin", type=pathlib.Path, default=ROOT / "build/release/bin")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "build/bench")
    parser.add_argument("--seeds", type=int, default=3, help="runs of the request-level model, whose mean is taken (default 3)")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    report = json.loads(options.report.read_text()) if options.report.exists() else None
    seconds = report["phases_s"] if report else FULL
    if report:
        print(f"real run: {options.report}, {report['form']} form\n")
    else:
        print(f"there is no {options.report} (run make demo): the models are compared with each other only\n")
    rows = []
    for mode in ("dry_run", "live"):
        runs = []
        for seed in range(1, options.seeds + 1):
            command = [options.bin / "model_errors", policy_file(options.out), mode, *(str(seconds[name]) for name in ("base", "surge", "after")), str(seed)]
            runs.append(json.loads(subprocess.run([str(word) for word in command], capture_output=True, text=True, check=True).stdout))
        request, interval = mean_run([run["request"] for run in runs]), runs[0]["interval"]
        if report:
            rows.append({"pass": mode, "what": "request level beside the real run", **compare(request, per_second(report["passes"][mode], seconds), seconds)})
        rows.append({"pass": mode, "what": "interval level beside request level", **compare(interval, request, seconds)})
    (options.out / "model_errors.json").write_text(json.dumps(rows, indent=1) + "\n")
    print("| pass | compared | connections in the surge | error | failed in the surge | nodes apart | |\n|---|---|---|---|---|---|---|")
    for row in rows:
        print(f"| {row['pass'].replace('_', ' ')} | {row['what']} | {row['connections']:.0f} beside {row['connections_reference']:.0f} | {100 * row['connections_error']:+.1f} % "
              f"| {100 * row['failed']:.1f} beside {100 * row['failed_reference']:.1f} % | {row['nodes_apart']} | {'met' if row['met'] else 'missed'} |")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OSError, subprocess.SubprocessError, KeyError, ValueError) as error:
        sys.exit(f"model_errors: {error}")
