"""weir eval task: a small suite on the real model, its result through eval compare, and bad input."""

import json
import pathlib
import tempfile
import unittest

import weir_process as weir

weir.skip_unless(weir.WEIR, weir.MODEL)
ITEMS = [{"id": "capital", "prompt": "The capital of France is", "choices": ["Paris", "a spoon", "seventeen"], "answer": 0},
         {"id": "sky", "prompt": "On a clear day the sky is", "choices": ["furniture", "blue"], "answer": 1},
         {"id": "wrong", "prompt": "The capital of France is", "choices": ["Paris", "under the carpet"], "answer": 1}]
SUITE = "name: tiny\ntasks:\n  - name: facts\n    file: facts.jsonl\n"


class EvalTask(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.dir = pathlib.Path(holder.name)
        self.suite = self.dir / "suite.yaml"
        self.suite.write_text(SUITE)
        self.write(ITEMS)

    def write(self, items):
        (self.dir / "facts.jsonl").write_text("".join(json.dumps(i) + "\n" for i in items))

    def task(self, *arguments):
        return weir.run("eval", "task", weir.MODEL, "--suite", self.suite, *arguments)

    def test_scores_and_comparison(self):
        out = self.dir / "run.json"
        code, text, err = self.task("-o", out, "--json")
        self.assertEqual(code, 0, err)
        run = json.loads(text)
        self.assertEqual(run, json.loads(out.read_text()))
        task = run["tasks"][0]
        self.assertEqual([(i["id"], i["scores"]["acc"]) for i in task["items"]], [("capital", 1), ("sky", 1), ("wrong", 0)])
        self.assertAlmostEqual(task["summary"]["acc"], 2 / 3)
        self.assertGreater(task["items"][0]["scores"]["ll"], task["items"][2]["scores"]["ll"])
        # A model is as good as itself, but three items do not show it.
        code, text, err = weir.run("eval", "compare", out, out)
        self.assertEqual(code, 4, text + err)
        code, text, _ = self.task("--limit", 1)
        self.assertEqual(code, 0)
        self.assertIn("1.0000", text)

    def test_inputs_are_not_written_over(self):
        """A model given by its name, and the suite's own files."""
        (self.dir / "models").mkdir()
        model = self.dir / "models" / "mine.gguf"
        model.write_bytes(b"a model")
        folder = self.dir / "folder"
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(b"weights")
        facts = self.dir / "facts.jsonl"
        before = facts.read_bytes()
        said = "is read, or written by another option"
        for arguments in (("task", "mine", "--suite", self.suite, "-o", model), ("task", folder, "--suite", self.suite, "-o", folder / "model.safetensors"),
                          ("task", model, "--suite", self.suite, "-o", facts),
                          ("compare", "mine", folder, "--suite", self.suite, "--save-base", model),
                          ("compare", model, folder, "--suite", self.suite, "--save-candidate", folder / "model.safetensors"),
                          ("compare", model, folder, "--suite", self.suite, "-o", facts)):
            with self.subTest(arguments=arguments):
                code, _, err = weir.run("eval", *arguments, cwd=self.dir)
                self.assertEqual(code, 2, err)
                self.assertIn(said, err)
        self.assertEqual((model.read_bytes(), (folder / "model.safetensors").read_bytes(), facts.read_bytes()), (b"a model", b"weights", before))

    def test_values_that_are_none(self):
        for word, arguments in (("--cache is empty", ("--cache", "")), ("--timeout is nan, which is no finite number", ("--timeout", "nan")),
                                ("--data is empty", ("--data", "")), ("--extra-body must be a JSON object", ("--extra-body", "[]"))):
            code, _, err = self.task(*arguments)
            self.assertEqual(code, 2, err)
            self.assertIn(word, err)
        code, _, err = weir.run("eval", "task", "", "--suite", self.suite)
        self.assertEqual((code, "MODEL is empty" in err), (2, True), err)
        code, _, err = weir.run("eval", "compare", "a.json", "b.json", "--gate", "")
        self.assertEqual((code, "--gate is empty" in err), (2, True), err)
        for option in ("--alpha", "--target-bpw", "--max-kl"):
            code, _, err = weir.run("quantize", weir.MODEL, self.dir / "o.gguf", option, "nan")
            self.assertEqual((code, f"{option} is nan" in err), (2, True), err)
        code, out, err = weir.run("tokenize", weir.MODEL, "--text", "")  # an empty text is one
        self.assertEqual(code, 0, err)

    def test_files_lie_below_the_data_folder(self):
        data = self.dir / "data"
        data.mkdir()
        (self.dir / "facts.jsonl").rename(data / "facts.jsonl")
        code, _, err = self.task()
        self.assertEqual(code, 3)
        self.assertIn("facts.jsonl", err)
        self.assertIn("suite.yaml:3", err)
        self.assertIn("--data", err)
        self.assertEqual(self.task("--data", data, "--limit", 1)[0], 0)

    def test_bad_items_are_named(self):
        self.write([*ITEMS, ITEMS[0]])
        code, _, err = self.task()
        self.assertEqual(code, 3)
        self.assertIn('facts.jsonl:4: the id "capital" stands twice', err)
        self.suite.write_text(SUITE + "    metrc: acc\n")
        code, _, err = self.task()
        self.assertEqual(code, 3)
        self.assertIn('suite.yaml:5: unknown key "metrc"; the nearest is "metric"', err)


if __name__ == "__main__":
    unittest.main()
