"""`weir quantize --format compressed-tensors|gptq|awq`: what it writes is dequantized here, by numpy code of its own, and compared with what weir reads of
it, bit for bit, and with the source. The layouts were checked against the packages themselves; docs/QUANTIZATION.md says which."""

import json
import pathlib
import struct
import subprocess
import tempfile
import unittest

import weir_process as weir

weir.skip_unless(weir.WEIR)
import gguf  # noqa: E402
import numpy as np  # noqa: E402
import safetensors_test as folders  # noqa: E402

HIDDEN, INNER, LAYERS = 128, 384, 2
E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6], np.float32)
AWQ_NIBBLE = [0, 4, 1, 5, 2, 6, 3, 7]  # of row i of eight


def bf16(x):
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def from_bf16(x):
    return (x.astype(np.uint32) << 16).view(np.float32)


def e4m3_table():
    code = np.arange(256)
    exponent, mantissa = code >> 3 & 15, (code & 7).astype(np.float32)
    value = np.where(exponent == 0, mantissa * 2.0**-9, (1 + mantissa / 8) * np.exp2(exponent.astype(np.float32) - 7))
    return np.where(code >= 128, -value, value).astype(np.float32)


E4M3 = e4m3_table()
# How many bytes a value has, and the array that the bytes are.
READ = {"F32": lambda b: np.frombuffer(b, np.float32), "F16": lambda b: np.frombuffer(b, np.float16).astype(np.float32),
        "BF16": lambda b: from_bf16(np.frombuffer(b, np.uint16)), "I32": lambda b: np.frombuffer(b, np.uint32), "I64": lambda b: np.frombuffer(b, np.int64),
        "I8": lambda b: np.frombuffer(b, np.int8).astype(np.float32), "U8": lambda b: np.frombuffer(b, np.uint8),
        "F8_E4M3": lambda b: E4M3[np.frombuffer(b, np.uint8)]}


def read_safetensors(path):
    data = path.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8:8 + length])
    assert header.pop("__metadata__") == {"format": "pt"}
    out = {}
    for name, t in header.items():
        begin, end = t["data_offsets"]
        out[name] = READ[t["dtype"]](data[8 + length + begin:8 + length + end]).reshape(t["shape"])
    return out


def nibbles(words, axis, bits=4):
    """Words of 32 bits as the codes that they hold along an axis, the lowest first."""
    shifts = np.arange(0, 32, bits, dtype=np.uint32)
    codes = words[..., None] >> shifts & (2**bits - 1)
    codes = np.moveaxis(codes, -1, axis + 1)
    shape = list(words.shape)
    shape[axis] *= 32 // bits
    return codes.reshape(shape).astype(np.float32)


def spread(x, group):
    return np.repeat(x, group, 1)


def packed(bits=4):
    def decode(t):
        rows, cols = t["weight_shape"]
        codes, group = nibbles(t["weight_packed"], 1, bits)[:, :cols], cols // t["weight_scale"].shape[1]
        zero = spread(nibbles(t["weight_zero_point"], 0, bits)[:rows], group) if "weight_zero_point" in t else 2 ** (bits - 1)
        return (codes - zero) * spread(t["weight_scale"], group)
    return decode


def plain(t):
    return t["weight"] * t["weight_scale"]


def block(t):
    rows, cols = t["weight"].shape
    return t["weight"] * np.repeat(spread(t["weight_scale"], 128), 128, 0)[:rows, :cols]


def four_bit(t):
    pairs = t["weight_packed"]
    return E2M1[np.stack([pairs & 15, pairs >> 4], -1).reshape(len(pairs), -1)]


def nvfp4(t):
    return four_bit(t) * spread(t["weight_scale"] * (np.float32(1) / t["weight_global_scale"]), 16)


def mxfp4(t):
    return four_bit(t) * spread(np.exp2(t["weight_scale"].astype(np.float32) - 127), 32)


