"""A folder as openai/gpt-oss-20b is published, experts in MXFP4, against the logits of `transformers`, a folder with the experts in bfloat16, and a
GGUF file of the same values. tests/golden/make_gpt_oss_folder.py makes the fixture."""

import json
import pathlib
import shutil
import struct
import tempfile
import unittest

import weir_process as weir

weir.skip_unless(weir.WEIR)
import gguf  # noqa: E402
import numpy as np  # noqa: E402

FIXTURE = weir.ROOT / "tests" / "golden" / "gpt-oss-folder"
E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6], np.float32)
DTYPES = {"BF16": np.uint16, "U8": np.uint8}


def read_safetensors(path):
    data = path.read_bytes()
    size = struct.unpack_from("<Q", data)[0]
    header = json.loads(data[8:8 + size])
    header.pop("__metadata__", None)
    return {name: np.frombuffer(data[8 + size + t["data_offsets"][0]:8 + size + t["data_offsets"][1]], DTYPES[t["dtype"]]).reshape(t["shape"])
            for name, t in header.items()}


def write_safetensors(path, tensors):
    header, at = {}, 0
    for name, data in tensors.items():
        dtype = next(d for d, kind in DTYPES.items() if kind == data.dtype)
        header[name] = {"dtype": dtype, "shape": data.shape, "data_offsets": [at, at + data.nbytes]}
        at += data.nbytes
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(np.ascontiguousarray(d).tobytes() for d in tensors.values()))


def codes(blocks):
    """[..., out, in] of [..., out, in / 32, 16]."""
    return np.stack([blocks & 15, blocks >> 4], -1).reshape(*blocks.shape[:-2], -1)


def floats(blocks, scales):
    return E2M1[codes(blocks)] * np.exp2(scales.astype(np.float32) - 127).repeat(32, -1)


def bf16(values):
    bits = values.astype(np.float32).view(np.uint32)
    assert not (bits & 0xFFFF).any(), "not exact in bfloat16"
    return (bits >> 16).astype(np.uint16)


def f32(data):
    return (data.astype(np.uint32) << 16).view(np.float32)


def ggml_rows(blocks, scales):
    """Blocks as GGUF has them: the exponent, then the values i and i + 16 in byte i."""
    c = codes(blocks).reshape(*scales.shape, 32)
    return np.concatenate([scales[..., None], c[..., :16] | c[..., 16:] << 4], -1).reshape(*scales.shape[:-1], -1).astype(np.uint8)


