#!/usr/bin/env python3
"""`headroomctl plan --prometheus` against Debian's real Prometheus: three days written into it beforehand, and a target that it
scrapes. Loopback only; ended by process id."""

import http.server
import json
import math
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = pathlib.Path(os.environ.get("HEADROOM_BIN", ROOT / "build/release/bin"))
BOUND_SECONDS = 240
STEP = 300
DAYS = 3


class Target(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"# TYPE shop_open gauge\nshop_open 42\n"
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def demand(at):
    return 300 - 200 * math.cos(2 * math.pi * at / 86400)


@unittest.skipUnless(shutil.which("prometheus") and shutil.which("promtool"), "NOT MEASURED: Debian's prometheus is not installed")
class PlanFromPrometheus(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        signal.alarm(BOUND_SECONDS)
        cls.work = pathlib.Path(tempfile.mkdtemp(prefix="headroom-prometheus-"))
        cls.addClassCleanup(shutil.rmtree, cls.work, ignore_errors=True)
        cls.end = int(time.time()) // STEP * STEP - 3 * 3600
        cls.write_the_past()
        cls.serve_a_target()
        cls.start_prometheus()

    @classmethod
    def write_the_past(cls):
        lines = ["# TYPE open_connections gauge"]
        for at in range(cls.end - DAYS * 86400, cls.end + 1, STEP):
            for node, share in (("a", 0.25), ("b", 0.75)):
                lines.append(f'open_connections{{node="{node}"}} {share * demand(at):.3f} {at}')
        text = cls.work / "past.txt"
        text.write_text("\n".join(lines) + "\n# EOF\n")
        subprocess.run(["promtool", "tsdb", "create-blocks-from", "openmetrics", str(text), str(cls.work / "data")],
                       check=True, capture_output=True, timeout=60)

    @classmethod
    def serve_a_target(cls):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Target)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        cls.addClassCleanup(server.server_close)
        cls.addClassCleanup(server.shutdown)
        (cls.work / "prometheus.yml").write_text(
            "global: {scrape_interval: 1s}\nscrape_configs:\n  - job_name: shop\n"
            f"    static_configs: [{{targets: ['127.0.0.1:{server.server_port}']}}]\n")

    @classmethod
    def start_prometheus(cls):
        port = free_port()
        cls.url = f"http://127.0.0.1:{port}"
        log = open(cls.work / "prometheus.log", "wb")
        cls.addClassCleanup(log.close)
        process = subprocess.Popen(
            ["prometheus", f"--config.file={cls.work}/prometheus.yml", f"--storage.tsdb.path={cls.work}/data",
             f"--web.listen-address=127.0.0.1:{port}", "--storage.tsdb.retention.time=30d"], stdout=log, stderr=log)
        cls.addClassCleanup(cls.end_process, process)
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise AssertionError((cls.work / "prometheus.log").read_text()[-2000:])
            try:
                if cls.ask("shop_open"):
                    return
            except OSError:
                pass
            time.sleep(0.3)
        raise AssertionError("Prometheus has not scraped its target within 90 s")

    @staticmethod
    def end_process(process):
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    @classmethod
    def ask(cls, query):
        with urllib.request.urlopen(f"{cls.url}/api/v1/query?query={urllib.parse.quote(query)}", timeout=5) as answer:
            return json.load(answer)["data"]["result"]

    def plan(self, query, *more, url=None):
        command = [PROGRAMS / "headroomctl", "plan", "--prometheus", url or self.url, "--query", query, "--step", "5m", *more]
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=150)
        return done.returncode, done.stdout, done.stderr

    def test_a_range_is_planned_with_its_own_numbers(self):
        result = self.work / "plan.json"
        code, out, err = self.plan("sum(open_connections)", "--from", str(self.end - DAYS * 86400), "--to", str(self.end),
                                   "--per-node", "50", "--days", "1", "--json", result)
        self.assertEqual(code, 0, err)
        self.assertIn("Recommended: min ", out)
        plan = json.loads(result.read_text())
        self.assertAlmostEqual(max(point[3] for point in plan["past"]), 500, delta=1)
        self.assertAlmostEqual(min(point[1] for point in plan["past"]), 100, delta=1)
        self.assertGreaterEqual(plan["recommended"]["max"], 10)
        self.assertTrue(plan["limits"][0]["hours"], "three days tell the next ones")

    def test_each_failure_says_what_to_do(self):
        past = ("--from", str(self.end - 86400), "--to", str(self.end))
        for query, code, said in (("no_such_metric", 3, "is the metric's name right"),
                                  ("sum(", 1, "refuses the query"),
                                  ("open_connections", 1, "make it one, by sum(...)")):
            with self.subTest(query):
                returned, _, err = self.plan(query, *past)
                self.assertEqual(returned, code, err)
                self.assertIn(said, err)

    def test_a_server_that_is_not_there_is_unavailable(self):
        code, _, err = self.plan("up", url=f"http://127.0.0.1:{free_port()}")
        self.assertEqual(code, 5, err)
        self.assertIn("cannot be reached", err)

    def test_an_address_that_is_no_prometheus_is_told(self):
        code, _, err = self.plan("up", url=self.url + "/graph")
        self.assertNotEqual(code, 0)
        self.assertRegex(err, "does not answer as a Prometheus does|HTTP 404")


if __name__ == "__main__":
    unittest.main(verbosity=2)
