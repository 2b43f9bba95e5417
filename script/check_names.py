#!/usr/bin/env python3
"""Holds a page to the files and tests that it names: what stands in `backquotes` and looks like one must exist.

  `src/a/b.h`                      a file of the repository: it has a slash and an ending
  `Suite.Name`                     a unit test: TEST, TEST_F or TEST_P in a file of src/
  `name_test.Class.test_of_it`     a client test: that method of that class in tests/name_test.py

usage: script/check_names.py [PAGE...]    (docs/security.md)
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
UNIT = re.compile(r"^(?:TYPED_)?TEST(?:_F|_P)?\(\s*(\w+),\s*(\w+)", re.M)
CODE = re.compile(r"`([^`\n]+)`")


def unit_tests(root):
    found = set()
    for path in (root / "src").rglob("*_test.cc"):
        found.update(f"{suite}.{name}" for suite, name in UNIT.findall(path.read_text(errors="replace")))
    return found


def has_client_test(root, file, suite, name):
    path = root / "tests" / f"{file}.py"
    if not path.is_file():
        return False
    for body in re.split(r"^(?=class )", path.read_text(), flags=re.M):
        if re.match(rf"class {suite}\b", body):
            return re.search(rf"^    (?:async )?def {name}\(", body, re.M) is not None
    return False


def check(root, page):
    """What the page names and is not there, as lines for people; and how much it names."""
    tests, problems, named = unit_tests(root), [], 0
    for number, line in enumerate((root / page).read_text().splitlines(), 1):
        for code in CODE.findall(line):
            if re.fullmatch(r"[\w.-]+(/[\w.-]+)+\.\w+", code):
                there = (root / code).is_file()
            elif match := re.fullmatch(r"(\w+_test)\.(\w+)\.(test_\w+)", code):
                there = has_client_test(root, *match.groups())
            elif re.fullmatch(r"[A-Z]\w+\.[A-Z]\w+", code):
                there = code in tests
            else:
                continue
            named += 1
            if not there:
                problems.append(f"{page}:{number}: there is no {code}; it was renamed, or is still to be written")
    return problems, named


def main():
    failures = 0
    for page in sys.argv[1:] or ["docs/security.md"]:
        problems, named = check(ROOT, page)
        failures += len(problems)
        for line in problems:
            print("error:", line)
        print(f"names: {page}: {named} named, {len(problems)} not there")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
