#!/usr/bin/env python3
"""Fails on an arrow between layers that the build files do not declare or that the architecture forbids.

Each folder of src/ is a layer. It declares the layers it uses in its CMakeLists.txt, `weir_layer(NAME LINKS ...)`, may
only name layers that stand above it in ORDER, and may include headers of itself and of those layers only. A header that
says "Internal to LAYER/" before its `#pragma once` is private to that layer, and so are the kernels' folders: one per
instruction set, and generic/. No two headers define a type of the same name in the same namespace: no file includes both,
so no compiler would say it, and the linker keeps one of the two (the one definition rule).

usage: script/check_layers.py [ROOT]
"""

import pathlib
import re
import sys

# Top to bottom; docs/ARCHITECTURE.md says what each owns.
ORDER = ("base os gguf quant kernels text plot checkpoint model kv engine telemetry config http api access server gateway ops bench mcp cli").split()
PRIVATE = {"generic", "scalar", "avx2", "avx512", "neon"}
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"')
NAMESPACE = re.compile(r"^namespace ([\w:]+) \{")
TYPE = re.compile(r"^(?:struct|class|enum class|union) (\w+)\b[^;]*\{")
LAYER = re.compile(r"^\s*weir_layer\(\s*(\w+)\s*([^)]*)\)", re.MULTILINE)


def declared_links(text):
    """(layer name, layers in LINKS) of the text of a CMakeLists.txt, or None."""
    match = LAYER.search(re.sub(r"#.*", "", text))
    if not match:
        return None
    links, keyword = [], None
    for word in match.group(2).split():
        if word in ("LINKS", "LIBS"):
            keyword = word
        elif keyword == "LINKS":
            links.append(word)
    return match.group(1), links


def check_declaration(folder, links):
    problems = []
    for link in links:
        if link not in ORDER:
            problems.append(f"src/{folder}/CMakeLists.txt: links '{link}', which is no layer")
        elif ORDER.index(link) >= ORDER.index(folder):
            problems.append(f"src/{folder}/CMakeLists.txt: links '{link}', which does not stand above '{folder}'")
    return problems


def is_private(src, target):
    parts = target.split("/")
    if PRIVATE.intersection(parts[1:-1]):
        return True
    opening = (src / target).read_text(errors="replace").split("#pragma once")[0]
    return f"Internal to {parts[0]}/" in re.sub(r"\s*\n//\s*", " ", opening)


def check_file(src, path, folder, links):
    problems = []
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        target = match.group(1)
        where = f"{path.relative_to(src.parent)}:{number}"
        parts = target.split("/")
        if not (src / target).is_file():
            problems.append(f"{where}: \"{target}\" is no file under src/ (includes are rooted there)")
        elif parts[0] != folder and parts[0] not in links:
            problems.append(f"{where}: layer '{folder}' includes \"{target}\", but its LINKS do not name '{parts[0]}'")
        elif parts[0] != folder and is_private(src, target):
            problems.append(f"{where}: \"{target}\" is private to layer '{parts[0]}'")
    return problems


def check_types(src):
    """Types that two headers define in one namespace."""
    problems, seen = [], {}
    for path in sorted(src.rglob("*.h")):
        namespace = ""
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            if opened := NAMESPACE.match(line):
                namespace = opened.group(1)
            elif defined := TYPE.match(line):
                where = f"{path.relative_to(src.parent)}:{number}"
                first = seen.setdefault((namespace, defined.group(1)), where)
                if first != where:
                    problems.append(f"{where}: '{defined.group(1)}' of {namespace} is also defined in {first}; rename one")
    return problems


def check(root):
    """Every problem found under root, one line each."""
    src = pathlib.Path(root) / "src"
    problems = check_types(src)
    for folder in sorted(p for p in src.iterdir() if p.is_dir()):
        files = sorted(p for p in folder.rglob("*") if p.suffix in (".cc", ".h", ".inc"))
        build_file = folder / "CMakeLists.txt"
        if not files and not build_file.exists():
            continue
        if folder.name not in ORDER:
            problems.append(f"src/{folder.name}: no layer of that name in ORDER of script/check_layers.py")
            continue
        declared = declared_links(build_file.read_text()) if build_file.exists() else None
        if declared is None or declared[0] != folder.name:
            problems.append(f"src/{folder.name}/CMakeLists.txt: has no weir_layer({folder.name} ...)")
            continue
        problems += check_declaration(folder.name, declared[1])
        for path in files:
            problems += check_file(src, path, folder.name, declared[1])
    return problems


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parent.parent
    problems = check(root)
    for problem in problems:
        print(problem)
    print(f"layers: {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
