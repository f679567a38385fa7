"""The demo's table and its self-contained page: charts are plain SVG, nothing is loaded from anywhere."""

import html

COLOURS = ["#2563eb", "#0d9488", "#c2410c", "#7c3aed", "#be185d", "#4d7c0f", "#0369a1", "#a16207"]
ROWS = [
    ("requests", "requests", "{:,}"), ("failed", "failed after retries", "{:,}"), ("failed_ratio", "share failed", "{:.3%}"),
    ("surge_failed_ratio", "share failed in the surge", "{:.2%}"), ("p50_ms", "p50", "{:.0f} ms"), ("p99_ms", "p99", "{:.0f} ms"),
    ("over_250ms", "requests over 250 ms", "{:,}"), ("seconds_over_objective", "seconds over the objective", "{:.0f} s"),
    ("first_rejection_s", "first rejection", "{:.1f} s"), ("first_limit_change_s", "first limit raised", "{:.1f} s"),
    ("first_node_serving_s", "first new node serves", "{:.1f} s"), ("relief_s", "relief", "{:.1f} s"),
    ("limit_changes", "limit changes", "{}"), ("nodes_peak", "nodes at the peak", "{}"), ("nodes_end", "nodes at the end", "{}"),
    ("node_seconds", "node seconds", "{:,.0f}"), ("after_failed", "failed after the surge", "{:,}"),
    ("stale_retries", "sent again, connection closed", "{:,}"), ("cpu_in_surge", "CPU of the demo in the surge", "{:.0%}"),
    ("machine_cpu_in_surge", "CPU of the machine in it", "{:.0%}"),
]
VERDICTS = {"ok": "ok", "missed": "MISSED", "not proven": "NOT PROVEN"}
NAMES = {"dry_run": "without Headroom (dry run)", "live": "with Headroom (live)"}


def cell(value, form):
    return "-" if value is None else form.format(value)


def table(report):
    passes = report["passes"]
    width = 30
    lines = ["".ljust(width) + "".join(NAMES[name].rjust(28) for name in passes)]
    for key, label, form in ROWS:
        lines.append(label.ljust(width) + "".join(cell(one[key], form).rjust(28) for one in passes.values()))
    if "medians" in report:
        lines[0:0] = [f"The median run of {len(report['runs'])}; the medians of each figure and all runs are in report.json."]
        lines += [f"run {number}: " + "; ".join(f"{name} {one['failed']} failed, relief {cell(one['relief_s'], '{:.1f} s')}"
                                                for name, one in run.items()) for number, run in enumerate(report["runs"], 1)]
    lines += [f"{NAMES[name]}: once void and repeated: {one['void_before']}" for name, one in passes.items() if one["void_before"]]
    for name, one in passes.items():
        found = one["diagnosis"]
        lines += ["", f"{NAMES[name]}: the diagnosis" + (f", {found['at_s']:.1f} s after the surge began:" if found["at_s"] is not None else ":")]
        lines.append("  " + (found["sentence"] or found["code"]))
        lines += ["  " + text for text in found["ruled_out"].values()]
    lines += [""] + [VERDICTS[check["verdict"]].ljust(12) + check["text"] for check in report["checks"]]
    return "\n".join(lines)


def round_up(top):
    """The next number that is easy to read in quarters."""
    scale = 10 ** max(0, len(str(int(top))) - 1)
    return next(step * scale for step in (1, 1.2, 1.6, 2, 2.4, 3, 4, 6, 8, 10) if step * scale >= top)


