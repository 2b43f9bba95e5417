#!/usr/bin/env python3
"""Writes data/engines/ENGINE-VERSION.yaml: the options of an engine, read from its own package without importing it.

usage: script/snapshot-engine ENGINE PACKAGE [--version V] [--package NAME] [--released DATE] [--snapshot DATE] [--note TEXT]
       [--out FOLDER | --print]

PACKAGE is a wheel, a source archive or a checkout. Version and name are the package's own where it says them.
Python is followed as a syntax tree (snapshot_interpreter.py), C++ is read as text (snapshot_llama.py).
Of each option: name, aliases, type, default, choices, bounds, environment variable, group, and whether it is deprecated.
Help texts are not carried over.
"""
import argparse
import datetime
import json
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from snapshot_recipes import RECIPES  # noqa: E402
from snapshot_sources import Sources  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent
BARE = re.compile(r"-{0,2}[A-Za-z_/][\w./+-]*")
RESERVED = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}


def scalar(value):
    """A value as one line of YAML."""
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(scalar, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{scalar(str(k))}: {scalar(v)}" for k, v in value.items()) + "}"
    if isinstance(value, str) and BARE.fullmatch(value) and value.lower() not in RESERVED:
        return value
    if isinstance(value, float):  # 1e-09 would be a string to YAML 1.1
        return re.sub(r"^(-?\d+)e", r"\1.0e", repr(value)) if abs(value) != float("inf") else ".inf" if value > 0 else "-.inf"
    return json.dumps(value, ensure_ascii=False)


def text_of(head, entries):
    """The file: its head, then one line for each option."""
    lines = ["# Made by script/snapshot-engine; do not edit. null with a default_note: there is no fixed default."]
    keys = head.pop("keys", [])
    lines += [f"{key}: {value if key in ('snapshot', 'released') else scalar(value)}" for key, value in head.items() if value]
    for title, list_ in (("keys", entries if head.get("kind") == "yaml_key" else keys), ("flags", [] if head.get("kind") else entries)):
        if list_:
            lines += [f"{title}:", *("  - " + scalar(entry) for entry in list_)]
    return "\n".join(lines) + "\n"


def snapshot(engine, sources, version=None, package=None, released=None, today=None, note=None):
    """(file name, text) of one engine's options."""
    name, own_version = sources.metadata()
    try:
        entries, more = RECIPES[engine](sources)
    except ValueError as error:
        raise ValueError(f"{sources.path}: {error}; is this the package of {engine}?") from error
    version = version or more.pop("version", None) or own_version
    if not version:
        raise ValueError(f"{sources.path}: the package does not say its version; give --version")
    if not entries:
        raise ValueError(f"{sources.path}: no options found")
    head = {"engine": engine, "version": version, "package": package or name, "released": released or sources.released(),
            "snapshot": today or datetime.date.today().isoformat(), "note": note, **{k: v for k, v in more.items() if k != "version"}, "files": sorted(set(sources.used))}
    return f"{engine}-{version}.yaml", text_of(head, entries)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("engine", choices=sorted(RECIPES))
    p.add_argument("source", help="a wheel, a source archive or a checkout")
    p.add_argument("--version", help="where the package does not say it")
    p.add_argument("--package", help="name in the index, or owner/name @ commit")
    p.add_argument("--released", help="date; else that of the newest file in the archive")
    p.add_argument("--snapshot", help="date of the snapshot; else today")
    p.add_argument("--note", help="how the sources were come by, where it is not the package itself")
    p.add_argument("--out", default=str(ROOT / "data" / "engines"))
    p.add_argument("--print", action="store_true", help="to standard output, no file")
    args = p.parse_args()
    try:
        name, text = snapshot(args.engine, Sources(args.source), args.version, args.package, args.released, args.snapshot, args.note)
    except (OSError, ValueError) as error:
        sys.exit(f"snapshot-engine: {error}")
    if args.print:
        sys.stdout.write(text)
        return
    folder = pathlib.Path(args.out)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    print(f"snapshot-engine: {folder / name}: {text.count(chr(10) + '  - ')} options", file=sys.stderr)


if __name__ == "__main__":
    main()
