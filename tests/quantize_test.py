"""weir quantize and weir imatrix: the files load and compute in llama.cpp, choose the types that llama-quantize chooses, come no further
from their source than llama.cpp's encoders do, survive kill -9, and bad input is named."""

import ctypes
import json
import os
import signal
import struct
import subprocess
import time
import unittest

import weir_process as weir
from folder_case import FolderCase

weir.skip_unless(weir.WEIR, weir.MODEL)
try:
    import gguf
    import llama_cpp
    import numpy as np
except ImportError as missing:
    print(f"skipped: {missing} (script/bootstrap installs it)")
    raise SystemExit(weir.SKIP)

TEXT = weir.SHARED / "data" / "eval" / "wikitext-2-raw.test.txt"
FILE_TYPES = dict(F16=1, Q4_0=2, Q4_1=3, Q8_0=7, Q5_0=8, Q5_1=9, Q2_K=10, Q3_K_S=11, Q3_K_M=12, Q3_K_L=13, Q4_K_S=14, Q4_K_M=15, Q5_K_S=16,
                  Q5_K_M=17, Q6_K=18, IQ4_NL=25, IQ4_XS=30, BF16=32, TQ1_0=36, TQ2_0=37, MXFP4_MOE=38)
# Those that take long to write, or need an importance matrix.
SLOW_FILE_TYPES = dict(IQ2_XXS=19, IQ2_XS=20, IQ2_S=28, IQ2_M=29, IQ3_XS=22, IQ3_XXS=23, IQ3_S=26, IQ3_M=27)
QUIET = llama_cpp.llama_log_callback(lambda *_: None)
llama_cpp.llama_log_set(QUIET, None)


# What is written, not how: a sanitizer would find nothing in it that the other tests do not run.
compares = unittest.skipIf(weir.SLOWDOWN > 1, "compares with llama.cpp; takes half an hour under a sanitizer")


class ImatrixData(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("data", ctypes.POINTER(ctypes.c_float)), ("size", ctypes.c_size_t)]


def tensors(path):
    return {t.name: t for t in gguf.GGUFReader(path).tensors}


def types(path):
    return {name: t.tensor_type.name for name, t in tensors(path).items()}


def values(tensor):
    return gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float64).ravel()


def mean_squares(path):
    """{matrix: mean squares [experts, cols]} of an importance matrix."""
    data = {t.name: np.array(t.data, np.float32) for t in gguf.GGUFReader(path).tensors}
    out = {}
    for name, sums in data.items():
        if name.endswith(".in_sum2"):
            counts = data[name[:-8] + ".counts"].reshape(-1, 1)
            out[name[:-8]] = sums.reshape(len(counts), -1) / np.maximum(counts, 1)
    return out


def llama_quantize(source, target, name, imatrix=None):
    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.ftype, parameters.nthread, parameters.allow_requantize = (FILE_TYPES | SLOW_FILE_TYPES)[name], 2, True
    rows = {k: np.ascontiguousarray(v, np.float32).ravel() for k, v in (mean_squares(imatrix) if imatrix else {}).items()}
    array = (ImatrixData * (len(rows) + 1))()
    for at, (k, v) in enumerate(rows.items()):
        array[at] = ImatrixData(k.encode(), v.ctypes.data_as(ctypes.POINTER(ctypes.c_float)), len(v))
    if imatrix:
        kind = dict(llama_cpp.llama_model_quantize_params._fields_)["imatrix"]
        parameters.imatrix = ctypes.cast(array, kind)
    assert llama_cpp.llama_model_quantize(str(source).encode(), str(target).encode(), ctypes.byref(parameters)) == 0


class Folder(FolderCase):
    def quantize(self, source, target, name, *more):
        return json.loads(self.weir("quantize", source, self.folder / target, "--type", name, "--json", *more))


