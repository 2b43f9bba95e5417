"""weir eval task: generated answers, retrieval and determinism on the real model, the cache over a kill, and bad input."""

import json
import pathlib
import subprocess
import tempfile
import time
import unittest

import weir_process as weir

weir.skip_unless(weir.WEIR, weir.MODEL)
SUITE = """name: tiny
tasks:
  - name: facts
    kind: generate
    file: facts.jsonl
    scorer: regex
    max_tokens: 24
  - name: sums
    kind: generate
    file: sums.jsonl
    scorer: numeric
    chat: false
    max_tokens: 4
    stop: ["\\n"]
  - name: needle
    kind: retrieval
    file: hay.txt
    lengths: [200]
    depths: [0, 1]
    max_tokens: 24
  - name: same
    kind: determinism
    file: facts.jsonl
    max_tokens: 16
"""
FACTS = [{"id": "france", "prompt": "What is the capital of France? Answer in one sentence.", "answer": r"\bParis\b"},
         {"id": "italy", "messages": [{"role": "user", "content": "What is the capital of Italy? Answer in one sentence."}], "answer": r"\bRome\b"},
         {"id": "no", "prompt": "What is the capital of France? Answer in one sentence.", "answer": "(?!)"}]
SUMS = [{"id": "count", "prompt": "1, 2, 3, 4, 5, 6, 7,", "answer": 8}]


class EvalGenerate(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.dir = pathlib.Path(holder.name)
        self.suite = self.dir / "suite.yaml"
        self.cache = self.dir / "cache.jsonl"
        self.suite.write_text(SUITE)
        self.write("facts", FACTS)
        self.write("sums", SUMS)
        (self.dir / "hay.txt").write_text("The sheep stood on the hill. The rain came from the west. " * 40)

    def write(self, name, items):
        (self.dir / f"{name}.jsonl").write_text("".join(json.dumps(i) + "\n" for i in items))

    def arguments(self, *more):
        return ["eval", "task", weir.MODEL, "--suite", self.suite, *more]

    def task(self, *more):
        return weir.run(*self.arguments(*more))

    def test_every_kind_its_result_and_a_second_run_out_of_the_cache(self):
        first, second = self.dir / "first.json", self.dir / "second.json"
        code, text, err = self.task("--cache", self.cache, "-o", first, "--json")
        self.assertEqual(code, 0, err)
        run = json.loads(text)
        self.assertEqual(run, json.loads(first.read_text()))
        facts, sums, needle, same = run["tasks"]
        self.assertEqual([(i["id"], i["scores"]["acc"]) for i in facts["items"]], [("france", 1), ("italy", 1), ("no", 0)])
        self.assertEqual(facts["items"][0]["answer"], facts["items"][2]["answer"])
        self.assertIn("Paris", facts["items"][0]["answer"])
        self.assertEqual(sums["value"], 1, sums)
        self.assertEqual(needle["value"], 1, needle)
        self.assertIn("acc@200", needle["summary"])
        self.assertEqual([i["id"] for i in needle["items"]], ["200@0", "200@1"])
        self.assertEqual(same["value"], 1, same)
        self.assertGreater(run["speed"]["generated_tokens"], 20)
        self.assertGreater(run["speed"]["tok_s"], 0)
        self.assertGreater(run["memory"]["peak_rss_bytes"], 50 << 20)
        self.assertNotIn("cached_items", run)

        code, text, err = self.task("--cache", self.cache, "-o", second)
        self.assertEqual(code, 0, err)
        self.assertIn("6 items of the cache, 3 computed", text)  # determinism is never taken from it
        self.assertIn("peak memory", text)
        again = json.loads(second.read_text())
        self.assertEqual(again["tasks"], run["tasks"])
        self.assertEqual(again["cached_items"], 6)
        # Equal, but too few to show it; a worse answer shows in the table.
        code, text, err = weir.run("eval", "compare", first, second, "--json")
        self.assertEqual(code, 4, err)
        rules = json.loads(text)["rules"]
        self.assertEqual([r["task"] for r in rules], ["facts", "sums", "needle", "same"])
        self.assertTrue(all(r["p_mcnemar"] == 1 for r in rules))

    def test_a_killed_run_goes_on(self):
        self.write("facts", [{"id": str(i), "prompt": f"Tell me about the number {i}.", "answer": "."} for i in range(12)])
        self.suite.write_text(SUITE.split("  - name: sums")[0])
        run = subprocess.Popen([str(a) for a in [weir.WEIR, *self.arguments("--cache", self.cache, "--at-once", 2)]],
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 60 * weir.SLOWDOWN
        while not self.cache.exists() or self.cache.read_bytes().count(b"\n") < 4:
            self.assertLess(time.monotonic(), deadline)
            self.assertIsNone(run.poll(), "it ended before it could be killed")
            time.sleep(0.01)
        run.kill()
        run.communicate()
        with self.cache.open("ab") as f:
            f.write(b'{"key":"torn')
        code, text, err = self.task("--cache", self.cache, "--json")
        self.assertEqual(code, 0, err)
        self.assertIn("12 bytes are cut off", err)
        resumed = json.loads(text)
        self.assertGreaterEqual(resumed["cached_items"], 3)
        self.assertLess(resumed["cached_items"], 12)
        code, text, err = self.task("--json")
        self.assertEqual(code, 0, err)
        self.assertEqual(json.loads(text)["tasks"], resumed["tasks"])

    def test_what_is_wrong_is_named(self):
        self.write("facts", [*FACTS, {"id": "x", "prompt": "p"}])
        code, _, err = self.task()
        self.assertEqual(code, 3)
        self.assertIn("facts.jsonl:4: answer must be there", err)
        self.write("facts", [{"prompt": "p", "answer": "("}])
        self.assertIn('facts.jsonl:1: the pattern "(" is wrong at byte 1', self.task()[2])
        self.write("facts", [FACTS[0], FACTS[0]])
        self.assertIn('facts.jsonl:2: the id "france" stands twice', self.task()[2])
        self.suite.write_text(SUITE.replace("numeric", "number"))
        code, _, err = self.task()
        self.assertEqual(code, 3)
        self.assertIn("suite.yaml:11: scorer must be one of exact, regex, numeric", err)
        self.suite.write_text(SUITE)
        (self.dir / "hay.txt").unlink()
        self.write("facts", FACTS)
        code, _, err = self.task()
        self.assertEqual(code, 3)
        self.assertIn("suite.yaml:15: the items of needle", err)
        self.cache.write_text("not a cache\n")
        (self.dir / "hay.txt").write_text("short")
        code, _, err = self.task("--cache", self.cache)
        self.assertEqual(code, 3)
        self.assertIn("cache.jsonl:1: not a cache of weir eval task", err)

    def test_the_release_suite(self):
        data = weir.SHARED / "data"
        if not (data / "tools").exists():
            self.skipTest(f"{data / 'tools'} is not there")
        code, text, err = weir.run("eval", "task", weir.MODEL, "--suite", weir.ROOT / "suites" / "release.yaml", "--data", data,
                                   "--limit", 1, "--json", timeout_s=240)
        self.assertEqual(code, 0, err)
        tasks = {t["name"]: t for t in json.loads(text)["tasks"]}
        self.assertEqual(len(tasks), 11)
        self.assertEqual(tasks["same-bytes"]["value"], 1)
        self.assertEqual(tasks["gsm8k"]["items"][0]["expected"], "18")
        self.assertIn("calculate_triangle_area", tasks["tools"]["items"][0]["expected"])


if __name__ == "__main__":
    unittest.main()
