"""script/snapshot-engine on small made-up packages: what it says of each kind of option, that it runs nothing of theirs, and that the
files under data/engines hold together."""

import io
import pathlib
import subprocess
import sys
import tarfile
import tempfile
import textwrap
import unittest
import zipfile
from unittest import mock

from snapshot_case import RECIPES, ROOT, Sources, options, tree, yaml

import snapshot_engine
import snapshot_interpreter
from snapshot_interpreter import Interpreter
from snapshot_options import Parser, deprecation, option

TYPES = {"int", "float", "str", "bool", "choice", "list", "json"}


def arguments(text, function="build"):
    """{name: entry} of what a function of one module adds to a parser."""
    interpreter = Interpreter({"m.py": textwrap.dedent(text)}.get)
    parser = Parser(interpreter)
    interpreter.call(interpreter.member(interpreter.module("m"), function), [parser], {})
    return {e["name"]: e for e in parser.found}


class Argparse(unittest.TestCase):
    def test_types_defaults_and_choices(self):
        found = arguments("""
            import argparse, json, os
            from enum import Enum
            SIZES = [2 ** i for i in range(3)]
            class Color(Enum):
                RED = "red"
                BLUE = "blue"
            def positive(text: str) -> int:
                return int(text)
            def build(parser):
                group = parser.add_argument_group("engine")
                group.add_argument("-t", "--tp", type=int, default=-1, help="x")
                group.add_argument("--size", type=int, choices=SIZES, default=SIZES[1])
                group.add_argument("--color", choices=[c.value for c in Color], default=Color.BLUE.value)
                group.add_argument("--graph", action=argparse.BooleanOptionalAction, default=True)
                group.add_argument("--eager", action="store_true")
                group.add_argument("--no-warm", action="store_false")
                group.add_argument("--names", nargs="+", default=["a", "b"])
                group.add_argument("--header", action="append")
                group.add_argument("--extra", type=json.loads, default={})
                group.add_argument("--seqs", type=positive, required=True)
                group.add_argument("--ratio", type=float, default=os.environ.get("RATIO", 0.5))
                group.add_argument("--port", type=int, default=pick_port())
                parser.add_argument("model", help="no flag")
        """)
        self.assertEqual(found["--tp"], {"name": "--tp", "aliases": ["-t"], "type": "int", "default": -1, "group": "engine"})
        self.assertEqual((found["--size"]["type"], found["--size"]["choices"], found["--size"]["default"]), ("int", [1, 2, 4], 2))
        self.assertEqual((found["--color"]["type"], found["--color"]["choices"], found["--color"]["default"]), ("choice", ["red", "blue"], "blue"))
        self.assertEqual((found["--graph"]["negatable"], found["--graph"]["default"]), (True, True))
        self.assertEqual((found["--eager"]["default"], found["--no-warm"]["default"]), (False, True))
        self.assertNotIn("negatable", found["--eager"])
        self.assertEqual((found["--names"]["type"], found["--names"]["default"]), ("list", ["a", "b"]))
        self.assertTrue(found["--header"]["repeatable"])
        self.assertEqual((found["--extra"]["type"], found["--extra"]["default"]), ("json", {}))
        self.assertEqual((found["--seqs"]["type"], found["--seqs"]["required"]), ("int", True))
        self.assertEqual(found["--ratio"]["default"], 0.5)
        self.assertEqual((found["--port"]["default"], found["--port"]["default_note"]), (None, "set at run time"))
        self.assertNotIn("model", found)

    def test_loops_conditions_and_calls(self):
        found = arguments("""
            import sys
            def one(parser, name, *, default=None, **kwargs):
                parser.add_argument("--" + name.replace("_", "-"), default=default, **kwargs)
            def build(parser):
                for name, value in {"a_b": 1, "c": 2}.items():
                    one(parser, name, default=value, type=int)
                if False:
                    one(parser, "never")
                if sys.platform == "linux":
                    one(parser, "perhaps")
                    return parser
                one(parser, "after")
                kwargs = {"type": float, "choices": ["x", "y"]}
                kwargs["choices"].remove("x")
                one(parser, "rest", **{**kwargs, "default": "y"})
        """)
        self.assertEqual(sorted(found), ["--a-b", "--after", "--c", "--perhaps", "--rest"])
        self.assertEqual((found["--a-b"]["default"], found["--rest"]["choices"]), (1, ["y"]))

    def test_a_return_that_depends_on_the_machine(self):
        found = arguments("""
            import sys
            def pick():
                if sys.platform == "linux":
                    return 1
                return 2
            def build(parser):
                parser.add_argument("--a", type=int, default=pick())
        """)
        self.assertEqual((found["--a"]["default"], found["--a"]["default_note"]), (None, "set at run time"))

    def test_choices_that_are_not_known(self):
        found = arguments("""
            from other import NAMES
            def build(parser):
                parser.add_argument("--a", choices=list(NAMES))
                parser.add_argument("--b", choices=["x", NAMES[0]])
                parser.add_argument("--c", choices={"g", "f", "e", "d", "c", "b", "a"})
        """)
        self.assertEqual((found["--a"]["type"], found["--a"]["choices_note"]), ("choice", "set at run time"))
        self.assertEqual((found["--b"]["choices"], found["--b"]["choices_note"]), (["x"], "set at run time"))
        self.assertEqual(found["--c"]["choices"], list("abcdefg"))

    def test_nothing_is_run(self):
        mark = pathlib.Path(tempfile.gettempdir()) / "snapshot_engine_test.ran"
        mark.unlink(missing_ok=True)
        found = arguments(f"""
            open({str(mark)!r}, "w").write("ran")
            __import__("os").system("touch {mark}")
            def forever(n):
                return forever(n + 1)
            def build(parser):
                while True:
                    pass
                parser.add_argument("--a", default=forever(0))
                parser.add_argument("--b", default=eval("1"))
                parser.add_argument("--c", default="x" * 10 ** 12)
                parser.add_argument("--d", default=2 ** 10 ** 12)
        """)
        self.assertFalse(mark.exists())
        self.assertEqual([e["default"] for e in found.values()], [None, None, None, None])

    def test_work_has_an_end(self):
        with mock.patch.object(snapshot_interpreter, "MAX_STEPS", 20_000):
            found = arguments("""
                def double(n):
                    return double(n + 1) + double(n + 1)
                def build(parser):
                    parser.add_argument("--before", default=1)
                    parser.add_argument("--a", default=double(0))
            """)
        self.assertEqual(found["--before"]["default"], 1)


