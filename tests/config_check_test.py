"""weir config check, migrate and intake --config: ten configurations good and bad, in every form that is read."""

import json
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import weir_process as weir

weir.skip_unless(weir.WEIR)

POD = """apiVersion: apps/v1
kind: Deployment
metadata: {name: llm}
spec:
  replicas: 2
  template:
    metadata: {labels: {app: llm}}
    spec:
      terminationGracePeriodSeconds: 300
      topologySpreadConstraints: [{maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: ScheduleAnyway}]
      containers:
      - name: engine
        image: %s
        args: %s
        resources: {limits: {nvidia.com/gpu: 4, memory: 200Gi}}
        startupProbe: {httpGet: {path: /health, port: 8000}, failureThreshold: 60}
        readinessProbe: {httpGet: {path: /health, port: 8000}}
        livenessProbe: {httpGet: {path: /health, port: 8000}}
        volumeMounts: [{name: shm, mountPath: /dev/shm}]
      volumes: [{name: shm, emptyDir: {medium: Memory}}]
---
apiVersion: policy/v1
kind: PodDisruptionBudget
spec: {maxUnavailable: 1, selector: {matchLabels: {app: llm}}}
"""
GOOD_ARGS = '["--model", "meta-llama/Llama-3.1-70B", "--tensor-parallel-size", "4", "--max-model-len", "32768", "--max-num-queued-reqs", "64"]'

# name: (text, arguments, exit code, rules that must be found, rules that must not)
CONFIGS = {
    "good.yaml": (POD % ("vllm/vllm-openai:v0.33.0", GOOD_ARGS), ["--model", "llama-3.1-70b", "--accelerator", "nvidia-h100-sxm", "--count", "8"], 0,
                  [], ["shm-missing", "pdb-missing", "context-exceeds-kv"]),
    "bare.yaml": ("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: llm}\nspec:\n  template:\n    spec:\n      containers:\n      - image: vllm/vllm-openai\n        args: [--model, m, -tp, '2']\n",
                  [], 1, ["image-no-tag", "readiness-missing", "startup-missing", "memory-limit-missing", "shm-missing", "replicas-one", "queue-unbounded"], ["pdb-missing"]),
    "long.sh": ("vllm serve m --tensor-parallel-size 3 \\\n  --max-model-len 131072 --max-num-queued-reqs 9 --host 127.0.0.1\n",
                ["--model", "llama-3.1-70b", "--accelerator", "nvidia-l40s", "--count", "4"], 1,
                ["tp-across-pcie", "tp-not-dividing-heads", "weights-exceed-memory"], ["queue-unbounded"]),
    "sglang.sh": ("python3 -m sglang.launch_server --model-path m --tp 2 --disable-radix-cache --mem-fraction-static 0.97 --nsa-decode-backend x\n", [], 1,
                  ["prefix-cache-off", "memory-utilization-high", "flag-deprecated", "flag-abbreviated"], ["api-key-missing"]),
    "llama.sh": ("llama-server -m x.gguf -c 8192 -np 8 --host 0.0.0.0 --no-cont-batching\n", [], 1,
                 ["context-split-over-slots", "api-key-missing", "continuous-batching-off"], ["flag-unknown"]),
    "docker.sh": ("docker run -p 8000:8000 -e HF_TOKEN=hf_secret vllm/vllm-openai:latest --model m -tp 2 --trust-remote-code\n", [], 1,
                  ["image-latest", "secret-in-clear", "shm-missing", "trust-remote-code", "api-key-missing"], []),
    "compose.yaml": ("services:\n  llm:\n    image: vllm/vllm-openai:v0.33.0\n    command: --model m --max-num-queued-reqs 8\n    ports: ['127.0.0.1:8000:8000']\n    healthcheck: {test: [CMD, x]}\n", [], 0,
                     [], ["api-key-missing", "healthcheck-missing"]),
    "trtllm.yaml": ("kv_cache_config:\n  free_gpu_memory_fraction: 0.98\n  enable_block_reus: true\nmax_batch_size: 64\n", [], 1,
                    ["key-unknown", "memory-utilization-high"], []),
    "old.sh": ("VLLM_SERVER_DEV_MODE=1 vllm serve m --swap-space 4 --max-num-queued-reqs 8 --host 127.0.0.1\n", ["--engine-version", "0.22.0"], 1,
               ["dev-mode", "flag-removed", "flag-too-new"], []),
    "weir.yaml": ("host: 0.0.0.0\nallow_remote_without_keys: true\n", [], 1, ["weir-open"], []),
}


