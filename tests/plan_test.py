"""weir plan from the outside: plans as files, what-ifs, a fit, the simulation beside the engine, and what it refuses."""

import json
import pathlib
import subprocess
import tempfile
import unittest

import weir_process as weir

weir.skip_unless(weir.WEIR)

FIELDS = {
    "model.source": "llama-3.1-8b", "traffic.prompt_tokens_p50": 500, "traffic.prompt_tokens_p95": 900,
    "traffic.output_tokens_p50": 60, "traffic.output_tokens_p95": 120, "traffic.requests_per_s": 10,
    "slo.ttft_ms_p95": 1000, "slo.itl_ms_p95": 60, "hardware.accelerator": "nvidia-h100-sxm",
}
VLLM_RESULT = {"request_rate": 4.0, "completed": 100, "total_input_tokens": 50000, "total_output_tokens": 10000,
               "request_throughput": 3.9, "median_ttft_ms": 30, "p95_ttft_ms": 90, "median_itl_ms": 9, "p95_itl_ms": 30}


class PlanTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.path = pathlib.Path(cls.folder.name)
        cls.run_weir("init", str(cls.path / "serving"), code=0)
        sets = [f"--set={k}={v}" for k, v in FIELDS.items()]
        cls.run_weir("intake", "--project", str(cls.path / "serving"), *sets, code=0)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    @classmethod
    def run_weir(cls, *arguments, code):
        done = subprocess.run([weir.WEIR, *arguments], capture_output=True, text=True, timeout=300)
        assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def plan(self, *arguments, code=0):
        return self.run_weir("plan", "--project", str(self.path / "serving"), *arguments, code=code)

    def test_a_plan_as_a_file_with_everything_asked(self):
        out, page = self.path / "plan.json", self.path / "plan.html"
        text = self.plan("--failure", "--disaggregate", "--sensitivity", "--html", str(page), "-o", str(out)).stdout
        for said in ("replicas for 10 requests/s", "while one replica", "P:D", "what moves it most"):
            self.assertIn(said, text)
        plan = json.loads(out.read_text())
        self.assertEqual(plan["schema"], "weir-plan-1")
        self.assertEqual(plan["class"], "hypothesis")
        self.assertGreater(plan["low"]["most"]["rate_per_s"], 0)
        self.assertGreaterEqual(plan["fleet"]["disaggregation"]["prefill_replicas"], 1)
        self.assertIn("<svg", page.read_text())

    def test_the_same_seed_gives_the_same_plan(self):
        first = self.plan("--json").stdout
        self.assertEqual(first, self.plan("--json").stdout)
        self.assertNotEqual(first, self.plan("--json", "--seed", "7").stdout)

    def test_what_ifs_stand_side_by_side(self):
        text = self.plan("--what-if", "weight-bits=8", "--what-if", "devices=2,kv-type=fp8").stdout
        self.assertIn("as planned", text)
        self.assertIn("devices=2,kv-type=fp8", text)
        self.assertIn("the nearest is devices", self.plan("--what-if", "device=2", code=2).stderr)

    def test_the_split_that_fits_is_written(self):
        out = self.path / "split.json"
        text = self.plan("--model", "llama-3.1-70b", "--devices", "1,4", "-o", str(out)).stdout
        self.assertIn("the plan of 4 devices", text)
        plan = json.loads(out.read_text())
        self.assertEqual((plan["tensor_parallel"], plan["memory"]["fits"]), (4, True))
        self.assertLessEqual(plan["model"]["context_tokens"], 131072)
        self.assertIn("over 1, 2, 4, 8", self.plan("--devices", "3", code=2).stderr)
        self.assertIn("nothing joins them", self.plan("--devices", "8", "--accelerator", "apple-m4-max", code=2).stderr)

    def test_the_intake_answers_what_no_flag_does(self):
        own = str(self.path / "own")
        self.run_weir("init", own, code=0)
        fields = {**FIELDS, "stack.tensor_parallel": 2, "stack.max_running": 64, "traffic.requests_per_s_peak": 15,
                  "hardware.nodes": 1, "hardware.accelerators_per_node": 1}
        self.run_weir("intake", "--project", own, *[f"--set={k}={v}" for k, v in fields.items()], code=0)
        text = self.run_weir("plan", "--project", own, code=0).stdout
        for said in ("15 requests/s at the peak (10 on average)", "2 devices (stack.tensor_parallel)", "more than the machines have"):
            self.assertIn(said, text)
        plan = json.loads(self.run_weir("plan", "--project", own, "--devices", "1", "--json", code=0).stdout)[0]
        self.assertEqual((plan["tensor_parallel"], plan["limits"]["max_running"]), (1, 64))
        self.assertEqual((plan["workload"]["requests_per_s"], plan["workload"]["rate_per_s"]), (10, 15))
        self.assertTrue(plan["machines"]["exceeded"])

    def test_what_does_not_fit_is_a_no(self):
        self.assertIn("does not fit", self.plan("--model", "llama-3.1-70b", code=1).stdout)

    def test_a_search_of_one_accelerator(self):
        found = json.loads(self.plan("--search", "--accelerator", "nvidia-h100-sxm", "--price", "nvidia-h100-sxm=2.5",
                                     "--json").stdout)
        self.assertEqual(found["tried"], 12)  # 1, 2, 4 and 8 devices
        self.assertTrue(any(f["on_front"] for f in found["found"]))

    def test_a_fit_becomes_a_plan(self):
        result, fit = self.path / "vllm.json", self.path / "fit.json"
        result.write_text(json.dumps(VLLM_RESULT))
        self.assertIn("assumed", self.plan("--fit", str(result), "-o", str(fit)).stdout)
        self.assertIn("+- 25 %, which is assumed", self.plan("--efficiency", str(fit)).stdout)
        self.assertIn("on 1 x nvidia-h100-sxm", self.plan("--efficiency", str(fit), "--devices", "2", code=2).stderr)
        self.assertEqual(json.loads(self.plan("--efficiency", str(fit), "--json").stdout)[0]["class"], "fitted")
        result.write_text("{}")
        self.assertIn("is no result of", self.plan("--fit", str(result), code=3).stderr)
        fit.write_text(fit.read_text()[:300])
        self.plan("--efficiency", str(fit), code=3)

    @unittest.skipUnless(weir.MODEL.exists(), "needs the model")
    def test_the_simulation_beside_the_engine(self):
        short = str(self.path / "short")  # prompts and answers: this looks at the form, not at the figures
        self.run_weir("init", short, code=0)
        lengths = {"prompt_tokens_p50": 24, "prompt_tokens_p95": 48, "output_tokens_p50": 6, "output_tokens_p95": 12}
        sets = [f"--set=traffic.{k}={v}" for k, v in lengths.items()]
        self.run_weir("intake", "--project", short, *sets, "--set=traffic.requests_per_s=1", code=0)
        got = json.loads(self.run_weir("plan", "--project", short, "--validate", str(weir.MODEL), "--seconds", "1",
                                       "--json", code=0).stdout)
        self.assertEqual(len(got["loads"]), 4)
        for load in got["loads"]:
            self.assertGreater(load["measured"]["ttft_ms_p50"], 0)
            self.assertGreater(load["predicted"]["output_tok_s"], 0)
            self.assertGreaterEqual(load["others_cores"], 0)
            self.assertGreaterEqual(load["drift"], 0)
            self.assertIn(load["attempts"], range(1, 5))
            self.assertTrue(load["attempts"] == 1 or load["attempts"] == 4 or load["drift"] < 0.1)  # run again while disturbed
        self.assertGreater(got["simulated_per_minute"], 1e5)


if __name__ == "__main__":
    unittest.main()