class Deprecation(unittest.TestCase):
    def test_words(self):
        self.assertEqual(deprecation("This option is deprecated and will be removed in v0.19. Use `--new-one` instead."),
                         "deprecated; to be removed in v0.19; use --new-one")
        self.assertEqual(deprecation("(Deprecated) Has no effect."), "deprecated; has no effect")
        self.assertEqual(deprecation("--old is deprecated."), "deprecated")

    def test_of_something_else(self):
        for text in ("Whether to allow deprecated quantization methods.", 'The "native" value is deprecated.', "Depth of the queue.",
                     "The fallback to that flag is deprecated."):
            self.assertIsNone(deprecation(text), text)


class Vllm(unittest.TestCase):
    FILES = {
        "vllm/__init__.py": "",
        "vllm/config.py": """
            from dataclasses import dataclass, field
            from typing import TYPE_CHECKING, Any, ClassVar, Literal
            from pydantic import Field
            if TYPE_CHECKING:
                Method = Literal["awq", "fp8"]
            else:
                Method = Any
            Policy = Literal["fcfs", "priority"]
            Wide = Literal[Policy, "lottery"]
            @dataclass
            class Graph:
                level: int = 3
                sizes: list[int] = field(default_factory=list)
            @dataclass
            class Base:
                SEQS: ClassVar[int] = 128
                max_num_seqs: int = Field(default=SEQS, ge=1)
                share: float = Field(default=0.9, gt=0, le=1)
                zero: int = Field(default=0, ge=0)
            @dataclass
            class Scheduler(Base):
                policy: Policy = "fcfs"
                wide: Wide | None = None
                method: Method | str | None = None
                chunked: bool | None = None
                \"\"\"Whether.\"\"\"
                old: "int | None" = None
                \"\"\"Deprecated: will be removed in v9.1. Use `--share`.\"\"\"
                names: list[str] = field(default_factory=lambda: ["x"])
                either: int | Literal["auto"] = "auto"
                graph: Graph = Field(default_factory=Graph)
                late: int = probe()
        """,
        "vllm/args.py": """
            import argparse, json
            from vllm.config import Scheduler
            def optional_type(of):
                def convert(text: str):
                    return of(text)
                return convert
            MESSAGE = (
                "--warned is deprecated and will be removed "
                "in v7.0. Use --share instead."
            )
            def get_kwargs(cls): raise NotImplementedError
            class EngineArgs:
                @staticmethod
                def add_cli_args(parser):
                    kw = get_kwargs(Scheduler)
                    group = parser.add_argument_group(title="Scheduler", description=Scheduler.__doc__)
                    group.add_argument("--max-num-seqs", **{**kw["max_num_seqs"], "default": None})
                    for name in ("share", "zero", "policy", "wide", "method", "chunked", "old", "names", "either", "graph", "late"):
                        group.add_argument("--" + name, **kw[name])
                    parser.add_argument("--warned", type=str)
                    parser.add_argument("--attribute", type=float, default=Scheduler.share)
                    parser.add_argument("--model", default="m")
                    parser.add_argument("--optimization-level", type=int, default=2)
                    parser.add_argument("--parsed", type=optional_type(json.loads), default=None)
                    return parser
        """,
        "vllm/entrypoints/common/cli_args.py": """
            from vllm.args import EngineArgs
            from vllm.frontend import Frontend
            def make_arg_parser(parser):
                parser = Frontend.add_cli_args(parser)
                return EngineArgs.add_cli_args(parser)
        """,
        "vllm/utils/argparse_utils.py": 'LONG = "--optimization-level"\nWARNING = "The `--model` option will be removed in v0."\n',
        "vllm/frontend.py": """
            from dataclasses import dataclass
            class First:
                @classmethod
                def custom(cls, kw):
                    kw["host"]["default"] = "::"
                    return kw
                @classmethod
                def add_cli_args(cls, parser):
                    from vllm.args import get_kwargs
                    group = parser.add_argument_group(title=cls.__name__.replace("end", ""))
                    for key, value in cls.custom(get_kwargs(cls)).items():
                        group.add_argument(f"--{key.replace('_', '-')}", **value)
                    return parser
            @dataclass
            class Frontend(First):
                host: str | None = None
                api_key: list[str] | None = None
                @classmethod
                def custom(cls, kw):
                    kw = super().custom(kw)
                    del kw["api_key"]["nargs"]
                    return kw
        """,
    }

    def test_fields(self):
        found, _ = options(self, "vllm", self.FILES)
        self.assertEqual(found["--max-num-seqs"], {"name": "--max-num-seqs", "type": "int", "default": None, "min": 1, "group": "Scheduler",
                                                   "default_note": "set at run time; the class says 128"})
        self.assertEqual([found["--share"].get(k) for k in ("type", "default", "above", "max")], ["float", 0.9, 0, 1])
        self.assertEqual(found["--zero"]["min"], 0)
        self.assertEqual((found["--policy"]["type"], found["--policy"]["choices"]), ("choice", ["fcfs", "priority"]))
        self.assertEqual(found["--wide"]["choices"], ["fcfs", "priority", "lottery"])
        self.assertEqual((found["--method"]["type"], found["--method"]["known_values"]), ("str", ["awq", "fp8"]))
        self.assertNotIn("choices", found["--method"])
        self.assertEqual((found["--chunked"]["type"], found["--chunked"]["negatable"], found["--chunked"]["default"]), ("bool", True, None))
        self.assertEqual((found["--old"]["type"], found["--old"]["deprecated"]), ("int", "deprecated; to be removed in v9.1; use --share"))
        self.assertEqual((found["--names"]["type"], found["--names"]["default"]), ("list", ["x"]))
        self.assertEqual((found["--either"]["default"], found["--either"]["known_values"]), ("auto", ["auto"]))
        self.assertEqual((found["--graph"]["type"], found["--graph"]["json_keys"], found["--graph"]["default_note"]),
                         ("json", ["level", "sizes"], "the defaults of Graph"))
        self.assertEqual((found["--late"]["default"], found["--late"]["default_note"]), (None, "set at run time"))
        self.assertEqual(found["--optimization-level"]["aliases"], ["-O"])
        self.assertIn("first argument", found["--model"]["deprecated"])
        self.assertEqual((found["--attribute"]["default"], found["--parsed"]["type"]), (0.9, "json"))
        self.assertEqual(found["--warned"]["deprecated"], "deprecated; to be removed in v7.0; use --share")

    def test_classes_that_register_themselves(self):
        found, _ = options(self, "vllm", self.FILES)
        self.assertEqual((found["--host"]["default"], found["--host"]["group"]), ("::", "Front"))
        self.assertIn("--api-key", found)

    def test_another_package(self):
        with self.assertRaisesRegex(ValueError, "cli_args"):
            options(self, "vllm", {"vllm/__init__.py": ""})