class Chart:
    """One SVG chart over time; the y axis starts at zero."""

    WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 880, 200, 56, 14, 24

    def __init__(self, title, seconds, top):
        self.title, self.seconds, self.top, self.parts = title, max(seconds, 1), round_up(max(top, 4)), []
        self.frame()

    def x(self, second):
        return self.LEFT + (self.WIDTH - self.LEFT - 8) * second / self.seconds

    def y(self, value):
        return self.TOP + (self.HEIGHT - self.TOP - self.BOTTOM) * (1 - min(value, self.top) / self.top)

    def frame(self):
        for part in range(5):
            value = self.top * part / 4
            self.parts.append(f'<line class="grid" x1="{self.LEFT}" x2="{self.WIDTH - 8}" y1="{self.y(value):.1f}" y2="{self.y(value):.1f}"/>'
                              f'<text x="{self.LEFT - 6}" y="{self.y(value) + 4:.1f}" text-anchor="end">{value:.0f}</text>')
        step = 10 if self.seconds > 40 else 5
        for second in range(0, int(self.seconds) + 1, step):
            self.parts.append(f'<text x="{self.x(second):.1f}" y="{self.HEIGHT - 6}" text-anchor="middle">{second} s</text>')

    def band(self, begin, end, label):
        self.parts.insert(0, f'<rect class="surge" x="{self.x(begin):.1f}" y="{self.TOP}" width="{self.x(end) - self.x(begin):.1f}" '
                             f'height="{self.HEIGHT - self.TOP - self.BOTTOM}"><title>{label}</title></rect>')

    def line(self, at, values, colour, label, dashed=False):
        points, runs = [], []
        for second, value in zip(at, values):
            if value is None:
                runs.append(points)
                points = []
            else:
                points.append(f"{self.x(second):.1f},{self.y(value):.1f}")
        for run in [*runs, points]:
            if run:
                dash = ' stroke-dasharray="5 3"' if dashed else ""
                self.parts.append(f'<polyline points="{" ".join(run)}" fill="none" stroke="{colour}" stroke-width="1.6"{dash}>'
                                  f"<title>{html.escape(label)}</title></polyline>")

    def bars(self, at, values, colour, label):
        width = max(1.0, self.x(1) - self.x(0) - 1)
        for second, value in zip(at, values):
            if value:
                self.parts.append(f'<rect x="{self.x(second):.1f}" y="{self.y(value):.1f}" width="{width:.1f}" '
                                  f'height="{self.y(0) - self.y(value):.1f}" fill="{colour}"><title>{label}: {value:.0f}</title></rect>')

    def marks(self, marks):
        for mark in marks:
            x = self.x(mark["at"])
            self.parts.append(f'<path class="mark" d="M{x:.1f} {self.TOP} l4 -8 h-8 z"><title>{mark["at"]:.1f} s: '
                              f'{html.escape(mark["text"])}</title></path>')

    def svg(self):
        return (f'<figure><figcaption>{html.escape(self.title)}</figcaption><svg viewBox="0 0 {self.WIDTH} {self.HEIGHT}" role="img" '
                f'aria-label="{html.escape(self.title)}">{"".join(self.parts)}</svg></figure>')


def charts(name, one, phases):
    series = one["series"]
    end = sum(phases.values())
    surge = (phases["base"], phases["base"] + phases["surge"])
    nodes = series["nodes"]
    top = max([value or 0 for values in nodes.values() for value in values["limit"] + values["open"]] + [1]) * 1.05
    traffic = Chart("Requests a second, and those that failed (red)", end, max(series["offered"] + [1]) * 1.05)
    traffic.line(series["seconds"], series["offered"], "#64748b", "requests offered")
    traffic.bars(series["seconds"], series["failed"], "#dc2626", "failed")
    slots = Chart("Connections in use (solid) and limit (dashed) of each node; triangles are decisions", end, top)
    for index, (node, values) in enumerate(nodes.items()):
        colour = COLOURS[index % len(COLOURS)]
        slots.line(series["at"], values["limit"], colour, f"{node}: limit", dashed=True)
        slots.line(series["at"], values["open"], colour, f"{node}: in use")
    slots.marks(series["decisions"])
    count = [sum(values["limit"][i] is not None for values in nodes.values()) for i in range(len(series["at"]))]
    number = Chart("Nodes", end, max(count + [1]) + 1)
    number.line(series["at"], count, "#2563eb", "nodes")
    for chart in (traffic, slots, number):
        chart.band(*surge, "the surge")
    legend = " ".join(f'<span style="color:{COLOURS[i % len(COLOURS)]}">■ {html.escape(node)}</span>' for i, node in enumerate(nodes))
    return traffic.svg() + slots.svg() + f"<p class=legend>{legend}</p>" + number.svg()


OVERVIEW_STYLE = """
svg { font-family: system-ui, sans-serif; } text { font-size: 11px; fill: #475569; } .title { font-size: 13px; fill: #0f172a; }
.grid { stroke: #e2e8f0; } .surge { fill: #fef3c7; }
"""


