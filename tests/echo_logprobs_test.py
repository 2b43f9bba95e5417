"""Log probabilities of prompts over HTTP (echo with logprobs): against the logits of `weir eval logits`, the choices of `weir eval task`, llama.cpp,
and with themselves: in a crowd, behind a cached prefix, in steps of any size."""

import concurrent.futures
import json
import math
import pathlib
import tempfile
import unittest

import weir_process as weir

weir.skip_unless(weir.WEIR, weir.MODEL)
try:
    import httpx
    import numpy as np
except ImportError as missing:
    print(f"skipped: {missing} (script/bootstrap installs it)")
    raise SystemExit(weir.SKIP)

TEXT = ("The sea was calm that morning, and the lighthouse keeper wrote his numbers into the book as he had done for thirty years. "
        "Nobody had asked him for them. Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich.\n\tdef f(x): return x + 1\n") * 6
ITEMS = [{"id": "capital", "prompt": "The capital of France is", "choices": ["Paris", "a spoon", "seventeen"], "answer": 0},
         {"id": "sky", "prompt": "On a clear day the sky is", "choices": ["furniture", "blue and far"], "answer": 1},
         {"id": "wrong", "prompt": "The capital of France is", "choices": ["Paris", "under the carpet"], "answer": 1}]


def setUpModule():
    global server
    server = weir.Server()
    server.__enter__()


def tearDownModule():
    server.__exit__(None, None, None)


def complete(at=None, **body):
    at = at or server
    answer = httpx.post(at.url + "/v1/completions", timeout=120 * weir.SLOWDOWN,
                        json={"model": at.model, "echo": True, "logprobs": 2, "max_tokens": 0, "temperature": 0, **body})
    if answer.status_code != 200:
        raise AssertionError(f"{answer.status_code} {answer.text}")
    return answer.json()["choices"]


def ids_of(text):
    return httpx.post(server.url + "/tokenize", json={"prompt": text}).json()["tokens"]


def log_softmax(rows):
    rows = rows.astype(np.float64)
    rows -= rows.max(axis=1, keepdims=True)
    return rows - np.log(np.exp(rows).sum(axis=1, keepdims=True))


class PromptLogprobs(unittest.TestCase):
    def logits(self, text, count):
        """(ids, [count, vocab] log probabilities) as `weir eval logits` has them."""
        with tempfile.TemporaryDirectory() as holder:
            file, out = pathlib.Path(holder, "text"), pathlib.Path(holder, "logits")
            file.write_text(text, encoding="utf-8")
            code, _, err = weir.run("eval", "logits", weir.MODEL, "-f", file, "--count", count, "-o", out)
            self.assertEqual(code, 0, err)
            data = out.read_bytes()
        vocab, positions = np.frombuffer(data, "<i4", 2)
        ids = np.frombuffer(data, "<i4", positions, 8)
        return ids, log_softmax(np.frombuffer(data, "<f4", positions * vocab, 8 + 4 * int(positions)).reshape(positions, vocab))

    def test_are_those_of_the_logits(self):
        ids = ids_of(TEXT)
        self.assertGreater(len(ids), 300)  # more rows than a step has
        known, rows = self.logits(TEXT, len(ids))
        self.assertEqual(known.tolist(), ids)
        lp = complete(prompt=ids)[0]["logprobs"]
        self.assertEqual(len(lp["token_logprobs"]), len(ids))
        self.assertIsNone(lp["token_logprobs"][0])
        self.assertIsNone(lp["top_logprobs"][0])
        for i in range(1, len(ids)):
            self.assertAlmostEqual(lp["token_logprobs"][i], rows[i - 1, ids[i]], places=4)
            self.assertAlmostEqual(max(lp["top_logprobs"][i].values()), rows[i - 1].max(), places=4)

    def test_are_near_those_of_llama_cpp(self):
        try:
            import llama_cpp
        except ImportError as missing:
            self.skipTest(f"{missing} (script/bootstrap installs it)")
        llama = llama_cpp.Llama(str(weir.MODEL), n_ctx=512, logits_all=True, verbose=False)
        ids = ids_of(TEXT)[:200]
        llama.eval(ids)
        rows = log_softmax(np.array(llama.scores[:len(ids)]))
        ours = np.array(complete(prompt=ids)[0]["logprobs"]["token_logprobs"][1:])
        theirs = rows[np.arange(len(ids) - 1), ids[1:]]
        self.assertLess(abs(ours.mean() - theirs.mean()), 0.02)
        self.assertLess(np.abs(ours - theirs).mean(), 0.1)

    def test_choices_are_those_of_eval_task(self):
        """The sums that lm-evaluation-harness makes of an answer, for every choice."""
        with tempfile.TemporaryDirectory() as holder:
            folder = pathlib.Path(holder)
            (folder / "facts.jsonl").write_text("".join(json.dumps(i) + "\n" for i in ITEMS))
            (folder / "suite.yaml").write_text("name: tiny\ntasks:\n  - {name: facts, file: facts.jsonl, metric: acc}\n")
            code, out, err = weir.run("eval", "task", weir.MODEL, "--suite", folder / "suite.yaml", "--json")
        self.assertEqual(code, 0, err)
        for item, theirs in zip(ITEMS, json.loads(out)["tasks"][0]["items"]):
            start = ids_of(item["prompt"])
            sums = []
            for choice in item["choices"]:
                ids = ids_of(f"{item['prompt']} {choice}")
                self.assertEqual(ids[:len(start)], start)
                values = complete(prompt=ids, logprobs=1, max_tokens=1)[0]["logprobs"]["token_logprobs"]
                self.assertEqual(len(values), len(ids) + 1)  # whatever was generated, an end token too
                sums.append(sum(values[len(start):-1]))
            self.assertEqual(float(sums.index(max(sums)) == item["answer"]), theirs["scores"]["acc"], item)
            self.assertAlmostEqual(sums[item["answer"]], theirs["scores"]["ll"], places=3)

    def test_are_the_same_bits_in_a_crowd_behind_a_prefix_and_in_other_steps(self):
        prompts = [ids_of(TEXT)[i * 9:i * 9 + 60 + 37 * i] for i in range(6)]
        alone = [complete(prompt=p, max_tokens=3, cache_salt=str(i))[0]["logprobs"] for i, p in enumerate(prompts)]
        self.assertTrue(all(math.isfinite(v) for lp in alone for v in lp["token_logprobs"][1:]))
        with concurrent.futures.ThreadPoolExecutor(len(prompts)) as pool:
            crowd = list(pool.map(lambda p: complete(prompt=p, max_tokens=3)[0]["logprobs"], prompts))
        again = [c["logprobs"] for c in complete(prompt=prompts, max_tokens=3)]
        for want, *others in zip(alone, crowd, again):
            for got in others:
                self.assertEqual(got, want)
        with weir.Server("--step-tokens", 24, "--threads", 1) as other:
            for want, got in zip(alone, complete(other, prompt=prompts, max_tokens=3)):
                self.assertEqual(got["logprobs"], want)


if __name__ == "__main__":
    unittest.main(verbosity=2)
