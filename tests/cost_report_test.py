"""A gateway's ledger as the ops loop reads it: weir cost report and export, weir cost --outcomes, weir intake --trace.

The ledger is written here with the tables of schema 1, so that this holds that later versions still read it."""

import json
import pathlib
import sqlite3
import tempfile
import unittest

import weir_process as weir

weir.skip_unless(weir.WEIR)
SCHEMA_1 = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE attempts (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  request_id TEXT NOT NULL, attempt INTEGER NOT NULL, final INTEGER NOT NULL,
  tenant TEXT NOT NULL, key_id TEXT NOT NULL, route TEXT NOT NULL, upstream TEXT NOT NULL,
  endpoint TEXT NOT NULL, model TEXT NOT NULL, release TEXT NOT NULL,
  started_unix_ms INTEGER NOT NULL, status INTEGER NOT NULL, outcome TEXT NOT NULL,
  input_tokens INTEGER NOT NULL, cached_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL,
  ttft_ms REAL, total_ms REAL NOT NULL, cost_nanos INTEGER, cache TEXT NOT NULL,
  hedged INTEGER NOT NULL, retried INTEGER NOT NULL);
CREATE INDEX attempts_request ON attempts (request_id, tenant);
CREATE INDEX attempts_started ON attempts (started_unix_ms);
CREATE TABLE outcomes (
  request_id TEXT NOT NULL, tenant TEXT NOT NULL, accepted INTEGER NOT NULL, score REAL,
  note TEXT NOT NULL, unix_ms INTEGER NOT NULL, PRIMARY KEY (request_id, tenant)) WITHOUT ROWID;
CREATE VIEW requests AS
  SELECT a.request_id, a.tenant, a.route, a.started_unix_ms AS timestamp,
         a.input_tokens AS input_length, a.output_tokens AS output_length,
         (SELECT total(b.cost_nanos) / sum(b.final) FROM attempts b
           WHERE b.request_id = a.request_id AND b.tenant = a.tenant) / 1e9 AS cost,
         o.accepted, o.score, a.model, a.upstream, a.release, a.outcome, a.ttft_ms, a.total_ms
    FROM attempts a
    LEFT JOIN outcomes o ON o.request_id = a.request_id AND o.tenant = a.tenant
   WHERE a.final = 1;
INSERT INTO meta VALUES ('currency', 'USD');
PRAGMA application_id=1463112018;
PRAGMA user_version=1;
"""
NOON = 1_795_953_600_000  # 2026-11-29T12:00:00Z


def attempt(n, tenant, model, nanos, final=1, outcome="ok", day=0):
    return (f"r{n}", 1, final, tenant, "k", "fast", "pool", "http://e", model, "v1", NOON + day * 86_400_000 + n * 1000, 200, outcome,
            100 + n, 50, 20, 10.0, 100.0, nanos, "miss", 0, 0)


class CostReport(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.dir = pathlib.Path(holder.name)
        self.ledger = self.dir / "ledger.db"
        db = sqlite3.connect(self.ledger)
        db.executescript(SCHEMA_1)
        rows = [attempt(n, "acme" if n % 2 else "beta", "large" if n % 4 else "small", 1_000_000 * (n + 1), day=n // 20) for n in range(40)]
        rows.append(attempt(1, "acme", "small", 500_000, final=0, outcome="timeout"))
        marks = ",".join("?" * 22)
        db.executemany("INSERT INTO attempts (request_id, attempt, final, tenant, key_id, route, upstream, endpoint, model, release, "
                       "started_unix_ms, status, outcome, input_tokens, cached_tokens, output_tokens, ttft_ms, total_ms, cost_nanos, "
                       f"cache, hedged, retried) VALUES ({marks})", rows)
        db.executemany("INSERT INTO outcomes VALUES (?,?,?,?,?,?)",
                       [(f"r{n}", "acme" if n % 2 else "beta", int(n != 3), None, "", NOON) for n in range(8)])
        db.commit()
        db.close()

    def cost(self, *arguments, code=0):
        got, out, err = weir.run("cost", *arguments)
        self.assertEqual(got, code, out + err)
        return out if code == 0 else err

    def test_report(self):
        page = self.dir / "cost.html"
        report = json.loads(self.cost("report", "--ledger", self.ledger, "--by", "tenant,upstream_model", "--json", "--html", page))
        self.assertEqual((report["all"]["requests"], report["all"]["attempts"]), (40, 41))
        self.assertEqual(report["all"]["cost_nanos"], 820_500_000)
        self.assertAlmostEqual(report["all"]["cost_per_accepted"], 0.8205 / 40 / 7 * 8)
        self.assertEqual([tuple(g["key"].values()) for g in report["groups"]],
                         [("acme", "large"), ("beta", "large"), ("beta", "small"), ("acme", "small")])
        self.assertIn("Cost by day", page.read_text())
        self.assertIn("fast", self.cost("report", "--ledger", self.ledger, "--by", "model"))  # as the client named it
        text = self.cost("report", "--ledger", self.ledger, "--by", "day", "--since", "2026-11-30")
        self.assertIn("2026-11-30", text)
        self.assertNotIn("2026-11-29", text)
        self.assertIn("there are tenant", self.cost("report", "--ledger", self.ledger, "--by", "colour", code=2))
        self.assertIn("no attempts", self.cost("report", "--ledger", self.ledger, "--tenant", "nobody", code=3))
        self.assertIn("YYYY-MM-DD", self.cost("report", "--ledger", self.ledger, "--since", "now", code=2))
        self.assertIn("lies before", self.cost("report", "--ledger", self.ledger, "--since", "2026-11-30", "--until", "2026-11-29", code=2))
        self.cost("report", "--ledger", self.dir / "none.db", code=3)
        self.assertIn("USD per million tokens", self.cost("--list"))  # the command without a verb stays

    def test_the_ops_loop_reads_it(self):
        lines = [json.loads(line) for line in self.cost("export", "--ledger", self.ledger).splitlines()]
        self.assertEqual(len(lines), 40)
        self.assertEqual([lines[0][k] for k in ("model", "upstream_model")], ["fast", "small"])
        self.assertEqual([lines[1][k] for k in ("timestamp", "input_length", "output_length", "cost_usd", "accepted")],
                         [1000, 101, 20, 0.0025, True])
        reported = self.cost("export", "--ledger", self.ledger, "--reported").splitlines()
        self.assertEqual(len(reported), 8)
        (self.dir / "outcomes.jsonl").write_text("\n".join(reported))
        flags = ("--api", "claude-opus-5.5", "--question-tokens", 100, "--output-tokens", 20, "--json", "--outcomes")
        self.assertEqual(self.cost(*flags, self.ledger).replace("ledger.db", "outcomes.jsonl"),
                         self.cost(*flags, self.dir / "outcomes.jsonl"))
        project = self.dir / "p"
        self.assertEqual(weir.run("init", project)[0], 0)
        code, out, err = weir.run("intake", "--trace", self.ledger, "--project", project)
        self.assertEqual(code, 0, out + err)
        self.assertEqual(json.loads((project / "evidence/trace-ledger.json").read_text())["requests"], 40)


if __name__ == "__main__":
    unittest.main()
