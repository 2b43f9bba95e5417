"""Embeddings of the fixture `bert` (tests/golden/make_architectures.py): `weir embed`, and the `openai` package against `weir serve`."""

import base64
import concurrent.futures
import json
import struct
import subprocess
import sys
import tempfile
import unittest

import weir_process as weir

BERT = weir.ROOT / "tests" / "golden" / "architectures" / "bert.gguf"
weir.skip_unless(weir.WEIR)
import httpx  # noqa: E402
import openai  # noqa: E402

GOLDEN = json.loads(BERT.with_suffix(".embeddings.json").read_text())
TEXTS = [row["text"] for row in GOLDEN]
LONG = "weir " * 200  # the model's window is 128
TOLERANCE = 1e-3  # of the greatest value, as for the logits of the other fixtures
server = None


def embed(*arguments):
    code, out, err = weir.run("embed", BERT, "--json", *arguments)
    if code != 0:
        raise AssertionError(f"exit code {code}: {err}")
    return json.loads(out)


class Vectors(unittest.TestCase):
    def assert_golden(self, vectors):
        self.assertEqual(len(vectors), len(GOLDEN))
        for row, got in zip(GOLDEN, vectors):
            worst = max(abs(a - b) for a, b in zip(row["embedding"], got, strict=True))
            self.assertLess(worst, TOLERANCE * max(map(abs, row["embedding"])), row["text"])


