"""weir review, promote, rollback, log, rollout: dev to stage to prod on evidence of weir bench, a bad candidate refused, a rollback, tampering found."""

import http.server
import json
import pathlib
import signal
import sqlite3
import subprocess
import tempfile
import threading
import time
import unittest

import weir_process as weir

weir.skip_unless(weir.WEIR)
SERVE = "vllm serve /models/x --host 127.0.0.1 --max-num-queued-reqs 64 --max-num-seqs {}\n"
POLICY = "version: 1\nretries: {max_attempts: 2, budget_share: 0.1}\n"
WATCH = """scrape_configs: [{job_name: vllm}]
groups:
  - name: slo
    rules:
      - {alert: Slow, expr: "weir:ttft_misses:ratio_rate5m > 1"}
      - {alert: Failing, expr: "weir:failures:ratio_rate5m > 1"}
      - {alert: Waiting, expr: "vllm:num_requests_waiting > 10"}
"""
GIVEN = {"model.precision": "bf16", "traffic.prompt_tokens_p50": 16, "traffic.output_tokens_p50": 8, "traffic.requests_per_s": 250,
         "traffic.concurrency": 8, "slo.ttft_ms_p95": 3000, "slo.itl_ms_p95": 1000, "slo.total_ms_p99": 10000, "slo.error_budget": 0.01,
         "constraints.rollback_minutes": 1}


class Gateway(http.server.BaseHTTPRequestHandler):
    """The admin interface that weir rollout is written for: the new release burns from 50 % on."""

    weights, puts = {"old": 100}, []

    def answer(self, body):
        data = json.dumps(body).encode()
        self.send_response(200 if self.headers["Authorization"] == "Bearer secret" else 401)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        assert self.path.startswith(("/admin/rollout?window_s=0.", "/admin/rollout?window_s=60")), self.path
        burn = 9 if self.weights.get("new", 0) >= 50 else 0.2
        self.answer({"weights": self.weights, "releases": {"old": {"requests": 500, "burn_rate": 0.1}, "new": {"requests": 100, "burn_rate": burn}}})

    def do_PUT(self):
        assert self.path == "/admin/rollout/weights", self.path
        Gateway.weights = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["weights"]
        self.puts.append(self.weights["new"])
        self.answer({})

    def log_message(self, *_):
        pass


