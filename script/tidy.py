#!/usr/bin/env python3
"""Runs clang-tidy over src/ in parallel and skips files whose contents were clean before.

A file is named by the hash of what can change the verdict: .clang-tidy and the program's version, its compile command, its own text and the text
of every header of ours that it includes, directly or not. The names of clean files are kept for a month in the user's
cache folder, so that they serve every checkout, as the compiler's cache does.

usage: script/tidy.py BUILD_FOLDER JOBS
"""

import concurrent.futures
import functools
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
KEPT_SECONDS = 30 * 24 * 3600
INCLUDE = re.compile(rb'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)


def reach(path, seen):
    """path and every file under src/ that it includes, directly or not."""
    if path in seen or not path.is_file():
        return seen
    seen.add(path)
    for name in INCLUDE.findall(path.read_bytes()):
        reach(ROOT / "src" / name.decode(), seen)
    return seen


@functools.cache
def version():
    return subprocess.check_output(["clang-tidy", "--version"])


def content_name(entry):
    digest = hashlib.sha256((ROOT / ".clang-tidy").read_bytes())
    digest.update(version())
    digest.update(re.sub(r"\S*/build/\S*|-o \S+", "", entry["command"]).replace(str(ROOT), "").encode())
    for path in sorted(reach(pathlib.Path(entry["file"]), set())):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def tidy(build, entry, clean):
    mark = clean / content_name(entry)
    if mark.exists():
        mark.touch()
        return entry["file"], "", 0.0
    start = time.monotonic()
    done = subprocess.run(["clang-tidy", "--quiet", "-p", str(build), entry["file"]], capture_output=True, text=True)
    if done.returncode == 0:
        mark.touch()
        return entry["file"], "", time.monotonic() - start
    return entry["file"], done.stdout or done.stderr, time.monotonic() - start


def main():
    build, jobs = pathlib.Path(sys.argv[1]), int(sys.argv[2])
    clean = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "weir" / "tidy"
    clean.mkdir(parents=True, exist_ok=True)
    for mark in clean.iterdir():
        if time.time() - mark.stat().st_mtime > KEPT_SECONDS:
            mark.unlink(missing_ok=True)
    entries = [e for e in json.loads((build / "compile_commands.json").read_text())
               if e["file"].startswith(f"{ROOT}/src/") and not e["file"].endswith("_test.cc")]
    problems, slowest = 0, []
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for name, output, seconds in pool.map(lambda e: tidy(build, e, clean), entries):
            slowest.append((seconds, name))
            if output:
                problems += 1
                print(output.strip())
    slowest.sort(reverse=True)
    for seconds, name in slowest[:3]:
        if seconds > 20:
            print(f"tidy: {seconds:.0f} s for {pathlib.Path(name).relative_to(ROOT)}")
    print(f"tidy: {len(entries)} files, {problems} with findings")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