def gptq(bits=4):
    def decode(t):
        group = len(t["g_idx"]) // len(t["scales"])
        assert (t["g_idx"] == np.arange(len(t["g_idx"])) // group).all()
        zeros = nibbles(t["qzeros"], 1, bits) + 1
        return ((nibbles(t["qweight"], 0, bits) - np.repeat(zeros, group, 0)) * np.repeat(t["scales"], group, 0)).T
    return decode


def awq(t):
    def rows(words):
        return nibbles(words, 1).reshape(len(words), -1, 8)[..., AWQ_NIBBLE].reshape(len(words), -1)
    group = len(t["qweight"]) // len(t["scales"])
    return ((rows(t["qweight"]) - np.repeat(rows(t["qzeros"]), group, 0)) * np.repeat(t["scales"], group, 0)).T


# name: (flags, decoder, most relative squared error on normal weights)
FORMATS = {
    "W4A16": (["--format", "compressed-tensors", "--scheme", "W4A16"], packed(), 0.014),
    "W4A16, 32": (["--format", "compressed-tensors", "--scheme", "w4a16", "--group-size", "32"], packed(), 0.010),
    "W4A16_ASYM": (["--format", "compressed-tensors", "--scheme", "W4A16", "--asymmetric", "--group-size", "64"], packed(), 0.012),
    "W8A16": (["--format", "compressed-tensors", "--scheme", "W8A16"], packed(8), 5e-5),
    "W8A8": (["--format", "compressed-tensors", "--scheme", "W8A8"], plain, 8e-5),
    "FP8_DYNAMIC": (["--format", "compressed-tensors", "--scheme", "FP8_DYNAMIC"], plain, 8e-4),
    "FP8_BLOCK": (["--format", "compressed-tensors", "--scheme", "FP8_BLOCK"], block, 8e-4),
    "NVFP4A16": (["--format", "compressed-tensors", "--scheme", "NVFP4A16"], nvfp4, 0.010),
    "MXFP4": (["--format", "compressed-tensors", "--scheme", "MXFP4"], mxfp4, 0.016),
    "GPTQ": (["--format", "gptq"], gptq(), 0.014),
    "GPTQ, zero points": (["--format", "gptq", "--asymmetric", "--group-size", "32"], gptq(), 0.010),
    "GPTQ, 8 bits": (["--format", "gptq", "--scheme", "W8A16"], gptq(8), 5e-5),
    "AWQ": (["--format", "awq", "--group-size", "64"], awq, 0.012),
}


class GpuFormats(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.tmp = pathlib.Path(holder.name)
        self.source = self.tmp / "source"
        self.source.mkdir()
        self.config = {"model_type": "llama", "hidden_size": HIDDEN, "intermediate_size": INNER, "num_hidden_layers": LAYERS, "num_attention_heads": 4,
                       "num_key_value_heads": 2, "head_dim": 32, "max_position_embeddings": 64, "rms_norm_eps": 1e-05, "rope_theta": 10000.0,
                       "vocab_size": folders.VOCAB, "tie_word_embeddings": False, "torch_dtype": "bfloat16", "bos_token_id": 1, "eos_token_id": 2}
        self.write_json("config.json", self.config)
        self.write_json("tokenizer.json", folders.tiny_tokenizer())
        (self.source / "notes.md").write_text("kept")
        (self.source / "pytorch_model.bin").write_text("not kept")
        random = np.random.default_rng(7)
        self.tensors = {}
        for name, shape in self.shapes().items():
            values = np.ones(shape, np.float32) if "norm" in name else random.normal(0, 0.05, shape)
            self.tensors[name] = bf16(values)
        folders.write_safetensors(self.source / "model.safetensors", self.tensors)

    def write_json(self, name, value):
        (self.source / name).write_text(json.dumps(value))

    @staticmethod
    def shapes():
        top = {"model.embed_tokens.weight": (folders.VOCAB, HIDDEN), "model.norm.weight": (HIDDEN,), "lm_head.weight": (folders.VOCAB, HIDDEN)}
        layer = {"input_layernorm": (HIDDEN,), "post_attention_layernorm": (HIDDEN,), "self_attn.q_proj": (HIDDEN, HIDDEN),
                 "self_attn.k_proj": (64, HIDDEN), "self_attn.v_proj": (64, HIDDEN), "self_attn.o_proj": (HIDDEN, HIDDEN),
                 "mlp.gate_proj": (INNER, HIDDEN), "mlp.up_proj": (INNER, HIDDEN), "mlp.down_proj": (HIDDEN, INNER)}
        return {**top, **{f"model.layers.{i}.{n}.weight": s for i in range(LAYERS) for n, s in layer.items()}}

    def quantize(self, out, *flags, code=0):
        got, text, err = weir.run("quantize", self.source, out, *flags)
        self.assertEqual(got, code, err)
        return text if code == 0 else err

    def in_float32(self, folder):
        out = self.tmp / "float32.gguf"
        code, _, err = weir.run("quantize", folder, out, "--type", "F32")
        self.assertEqual(code, 0, err)
        return {t.name: folders.values(t) for t in gguf.GGUFReader(out).tensors}

    @staticmethod
    def decoded(folder, decode, shards=("model.safetensors",)):
        """{name: what the folder's tensors stand for}, and the names of those that were quantized"""
        parts = {}
        for shard in shards:
            parts |= read_safetensors(folder / shard)
        return GpuFormats.decoded_parts(parts, decode)

    @staticmethod
    def decoded_parts(parts, decode):
        out = {}
        matrices = {n.rsplit(".", 1)[0] for n in parts if n.endswith(("scale", "scales"))}
        for module in matrices:
            own = {n.rsplit(".", 1)[1]: t for n, t in parts.items() if n.rsplit(".", 1)[0] == module}
            out[module + ".weight"] = decode(own).astype(np.float32)
        out |= {n: t for n, t in parts.items() if n.rsplit(".", 1)[0] not in matrices}
        return out, {m + ".weight" for m in matrices}

    def test_values(self):
        linear = {n for n in self.tensors if "proj" in n}
        for name, (flags, decode, bound) in FORMATS.items():
            with self.subTest(name):
                out = self.tmp / name.replace(" ", "")
                self.quantize(out, *flags)
                got, quantized = self.decoded(out, decode)
                self.assertEqual(quantized, linear)
                self.assertEqual(got.keys(), self.tensors.keys())
                for tensor, values in got.items():
                    want = from_bf16(self.tensors[tensor])
                    self.assertEqual(values.shape, want.shape)
                    if tensor in linear:
                        self.assertLess(np.square(values - want).sum() / np.square(want).sum(), bound, tensor)
                    else:
                        np.testing.assert_array_equal(values, want)
                self.same_as_read(out, got)

    def same_as_read(self, out, got):
        """weir's own reader gives the values that numpy gives, but for the f16 that some go through."""
        plain = self.tmp / "plain"
        plain.mkdir(exist_ok=True)
        (plain / "config.json").write_text(json.dumps(self.config))
        (plain / "tokenizer.json").write_text(json.dumps(folders.tiny_tokenizer()))
        folders.write_safetensors(plain / "model.safetensors", got)
        ours, theirs = self.in_float32(out), self.in_float32(plain)
        self.assertEqual(ours.keys(), theirs.keys())
        for name, values in theirs.items():
            np.testing.assert_allclose(ours[name], values, rtol=2**-11, atol=float(np.abs(values).max()) * 2**-11, err_msg=name)

    def test_it_runs(self):
        text = self.tmp / "text"
        text.write_text("the cat and the hat. the other one")
        for name in ("W4A16", "FP8_DYNAMIC", "AWQ"):
            out = self.tmp / name
            self.quantize(out, *FORMATS[name][0])
            code, _, err = weir.run("run", out, "--raw", "-p", "the cat", "-n", "4", "--temp", "0")
            self.assertEqual(code, 0, err)

    def test_the_rest_of_the_folder(self):
        out = self.tmp / "out"
        self.quantize(out, "--format", "compressed-tensors", "--scheme", "FP8_BLOCK")
        self.assertEqual(sorted(p.name for p in out.iterdir()), ["config.json", "model.safetensors", "notes.md", "tokenizer.json"])
        self.assertEqual((out / "tokenizer.json").read_bytes(), (self.source / "tokenizer.json").read_bytes())
        config = json.loads((out / "config.json").read_text())
        q = config.pop("quantization_config")
        self.assertEqual(config, self.config)
        self.assertEqual((q["quant_method"], q["format"], q["ignore"]), ("compressed-tensors", "float-quantized", ["lm_head"]))
        weights = q["config_groups"]["group_0"]["weights"]
        self.assertEqual((weights["strategy"], weights["block_structure"], weights["group_size"]), ("block", [128, 128], None))

    def test_shards(self):
        (self.source / "model.safetensors").unlink()
        folders.write_shards(self.source, self.tensors, 2)
        out = self.tmp / "out"
        self.quantize(out, "--format", "gptq", "--threads", "1")
        index = json.loads((out / "model.safetensors.index.json").read_text())
        shards = sorted(set(index["weight_map"].values()))
        self.assertEqual(shards, ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"])
        for shard in shards:
            self.assertEqual({n for n, s in index["weight_map"].items() if s == shard}, set(read_safetensors(out / shard)))
        values, _ = self.decoded(out, gptq(), shards)
        self.assertEqual(values.keys(), self.tensors.keys())
        self.same_as_read(out, values)

    def test_fused_matrices_share_the_scale_of_nvfp4(self):
        out = self.tmp / "out"
        self.quantize(out, "--format", "compressed-tensors", "--scheme", "NVFP4A16")
        parts = read_safetensors(out / "model.safetensors")

        def divisor(name):
            return float(parts[f"model.layers.0.{name}.weight_global_scale"][0])

        self.assertEqual(divisor("self_attn.q_proj"), divisor("self_attn.v_proj"))
        self.assertEqual(divisor("mlp.gate_proj"), divisor("mlp.up_proj"))
        self.assertNotEqual(divisor("mlp.gate_proj"), divisor("mlp.down_proj"))

    def test_inputs_with_fixed_scales(self):
        text, imatrix = self.tmp / "text", self.tmp / "imatrix.gguf"
        text.write_text(folders.TEXT)
        code, _, err = weir.run("imatrix", self.source, "--data", text, "-o", imatrix, "--ctx", "32")
        self.assertEqual(code, 0, err)
        largest = {t.name: float(t.data.max()) for t in gguf.GGUFReader(imatrix).tensors if t.name.endswith(".in_largest")}
        for scheme, decode, part, scale in (("FP8", plain, "input_scale", lambda x: x / 448), ("NVFP4", nvfp4, "input_global_scale", lambda x: 448 * 6 / x)):
            out = self.tmp / scheme
            flags = ["--format", "compressed-tensors", "--scheme", scheme]
            self.assertIn("--imatrix", self.quantize(out, *flags, code=2))
            self.quantize(out, *flags, "--imatrix", imatrix)
            parts = read_safetensors(out / "model.safetensors")
            for name, gguf_name in (("self_attn.q_proj", "attn_q"), ("self_attn.v_proj", "attn_v"), ("mlp.down_proj", "ffn_down")):
                got = parts[f"model.layers.1.{name}.{part}"]
                self.assertEqual(got.shape, (1,))
                self.assertAlmostEqual(float(got[0]) / scale(largest[f"blk.1.{gguf_name}.weight.in_largest"]), 1, delta=0.004)
            values, _ = self.decoded(out, decode)
            for name in self.tensors:
                want = from_bf16(self.tensors[name])
                self.assertLessEqual(np.square(values[name] - want).sum(), (8e-4 if scheme == "FP8" else 0.01) * np.square(want).sum(), name)
            self.same_as_read(out, values)
            config = json.loads((out / "config.json").read_text())["quantization_config"]["config_groups"]["group_0"]
            self.assertEqual(config["input_activations"]["dynamic"], False if scheme == "FP8" else "local")
            if scheme == "FP8":
                self.assertEqual((config["weights"]["strategy"], config["input_activations"]["strategy"]), ("tensor", "tensor"))
                self.assertEqual(*(float(parts[f"model.layers.0.self_attn.{m}_proj.weight_scale"][0]) for m in "qk"))

    def test_dry_run_says_what_would_be(self):
        out = self.tmp / "out"
        flags = ["--format", "awq", "--json"]
        said = json.loads(self.quantize(out, *flags, "--dry-run"))
        self.assertFalse(out.exists())
        did = json.loads(self.quantize(out, *flags))
        self.assertEqual((said["bytes"], said["quantized_tensors"]), (did["bytes"], 14))
        header = 8 + struct.unpack("<Q", (out / "model.safetensors").read_bytes()[:8])[0]
        self.assertEqual((out / "model.safetensors").stat().st_size - header, did["bytes"])

    def test_what_is_refused(self):
        out = self.tmp / "out"
        ct = ["--format", "compressed-tensors", "--scheme"]
        for flags, code, word in (([*ct, "FP8"], 2, "FP8_DYNAMIC"), ([*ct, "NVFP4"], 2, "NVFP4A16"), ([*ct, "W4A16", "--method", "gptq"], 2, "--moments"),
                                  ([*ct, "W4A16", "--method", "awq"], 2, "--imatrix"), ([*ct, "W4A16", "--method", "smoothquant"], 2, "W8A8"),
                                  ([*ct, "W8A8", "--method", "smoothquant"], 2, "--imatrix"), ([*ct, "MXFP4", "--method", "awq"], 2, "floats"),
                                  ([*ct, "W8A8", "--alpha", "0.5"], 2, "--alpha"), (["--type", "Q4_0", "--method", "awq"], 2, "--method"),
                                  ([*ct, "W4A16", "--type", "Q4_0"], 2, "--type"),
                                  (["--format", "awq", "--symmetric"], 2, "zero points"), (["--type", "Q4_0", "--group-size", "64"], 2, "--group-size"),
                                  ([], 2, "one of --type"), (["--format", "gptq", "--symmetric", "--asymmetric"], 2, "excludes")):
            with self.subTest(flags):
                self.assertIn(word, self.quantize(out, *flags, code=code))
        config = {**self.config, "quantization_config": {"quant_method": "gptq"}}
        for change, word in ((config, "quantized already"), ({"model_type": "gpt2"}, "gpt2"), ({"model_type": "x"}, "not known")):
            self.write_json("config.json", change)
            self.assertIn(word, self.quantize(out, "--format", "awq", code=3))
        self.write_json("config.json", self.config)
        code, _, err = weir.run("quantize", self.source / "config.json", out, "--format", "awq")
        self.assertIn("Hugging Face folder", err)
        out.mkdir()
        self.assertIn("is there already", self.quantize(out, "--format", "awq", code=3))
        self.assertEqual(list(self.tmp.glob("out*")), [out])

    def test_a_value_that_is_none_leaves_nothing(self):
        self.tensors["model.layers.1.mlp.up_proj.weight"][17, 3] = 0x7FC0
        folders.write_safetensors(self.source / "model.safetensors", self.tensors)
        for name in ("W4A16", "NVFP4A16"):
            err = self.quantize(self.tmp / "out", *FORMATS[name][0], code=3)
            self.assertIn("layers.1.mlp.up_proj.weight", err)
            self.assertIn("row 17, column 3", err)
            self.assertEqual(list(self.tmp.glob("out*")), [])
        self.tensors["model.layers.1.mlp.up_proj.weight"][17, 3] = 0
        self.tensors["model.norm.weight"][5] = 0x7F80  # copied as it is
        folders.write_safetensors(self.source / "model.safetensors", self.tensors)
        self.assertIn("tensor model.norm.weight: element 5 is NaN or infinite", self.quantize(self.tmp / "out", *FORMATS["W4A16"][0], code=3))
        self.assertEqual(list(self.tmp.glob("out*")), [])

    def test_full_disk(self):
        """A file size limit stands in for a disk that fills while it is written."""
        script = f"ulimit -f 64; trap '' XFSZ; exec {weir.WEIR} quantize {self.source} {self.tmp}/out --format awq"
        done = subprocess.run(["bash", "-c", script], capture_output=True, timeout=60)
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn(b"cannot write", done.stderr)
        self.assertEqual(list(self.tmp.glob("out*")), [])


if __name__ == "__main__":
    unittest.main()
