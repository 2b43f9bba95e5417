"""weir quantize: parts that weir and llama.cpp read, runs that kill -9 cut short and that go on to the same bytes, full disks, predicted
speed, and calibration text that is found again in a test text."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

import weir_process as weir
from folder_case import FolderCase

TEXT = weir.SHARED / "data" / "eval" / "wikitext-2-raw.test.txt"
weir.skip_unless(weir.WEIR, weir.MODEL)
from quiet_llama import llama_cpp  # noqa: E402
import gguf  # noqa: E402  (installed with it)


class Folder(FolderCase):
    def quantize(self, target, name, *more):
        return json.loads(self.weir("quantize", weir.MODEL, self.folder / target, "--type", name, "--json", *more))

    def partial(self):
        return [p for p in self.folder.iterdir() if p.name.endswith(".partial")]

    def start(self, *arguments):
        return subprocess.Popen([str(weir.WEIR), "quantize", str(weir.MODEL), *map(str, arguments)], stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL)

    def killed(self, target, tensors, *arguments):
        """A run that kill -9 ends once its journal has so many lines."""
        process = self.start(self.folder / target, *arguments)
        journal = self.folder / f"{target}.partial" / "journal"
        while process.poll() is None:
            if journal.exists() and journal.read_bytes().count(b"\n") > tensors:
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.001)
        return process.wait()


class Parts(Folder):
    def test_weir_and_llama_cpp_read_them(self):
        result = self.quantize("m.gguf", "Q8_0", "--split-max-size", "40M")
        files = [pathlib.Path(f) for f in result["files"]]
        self.assertGreater(len(files), 2)
        self.assertEqual([f.name for f in files], [f"m-{i + 1:05}-of-{len(files):05}.gguf" for i in range(len(files))])
        self.assertTrue(all(f.stat().st_size <= 40_000_000 for f in files))
        self.assertEqual(self.partial(), [])
        for number, file in enumerate(files):
            fields = gguf.GGUFReader(file).fields
            self.assertEqual([int(fields[f"split.{k}"].contents()) for k in ("no", "count", "tensors.count")], [number, len(files), 272])
            self.assertEqual("general.architecture" in fields, number == 0)
        self.quantize("whole.gguf", "Q8_0")
        answers = set()
        for path in (files[0], self.folder / "whole.gguf"):
            model = llama_cpp.Llama(str(path), n_ctx=64, n_threads=2, verbose=False)
            answers.add(model("The capital of France is", max_tokens=8, temperature=0)["choices"][0]["text"])
            answers.add(self.weir("run", path, "-p", "The capital of France is", "--raw", "-n", "8", "--temp", "0").strip())
            del model
        self.assertTrue(all("Paris" in a for a in answers), answers)

    def test_parts_of_so_many_tensors(self):
        result = self.quantize("t", "Q4_0", "--split-max-tensors", 100)
        self.assertEqual([len(gguf.GGUFReader(f).tensors) for f in result["files"]], [100, 100, 72])
        # The parts as a source, and never as the target of themselves.
        self.weir("quantize", result["files"][0], self.folder / "again.gguf", "--type", "Q5_0", "--dry-run")
        for target, more in ((self.folder / "t", ["--split-max-tensors", "100"]), (result["files"][1], [])):
            err = self.weir("quantize", result["files"][0], target, "--type", "Q5_0", *more, code=2)
            self.assertIn("is the source itself", err)

    def test_arguments(self):
        for size in ("2", "0M", "2K", "M", "-1M", "2GB", "99999999999999999999G"):
            self.assertIn("N(M|G)", self.weir("quantize", weir.MODEL, self.folder / "x", "--type", "Q4_0", f"--split-max-size={size}", code=2))
        err = self.weir("quantize", weir.MODEL, self.folder / "x-00001-of-00002.gguf", "--type", "Q4_0", "--split-max-size", "1G", code=2)
        self.assertIn("ends like a part", err)
        self.assertIn("--resume is not for", self.weir("quantize", self.folder, self.folder / "o", "--format", "awq", "--resume", code=2))
        self.assertEqual(list(self.folder.glob("x*")), [])


class Killed(Folder):
    def test_it_goes_on_to_the_same_bytes(self):
        for parts in ((), ("--split-max-tensors", "90")):
            whole = self.quantize("whole.gguf", "Q4_K_M", *parts)["files"]
            for tensors in (0, 1, 40, 150, 260):
                with self.subTest(parts=parts, tensors=tensors):
                    code = self.killed("k.gguf", tensors, "--type", "Q4_K_M", *parts)
                    if code != 0:
                        self.assertEqual(list(self.folder.glob("k*.gguf")), [])
                        self.assertEqual(len(self.partial()), 1)
                    result = self.quantize("k.gguf", "Q4_K_M", *parts, *(["--resume"] if tensors % 2 else []))
                    if code != 0:
                        self.assertGreaterEqual(result["tensors_taken_over"], tensors)
                    for ours, theirs in zip(result["files"], whole, strict=True):
                        self.assertEqual(pathlib.Path(ours).read_bytes(), pathlib.Path(theirs).read_bytes())
                        pathlib.Path(ours).unlink()
                    self.assertEqual(self.partial(), [])

    def test_killed_at_any_time_parts_are_all_there_or_the_first_is_not(self):
        """Over an older set of other bytes: what opens is the old model or the new one."""
        arguments = ("--split-max-tensors", "20", "--tensor", r"blk\.=f16")
        names = [f"a-{i + 1:05}-of-00014.gguf" for i in range(14)]
        old = self.quantize("a.gguf", "Q8_0", *arguments)["files"]
        old = [pathlib.Path(f).read_bytes() for f in old]
        new = self.quantize("b.gguf", "Q4_0", *arguments)["files"]
        new = [pathlib.Path(f).read_bytes() for f in new]
        self.assertTrue(all(a != b for a, b in zip(old[:1], new[:1], strict=True)))
        start = time.monotonic()
        self.quantize("c.gguf", "Q4_0", *arguments)
        seconds = time.monotonic() - start
        for step in range(12):
            for name, content in zip(names, old, strict=True):
                (self.folder / name).write_bytes(content)
            # Most often towards the end, where names are given.
            process = self.start(self.folder / "a.gguf", "--type", "Q4_0", *arguments)
            time.sleep(seconds * (0.3 + 0.7 * step / 11))
            process.send_signal(signal.SIGKILL)
            process.wait()
            files = [self.folder / n for n in names]
            if files[0].exists():
                found = [f.read_bytes() for f in files]
                self.assertIn(found, (old, new))
            else:
                self.weir("inspect", files[-1], code=2)
        self.quantize("a.gguf", "Q4_0", *arguments)
        self.assertEqual([f.read_bytes() for f in files], new)

    def test_a_source_that_changed_is_not_gone_on_with(self):
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        source, target = pathlib.Path(place.name) / "source.gguf", pathlib.Path(place.name) / "t.gguf"
        shutil.copy(weir.MODEL, source)
        arguments = ("quantize", source, target, "--type", "Q5_0")
        process = subprocess.Popen([str(a) for a in (weir.WEIR, *arguments)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        journal = pathlib.Path(f"{target}.partial") / "journal"
        while process.poll() is None and not (journal.exists() and journal.read_bytes().count(b"\n") > 30):
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.wait()
        os.utime(source, (1, 1))
        self.assertIn("the times and sizes of the files that are read", self.weir(*arguments, "--resume", code=3))

    def test_another_run_does_not_take_it(self):
        self.assertNotEqual(self.killed("o.gguf", 30, "--type", "Q5_0"), 0)
        err = self.weir("quantize", weir.MODEL, self.folder / "o.gguf", "--type", "Q4_0", "--resume", code=3)
        self.assertIn("the type (was Q5_0, is Q4_0)", err)
        self.assertIn("o.gguf.partial", err)
        self.assertGreater(self.quantize("o.gguf", "Q5_0", "--resume")["tensors_taken_over"], 29)
        self.assertNotEqual(self.killed("o.gguf", 30, "--type", "Q5_0"), 0)
        result = self.quantize("o.gguf", "Q4_0")
        self.assertEqual(result["tensors_taken_over"], 0)
        self.assertIn("unfinished run was there", result["warnings"][-1])

    def test_two_at_once_are_refused(self):
        first = self.start(self.folder / "two.gguf", "--type", "Q2_K", "--threads", 1)
        journal = self.folder / "two.gguf.partial" / "journal"
        while not (journal.exists() and journal.read_bytes().count(b"\n") > 2):
            self.assertIsNone(first.poll())
            time.sleep(0.001)
        self.assertIn("another process", self.weir("quantize", weir.MODEL, self.folder / "two.gguf", "--type", "Q2_K", code=3))
        self.assertEqual(first.wait(), 0)

    def test_a_full_disk_loses_nothing_with_resume(self):
        """A file size limit stands in for a disk that fills up half-way."""
        def limited(*more):
            return subprocess.run(["bash", "-c", f"ulimit -f 40000; trap '' XFSZ; exec {weir.WEIR} quantize {weir.MODEL} {self.folder}/d.gguf "
                                   f"--type Q8_0 {' '.join(more)}"], capture_output=True, text=True)
        done = limited()
        self.assertEqual(done.returncode, 3)
        self.assertIn("cannot write", done.stderr)
        self.assertEqual(self.partial(), [])
        done = limited("--resume")
        self.assertEqual(done.returncode, 3)
        self.assertIn("go on with --resume", done.stderr)
        self.assertGreater(self.quantize("d.gguf", "Q8_0", "--resume")["tensors_taken_over"], 10)
        self.quantize("e.gguf", "Q8_0")
        self.assertEqual((self.folder / "d.gguf").read_bytes(), (self.folder / "e.gguf").read_bytes())


class Predicted(Folder):
    def test_a_dry_run_says_how_it_was_computed(self):
        result = self.quantize("p.gguf", "Q4_0", "--dry-run")["predicted"]
        self.assertAlmostEqual(result["decode_tok_s"], result["read_gb_s"] * 1e9 / result["bytes_per_token"], delta=1)
        seconds = sum(t["layer_weights"] / t["weights_per_s"] for t in result["types"] if t["weights_per_s"])
        self.assertAlmostEqual(result["prefill_tok_s"], 1 / seconds, delta=1)
        # All matrices of the file, the tied embedding among them.
        self.assertGreater(result["bytes_per_token"], 80e6)
        self.assertLess(result["bytes_per_token"], 100e6)
        self.assertIn("hypothesis", result["decode_how"])
        text = self.weir("quantize", weir.MODEL, self.folder / "p.gguf", "--type", "Q4_0", "--dry-run")
        self.assertRegex(text, re.compile(r"decode +[\d.]+ tok/s = .*hypothesis", re.DOTALL))
        self.assertEqual(list(self.folder.iterdir()), [])


@unittest.skipUnless(TEXT.exists(), "the text is not there")
class Overlap(Folder):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        text = TEXT.read_text()
        for name, piece in (("calibration", text[600_000:620_000]), ("other", text[:20_000]), ("part", text[:19_000] + text[601_000:603_000])):
            (cls.folder / f"{name}.txt").write_text(piece)
        cls.model, imatrix = cls.folder / "m.gguf", cls.folder / "im.gguf"
        for arguments in (("imatrix", weir.MODEL, "--data", cls.folder / "calibration.txt", "-o", imatrix, "--ctx", 256),
                          ("quantize", weir.MODEL, cls.model, "--type", "Q4_0", "--imatrix", imatrix)):
            code, _, err = weir.run(*arguments, timeout_s=600)
            assert code == 0, err

    def ppl(self, text, *more, code=0):
        out = self.weir("eval", "ppl", self.model, "-f", self.folder / f"{text}.txt", "--ctx", 128, "--json", *more, code=code)
        return json.loads(out) if code == 0 else out

    def test_perplexity_on_the_calibration_text_is_refused(self):
        err = self.ppl("calibration", code=3)
        for word in ("m.gguf", "calibrated on", "more than 1 %", "--allow-overlap"):
            self.assertIn(word, err)
        self.ppl("part", code=3)
        self.assertGreater(self.ppl("calibration", "--allow-overlap", "--chunks", 2)["calibration_overlap"], 0.95)
        self.assertAlmostEqual(self.ppl("part", "--allow-overlap")["calibration_overlap"], 0.095, delta=0.04)
        self.assertLess(self.ppl("other", "--chunks", 2)["calibration_overlap"], 0.002)
        text = self.weir("eval", "ppl", self.model, "-f", self.folder / "calibration.txt", "--ctx", 128, "--chunks", 2, "--allow-overlap")
        self.assertIn("the figures flatter", text)

    def test_kl_and_compare_refuse_it_too(self):
        against = ("--base-model", weir.MODEL, "--ctx", 128, "--chunks", 2)
        kl = ("eval", "kl", self.model, "-f", self.folder / "calibration.txt", *against)
        self.assertIn("calibrated on", self.weir(*kl, code=3))
        result, base = self.folder / "r.json", self.folder / "b.json"
        self.weir(*kl, "--allow-overlap", "-o", result)
        self.weir("eval", "kl", weir.MODEL, "-f", self.folder / "calibration.txt", *against, "-o", base)
        self.assertIn("calibrated on", self.weir("eval", "compare", base, result, code=3))
        code, out, err = weir.run("eval", "compare", base, result, "--allow-overlap", "--json")
        self.assertIn(code, (0, 1, 4), err)
        self.assertGreater(json.loads(out)["candidate_overlap"], 0.95)

    def test_the_sketch_is_small_and_goes_with_the_weights(self):
        fields = gguf.GGUFReader(self.model).fields
        hashes = fields["weir.calibration.windows"].contents()
        self.assertGreater(len(hashes), 3_000)
        self.assertLess(8 * len(hashes), 64 * 1024)
        self.assertEqual(len(fields["weir.calibration.hash"].contents()), 32)
        self.weir("quantize", self.model, self.folder / "second.gguf", "--type", "Q8_0")
        again = gguf.GGUFReader(self.folder / "second.gguf").fields
        self.assertEqual(again["weir.calibration.windows"].contents(), hashes)
        self.assertTrue(llama_cpp.Llama(str(self.model), n_ctx=64, n_threads=2, verbose=False)("a", max_tokens=1))


if __name__ == "__main__":
    unittest.main()
