"""Folders whose weights their maker quantized, in the layouts of GPTQ, AutoAWQ, compressed-tensors and block FP8, against folders of the same values in
float32. The layouts are packed here, by their own short code; that they are those of the packages was checked against compressed-tensors 0.17."""

import json
import pathlib
import tempfile
import unittest

import weir_process as weir

weir.skip_unless(weir.WEIR)
import gguf  # noqa: E402
import numpy as np  # noqa: E402
import safetensors_test as folders  # noqa: E402

GROUP = 32
AWQ_ORDER = [0, 2, 4, 6, 1, 3, 5, 7]
E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6], np.float32)


def e4m3_table():
    code = np.arange(256)
    exponent, mantissa = code >> 3 & 15, (code & 7).astype(np.float32)
    value = np.where(exponent == 0, mantissa * 2.0**-9, (1 + mantissa / 8) * np.exp2(exponent.astype(np.float32) - 7))
    return np.where(code >= 128, -value, value).astype(np.float32)


E4M3 = e4m3_table()


def to_e4m3(values):
    good = np.array([c for c in range(256) if c & 127 != 127], np.uint8)
    return good[np.abs(values[..., None] - E4M3[good]).argmin(-1)]


def pack(values, bits):
    """[rows, n] as [rows, ceil(n * bits / 32)] words, the lowest bits first."""
    a_word = 32 // bits
    values = np.pad(values.astype(np.uint32), ((0, 0), (0, -values.shape[1] % a_word)))
    shifted = values.reshape(len(values), -1, a_word) << (np.arange(a_word, dtype=np.uint32) * bits)
    return np.bitwise_or.reduce(shifted, -1).astype(np.uint32).view(np.int32)


