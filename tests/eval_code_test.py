"""weir eval task, kind code: consent, tests that pass and fail on the real model, answers that misbehave, bad input."""

import json
import os
import pathlib
import tempfile
import unittest

import weir_process as weir

weir.skip_unless(weir.WEIR, weir.MODEL)
SUITE = "name: tiny\ntasks:\n  - name: code\n    kind: code\n    file: code.jsonl\n    chat: false\n    max_tokens: 4\n    stop: [\"\\n\"]\n    timeout_s: 10\n"
SUM = {"prompt": "def add(a, b):\n    # the sum of a and b\n    return a +", "entry_point": "add"}
CHECK = "def check(candidate):\n    assert candidate(1, 2) == 3\n"
ITEMS = [{"task_id": "right", "test": CHECK, **SUM},
         {"task_id": "wrong", "test": CHECK.replace("== 3", "== 4"), **SUM},
         {"task_id": "leaves", "test": "import os\nos._exit(0)\n" + CHECK, **SUM},
         {"task_id": "hangs", "test": "import time\ntime.sleep(60)\n" + CHECK, **SUM},
         {"task_id": "calls", "test": "import socket\nsocket.socket()\n" + CHECK, **SUM},
         {"task_id": "writes", "test": "open('../weir-code-test', 'w')\n" + CHECK, **SUM}]


class EvalCode(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.dir = pathlib.Path(holder.name)
        (self.dir / "suite.yaml").write_text(SUITE)
        self.write(ITEMS)

    def write(self, items):
        (self.dir / "code.jsonl").write_text("".join(json.dumps(i) + "\n" for i in items))

    def task(self, *arguments):
        return weir.run("eval", "task", weir.MODEL, "--suite", self.dir / "suite.yaml", *arguments,
                        env={**os.environ, "TMPDIR": str(self.dir)})

    def test_nothing_runs_without_consent(self):
        code, out, err = self.task()
        self.assertEqual(code, 2, out + err)
        self.assertIn("--allow-code-execution", err)
        self.assertIn("task code (line 3 of the suite)", err)

    def test_what_passes_its_tests_is_right(self):
        code, out, err = self.task("--allow-code-execution", "--json")
        if code == 3 and "nothing is run" in err:
            self.skipTest(err)
        self.assertEqual(code, 0, err)
        task = json.loads(out)["tasks"][0]
        self.assertEqual(task["kind"], "code")
        got = {i["id"]: i for i in task["items"]}
        self.assertEqual({name: i["scores"]["acc"] for name, i in got.items()},
                         {"right": 1, "wrong": 0, "leaves": 0, "hangs": 0, "calls": 0, "writes": 0}, got)
        self.assertEqual(got["hangs"]["scores"]["timed_out"], 1)
        self.assertTrue(got["right"]["expected"].startswith("passed"))
        self.assertTrue(got["wrong"]["expected"].startswith("failed: AssertionError"))
        self.assertTrue(got["leaves"]["expected"].startswith("ended before its tests did"))
        self.assertIn("PermissionError", got["calls"]["expected"])
        self.assertFalse((self.dir / "weir-code-test").exists())
        self.assertEqual(list(self.dir.glob("weir-run-*")), [])

    def test_bad_input_is_named(self):
        self.write([{"task_id": "a", "prompt": "b", "test": "c", "entry_point": "f)"}])
        code, _, err = self.task("--allow-code-execution")
        self.assertEqual(code, 3, err)
        self.assertIn("code.jsonl:1: entry_point must be the name of a function", err)
        self.write(ITEMS)
        code, _, err = self.task("--allow-code-execution", "--python", "/bin/false")
        self.assertEqual(code, 3, err)
        self.assertIn("--python", err)


if __name__ == "__main__":
    unittest.main(verbosity=2)
