"""What a server keeps resident: little more than the model file and its KV cache, also after many different tokens."""

import json
import pathlib
import random
import re
import unittest

import weir_process as weir

weir.skip_unless(weir.WEIR, weir.MODEL)
import httpx  # noqa: E402

KV_TOKENS = 2048
# Of file and KV cache as configured: after one request all that is resident, and with all of the cache in use, where the workspace of the
# largest steps is as well, what is the process's own: 1.15 measured. Pages of the program's file, which the system keeps as it likes, have a bound of
# their own.
AT_REST, FULL = 1.1, 1.18
PROGRAM_KIB = 24 << 10
MAPPED_KIB = 6 << 10  # of the model file: 64 rows of the embedding with the 64 KiB around each, and the metadata


def proc(server, name):
    return pathlib.Path(f"/proc/{server.process.pid}/{name}").read_text()


def resident_kib(server, part="VmRSS"):
    return int(re.search(rf"^{part}:\s*(\d+) kB", proc(server, "status"), re.MULTILINE).group(1))


def mapped_kib(server):
    """Of the model file."""
    found, ours = 0, False
    for line in proc(server, "smaps").splitlines():
        if re.match(r"^[0-9a-f]+-", line):
            ours = line.rstrip().endswith(".gguf")
        elif ours and line.startswith("Rss:"):
            found += int(line.split()[1])
    return found


@unittest.skipIf(weir.SLOWDOWN > 1, "sanitizers have memory of their own")
class Memory(unittest.TestCase):
    def ask(self, server, seed):
        chooser = random.Random(seed)
        tokens = [chooser.randrange(100, 49_000) for _ in range(900)]
        reply = httpx.post(f"{server.url}/v1/completions", json={"model": server.model, "prompt": tokens, "max_tokens": 8}, timeout=120)
        self.assertEqual(reply.status_code, 200, reply.text)

    def test_resident_memory(self):
        code, out, err = weir.run("inspect", weir.MODEL, "--ctx", KV_TOKENS, "--json")
        self.assertEqual(code, 0, err)
        report = json.loads(out)
        ideal = (report["bytes"] + report["memory"]["kv_bytes"]) / 1024
        with weir.Server("--kv-tokens", KV_TOKENS, "--threads", 2) as server:
            httpx.post(f"{server.url}/v1/completions", json={"model": server.model, "prompt": "one two three " * 100, "max_tokens": 16}, timeout=120)
            self.assertLess(resident_kib(server), AT_REST * ideal)
            for seed in range(4):
                self.ask(server, seed)
                self.assertLess(mapped_kib(server), MAPPED_KIB)
            self.assertLess(resident_kib(server, "RssAnon"), FULL * ideal)
            self.assertLess(resident_kib(server, "RssFile") - mapped_kib(server), PROGRAM_KIB)


class Loading(unittest.TestCase):
    def test_run_says_what_loading_took(self):
        code, _, err = weir.run("run", weir.MODEL, "-p", "hi", "-n", 1, "-v")
        self.assertEqual(code, 0, err)
        self.assertRegex(err, r"\[loaded in [\d.]+ ms: file [\d.]+, weights [\d.]+, beside them the tokenizer [\d.]+\]")
        self.assertNotIn("loaded in", weir.run("run", weir.MODEL, "-p", "hi", "-n", 1)[2])

    def test_perplexity_of_several_kv_types_is_that_of_each(self):
        def rows(types):
            code, out, err = weir.run("eval", "ppl", weir.MODEL, "-f", weir.ROOT / "README.md", "--ctx", 128, "--chunks", 2, "--kv-type", types, "--json")
            self.assertEqual(code, 0, err)
            report = json.loads(out)
            return [row["perplexity"] for row in report.get("rows", [report])]
        self.assertEqual(rows("q8_0,f16,q4_0"), rows("q8_0") + rows("f16") + rows("q4_0"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
