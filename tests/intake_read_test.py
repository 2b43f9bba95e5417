"""weir intake --trace on published traces and own ones, and --metrics on a running weir and on servers that answer wrongly."""

import concurrent.futures
import contextlib
import csv
import http.server
import json
import math
import pathlib
import statistics
import subprocess
import tempfile
import threading
import unittest

import weir_process as weir

weir.skip_unless(weir.WEIR)
TRACES = weir.SHARED / "data" / "traces"
CSV = "TIMESTAMP,ContextTokens,GeneratedTokens\n" + "".join(
    f"2026-01-01 00:{i // 60:02}:{i % 60:02}.0,{100 + i},{10 + i % 7}\n" for i in range(300))


def quantile(values, share):
    """Linear between order statistics, as numpy's default."""
    values = sorted(values)
    at = share * (len(values) - 1)
    low = math.floor(at)
    return values[low] + (at - low) * (values[min(low + 1, len(values) - 1)] - values[low])


class Project(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.dir = pathlib.Path(holder.name) / "p"
        self.assertEqual(weir.run("init", self.dir)[0], 0)

    def intake(self, *arguments, code=0, **options):
        """The fields that have a value, after weir intake with these arguments; or its stderr when it has to fail."""
        got, out, err = weir.run("intake", "--project", self.dir, "--json", *arguments, **options)
        self.assertEqual(got, code, err)
        if code != 0:
            return err
        return {f["field"]: f for f in json.loads(out)["fields"] if f["origin"] != "missing"}


class Values(Project):
    def test_what_many_set_at_once_is_all_kept(self):
        fields = ["traffic.concurrency", "traffic.turns", "hardware.nodes", "hardware.cpu_cores", "stack.replicas", "stack.max_running"]
        processes = [subprocess.Popen([str(weir.WEIR), "intake", "--project", self.dir, "--set", f"{f}=3"], stdout=subprocess.DEVNULL)
                     for f in fields]
        self.assertEqual([p.wait(60 * weir.SLOWDOWN) for p in processes], [0] * len(fields))
        self.assertEqual(sorted(self.intake()), sorted(fields))

    def test_a_published_model_needs_no_file(self):
        fields = self.intake("--model", "qwen3-32b")
        self.assertEqual(fields["model.name"]["value"], "Qwen/Qwen3-32B")
        self.assertIn("config.json", fields["model.precision"]["evidence"])
        self.assertEqual(fields["model.source"]["value"], "qwen3-32b")  # which weir plan finds again
        self.assertIn("the nearest id is qwen3-32b", self.intake("--model", "qwen3-33b", code=3))

    def test_a_folder_of_a_published_name_is_what_is_read(self):
        folder = pathlib.Path(self.dir) / "Qwen" / "Qwen3-8B"
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps({
            "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "vocab_size": 1000, "torch_dtype": "float32", "hidden_size": 256,
            "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 64, "intermediate_size": 512,
            "max_position_embeddings": 2048}))
        fields = self.intake("--model", "Qwen/Qwen3-8B", cwd=self.dir)
        self.assertEqual(fields["model.vocabulary"]["value"], 1000)
        self.assertEqual(self.intake("--model", "Qwen/Qwen3-8B", cwd="/")["model.vocabulary"]["value"], 151936)
        (folder / "config.json").unlink()  # then it is no model's
        self.assertEqual(self.intake("--model", "Qwen/Qwen3-8B", cwd=self.dir)["model.vocabulary"]["value"], 151936)

    def test_what_cannot_be_is_named(self):
        code, _, errors = weir.run("intake", "--project", self.dir, "--set", "traffic.prompt_tokens_p50=9", "--set", "traffic.prompt_tokens_p95=8")
        self.assertEqual(code, 0)
        said = "traffic.prompt_tokens_p50 9 is above traffic.prompt_tokens_p95 8"
        self.assertIn(f"weir: both cannot be: {said}", errors)
        code, out, _ = weir.run("intake", "check", "--project", self.dir, "--json")
        self.assertEqual((code, json.loads(out)["conflicts"][0]["what"]), (1, said))
        code, out, _ = weir.run("advise", "--project", self.dir)
        self.assertEqual(code, 1)
        self.assertIn(said, out)
        self.assertIn("nobody waits", weir.run("intake", "fields")[1])


