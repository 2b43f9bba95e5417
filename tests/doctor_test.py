"""`weir doctor` on snapshots and on this machine, and `weir intake --host`: exit codes, JSON, scripts, captures."""

import json
import pathlib
import subprocess
import tempfile
import unittest

import weir_process as weir

weir.skip_unless(weir.WEIR)
OK, NO, USAGE, BAD_INPUT = 0, 1, 2, 3
SNAPSHOTS = weir.ROOT / "tests" / "data" / "doctor"
# A shape of config.json whose weights take some 140 GB.
LARGE = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 8192, "intermediate_size": 28672, "num_hidden_layers": 80,
         "num_attention_heads": 64, "num_key_value_heads": 8, "vocab_size": 128256, "max_position_embeddings": 131072, "torch_dtype": "bfloat16",
         "tie_word_embeddings": False}


def doctor(*arguments):
    code, out, err = weir.run("doctor", *arguments)
    return code, out, err


def checks(*arguments):
    code, out, err = doctor("--json", *arguments)
    return code, {c["id"]: c for c in json.loads(out)["checks"]}


class Doctor(unittest.TestCase):
    def test_exit_codes(self):
        self.assertEqual(doctor("--root", SNAPSHOTS / "epyc-2socket")[0], OK)
        self.assertEqual(doctor("--root", SNAPSHOTS / "l40s-pcie")[0], OK, "hints only")
        self.assertEqual(doctor("--root", SNAPSHOTS / "laptop")[0], NO)
        self.assertEqual(doctor("--root", "/no/such/folder")[0], BAD_INPUT)
        with tempfile.TemporaryDirectory() as empty:
            code, _, err = doctor("--root", empty)
        self.assertEqual(code, BAD_INPUT)
        self.assertIn("is no snapshot", err)
        self.assertEqual(doctor("--root", SNAPSHOTS / "laptop", "--bench")[0], USAGE)
        self.assertEqual(doctor("--json", "--script")[0], USAGE)

    def test_model(self):
        with tempfile.TemporaryDirectory() as folder:
            config = pathlib.Path(folder) / "config.json"
            config.write_text(json.dumps(LARGE))
            code, found = checks("--root", SNAPSHOTS / "l40s-pcie", "--model", config, "--ctx", 8192)
            self.assertEqual((code, found["gpu-memory-model"]["status"]), (OK, "fine"), "184 GiB hold 131 GiB")
            code, found = checks("--root", SNAPSHOTS / "laptop", "--model", config, "--ctx", 8192)
            self.assertEqual((code, found["memory-model"]["status"]), (NO, "fix"))
            self.assertIn("131.", found["memory-model"]["found"])

    def test_script(self):
        code, out, _ = doctor("--root", SNAPSHOTS / "kubernetes-h100", "--script")
        self.assertEqual(code, NO)
        self.assertIn("modprobe nvidia-peermem", out)
        self.assertIn("modprobe -r nvidia-peermem", out)
        subprocess.run(["sh", "-n"], input=out.encode(), check=True)
        self.assertEqual(subprocess.run(["sh", "-s"], input=out.encode(), capture_output=True).returncode, 2, "without argument nothing is done")

    def test_this_machine_and_its_capture(self):
        with tempfile.TemporaryDirectory() as folder:
            snapshot = pathlib.Path(folder) / "snapshot"
            code, out, err = doctor("--json", "--capture", snapshot)
            self.assertIn(code, (OK, NO), err)
            here = json.loads(out)
            again_code, out, _ = doctor("--json", "--root", snapshot)
            again = json.loads(out)
            self.assertEqual(again_code, code)
            self.assertEqual([c["id"] for c in again["checks"]], [c["id"] for c in here["checks"]])
            self.assertEqual(doctor("--capture", snapshot)[0], BAD_INPUT, "the folder is there")

    def test_intake(self):
        with tempfile.TemporaryDirectory() as folder:
            weir.run("init", folder)
            code, out, err = weir.run("intake", "--project", folder, "--host-root", SNAPSHOTS / "kubernetes-h100", "--json")
            self.assertEqual(code, OK, err)
            fields = {f["field"]: f for f in json.loads(out)["fields"]}
            self.assertEqual(fields["hardware.accelerator"]["value"], "nvidia-h100-sxm")
            self.assertEqual(fields["hardware.accelerator"]["origin"], "measured")
            self.assertEqual(fields["hardware.accelerators_per_node"]["value"], 8)
            code, _, err = weir.run("intake", "--project", folder, "--host")
            self.assertEqual(code, OK, err)
            self.assertEqual(weir.run("intake", "--project", folder, "--bench")[0], USAGE)
            self.assertEqual(weir.run("intake", "--project", folder, "--host", "--bench")[0], USAGE, "without a model's file")


if __name__ == "__main__":
    unittest.main()
