"""`weir quantize --format compressed-tensors` with the calibration of routed experts: each has its own importance and its own fixed scale of inputs, an expert
that no token met has those of its layer. `weir imatrix` that kill -9 cuts short goes on to the same bytes; signals leave no temporaries."""

import json
import signal
import subprocess
import time
import unittest

import weir_process as weir
from folder_case import FolderCase

weir.skip_unless(weir.WEIR)
import gguf  # noqa: E402
import gpu_formats_test as formats  # noqa: E402
import numpy as np  # noqa: E402
import safetensors_test as folders  # noqa: E402

HIDDEN, INNER, LAYERS, EXPERTS = 128, 128, 2, 4
UNSEEN = 3  # the expert that the router never takes
PARTS = {"gate_proj": ("ffn_gate_exps", (INNER, HIDDEN)), "up_proj": ("ffn_up_exps", (INNER, HIDDEN)), "down_proj": ("ffn_down_exps", (HIDDEN, INNER))}
PACKED = ("--format", "compressed-tensors", "--scheme")


class Experts(FolderCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.source = cls.folder / "source"
        cls.source.mkdir()
        config = {"model_type": "qwen3_moe", "hidden_size": HIDDEN, "intermediate_size": INNER, "moe_intermediate_size": INNER, "num_hidden_layers": LAYERS,
                  "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 32, "num_experts": EXPERTS, "num_experts_per_tok": 2, "norm_topk_prob": True,
                  "max_position_embeddings": 64, "rms_norm_eps": 1e-05, "rope_theta": 10000.0, "vocab_size": folders.VOCAB, "tie_word_embeddings": False,
                  "torch_dtype": "bfloat16", "bos_token_id": 1, "eos_token_id": 2}
        (cls.source / "config.json").write_text(json.dumps(config))
        (cls.source / "tokenizer.json").write_text(json.dumps(folders.tiny_tokenizer()))
        cls.tensors = {n: formats.bf16(t) for n, t in cls.weights().items()}
        folders.write_safetensors(cls.source / "model.safetensors", cls.tensors)
        (cls.folder / "text").write_text(folders.TEXT)
        cls.imatrix = cls.folder / "imatrix.gguf"
        code, _, err = weir.run("imatrix", cls.source, "--data", cls.folder / "text", "-o", cls.imatrix, "--ctx", 32)
        assert code == 0, err
        cls.measured = {t.name: np.array(t.data) for t in gguf.GGUFReader(cls.imatrix).tensors}

    @staticmethod
    def weights():
        random = np.random.default_rng(3)
        embedding = random.normal(0, 1, (folders.VOCAB, HIDDEN))
        embedding[:, 0] = 4  # no matrix writes to it: what the router turns the unseen expert's tokens away by
        tensors = {"model.embed_tokens.weight": embedding, "model.norm.weight": np.ones(HIDDEN), "lm_head.weight": random.normal(0, 0.1, (folders.VOCAB, HIDDEN))}
        for i in range(LAYERS):
            layer = {"input_layernorm": np.ones(HIDDEN), "post_attention_layernorm": np.exp(random.normal(0, 1, HIDDEN))}
            for name, rows in (("q", 128), ("k", 64), ("v", 64)):
                layer[f"self_attn.{name}_proj"] = random.normal(0, 0.05, (rows, HIDDEN))
            layer |= {"self_attn.o_proj": random.normal(0, 0.05, (HIDDEN, 128)), "self_attn.q_norm": np.ones(32), "self_attn.k_norm": np.ones(32)}
            layer["post_attention_layernorm"][0] = 1
            layer["self_attn.o_proj"][0] = 0
            layer["mlp.gate"] = random.normal(0, 0.2, (EXPERTS, HIDDEN))
            layer["mlp.gate"][UNSEEN] = 0
            layer["mlp.gate"][UNSEEN, 0] = -100
            for expert in range(EXPERTS):
                for name, (_, shape) in PARTS.items():
                    layer[f"mlp.experts.{expert}.{name}"] = random.normal(0, 0.1, shape)
                layer[f"mlp.experts.{expert}.down_proj"][0] = 0
            tensors |= {f"model.layers.{i}.{n}.weight": t for n, t in layer.items()}
        return tensors

    def quantize(self, *options, code=0):
        """({tensor: array} of the folder, what was said on stderr)"""
        out = self.folder / "_".join(str(o).lstrip("-").rsplit("/", 1)[-1] for o in options)
        got, _, err = weir.run("quantize", self.source, out, *options)
        self.assertEqual(got, code, err)
        return formats.read_safetensors(out / "model.safetensors"), err

    @staticmethod
    def matrices():
        for i in range(LAYERS):
            for expert in range(EXPERTS):
                for name, (known_as, _) in PARTS.items():
                    yield f"model.layers.{i}.mlp.experts.{expert}.{name}", f"blk.{i}.{known_as}.weight", expert

    def test_one_expert_was_never_met(self):
        for _, known_as, expert in self.matrices():
            counts = self.measured[known_as + ".counts"].ravel()
            self.assertEqual(counts[expert] == 0, expert == UNSEEN, known_as)
            chunks = int(gguf.GGUFReader(self.imatrix).fields["imatrix.chunk_count"].contents())
            self.assertEqual(counts.sum(), 2 * 32 * chunks)  # two experts for each token

    def test_fixed_scales_are_each_experts_own(self):
        for scheme, part, scale in (("FP8", "input_scale", lambda x: x / 448), ("NVFP4", "input_global_scale", lambda x: 448 * 6 / x)):
            with self.subTest(scheme):
                parts, err = self.quantize(*PACKED, scheme, "--imatrix", self.imatrix)
                self.assertIn(f"{LAYERS * len(PARTS)} experts' matrices met no token", err)
                own = set()
                for module, known_as, expert in self.matrices():
                    largest = self.measured[known_as + ".in_largest"]
                    self.assertEqual(len(largest), EXPERTS)
                    want = float((largest if expert == UNSEEN else largest[expert]).max())
                    self.assertAlmostEqual(float(parts[f"{module}.{part}"][0]) / scale(want), 1, delta=0.004, msg=module)
                    own.add(want)
                self.assertGreater(len(own), EXPERTS)

    def test_importance_is_each_experts_own(self):
        options = (*PACKED, "W4A16", "--group-size", 32)
        plain, _ = self.quantize(*options)
        weighted, err = self.quantize(*options, "--imatrix", self.imatrix)
        self.assertIn("met no token", err)
        for module, known_as, expert in self.matrices():
            squares, counts = self.measured[known_as + ".in_sum2"], self.measured[known_as + ".counts"].ravel()
            means = squares.sum(0) / counts.sum() if expert == UNSEEN else squares[expert] / counts[expert]
            want = formats.from_bf16(self.tensors[module + ".weight"])

            def error(parts, of=module):
                own = {n.rsplit(".", 1)[1]: t for n, t in parts.items() if n.rsplit(".", 1)[0] == of}
                return (np.square(formats.packed()(own) - want) * means).sum()
            self.assertLess(error(weighted), error(plain), module)

    def test_no_file_of_the_source_is_written_over(self):
        before = (self.source / "model.safetensors").read_bytes()
        for name in ("model.safetensors", "config.json"):
            code, _, err = weir.run("quantize", self.source, self.source / name, "--type", "Q8_0")
            self.assertEqual(code, 2, err)
            self.assertIn("is the source itself", err)
        self.assertEqual((self.source / "model.safetensors").read_bytes(), before)

    def test_without_measurement_of_experts(self):
        moments = self.folder / "moments.gguf"
        code, _, err = weir.run("imatrix", self.source, "--data", self.folder / "text", "-o", self.folder / "again.gguf", "--ctx", 32, "--moments", moments)
        self.assertEqual(code, 0, err)
        options = (*PACKED, "W4A16", "--group-size", 32, "--method", "gptq", "--moments", moments)
        _, err = self.quantize(*options)
        self.assertIn(f"{LAYERS * EXPERTS * len(PARTS)} matrices were not measured", err)
        _, err = self.quantize(*options, "--imatrix", self.imatrix)
        self.assertNotIn("not measured", err)

    def until(self, there, number, *arguments):
        """Runs weir until something that `there` matches is in the folder, and ends it with the signal then; what it said, or None where it was done before."""
        process = subprocess.Popen([str(a) for a in (weir.WEIR, *arguments)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                   preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))  # ignored in the background
        while process.poll() is None and not any(self.folder.glob(there)):
            time.sleep(0.0005)
        process.send_signal(number)
        err = process.communicate()[1]
        if process.returncode == 0:
            return None
        self.assertEqual(process.returncode, -number, err)
        return err

    def test_a_killed_imatrix_goes_on_to_the_same_bytes(self):
        text = self.folder / "long"
        text.write_text(folders.TEXT * 2000)
        run = ("imatrix", self.source, "--data", text)

        def imatrix(name, *more, context=32, code=0):
            out = self.folder / f"{name}.im"
            return out, self.weir(*run, "-o", out, "--moments", self.folder / f"{name}.mo", "--json", "--ctx", context, *more, code=code)

        # Sums are kept after a second: as many chunks as take two and a half.
        seconds = json.loads(imatrix("some", "--chunks", 100)[1])["seconds"]
        chunks = ("--chunks", max(200, int(100 * 2.5 / seconds)))
        whole, said = imatrix("whole", *chunks)
        self.assertEqual(json.loads(said)["chunks_taken_over"], 0)
        out, moments, kept = (self.folder / f"cut.{end}" for end in ("im", "mo", "im.partial"))
        self.assertIsNotNone(self.until(kept.name, signal.SIGKILL, *run, "--ctx", 32, "-o", out, "--moments", moments, *chunks))
        self.assertFalse(out.exists() or moments.exists())
        # Another run's are not taken for one's own, nor damaged ones.
        self.assertIn("the tokens of a chunk (--ctx) (was 32, is 16)", imatrix("cut", *chunks, "--resume", context=16, code=3)[1])
        good = kept.read_bytes()
        kept.write_bytes(good[:-1])
        self.assertIn("cut or damaged", imatrix("cut", *chunks, "--resume", code=3)[1])
        code, out_text, err = weir.run(*run, "--ctx", 32, "-o", out, "--chunks", 3, "--json")
        self.assertEqual((code, json.loads(out_text)["chunks_taken_over"]), (0, 0))
        self.assertIn("warning: an unfinished run was there", err)
        kept.write_bytes(good)
        said = json.loads(imatrix("cut", *chunks)[1])
        self.assertGreater(said["chunks_taken_over"], 50)
        self.assertEqual(said["chunks"], chunks[1])
        self.assertEqual(out.read_bytes(), whole.read_bytes())
        self.assertEqual(moments.read_bytes(), (self.folder / "whole.mo").read_bytes())
        self.assertEqual(sorted(p.name for p in self.folder.glob("cut.*")), ["cut.im", "cut.mo"])

    def test_signals_leave_no_temporaries(self):
        (self.folder / "text2").write_text(folders.TEXT * 300)
        base = ("eval", "kl", self.source, "-f", self.folder / "text2", "--ctx", 32, "--save-base", self.folder / "base.klb")
        folder = ("quantize", self.source, self.folder / "f.out", *PACKED, "W4A16", "--group-size", 32)
        for there, arguments in (("base.klb.tmp-*", base), ("f.out.tmp-*", folder)):
            for number in (signal.SIGINT, signal.SIGTERM):
                with self.subTest(arguments=arguments, signal=number):
                    self.assertIsNotNone(self.until(there, number, *arguments))
                    self.assertEqual([p.name for p in self.folder.iterdir() if p.name.startswith(there.split(".")[0] + ".")], [])

    def test_where_nothing_can_be_written_is_said_at_once(self):
        nowhere = "/proc/version.x"  # not even root can make a file there
        long = self.folder / ("n" * 250)  # the name of the temporary file does not fit
        for option, arguments in (("--out", ("imatrix", self.source, "--data", self.folder / "text", "-o")),
                                  ("--moments", ("imatrix", self.source, "--data", self.folder / "text", "-o", self.folder / "w.im", "--moments")),
                                  ("--save-base", ("eval", "kl", self.source, "-f", self.folder / "text", "--save-base")),
                                  ("OUT", ("quantize", self.source, "--type", "Q8_0"))):
            for path, why in ((nowhere, "name a file where you may write"), (long, "name a file where you may write"), ("/dev/null", "name a file")):
                with self.subTest(option=option, path=path):
                    err = self.weir(*arguments, path, code=2)
                    for word in (option, str(path), why):
                        self.assertIn(word, err)
        self.assertFalse((self.folder / "w.im").exists())
        self.assertIn("OUT", self.weir("quantize", self.source, "/proc/x", *PACKED, "W4A16", "--method", "awq", "--imatrix", self.imatrix, code=3))


if __name__ == "__main__":
    unittest.main()