def overview(report):
    """The passes as one small SVG file: connections in use, those and the waiting, and the limit, all nodes together."""
    sums = {name: totals(one["series"]["nodes"]) for name, one in report["passes"].items()}
    top = max(max(one["demand"] + one["limit"]) for one in sums.values()) * 1.05
    phases, parts, height = report["phases_s"], [], Chart.HEIGHT + 24
    for index, (name, one) in enumerate(sums.items()):
        chart = Chart(NAMES[name], sum(phases.values()), top)
        at = report["passes"][name]["series"]["at"]
        chart.line(at, one["demand"], "#dc2626", "in use and waiting")
        chart.line(at, one["limit"], "#0f172a", "limit", dashed=True)
        chart.line(at, one["open"], "#2563eb", "in use")
        chart.band(phases["base"], phases["base"] + phases["surge"], "the surge")
        parts.append(f'<g transform="translate(0 {index * height})"><text class="title" x="{Chart.LEFT}" y="15">Connections of all nodes, '
                     f'{NAMES[name]}: <tspan fill="#2563eb">in use</tspan>, <tspan fill="#dc2626">with those that wait</tspan>, '
                     f'limit (dashed)</text><g transform="translate(0 18)">{"".join(chart.parts)}</g></g>')
    size = f"0 0 {Chart.WIDTH} {height * len(sums)}"
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{size}"><style>{OVERVIEW_STYLE}</style>'
            f'<rect width="100%" height="100%" fill="#ffffff"/>{"".join(parts)}</svg>\n')


def totals(nodes):
    def total(*keys):
        return [sum(value or 0 for value in moment) for moment in zip(*(values[key] for values in nodes.values() for key in keys))]
    return {"open": total("open"), "limit": total("limit"), "demand": total("open", "waiting")}


def section(name, one, phases):
    found = one["diagnosis"]
    ruled = "".join(f"<li>{html.escape(text)}</li>" for text in found["ruled_out"].values())
    when = f" ({found['at_s']:.1f} s after the surge began)" if found["at_s"] is not None else ""
    rows = "".join(f"<tr><td>{mark['at']:.1f} s</td><td>{html.escape(mark['text'])}</td></tr>" for mark in one["series"]["decisions"][:400])
    return (f"<h2>{html.escape(NAMES[name])}</h2><blockquote><b>Diagnosis{when}:</b> {html.escape(found['sentence'] or found['code'])}"
            f"<ul>{ruled}</ul></blockquote>{charts(name, one, phases)}"
            f"<details><summary>Decisions ({len(one['series']['decisions'])})</summary><table>{rows}</table></details>")


STYLE = """
:root { color-scheme: light dark; --fg: #0f172a; --bg: #ffffff; --soft: #64748b; --line: #e2e8f0; --surge: #fef3c7; }
@media (prefers-color-scheme: dark) { :root { --fg: #e2e8f0; --bg: #0f172a; --soft: #94a3b8; --line: #1e293b; --surge: #422006; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--fg); background: var(--bg); max-width: 940px; margin: 2em auto; padding: 0 1em; }
table { border-collapse: collapse; } td, th { padding: 2px 14px 2px 0; text-align: right; border-bottom: 1px solid var(--line); }
td:first-child, th:first-child, details td { text-align: left; } figure { margin: 1em 0; } figcaption { color: var(--soft); }
svg { width: 100%; height: auto; } svg text { font-size: 10px; fill: var(--soft); } .grid { stroke: var(--line); }
.surge { fill: var(--surge); opacity: .6; } .mark { fill: var(--fg); opacity: .55; } .legend span { margin-right: 1em; }
blockquote { border-left: 4px solid #2563eb; margin: 1em 0; padding: .2em 1em; } .ok { color: #15803d; } .missed { color: #b91c1c; font-weight: 600; }
"""


def render(report):
    passes = report["passes"]
    head = "".join(f"<th>{html.escape(NAMES[name])}</th>" for name in passes)
    rows = "".join(f"<tr><td>{label}</td>" + "".join(f"<td>{cell(one[key], form)}</td>" for one in passes.values()) + "</tr>"
                   for key, label, form in ROWS)
    checks = "".join(f'<li class="{"ok" if check["verdict"] == "ok" else "missed"}">{check["verdict"]}: {html.escape(check["text"])}</li>'
                     for check in report["checks"])
    emulated = report["emulated"]
    return (f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Headroom: the outage, replayed</title><style>{STYLE}</style>'
            f"<h1>The outage, replayed on real processes</h1><p>The same requests twice (seed {report['seed']}, {report['form']} form): a campaign "
            f"triples clients and requests for {report['phases_s']['surge']} s. HAProxy in mode tcp, three file servers with 200 connections each. "
            f"Emulated, and only this: a device of {emulated['device_latency']} a request, "
            f"{emulated['device_parallel'] or 'any number'} at once, and a boot delay of {emulated['boot_delay']} per node. "
            f"{html.escape(report['policy'])}. Times are {html.escape(report['times'])}.</p>"
            f"<table><tr><th></th>{head}</tr>{rows}</table><ul>{checks}</ul>"
            + "".join(section(name, one, report["phases_s"]) for name, one in passes.items()) + "</html>\n")