class Release(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.dir = pathlib.Path(holder.name)
        self.project = self.dir / "serving"
        self.key = self.dir / "release.key"
        self.model = self.project / "model.gguf"

    def weir(self, wanted, *arguments):
        code, text, err = weir.run(*arguments)
        self.assertEqual(code, wanted, (arguments, text, err))
        return text + err

    def ops(self, wanted, command, *arguments):
        return self.weir(wanted, command, *arguments, "--project", self.project)

    def signed(self, wanted, command, *arguments):
        return self.ops(wanted, command, *arguments, "--key", self.key, "--who", "tester")

    def make_project(self):
        self.weir(0, "init", self.project)
        self.model.write_bytes(b"weights")
        sets = []
        for field in json.loads(weir.run("intake", "fields", "--json")[1]):
            wanted = field["wanted"]
            value = "true" if wanted == "true or false" else wanted.split(", ")[-1] if wanted.startswith("one of") else "1"
            if field["required"]:
                sets += ["--set", f"{field['field']}={GIVEN.get(field['field'], value)}"]
        self.ops(0, "intake", *sets)
        self.write_dev(SERVE.format(32))

    def write_dev(self, serve):
        dev = self.project / "envs" / "dev"
        (dev / "serve.sh").write_text(serve)
        (dev / "policy.yaml").write_text(POLICY)
        (dev / "watch.yaml").write_text(WATCH)

    def bench(self, model):
        mock = subprocess.Popen([str(weir.WEIR), "bench", "mock", "--port", "0", "--model", model, "--ttft", "10", "--itl", "1", "--slots", "8", "--max-waiting", "8"],
                                stdout=subprocess.PIPE)
        try:
            url = mock.stdout.readline().split()[2].decode()
            for name, rate in (("load", 250), ("overload", 900)):
                self.ops(0, "bench", "load", "--url", url, "--rate", rate, "--arrival", "constant", "--requests", 400, "--prompt-tokens", 16,
                         "--output-tokens", 8, "--env", "stage", "--save", self.project / "evidence" / f"{name}.json")
        finally:
            mock.terminate()
            mock.wait()
            mock.stdout.close()

    def in_effect(self, env):
        return json.loads((self.project / "envs" / env / "release.json").read_text())["release"]

    def test_from_dev_to_prod_and_back(self):
        self.make_project()
        self.assertIn("model.json is missing", self.ops(1, "review", "--env", "dev"))
        self.ops(0, "review", "--env", "dev", "--model", self.model, "--html", self.dir / "review.html")
        self.assertIn("<table>", (self.dir / "review.html").read_text())
        self.assertIn("there is no key", self.signed(2, "promote", "--from", "dev", "--to", "stage"))
        self.ops(0, "promote", "keygen", "--key", self.key)
        self.assertEqual(self.key.stat().st_mode & 0o777, 0o600)
        self.signed(0, "promote", "--from", "dev", "--to", "stage")

        refused = json.loads(self.signed(1, "promote", "--from", "stage", "--to", "prod", "--json"))
        self.assertEqual([w.split(":")[0] for w in refused["against"]], ["baseline", "slo", "overload", "rollback"])
        self.bench("/models/x")
        load = self.project / "evidence" / "load.json"
        measured = load.read_text()
        load.write_text(json.dumps(json.loads(measured) | {"settings": {"model": "mock"}}))
        self.assertIn('measured a server of "mock", and envs/stage serves "/models/x"', self.ops(1, "review", "--env", "stage"))
        load.write_text(measured)
        self.signed(0, "rollback", "--env", "stage", "--rehearse", "--skip-model")
        self.assertIn("the model was not checked", self.ops(1, "review", "--env", "stage"))
        self.assertIn("first release: nothing to go back to", self.signed(0, "rollback", "--env", "stage", "--rehearse"))
        self.ops(0, "review", "--env", "stage")
        first = json.loads(self.signed(0, "promote", "--from", "stage", "--to", "prod", "--release", "one", "--json"))["release"]
        self.assertEqual(self.in_effect("prod"), first)
        bundle = self.project / "releases" / first
        self.assertEqual({p.relative_to(bundle).as_posix() for p in bundle.rglob("*") if p.is_file()},
                         {"manifest.json", "manifest.sig", "review.json", "intake.yaml", "config/serve.sh", "config/policy.yaml", "config/watch.yaml",
                          "evidence/load.json", "evidence/overload.json"})

        self.check_bad_candidates()
        second = self.promote_another()
        self.check_rollback(first, second)
        self.check_tampering(first, second)

    def check_bad_candidates(self):
        self.write_dev("vllm serve /models/x --host 127.0.0.1\n")
        self.assertIn("queue-unbounded", self.signed(1, "promote", "--from", "dev", "--to", "stage"))
        self.write_dev(SERVE.format("32 --kv-cache-dtype fp8"))
        self.assertIn("no gate result", self.signed(1, "promote", "--from", "dev", "--to", "stage"))
        self.model.write_bytes(b"weighty")
        self.write_dev(SERVE.format(16))
        self.assertIn("another model", self.signed(1, "promote", "--from", "dev", "--to", "stage"))
        self.model.write_bytes(b"weights")

    def promote_another(self):
        self.signed(0, "promote", "--from", "dev", "--to", "stage")
        self.assertIn("of another configuration", self.signed(1, "promote", "--from", "stage", "--to", "prod"))
        day = json.loads((self.project / "evidence" / "load.json").read_text())["created"][:10]
        row = "  - {{item: {}, env: stage, who: tester, why: a test, until: " + day + "}}\n"
        (self.project / "waivers.yaml").write_text(
            "version: 1\nwaivers:\n" + "".join(row.format(i) for i in ("baseline", "slo", "overload", "rollback")))
        self.signed(0, "promote", "--from", "stage", "--to", "prod")
        return self.in_effect("prod")

    def check_rollback(self, first, second):
        self.assertNotEqual(first, second)
        text = self.signed(0, "rollback", "--env", "prod")
        self.assertIn(f"back to {first[:12]}: signature and 7 files hold, the model's hash too; in effect now", text)
        self.assertEqual(self.in_effect("prod"), first)
        self.signed(0, "rollback", "--env", "prod", "--to", second[:8])
        self.assertIn("all signed, in order, none missing", self.ops(0, "log", "verify"))
        rows = [json.loads(line) for line in self.ops(0, "log", "show", "--json").splitlines()]
        self.assertEqual({r["action"] for r in rows}, {"promote", "rollback", "in-effect", "refused", "rollback-rehearsal"})
        self.assertEqual({r["who"] for r in rows}, {"tester"})

    def check_tampering(self, first, second):
        releases = self.project / "releases"
        kept = (releases / "audit.db").read_bytes()
        pointer = self.project / "envs" / "prod" / "release.json"
        named = pointer.read_bytes()
        db = sqlite3.connect(releases / "audit.db")
        with db:
            db.execute("DELETE FROM audit WHERE seq = (SELECT max(seq) FROM audit)")
        db.close()
        self.assertIn("missing: the head says", self.ops(1, "log", "verify"))
        (releases / "audit.db").unlink()
        self.assertIn("audit.db is gone", self.signed(3, "promote", "--from", "dev", "--to", "stage"))
        self.ops(1, "log", "verify")
        (releases / "audit.db").write_bytes(kept)
        pointer.unlink()
        self.assertIn("its release.json is gone", self.ops(1, "log", "verify"))
        pointer.write_bytes(named)
        file = self.project / "releases" / first / "config" / "serve.sh"
        file.write_text(file.read_text().replace("64", "65"))
        self.assertIn("config/serve.sh was changed", self.signed(3, "rollback", "--env", "prod"))
        self.assertEqual(self.in_effect("prod"), second)
        db = sqlite3.connect(self.project / "releases" / "audit.db")
        with db:
            db.execute("UPDATE audit SET who = 'somebody' WHERE seq = 4")
        db.close()
        self.assertIn("row 4: changed", self.ops(1, "log", "verify"))
        self.assertIn("row 4: changed", self.signed(3, "rollback", "--env", "prod"))

    def test_rollout_against_a_gateway_of_that_interface(self):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        rollout = ["rollout", "--gateway", f"http://127.0.0.1:{server.server_port}", "--release", "new", "--interval", "0.05s"]
        self.assertIn("401", self.weir(4, *rollout))
        text = self.weir(1, *rollout, "--token", "secret", "--json")
        moves = [json.loads(line) for line in text.splitlines()]
        self.assertEqual([m["move"] for m in moves[:-1]], ["next", "next", "next", "abort"])
        self.assertEqual((moves[-1]["done"], moves[-1]["stable"]), (False, "old"))
        self.assertEqual(Gateway.puts, [1, 5, 25, 50, 0])
        self.assertIn("all traffic goes to new", self.weir(0, *rollout, "--token", "secret", "--slo-burn", 10))
        self.assertEqual(Gateway.weights, {"new": 100, "old": 0})
        self.check_closed_terminal(rollout[:-1])

    def check_closed_terminal(self, rollout):
        Gateway.weights = {"old": 70, "third": 30}
        self.weir(0, "init", self.project)
        self.ops(0, "promote", "keygen", "--key", self.key)
        process = subprocess.Popen([str(weir.WEIR), *rollout, "60s", "--token", "secret", "--project", str(self.project), "--key", str(self.key)],
                                   stdout=subprocess.PIPE, text=True)
        while "new" not in Gateway.weights:
            time.sleep(0.01)
        self.assertEqual(Gateway.weights, {"new": 1, "old": 69, "third": 30})
        process.send_signal(signal.SIGHUP)
        self.assertIn("as before (new 0 %, old 70 %, third 30 %): interrupted", process.communicate(timeout=10)[0])
        self.assertEqual((process.returncode, Gateway.weights), (1, {"new": 0, "old": 70, "third": 30}))
        rows = [json.loads(line) for line in self.ops(0, "log", "show", "--json").splitlines()]
        self.assertEqual([(r["action"], r["env"], json.loads(r["details"])["begins"]) for r in rows], [("rollout", "prod", True), ("rollout", "prod", False)])


if __name__ == "__main__":
    unittest.main()