class ConfigCheck(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.dir = pathlib.Path(holder.name)

    def put(self, name, text):
        path = self.dir / name
        path.write_text(text)
        return path

    def test_ten_configurations(self):
        for name, (text, arguments, code, wanted, unwanted) in CONFIGS.items():
            with self.subTest(name):
                path = self.put(name, text)
                got, out, error = weir.run("config", "check", path, *arguments, "--json")
                self.assertEqual(got, code, out + error)
                found = json.loads(out)
                findings = found.get("findings") or [f for e in found.get("engines", []) for f in e["findings"]]
                rules = {f["rule"] for f in findings}
                for rule in wanted:
                    self.assertIn(rule, rules)
                for rule in unwanted:
                    self.assertNotIn(rule, rules)
                for f in findings:
                    self.assertLessEqual(f["line"], text.count("\n"), f)
                    self.assertGreater(f["line"], 0, f)
                    self.assertTrue(f["reason"] and f["fix"] and "{" not in f["reason"] + f["fix"].split("'")[0], f)
                got, out, error = weir.run("config", "check", path, *arguments)
                self.assertEqual(got, code, out + error)
                for rule in wanted:
                    self.assertRegex(out, rf"{name}:\d+: (error|warning|hint): .*\[{rule}\]")

    def test_what_cannot_be_read_says_why(self):
        for name, text, arguments, names in (
                ("open.sh", "vllm serve 'm\n", [], ("open.sh:1", "quote")),
                ("chart.yaml", "a: 1\n---\nb: {{ .Values.x }}\n", [], ("chart.yaml", "helm template")),
                ("none.sh", "python train.py\n", [], ("no engine",)),
                ("typo.yaml", "prot: 1\n", [], ("typo.yaml:1", 'the nearest is "port"')),
                ("ok.sh", "vllm serve m\n", ["--accelerator", "nvidia-h10"], ("the nearest is",)),
                ("ok.sh", "vllm serve m\n", ["--model", "llama-3.1-7b"], ("llama-3.1-",))):
            with self.subTest(name):
                code, out, error = weir.run("config", "check", self.put(name, text), *arguments)
                self.assertNotIn(code, (0, 1), out)
                for part in names:
                    self.assertIn(part, error)
        code, _, error = weir.run("config", "check", "vlm", self.put("flags.sh", "--seed 1\n"))
        self.assertNotEqual(code, 0)
        self.assertIn("vllm", error)

    def test_a_gateways_file_is_for_the_gateway_to_check(self):
        for engine in ((), ("weir",)):
            code, out, err = weir.run("config", "check", *engine, weir.ROOT / "deploy" / "demo" / "gateway.yaml")
            self.assertEqual((code, out), (2, ""))
            self.assertIn("weir gateway --check", err)
            self.assertIn("gateway.yaml", err)

    def test_migration_gives_a_patch_that_applies(self):
        path = self.put("serve.sh", "#!/bin/sh\nvllm serve m \\\n  --calculate-kv-scales \\\n  --log-config-file l.json \\\n  -tp 2\n")
        code, out, error = weir.run("config", "migrate", path.name, "--from", "vllm-0.22.0", "--to", "vllm-0.33.0", cwd=self.dir)
        self.assertEqual(code, 1, out + error)  # what a flag that went did is for a person
        self.assertIn("--calculate-kv-scales is gone", out)
        self.assertIn("# command: vllm serve m --logging-config.pylogging_config_file l.json -tp 2", out)
        if shutil.which("patch"):
            subprocess.run(["patch", "-p0"], input=out.encode(), cwd=self.dir, check=True, capture_output=True)
            self.assertEqual(path.read_text(), "#!/bin/sh\nvllm serve m \\\n  --logging-config.pylogging_config_file l.json \\\n  -tp 2\n")
            code, out, _ = weir.run("config", "migrate", path, "--from", "vllm-0.33.0", "--to", "vllm-0.33.0", "--json")
            self.assertEqual((code, json.loads(out)["diff"]), (0, ""))
        code, _, error = weir.run("config", "migrate", path, "--from", "vllm-0.22.0", "--to", "sglang-0.5.23")
        self.assertEqual(code, 2)
        self.assertIn("two engines", error)

    def test_intake_takes_over_what_a_manifest_says(self):
        path = self.put("good.yaml", CONFIGS["good.yaml"][0])
        self.assertEqual(weir.run("init", self.dir / "p")[0], 0)
        code, out, error = weir.run("intake", "--project", self.dir / "p", "--config", path, "--json")
        self.assertEqual(code, 0, error)
        fields = {f["field"]: f for f in json.loads(out)["fields"]}
        for field, value, line in (("stack.engine", "vllm", 13), ("stack.engine_version", "0.33.0", 13), ("stack.tensor_parallel", 4, 14),
                                   ("stack.replicas", 2, 5), ("stack.admission_limit", True, 14)):
            self.assertEqual(fields[field]["value"], value)
            self.assertEqual(fields[field]["origin"], "measured")
            self.assertTrue(fields[field]["evidence"].endswith(f"good.yaml:{line}"), fields[field])
        self.assertEqual(fields["stack.prefix_cache"]["origin"], "inferred")


if __name__ == "__main__":
    unittest.main()
