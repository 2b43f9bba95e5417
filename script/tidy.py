#!/usr/bin/env python3
"""Runs clang-tidy over src/ in parallel and skips files whose contents were clean before.

A file is named by the hash of what can change the verdict: .clang-tidy and the program's version, its compile command, its own text and the text
of every header of ours that it includes, directly or not. The names of clean files are kept for a month in the user's
cache folder, so that they serve every checkout, as the compiler's cache does.

With MINUTES the files that changed last come first, none is begun after that many minutes, and how many were left is said: where no verdict
is kept yet (a new machine) they take hours, and the next runs go on where this one stopped.

usage: script/tidy.py BUILD_FOLDER JOBS [MINUTES]
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


def changed_last():
    """When each file was last committed, in seconds; of those that differ from it, now."""
    when, at = {}, 0
    log = subprocess.run(["git", "-C", str(ROOT), "log", "--format=%ct", "--name-only", "--", "src"], capture_output=True, text=True).stdout
    for line in log.splitlines():
        if line.isdigit():
            at = int(line)
        elif line:
            when.setdefault(line, at)
    for line in subprocess.run(["git", "-C", str(ROOT), "status", "--porcelain", "--", "src"], capture_output=True, text=True).stdout.splitlines():
        when[line[3:]] = time.time()
    return when


def tidy(build, entry, clean, until):
    """The file, what was found, and the seconds it took: none where it was not looked at."""
    mark = clean / content_name(entry)
    if mark.exists():
        mark.touch()
        return entry["file"], "", 0.0
    start = time.monotonic()
    if start > until:
        return entry["file"], "", None
    done = subprocess.run(["clang-tidy", "--quiet", "-p", str(build), entry["file"]], capture_output=True, text=True)
    if done.returncode == 0:
        mark.touch()
        return entry["file"], "", time.monotonic() - start
    return entry["file"], done.stdout or done.stderr, time.monotonic() - start


def main():
    build, jobs = pathlib.Path(sys.argv[1]), int(sys.argv[2])
    until = time.monotonic() + float(sys.argv[3]) * 60 if len(sys.argv) > 3 else float("inf")
    clean = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "weir" / "tidy"
    clean.mkdir(parents=True, exist_ok=True)
    for mark in clean.iterdir():
        if time.time() - mark.stat().st_mtime > KEPT_SECONDS:
            mark.unlink(missing_ok=True)
    entries = [e for e in json.loads((build / "compile_commands.json").read_text())
               if e["file"].startswith(f"{ROOT}/src/") and not e["file"].endswith("_test.cc")]
    when = changed_last()
    entries.sort(key=lambda e: -when.get(str(pathlib.Path(e["file"]).relative_to(ROOT)), 0))
    problems, left, slowest = 0, 0, []
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for name, output, seconds in pool.map(lambda e: tidy(build, e, clean, until), entries):
            if seconds is None:
                left += 1
                continue
            slowest.append((seconds, name))
            if output:
                problems += 1
                print(output.strip())
    slowest.sort(reverse=True)
    for seconds, name in slowest[:3]:
        if seconds > 20:
            print(f"tidy: {seconds:.0f} s for {pathlib.Path(name).relative_to(ROOT)}")
    print(f"tidy: {len(entries)} files, {problems} with findings")
    if left:
        print(f"tidy: {left} of them not looked at in {sys.argv[3]} minutes: the next run goes on with them")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
