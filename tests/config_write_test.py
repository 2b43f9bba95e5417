"""weir config TARGET --plan: what is written is taken by weir's own check, by Kubernetes' schemas, and by kustomize, promtool,
nginx and haproxy where they are installed. Prints the table of engine, version and environment."""

import concurrent.futures
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import weir_process as weir

weir.skip_unless(weir.WEIR)

PLAN = pathlib.Path(__file__).parent / "data/config_write/plan.json"
ENVIRONMENTS = ("dev", "stage", "prod")
GGUF = ("--model-source", "models/llama-3.1-70b-q8_0.gguf")
FP8 = ("--model-source", "example/Llama-3.1-70B-FP8")  # for who does not quantize while loading
IMAGE = ("--image", "registry.example/engine:1.2.3")  # of an engine that publishes none by its version

# target: (arguments, file that is checked, arguments of the check), for the newest version and one older where there is one
TABLE = [
    ("vllm", "0.33.0", [], "vllm/serve.sh", ["vllm"]),
    ("vllm", "0.22.0", [], "vllm/serve.sh", ["vllm"]),
    ("sglang", "0.5.23", [], "sglang/serve.sh", ["sglang"]),
    ("sglang", "0.5.12.post1", [], "sglang/serve.sh", ["sglang"]),
    ("llamacpp", "0.5.0", [*GGUF], "llamacpp/serve.sh", ["llama.cpp"]),
    ("trtllm", "main-00043967", [*FP8], "trtllm/serve.sh", ["tensorrt-llm"]),
    ("deepspeed", "0.19.8", [], "deepspeed/deepspeed.json", ["deepspeed"]),
    ("llm-d", "0.4.12", [], "llm-d/values.yaml", ["llm-d"]),
    ("dynamo", "1.6.1", [], "dynamo/frontend.sh", ["dynamo"]),
    ("weir", "", [*GGUF], "weir/weir.yaml", ["weir"]),
    ("kubernetes", "0.33.0", [], "kubernetes/rendered.yaml", []),
    ("kubernetes", "0.22.0", [], "kubernetes/rendered.yaml", []),
    ("kubernetes", "0.5.23", ["--engine", "sglang"], "kubernetes/rendered.yaml", []),
    ("kubernetes", "0.5.0", ["--engine", "llamacpp", *IMAGE, *GGUF], "kubernetes/rendered.yaml", ["llama.cpp"]),
    ("kubernetes", "main-00043967", ["--engine", "trtllm", *IMAGE, *FP8], "kubernetes/rendered.yaml", ["tensorrt-llm"]),
]
# What the check says with right: one replica in dev; a version that cannot bound its queue.
ALLOWED = {"replicas-one"}