def integers(w, bits, symmetric, group=GROUP):
    """(codes [rows, cols], scales [rows, groups] f16, zeros [rows, groups], what they stand for)"""
    x = w.reshape(len(w), -1, group)
    top = 2**bits - 1
    if symmetric:
        scale = np.maximum(np.abs(x).max(-1) / (top // 2), 1e-4).astype(np.float16)
        zero = np.full(scale.shape, 2 ** (bits - 1))
    else:
        low, high = np.minimum(x.min(-1), 0), np.maximum(x.max(-1), 0)
        scale = np.maximum((high - low) / top, 1e-4).astype(np.float16)
        zero = np.clip(np.round(-low / scale.astype(np.float32)), 0, top).astype(int)
    s = scale.astype(np.float32)[..., None]
    codes = np.clip(np.round(x / s) + zero[..., None], 0, top).astype(int)
    return codes.reshape(w.shape), scale, zero, ((codes - zero[..., None]).astype(np.float32) * s).reshape(w.shape)


def gptq(w, bits=4, symmetric=True, order=None, v2=False):
    if order is not None:
        codes, scale, zero, real = integers(w[:, order], bits, symmetric)
        back = np.argsort(order)
        codes, real = codes[:, back], real[:, back]
        index = back // GROUP
    else:
        codes, scale, zero, real = integers(w, bits, symmetric)
        index = np.arange(w.shape[1]) // GROUP
    return {"qweight": np.ascontiguousarray(pack(codes, bits).T), "scales": np.ascontiguousarray(scale.T),
            "qzeros": pack(zero.T - (0 if v2 else 1), bits), "g_idx": index.astype(np.int32)}, real


def across(values):
    """[n, m] as AutoAWQ's words [n, m / 8]."""
    parts = values.reshape(len(values), -1, 8)[..., AWQ_ORDER].astype(np.uint32) << (np.arange(8, dtype=np.uint32) * 4)
    return np.bitwise_or.reduce(parts, -1).astype(np.uint32).view(np.int32)


def awq(w):
    codes, scale, zero, real = integers(w, 4, False)
    return {"qweight": across(codes.T), "qzeros": across(zero.T), "scales": np.ascontiguousarray(scale.T)}, real


def packed(w, bits=4, symmetric=True, group=GROUP):
    codes, scale, zero, real = integers(w, bits, symmetric, group)
    parts = {"weight_packed": pack(codes, bits), "weight_scale": scale, "weight_shape": np.array(w.shape, np.int64)}
    if not symmetric:
        parts["weight_zero_point"] = np.ascontiguousarray(pack(zero.T, bits).T)
    return parts, real


def int8(w):
    scale = (np.abs(w).max(1, keepdims=True) / 127).astype(np.float16)
    codes = np.clip(np.round(w / scale.astype(np.float32)), -128, 127).astype(np.int8)
    return {"weight": codes, "weight_scale": scale.astype(np.float32), "input_scale": np.ones(1, np.float32)}, codes * scale.astype(np.float32)


def fp8(w, shape):
    """shape: of the blocks that share a scale."""
    down, wide = (-(-w.shape[i] // shape[i]) for i in range(2))
    scale = np.empty((down, wide), np.float32)
    spread = np.empty(w.shape, np.float32)
    for r in range(down):
        for c in range(wide):
            block = np.s_[r * shape[0]:(r + 1) * shape[0], c * shape[1]:(c + 1) * shape[1]]
            scale[r, c] = spread[block] = np.abs(w[block]).max() / 448
    codes = to_e4m3(w / spread)
    return codes, scale, E4M3[codes] * spread


def fp8_tensor(w):
    codes, scale, real = fp8(w, w.shape)
    return {"weight": codes.view(folders.E4m3), "weight_scale": scale.reshape(1)}, real


def fp8_channel(w):
    codes, scale, real = fp8(w, (1, w.shape[1]))
    return {"weight": codes.view(folders.E4m3), "weight_scale": scale}, real


def fp8_block(w):
    codes, scale, real = fp8(w, (128, 128))
    return {"weight": codes.view(folders.E4m3), "weight_scale_inv": scale}, real


def nearest_e2m1(x):
    return np.abs(x[..., None] - E2M1).argmin(-1).astype(np.uint8)


def nvfp4(w):
    x = w.reshape(len(w), -1, 16)
    divisor = np.float32(448 * 6 / np.abs(w).max())
    scale = to_e4m3(np.abs(x).max(-1) / 6 * divisor)
    spread = (E4M3[scale] * (np.float32(1) / divisor))[..., None]
    codes = nearest_e2m1(x / np.maximum(spread, 1e-30)).reshape(w.shape)
    return {"weight_packed": codes[:, 0::2] | codes[:, 1::2] << 4, "weight_scale": scale.view(folders.E4m3),
            "weight_global_scale": divisor.reshape(1)}, (E2M1[codes].reshape(x.shape) * spread).reshape(w.shape)


def mxfp4(w):
    x = w.reshape(len(w), -1, 32)
    exponent = np.floor(np.log2(np.maximum(np.abs(x).max(-1), 1e-30))) - 2
    codes = nearest_e2m1(x / np.exp2(exponent)[..., None]).reshape(w.shape)
    return {"weight_packed": codes[:, 0::2] | codes[:, 1::2] << 4, "weight_scale": (exponent + 127).astype(np.uint8)}, \
        (E2M1[codes].reshape(x.shape) * np.exp2(exponent)[..., None]).reshape(w.shape).astype(np.float32)


COMPRESSED = {"quant_method": "compressed-tensors"}
SHUFFLE = np.random.default_rng(3)
# name: (quantization_config, function, the type in memory, whether that type holds the values exactly)
LAYOUTS = {
    "GPTQ": ({"quant_method": "gptq", "bits": 4, "group_size": GROUP, "sym": True}, gptq, "Q4_0", True),
    "GPTQ v2, zero points": ({"quant_method": "gptq", "bits": 4, "checkpoint_format": "gptq_v2"}, lambda w: gptq(w, symmetric=False, v2=True), "Q4_1", False),
    "GPTQ, act order": ({"quant_method": "gptq", "bits": 4, "desc_act": True},
                        lambda w: gptq(w, order=SHUFFLE.permutation(w.shape[1])), "F16", False),
    "GPTQ, 8 bits": ({"quant_method": "gptq", "bits": 8}, lambda w: gptq(w, bits=8), "Q8_0", True),
    "AWQ": ({"quant_method": "awq", "bits": 4, "version": "gemm"}, awq, "Q4_1", False),
    "W4A16": (COMPRESSED, packed, "Q4_0", True),
    "W4A16, a channel": (COMPRESSED, lambda w: packed(w, group=w.shape[1]), "Q4_0", True),
    "W4A16, zero points": (COMPRESSED, lambda w: packed(w, symmetric=False), "Q4_1", False),
    "W8A16": (COMPRESSED, lambda w: packed(w, bits=8), "Q8_0", True),
    "W8A8": (COMPRESSED, int8, "Q8_0", True),
    "FP8, a tensor": (COMPRESSED, fp8_tensor, "F16", False),
    "FP8, a channel": (COMPRESSED, fp8_channel, "F16", False),
    "FP8, blocks": ({"quant_method": "fp8", "weight_block_size": [128, 128]}, fp8_block, "F16", False),
    "NVFP4": (COMPRESSED, nvfp4, "F16", False),
    "MXFP4": (COMPRESSED, mxfp4, "MXFP4", True),
}
KEPT = ("embed_tokens", "lm_head", "norm", "moe.gate.")


class QuantizedFolders(unittest.TestCase):
    tiny = folders.Folders.tiny
    write_gguf = staticmethod(folders.Folders.write_gguf)

    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.tmp = pathlib.Path(holder.name)
        self.folder, file = self.tiny("mixtral")
        reader = gguf.GGUFReader(file)
        config = json.loads((self.folder / "config.json").read_text())
        tensors = {t.name: folders.values(t).astype(np.float32) for t in reader.tensors}
        self.config, self.source = config, folders.hf_tensors("mixtral", config, tensors)
        config["intermediate_size"] = 64  # rows of whole blocks
        for name, w in self.source.items():
            for part, more in (("w1.weight", ((0, 16), (0, 0))), ("w3.weight", ((0, 16), (0, 0))), ("w2.weight", ((0, 0), (0, 16)))):
                if name.endswith(part):
                    self.source[name] = np.pad(w, more, mode="reflect")

    def save(self, tensors, quantization=None):
        folders.write_safetensors(self.folder / "model.safetensors", tensors)
        config = dict(self.config)
        if quantization is not None:
            config["quantization_config"] = quantization
        (self.folder / "config.json").write_text(json.dumps(config))

    def quantize(self, function):
        """({name: tensor} of the quantized folder, the same in float32)"""
        parts, plain = {}, {}
        for name, w in self.source.items():
            if w.ndim != 2 or any(k in name for k in KEPT):
                parts[name] = plain[name] = w
                continue
            new, plain[name] = function(w)
            parts.update({name.removesuffix("weight") + part: data for part, data in new.items()})
        return parts, plain

    def in_float32(self, name):
        out = self.tmp / name
        out.unlink(missing_ok=True)
        code, _, err = weir.run("quantize", self.folder, out, "--type", "F32")
        self.assertEqual(code, 0, err)
        return {t.name: folders.values(t) for t in gguf.GGUFReader(out).tensors}

    def types(self):
        code, out, err = weir.run("inspect", self.folder, "--tensors", "--json")
        self.assertEqual(code, 0, err)
        return {t["name"]: t["type"] for t in json.loads(out)["tensors"]}

    def test_values_are_those_of_the_layout(self):
        for layout, (quantization, function, kind, exact) in LAYOUTS.items():
            with self.subTest(layout):
                parts, plain = self.quantize(function)
                self.save(parts, quantization)
                one_group = {"Q4_0"} if layout == "GPTQ, act order" else set()  # where order does not matter
                self.assertEqual({t for n, t in self.types().items() if "blk" in n and "norm" not in n and "gate_inp" not in n} - one_group, {kind})
                got = self.in_float32("ours.gguf")
                self.save(plain)
                want = self.in_float32("plain.gguf")
                self.assertEqual(got.keys(), want.keys())
                for name, values in want.items():
                    if exact or values.ndim == 1:
                        np.testing.assert_array_equal(got[name], values, name)
                    else:  # f16 steps of values, or of the min of a group
                        np.testing.assert_allclose(got[name], values, rtol=2**-11, atol=float(np.abs(values).max()) * 2**-11)

    def test_it_runs(self):
        parts, _ = self.quantize(awq)
        self.save(parts, LAYOUTS["AWQ"][0])
        code, out, err = weir.run("run", self.folder, "--raw", "-p", "the cat", "-n", "4", "--temp", "0")
        self.assertEqual(code, 0, err)

    def test_load_type_codes_it_again(self):
        parts, _ = self.quantize(packed)
        self.save(parts, COMPRESSED)
        code, out, err = weir.run("inspect", self.folder, "--tensors", "--json", "--load-type", "q8_0")
        self.assertEqual(code, 0, err)
        self.assertEqual({t["type"] for t in json.loads(out)["tensors"] if "attn_q.w" in t["name"]}, {"Q8_0"})

    def refused(self, word):
        code, _, err = weir.run("inspect", self.folder)
        self.assertEqual(code, 3, err)
        self.assertIn(word, err)

    def test_what_is_not_read_is_named(self):
        parts, _ = self.quantize(gptq)
        for quantization, word in (({"quant_method": "bitsandbytes"}, '"bitsandbytes"'), ({"quant_method": "gptq", "bits": 3}, "bits is 3"),
                                   ({"quant_method": "gptq", "bits": 4, "checkpoint_format": "marlin"}, '"marlin"'), ({"quant_method": "gptq"}, "bits"),
                                   ({"quant_method": "awq", "bits": 4, "version": "gemv"}, '"gemv"'), ([], "must be an object"), ({}, "unnamed")):
            with self.subTest(quantization):
                self.save(parts, quantization)
                self.refused(word)

    def test_parts_that_do_not_fit_are_named(self):
        p = "model.layers.1.self_attn.o_proj."
        for layout, changes in {
            "GPTQ": [("qzeros", None, "qzeros is missing"), ("scales", lambda t: t[:, :-1], "scales has type F16"), ("scales", lambda t: t[:0], "scales has"),
                     ("qweight", lambda t: t.astype(np.float32), "qweight has type F32"), ("qweight", lambda t: t[:, :-1], "scales has"),
                     ("qzeros", lambda t: t[:, :-1], "qzeros has"), ("g_idx", lambda t: t + 9, "is of group"), ("g_idx", lambda t: t[:-1], "g_idx has"),
                     ("g_idx", lambda t: -t, "is of group")],
            "AWQ": [("qzeros", lambda t: t[:-1], "qzeros has"), ("scales", None, "scales is missing")],
            "W4A16": [("weight_shape", None, "weight_shape is missing"), ("weight_shape", lambda t: t * 2, "weight_packed has"),
                      ("weight_shape", lambda t: -t, "says -"), ("weight_packed", lambda t: t[:-1], "weight_packed has"),
                      ("weight_scale", lambda t: t.astype(np.int32), "weight_scale has type I32"), ("weight_scale", lambda t: np.repeat(t, 3, 1)[:, :5], "groups that divide")],
            "W8A8": [("weight_scale", lambda t: t[:-1], "one scale"), ("weight", lambda t: t.astype(np.int32), "F8_E4M3"), ("weight", None, "weight is missing")],
            "NVFP4": [("weight_global_scale", None, "weight_global_scale is missing"), ("weight_global_scale", lambda t: t * 0, "is 0"),
                      ("weight_scale", lambda t: t[:, :-1], "weight_scale has")],
            "MXFP4": [("weight_scale", lambda t: t[:-1], "weight_scale has")],
        }.items():
            quantization, function, _, _ = LAYOUTS[layout]
            parts, _ = self.quantize(function)
            for part, change, word in changes:
                with self.subTest(layout=layout, part=part, word=word):
                    tensors = dict(parts)
                    data = tensors.pop(p + part)
                    if change is not None:
                        tensors[p + part] = change(data)
                    self.save(tensors, quantization)
                    self.refused(word)


if __name__ == "__main__":
    unittest.main()