class CommandLine(Vectors):
    def test_vectors_are_those_of_transformers(self):
        reply = embed(*TEXTS)
        self.assertEqual((reply["dimensions"], reply["pooling"]), (64, "mean"))
        self.assertEqual([d["tokens"] for d in reply["data"]], [len(row["ids"]) for row in GOLDEN])
        self.assert_golden([d["embedding"] for d in reply["data"]])

    def test_ids_are_those_of_transformers(self):
        for row in GOLDEN:
            code, out, _ = weir.run("tokenize", BERT, "--json", "--text", row["text"])
            self.assertEqual((code, json.loads(out)["ids"]), (0, row["ids"]), row["text"])

    def test_same_bits_alone_and_together(self):
        together = embed(*TEXTS, "--threads", "2")["data"]
        for i, text in enumerate(TEXTS):
            self.assertEqual(embed(text, "--threads", "1")["data"][0]["embedding"], together[i]["embedding"])
        crowded = embed(*TEXTS, "--step-tokens", "104")["data"]  # the longest text just fits
        self.assertEqual([d["embedding"] for d in crowded], [d["embedding"] for d in together])

    def test_texts_from_a_file(self):
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as f:
            f.write("the weir\r\n\nriver\n")
            f.flush()
            got = embed("a", "-f", f.name)["data"]
        self.assertEqual([d["embedding"] for d in got], [d["embedding"] for d in embed("a", "the weir", "", "river")["data"]])

    def test_texts_from_standard_input(self):
        done = subprocess.run([str(weir.WEIR), "embed", str(BERT), "--json", "-f", "-"], input=b"a\nthe weir\n", capture_output=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(json.loads(done.stdout)["data"], embed("a", "the weir")["data"])

    def test_pooling_can_be_chosen(self):
        vectors = {p: tuple(embed("the weir", "--pooling", p)["data"][0]["embedding"]) for p in ("mean", "cls", "last")}
        self.assertEqual(len(set(vectors.values())), 3)
        self.assertEqual(list(vectors["mean"]), embed("the weir")["data"][0]["embedding"])

    def test_a_text_that_is_too_long_is_refused_or_cut_when_asked(self):
        code, _, err = weir.run("embed", BERT, LONG)
        self.assertEqual(code, 3)
        self.assertIn("input[0] has 202 tokens; the longest text this model takes here has 128; send less, or have it cut", err)
        self.assertEqual(embed(LONG, "--truncate")["data"], embed("weir " * 126)["data"])
        code, _, err = weir.run("embed", BERT, "weir " * 90, "--step-tokens", "64")
        self.assertEqual(code, 3)
        self.assertIn("an encoder takes a text in one step, here of at most 64 (--step-tokens)", err)

    def test_for_people(self):
        code, out, err = weir.run("embed", BERT, "the weir", "a river")
        self.assertEqual(code, 0)
        self.assertIn("4 tokens, 64 values", out)
        self.assertIn("cosine similarity", out)
        self.assertIn("2 texts", err)

    def test_an_encoder_generates_nothing(self):
        for arguments in (["run", BERT, "-p", "hi"], ["bench", "engine", BERT], ["eval", "ppl", BERT, "--file", __file__]):
            code, _, err = weir.run(*arguments)
            self.assertEqual(code, 3, arguments)
            self.assertIn("is an encoder (bert): it makes embeddings and generates no text", err)

    def test_inspect_describes_an_encoder(self):
        code, out, _ = weir.run("inspect", BERT)
        self.assertEqual(code, 0)
        self.assertIn("encoder: embeddings of 64 values, pooling mean, texts of up to 128 tokens; generates no text", out)
        _, out, _ = weir.run("inspect", BERT, "--json")
        self.assertEqual(json.loads(out)["embedding"], {"encoder": True, "dimensions": 64, "pooling": "mean"})
        metadata = json.loads(out)["metadata"]
        wanted = {"bert.block_count": 3, "bert.attention.layer_norm_epsilon": 1e-12, "bert.attention.causal": False, "general.architecture": "bert"}
        self.assertEqual({key: metadata[key] for key in wanted}, wanted)
        self.assertIs(type(metadata["bert.block_count"]), int)

    def test_a_decoder_embeds_when_told_how(self):
        if not weir.MODEL.exists():
            self.skipTest(f"{weir.MODEL} is not there")
        code, _, err = weir.run("embed", weir.MODEL, "hi")
        self.assertEqual(code, 3)
        self.assertIn("--pooling mean or last", err)
        code, out, _ = weir.run("embed", weir.MODEL, "--pooling", "last", "--json", "A cat sleeps.", "A cat is asleep.", "Tax law of 1924")
        a, b, c = (d["embedding"] for d in json.loads(out)["data"])
        self.assertEqual((code, len(a)), (0, 576))
        self.assertGreater(sum(x * y for x, y in zip(a, b)), sum(x * y for x, y in zip(a, c)))


class Server(Vectors):
    def setUp(self):
        self.client = openai.OpenAI(base_url=server.url + "/v1", api_key="unused", max_retries=0, timeout=120)
        self.addCleanup(self.client.close)

    def create(self, texts, **options):
        return self.client.embeddings.create(**{"model": server.model, "input": texts, "encoding_format": "float", **options})

    def refused(self, kind, texts, **options):
        with self.assertRaises(kind) as caught:
            self.create(texts, **options)
        return caught.exception.body

    def test_vectors_and_usage(self):
        reply = self.create(TEXTS)
        self.assert_golden([d.embedding for d in reply.data])
        self.assertEqual([d.index for d in reply.data], list(range(len(TEXTS))))
        self.assertEqual((reply.object, reply.data[0].object, reply.model), ("list", "embedding", server.model))
        tokens = sum(len(row["ids"]) for row in GOLDEN)
        self.assertEqual((reply.usage.prompt_tokens, reply.usage.total_tokens), (tokens, tokens))

    def test_one_string_ids_and_arrays_of_ids(self):
        want = self.create(TEXTS[0]).data[0].embedding
        self.assertEqual(self.create(GOLDEN[0]["ids"]).data[0].embedding, want)
        both = self.create([GOLDEN[1]["ids"], GOLDEN[0]["ids"]]).data
        self.assertEqual(both[1].embedding, want)

    def test_base64_holds_the_same_floats(self):
        plain = self.create(TEXTS)
        # Left to itself the client asks for base64 and decodes.
        default = self.client.embeddings.create(model=server.model, input=TEXTS)
        self.assertEqual([d.embedding for d in default.data], [list(map(single, d.embedding)) for d in plain.data])
        raw = httpx.post(server.url + "/v1/embeddings", json={"input": "a", "encoding_format": "base64"}).json()
        floats = struct.unpack("<64f", base64.b64decode(raw["data"][0]["embedding"], validate=True))
        self.assertEqual(list(floats), [single(x) for x in self.create("a").data[0].embedding])

    def test_same_bits_in_hostile_company(self):
        want = [self.create(text).data[0].embedding for text in TEXTS]

        def ask(i):
            texts = TEXTS[i % len(TEXTS):] + ["river " * (i + 1)] * i
            return [(TEXTS.index(t), d.embedding) for t, d in zip(texts, self.create(texts).data) if t in TEXTS]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            for answers in pool.map(ask, range(24)):
                for i, got in answers:
                    self.assertEqual(got, want[i])

    def test_dimensions(self):
        self.assertEqual(len(self.create("a", dimensions=64).data[0].embedding), 64)
        body = self.refused(openai.BadRequestError, "a", dimensions=32)
        self.assertEqual((body["param"], body["code"]), ("dimensions", "invalid_value"))
        self.assertIn("have 64", body["message"])

    def test_long_texts(self):
        body = self.refused(openai.BadRequestError, ["a", LONG])
        self.assertEqual((body["param"], body["code"]), ("input[1]", "context_length_exceeded"))
        cut = self.create(LONG, extra_body={"truncate_prompt_tokens": -1})
        self.assertEqual(cut.data[0].embedding, self.create("weir " * 126).data[0].embedding)
        self.assertEqual(cut.usage.prompt_tokens, 128)
        cut = self.create("the weir weir weir", extra_body={"truncate_prompt_tokens": 4})
        self.assertEqual(cut.data[0].embedding, self.create("the weir").data[0].embedding)

    def test_what_is_refused(self):
        for texts, param in ((5, "input"), ([], "input"), ([[]], "input[0]"), ([64], "input[0]"), ([-1], "input[0]"),
                             ([["x"]], "input[0][0]"), (["a", 5], "input[1]"), (["a"] * 2049, "input")):
            self.assertEqual(self.refused(openai.BadRequestError, texts)["param"], param, texts if texts != ["a"] * 2049 else "2049")
        self.assertEqual(self.refused(openai.BadRequestError, "a", encoding_format="int8")["param"], "encoding_format")
        self.assertEqual(self.refused(openai.NotFoundError, "a", model="other")["code"], "model_not_found")
        reply = httpx.post(server.url + "/v1/embeddings", json={})
        self.assertEqual((reply.status_code, reply.json()["error"]["param"]), (400, "input"))
        self.assertEqual(httpx.get(server.url + "/v1/embeddings").status_code, 405)

    def test_many_texts(self):
        self.assertEqual(len(self.create(["weir"] * 2048).data), 2048)

    def test_an_encoder_does_not_chat(self):
        for call in (lambda: self.client.chat.completions.create(model=server.model, messages=[{"role": "user", "content": "hi"}]),
                     lambda: self.client.completions.create(model=server.model, prompt="hi")):
            with self.assertRaises(openai.BadRequestError) as caught:
                call()
            self.assertEqual(caught.exception.body["param"], "model")
            self.assertIn("is an encoder", caught.exception.body["message"])

    def test_metrics(self):
        def read(name):
            return weir.metric(httpx.get(server.url + "/metrics").text, name) or 0
        before = read("vllm:prompt_tokens_total"), read("vllm:request_success_total"), read("vllm:e2e_request_latency_seconds_count")
        self.create(["the weir", "a"])
        after = read("vllm:prompt_tokens_total"), read("vllm:request_success_total"), read("vllm:e2e_request_latency_seconds_count")
        self.assertEqual([b - a for a, b in zip(before, after)], [4 + 3, 1, 1])


def single(x):
    """The nearest f32."""
    return struct.unpack("<f", struct.pack("<f", x))[0]


if __name__ == "__main__":
    with weir.Server("--name", "bert", model=BERT) as server:
        result = unittest.main(exit=False, verbosity=1).result
    sys.exit(0 if result.wasSuccessful() else 1)