class ConfigWrite(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.dir = pathlib.Path(holder.name)

    def write(self, target, environment, *more, out="envs", plan=PLAN):
        folder = self.dir / out
        if target == "weir":  # it serves on CPUs
            plan = self.dir / "cpu.json"
            plan.write_text(PLAN.read_text().replace("nvidia-h100-sxm", "amd-epyc-9654"))
        code, text, error = weir.run("config", target, "--plan", plan, "--env", environment, "--out", folder, "--json", *more)
        self.assertEqual(code, 0, f"{target} {environment}: {error}")
        return folder, json.loads(text)

    def accept(self, row):
        target, version, more, file, check = row
        versions = ["--engine-version", version] if version else []
        cells = []
        for environment in ENVIRONMENTS:
            folder, _ = self.write(target, environment, *versions, *more, out=f"{target}-{version}-{len(more)}")
            engine = ["--engine-version", version] if version and "weir" not in check else []
            code, text, error = weir.run("config", "check", *check, folder / environment / file, *engine, "--json")
            self.assertIn(code, (0, 1), error)
            found = json.loads(text)
            findings = found.get("findings") or [f for e in found.get("engines", []) for f in e["findings"]]
            rules = {f["rule"] for f in findings if f["severity"] != "hint"}
            self.assertLessEqual(rules, ALLOWED if environment == "dev" else set(), (target, version, environment, findings))
            cells.append("accepted" if not rules else "accepted, " + ", ".join(sorted(rules)))
        return target + (" " + more[1] if more else ""), version or "this", cells

    def test_what_is_written_passes_the_check(self):
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            table = list(pool.map(self.accept, TABLE))
        for target, version, cells in [("target", "version", ENVIRONMENTS), *table]:
            print(f"{target:<22} {version:<14} " + " ".join(f"{c:<24}" for c in cells))

    def test_manifests_are_of_kubernetes_schemas_and_kustomize_gives_the_same(self):
        try:
            import kubernetes_validate
            import yaml
        except ImportError as e:
            self.skipTest(f"{e.name} is not installed")
        checked = 0
        for environment in ENVIRONMENTS:
            folder, _ = self.write("kubernetes", environment, "--regions", "eu-west,us-east,ap-south")
            rendered = [d for d in yaml.safe_load_all((folder / environment / "kubernetes/rendered.yaml").read_text()) if d]
            for document in rendered:
                try:
                    kubernetes_validate.validate(document, "1.37", strict=True)
                    checked += 1
                except kubernetes_validate.SchemaNotFoundError:
                    self.assertIn(document["kind"], ("ScaledObject", "PodMonitor"))
            if not shutil.which("kubectl"):
                print("kubectl: not installed, so kustomize was not run")
                continue
            built = self.kustomize(folder / environment / "kubernetes")
            self.assertEqual({k: built[k] for k in sorted(built)}, {(d["kind"], d["metadata"]["name"]): d for d in rendered})
            self.assertEqual({k for k, _ in self.kustomize(folder / environment / "kubernetes/gateway")}, {"InferencePool", "HTTPRoute"})
        self.assertGreaterEqual(checked, 3 + 4 + 4)
        if shutil.which("kubectl"):
            region = self.kustomize(folder / "prod/kubernetes-regions/eu-west")
            # 5 carry the load; any two of three regions must be enough, one spare in each.
            self.assertEqual(next(d for (k, _), d in region.items() if k == "ScaledObject")["spec"]["fallback"]["replicas"], 4)

    @staticmethod
    def kustomize(folder):
        import yaml

        built = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, text=True, check=True).stdout
        return {(d["kind"], d["metadata"]["name"]): d for d in yaml.safe_load_all(built) if d}

    def test_other_parsers_take_their_files(self):
        parsers = {
            "prometheus": ("promtool", lambda f: ["check", "config", f / "prometheus.yaml"]),
            "nginx": ("nginx", lambda f: ["-t", "-e", f / "error.log", "-g", f"pid {f}/pid;", "-c", f / "nginx.conf"]),
            "haproxy": ("haproxy", lambda f: ["-c", "-f", f / "haproxy.cfg"]),
        }
        for target, (program, arguments) in parsers.items():
            search = f"{os.environ['PATH']}:/usr/sbin:{weir.ROOT}/build/nginx/usr/sbin"  # script/bootstrap unpacks it there
            found = shutil.which(program, path=search)
            if not found:
                print(f"{program}: not installed, so {target}'s files were not parsed by it")
                continue
            for engine in ("vllm", "llamacpp"):
                folder, _ = self.write(target, "prod", "--engine", engine)
                if target == "nginx":  # its own folders are another user's
                    file = folder / "prod/nginx/nginx.conf"
                    paths = [f"{kind}_temp_path {self.dir};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")]
                    file.write_text(file.read_text().replace("http {", "http { access_log off; " + " ".join(paths), 1))
                got = subprocess.run([found, *arguments(folder / "prod" / target)], capture_output=True, text=True)
                self.assertEqual(got.returncode, 0, f"{target} {engine}: {got.stdout}{got.stderr}")
            print(f"{program}: takes what is written")
        folder, _ = self.write("grafana", "prod")
        board = json.loads((folder / "prod/grafana/dashboard.json").read_text())
        self.assertTrue(all(p["description"] and p["targets"][0]["expr"] for p in board["panels"]))

    def test_differences_are_shown(self):
        code, out, error = weir.run("config", "diff-envs", "vllm", "--plan", PLAN)
        self.assertEqual(code, 0, error)
        self.assertIn("dev: dev/vllm/serve.sh --max-num-seqs: 128 -> 16", out)
        self.assertIn("prod: as the base", out)
        _, written = self.write("kubernetes", "stage")
        self.assertIn(("spec.replicas", "1", "2"), [(d["key"], d["base"], d["value"]) for d in written["differences"]])

    def test_a_project_says_where_plan_and_files_are(self):
        project = self.dir / "serving"
        self.assertEqual(weir.run("init", project)[0], 0)
        shutil.copy(PLAN, project / "plan.json")
        code, out, error = weir.run("config", "vllm", "--project", project, "--env", "prod")
        self.assertEqual(code, 0, error)
        script = project / "envs/prod/vllm/serve.sh"
        self.assertIn(str(script), out)
        self.assertTrue(script.stat().st_mode & 0o100)

    def test_every_file_that_is_written_is_known_to_the_check(self):
        for target in ("prometheus", "grafana", "nginx", "haproxy", "kubernetes", "llm-d"):
            folder, written = self.write(target, "prod", out="beside")
            for file in written["files"]:
                code, out, error = weir.run("config", "check", folder / file)
                self.assertIn(code, (0, 1), f"{file}: {error}")
                self.assertNotIn("unknown key", out + error)
        for file, target in (("dynamo/frontend.sh", "dynamo"), ("llm-d/values.yaml", "llm-d"), ("trtllm/config.yaml", "trtllm")):
            folder, _ = self.write(target, "prod", *(FP8 if target == "trtllm" else ()), out="fit")
            code, out, error = weir.run("config", "check", target, folder / "prod" / file, "--model", "llama-3.1-70b", "--accelerator", "nvidia-h100-sxm")
            self.assertNotIn("do not fit", out + error)

    def test_bad_input_says_why(self):
        text = PLAN.read_text()
        for cut in range(0, len(text) - 2, 257):
            bad = self.dir / "cut.json"
            bad.write_text(text[:cut])
            code, out, error = weir.run("config", "vllm", "--plan", bad, "--env", "dev", "--out", self.dir / "none")
            self.assertNotIn(code, (0, 1), out)
            self.assertIn("cut.json", error)
        large = json.loads(text)
        large["memory"]["fits"] = False
        (self.dir / "large.json").write_text(json.dumps(large))
        hopeful = json.loads(text)
        hopeful["low"] |= {"replicas": 0, "most": None}
        (self.dir / "hopeful.json").write_text(json.dumps(hopeful))
        for arguments, part in (
                (("vllm", "--plan", PLAN, "--env", "dev", "--engine-version", "0.30.0"), "there are 0.11.0, 0.22.0, 0.33.0"),
                (("vllm", "--plan", PLAN, "--env", "prd"), "the nearest is prod"),
                (("vllm", "--plan", self.dir / "large.json", "--env", "dev"), "does not fit"),
                (("vllm", "--plan", self.dir / "nowhere.json", "--env", "dev"), "nowhere.json"),
                (("kubernetes", "--plan", PLAN, "--env", "dev", "--image", "vllm/vllm-openai:latest"), "version or digest"),
                (("kubernetes", "--plan", PLAN, "--env", "dev", "--engine", "trtllm"), "--image"),
                (("llama.cpp", "--plan", PLAN, "--env", "dev"), "--model-source"),
                (("tensorrt-llm", "--plan", PLAN, "--env", "dev"), "16, and tensorrt-llm does not quantize"),
                (("weir", "--plan", PLAN, "--env", "dev"), "weir serves on CPUs"),
                (("vllm", "--plan", self.dir / "hopeful.json", "--env", "prod"), "--optimistic")):
            code, out, error = weir.run("config", *arguments, "--out", self.dir / "none")
            self.assertNotIn(code, (0, 1), out)
            self.assertIn(part, error)
        self.assertFalse((self.dir / "none").exists())


if __name__ == "__main__":
    unittest.main()