def write_llama(path, layers, width, hidden, heads, kv_heads, data):
    """A model of llama's shape without a vocabulary, whose tensors are data(name, rows, cols)."""
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_block_count(layers)
    writer.add_context_length(256)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(hidden)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_layer_norm_rms_eps(1e-5)
    kv = width // heads * kv_heads
    matrices = {"attn_q": (width, width), "attn_k": (kv, width), "attn_v": (kv, width), "attn_output": (width, width),
                "ffn_gate": (hidden, width), "ffn_up": (hidden, width), "ffn_down": (width, hidden)}
    writer.add_tensor("token_embd.weight", data("token_embd.weight", 512, width))
    writer.add_tensor("output_norm.weight", data("output_norm.weight", 1, width).ravel())
    for layer in range(layers):
        for norm in ["attn_norm", "ffn_norm"]:
            name = f"blk.{layer}.{norm}.weight"
            writer.add_tensor(name, data(name, 1, width).ravel())
        for matrix, (rows, cols) in matrices.items():
            name = f"blk.{layer}.{matrix}.weight"
            writer.add_tensor(name, data(name, rows, cols))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


class Types(Folder):
    @compares
    def test_types_are_those_of_llama_quantize(self):
        """Of rows that are multiples of 256, in as many layers as choose by their place, with heads that share keys."""
        base = self.folder / "base.gguf"
        write_llama(base, 30, 256, 512, 4, 2, lambda _, rows, cols: np.linspace(-1, 1, rows * cols, dtype=np.float32).reshape(rows, cols))
        for name in ["Q2_K", "Q3_K_M", "Q3_K_L", "Q4_0", "Q4_K_S", "Q4_K_M", "Q5_K_M", "Q6_K", "IQ4_XS", "MXFP4_MOE"]:
            with self.subTest(name):
                self.quantize(base, "ours.gguf", name)
                llama_quantize(base, self.folder / "theirs.gguf", name)
                self.assertEqual(types(self.folder / "ours.gguf"), types(self.folder / "theirs.gguf"))