class Trace(Project):
    def test_fields_evidence_and_a_page(self):
        trace = self.dir / "mine.csv"
        trace.write_text(CSV)
        fields = self.intake("--trace", trace)
        self.assertEqual(fields["traffic.prompt_tokens_p50"]["value"], 249.5)
        self.assertEqual(fields["traffic.requests_per_s"], {
            "field": "traffic.requests_per_s", "value": 1.0, "origin": "measured", "unit": "1/s",
            "evidence": f"{trace}, 300 requests over 4.98 min"})
        self.assertEqual(fields["traffic.requests_per_s_peak"]["value"], 1.0)
        self.assertEqual(fields["traffic.arrival_cv"]["value"], 0.0)
        self.assertNotIn("traffic.concurrency", fields)
        evidence = json.loads((self.dir / "evidence" / "trace-mine.json").read_text())
        self.assertEqual(evidence["format"], "weir-trace/1")
        self.assertEqual(evidence["gap_s"]["why_no_fits"], "the values are all 1")
        self.assertEqual({f["family"] for f in evidence["prompt_tokens"]["fits"]},
                         {"exponential", "lognormal", "gamma", "weibull", "lognormal2"})
        page = (self.dir / "evidence" / "trace-mine.html").read_text()
        self.assertIn("<svg", page)
        self.assertNotIn("<script", page)
        # The times of a request make the concurrency known, by Little's law.
        times = [a for name in ("queue", "prefill", "decode") for a in ("--set", f"observed.{name}_ms_mean=2000")]
        self.intake(*times)
        concurrency = self.intake()["traffic.concurrency"]
        self.assertEqual((concurrency["value"], concurrency["origin"]), (6, "inferred"))
        self.assertIn("Little's law", concurrency["evidence"])

    def test_a_published_trace_says_what_another_program_computes(self):
        path = TRACES / "AzureLLMInferenceTrace_conv.csv"
        if not path.exists():
            self.skipTest(f"{path} is not there")
        with open(path, newline="") as f:
            rows = [r for r in csv.DictReader(f) if int(r["GeneratedTokens"]) > 0]
        prompts = [int(r["ContextTokens"]) for r in rows]
        outputs = [int(r["GeneratedTokens"]) for r in rows]
        fields = self.intake("--trace", path)
        for name, values in (("prompt", prompts), ("output", outputs)):
            for share in (50, 95, 99):
                self.assertAlmostEqual(fields[f"traffic.{name}_tokens_p{share}"]["value"] / quantile(values, share / 100), 1, 3)
            self.assertAlmostEqual(fields[f"traffic.{name}_tokens_mean"]["value"] / statistics.fmean(values), 1, 3)
        self.assertGreater(fields["traffic.requests_per_s_peak"]["value"], fields["traffic.requests_per_s"]["value"])

    def test_what_is_no_trace_is_refused_with_the_remedy(self):
        prompts = self.dir / "prompts.jsonl"
        prompts.write_text('{"prompt":"a"}\n')
        self.assertIn("holds prompts, which have no times", self.intake("--trace", prompts, code=2))
        bad = self.dir / "bad.csv"
        bad.write_text(CSV.replace("105,", "many,"))
        self.assertIn(f"{bad}: line 7: a count of tokens is not a number", self.intake("--trace", bad, code=3))
        self.intake("--trace", self.dir / "none.csv", code=3)
        self.assertEqual([p.name for p in (self.dir / "evidence").iterdir() if p.name != ".gitkeep"], [])


class Answers:
    """An HTTP server that answers every GET with one status and body."""

    def __init__(self, status, body):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                with contextlib.suppress(ConnectionError):  # weir hangs up on what is too large
                    self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


class Metrics(Project):
    def test_a_running_weir_under_load(self):
        weir.skip_unless(weir.MODEL)
        import httpx

        with weir.Server("--ctx", "2048") as server, concurrent.futures.ThreadPoolExecutor(3) as pool:
            over = threading.Event()

            def load():
                while not over.is_set():
                    body = {"model": server.model, "prompt": "Once upon a time", "max_tokens": 64, "ignore_eos": True}
                    httpx.post(server.url + "/v1/completions", json=body, timeout=120).raise_for_status()

            work = [pool.submit(load) for _ in range(3)]
            try:
                fields = self.intake("--metrics", server.url, "--window", f"{int(4 * weir.SLOWDOWN)}s")
            finally:
                over.set()
            for w in work:
                w.result()
            values = {name: f["value"] for name, f in fields.items()}
            self.assertEqual(values["stack.engine"], "weir")
            self.assertGreater(values["observed.throughput_tok_s"], 1)
            self.assertGreater(values["observed.requests_per_s"], 0)
            self.assertLessEqual(values["observed.ttft_ms_p50"], values["observed.ttft_ms_p99"])
            self.assertGreater(values["observed.itl_ms_p50"], 0)
            self.assertTrue(1 <= values["traffic.concurrency"] <= 3, values)
            self.assertEqual(values["traffic.output_tokens_mean"], 64)
            self.assertIn(f"{server.url}: vllm:generation_tokens_total over ", fields["observed.throughput_tok_s"]["evidence"])
            # Once, with the path, while nothing runs: no rates, and no concurrency to be measured.
            other = self.dir.parent / "other"
            self.assertEqual(weir.run("init", other)[0], 0)
            code, out, err = weir.run("intake", "--project", other, "--json", "--metrics", server.url + "/metrics")
            self.assertEqual(code, 0, err)
            names = {f["field"] for f in json.loads(out)["fields"] if f["origin"] == "measured"}
            self.assertIn("observed.ttft_ms_p95", names)
            self.assertNotIn("observed.throughput_tok_s", names)
            self.assertNotIn("traffic.concurrency", names)
            self.assertIn("measure under load", err)

    def test_wrong_servers(self):
        self.assertIn("--window must be a time", self.intake("--metrics", "http://127.0.0.1:1", "--window", "soon", code=2))
        self.intake("--window", "5s", code=2)
        self.assertIn("https", self.intake("--metrics", "https://127.0.0.1:1", code=2))
        self.intake("--metrics", f"http://127.0.0.1:{weir.free_port()}", code=4)
        for status, body, code, said in ((404, b"", 4, "metrics may have to be turned on"), (200, b"[]", 3, "/prometheus/metrics"),
                                         (200, b"up 1\n", 3, "no engine that is known has these metrics (up)"),
                                         (200, b"a 1\nb{\n", 3, "line 2: a label's name is missing"),
                                         (200, b"x" * (17 << 20), 4, "16777216")):
            with Answers(status, body) as server:
                self.assertIn(said, self.intake("--metrics", server.url, code=code))


if __name__ == "__main__":
    unittest.main()