class Files(unittest.TestCase):
    METADATA = "Metadata-Version: 2.1\nName: vllm\nVersion: 9.8.7\n"

    def package(self, kind):
        folder = tree(self, {})
        if kind == "wheel":
            path = folder / "vllm-9.8.7-py3-none-any.whl"
            with zipfile.ZipFile(path, "w") as archive:
                for name, text in {**Vllm.FILES, "vllm-9.8.7.dist-info/METADATA": self.METADATA}.items():
                    archive.writestr(zipfile.ZipInfo(name, (2026, 3, 4, 0, 0, 0)), textwrap.dedent(text))
            return path
        path = folder / "vllm-9.8.7.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            for name, text in {**Vllm.FILES, "PKG-INFO": self.METADATA}.items():
                data = textwrap.dedent(text).encode()
                member = tarfile.TarInfo(f"vllm-9.8.7/{name}")
                member.size, member.mtime = len(data), 1772582400
                archive.addfile(member, io.BytesIO(data))
        return path

    def test_archives(self):
        texts = []
        for kind in ("wheel", "sdist"):
            name, text = snapshot_engine.snapshot("vllm", Sources(self.package(kind)), today="2026-05-06")
            self.assertEqual(name, "vllm-9.8.7.yaml")
            self.assertIn("\nreleased: 2026-03-04\nsnapshot: 2026-05-06\n", text)
            self.assertIn("\nfiles: [vllm/__init__.py, " if "vllm/__init__.py," in text else "\nfiles: [vllm/args.py, ", text)
            self.assertNotIn("METADATA", text)
            texts.append(text)
        self.assertEqual(*texts)

    def test_same_file_every_time(self):
        package = self.package("wheel")
        runs = {subprocess.run([sys.executable, ROOT / "script" / "snapshot_engine.py", "vllm", package, "--print", "--snapshot", "2026-01-01"],
                               capture_output=True, check=True, env={"PYTHONHASHSEED": seed}).stdout for seed in ("1", "2", "3")}
        self.assertEqual(len(runs), 1)

    def test_no_version_and_no_package(self):
        with self.assertRaisesRegex(ValueError, "--version"):
            snapshot_engine.snapshot("vllm", Sources(tree(self, Vllm.FILES)))
        file = tree(self, {"x.txt": "x"}) / "x.txt"
        with self.assertRaisesRegex(ValueError, "neither a folder"):
            Sources(file)

    @unittest.skipUnless(yaml, "PyYAML is not there")
    def test_what_is_written_is_read_back(self):
        values = ["on", "off", "null", "yes", "~", "", "a b", "-1", "0.0.0.0", "1e5", "x: y", "#", "a, b", "[x]", "'", '"', "--flag", "é", None,
                  True, 0, -1, 0.5, 1e-9, ["a", "no"], {"a": [1, {}]}, "2026-01-02", "key", "/tmp/x", "<a>", "\n", "{b}"]
        entries = [option(f"--x{i}", (), v) for i, v in enumerate(values)]
        loaded = yaml.safe_load(snapshot_engine.text_of({"engine": "e", "version": "1.10"}, entries))
        self.assertEqual([e["default"] for e in loaded["flags"]], values)
        self.assertEqual(loaded["version"], "1.10")

    @unittest.skipUnless(yaml, "PyYAML is not there")
    def test_snapshots_hold_together(self):
        files = sorted(f for f in (ROOT / "data" / "engines").glob("*.yaml") if f.name != "renames.yaml")
        self.assertGreater(len(files), 8)
        for file in files:
            with self.subTest(file.name):
                data = yaml.safe_load(file.read_text())
                self.assertEqual(file.name, f"{data['engine']}-{data['version']}.yaml")
                self.assertIn(data["engine"], RECIPES)
                entries = data.get("flags", []) + data.get("keys", [])
                self.assertGreater(len(entries), 40)
                self.assertEqual(len({(e["name"], e.get("group")) for e in entries}), len(entries))
                for e in entries:
                    self.assertIn(e["type"], TYPES, e)
                    self.assertIn("default", e)
                    for choice in [] if e["default"] is None or isinstance(e["default"], list) else e.get("choices", []) and [e["default"]]:
                        self.assertIn(choice, e["choices"], e)
                    for name in [e["name"], *e.get("aliases", [])] if e in data.get("flags", []) else []:
                        self.assertRegex(name, r"^--?[A-Za-z][\w.-]*$")


if __name__ == "__main__":
    unittest.main()
