"""weir sources with a project's own ledger and a local HTTPS server, briefs from question to evidence, weir cost from flags to the page."""

import datetime
import http.server
import json
import pathlib
import ssl
import subprocess
import tempfile
import threading
import unittest

import weir_process as weir

weir.skip_unless(weir.WEIR)
TODAY = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
PAGES = {"/fine": (200, {}), "/gone": (404, {}), "/old": (301, {"Location": "/fine"}), "/head": (405, {}),
         "/new": (200, {"Last-Modified": "Fri, 27 Nov 2099 10:00:00 GMT"})}
BRIEF = """
- L1: vLLM has a release a month (release, {day}, https://a.example/notes)
- L2: SGLang too (release, {day}, https://b.example)
- L3: TensorRT-LLM as well (docs, {day}, https://c.example/x?y=(z))
""", "\n- E1: something new (blog, {day}, https://d.example)\n", "\n- D1: TGI (code, {day}, https://e.example)\n", \
    "\n- R1: stay with vLLM [L1, E1] (release, {day}, https://a.example/notes)\n"


class Pages(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def answer(self, status, headers):
        self.send_response(status)
        for name, value in {**headers, "Content-Length": "0"}.items():
            self.send_header(name, value)
        self.end_headers()

    def do_HEAD(self):
        self.answer(*PAGES[self.path])

    def do_GET(self):
        self.answer(*(200, {}) if self.path == "/head" else PAGES[self.path])


class Ledger(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.dir = pathlib.Path(holder.name) / "p"
        self.assertEqual(weir.run("init", self.dir)[0], 0)

    def sources(self, *arguments, code=0):
        got, out, err = weir.run("sources", *arguments, "--project", self.dir)
        self.assertEqual(got, code, out + err)
        return out if code in (0, 1) else err

    def add(self, name, url, *more, code=0):
        return self.sources("add", "--id", name, "--title", "T", "--url", url, "--publisher", "P", "--kind", "docs", "--topic", "x",
                            "--claim", "c=holds", *more, code=code)

    def test_the_programs_ledger(self):
        self.assertIn("0 errors, 0 warnings", self.sources("check", "--on", "2026-11-30"))
        papers = json.loads(self.sources("list", "--kind", "paper", "--topic", "quantization", "--json"))
        self.assertGreater(len(papers), 5)
        self.assertTrue(all(p["kind"] == "paper" and "quantization" in p["topics"] for p in papers))
        self.assertIn("orca-2022", self.sources("list", "--claim", "ITERATION"))
        self.assertIn("the nearest is orca-2022", self.sources("list", "orca-2020", code=3))
        self.assertIn("0 of", self.sources("due", "--on", "2026-11-30"))
        late = {d["id"]: d for d in json.loads(self.sources("due", "--on", "2027-02-01", "--json", code=1))}
        self.assertIn("anthropic-pricing", late)
        self.assertNotIn("orca-2022", late)

    def test_a_projects_own(self):
        ledger = self.dir / "sources.json"
        self.add("our-test", "https://wiki.example/a", "--verified")
        first = ledger.read_text()
        self.add("our-other", "https://wiki.example/b")
        self.assertTrue(ledger.read_text().startswith(first[:-3]))
        self.assertIn("review by", self.sources("verify", "our-other", "--read", TODAY, "--note", "as stated"))
        entry = json.loads(self.sources("list", "our-other", "--json"))[0]
        self.assertEqual((entry["verified"], entry["note"], entry["accessed"]), (True, "as stated", TODAY))
        before = ledger.read_text()
        self.assertIn("the id stands twice", self.add("our-test", "https://wiki.example/c", code=3))
        self.assertIn("give it another id", self.add("orca-2022", "https://wiki.example/c", code=3))
        self.assertIn("url must be https", self.add("our-third", "http://wiki.example/c", code=3))
        self.assertIn("read-only", self.sources("verify", "orca-2022", "--read", TODAY, code=2))
        self.assertIn("not ahead", self.sources("verify", "our-test", "--read", "2999-01-01", code=2))
        self.assertEqual(ledger.read_text(), before)
        pages = self.dir / "pages"
        pages.mkdir()
        (pages / "a.md").write_text("Up to 2x [orca-2022, our-test].\n\nAnd [not-there].\n")
        self.assertIn(f"error: {pages}/a.md:3: cites not-there", self.sources("check", "--pages", pages, code=1))
        ledger.write_text(before[:-20])
        self.assertIn("sources.json", self.sources("list", code=3))

    def test_online(self):
        key, certificate = self.dir / "key.pem", self.dir / "cert.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                        "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
                       check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        names = [f"page-{path[1:]}" for path in PAGES]
        for name, path in zip(names, PAGES):
            self.add(name, f"https://localhost:{server.server_address[1]}{path}")
        out = self.sources("check", "--online", "--ca", certificate, "--json", *names, code=1)
        states = {row["id"]: row["state"] for row in json.loads(out)}
        self.assertEqual(states, {"page-fine": "fine", "page-gone": "gone", "page-old": "moved", "page-head": "fine", "page-new": "changed"})
        self.assertIn("1 fine, 0 not, 0 unverified", self.sources("check", "--online", "--ca", certificate, "page-fine"))
        # Without the certificate nobody is trusted; where nobody listens, nothing is known.
        self.assertIn("TLS: certificate verify failed", self.sources("check", "--online", "page-fine", code=1))
        self.add("page-none", f"https://127.0.0.1:{weir.free_port()}/")
        self.assertIn("stay unverified", self.sources("check", "--online", "page-none", code=4))

    def test_a_brief_becomes_evidence(self):
        advise = ["advise", "--project", self.dir, "--assume", "--tree", "engine", "--json"]
        state = json.loads(weir.run(*advise)[1])["briefs"]
        self.assertEqual([(b["topic"], b["verified"]) for b in state], [("engine", False)])
        self.assertIn("no brief newer than 60 days", state[0]["text"])
        page = self.dir / "brief.md"
        self.sources("brief", "new", "vLLM vs SGLang for chat?", "-o", page)
        self.assertIn("\n## Evidence that stands now\n", page.read_text())
        code, _, errors = weir.run("sources", "brief", "new", "vLLM vs SGLang for chat?", "--project", self.dir, "-o", page)
        self.assertEqual(code, 2)
        self.assertIn("--force", errors)
        text = page.read_text()
        self.assertIn(f"- [ ] vLLM vs SGLang benchmark {TODAY[:4]}\n", text)
        self.assertRegex(text, r"\(docs\): read 20\d\d-\d\d-\d\d, \d+ days ago")
        self.assertEqual(weir.run("advise", "--project", self.dir, "--question", "vLLM vs SGLang for chat?")[1], text)
        self.assertIn("no evidence yet", self.sources("brief", "check", page, code=1))
        filled = text.replace("- [ ]", "- [x]")
        for title, lines in zip(["Current landscape", "Emerging", "Declining", "Recommendation"], BRIEF):
            filled = filled.replace(f"## {title}\n", f"## {title}\n" + lines.format(day=TODAY))
        page.write_text(filled.replace("https://b", "http://b"))
        self.assertIn("L2: \"http://b.example\" is no https link", self.sources("brief", "check", page, code=1))
        self.assertFalse((self.dir / "evidence" / "briefs.json").exists())
        page.write_text(filled)
        self.assertIn(f"evidence/brief-{TODAY}-vllm-vs-sglang-for-chat.md", self.sources("brief", "check", page))
        state = json.loads(weir.run(*advise)[1])["briefs"][0]
        self.assertEqual((state["verified"], state["age_days"]), (True, 0))
        self.assertIn("topics are engine", self.sources("brief", "new", "Why is the sky blue?", code=2))

    def test_cost(self):
        flags = ["--system-tokens", "3000", "--question-tokens", "1000", "--output-tokens", "500", "--requests-per-day", "100000"]
        page, outcomes = self.dir / "cost.html", self.dir / "outcomes.jsonl"
        outcomes.write_text('{"cost_usd":0.01,"accepted":true}\n{"cost_usd":0.01,"accepted":false}\n')
        code, out, err = weir.run("cost", "--api", "claude-opus-5.5", "--small", "claude-haiku-5.5", "--escalation-share", "0.2",
                                  "--cache-hit-rate", "0.6..0.9", "--outcomes", outcomes, "--replicas", 4, "--devices", 1,
                                  "--replica-requests-per-s", 2, "--accelerator", "nvidia-h100-sxm", "--html", page, "--json",
                                  "--on", "2026-11-30", *flags)
        self.assertEqual(code, 0, err)
        cost = json.loads(out)
        rows = {name: section["rows"] for name, section in cost["sections"].items()}
        request = (1000 * 4 + 3000 * (0.75 * 0.20 + 0.25 * 5) + 500 * 20) / 1e6
        self.assertAlmostEqual(rows["hosted"]["request_usd"]["value"], request, 12)
        self.assertAlmostEqual(rows["caching"]["break_even_hit_rate"]["value"], 1 / 4.8, 12)
        self.assertAlmostEqual(rows["outcomes"]["accepted_usd"]["value"], 0.02, 12)
        self.assertTrue(cost["sections"]["hosted"]["stale"])
        self.assertTrue(all(p["date"] and p["source"] for p in cost["prices"]))
        widths = [abs(i["usd_high"] - i["usd_low"]) for i in cost["sensitivity"]["hosted"]["inputs"]]
        self.assertEqual(widths, sorted(widths, reverse=True))
        self.assertIn("<svg", page.read_text())
        code, out, err = weir.run("cost", "--batch-share", 1, *flags)
        self.assertEqual(code, 0, err)
        self.assertIn("llama-3.1-8b (DeepInfra)", out)
        for arguments, words in [(["--output-tokens", "-1"], "--output-tokens -1: is negative"), (["--batch-share", "nan"], "is no number"),
                                 (["--question-tokens", "5"], "how long is an answer?"),
                                 (["--api", "gpt", *flags], "the nearest is gpt-")]:
            code, out, err = weir.run("cost", *arguments)
            self.assertEqual((code, out), (2, ""), arguments)
            self.assertIn(words, err)


if __name__ == "__main__":
    unittest.main()
