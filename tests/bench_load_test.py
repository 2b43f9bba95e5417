"""`weir bench load` against `weir bench mock`: what the reports say is what the mock did; refusals, Ctrl-C, files."""

import json
import pathlib
import re
import signal
import subprocess
import tempfile
import time
import unittest

import weir_process as weir

weir.skip_unless(weir.WEIR)
OK, NO, USAGE, BAD_INPUT, UNAVAILABLE = 0, 1, 2, 3, 4


class Mock:
    """`weir bench mock` on a free port, as a context manager."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen([str(weir.WEIR), "bench", "mock", "--port", "0", *map(str, arguments)],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        line = self.process.stdout.readline().decode()
        self.url = re.search(r"ready (\S+) model=mock", line).group(1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(30 * weir.SLOWDOWN)
        self.process.stdout.close()
        if code != 0:
            raise RuntimeError(f"weir bench mock ended with {code}")


def load(*arguments, **options):
    return weir.run("bench", "load", *arguments, **options)


class BenchLoad(unittest.TestCase):
    def report(self, *arguments, code=OK):
        got, out, err = load("--json", *arguments)
        self.assertEqual(got, code, f"{arguments}\n{out[:2000]}\n{err}")
        return json.loads(out)

    def test_counts_are_what_was_asked(self):
        with Mock("--ttft", 5, "--itl", 1) as mock:
            run = self.report("--url", mock.url, "--concurrency", 4, "--requests", 40, "--prompt-tokens", 20,
                              "--output-tokens", 8, "--prefix-tokens", 30, "--groups", 3)["runs"][0]
        self.assertEqual((run["requests"], run["ok"], run["failed"], run["refused"]), (40, 40, 0, 0))
        self.assertEqual(run["prompt_tokens"], 40 * 50)
        self.assertEqual(run["output_tokens"], 40 * 8)
        self.assertEqual(run["itl_ms"]["count"], 40 * 7)
        self.assertGreaterEqual(run["ttft_ms"]["min"], 5)
        self.assertEqual(sum(g["requests"] for g in run["groups"]), 40)
        self.assertEqual(run["settings"]["prompts"], "prompt lengths are exact by the server's /tokenize")

    def test_chat_conversations_and_whole_answers(self):
        with Mock() as mock:
            run = self.report("--url", mock.url, "--chat", "--turns", 3, "--concurrency", 2, "--requests", 12,
                              "--prompt-tokens", 10, "--output-tokens", 4)["runs"][0]
            self.assertEqual(run["prompt_tokens"], 4 * (10 + 24 + 38))
            whole = self.report("--url", mock.url, "--no-stream", "--rate", 200, "--requests", 20,
                                "--prompt-tokens", 10, "--output-tokens", 4)["runs"][0]
        self.assertEqual((whole["ok"], whole["output_tokens"], whole["ttft_ms"]["count"]), (20, 80, 0))
        self.assertGreater(whole["output_tokens_per_s"]["value"], 0)

    def test_faults_are_counted_by_class(self):
        with Mock("--error-rate", 0.2, "--reject-rate", 0.2, "--cut-rate", 0.2) as mock:
            run = self.report("--url", mock.url, "--rate", 1000, "--requests", 200, "--output-tokens", 4)["runs"][0]
        self.assertEqual(run["ok"] + run["refused"] + run["failed"], 200)
        self.assertEqual({e["outcome"] for e in run["errors"]}, {"server_error", "rejected", "connection"})

    def test_slo_is_a_gate_when_asked(self):
        with Mock("--ttft", 30) as mock:
            arguments = ("--url", mock.url, "--concurrency", 2, "--requests", 10, "--output-tokens", 2, "--slo", "ttft=5ms")
            report = self.report(*arguments)
            self.assertFalse(report["runs"][0]["goodput"]["met"])
            self.report(*arguments, "--fail-on-slo", code=NO)

    def test_sweep_files_and_comparison(self):
        with tempfile.TemporaryDirectory() as folder, Mock("--ttft", 10, "--slots", 2) as mock:
            page, saved = pathlib.Path(folder, "sweep.html"), pathlib.Path(folder, "sweep.json")
            code, out, err = load("--url", mock.url, "--sweep", "20,60", "--requests", 15, "--output-tokens", 3,
                                  "--slo", "ttft=1s", "--html", page, "--save", saved)
            self.assertEqual(code, OK, err)
            self.assertIn("rate 20", out)
            self.assertIn("<svg", page.read_text())
            self.assertEqual([r["label"] for r in json.loads(saved.read_text())["runs"]], ["rate 20", "rate 60"])
            code, out, err = load("--compare", saved, saved)
            self.assertEqual(code, OK, err)

    def test_traces_and_prompts(self):
        with tempfile.TemporaryDirectory() as folder, Mock() as mock:
            trace = pathlib.Path(folder, "trace.csv")
            trace.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n" + "".join(
                f"2023-11-16 18:17:0{i}.5,{10 + i},{2 + i}\n" for i in range(5)))
            run = self.report("--url", mock.url, "--trace", trace, "--speed", 100)["runs"][0]
            self.assertEqual((run["ok"], run["prompt_tokens"], run["output_tokens"]), (5, 60, 20))
            prompts = pathlib.Path(folder, "prompts.jsonl")
            prompts.write_text('{"prompt":"one two three"}\n{"messages":[{"role":"user","content":"four five"}]}\n')
            run = self.report("--url", mock.url, "--prompts", prompts, "--concurrency", 1, "--output-tokens", 6)["runs"][0]
            self.assertEqual((run["ok"], run["prompt_tokens"], run["output_tokens"]), (2, 5, 12))
            code, _, err = load("--url", mock.url, "--prompts", trace, "--concurrency", 1)
            self.assertEqual(code, USAGE)
            self.assertIn("--trace", err)
            trace.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n1,2,x\n")
            code, _, err = load("--url", mock.url, "--trace", trace)
            self.assertEqual(code, BAD_INPUT)
            self.assertIn("line 2", err)

    def test_ctrl_c_ends_early_and_reports(self):
        with Mock("--ttft", 20) as mock:
            process = subprocess.Popen([str(weir.WEIR), "bench", "load", "--json", "--url", mock.url, "--concurrency", "2",
                                        "--duration", "600", "--output-tokens", "2"], stdin=subprocess.DEVNULL,
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            time.sleep(2 * weir.SLOWDOWN)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=30 * weir.SLOWDOWN)
        self.assertEqual(process.returncode, OK, err)
        run = json.loads(out)["runs"][0]
        self.assertGreater(run["ok"], 0)
        self.assertEqual(run["settings"]["ended"], "interrupted")

    def test_refusals(self):
        for code, names, arguments in (
                (USAGE, ["--yes-remote"], ("--url", "http://10.1.2.3:80", "--rate", 1, "--requests", 1)),
                (USAGE, ["https"], ("--url", "https://127.0.0.1", "--rate", 1, "--requests", 1)),
                (USAGE, ["--rate", "--concurrency"], ("--requests", 1)),
                (USAGE, ["--requests", "--duration"], ("--rate", 1)),
                (USAGE, ["--prompt-tokens"], ("--rate", 1, "--requests", 1, "--prompt-tokens", "many")),
                (USAGE, ["--sweep"], ("--sweep", "1,x", "--requests", 1)),
                (USAGE, ["--warmup"], ("--rate", 1, "--requests", 1, "--warmup", "ten")),
                (USAGE, ["--html"], ("--rate", 1, "--requests", 1, "--html", "/no/such/folder/x.html")),
                (USAGE, ["--extra-body"], ("--rate", 1, "--requests", 1, "--extra-body", "[1]")),
                (USAGE, ["--header"], ("--rate", 1, "--requests", 1, "--header", "no colon")),
                (BAD_INPUT, ["/no/such"], ("--trace", "/no/such"))):
            got, _, err = load(*arguments)
            self.assertEqual(got, code, f"{arguments}: {err}")
            for name in names:
                self.assertIn(name, err)

    def test_a_server_that_is_not_there(self):
        code, _, err = load("--url", f"http://127.0.0.1:{weir.free_port()}", "--rate", 1, "--requests", 1)
        self.assertEqual(code, UNAVAILABLE)
        self.assertIn("cannot connect", err)


if __name__ == "__main__":
    unittest.main()
