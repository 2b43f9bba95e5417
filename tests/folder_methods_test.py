"""`weir quantize --format ...` with calibration, on the real model: GPTQ, AWQ and SmoothQuant against rounding to the nearest. What a folder stands for is
decoded here, by the numpy code of gpu_formats_test.py."""

import json
import pathlib
import tempfile
import unittest

import weir_process as weir
from folder_case import FolderCase

TEXT = weir.SHARED / "data" / "eval" / "wikitext-2-raw.test.txt"
weir.skip_unless(weir.WEIR, weir.MODEL, TEXT)
import gguf  # noqa: E402
import gpu_formats_test as formats  # noqa: E402
import numpy as np  # noqa: E402
import safetensors_test as folders  # noqa: E402

PACKED = ("--format", "compressed-tensors", "--scheme")
# Columns of a scale in 4 bits: 128 do not divide the model's 576.
GROUP = ("--group-size", 64)


def write_folder(folder):
    """The real model as a Hugging Face folder in BF16, norms too."""
    reader = gguf.GGUFReader(weir.MODEL)
    folder.mkdir()
    config = folders.write_real_texts(folder, reader)
    tensors = {t.name: formats.bf16(gguf.quants.dequantize(t.data, t.tensor_type)) for t in reader.tensors}
    folders.write_safetensors(folder / "model.safetensors", folders.hf_tensors("llama", config, tensors))