class GptOssFolder(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = pathlib.Path(holder.name) / "model"
        shutil.copytree(FIXTURE, self.folder)
        self.tensors = read_safetensors(FIXTURE / "model.safetensors")
        self.config = json.loads((FIXTURE / "config.json").read_text())
        data = (FIXTURE / "logits").read_bytes()
        self.count, self.vocab = struct.unpack_from("<ii", data)
        self.ids = data[8:8 + 4 * self.count]
        self.wanted = np.frombuffer(data[8 + 4 * self.count:], np.float32)

    def save(self, tensors=None, **config):
        write_safetensors(self.folder / "model.safetensors", tensors if tensors is not None else self.tensors)
        (self.folder / "config.json").write_text(json.dumps({**self.config, **config}))

    def logits(self, model, *options):
        out = self.folder.parent / "out"
        code, _, err = weir.run("eval", "logits", model, "-f", FIXTURE / "text", "--count", self.count, "-o", out, *options)
        self.assertEqual(code, 0, err)
        data = out.read_bytes()
        self.assertEqual(data[8:8 + 4 * self.count], self.ids)
        return np.frombuffer(data[8 + 4 * self.count:], np.float32)

    def error(self, logits):
        """Relative to the size of the logits."""
        return float(np.linalg.norm(logits - self.wanted) / np.linalg.norm(self.wanted))

    def in_bf16(self):
        """The tensors as transformers saves them without quantization: [experts, in, out]."""
        out = {}
        for name, data in self.tensors.items():
            if name.endswith("_blocks"):
                out[name[:-7]] = bf16(floats(data, self.tensors[name[:-7] + "_scales"])).swapaxes(1, 2)
            elif not name.endswith("_scales"):
                out[name] = data
        return out

    # Activations that meet 4-bit weights are rounded to 8 bits: 0.008 a position, but where that changes the choice of experts.
    def test_logits_are_those_of_transformers(self):
        logits = self.logits(FIXTURE)
        apart = np.linalg.norm((logits - self.wanted).reshape(self.count, -1), axis=1) / np.linalg.norm(self.wanted.reshape(self.count, -1), axis=1)
        self.assertLess(np.median(apart), 0.015)
        self.assertLess(self.error(logits), 0.05)

    # Nothing but keys and values is rounded here.
    def test_experts_in_bfloat16(self):
        config = dict(self.config)
        config.pop("quantization_config")
        self.config = config
        self.save(self.in_bf16())
        self.assertLess(self.error(self.logits(self.folder)), 2e-4)

    def test_the_gguf_file_of_the_same_values(self):
        file = self.folder.parent / "model.gguf"
        self.write_gguf(file)
        np.testing.assert_array_equal(self.logits(FIXTURE).view(np.uint32), self.logits(file).view(np.uint32))

    # The experts stay in 4 bits.
    def test_load_type_is_for_the_other_matrices(self):
        plain = self.logits(FIXTURE)
        loaded = self.logits(FIXTURE, "--load-type", "q8_0")
        self.assertFalse(np.array_equal(plain, loaded))
        self.assertLess(self.error(loaded), 0.08)
        types = {t["name"]: t["type"] for t in json.loads(weir.run("inspect", FIXTURE, "--tensors", "--json", "--load-type", "q8_0")[1])["tensors"]}
        self.assertEqual(types["blk.0.ffn_gate_exps.weight"], "MXFP4")
        self.assertEqual(types["blk.0.attn_q.weight"], "Q8_0")

    def test_what_is_not_known_is_refused_by_name(self):
        rope = self.config["rope_parameters"]
        for change, word in (({"swiglu_limit": 5.0}, "swiglu_limit"), ({"swiglu_alpha": 1.5}, "swiglu_alpha"), ({"num_local_experts": None}, "num_local_experts"),
                             ({"layer_types": ["full_attention", "sliding_attention"]}, "layer_types[0]"), ({"rope_parameters": None}, "rope_scaling"),
                             ({"rope_parameters": {**rope, "truncate": True}}, "truncate"), ({"num_local_experts": 4}, "does not fit 4 experts"),
                             ({"quantization_config": {"quant_method": "bitsandbytes"}}, '"bitsandbytes"')):
            with self.subTest(change):
                self.save(**change)
                self.refused(word)
        p = "model.layers.1.mlp.experts."
        blocks, scales = self.tensors[p + "down_proj_blocks"], self.tensors[p + "down_proj_scales"]
        for change, word in (({p + "down_proj_blocks": None}, "the blocks are missing"), ({p + "down_proj_scales": None}, "the scales are missing"),
                             ({p + "down_proj_scales": scales[:, :-1]}, "differ in shape"), ({p + "down_proj_scales": scales.astype(np.uint16)}, "type BF16"),
                             ({p + "down_proj_blocks": blocks.astype(np.uint16)}, "supported: U8"), ({p + "down_proj_blocks": blocks[..., :8]}, "has shape"),
                             ({p + "gate_up_proj_bias": self.tensors[p + "gate_up_proj_bias"][:, :-1]}, "has shape"),
                             ({p + "down_proj_zeros": blocks}, "down_proj_zeros")):
            with self.subTest(change.keys()):
                self.save({n: t for n, t in {**self.tensors, **change}.items() if t is not None})
                self.refused(word)

    def refused(self, word):
        code, _, err = weir.run("inspect", self.folder)
        self.assertEqual(code, 3, err)
        self.assertIn(word, err)

    def write_gguf(self, path):
        c, rope = self.config, self.config["rope_parameters"]
        w = gguf.GGUFWriter(path, "gpt-oss")
        w.add_block_count(c["num_hidden_layers"])
        w.add_context_length(c["max_position_embeddings"])
        w.add_embedding_length(c["hidden_size"])
        w.add_feed_forward_length(c["intermediate_size"])
        w.add_expert_feed_forward_length(c["intermediate_size"])
        w.add_head_count(c["num_attention_heads"])
        w.add_head_count_kv(c["num_key_value_heads"])
        w.add_key_length(c["head_dim"])
        w.add_value_length(c["head_dim"])
        w.add_layer_norm_rms_eps(c["rms_norm_eps"])
        w.add_expert_count(c["num_local_experts"])
        w.add_expert_used_count(c["num_experts_per_tok"])
        w.add_sliding_window(c["sliding_window"])
        w.add_rope_freq_base(rope["rope_theta"])
        w.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        w.add_rope_scaling_factor(rope["factor"])
        w.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
        vocabulary = json.loads((FIXTURE / "tokenizer.json").read_text())["model"]["vocab"]
        w.add_tokenizer_model("gpt2")
        w.add_tokenizer_pre("gpt-2")
        w.add_token_list(list(vocabulary))
        w.add_token_types([3, 3, 3] + [1] * (len(vocabulary) - 3))
        w.add_token_merges(["t h"])
        w.add_bos_token_id(1)
        w.add_eos_token_id(2)
        names = {"input_layernorm": "attn_norm", "post_attention_layernorm": "post_attention_norm", "self_attn.q_proj": "attn_q",
                 "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "mlp.router": "ffn_gate_inp"}
        for name, data in self.tensors.items():
            layer = name.removeprefix("model.layers.").split(".")[0]
            part = name.removeprefix(f"model.layers.{layer}.")
            module, kind = part.rpartition(".")[::2]
            if part.endswith("_scales"):
                continue
            if part.endswith("_blocks"):
                rows = ggml_rows(data, self.tensors[name.replace("_blocks", "_scales")])
                np.testing.assert_array_equal(gguf.quants.dequantize(rows, gguf.GGMLQuantizationType.MXFP4),
                                              floats(data, self.tensors[name.replace("_blocks", "_scales")]))
                both = "gate_up" in part
                for i, to in enumerate(("gate", "up") if both else ("down",)):
                    w.add_tensor(f"blk.{layer}.ffn_{to}_exps.weight", np.ascontiguousarray(rows[:, i::1 + both]),
                                 raw_dtype=gguf.GGMLQuantizationType.MXFP4)
            elif part.endswith("_proj_bias"):
                both = "gate_up" in part
                for i, to in enumerate(("gate", "up") if both else ("down",)):
                    w.add_tensor(f"blk.{layer}.ffn_{to}_exps.bias", np.ascontiguousarray(f32(data)[:, i::1 + both]))
            elif part == "self_attn.sinks":
                w.add_tensor(f"blk.{layer}.attn_sinks.weight", f32(data))
            else:
                top = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight", "lm_head.weight": "output.weight"}
                new = top.get(name) or f"blk.{layer}.{names[module]}.{kind}"
                if data.ndim == 1 or module == "mlp.router":
                    w.add_tensor(new, f32(data))
                else:
                    w.add_tensor(new, data.view(np.uint8), raw_dtype=gguf.GGMLQuantizationType.BF16)
        w.write_header_to_file()
        w.write_kv_data_to_file()
        w.write_tensors_to_file()
        w.close()


if __name__ == "__main__":
    unittest.main()
