#!/usr/bin/env python3
"""A fresh install: it only watches, says what it had done, acts once it is told to, and stops when told so. Then the journal
of that very process, which has ended: its decisions are made again, byte for byte."""

import json
import shutil
import sqlite3
import struct
import subprocess
import time

import cluster_case as case

SECONDS = {"base": 2, "surge": 200, "after": 1}
MODEL_SECONDS = 62  # of traffic, before a model can be fitted
MANY_CLIENTS = {"rate: 1350": "rate: 600"}  # the slots are what runs out, not the machine
CONFIGURED = 200


def fnv(data):
    """The checksum of the journal's rows (controller/runtime/journal_rows.h)."""
    value = 0xCBF29CE484222325
    for byte in data:
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return struct.unpack("=q", struct.pack("=Q", value))[0]


class EnableReplayTest(case.ClusterCase):
    BOUND_SECONDS = 270

    def test_a_fresh_install_watches_acts_and_stops_and_its_journal_tells_it_all_again(self):
        running = self.start("dry", "dry_run", balancer="none")
        fresh = self.headroomctl("status", server=True)
        self.assertIn("DRY RUN", fresh.stdout)
        self.assertRegex(fresh.stdout, r"learning +\d+ of \d+ learn still")
        addresses = ",".join(node["address"] for node in running.nodes())
        began = time.monotonic()
        load = running.start_load(3, case.cluster.edited(case.cluster.campaign(SECONDS), MANY_CLIENTS), "--direct", addresses)
        self.only_watches(running)
        self.acts(running)
        self.stops(running)
        self.eventually("a minute of traffic", lambda: time.monotonic() - began > MODEL_SECONDS, MODEL_SECONDS + 5)
        self.assertIsNone(load.poll(), "all of this happens under load")
        running.end(load)
        running.watch.stop()
        self.replays_a_journal_that_is_being_written(running)
        running.end(running.daemon)
        self.assertEqual(running.daemon.returncode, 0)
        self.replays(running.work / "state")
        self.tells_a_changed_row(running.work / "state")
        self.tells_another_policy(running)
        self.tells_a_cut_journal(running)

    def headroomctl(self, *words, server=False):
        command = [case.PROGRAMS / "headroomctl", *(["--server", f"127.0.0.1:{case.cluster.GRPC_PORT}"] if server else []), *words]
        return subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=60)

    def raises(self, running):
        return int(running.control("status").get("trial", {}).get("raise_count", 0))

    def only_watches(self, running):
        self.eventually("a decision that had raised a limit", lambda: self.raises(running) > 0, 30)
        self.assertEqual(set(case.limits(running).values()), {CONFIGURED}, "a dry run touches nothing")
        looked = self.headroomctl("enable", server=True)
        self.assertEqual(looked.returncode, 0, looked.stderr)
        self.assertIn("They would have done", looked.stdout)
        self.assertRegex(looked.stdout, r"limits +[1-9]\d* raised")
        self.assertIn("nothing was changed; `headroomctl enable --yes --reason WHY` goes live", looked.stderr)
        refused = self.headroomctl("enable", "--yes", server=True)
        self.assertEqual(refused.returncode, 1, refused.stderr)
        self.assertIn("reason", refused.stderr)
        self.assertEqual(running.control("status")["mode"], "MODE_DRY_RUN")
        self.assertEqual(set(case.limits(running).values()), {CONFIGURED})

    def acts(self, running):
        enabled = self.headroomctl("enable", "--yes", "--reason", "the dry run was right", server=True)
        self.assertEqual(enabled.returncode, 0, enabled.stderr)
        self.assertIn("now live, term 2", enabled.stderr)
        self.eventually("a limit to move on a real node", lambda: max(case.limits(running).values()) > CONFIGURED)
        self.eventually("a real machine", lambda: len(running.node_processes()) > case.cluster.NODES, 30)

    def stops(self, running):
        disabled = self.headroomctl("disable", "--yes", "--reason", "another incident", server=True)
        self.assertEqual(disabled.returncode, 0, disabled.stderr)
        self.assertIn("now in dry run", disabled.stderr)
        self.assertEqual(running.control("status")["mode"], "MODE_DRY_RUN")
        self.eventually("limits as they were configured", lambda: set(case.limits(running).values()) == {CONFIGURED})
        raises = self.raises(running)
        self.eventually("what it would do now", lambda: self.raises(running) > raises + 3, 30)
        self.assertEqual(set(case.limits(running).values()), {CONFIGURED})

    def json_of(self, *words):
        path = self.work / "replay.json"
        done = self.headroomctl("replay", *words, "--json", path)
        return done, json.loads(path.read_text())

    def replays_a_journal_that_is_being_written(self, running):
        done = self.headroomctl("replay", running.work / "state")
        self.assertEqual(done.returncode, 0, done.stderr)

    def replays(self, state):
        before = (state / "journal.db").read_bytes()
        done, told = self.json_of(state)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIsNone(told["first_difference"])
        self.assertGreater(told["identical"], 10)
        self.assertEqual(told["identical"], told["decisions"])
        self.assertEqual((state / "journal.db").read_bytes(), before, "it is only read")
        print(done.stdout.strip())

    def changed(self, state, name, change):
        """A copy of the journal with one row that is not as it was written."""
        copy = self.work / name
        shutil.copyfile(state / "journal.db", copy)
        database = sqlite3.connect(copy)
        with database:
            self.assertEqual(change(database), 1)
        database.close()
        return self.headroomctl("replay", copy)

    def rename_a_node(self, database):
        """In one decision, checksum and all, as a program would that decides otherwise."""
        rows = database.execute("SELECT sequence, sequence_last, until_nanos, body FROM decisions ORDER BY sequence").fetchall()
        first, last, until, body = next(row for row in rows[3:] if b"node-1" in row[3])
        body = body.replace(b"node-1", b"node-9")
        self.changed_sequence = first
        return database.execute("UPDATE decisions SET body = ?, checksum = ? WHERE sequence = ?",
                                (body, fnv(body + struct.pack("=qqq", first, last, until)), first)).rowcount

    def tells_a_changed_row(self, state):
        done = self.changed(state, "other.db", self.rename_a_node)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, rf"decision {self.changed_sequence} of \S+ comes out otherwise than it is in the journal:\n  .*node-9")
        print(done.stderr.strip())
        for table, key in (("decisions", "sequence"), ("events", "id")):
            row = f"(SELECT MAX({key}) FROM {table} WHERE {key} <= (SELECT MAX({key}) / 2 FROM {table}))"
            for change in ("body = zeroblob(length(body))", "checksum = checksum + 1"):
                done = self.changed(state, "damaged.db", lambda database: database.execute(
                    f"UPDATE {table} SET {change} WHERE {key} = {row}").rowcount)
                self.assertEqual(done.returncode, 1, "what is damaged was not compared")
                self.assertRegex(done.stderr, r"the journal is damaged: [1-9]\d* decisions cannot be read")
        done = self.changed(state, "twice.db", lambda database: database.execute(
            "UPDATE events SET (complete, body, checksum) = (SELECT complete, body, checksum FROM events AS e WHERE e.id = events.id - 1) "
            "WHERE id = (SELECT (MIN(id) + MAX(id)) / 2 FROM events)").rowcount)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, "comes out otherwise|out of order")

    def tells_another_policy(self, running):
        other = self.work / "other.yaml"
        text = running.policy.read_text()
        other.write_text(text.replace("ceiling: 4000", f"ceiling: {CONFIGURED + 5}").replace("mode: dry_run", "mode: live"))
        done, told = self.json_of(running.work / "state", "--policy", other)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertGreater(told["ticks_limits_differ"], 0)
        self.assertTrue(told["divergences"])
        self.assertEqual([course["policy"] for course in told["courses"]], ["journal's", "other"])
        self.assertIn("What would have happened", done.stdout)

    def tells_a_cut_journal(self, running):
        whole = (running.work / "state/journal.db").read_bytes()
        cut = self.work / "cut.db"
        for size in (0, 50, 5000, len(whole) // 2, len(whole) - 4096):
            cut.write_bytes(whole[:size])
            done = self.headroomctl("replay", cut)
            self.assertIn(done.returncode, (1, 6), f"cut to {size}: {done.stdout}")
            self.assertRegex(done.stderr, r"cut\.db: is (empty|broken or cut short|not a journal of Headroom)", f"cut to {size}")
            self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)


if __name__ == "__main__":
    case.main()
