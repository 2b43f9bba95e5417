#!/usr/bin/env python3
"""Holds files and functions to the size that can be read in one go.

A file of 1,000 lines or more fails. One over 600 lines fails unless a comment in its first 12 lines says why, with the
words "over 600 lines". A C++ function over 100 lines fails; one over 60 is listed. Functions are found by their shape
after clang-format: a line that opens a body and the line with the same indent that closes it.

usage: script/check_sizes.py [ROOT]
"""

import pathlib
import re
import subprocess
import sys

FILE_LIMIT, FILE_REASON, FUNCTION_LIMIT, FUNCTION_WARN = 1000, 600, 100, 60
REASON = re.compile(r"(//|#|\*|\"\"\").*over 600 lines", re.IGNORECASE)
NOT_A_FUNCTION = re.compile(r"^\s*(namespace|class|struct|enum|union|extern)\b|=\s*\{$")
TEST = re.compile(r"(TYPED_)?TEST(_F|_P)?\(|INSTANTIATE_")
HEAD = re.compile(r"^( {0,2})[\w~\[:*&].*\(.*$")


def sources(root):
    out = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=root, check=True, capture_output=True, text=True)
    for name in sorted(set(out.stdout.splitlines())):
        path = pathlib.Path(root) / name
        if path.is_file() and (path.suffix in (".cc", ".h", ".inc", ".py", ".sh", ".cmake") or name.startswith("script/")):
            yield path


def functions(lines):
    """(first line number, name, length) of each function body in clang-formatted C++."""
    number = 0
    while number < len(lines):
        head = HEAD.match(lines[number])
        number += 1
        if not head:
            continue
        if TEST.match(head.group(0)):  # a test is as long as its story; what it defines inside is skipped with it
            number = next((i + 1 for i in range(number, len(lines)) if lines[i].startswith("}")), number)
            continue
        if NOT_A_FUNCTION.search(head.group(0)):
            continue
        start = opens = number - 1
        while opens < len(lines) - 1 and opens < start + 12 and not lines[opens].endswith(("{", ";", "}")):
            opens += 1
        if not lines[opens].endswith("{") or NOT_A_FUNCTION.search(lines[opens]):
            continue
        closing = re.compile(r"\}|" + head.group(1) + r"\}$")
        end = next((i for i in range(opens + 1, len(lines)) if closing.match(lines[i])), None)
        if end is not None and lines[end] == head.group(1) + "}":
            yield start + 1, lines[start].strip()[:70], end - start + 1
            number = end + 1


def check_text(name, text):
    """(failures, remarks) for one file."""
    lines = text.splitlines()
    failures, remarks = [], []
    if len(lines) >= FILE_LIMIT:
        failures.append(f"{name}: {len(lines)} lines; the limit is {FILE_LIMIT - 1}")
    elif len(lines) > FILE_REASON and not any(REASON.search(line) for line in lines[:12]):
        failures.append(f'{name}: {len(lines)} lines; split it, or say in its first 12 lines why it is "over 600 lines"')
    if name.endswith((".cc", ".h", ".inc")):
        for line, head, length in functions(lines):
            if length > FUNCTION_LIMIT:
                failures.append(f"{name}:{line}: function of {length} lines, the limit is {FUNCTION_LIMIT}: {head}")
            elif length > FUNCTION_WARN:
                remarks.append(f"{name}:{line}: function of {length} lines: {head}")
    return failures, remarks


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parent.parent)
    failures, remarks = [], []
    for path in sources(root):
        found = check_text(str(path.relative_to(root)), path.read_text(errors="replace"))
        failures += found[0]
        remarks += found[1]
    for line in remarks:
        print("remark:", line)
    for line in failures:
        print("error:", line)
    print(f"sizes: {len(failures)} problems, {len(remarks)} remarks")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
