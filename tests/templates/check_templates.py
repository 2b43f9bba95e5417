#!/usr/bin/env python3
"""Renders every template of ../shared/data/chat-templates with jinja2 and with weir: the texts must be the same.

The reference is set up as Hugging Face transformers does it (trim_blocks, lstrip_blocks, loop controls, the generation
block, tojson without HTML escapes, raise_exception, strftime_now) but for two things that some of these templates need
and weir offers: lists and dicts may be changed, and there is a filter from_json. Where jinja2 raises, weir must too.

usage: check_templates.py [--verbose] [TEMPLATE...]
"""

import datetime
import json
import os
import pathlib
import subprocess
import sys

from conversations import CONVERSATIONS, TOOLS
from snippets import SNIPPETS, VARIABLES

try:
    import jinja2
    import jinja2.ext
    import jinja2.sandbox
except ImportError:
    print("skipped: the Python package jinja2 is not there (script/bootstrap installs it)")
    sys.exit(77)

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = pathlib.Path(os.environ.get("WEIR_SHARED", ROOT.parent / "shared")) / "data" / "chat-templates"
TOOL = os.environ.get("WEIR_RENDER_TEMPLATE", str(ROOT / "build" / "release" / "tests" / "weir_render_template"))
NOW = datetime.datetime(2026, 1, 31, 12, 0, 0)
# What a template reads beyond the usual variables.
EXTRA = {"fireworks-ai-llama-3-firefunction-v2.jinja": {"functions": json.dumps(TOOLS), "datetime": "today"}}
LEAST = 6  # conversations that must render, not raise, for each template


class Generation(jinja2.ext.Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_plain"), [], [], body).set_lineno(line)

    def _plain(self, caller):
        return caller()


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def environment():
    env = jinja2.sandbox.SandboxedEnvironment(trim_blocks=True, lstrip_blocks=True,
                                              extensions=[Generation, jinja2.ext.loopcontrols])
    env.filters["tojson"] = tojson
    env.filters["from_json"] = json.loads
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = NOW.strftime
    return env


def request(path, conversation):
    out = {"path": str(path), "bos_token": "<s>", "eos_token": "</s>", "tools": None, "extra": {}}
    out.update(conversation)
    out["extra"] = {**out["extra"], **EXTRA.get(path.name, {})}
    return out


def expected(template, r):
    variables = {k: r[k] for k in ("messages", "tools", "add_generation_prompt", "bos_token", "eos_token")}
    variables = json.loads(json.dumps({**variables, **r["extra"]}))  # templates may change what they get
    try:
        return {"text": template.render(**variables)}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


class Renderer:
    def __init__(self):
        self.process = subprocess.Popen([TOOL], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def render(self, r):
        self.process.stdin.write(json.dumps(r).encode() + b"\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"the renderer ended with {self.process.wait()} on {r}")
        return json.loads(line)


def difference(want, got):
    if "error" in want or "error" in got:
        return f"jinja2: {want.get('error', 'renders')}\n    weir:   {got.get('error', 'renders')}"
    a, b = want["text"], got["text"]
    at = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
    return f"differ at {at}\n    jinja2: {a[max(0, at - 60):at + 80]!r}\n    weir:   {b[max(0, at - 60):at + 80]!r}"


def leaks(r, got):
    """Special tokens that a user typed and that came out as the template's."""
    typed = "<|im_start|>system"
    said = any(isinstance(m["content"], str) and typed in m["content"] for m in r["messages"])
    return said and typed in got["text"] and typed not in got["user"]


def check_snippets(renderer, env, verbose):
    bad = 0
    for source in SNIPPETS:
        r = {"source": source, "bos_token": "", "eos_token": "", "messages": [], "tools": None,
             "add_generation_prompt": True, "extra": VARIABLES}
        try:
            want = expected(env.from_string(source), r)
        except (jinja2.TemplateError, SyntaxError) as error:
            want = {"error": str(error)}
        got = renderer.render(r)
        same = ("error" in want) == ("error" in got) and want.get("text") == got.get("text")
        bad += not same
        if not same or verbose and "error" in want:
            print(f"{source}\n    {difference(want, got)}")
    print(f"{len(SNIPPETS)} snippets: {len(SNIPPETS) - bad} the same")
    return bad


def main():
    verbose = "--verbose" in sys.argv
    names = [a for a in sys.argv[1:] if not a.startswith("-")]
    renderer, env = Renderer(), environment()
    failed = check_snippets(renderer, env, verbose)
    if not FOLDER.is_dir():
        print(f"skipped the templates: {FOLDER} is not there")
        return 1 if failed else 77
    paths = [p for p in sorted(FOLDER.glob("*.jinja")) if not names or p.name in names]
    renderings = raised = bad = 0
    for path in paths:
        template, good = env.from_string(path.read_text()), 0
        for name, conversation in CONVERSATIONS:
            r = request(path, conversation)
            want, got = expected(template, r), renderer.render(r)
            renderings += 1
            raised += "error" in want
            if ("error" in want) != ("error" in got) or want.get("text") != got.get("text"):
                bad += 1
                print(f"{path.name}: {name}: {difference(want, got)}")
            elif "text" in got and leaks(r, got):
                bad += 1
                print(f"{path.name}: {name}: a control token typed by the user counts as the template's")
            else:
                good += "text" in got
            if verbose and "error" in want:
                print(f"{path.name}: {name}: {difference(want, got)}")
        if good < LEAST:
            bad += 1
            print(f"{path.name}: only {good} conversations render, {LEAST} are wanted")
    print(f"{len(paths)} templates x {len(CONVERSATIONS)} conversations: {renderings - bad} of {renderings} the same"
          f" ({raised} of them refused by both)")
    return 1 if bad or failed or not paths else 0


if __name__ == "__main__":
    sys.exit(main())
