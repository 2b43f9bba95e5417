"""The real model computes what llama.cpp computes: the same tokens, perplexity, and next-token distributions."""

import json
import pathlib
import tempfile
import unittest

import weir_process as weir

TEXT = weir.SHARED / "data" / "eval" / "wikitext-2-raw.test.txt"
weir.skip_unless(weir.WEIR, weir.MODEL, TEXT)
try:
    import llama_cpp
    import numpy as np
except ImportError as missing:
    print(f"skipped: {missing} (script/bootstrap installs it)")
    raise SystemExit(weir.SKIP)

CONTEXT = 512
TEXT_TOKENS = 6_200  # 3,072 of them scored: theirs takes a minute
POSITIONS = 200


class Oracle:
    """llama.cpp by its C interface: tokens, and logits of a whole chunk."""

    def __init__(self):
        self.quiet = llama_cpp.llama_log_callback(lambda *_: None)
        llama_cpp.llama_log_set(self.quiet, None)
        parameters = llama_cpp.llama_model_default_params()
        self.model = llama_cpp.llama_model_load_from_file(str(weir.MODEL).encode(), parameters)
        self.vocab = llama_cpp.llama_model_get_vocab(self.model)
        self.vocab_size = llama_cpp.llama_vocab_n_tokens(self.vocab)
        context = llama_cpp.llama_context_default_params()
        context.n_ctx = context.n_batch = context.n_ubatch = CONTEXT
        context.n_threads = context.n_threads_batch = 2
        self.context = llama_cpp.llama_init_from_model(self.model, context)
        self.batch = llama_cpp.llama_batch_init(CONTEXT, 0, 1)

    def tokens(self, text):
        data = text.encode()
        ids = (llama_cpp.llama_token * (len(data) + 8))()
        count = llama_cpp.llama_tokenize(self.vocab, data, len(data), ids, len(ids), True, False)
        return np.array(ids[:count], dtype=np.int32)

    def logits(self, ids):
        """f32 [len(ids), vocab] of ids from an empty cache."""
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self.context), True)
        self.batch.n_tokens = len(ids)
        for i, token in enumerate(ids):
            self.batch.token[i] = int(token)
            self.batch.pos[i] = i
            self.batch.n_seq_id[i] = 1
            self.batch.seq_id[i][0] = 0
            self.batch.logits[i] = 1
        assert llama_cpp.llama_decode(self.context, self.batch) == 0
        rows = llama_cpp.llama_get_logits(self.context)
        return np.ctypeslib.as_array(rows, (len(ids), self.vocab_size)).copy()

    def perplexity(self, ids):
        """As llama-perplexity: chunks from nothing, the second half scored, BOS first where the vocabulary says so."""
        bos = llama_cpp.llama_vocab_bos(self.vocab) if llama_cpp.llama_vocab_get_add_bos(self.vocab) else None
        first, loss, count = CONTEXT // 2, 0.0, 0
        for start in range(0, len(ids) - CONTEXT + 1, CONTEXT):
            chunk = ids[start:start + CONTEXT].copy()
            scored = chunk[first + 1:]
            if bos is not None:
                chunk[0] = bos
            rows = log_softmax(self.logits(chunk)[first:CONTEXT - 1])
            loss -= rows[np.arange(len(scored)), scored].sum()
            count += len(scored)
        return float(np.exp(loss / count)), count


def log_softmax(rows):
    rows = rows.astype(np.float64)
    rows -= rows.max(axis=1, keepdims=True)
    return rows - np.log(np.exp(rows).sum(axis=1, keepdims=True))


class NumericOracle(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.oracle = Oracle()
        text = TEXT.read_text()
        text = text[:text.rindex(" ", 0, len(text) * TEXT_TOKENS // len(cls.oracle.tokens(text)))]
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.file = pathlib.Path(cls.folder.name) / "text.txt"
        cls.file.write_text(text)
        cls.ids = cls.oracle.tokens(text)

    def weir_json(self, *arguments):
        code, out, err = weir.run(*arguments, timeout_s=900)
        self.assertEqual(code, 0, err)
        return json.loads(out)

    def test_tokens(self):
        code, out, err = weir.run("tokenize", weir.MODEL, "--json", "--text", self.file.read_text()[:100_000])
        self.assertEqual(code, 0, err)
        self.assertEqual(json.loads(out)["ids"], self.ids.tolist())

    def test_perplexity(self):
        ours = self.weir_json("eval", "ppl", weir.MODEL, "-f", self.file, "--ctx", CONTEXT, "--json")
        theirs, count = self.oracle.perplexity(self.ids)
        ours_value = ours["perplexity"]
        print(f"perplexity over {count} scored tokens: weir {ours_value:.4f}, llama.cpp {theirs:.4f}, "
              f"ratio {ours_value / theirs:.5f}")
        self.assertLess(abs(ours_value / theirs - 1), 0.005)

    def test_distributions(self):
        dump = pathlib.Path(self.folder.name) / "logits.bin"
        code, _, err = weir.run("eval", "logits", weir.MODEL, "-f", self.file, "--count", POSITIONS, "-o", dump)
        self.assertEqual(code, 0, err)
        data = dump.read_bytes()
        vocab, count = np.frombuffer(data, np.int32, 2)
        ids = np.frombuffer(data, np.int32, count, 8)
        ours = np.frombuffer(data, np.float32, count * vocab, 8 + 4 * int(count)).reshape(count, vocab)
        self.assertEqual(count, POSITIONS)
        self.assertEqual(ids.tolist(), self.ids[:count].tolist())
        p, q = log_softmax(self.oracle.logits(ids)), log_softmax(ours)
        kl = (np.exp(p) * (p - q)).sum(axis=1)
        same = (p.argmax(axis=1) == q.argmax(axis=1)).mean()
        print(f"KL(llama.cpp || weir) over {count} positions: mean {kl.mean():.6f}, max {kl.max():.6f}; same top token {same:.1%}")
        self.assertLess(kl.mean(), 0.01)
        self.assertGreater(same, 0.9)


if __name__ == "__main__":
    unittest.main(verbosity=2)
