"""weir quantize beyond rounding, on the real model: GPTQ on second moments, types chosen for a size or a loss; bad input is named."""

import json
import re
import subprocess
import unittest

import weir_process as weir
from folder_case import FolderCase

TEXT = weir.SHARED / "data" / "eval" / "wikitext-2-raw.test.txt"
weir.skip_unless(weir.WEIR, weir.MODEL, TEXT)
from quiet_llama import llama_cpp  # noqa: E402


@unittest.skipIf(weir.SLOWDOWN > 1, "takes ten minutes under a sanitizer; ops' unit tests run the same code on small matrices")
class Methods(FolderCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        text = TEXT.read_text()
        (cls.folder / "calibration.txt").write_text(text[600_000:612_000])
        (cls.folder / "test.txt").write_text(text[:8_000])
        cls.imatrix, cls.moments = cls.folder / "imatrix.gguf", cls.folder / "moments.gguf"
        cls.calibrated = ("--imatrix", cls.imatrix)
        cls.gptq = ("--method", "gptq", "--moments", cls.moments)
        code, _, err = weir.run("imatrix", weir.MODEL, "--data", cls.folder / "calibration.txt", "-o", cls.imatrix, "--ctx", 256,
                                "--moments", cls.moments, timeout_s=600)
        assert code == 0, err

    def quantize(self, target, *options):
        return json.loads(self.weir("quantize", weir.MODEL, self.folder / target, "--json", *self.calibrated, *options))

    def fails(self, code, *options):
        err = self.weir("quantize", weir.MODEL, self.folder / "none.gguf", *options, code=code)
        self.assertFalse((self.folder / "none.gguf").exists())
        return err

    def kl(self, target):
        return json.loads(self.weir("eval", "kl", self.folder / target, "--base-model", weir.MODEL, "-f", self.folder / "test.txt",
                                    "--chunks", 3, "--json"))["kl_mean"]

    def test_gptq_comes_closer_than_the_search_on_other_text(self):
        self.quantize("search.gguf", "--type", "Q4_0")
        self.quantize("gptq.gguf", "--type", "Q4_0", *self.gptq)
        self.assertEqual((self.folder / "search.gguf").stat().st_size // 4096, (self.folder / "gptq.gguf").stat().st_size // 4096)
        self.assertLess(self.kl("gptq.gguf"), 0.9 * self.kl("search.gguf"))

    def test_threads_do_not_change_it(self):
        only = ("--type", "Q8_0", "--tensor", r"blk\.[3-4]\.=q4_0", *self.gptq)
        self.quantize("one.gguf", *only, "--threads", 1)
        self.quantize("three.gguf", *only, "--threads", 3)
        self.assertEqual((self.folder / "one.gguf").read_bytes(), (self.folder / "three.gguf").read_bytes())
        awq = ("--type", "Q4_K_M", "--method", "awq")
        self.quantize("one.gguf", *awq, "--threads", 1)
        self.quantize("three.gguf", *awq, "--threads", 3)
        self.assertEqual((self.folder / "one.gguf").read_bytes(), (self.folder / "three.gguf").read_bytes())

    def test_awq_comes_closer_than_the_search_and_llama_cpp_runs_it(self):
        self.quantize("plain.gguf", "--type", "Q4_0")
        said = self.quantize("awq.gguf", "--type", "Q4_0", "--method", "awq")
        self.assertGreater(said["scales"]["places"], 20)
        self.assertLess(said["scales"]["error_left"], 0.95)
        self.quantize("both.gguf", "--type", "Q4_0", "--method", "awq+gptq", "--moments", self.moments)
        loss = {name: self.kl(name + ".gguf") for name in ("plain", "awq", "both")}
        self.assertLess(loss["awq"], 0.85 * loss["plain"], loss)
        self.assertLess(loss["both"], 0.9 * loss["awq"], loss)
        model = llama_cpp.Llama(str(self.folder / "awq.gguf"), n_ctx=64, n_threads=2, verbose=False)
        self.assertEqual(model.metadata["weir.quantize.method"], "awq")
        text = model.create_completion("The capital of France is", max_tokens=4, temperature=0)["choices"][0]["text"]
        self.assertIn("Paris", text)

    def test_what_awq_takes(self):
        err = self.weir("quantize", weir.MODEL, self.folder / "none.gguf", "--type", "Q4_0", "--method", "awq", code=2)
        self.assertIn("weir imatrix", err)
        self.assertIn("take awq", self.fails(2, "--type", "Q4_0", "--method", "smoothquant"))
        self.assertIn("--moments", self.fails(2, "--type", "Q4_0", "--method", "awq+gptq", *self.calibrated))

    def test_a_rotated_model_is_the_same_function(self):
        rotate = ("--rotations", "R1,R2")
        self.weir("quantize", weir.MODEL, self.folder / "plain.gguf", "--type", "F16")
        said = json.loads(self.weir("quantize", weir.MODEL, self.folder / "rotated.gguf", "--type", "F16", *rotate, "--json"))
        self.assertEqual(said["rotation"]["head_layers"], 30)
        self.assertEqual(said["rotation"]["untied_output_bytes"], 2 * 49152 * 576)
        kl = json.loads(self.weir("eval", "kl", self.folder / "rotated.gguf", "--base-model", self.folder / "plain.gguf", "-f",
                                  self.folder / "test.txt", "--ctx", 128, "--chunks", 2, "--json"))["kl_mean"]
        self.assertLess(abs(kl), 1e-4)
        path = self.folder / "q8.gguf"
        said = json.loads(self.weir("quantize", weir.MODEL, path, "--type", "Q8_0", *rotate, "--moments", self.moments, "--json"))
        model = llama_cpp.Llama(str(path), n_ctx=64, n_threads=2, verbose=False)
        self.assertIn("Paris", model("The capital of France is", max_tokens=4, temperature=0)["choices"][0]["text"])
        self.assertEqual((model.metadata["weir.rotation.rotations"], model.metadata["weir.rotation.seed"]), ("R1,R2", "1"))

    def test_what_rotations_take(self):
        rotate = ("--type", "Q4_0", "--rotations", "R1")
        self.assertIn("before they are rotated", self.fails(2, *rotate, "--imatrix", self.imatrix))
        self.assertIn("take one of the two", self.fails(2, *rotate, "--method", "awq", "--moments", self.moments))
        self.assertIn("R1,R2", self.fails(2, "--type", "Q4_0", "--rotations", "R2"))
        self.assertIn("no signs", self.fails(2, *rotate, "--transform-type", "hadamard", "--seed", 3))
        self.assertIn("--rotations", self.fails(2, "--type", "Q4_0", "--seed", 3))
        self.assertIn("give --type", self.fails(2, "--target-bpw", 6, "--rotations", "R1"))
        gemma = weir.ROOT / "tests" / "golden" / "architectures" / "gemma2.gguf"
        err = self.weir("quantize", gemma, self.folder / "none.gguf", *rotate, code=3)
        self.assertIn("gemma2 models cannot be rotated: norms stand after", err)

    def test_moments_that_are_none(self):
        self.assertIn("--moments", self.fails(2, "--type", "Q4_0", "--method", "gptq"))
        self.assertIn("weir.moments", self.fails(3, "--type", "Q4_0", "--method", "gptq", "--moments", self.imatrix))
        whole = self.moments.read_bytes()
        cut = self.folder / "cut.gguf"
        for size in [0, 3, 40, 2_000, 30_000, len(whole) // 2, len(whole) - 1]:
            cut.write_bytes(whole[:size])
            self.assertIn("cut.gguf", self.fails(3, "--type", "Q4_0", "--method", "gptq", "--moments", cut))

    def sensitivity(self, model, importance="0"):
        names = [t["name"] for t in self.quantize("x.gguf", "--type", "Q8_0", "--dry-run")["tensors"] if not t["name"].endswith("norm.weight")]
        path = self.folder / "sensitivity.json"
        path.write_text(json.dumps({"kind": "weir.sensitivity", "type": "Q4_0", "model": model, "importance": importance, "text": "0",
                                    "context": 512, "chunks": 1,
                                    "tensors": {n: 1.0 if n == "blk.7.attn_v.weight" else 0.001 for n in names}}))
        return path

    def test_types_for_a_size_and_for_a_loss(self):
        path = self.sensitivity("0")
        err = self.fails(3, "--target-bpw", 6, "--sensitivity", path)
        self.assertIn("another model", err)
        model = re.search(r"this one is ([0-9a-f]{32})", err).group(1)
        self.sensitivity(model)
        err = self.fails(3, "--target-bpw", 6, "--sensitivity", path, *self.calibrated)
        self.assertIn("the importance matrix differs (was '0', is '", err)
        path = self.sensitivity(model, re.search(r"is '([0-9a-f]{32})'", err).group(1))
        narrow = ("--types", "Q4_0,Q5_0,Q8_0")
        large = []
        for bits in [5.5, 7]:
            result = self.quantize("mixed.gguf", "--target-bpw", bits, "--sensitivity", path, *narrow)
            self.assertLessEqual(result["bits_per_weight"], bits)
            self.assertGreater(result["bits_per_weight"], bits - 0.1)
            chosen = {t["name"]: t["type"] for t in result["mixed"]["tensors"]}
            self.assertEqual(chosen["blk.7.attn_v.weight"], "Q8_0")
            self.assertLessEqual(set(chosen.values()), {"Q4_0", "Q5_0", "Q8_0"})
            large.append(sum(t == "Q8_0" for t in chosen.values()))
        self.assertGreater(large[1], 2 * large[0])
        predicted = result["mixed"]["predicted_kl"]
        result = self.quantize("mixed.gguf", "--max-kl", 2 * predicted, "--sensitivity", path, *narrow)
        self.assertLessEqual(result["mixed"]["predicted_kl"], 2 * predicted)
        self.assertLess(result["bits_per_weight"], 7)
        self.assertIn("take", self.fails(3, "--target-bpw", 4, "--sensitivity", path, *narrow))
        self.assertIn("Q99", self.fails(2, "--target-bpw", 6, "--sensitivity", path, "--types", "Q99"))
        self.assertIn("one of --type", self.fails(2, "--target-bpw", 6, "--type", "Q4_0", "--sensitivity", path))
        self.assertIn("--data", self.fails(2, "--target-bpw", 6))
        path.write_text("{}")
        self.assertIn("sensitivity.json", self.fails(3, "--target-bpw", 6, "--sensitivity", path))

    def test_where_imatrix_writes(self):
        def imatrix(*arguments):
            return subprocess.run([str(weir.WEIR), "imatrix", str(weir.MODEL), "--ctx", "64", "--chunks", "1", *map(str, arguments)],
                                  capture_output=True, text=True, cwd=self.folder)

        done = imatrix("--data", "test.txt", "-o", "relative.gguf")  # a name in the working directory
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue((self.folder / "relative.gguf").exists())
        before = (self.folder / "test.txt").read_text()
        for arguments, said in ((("-o", "test.txt"), "is read"), (("-o", weir.MODEL), "is read"), (("-o", "same", "--moments", "same"), "another option"),
                                (("-o", "none/x"), "its folder is not there")):
            done = imatrix("--data", "test.txt", *arguments)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(said, done.stderr)
        self.assertEqual((self.folder / "test.txt").read_text(), before)

    def test_a_full_disk_while_moments_are_written(self):
        done = subprocess.run(["bash", "-c", f"ulimit -f 2048; trap '' XFSZ; exec {weir.WEIR} imatrix {weir.MODEL} --data {self.folder}/test.txt "
                               f"--ctx 64 --chunks 1 -o {self.folder}/small.gguf --moments {self.folder}/full.gguf"], capture_output=True)
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn(b"full.gguf", done.stderr)
        self.assertEqual([p.name for p in self.folder.iterdir() if p.name in ("full.gguf", "small.gguf") or ".tmp-" in p.name], [])


if __name__ == "__main__":
    unittest.main()
