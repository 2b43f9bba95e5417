"""docs/walkthrough.md as it stands: its blocks are run in order in one shell on the real model, and print what the page says but for figures.

`walkthrough_test.py --record` writes what they print into the page instead.
"""

import dataclasses
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import unittest

import weir_process as weir

PAGE = weir.ROOT / "docs" / "walkthrough.md"
TRACE = weir.SHARED / "data" / "traces" / "AzureLLMInferenceTrace_conv.csv"
TEXT = weir.SHARED / "data" / "eval" / "wikitext-2-raw.test.txt"
weir.skip_unless(weir.WEIR, weir.MODEL, TRACE, TEXT)
BLOCK = re.compile(r"```sh(?: ([^\n]*))?\n(.*?)```\n(?:\n```text\n(.*?)```\n)?", re.S)
# What differs from one run or machine to the next: figures, days, hashes, the names of CPUs.
FIGURE = re.compile(r"\b[0-9a-f]{12,64}\b|\d[\d.,:TZ-]*")


@dataclasses.dataclass
class Block:
    attributes: str
    commands: str
    printed: str

    @property
    def code(self):
        found = re.search(r"exit=(\d+)", self.attributes)
        return int(found.group(1)) if found else 0


def blocks(page):
    return [Block(m.group(1) or "", m.group(2), m.group(3) or "") for m in BLOCK.finditer(page)]


def comparable(text):
    lines = [re.sub(r"\s+", " ", FIGURE.sub("#", line)).strip() for line in text.splitlines()]
    return [line for line in lines if line]


class Shell:
    """One bash, whose variables and servers live on from block to block."""

    def __init__(self, folder):
        env = {**os.environ, "MODEL": str(weir.MODEL.resolve()), "DATA": str(weir.SHARED / "data"), "WEIR": str(weir.ROOT),
               "PORT": str(weir.free_port()), "PATH": f"{weir.WEIR.parent}:{os.environ['PATH']}", "NO_COLOR": "1", "LC_ALL": "C.UTF-8"}
        self.folder = folder
        self.process = subprocess.Popen(["bash"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=folder, env=env,
                                        start_new_session=True)
        self.port = env["PORT"]

    def run(self, block):
        """(exit code of the block's last command, what it printed)."""
        self.process.stdin.write((block.commands + "\nprintf '\\n--- %s ---\\n' $?\n").encode())
        self.process.stdin.flush()
        printed = ""
        while not (end := re.search(r"\n--- (\d+) ---\n\Z", printed)):
            line = self.process.stdout.readline()
            if not line:
                raise RuntimeError(f"the shell ended in:\n{block.commands}\n{printed}")
            printed += line.decode(errors="replace")
        printed = printed[:end.start()].replace(str(self.folder) + "/", "").replace(str(weir.ROOT) + "/", "").replace(self.port, "8080")
        return int(end.group(1)), printed.rstrip() + "\n" if printed.strip() else ""

    def close(self):
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


class Walkthrough(unittest.TestCase):
    def test_the_page(self):
        page = blocks(PAGE.read_text())
        self.assertGreater(len(page), 10)
        with tempfile.TemporaryDirectory() as folder:
            shell = Shell(pathlib.Path(folder))
            self.addCleanup(shell.close)
            for block in page:
                code, printed = shell.run(block)
                self.assertEqual(code, block.code, f"{block.commands}\n{printed}")
                if "varies" not in block.attributes:
                    self.assertEqual(comparable(printed), comparable(block.printed), f"{block.commands}\n{printed}")

    def test_a_page_that_says_otherwise_is_noticed(self):
        said = blocks("```sh exit=1\necho 'took 3.5 s'; false\n```\n\n```text\ntook 4 s\n```\n```sh\necho a\n```\n\n```text\nb\n```\n")
        with tempfile.TemporaryDirectory() as folder:
            shell = Shell(pathlib.Path(folder))
            self.addCleanup(shell.close)
            ran = [shell.run(block) for block in said]
        self.assertEqual([b.code for b in said], [1, 0])
        self.assertEqual(ran, [(1, "took 3.5 s\n"), (0, "a\n")])
        self.assertEqual([comparable(r[1]) == comparable(b.printed) for r, b in zip(ran, said)], [True, False])


def record():
    page = PAGE.read_text()
    with tempfile.TemporaryDirectory() as folder:
        shell = Shell(pathlib.Path(folder))
        parts, end = [], 0
        for match, block in zip(BLOCK.finditer(page), blocks(page)):
            code, printed = shell.run(block)
            if code != block.code:
                print(f"ends with {code}, not {block.code}:\n{block.commands}{printed}", file=sys.stderr)
            attributes = f" {block.attributes}" if block.attributes else ""
            parts += [page[end:match.start()], f"```sh{attributes}\n{block.commands}```\n", f"\n```text\n{printed}```\n" if printed else ""]
            end = match.end()
        shell.close()
    PAGE.write_text("".join(parts) + page[end:])


if __name__ == "__main__":
    if sys.argv[1:] == ["--record"]:
        record()
    else:
        unittest.main()
