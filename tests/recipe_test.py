"""weir recipe: every recipe holds only names that its tool takes, by the tool's own parser where the package is installed, else by
the snapshot tests/golden/recipe_fields.json; the programs are Python; what does not go together is refused."""

import ast
import json
import pathlib
import tempfile
import unittest

import weir_process as weir

weir.skip_unless(weir.WEIR)
try:
    import yaml
except ImportError as missing:
    print(f"skipped: {missing} (script/bootstrap installs it)")
    raise SystemExit(weir.SKIP)

FIELDS = json.loads((weir.ROOT / "tests" / "golden" / "recipe_fields.json").read_text())
MODEL = 'org/A "model"'


def package(name):
    """The tool's package where it is installed in the snapshot's version, else None."""
    try:
        if name == "llm-compressor":
            import llmcompressor
            return llmcompressor if llmcompressor.__version__ == FIELDS[name]["version"] else None
        if name == "gptqmodel":
            import gptqmodel
            return gptqmodel if gptqmodel.__version__ == FIELDS[name]["version"] else None
        import modelopt.torch.quantization
        return modelopt.torch.quantization if modelopt.__version__ == FIELDS[name]["version"] else None
    except ImportError:
        return None


def recipe(tool, *arguments):
    code, out, err = weir.run("recipe", tool, "--model", MODEL, "--json", *arguments)
    assert code == 0, err
    return json.loads(out)


def calls(script):
    """{last part of the called name: [keyword names]} of a program."""
    found = {}
    for node in ast.walk(ast.parse(script)):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            found.setdefault(name, []).append({k.arg: k.value for k in node.keywords})
    return found


