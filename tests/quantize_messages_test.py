"""What weir quantize and weir imatrix say to a newcomer: types that cannot be written, files that are no models, what was copied or got
another type, which option is meant, how a run that was cut short goes on."""

import json
import pathlib
import signal
import subprocess
import time
import unittest

import weir_process as weir
from folder_case import FolderCase

weir.skip_unless(weir.WEIR, weir.MODEL)
try:
    import gguf
    import numpy as np
except ImportError as missing:
    print(f"skipped: {missing} (script/bootstrap installs it)")
    raise SystemExit(weir.SKIP)

TEXT = weir.SHARED / "data" / "eval" / "wikitext-2-raw.test.txt"
MATRICES = ["blk.0.attn_q.weight", "blk.0.attn_v.weight", "blk.0.ffn_up.weight"]
COLS = 96  # no multiple of 256


def write(path, tensors, **fields):
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_block_count(1)
    for key, value in fields.items():
        writer.add_string(key.replace("_", "."), value)
    for name, data in tensors.items():
        writer.add_tensor(name, data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def write_imatrix(path, matrices):
    tensors = {}
    for name in matrices:
        tensors[f"{name}.in_sum2"] = np.linspace(1, 2, COLS, dtype=np.float32).reshape(1, COLS)
        tensors[f"{name}.counts"] = np.ones((1, 1), np.float32)
    writer = gguf.GGUFWriter(str(path), "imatrix", endianess=gguf.GGUFEndian.LITTLE)
    writer.add_string("general.type", "imatrix")
    writer.add_array("imatrix.datasets", ["t.txt"])
    writer.add_uint32("imatrix.chunk_count", 1)
    writer.add_uint32("imatrix.chunk_size", 512)
    for name, data in tensors.items():
        writer.add_tensor(name, data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


class Messages(FolderCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        data = np.linspace(-1, 1, 8 * COLS, dtype=np.float32).reshape(8, COLS)
        cls.base = write(cls.folder / "base.gguf", {name: data for name in ["token_embd.weight", *MATRICES]})
        cls.imatrix = write_imatrix(cls.folder / "im.gguf", MATRICES)

    def quantize(self, source, target, *more):
        """The report, with the keys of the file."""
        result = json.loads(self.weir("quantize", source, self.folder / target, "--json", *more))
        return result, gguf.GGUFReader(self.folder / target).fields

    def fails(self, code, *arguments):
        err = self.weir("quantize", *arguments, code=code)
        self.assertFalse((self.folder / "none.gguf").exists())
        return err

    def warning(self, result, text):
        found = [w for w in result["warnings"] if text in w]
        self.assertEqual(len(found), 1, result["warnings"])
        return found[0]

    def test_a_named_type_that_cannot_be_written_is_an_error(self):
        for name in ("q8_k", "q8_1", "q1_0", "i8", "f64"):
            for option in (("--tensor", f"attn_v={name}"), ("--embedding-type", name), ("--output-type", name)):
                with self.subTest(option):
                    err = self.fails(3, self.base, self.folder / "none.gguf", "--type", "Q4_0", *option)
                    self.assertIn(f"cannot make {name.upper()} of F32; types that can be written are F32, F16", err)
        err = self.fails(2, self.base, self.folder / "none.gguf", "--type", "Q4_0", "--tensor", "attn_v=q4k")
        self.assertIn("the nearest is Q4_K; types that can be written are", err)
        for name in ("Q8_K", "I8", "F64", "Q8_1"):
            self.assertNotIn(name, err)

    def test_what_is_of_the_type_already_is_said_and_importance_is_not_claimed(self):
        calibrated = ("--imatrix", self.imatrix)
        result, fields = self.quantize(self.base, "q8.gguf", "--type", "Q8_0", *calibrated)
        self.assertEqual(result["warnings"], [])
        self.assertIn("quantize.imatrix.file", fields)
        self.assertIn("weir.quantize.imatrix_hash", fields)
        result, _ = self.quantize(self.folder / "q8.gguf", "again.gguf", "--type", "Q8_0")
        self.assertTrue(self.warning(result, "4 tensors are of the wanted type already and were copied").endswith("as they are"))
        self.quantize(self.base, "f16.gguf", "--type", "F16")
        for source, name, copied in (("q8.gguf", "Q8_0", 4), ("base.gguf", "F16", 0), ("f16.gguf", "F16", 4)):
            with self.subTest(source=source, type=name):
                result, fields = self.quantize(self.folder / source, "again.gguf", "--type", name, *calibrated)
                self.warning(result, "no tensor was encoded with importance")
                if copied:
                    self.warning(result, f"{copied} tensors are of the wanted type already and were copied as they are; --imatrix did not")
                self.assertEqual([k for k in fields if "imatrix" in k or k.startswith("weir.calibration.")], [])

    def test_files_that_are_no_models_are_refused(self):
        vocabulary = write(self.folder / "vocabulary.gguf", {}, general_type="model")
        moments = write(self.folder / "mo.gguf", {"a.in_outer": np.ones(36, np.float32)}, general_type="weir.moments")
        for source, word in ((self.imatrix, "general.type is 'imatrix'"), (moments, "general.type is 'weir.moments'"),
                             (vocabulary, "no matrices of a model")):
            err = self.fails(3, source, self.folder / "none.gguf", "--type", "Q4_0")
            self.assertIn(word, err)
            self.assertIn(source.name, err)

    def test_what_gets_another_type_is_named(self):
        result, _ = self.quantize(self.base, "x.gguf", "--type", "Q4_0")
        said = self.warning(result, "token_embd.weight gets Q8_0 in place of Q6_K, whose blocks of 256 its rows of 96 are no multiple of")
        self.assertNotIn("more", said)
        result, _ = self.quantize(self.base, "x.gguf", "--type", "Q4_0", "--embedding-type", "q8_0", "--tensor", "attn_v|ffn_up=q6_k")
        self.warning(result, "blk.0.attn_v.weight gets Q8_0 in place of Q6_K, whose blocks of 256 its rows of 96 are no multiple of, and 1 more")

    def test_an_importance_matrix_that_lacks_the_embedding_is_complete(self):
        result, _ = self.quantize(self.base, "x.gguf", "--type", "Q8_0", "--imatrix", self.imatrix)
        self.assertEqual(result["warnings"], [])
        part = write_imatrix(self.folder / "part.gguf", MATRICES[:1])
        result, _ = self.quantize(self.base, "x.gguf", "--type", "Q8_0", "--imatrix", part)
        said = self.warning(result, "the importance matrix has nothing of 2 tensors")
        self.assertIn("blk.0.attn_v.weight, blk.0.ffn_up.weight", said)

    def test_the_option_that_is_meant_is_named(self):
        out = self.folder / "none.gguf"
        for arguments, words in ((("--scheme", "W4A16"), ["--scheme", "give --format compressed-tensors"]),
                                 (("--symmetric", "--type", "Q4_0"), ["give --format compressed-tensors, gptq or awq"]),
                                 (("--format", "compressed-tensors", "--type", "Q4_K_M"), ["--type is not for", "give --scheme"]),
                                 (("--format", "awq", "--type", "Q4_K_M"), ["--type is not for --format awq"]),
                                 (("Q4_K_M",), ["--type Q4_K_M"]), (("q8_0", "4"), ["--type q8_0"]), (("nonsense",), ["takes no argument"]),
                                 (("--type", "Q4KM"), ["the nearest is Q4_K_M"]), (("--alpha", "0.5", "--type", "Q4_0"), ["--method smoothquant"])):
            with self.subTest(arguments):
                err = self.fails(2, self.base, out, *arguments)
                for word in words:
                    self.assertIn(word, err)
                self.assertEqual("--method" in err, "--alpha" in arguments)

    def test_a_rotated_model_is_as_large_before_as_it_is(self):
        sizes = [json.loads(self.weir("quantize", weir.MODEL, self.folder / "none.gguf", "--type", "Q8_0", "--dry-run", "--json", *more))["source_bytes"]
                 for more in ((), ("--rotations", "R1"))]
        self.assertEqual(sizes[0], sizes[1])

    def test_chunks_that_were_taken_are_said(self):
        text = self.folder / "text.txt"
        text.write_text("The capital of France is Paris, and that of Italy is Rome. " * 40)
        for more, words in ((("--chunks", 1), r"1 of the text's \d\d chunks of 32 tokens were taken \(--chunks\); 50 or more"),
                            ((), r"the text has \d\d chunks of 32 tokens; 50 or more")):
            result = json.loads(self.weir("imatrix", weir.MODEL, "--data", text, "-o", self.folder / "i.gguf", "--ctx", 32, "--json", *more))
            self.assertRegex(result["warnings"][0], words)


class CutShort(FolderCase):
    def ended(self, with_signal, when, *arguments):
        """What a run says that gets a signal once when() holds."""
        process = subprocess.Popen([str(a) for a in (weir.WEIR, "quantize", weir.MODEL, *arguments)], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE, text=True,
                                   preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))  # ignored in the background
        while not when():
            self.assertIsNone(process.poll(), "it ended before the signal")
            time.sleep(0.001)
        process.send_signal(with_signal)
        err = process.communicate()[1]
        self.assertEqual(process.returncode, -with_signal, err)
        return err

    def test_a_signal_says_how_to_go_on(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            target = self.folder / f"{number}.gguf"
            journal = pathlib.Path(f"{target}.partial") / "journal"
            err = self.ended(number, lambda: journal.exists() and journal.read_bytes().count(b"\n") > 3, target, "--type", "Q2_K", "--threads", 1)
            self.assertIn(f"what is written stays in {target}.partial: give the same command to go on", err)
        self.assertGreater(json.loads(self.weir("quantize", weir.MODEL, target, "--type", "Q2_K", "--json"))["tensors_taken_over"], 2)

    @unittest.skipIf(weir.SLOWDOWN > 1 or not TEXT.exists(), "takes minutes under a sanitizer; the unit test does the same on a small model")
    def test_sensitivities_are_kept_as_they_come(self):
        """kill -9 and SIGTERM; then the same figures as without."""
        text, kept = self.folder / "text.txt", self.folder / "s.json"
        text.write_text(TEXT.read_text()[:6_000])
        # Only some layers, to be done soon: types by hand are not chosen.
        run = ("--target-bpw", 8.4, "--data", text, "--tensor", r"blk\.(\d\d|[2-9])\.|token_embd=q8_0")
        tensors = lambda: len(json.loads(kept.read_text())["tensors"]) if kept.exists() else 0  # noqa: E731
        self.ended(signal.SIGKILL, lambda: tensors() > 1, self.folder / "t.gguf", *run, "--sensitivity", kept)
        at_kill = json.loads(kept.read_text())["tensors"]
        self.assertLess(len(at_kill), 14)
        err = self.ended(signal.SIGTERM, lambda: tensors() > len(at_kill), self.folder / "t.gguf", *run, "--sensitivity", kept)
        self.assertIn(f"what is measured stays in {kept}", err)
        self.weir("quantize", weir.MODEL, self.folder / "t.gguf", *run, "--sensitivity", kept)
        self.weir("quantize", weir.MODEL, self.folder / "u.gguf", *run, "--sensitivity", self.folder / "whole.json")
        whole = json.loads((self.folder / "whole.json").read_text())
        self.assertEqual(json.loads(kept.read_text()), whole)
        self.assertEqual(len(whole["tensors"]), 14)
        self.assertTrue(all(whole["tensors"][name] == value for name, value in at_kill.items()))
        # Something else is not mixed in.
        kept.write_text(json.dumps(whole | {"tensors": at_kill, "text": "00"}))
        err = self.weir("quantize", weir.MODEL, self.folder / "v.gguf", *run, "--sensitivity", kept, code=3)
        self.assertIn("the text differs", err)
        self.assertIn("s.json", err)
        kept.write_text(json.dumps(whole | {"text": "00"}))  # complete, and of another text
        self.assertIn("the text differs", self.weir("quantize", weir.MODEL, self.folder / "v.gguf", *run, "--sensitivity", kept, code=3))


if __name__ == "__main__":
    unittest.main()