@unittest.skipIf(weir.SLOWDOWN > 1, "takes ten minutes under a sanitizer; unit tests run the same code on small matrices")
class Methods(FolderCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.source = cls.folder / "source"
        write_folder(cls.source)
        text = TEXT.read_text()
        (cls.folder / "calibration.txt").write_text(text[600_000:612_000])
        (cls.folder / "test.txt").write_text(text[:4_000])
        imatrix, moments = cls.folder / "imatrix.gguf", cls.folder / "moments.gguf"
        code, _, err = weir.run("imatrix", cls.source, "--data", cls.folder / "calibration.txt", "-o", imatrix, "--ctx", 256, "--moments", moments, timeout_s=600)
        assert code == 0, err
        cls.imatrix, cls.moments = ("--imatrix", imatrix), ("--moments", moments)
        cls.gptq = ("--method", "gptq", *cls.moments)
        cls.losses = {}

    def quantize(self, *options):
        """The folder that the options make, made once."""
        out = self.folder / "_".join(str(o).lstrip("-").rsplit("/", 1)[-1] for o in options)
        if not out.exists():
            self.weir("quantize", self.source, out, *options)
        return out

    def kl(self, *options):
        if options not in self.losses:
            out = self.quantize(*options)
            said = self.weir("eval", "kl", out, "--base-model", self.source, "-f", self.folder / "test.txt", "--ctx", 256, "--chunks", 3, "--json")
            self.losses[options] = json.loads(said)["kl_mean"]
        return self.losses[options]

    def test_calibrated_codes_and_scales_come_closer_than_the_nearest_codes(self):
        awq = ("--method", "awq", *self.imatrix)
        for scheme, method, part in ((("W4A16", *GROUP), self.gptq, 0.75), (("W4A16", *GROUP), awq, 0.75), (("W8A8",), self.gptq, 0.95)):
            with self.subTest(scheme=scheme, method=method):
                self.assertLess(self.kl(*PACKED, *scheme, *method), part * self.kl(*PACKED, *scheme))


class Folds(unittest.TestCase):
    """A small model with a v for every head and channels of very different size, in 8 bits: what is folded must not change what it computes."""

    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.tmp = pathlib.Path(holder.name)
        self.source = self.tmp / "source"
        self.source.mkdir()
        hidden, inner = 128, 256
        config = {"model_type": "llama", "hidden_size": hidden, "intermediate_size": inner, "num_hidden_layers": 2, "num_attention_heads": 4,
                  "num_key_value_heads": 4, "head_dim": 32, "max_position_embeddings": 512, "rms_norm_eps": 1e-05, "rope_theta": 10000.0,
                  "vocab_size": folders.VOCAB, "tie_word_embeddings": False, "torch_dtype": "bfloat16", "bos_token_id": 1, "eos_token_id": 2}
        (self.source / "config.json").write_text(json.dumps(config))
        (self.source / "tokenizer.json").write_text(json.dumps(folders.tiny_tokenizer()))
        random = np.random.default_rng(11)
        layer = {"input_layernorm": (hidden,), "post_attention_layernorm": (hidden,), "self_attn.q_proj": (hidden, hidden), "self_attn.k_proj": (hidden, hidden),
                 "self_attn.v_proj": (hidden, hidden), "self_attn.o_proj": (hidden, hidden), "mlp.gate_proj": (inner, hidden), "mlp.up_proj": (inner, hidden),
                 "mlp.down_proj": (hidden, inner)}
        self.tensors = {"model.embed_tokens.weight": random.normal(0, 1, (folders.VOCAB, hidden)), "model.norm.weight": np.ones(hidden),
                        "lm_head.weight": random.normal(0, 0.1, (folders.VOCAB, hidden))}
        for i in range(2):
            for name, shape in layer.items():
                values = np.exp(random.normal(0, 1, shape)) if len(shape) == 1 else random.normal(0, 0.1, shape)
                if name in ("self_attn.v_proj", "mlp.up_proj"):  # so that the inputs of the next matrix differ in size
                    values *= np.exp(random.normal(0, 1, (shape[0], 1)))
                self.tensors[f"model.layers.{i}.{name}.weight"] = values
        self.tensors = {n: formats.bf16(v) for n, v in self.tensors.items()}
        folders.write_safetensors(self.source / "model.safetensors", self.tensors)
        self.text = self.tmp / "text"
        self.text.write_text(folders.TEXT * 3)
        self.imatrix = self.tmp / "imatrix.gguf"
        self.weir("imatrix", self.source, "--data", self.text, "-o", self.imatrix, "--ctx", 128)

    def weir(self, *arguments):
        code, out, err = weir.run(*arguments)
        self.assertEqual(code, 0, err)
        return out

    def quantize(self, name, *options):
        """{tensor: values} of the folder that the options make, and its KL divergence."""
        out = self.tmp / name
        self.weir("quantize", self.source, out, *options)
        said = self.weir("eval", "kl", out, "--base-model", self.source, "-f", self.text, "--ctx", 128, "--json")
        decode = formats.plain if "W8A8" in options else formats.packed(8)
        return formats.GpuFormats.decoded(out, decode)[0], json.loads(said)["kl_mean"]

    def test_the_model_stays_the_same_function(self):
        w8a16, w8a8 = (*PACKED, "W8A16", "--group-size", 32), (*PACKED, "W8A8")
        for name, options in (("awq", (*w8a16, "--method", "awq")), ("smoothquant", (*w8a8, "--method", "smoothquant")),
                              ("more", (*w8a8, "--method", "smoothquant", "--alpha", 0.8))):
            with self.subTest(name):
                _, plain = self.quantize(name + "-not", *(w8a8 if "W8A8" in options else w8a16))
                tensors, kl = self.quantize(name, *options, "--imatrix", self.imatrix)
                self.assertLess(kl, 4 * plain + 1e-4)
                for layer in range(2):
                    self.same_function(tensors, f"model.layers.{layer}.")

    def same_function(self, tensors, prefix):
        def pair(name):
            return tensors[f"{prefix}{name}.weight"], formats.from_bf16(self.tensors[f"{prefix}{name}.weight"])

        def apart(got, want):
            return np.sqrt(np.square(got - want).sum() / np.square(want).sum())

        def size(matrix, axis):
            return np.sqrt(np.square(matrix).sum(axis))

        # A norm and the columns of what reads it; rows of v and up are those of the next matrix' columns.
        for norm, readers in (("input_layernorm", ("q", "k", "v")), ("post_attention_layernorm", ("gate", "up"))):
            new, old = pair(norm)
            self.assertGreater(np.ptp(np.log(new / old)), 0.5, norm)
            for reader in readers:
                got, want = pair(f"{'self_attn' if norm[0] == 'i' else 'mlp'}.{reader}_proj")
                got, want = got * new, want * old
                if reader in ("v", "up"):
                    after_new, after_old = pair("self_attn.o_proj" if reader == "v" else "mlp.down_proj")
                    rows = size(got, 1) / size(want, 1)
                    self.assertGreater(np.ptp(np.log(rows)), 0.5, reader)
                    np.testing.assert_allclose(rows * size(after_new, 0) / size(after_old, 0), 1, rtol=0.2)
                    self.assertLess(apart(after_new * rows, after_old), 0.1)
                    got = got / rows[:, None]
                self.assertLess(apart(got, want), 0.1, reader)


if __name__ == "__main__":
    unittest.main()