class RealModel(Folder):
    LAYERS = 6  # of the real model's first, where ggml's encoders would take minutes for all

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.base = cls.folder / "base.gguf"
        code, _, err = weir.run("quantize", weir.MODEL, cls.base, "--type", "F32", timeout_s=300)
        assert code == 0, err
        if TEXT.exists():
            cls.imatrix = cls.folder / "imatrix.gguf"
            text = cls.folder / "text.txt"
            text.write_text(TEXT.read_text()[:20_000])
            code, _, err = weir.run("imatrix", cls.base, "--data", text, "-o", cls.imatrix, "--ctx", 256, timeout_s=600)
            assert code == 0, err

    def test_dequantizing_is_exact(self):
        source, base = tensors(weir.MODEL), tensors(self.base)
        for name in ["token_embd.weight", "blk.3.ffn_down.weight", "blk.7.attn_norm.weight"]:
            np.testing.assert_array_equal(values(source[name]), values(base[name]))

    @compares
    def test_importance_is_that_of_llama_cpp(self):
        """The rows of a matrix that every token meets: counts, and columns that are the same for all readers of an input."""
        data = mean_squares(self.imatrix)
        self.assertEqual(len(data), 30 * 7)
        for rows in data.values():
            self.assertTrue(np.isfinite(rows).all() and (rows >= 0).all())
        np.testing.assert_array_equal(data["blk.4.attn_q.weight"], data["blk.4.attn_v.weight"])
        self.assertFalse(np.array_equal(data["blk.4.attn_q.weight"], data["blk.4.ffn_up.weight"]))
        counts = tensors(self.imatrix)["blk.0.ffn_down.weight.counts"].data
        chunks = int(gguf.GGUFReader(self.imatrix).fields["imatrix.chunk_count"].contents())
        self.assertEqual(counts.ravel().tolist(), [chunks * 256])

    @compares
    def test_error_is_at_most_that_of_llama_quantize(self):
        """Weighted by importance, over each whole matrix; the types, of rows that are no multiple of 256, are theirs."""
        means, short, whole = mean_squares(self.imatrix), self.folder / "short.gguf", tensors(self.base)
        write_llama(short, self.LAYERS, 576, 1536, 9, 3, lambda name, *_: whole[name].data[:512] if name == "token_embd.weight" else whole[name].data)
        names = ["blk.2.attn_q.weight", "blk.4.ffn_down.weight", "blk.5.ffn_up.weight"]
        base = {n: values(whole[n]) for n in names}
        for name in ["Q4_0", "Q4_K_M", "Q5_K_M", "Q6_K", "Q3_K_M", "IQ4_XS"]:
            self.quantize(short, "ours.gguf", name, "--imatrix", self.imatrix)
            llama_quantize(short, self.folder / "theirs.gguf", name, self.imatrix)
            with self.subTest(type=name):
                self.assertEqual(types(self.folder / "ours.gguf"), types(self.folder / "theirs.gguf"))
            ours, theirs = tensors(self.folder / "ours.gguf"), tensors(self.folder / "theirs.gguf")
            for n in names:
                with self.subTest(type=name, tensor=n):
                    weights = np.tile(means[n].ravel(), base[n].size // means[n].size)
                    error = [float((weights * (values(side[n]) - base[n]) ** 2).sum()) for side in (ours, theirs)]
                    # Levels of the 4-bit source are found again by theirs to the last bit where 5 bits are many.
                    rounding = 1e-6 * float((weights * base[n] ** 2).sum())
                    self.assertLessEqual(error[0], error[1] * 1.0001 + rounding)

    @compares
    def test_llama_cpp_runs_it(self):
        self.quantize(self.base, "run.gguf", "Q4_K_M", "--imatrix", self.imatrix)
        path = self.folder / "run.gguf"
        model = llama_cpp.Llama(str(path), n_ctx=64, n_threads=2, verbose=False)
        answer = model("The capital of France is", max_tokens=8, temperature=0)["choices"][0]["text"]
        self.assertIn("Paris", answer)
        fields = gguf.GGUFReader(path).fields
        self.assertEqual(fields["general.file_type"].contents(), FILE_TYPES["Q4_K_M"])
        self.assertEqual(fields["weir.quantize.source"].contents(), "base.gguf")
        self.assertIs(fields["weir.quantize.requantized"].contents(), False)
        self.assertEqual(len(fields["weir.quantize.imatrix_hash"].contents()), 32)

    def test_threads_do_not_change_it(self):
        self.quantize(self.base, "one.gguf", "Q5_0", "--threads", 1)
        self.quantize(self.base, "three.gguf", "Q5_0", "--threads", 3)
        self.assertEqual((self.folder / "one.gguf").read_bytes(), (self.folder / "three.gguf").read_bytes())

    def test_killed_it_leaves_no_file(self):
        target = self.folder / "killed.gguf"
        for delay in [0.05, 0.3]:
            process = subprocess.Popen([str(weir.WEIR), "quantize", str(self.base), str(target), "--type", "IQ4_NL", "--threads", "1"],
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(delay)
            process.send_signal(signal.SIGKILL)
            process.wait()
            self.assertFalse(target.exists())
        self.quantize(self.base, "killed.gguf", "IQ4_NL")
        self.assertTrue(target.exists())

    def test_choices_by_hand(self):
        plan = self.quantize(self.base, "x.gguf", "Q4_0", "--dry-run", "--tensor", r"blk\.[01]\.attn_v=q8_0", "--tensor", "attn_v=Q5_0",
                             "--embedding-type", "f16", "--keep-output")
        self.assertFalse((self.folder / "x.gguf").exists())
        chosen = {t["name"]: t["type"] for t in plan["tensors"]}
        self.assertEqual((chosen["blk.0.attn_v.weight"], chosen["blk.2.attn_v.weight"], chosen["blk.2.attn_q.weight"]), ("Q8_0", "Q5_0", "Q4_0"))
        self.assertEqual(chosen["token_embd.weight"], "F32")  # it serves as the output
        pure = self.quantize(self.base, "x.gguf", "Q4_0", "--dry-run", "--pure")
        self.assertEqual({t["type"] for t in pure["tensors"]}, {"F32", "Q4_0"})

    def test_quantizing_twice_is_said(self):
        result = self.quantize(weir.MODEL, "twice.gguf", "Q5_0")
        self.assertGreater(result["requantized"], 0)
        self.assertIn("quantized already", result["warnings"][0])
        self.assertIs(gguf.GGUFReader(self.folder / "twice.gguf").fields["weir.quantize.requantized"].contents(), True)


class BadInput(Folder):
    def small(self, **changed):
        writer = gguf.GGUFWriter(str(self.folder / "small.gguf"), "llama")
        writer.add_block_count(1)
        data = np.linspace(-1, 1, 64 * 4, dtype=np.float32).reshape(4, 64)
        for name in ["token_embd.weight", "blk.0.attn_q.weight", "blk.0.ffn_up.weight"]:
            writer.add_tensor(name, changed.get(name.split(".")[-2], data))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return self.folder / "small.gguf"

    def fails(self, code, *arguments):
        target = self.folder / "out.gguf"
        err = self.weir("quantize", *arguments, code=code)
        self.assertFalse(target.exists())
        self.assertEqual([p.name for p in self.folder.iterdir() if ".tmp-" in p.name], [])
        return err

    def test_values_that_are_no_weights(self):
        data = np.ones((4, 64), np.float32)
        for bad, word in [(np.nan, "nan"), (-np.inf, "-inf")]:
            data[2, 5] = bad
            err = self.fails(3, self.small(attn_q=data), self.folder / "out.gguf", "--type", "Q4_0")
            self.assertIn("blk.0.attn_q.weight", err)
            self.assertIn(word, err)

    def test_arguments(self):
        source, target = self.small(), self.folder / "out.gguf"
        self.assertIn("Q4_K_M", self.fails(2, source, target, "--type", "Q9"))
        self.assertIn("is the source itself", self.fails(2, source, source, "--type", "Q4_0"))
        self.assertIn("regular expression", self.fails(2, source, target, "--type", "Q4_0", "--tensor", "a(=q8_0"))
        self.assertIn("no tensor", self.fails(2, source, target, "--type", "Q4_0", "--tensor", "nothing=q8_0"))
        self.assertIn("EXPRESSION=TYPE", self.fails(2, source, target, "--type", "Q4_0", "--tensor", "q8_0"))
        self.assertIn("no type 'Q99'", self.fails(2, source, target, "--type", "Q4_0", "--tensor", "attn_q=q99"))
        self.assertIn("its folder is not there", self.fails(2, source, self.folder / "no" / "such" / "out.gguf", "--type", "Q4_0"))

    def test_importance_of_another_model(self):
        source, target, imatrix = self.small(), self.folder / "out.gguf", self.folder / "im"
        name = b"blk.0.attn_q.weight"

        def dat(values, cut=0, name=name):
            data = struct.pack("<ii", 1, len(name)) + name + struct.pack("<ii", 2, len(values)) + struct.pack(f"<{len(values)}f", *values)
            imatrix.write_bytes(data[:len(data) - cut])
            return "--imatrix", imatrix

        self.weir("quantize", source, target, "--type", "Q4_0", *dat([1.0] * 64))
        target.unlink()
        self.assertIn("another model", self.fails(3, source, target, "--type", "Q4_0", *dat([1.0] * 32)))
        err = self.fails(3, source, target, "--type", "Q4_0", *dat([1.0] * 64, name=b"blk.0.attn_x.weight"))
        self.assertIn("none of the 1 matrices", err)
        self.assertIn("nan", self.fails(3, source, target, "--type", "Q4_0", *dat([float("nan")] * 64)))
        for cut in range(1, 8 + len(name) + 8 + 256, 7):
            self.assertIn("im", self.fails(3, source, target, "--type", "Q4_0", *dat([1.0] * 64, cut)))
        imatrix.write_bytes(source.read_bytes())
        self.assertIn("imatrix", self.fails(3, source, target, "--type", "Q4_0", "--imatrix", imatrix))

    def test_full_disk(self):
        """A file size limit stands in for a disk that fills while it is written."""
        code = subprocess.run(["bash", "-c", f"ulimit -f 1; exec {weir.WEIR} quantize {self.small()} {self.folder}/out.gguf --type F16"],
                              capture_output=True)
        self.assertNotEqual(code.returncode, 0)
        self.assertIn(b"cannot write", code.stderr)
        self.assertFalse((self.folder / "out.gguf").exists())
        self.assertEqual([p.name for p in self.folder.iterdir() if ".tmp-" in p.name], [])


if __name__ == "__main__":
    unittest.main()