class Recipes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        code, out, err = weir.run("recipe", "--list", "--json")
        assert code == 0, err
        cls.rows = json.loads(out)

    def each(self, tool):
        """Every row of a tool, with its group size and with another."""
        for row in (r for r in self.rows if r["tool"] == tool):
            text = ["--calibration", "text.txt"] if row["calibrates"] else []
            for more in [[], ["--group-size", 64]] if row["groups"] else [[]]:
                made = recipe(tool, "--scheme", row["scheme"], "--method", row["method"], *text, *more)
                self.assertIn(FIELDS[tool]["version"], made["keys_of"])
                self.assertEqual(made["keys_checked"], FIELDS["checked"])
                self.assertIn(f"MODEL = {json.dumps(MODEL)}\n", made["script"])
                yield row, made

    def test_llm_compressor(self):
        fields, llmcompressor = FIELDS["llm-compressor"], package("llm-compressor")
        for row, made in self.each("llm-compressor"):
            found = yaml.safe_load(made["recipe"])
            self.assertEqual(list(found), ["quant_stage"])
            self.assertEqual(list(found["quant_stage"]), ["quant_modifiers"])
            modifiers = found["quant_stage"]["quant_modifiers"]
            for name, values in modifiers.items():
                self.assertLessEqual(set(values), set(fields["modifiers"][name]))
                self.assertIn(values.get("scheme", row["name"]), fields["presets"])
                for group in values.get("config_groups", {}).values():
                    self.assertLessEqual(set(group), set(fields["QuantizationScheme"]))
                    for part in ("weights", "input_activations"):
                        self.assertLessEqual(set(group.get(part, {})), set(fields["QuantizationArgs"]))
            called = calls(made["script"])
            self.assertLessEqual(set(called["oneshot"][0]), set(fields["oneshot"]))
            self.assertEqual("dataset" in called["oneshot"][0], row["calibrates"])
            if llmcompressor:
                self.parse(made, modifiers, row)

    def parse(self, made, modifiers, row):
        """By the tool: names and values, which modifiers there are, whether they want a text, and the group size."""
        from llmcompressor.recipe import Recipe
        parsed = Recipe.create_instance(made["recipe"])
        self.assertEqual([type(m).__name__ for m in parsed.modifiers], list(modifiers))
        self.assertEqual(any(m.requires_calibration_data for m in parsed.modifiers), row["calibrates"])
        weights = parsed.modifiers[-1].resolved_config.config_groups["group_0"].weights
        if row["groups"]:
            self.assertEqual(weights.group_size, made["group_size"])

    def test_gptqmodel(self):
        fields, gptqmodel = FIELDS["gptqmodel"], package("gptqmodel")
        for row, made in self.each("gptqmodel"):
            self.assertIsNone(made["recipe"])
            called = calls(made["script"])
            taken = {k: ast.literal_eval(v) for k, v in called[row["name"]][0].items()}
            kind = "RTNConfig" if row["method"] == "rtn" else {"gptq": "GPTQConfig", "awq": "AWQConfig"}[row["method"]]
            self.assertLessEqual(set(taken), set(fields["classes"][kind]))
            self.assertIn(taken["method"], fields["methods"])
            self.assertIn(taken["format"], fields["formats"])
            self.assertEqual(taken["group_size"], made["group_size"])
            self.assertLessEqual(set(called["quantize"][0]), set(fields["quantize"]))
            if gptqmodel:
                import gptqmodel.quantization
                config = getattr(gptqmodel.quantization, row["name"])(**taken)
                self.assertEqual(type(config).__name__, kind)
                for name, value in taken.items():
                    self.assertEqual(getattr(config, name), value)

    def test_modelopt(self):
        fields, mtq = FIELDS["modelopt"], package("modelopt")
        for row, made in self.each("modelopt"):
            self.assertIn(row["name"], fields["configs"])
            self.assertIn(f"copy.deepcopy(mtq.{row['name']})", made["script"])
            called = calls(made["script"])
            self.assertLessEqual(set(called["export_hf_checkpoint"][0]), set(fields["export_hf_checkpoint"]))
            if row["groups"]:
                self.assertIn(row["name"], fields["weights_in_blocks"])
            if mtq:
                from modelopt.torch.quantization.config import need_calibration
                config = getattr(mtq, row["name"])
                self.assertEqual(config["algorithm"] is not None and need_calibration(config), row["calibrates"], row)

    def test_calibration_by_lines(self):
        script = recipe("gptqmodel", "--scheme", "W4A16", "--calibration", "a.jsonl", "--samples", 7, "--sequence", 9)["script"]
        ast.parse(script)
        self.assertIn("SAMPLES = 7\nSEQUENCE = 9", script)
        self.assertIn("json.loads(line)", script)

    def test_files(self):
        with tempfile.TemporaryDirectory() as holder:
            target = pathlib.Path(holder) / "w8a8.yaml"
            code, out, err = weir.run("recipe", "llm-compressor", "--model", MODEL, "--scheme", "W8A8", "--calibration", "t", "-o", target)
            self.assertEqual(code, 0, err)
            self.assertIn("w8a8.py", out)
            self.assertIn("GPTQModifier", target.read_text())
            ast.parse(target.with_suffix(".py").read_text())
            code, _, err = weir.run("recipe", "llm-compressor", "--model", MODEL, "--scheme", "FP8_DYNAMIC", "-o", target.with_suffix(".py"))
            self.assertEqual(code, 2)
            self.assertIn("name the recipe .yaml", err)

    def test_refusals(self):
        for arguments, words in [(["llm-compressor", "--scheme", "W8A8", "--method", "awq", "--calibration", "t"], "smoothquant"),
                                 (["gptqmodel", "--scheme", "NVFP4"], "llm-compressor, modelopt"),
                                 (["gptqmodel", "--scheme", "W4A16"], "--calibration is missing")]:
            code, out, err = weir.run("recipe", *arguments, "--model", MODEL)
            self.assertEqual((code, out), (2, ""))
            self.assertIn(words, err)
        self.assertEqual(weir.run("recipe", "gptqmodel", "--scheme", "W4A16")[0], 2)


if __name__ == "__main__":
    unittest.main()
