"""`weir quantize --kv-cache fp8`: the scales against the largest keys and values of a forward pass in numpy, the configuration, what stays readable, and what
is refused. Of several sources and of matrices that factors were folded into, too."""

import importlib.util
import json
import pathlib
import tempfile
import unittest

import weir_process as weir

weir.skip_unless(weir.WEIR)
import gguf  # noqa: E402
import gpu_formats_test as formats  # noqa: E402
import numpy as np  # noqa: E402
import safetensors_test as folders  # noqa: E402

HIDDEN, INNER, LAYERS, HEADS, HEAD = 128, 256, 2, 4, 32
CONTEXT = 32
FP8 = ("--format", "compressed-tensors", "--scheme", "FP8_DYNAMIC")
CACHE = ("--kv-cache", "fp8")


def normed(x, weight):
    return x / np.sqrt(np.square(x).mean(-1, keepdims=True) + 1e-5) * weight


def rotated(x):
    """[tokens, heads, HEAD] in halves, as transformers has it."""
    angle = np.arange(len(x))[:, None] * 10000.0 ** (-np.arange(0, HEAD, 2) / HEAD)
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    low, high = np.split(x, 2, -1)
    return np.concatenate([low * cos - high * sin, high * cos + low * sin], -1)


def forward(tensors, tokens):
    """(keys before rotation, keys, values) of each layer, [tokens, heads, HEAD]."""
    x, cache = tensors["model.embed_tokens.weight"][tokens], []
    for i in range(LAYERS):
        w = {n.removeprefix(f"model.layers.{i}.").removesuffix(".weight"): t for n, t in tensors.items() if n.startswith(f"model.layers.{i}.")}
        h = normed(x, w["input_layernorm"])
        q, plain, v = ((h @ w[f"self_attn.{n}_proj"].T).reshape(len(x), -1, HEAD) for n in "qkv")
        q, k = rotated(q), rotated(plain)
        cache.append((plain, k, v))
        k, v = (np.repeat(t, HEADS // t.shape[1], 1) for t in (k, v))
        scores = np.einsum("thd,shd->hts", q, k) / np.sqrt(HEAD)
        scores = np.where(np.tri(len(x), dtype=bool), scores, -np.inf)
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = np.einsum("hts,shd->thd", scores / scores.sum(-1, keepdims=True), v)
        x = x + mixed.reshape(len(x), -1) @ w["self_attn.o_proj"].T
        h = normed(x, w["post_attention_layernorm"])
        gate = h @ w["mlp.gate_proj"].T
        x = x + (gate / (1 + np.exp(-gate)) * (h @ w["mlp.up_proj"].T)) @ w["mlp.down_proj"].T
    return cache


class KvCacheScales(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.tmp = pathlib.Path(holder.name)
        self.make("source", kv_heads=2)

    def make(self, name, kv_heads):
        """A folder `source` with random weights, of its text an importance matrix."""
        self.source = self.tmp / name
        self.source.mkdir()
        config = {"model_type": "llama", "hidden_size": HIDDEN, "intermediate_size": INNER, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
                  "num_key_value_heads": kv_heads, "head_dim": HEAD, "max_position_embeddings": 64, "rms_norm_eps": 1e-05, "rope_theta": 10000.0,
                  "vocab_size": folders.VOCAB, "tie_word_embeddings": False, "torch_dtype": "bfloat16", "bos_token_id": 1, "eos_token_id": 2}
        (self.source / "config.json").write_text(json.dumps(config))
        (self.source / "tokenizer.json").write_text(json.dumps(folders.tiny_tokenizer()))
        random = np.random.default_rng(5)
        shapes = {"model.embed_tokens.weight": (folders.VOCAB, HIDDEN), "model.norm.weight": (HIDDEN,), "lm_head.weight": (folders.VOCAB, HIDDEN)}
        layer = {"input_layernorm": (HIDDEN,), "post_attention_layernorm": (HIDDEN,), "self_attn.q_proj": (HIDDEN, HIDDEN),
                 "self_attn.k_proj": (kv_heads * HEAD, HIDDEN), "self_attn.v_proj": (kv_heads * HEAD, HIDDEN), "self_attn.o_proj": (HIDDEN, HIDDEN),
                 "mlp.gate_proj": (INNER, HIDDEN), "mlp.up_proj": (INNER, HIDDEN), "mlp.down_proj": (HIDDEN, INNER)}
        shapes |= {f"model.layers.{i}.{n}.weight": s for i in range(LAYERS) for n, s in layer.items()}
        self.tensors = {}
        for tensor, shape in shapes.items():
            values = np.exp(random.normal(0, 0.3, shape)) if len(shape) == 1 else random.normal(0, 0.1, shape)
            if "v_proj" in tensor:  # so that the columns of the next matrix meet inputs of different size
                values *= np.exp(random.normal(0, 1, (shape[0], 1)))
            if "embed" in tensor or "k_proj" in tensor:  # keys have much in common before they are rotated
                values[:, 0] = 0.5
            self.tensors[tensor] = formats.bf16(values)
        folders.write_safetensors(self.source / "model.safetensors", self.tensors)
        self.imatrix = self.measure("imatrix.gguf", folders.TEXT)

    def weir(self, *arguments, code=0):
        got, out, err = weir.run(*arguments)
        self.assertEqual(got, code, err)
        return out if code == 0 else err

    def measure(self, name, text, *options):
        (self.tmp / "text").write_text(text)
        self.weir("imatrix", self.source, "--data", self.tmp / "text", "-o", self.tmp / name, "--ctx", CONTEXT, *options)
        return self.tmp / name

    def largest(self, text):
        """[layers][keys before rotation, keys, values] over the chunks of a text."""
        ids = json.loads(self.weir("tokenize", self.source, "--text", text, "--json"))["ids"]
        chunks = [ids[at:at + CONTEXT] for at in range(0, len(ids) - CONTEXT + 1, CONTEXT)]
        self.assertGreater(len(chunks), 1)
        plain = {n: formats.from_bf16(t) for n, t in self.tensors.items()}
        caches = [forward(plain, chunk) for chunk in chunks]
        return np.max([[[np.abs(t).max() for t in layer] for layer in cache] for cache in caches], 0)

    def quantize(self, name, *options):
        out = self.tmp / name
        self.weir("quantize", self.source, out, *options)
        return out, formats.read_safetensors(out / "model.safetensors")

    @staticmethod
    def scales(parts):
        return np.array([[parts[f"model.layers.{i}.self_attn.{n}_scale"] for n in "kv"] for i in range(LAYERS)])

    def test_scales_are_those_of_the_largest_keys_and_values(self):
        _, parts = self.quantize("out", *FP8, *CACHE, "--imatrix", self.imatrix)
        scales, want = self.scales(parts), self.largest(folders.TEXT)
        self.assertEqual((scales.shape, scales.dtype), ((LAYERS, 2, 1), np.float32))
        np.testing.assert_allclose(scales[..., 0] * 448, want[:, 1:], rtol=0.01)
        # Rotation changes the largest key of the first layer, so that it matters when it is measured.
        self.assertGreater(abs(want[0, 1] / want[0, 0] - 1), 0.05)

    def test_texts_that_are_measured_one_after_another(self):
        words = folders.TEXT.split()
        more = " ".join(reversed(words))
        both = self.measure("both.gguf", more, "--add", self.imatrix)
        _, parts = self.quantize("out", *FP8, *CACHE, "--imatrix", both)
        want = np.maximum(self.largest(folders.TEXT), self.largest(more))[:, 1:]
        self.assertTrue((want != self.largest(more)[:, 1:]).any())
        np.testing.assert_allclose(self.scales(parts)[..., 0] * 448, want, rtol=0.01)

    def test_values_that_factors_are_folded_into(self):
        self.make("every-head", kv_heads=HEADS)
        options = ("--format", "compressed-tensors", "--scheme", "W8A16", "--group-size", 32, *CACHE, "--imatrix", self.imatrix)
        _, plain = self.quantize("plain", *options)
        out, parts = self.quantize("awq", *options, "--method", "awq")
        tensors, _ = formats.GpuFormats.decoded_parts({n: t for n, t in parts.items() if not n.endswith(("k_scale", "v_scale"))}, formats.packed(8))
        source = self.tensors
        self.tensors = {n: formats.bf16(t) for n, t in tensors.items()}
        want = self.largest(folders.TEXT)[:, 1:]
        self.tensors = source
        before, after = self.scales(plain)[..., 0], self.scales(parts)[..., 0]
        self.assertTrue((np.abs(after[:, 1] / before[:, 1] - 1) > 0.1).all(), (before, after))
        np.testing.assert_array_equal(after[:, 0], before[:, 0])
        np.testing.assert_allclose(after * 448, want, rtol=0.02)

    def test_configuration(self):
        out, _ = self.quantize("out", *FP8, *CACHE, "--imatrix", self.imatrix)
        config = json.loads((out / "config.json").read_text())["quantization_config"]
        self.assertEqual(config["kv_cache_scheme"],
                         {"num_bits": 8, "type": "float", "symmetric": True, "strategy": "tensor", "group_size": None, "dynamic": False})
        plain, _ = self.quantize("plain", *FP8)
        self.assertIsNone(json.loads((plain / "config.json").read_text())["quantization_config"]["kv_cache_scheme"])
        if importlib.util.find_spec("compressed_tensors") is None:
            self.skipTest("the rest takes the package compressed-tensors")
        from compressed_tensors.quantization import QuantizationConfig
        scheme = QuantizationConfig.model_validate(config).kv_cache_scheme
        self.assertEqual((scheme.num_bits, scheme.type, scheme.strategy, scheme.dynamic), (8, "float", "tensor", False))
        self.assertEqual(scheme.model_dump(), config["kv_cache_scheme"])

    def test_the_rest_of_the_folder_is_the_same_and_runs(self):
        with_cache, parts = self.quantize("with", *FP8, *CACHE, "--imatrix", self.imatrix)
        _, plain = self.quantize("plain", *FP8)
        self.assertEqual(parts.keys() - plain.keys(), {f"model.layers.{i}.self_attn.{n}_scale" for i in range(LAYERS) for n in "kv"})
        for name, values in plain.items():
            np.testing.assert_array_equal(parts[name], values, name)
        ran = [self.weir("run", self.tmp / f, "--raw", "-p", "the cat", "-n", "4", "--temp", "0") for f in ("with", "plain")]
        self.assertEqual(*ran)
        said = json.loads(self.weir("quantize", self.source, self.tmp / "no", *FP8, *CACHE, "--imatrix", self.imatrix, "--dry-run", "--json"))
        self.assertEqual((said["kv_cache"], said["bytes"]), ("fp8", sum(self.sizes(with_cache))))

    def test_without_a_scheme_all_else_stays(self):
        out, parts = self.quantize("out", *FP8[:2], *CACHE, "--imatrix", self.imatrix)
        self.assertEqual(len(parts), len(self.tensors) + 2 * LAYERS)
        for name, values in self.tensors.items():
            np.testing.assert_array_equal(parts[name], formats.from_bf16(values), name)
        np.testing.assert_allclose(self.scales(parts)[..., 0] * 448, self.largest(folders.TEXT)[:, 1:], rtol=0.01)
        config = json.loads((out / "config.json").read_text())["quantization_config"]
        self.assertEqual((config["config_groups"], config["format"], config["ignore"], config["kv_cache_scheme"]["num_bits"]), ({}, "dense", [], 8))
        ran = [self.weir("run", f, "--raw", "-p", "the cat", "-n", "4", "--temp", "0") for f in (out, self.source)]
        self.assertEqual(*ran)
        if importlib.util.find_spec("compressed_tensors") is not None:
            from compressed_tensors.quantization import QuantizationConfig
            self.assertEqual(QuantizationConfig.model_validate(config).kv_cache_scheme.model_dump(), config["kv_cache_scheme"])

    @staticmethod
    def sizes(folder):
        data = (folder / "model.safetensors").read_bytes()
        header = json.loads(data[8:8 + int.from_bytes(data[:8], "little")])
        return [t["data_offsets"][1] - t["data_offsets"][0] for n, t in header.items() if n != "__metadata__"]

    def test_shards(self):
        (self.source / "model.safetensors").unlink()
        folders.write_shards(self.source, self.tensors, 2)
        out = self.tmp / "out"
        self.weir("quantize", self.source, out, *FP8, *CACHE, "--imatrix", self.imatrix)
        where = json.loads((out / "model.safetensors.index.json").read_text())["weight_map"]
        parts = {}
        for shard in set(where.values()):
            parts |= formats.read_safetensors(out / shard)
        self.assertEqual(parts.keys(), where.keys())
        np.testing.assert_allclose(self.scales(parts)[..., 0] * 448, self.largest(folders.TEXT)[:, 1:], rtol=0.01)

    def test_what_is_refused(self):
        out = self.tmp / "out"
        others = self.tmp / "others.gguf"  # as llama.cpp writes it
        writer = gguf.GGUFWriter(str(others), "none")
        writer.add_type("imatrix")
        for name, value in (("in_sum2", np.ones((1, HIDDEN), np.float32)), ("counts", np.ones((1, 1), np.float32))):
            writer.add_tensor(f"blk.0.attn_q.weight.{name}", value)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        measured = ("--imatrix", self.imatrix)
        for options, code, word in (((*FP8, *CACHE), 2, "weir imatrix MODEL"), ((*FP8, *CACHE, "--imatrix", others), 3, "weir imatrix MODEL"),
                                    ((*FP8[:2], *CACHE, *measured, "--method", "awq"), 2, "--scheme"), (FP8[:2], 2, "--scheme is missing"),
                                    ((*FP8, "--kv-cache", "int8", *measured), 2, "there is fp8"), ((*FP8, *measured), 2, "floats for codes"),
                                    (("--format", "gptq", *CACHE, *measured), 2, "compressed-tensors"), (("--type", "Q4_0", *CACHE), 2, "--kv-cache")):
            with self.subTest(options):
                self.assertIn(word, self.weir("quantize", self.source, out, *options, code=code))
        self.assertFalse(out.exists())


if __name__ == "__main__":
    unittest.main()
