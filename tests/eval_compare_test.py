"""weir eval kl and weir eval compare: a base of F32 weights, a Q6_K file that its gate lets through, a Q2_K file that it stops, too few
chunks to decide, kill -9 and a full disk while a base is saved, and bad input. The base is the model's file dequantized."""

import json
import pathlib
import signal
import struct
import subprocess
import tempfile
import time
import unittest

import weir_process as weir

TEXT = weir.SHARED / "data" / "eval" / "wikitext-2-raw.test.txt"
weir.skip_unless(weir.WEIR, weir.MODEL, TEXT)
GATE = weir.ROOT / "suites" / "gates" / "kl.yaml"
CHUNKS = 12


class EvalCompare(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.dir = pathlib.Path(cls.folder.name)
        cls.text = cls.dir / "text.txt"
        cls.text.write_text(TEXT.read_text(encoding="utf-8")[:12000], encoding="utf-8")
        cls.good("quantize", weir.MODEL, cls.dir / "base.gguf", "--type", "F32")
        for name in ("Q2_K", "Q6_K"):
            cls.good("quantize", cls.dir / "base.gguf", cls.dir / f"{name}.gguf", "--type", name)
        cls.kl("base", "-f", cls.text, "--ctx", 128, "--chunks", CHUNKS, "--save-base", cls.dir / "base.klb")
        cls.figures = {}
        for name in ("base", "Q2_K", "Q6_K"):
            cls.figures[name] = json.loads(cls.kl(name, "--base", cls.dir / "base.klb", "--json", "-o", cls.dir / f"{name}.json"))

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    @classmethod
    def good(cls, *arguments):
        code, out, err = weir.run(*arguments)
        assert code == 0, (code, arguments, err)
        return out

    @classmethod
    def kl(cls, name, *arguments):
        return cls.good("eval", "kl", cls.dir / f"{name}.gguf", *arguments)

    def compare(self, candidate, *arguments, base="base"):
        return weir.run("eval", "compare", self.dir / f"{base}.json", self.dir / f"{candidate}.json", *arguments)

    def test_figures(self):
        base, q2, q6 = (self.figures[n] for n in ("base", "Q2_K", "Q6_K"))
        self.assertLess(abs(base["kl_mean"]), 1e-4)
        self.assertEqual(base["top1"], 1)
        self.assertAlmostEqual(base["ppl_ratio"], 1, 5)
        self.assertLess(q6["kl_mean"], 0.03)
        self.assertGreater(q2["kl_mean"], 0.1)
        self.assertEqual(q6["scored_tokens"], CHUNKS * 63)
        self.assertLess(q6["kl_median"], q6["kl_p99"])
        ppl = json.loads(self.good("eval", "ppl", self.dir / "base.gguf", "-f", self.text, "--ctx", 128, "--chunks", CHUNKS, "--json"))
        self.assertAlmostEqual(base["ppl_base"], ppl["perplexity"], 3)

    def test_a_base_that_runs_beside_gives_the_same(self):
        beside = json.loads(self.kl("Q6_K", "-f", self.text, "--ctx", 128, "--chunks", CHUNKS, "--json",
                                    "--base-model", self.dir / "base.gguf"))
        for key in ("kl_mean", "kl_max", "top1", "ppl", "ppl_base", "delta_p"):
            self.assertEqual(beside[key], self.figures["Q6_K"][key], key)

    def test_the_gate_passes_q6_and_stops_q2(self):
        code, out, err = self.compare("Q6_K", "--gate", GATE, "--json", "-o", self.dir / "q6.html")
        self.assertEqual((code, json.loads(out)["verdict"]), (0, "pass"), out + err)
        code, out, err = self.compare("Q2_K", "--gate", GATE, "--json", "-o", self.dir / "q2.html")
        self.assertEqual((code, json.loads(out)["verdict"]), (1, "fail"), out + err)
        page = (self.dir / "q2.html").read_text(encoding="utf-8")
        for part in ("<svg", "fail", "Worst prompts", "KL divergence of a token"):
            self.assertIn(part, page)
        self.assertNotIn("http://", page.replace("http://www.w3.org/2000/svg", ""))
        code, out, err = self.compare("Q2_K", "--gate", GATE)
        self.assertEqual(out.splitlines()[-1], "fail")

    def test_too_few_chunks_are_inconclusive(self):
        for name in ("base", "Q6_K"):
            run = json.loads((self.dir / f"{name}.json").read_text())
            run["tasks"][0]["items"] = run["tasks"][0]["items"][:3]
            (self.dir / f"few-{name}.json").write_text(json.dumps(run))
        code, out, err = self.compare("few-Q6_K", "--gate", GATE, base="few-base")
        self.assertEqual(code, 4, out + err)
        self.assertIn("too few items: 3, and 8 at least are wanted", out)

    def save(self, folder):
        """A folder with a base from before, and the arguments that write another in its place."""
        target = self.dir / folder / "base.klb"
        target.parent.mkdir()
        target.write_text("old")
        return target, [str(a) for a in (weir.WEIR, "eval", "kl", self.dir / "base.gguf", "-f", self.text, "--ctx", 128, "--save-base", target)]

    def test_killed_while_it_saves_the_old_base_stays(self):
        target, arguments = self.save("killed")
        process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60 * weir.SLOWDOWN
        while time.monotonic() < deadline and not any(".tmp-" in p.name and p.stat().st_size > 1 << 20 for p in target.parent.iterdir()):
            self.assertIsNone(process.poll(), "it ended before it was killed")
            time.sleep(0.01)
        process.kill()
        self.assertEqual(process.wait(), -signal.SIGKILL)
        self.assertEqual(target.read_text(), "old")

    def test_on_a_full_disk_the_old_base_stays(self):
        """A file size limit stands in for a disk that fills while it is written; 10 MB are two chunks."""
        target, arguments = self.save("full")
        done = subprocess.run(["bash", "-c", "ulimit -f 10000; trap '' XFSZ; exec \"$@\"", "bash", *arguments], capture_output=True,
                              timeout=60 * weir.SLOWDOWN)
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn(b"cannot write", done.stderr)
        self.assertEqual([(p.name, p.read_text()) for p in target.parent.iterdir()], [("base.klb", "old")])

    def test_bad_input_is_named(self):
        def fails(code, part, result):
            self.assertEqual(result[0], code, result)
            self.assertIn(part, result[2])

        report = self.dir / "Q6_K.json"
        before = report.read_bytes()
        fails(2, "is read, or written by another option", self.compare("Q6_K", "-o", report))
        self.assertEqual(report.read_bytes(), before)
        fails(2, "its folder is not there", self.compare("Q6_K", "-o", self.dir / "none" / "r.html"))
        gate = self.dir / "gate.yaml"
        gate.write_text("rules:\n  - task: kl\n    margn: 1\n")
        fails(3, 'gate.yaml:3: unknown key "margn"; the nearest is "margin"', self.compare("Q6_K", "--gate", gate))
        gate.write_text("rules:\n  - task: k1\n    margin: 1\n")
        fails(3, "no task k1 in the results; the nearest is kl", self.compare("Q6_K", "--gate", gate))
        run = json.loads((self.dir / "Q6_K.json").read_text())
        run["model"]["vocabulary"] = "00"
        (self.dir / "other.json").write_text(json.dumps(run))
        fails(3, "different vocabularies", self.compare("other"))
        base = bytearray((self.dir / "base.klb").read_bytes())
        cut = self.dir / "cut.klb"
        cut.write_bytes(base[:-1])
        fails(3, "which is not what its header's", weir.run("eval", "kl", self.dir / "Q6_K.gguf", "--base", cut))
        base[-5000] ^= 1
        cut.write_bytes(base)
        fails(3, f"the checksum of chunk {CHUNKS - 1}", weir.run("eval", "kl", self.dir / "Q6_K.gguf", "--base", cut))
        base = bytearray((self.dir / "base.klb").read_bytes())
        base[8:12] = struct.pack("<I", 9)
        cut.write_bytes(base)
        fails(3, "version 9", weir.run("eval", "kl", self.dir / "Q6_K.gguf", "--base", cut))
        other = self.dir / "other.txt"
        other.write_text("another text " * 500)
        fails(3, "is not the one that the base", weir.run("eval", "kl", self.dir / "Q6_K.gguf", "--base", self.dir / "base.klb", "-f", other))
        fails(2, "give one of --base", weir.run("eval", "kl", self.dir / "Q6_K.gguf", "-f", other))
        fails(2, "base.gguf is a model: give --suite", weir.run("eval", "compare", self.dir / "base.gguf", self.dir / "Q6_K.json"))


if __name__ == "__main__":
    unittest.main()
