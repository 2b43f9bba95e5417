"""The same request gives the same bits: alone or in a crowd, whatever the threads, chunks, page shortages and cached prefixes."""

import concurrent.futures
import itertools
import unittest

import weir_process as weir

weir.skip_unless(weir.WEIR, weir.MODEL)
import httpx  # noqa: E402

TEXT = ("The lighthouse stood on a rock that the sea had been trying to remove for four thousand years, and the keeper, "
        "who had read every book in the place twice, had begun to write one of his own about the weather. ")
REQUESTS = [
    {"prompt": "The capital of France is", "max_tokens": 40, "temperature": 0},
    {"prompt": TEXT * 6, "max_tokens": 32, "temperature": 0},
    {"prompt": "def fibonacci(n):", "max_tokens": 60, "temperature": 0.8, "seed": 7},
    {"prompt": TEXT, "max_tokens": 64, "temperature": 1.0, "top_p": 0.9, "seed": 1},
    {"prompt": "Grüße aus 北京! 🌍", "max_tokens": 24, "temperature": 1.3, "seed": 99, "top_k": 50},
    {"prompt": "1, 2, 3, 4,", "max_tokens": 48, "temperature": 0, "frequency_penalty": 0.5},
    {"prompt": TEXT * 3 + "Then", "max_tokens": 80, "temperature": 0.7, "seed": 3, "min_p": 0.05},
    {"prompt": "Once upon a time", "max_tokens": 100, "temperature": 0.9, "seed": 42, "repetition_penalty": 1.1},
]


CACHED = {"prompt_tokens": 0}  # found in prefix caches, over all requests


def ask(server, request):
    body = {"model": server.model, "logprobs": 3, "ignore_eos": True, **request}
    reply = httpx.post(server.url + "/v1/completions", json=body, timeout=300 * weir.SLOWDOWN)
    reply.raise_for_status()
    choice = reply.json()["choices"][0]
    CACHED["prompt_tokens"] += reply.json()["usage"]["prompt_tokens_details"]["cached_tokens"]
    lp = choice["logprobs"]
    return {"text": choice["text"], "tokens": lp["tokens"], "logprobs": lp["token_logprobs"], "top": lp["top_logprobs"]}


def together(server):
    with concurrent.futures.ThreadPoolExecutor(len(REQUESTS)) as pool:
        return list(pool.map(lambda r: ask(server, r), REQUESTS))


class SameBits(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with weir.Server("--threads", 1, "--prefill-chunk", 512, "--speculate", "off", "--no-prefix-cache") as server:
            cls.alone = [ask(server, r) for r in REQUESTS]

    def check(self, answers):
        for i, (want, got) in enumerate(zip(self.alone, answers)):
            self.assertEqual(want, got, f"request {i}: {REQUESTS[i]['prompt'][:40]!r}")

    def test_there_is_something_to_compare(self):
        for request, answer in zip(REQUESTS, self.alone):
            self.assertEqual(len(answer["tokens"]), request["max_tokens"])
            self.assertEqual(len(answer["logprobs"]), request["max_tokens"])

    def test_threads_and_chunks(self):
        for threads, chunk in itertools.product((1, 2), (16, 64, 512)):
            with self.subTest(threads=threads, chunk=chunk):
                with weir.Server("--threads", threads, "--prefill-chunk", chunk) as server:
                    self.check(together(server))

    def test_cached_prefixes(self):
        # Three of the prompts begin alike, so some are found in part, others whole, and with what was generated.
        with weir.Server("--threads", 2, "--prefill-chunk", 64) as server:
            before = CACHED["prompt_tokens"]
            for _ in range(3):
                self.check(together(server))
            prompts = sum(len(httpx.post(server.url + "/tokenize", json={"prompt": r["prompt"]}).json()["tokens"]) for r in REQUESTS)
            self.assertGreaterEqual(CACHED["prompt_tokens"] - before, 2 * (prompts - 2 * len(REQUESTS)))
            longer = {**REQUESTS[1], "prompt": REQUESTS[1]["prompt"] + self.alone[1]["text"] + " And then", "max_tokens": 24}
            self.assertEqual(ask(server, longer), self.ask_alone(longer))
            with weir.Server("--threads", 1, "--no-prefix-cache") as other:
                for tenths in range(1, 10):  # parts of pages
                    part = {**REQUESTS[1], "prompt": REQUESTS[1]["prompt"][: 10 + 37 * tenths], "max_tokens": 8}
                    self.assertEqual(ask(server, part), ask(other, part))

    def ask_alone(self, request):
        with weir.Server("--threads", 1, "--no-prefix-cache") as server:
            return ask(server, request)

    def test_speculation(self):
        # Whatever is guessed: from the text, by a prediction that is right, by a draft model (here the model itself).
        for flags in (("--speculate", "off"), ("--speculate", "auto"), ("--speculate", 6), ("--speculate", 3, "--draft", weir.MODEL)):
            with self.subTest(flags=flags):
                with weir.Server("--threads", 2, *flags) as server:
                    self.check(together(server))
                    if flags[1] not in ("off", "auto"):  # auto may find that no guess pays
                        metrics = httpx.get(server.url + "/metrics").text
                        self.assertGreater(weir.metric(metrics, "vllm:spec_decode_num_accepted_tokens_total"), 0)

    def test_small_steps(self):
        with weir.Server("--threads", 2, "--step-tokens", 24, "--prefill-chunk", 16) as server:
            self.check(together(server))

    def test_page_shortage(self):
        # About a third of what all of them hold at their longest. On a busy machine they may arrive so far apart that all the same there is room.
        with weir.Server("--threads", 2, "--ctx", 512, "--kv-tokens", 544) as server:
            for _ in range(10):
                self.check(together(server))
                preemptions = weir.metric(httpx.get(server.url + "/metrics").text, "vllm:num_preemptions_total")
                if preemptions > 0:
                    break
            self.assertGreater(preemptions, 0)

    def test_kv_types(self):
        kv = ("--kv-type-k", "q8_0", "--kv-type-v", "q4_0")
        with weir.Server("--threads", 1, "--no-prefix-cache", *kv) as server:
            alone = [ask(server, r) for r in REQUESTS]
            self.assertIn('cache_dtype="q8_0/q4_0"', httpx.get(server.url + "/metrics").text)
        self.assertNotEqual(alone, self.alone)
        with weir.Server("--threads", 2, "--prefill-chunk", 64, "--ctx", 512, "--kv-tokens", 544, *kv) as server:
            for _ in range(2):
                for want, got in zip(alone, together(server)):
                    self.assertEqual(want, got)


if __name__ == "__main__":
    unittest.main(verbosity=2)
