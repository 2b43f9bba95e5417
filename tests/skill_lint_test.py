"""weir skill: the pack of the checkout linted with the real model, every block run; what a broken page says; install."""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import weir_process as weir

weir.skip_unless(weir.WEIR, weir.MODEL)
PACK = weir.ROOT / "skill"


class SkillLint(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.dir = pathlib.Path(holder.name)

    def test_the_pack_holds(self):
        code, text, err = weir.run("skill", "lint", PACK, "--model", weir.MODEL, "--json", "--block-timeout", int(60 * weir.SLOWDOWN),
                                   timeout_s=600)
        self.assertTrue(text, err)
        report = json.loads(text)
        for f in report["findings"]:
            print(f"{f['file']}:{f['line']}: {f['what']}")
        counts = {k: v for k, v in report.items() if k not in ("findings", "slowest")}
        print(counts, report["slowest"])
        self.assertEqual((code, report["findings"]), (0, []))
        self.assertEqual(report["pages"], 28)
        self.assertEqual(report["numbers"]["untagged"], 0)
        self.assertEqual(report["blocks"]["skipped"], 0)
        self.assertGreaterEqual(report["blocks"]["run"], 28)

    def test_a_broken_page_is_found_and_its_server_ends(self):
        pack = self.dir / "skill"
        shutil.copytree(PACK, pack)
        page = pack / "SKILL.md"
        page.write_text(page.read_text() + "\nTwice as fast at 8 GPUs.\n\n```sh run=mock\necho $URL > ../url\ncurl -sf $URL/nothing\n```\n")
        before = self.servers()
        code, text, err = weir.run("skill", "lint", pack, "--page", "SKILL", "--model", weir.MODEL)
        self.assertEqual(code, 1, err)
        self.assertIn("the number 8 has no tag", text)
        self.assertRegex(text, r"SKILL\.md:\d+: the block failed: exit code 22")
        self.assertRegex(text, r'line \d+: "curl -sf \$URL/nothing" failed with 22')
        self.assertEqual(self.servers(), before)

    @staticmethod
    def servers():
        mine = []
        for p in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = p.read_bytes().split(b"\0")
            except OSError:
                continue
            if words[:1] == [os.fsencode(weir.WEIR)] and words[1:3] == [b"bench", b"mock"]:
                mine.append(p)
        return mine

    def test_install_puts_the_pack_and_the_entry(self):
        (self.dir / ".mcp.json").write_text('{"mcpServers": {"other": {"command": "x"}}}')
        code, text, err = weir.run("skill", "install", self.dir, "--json")
        self.assertEqual(code, 0, err)
        self.assertTrue(json.loads(text)["pack_written"])
        pack = self.dir / ".claude" / "skills" / "weir"
        self.assertEqual((pack / "SKILL.md").read_bytes(), (PACK / "SKILL.md").read_bytes())
        entries = json.loads((self.dir / ".mcp.json").read_text())["mcpServers"]
        self.assertEqual(sorted(entries), ["other", "weir"])
        self.assertEqual(entries["weir"]["args"], ["mcp"])
        self.assertIn("protocolVersion", subprocess.run(
            [entries["weir"]["command"], "mcp"], capture_output=True, text=True, timeout=60 * weir.SLOWDOWN,
            input='{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}\n').stdout)
        (pack / "SKILL.md").write_text("mine")
        code, _, err = weir.run("skill", "install", self.dir)
        self.assertEqual(code, 2)
        self.assertIn("give --force", err)
        code, text, err = weir.run("skill", "install", self.dir, "--agent", "generic")
        self.assertEqual(code, 0, err)
        self.assertTrue((self.dir / ".agents" / "skills" / "weir" / "references").is_dir())


if __name__ == "__main__":
    unittest.main()
