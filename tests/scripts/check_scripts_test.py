"""The checks of layers, sizes and names find what they are for, and leave a correct tree alone."""

import importlib.util
import pathlib
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def load(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "script" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


layers = load("check_layers")
sizes = load("check_sizes")
names = load("check_names")


class Layers(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.put("base/CMakeLists.txt", "weir_layer(base LIBS fmt::fmt)")
        self.put("base/a.h", "")
        self.put("os/CMakeLists.txt", "weir_layer(os LINKS base)")
        self.put("os/o.h", '#include "base/a.h"\n#include <vector>\n')
        self.put("quant/CMakeLists.txt", "weir_layer(quant LINKS base\n  # a comment with os in it\n  LIBS os)")
        self.put("quant/q.cc", '#include "base/a.h"\n')

    def put(self, name, text):
        path = pathlib.Path(self.folder.name) / "src" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def problems(self):
        return layers.check(self.folder.name)

    def test_correct_tree(self):
        self.assertEqual(self.problems(), [])

    def test_undeclared_arrow(self):
        self.put("quant/q.cc", '#include "os/o.h"\n')
        self.assertEqual(len(self.problems()), 1)
        self.assertIn("src/quant/q.cc:1", self.problems()[0])

    def test_arrow_up_in_a_nested_folder_and_a_test(self):
        self.put("base/deep/x_test.cc", '\n#  include "os/o.h"\n')
        self.assertIn("src/base/deep/x_test.cc:2", self.problems()[0])

    def test_links_that_go_down_the_list(self):
        self.put("base/CMakeLists.txt", "weir_layer(base LINKS os)")
        self.assertIn("does not stand above", self.problems()[0])

    def test_links_itself_or_nothing_known(self):
        self.put("os/CMakeLists.txt", "weir_layer(os LINKS base os)")
        self.assertEqual(len(self.problems()), 1)
        self.put("os/CMakeLists.txt", "weir_layer(os LINKS base oss)")
        self.assertIn("no layer", self.problems()[0])

    def test_private_header(self):
        self.put("quant/CMakeLists.txt", "weir_layer(quant LINKS base os)")
        for name, text in (("os/secret.h", "// How it works.\n// Internal to\n// os/.\n#pragma once\n"), ("os/avx2/vector.h", "")):
            self.put(name, text)
            self.put("os/own.cc", f'#include "{name}"\n')
            self.put("quant/q.cc", '#include "base/a.h"\n')
            self.assertEqual(self.problems(), [])
            self.put("quant/q.cc", f'#include "{name}"\n')
            self.assertIn("private", self.problems()[0])

    def test_two_types_of_one_name(self):
        self.put("base/a.h", "namespace weir {\nstruct Thing {\n};\nstruct Other;\n}\n")
        self.put("os/o.h", "namespace weir::os {\nstruct Thing {\n};\n}\n")
        self.assertEqual(self.problems(), [])
        self.put("os/deep/p.h", "namespace weir::os {\nclass Thing final : Base {\n};\n}\n")
        self.assertEqual(len(self.problems()), 1)
        self.assertIn("rename one", self.problems()[0])

    def test_include_that_is_not_rooted_at_src(self):
        self.put("quant/q.cc", '#include "q.h"\n')
        self.assertIn("no file under src/", self.problems()[0])

    def test_folder_without_declaration(self):
        self.put("text/t.cc", "")
        self.assertIn("has no weir_layer(text", self.problems()[0])

    def test_unknown_folder(self):
        self.put("stuff/t.cc", "")
        self.assertIn("no layer of that name", self.problems()[0])


class Sizes(unittest.TestCase):
    def check(self, text, name="src/a/x.cc"):
        return sizes.check_text(name, text)

    def test_small_file(self):
        self.assertEqual(self.check("int f() {\n  return 1;\n}\n"), ([], []))

    def test_long_file_needs_a_reason(self):
        self.assertEqual(len(self.check("//\n" * 601)[0]), 1)
        self.assertEqual(self.check("//\n" * 600)[0], [])
        self.assertEqual(self.check("// Over 600 lines: a table of formats.\n" + "//\n" * 601)[0], [])
        self.assertEqual(len(self.check("//\n" * 700 + "// over 600 lines, said too late\n")[0]), 1)

    def test_no_reason_helps_at_a_thousand(self):
        self.assertEqual(self.check("// over 600 lines: x\n" + "//\n" * 998)[0], [])
        self.assertEqual(len(self.check("// over 600 lines: x\n" + "//\n" * 999)[0]), 1)

    def function(self, body_lines, head="Result<int> f(int a,\n             int b) {\n"):
        return head + "  a += b;\n" * body_lines + "}\n\nint g() {\n  return 2;\n}\n"

    def test_functions(self):
        self.assertEqual(self.check(self.function(50)), ([], []))
        self.assertEqual([len(x) for x in self.check(self.function(70))], [0, 1])
        self.assertEqual([len(x) for x in self.check(self.function(120))], [1, 0])

    def test_member_function(self):
        text = "class A {\n public:\n  int f() {\n" + "    x();\n" * 110 + "  }\n};\n"
        self.assertEqual([len(x) for x in self.check(text)], [1, 0])

    def test_function_after_a_test(self):
        test = "TEST(A, B) {\n  const auto f = [](int a) {\n    return a;\n  };\n" + "  x(1);\n" * 150 + "}\n"
        self.assertEqual(self.check(test), ([], []))
        self.assertEqual([len(x) for x in self.check(test + self.function(120))], [1, 0])

    def test_what_is_no_function(self):
        self.assertEqual(self.check("namespace a {\n" + "int x;\n" * 150 + "}\n"), ([], []))
        self.assertEqual(self.check("const Row kRows[] = {\n" + '  {"a", f(1)},\n' * 150 + "};\n"), ([], []))
        self.assertEqual(self.check("struct A {\n" + "  int x;\n" * 150 + "};\n"), ([], []))


class Names(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.root = pathlib.Path(holder.name)
        for name, text in (("src/a/b_test.cc", "TEST(Suite, Holds) {\n"), ("src/a/b.h", ""),
                           ("tests/x_test.py", "class First:\n    def test_a(self):\n        pass\n\n\nclass Second:\n    async def test_b(self):\n")):
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def check(self, text):
        (self.root / "page.md").write_text(text)
        return names.check(self.root, "page.md")

    def test_what_is_there(self):
        text = "`src/a/b.h`, `Suite.Holds`, `x_test.First.test_a`, `x_test.Second.test_b`, `gateway.yaml`, `weir serve`, `/admin/fleet`"
        self.assertEqual(self.check(text), ([], 4))

    def test_what_is_not(self):
        for wrong in ("src/a/c.h", "Suite.Hold", "Other.Holds", "x_test.First.test_b", "y_test.First.test_a", "x_test.Third.test_a"):
            self.assertEqual(self.check(f"fine\n`{wrong}`")[0], [f"page.md:2: there is no {wrong}; it was renamed, or is still to be written"])

    def test_the_page_on_security(self):
        problems, named = names.check(ROOT, "docs/security.md")
        self.assertEqual(problems, [])
        self.assertGreater(named, 100)


if __name__ == "__main__":
    unittest.main()
