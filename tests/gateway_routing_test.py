"""weir gateway, who answers: rules, cascades, routers by difficulty and pickers, with unmodified clients and mocks."""

import contextlib
import http.server
import json
import pathlib
import socket
import tempfile
import threading
import time
import unittest

import weir_process as weir

weir.skip_unless(weir.WEIR)
import anthropic  # noqa: E402
import gateway_process  # noqa: E402
import httpx  # noqa: E402
import mock_llm  # noqa: E402
import openai  # noqa: E402

directory = tempfile.TemporaryDirectory()
HOME = pathlib.Path(directory.name)
gateway, ask, rows, ms = gateway_process.gateway, gateway_process.ask, gateway_process.rows, gateway_process.ms


class Rules(unittest.TestCase):
    def test_what_matches_goes_to_another_model_under_its_own_name(self):
        with mock_llm.MockLlm() as one, mock_llm.MockLlm() as two:
            text = (f'upstreams: {{a: {{endpoints: ["{one.url}"]}}, b: {{endpoints: ["{two.url}"]}}}}\n'
                    "models:\n"
                    "  chat:\n"
                    "    rules: [{name: long, min_input_tokens: 100, to: cheap}]\n"
                    "    targets: [{upstream: a, model: m}]\n"
                    "  cheap: {targets: [{upstream: b}]}\n"
                    "rules: [{name: batch, headers: {x-batch: \"*\"}, to: cheap}]\n")
            with gateway(text) as (url, _):
                plain = ask(url, "chat")
                self.assertNotIn("x-weir-rule", plain.headers)
                self.assertEqual(plain.headers["x-weir-upstream"], "a")
                for name, said in (("batch", ask(url, "chat", headers={"X-Batch": "1"})), ("long", ask(url, "chat", "word " * 100))):
                    self.assertEqual(said.headers["x-weir-rule"], name)
                    self.assertEqual(said.headers["x-weir-upstream"], "b")
                    self.assertEqual(said.json()["model"], "chat")
                self.assertEqual({b["model"] for b in two.bodies("/v1/chat/completions")}, {"cheap"})
                self.assertIn('weir_gateway_rules_total{rule="batch"} 1', httpx.get(url + "/metrics").text)


class Check(http.server.BaseHTTPRequestHandler):
    """An operator's own check: what an answer must not hold."""

    seen = []
    ended = threading.Event()

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.seen.append(body)
        good = json.dumps({"accept": "bad" not in json.dumps(body["answer"])}).encode()
        if "hang" in json.dumps(body["request"]):
            self.ended.wait(60)
        self.send_response(200)
        self.send_header("Content-Length", str(len(good)))
        self.end_headers()
        self.wfile.write(good)

    def log_message(self, *_):
        pass

    def handle(self):
        with contextlib.suppress(OSError):  # nobody waited
            super().handle()


def cascade(mocks, check, more="", patience_s=30):
    """A small and a large model at a mock each, which say what they are told; the small one is given up after patience_s."""
    return (f'upstreams: {{s: {{endpoints: ["{mocks[0].url}"]}}, l: {{endpoints: ["{mocks[1].url}"]}}}}\n'
            "models:\n"
            f"  small: {{targets: [{{upstream: s}}], timeouts: {{first_byte_ms: {ms(patience_s)}}}, retries: {{max_attempts: 1}}}}\n"
            "  large: {targets: [{upstream: l}]}\n"
            f"  smart: {{cascade: {{{more} steps: [{{model: small, check: {check}}}, {{model: large}}]}}}}\n")


class Cascades(unittest.TestCase):
    def setUp(self):
        stack = contextlib.ExitStack()
        self.addCleanup(stack.close)
        self.mocks = [stack.enter_context(mock_llm.MockLlm()) for _ in range(2)]

    def run_with(self, check, more="", after="", **options):
        return gateway(cascade(self.mocks, check, more, **options) + after)

    def test_the_first_answer_that_passes_is_given(self):
        with self.run_with('{regex: "good"}') as (url, _):
            said = ask(url, "smart", "be good")
            self.assertEqual((said.status_code, said.headers["x-weir-cascade"]), (200, "small:accepted"))
            self.assertEqual((said.headers["x-weir-upstream"], said.headers["x-weir-attempts"], said.json()["model"]), ("s", "1", "smart"))
            said = ask(url, "smart", "be bad")
            self.assertEqual(said.headers["x-weir-cascade"], "small:rejected(regex),large:accepted")
            self.assertEqual((said.headers["x-weir-upstream"], said.headers["x-weir-attempts"]), ("l", "2"))
            self.assertEqual(said.json()["choices"][0]["message"]["content"], "You said: be bad")
            self.mocks[0].behave("500")
            said = ask(url, "smart", "be good")
            self.assertEqual(said.headers["x-weir-cascade"], "small:failed(upstream_error),large:accepted")
            self.mocks[1].behave("400")
            said = ask(url, "smart", "be good")
            self.assertEqual((said.status_code, said.headers["x-weir-cascade"]),
                             (400, "small:failed(upstream_error),large:failed(upstream_refused)"))
            metrics = httpx.get(url + "/metrics").text
            self.assertIn('weir_gateway_cascade_steps_total{model="smart",step="1 small",verdict="regex"} 1', metrics)
            self.assertIn("weir_gateway_first_byte_seconds_count 3", metrics)

    def test_both_clients_get_streams_and_whole_answers(self):
        with self.run_with('{regex: "good"}') as (url, _):
            o = openai.OpenAI(base_url=url + "/v1", api_key="x", max_retries=0)
            a = anthropic.Anthropic(base_url=url, api_key="x", max_retries=0)
            for text in ("be good", "be bad, with many words " * 20):
                want, messages = "You said: " + text, [{"role": "user", "content": text}]
                parts = list(o.chat.completions.create(model="smart", messages=messages, stream=True, stream_options={"include_usage": True}))
                self.assertEqual("".join(p.choices[0].delta.content or "" for p in parts if p.choices), want)
                self.assertEqual(parts[-1].usage.prompt_tokens, len(text.split()))
                parts = list(o.completions.create(model="smart", prompt=text, stream=True))
                self.assertEqual("".join(p.choices[0].text for p in parts), want)
                with a.messages.stream(model="smart", messages=messages, max_tokens=999) as stream:
                    self.assertEqual("".join(stream.text_stream), want)
                self.assertEqual(a.messages.create(model="smart", messages=messages, max_tokens=999).content[0].text, want)
            self.assertFalse(any(b.get("stream") or "stream_options" in b for m in self.mocks for _, _, b in m.requests))
            tool = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
            parts = list(o.chat.completions.create(model="smart", stream=True, tools=[tool], tool_choice="required",
                                                   messages=[{"role": "user", "content": "x"}]))
            self.assertTrue(any(p.choices and p.choices[0].delta.tool_calls for p in parts))
            with self.assertRaises(openai.BadRequestError) as refused:
                o.responses.create(model="smart", input="x", stream=True)
            self.assertEqual(refused.exception.param, "stream")
            with self.assertRaises(openai.BadRequestError):
                o.embeddings.create(model="smart", input="x")

    def test_who_waits_for_a_stream_is_kept_waiting(self):
        self.mocks[0].behave("slow")
        with self.run_with('{regex: "good"}', "keep_alive_ms: 50,") as (url, _):
            said = ask(url, "smart", "a good answer takes a while", stream=True)
            self.assertEqual(said.headers["content-type"].split(";")[0], "text/event-stream")
            self.assertTrue(said.text.startswith(": keep-alive\n\n"), said.text)
            self.assertIn("\n: x-weir-cascade: small:accepted\n", said.text)
            self.assertIn("\n: x-weir-upstream: s\n", said.text)
            self.assertTrue(said.text.endswith("data: [DONE]\n\n"), said.text)
            self.mocks[1].behave("400")
            said = ask(url, "smart", "a bad answer takes a while, and fails", stream=True)
            self.assertTrue(said.text.endswith("data: [DONE]\n\n"), "a refused answer is better than none: " + said.text)
        self.mocks[0].behave("hang", 1)
        with self.run_with('{regex: "good"}', "keep_alive_ms: 50,", patience_s=1) as (url, _):
            said = ask(url, "smart", "nobody answers", stream=True)
            self.assertIn("\n: x-weir-cascade: small:failed(upstream_timeout),large:failed(upstream_refused)\n", said.text)
            self.assertIn('\n\ndata: {"error"', said.text)
            self.assertNotIn("[DONE]", said.text)

    def test_schemas_and_judges_and_programs(self):
        schema = '{schema: \'{"type":"object"}\'}'
        with self.run_with(schema) as (url, _):
            self.assertEqual(ask(url, "smart").headers["x-weir-cascade"], "small:rejected(schema),large:accepted")
        judge = '{judge: {model: large, prompt: "Is this good? {answer}", accept: "good.*good"}}'
        with self.run_with(judge) as (url, _):
            self.assertEqual(ask(url, "smart", "be good").headers["x-weir-cascade"], "small:accepted")
            asked = self.mocks[1].bodies("/v1/chat/completions")[-1]
            self.assertEqual(asked["messages"][0]["content"], "Is this good? You said: be good")
            said = ask(url, "smart", "be bad")
            self.assertEqual((said.headers["x-weir-cascade"], said.headers["x-weir-attempts"]), ("small:rejected(judge),large:accepted", "3"))
            self.mocks[1].behave("500", 1)
            self.assertEqual(ask(url, "smart", "be good").status_code, 200)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Check)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        self.addCleanup(Check.ended.set)
        program = f'{{http: {{url: "http://127.0.0.1:{server.server_address[1]}/check", timeout_ms: {ms(2)}}}}}'
        with self.run_with(program) as (url, _):
            self.assertEqual(ask(url, "smart", "be good").headers["x-weir-cascade"], "small:accepted")
            self.assertEqual((Check.seen[-1]["model"], Check.seen[-1]["route"]), ("small", "/v1/chat/completions"))
            self.assertEqual(ask(url, "smart", "be bad").headers["x-weir-cascade"], "small:rejected(http),large:accepted")
            self.assertEqual(ask(url, "smart", "hang").headers["x-weir-cascade"], "small:rejected(http_error),large:accepted")

    def test_log_probabilities_are_asked_and_not_shown(self):
        with self.run_with("{logprob: {mean: -1}}") as (url, _):
            self.mocks[0].logprob = -0.5
            said = ask(url, "smart")
            self.assertEqual(said.headers["x-weir-cascade"], "small:accepted")
            self.assertIsNone(said.json()["choices"][0]["logprobs"])
            self.assertIs(self.mocks[0].requests[-1][2]["logprobs"], True)
            a = anthropic.Anthropic(base_url=url, api_key="x", max_retries=0)
            ask_it = {"model": "smart", "max_tokens": 99, "messages": [{"role": "user", "content": "be good"}]}
            said = a.messages.with_raw_response.create(**ask_it, extra_body={"top_k": 3})
            self.assertEqual((said.headers["x-weir-cascade"], said.headers["x-weir-altered"]), ("small:accepted", "top_k"))
            self.assertEqual((said.parse().content[0].text, said.parse().model), ("You said: be good", "smart"))
            self.assertNotIn("logprob", said.text())
            with a.messages.stream(**ask_it) as stream:
                self.assertEqual("".join(stream.text_stream), "You said: be good")
            self.mocks[0].behave("500", 1)
            self.assertEqual(a.messages.with_raw_response.create(**ask_it).headers["x-weir-cascade"], "small:failed(upstream_error),large:accepted")
            self.assertIsNotNone(ask(url, "smart", logprobs=True).json()["choices"][0]["logprobs"])
            self.mocks[0].logprob = -2
            self.assertEqual(ask(url, "smart").headers["x-weir-cascade"], "small:rejected(logprob),large:accepted")
            self.assertNotIn("logprobs", self.mocks[1].requests[-1][2])
            said = a.messages.with_raw_response.create(**ask_it)
            self.assertEqual(said.headers["x-weir-cascade"], "small:rejected(logprob),large:accepted")

    def test_money_time_and_the_ledger(self):
        prices = "prices: [" + ", ".join(
            f'{{model: {m}, input: "{i}", output: "{o}", date: 2026-11-30, source: "https://prices.example"}}'
            for m, i, o in (("small", "1.00", "1.00"), ("large", "10.00", "10.00"))) + "]\n"
        ledger = HOME / "cascade.db"
        after = f"ledger: {{file: {ledger}}}\n" + prices
        with self.run_with('{regex: "good"}', 'max_cost: "0.0001",', after) as (url, _):
            self.assertEqual(ask(url, "smart", "be bad").headers["x-weir-cascade"], "small:rejected(regex),large:accepted")
            found = rows(ledger, 2)
            # Two words in, four out.
            self.assertEqual([r[:5] for r in found], [(0, 1, "small", "", 6000), (1, 2, "large", "", 60000)])
            said = ask(url, "smart", "a bad one " * 3)
            self.assertEqual(said.headers["x-weir-cascade"], "small:rejected(regex),large:skipped(max_cost)")
            self.assertEqual(said.headers["x-weir-upstream"], "s")
            said = ask(url, "smart", "bad", headers={"x-request-id": "kept"})
        with self.run_with('{regex: "good"}', f'max_cost: "0.0001", max_latency_ms: {ms(1.5)},', after) as (url, _):
            self.mocks[1].behave("hang")
            begin = time.monotonic()
            said = ask(url, "smart", "bad", headers={"x-request-id": "late"})
            self.assertLess(time.monotonic() - begin, 20 * weir.SLOWDOWN)
            self.assertEqual(said.headers["x-weir-cascade"], "small:rejected(regex),large:failed(upstream_timeout)")
            self.assertEqual((said.status_code, said.headers["x-weir-upstream"]), (200, "s"))
            by_request = {}
            for r in rows(ledger, 7):
                by_request.setdefault(r[5], []).append(r[0])
            self.assertEqual({sum(finals) for finals in by_request.values()}, {1}, by_request)
            self.assertEqual(len(by_request["late"]), 2)

    def test_a_client_that_leaves_ends_the_step_under_way(self):
        ledger = HOME / "left.db"
        self.mocks[1].behave("hang")
        with self.run_with('{regex: "good"}', after=f"ledger: {{file: {ledger}}}\n") as (url, _):
            body = json.dumps({"model": "smart", "messages": [{"role": "user", "content": "bad"}]}).encode()
            with socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1]))) as client:
                client.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                               % (len(body), body))
                self.assertTrue(weir.until(lambda: self.mocks[1].bodies("/v1/chat/completions"), 30))
            self.assertEqual([r[:3] for r in rows(ledger, 2)], [(0, 1, "small"), (1, 2, "large")])
            self.assertTrue(weir.until(lambda: 'weir_gateway_requests_total{end="client_gone"} 1' in httpx.get(url + "/metrics").text, 30))


class Difficulty(unittest.TestCase):
    """weir route train on one log, weir route eval on another, and the gateway with what was learnt."""

    @staticmethod
    def log(name, first, scored=lambda hard: 0.2 if hard else 0.9):
        lines = []
        for i in range(first, first + 300):
            hard = i % 2 == 0
            prompt = f"Explain why and prove that theorem {i} holds:\n```\nx = {i}\n```" if hard else f"What is the capital of country {i}?"
            lines.append({"prompt": prompt, "small_score": scored(hard) if i % 10 else 0.5, "large_score": 0.9, "small_cost": 1, "large_cost": 8})
        path = HOME / name
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return path

    def test_train_eval_and_route(self):
        model, page = HOME / "difficulty.json", HOME / "curve.html"
        code, out, err = weir.run("route", "train", self.log("one.jsonl", 0), "--output", model, "--json")
        self.assertEqual(code, 0, err)
        trained = json.loads(out)
        self.assertEqual(trained["examples"], 300)
        self.assertGreater(trained["held_out"]["area"], trained["held_out"]["random_area"])
        other = self.log("two.jsonl", 1000)
        code, out, err = weir.run("route", "eval", other, "--model-file", model, "--threshold", 0.5, "--html", page, "--json")
        self.assertEqual(code, 0, err)
        report = json.loads(out)
        self.assertGreater(report["area"], report["random_area"] + 0.05)
        self.assertAlmostEqual(report["chosen"]["small_share"], 0.5, delta=0.1)
        self.assertIn("<svg", page.read_text())
        code, out, err = weir.run("route", "eval", other, "--model-file", model)
        self.assertIn("always large", out)
        with mock_llm.MockLlm() as small, mock_llm.MockLlm() as large:
            text = (f'upstreams: {{s: {{endpoints: ["{small.url}"]}}, l: {{endpoints: ["{large.url}"]}}}}\n'
                    "models:\n  small: {targets: [{upstream: s}]}\n  large: {targets: [{upstream: l}]}\n"
                    f"  auto: {{difficulty: {{model_file: {model}, threshold: 0.5, small: small, large: large}}}}\n")
            with gateway(text) as (url, _):
                easy = ask(url, "auto", "What is the capital of Peru?")
                self.assertEqual((easy.headers["x-weir-upstream"], easy.headers["x-weir-difficulty"].split("(")[0]), ("s", "small"))
                hard = ask(url, "auto", "Explain why and prove that theorem 7 holds:\n```\nx = 7\n```", stream=True)
                self.assertEqual((hard.headers["x-weir-upstream"], hard.headers["x-weir-difficulty"].split("(")[0]), ("l", "large"))
                self.assertIn('weir_gateway_difficulty_total{model="auto",to="large"} 1', httpx.get(url + "/metrics").text)

    def test_what_is_wrong_is_named(self):
        bad = HOME / "bad.jsonl"
        bad.write_text('{"prompt": "a", "small_score": 1, "large_score": 1}\n{"prompt": "a", "small_score": 7, "large_score": 1}\n')
        code, _, err = weir.run("route", "train", bad, "--output", HOME / "none.json")
        self.assertEqual(code, 3)
        self.assertIn("bad.jsonl:2: small_score must be a number from 0 to 1", err)
        same = self.log("same.jsonl", 0, lambda hard: 0.9)
        same.write_text("".join(line for line in same.read_text().splitlines(True) if "0.5" not in line))
        code, _, err = weir.run("route", "train", same, "--output", HOME / "none.json")
        self.assertEqual(code, 3)
        self.assertIn("nothing to tell apart", err)
        code, _, err = weir.run("route", "eval", bad, "--model-file", HOME / "none.json")
        self.assertEqual(code, 3)
        self.assertFalse((HOME / "none.json").exists())

    def test_a_log_of_two_results_of_weir_eval(self):
        for name, scores in (("s", (0, 1)), ("l", (1, 1))):
            items = [{"id": str(i), "prompt": f"question {i}", "expected": "", "answer": "", "scores": {"acc": s}} for i, s in enumerate(scores)]
            (HOME / f"{name}.json").write_text(json.dumps({
                "format": "weir-eval/1", "model": {"name": name, "where": "local", "identity": "", "vocabulary": ""}, "suite": {"name": "x", "hash": ""}, "seed": 1, "params": {},
                "tasks": [{"name": "t", "kind": "generate", "metric": "acc", "higher_is_better": True, "value": 1, "error": 0, "items": items}]}))
        code, out, err = weir.run("route", "log", "--small", HOME / "s.json", "--large", HOME / "l.json", "--metric", "acc",
                                  "--small-cost", 1, "--large-cost", 10)
        self.assertEqual(code, 0, err)
        self.assertEqual(json.loads(out.splitlines()[0]), {"prompt": "question 0", "small_score": 0.0, "large_score": 1.0, "small_cost": 1.0,
                                                            "large_cost": 10.0})


class Pickers(unittest.TestCase):
    def test_a_picker_that_is_trusted_picks_among_the_configured(self):
        with mock_llm.MockLlm() as one, mock_llm.MockLlm() as two, mock_llm.MockLlm() as other:
            text = (f'upstreams: {{p: {{endpoints: ["{one.url}", "{two.url}"]}}, o: {{endpoints: ["{other.url}"]}}}}\n'
                    "models: {chat: {targets: [{upstream: p}]}, other: {targets: [{upstream: o}]}}\n")
            name, served = "x-gateway-destination-endpoint", "x-gateway-destination-endpoint-served"
            at = f"127.0.0.1:{two.port}"
            with gateway("trusted_picker: true\n" + text) as (url, _):
                for _ in range(5):
                    self.assertEqual(ask(url, "chat", headers={name: at}).headers[served], at)
                self.assertEqual((len(one.requests), len(two.requests)), (0, 5))
                self.assertNotIn(name, {k.lower() for k in two.requests[0][1]})
                two.behave("500", 1)
                self.assertEqual(ask(url, "chat", headers={name: f"{at}, 127.0.0.1:{one.port}"}).headers[served], f"127.0.0.1:{one.port}")
                self.assertEqual(ask(url, "chat", headers={name: f"127.0.0.1:{other.port}"}).status_code, 503, "it answers for another model")
                for bad in ("127.0.0.1:1", "nowhere", "169.254.169.254:80"):
                    said = ask(url, "chat", headers={name: bad})
                    self.assertEqual((said.status_code, said.json()["error"]["param"]), (400, name))
                self.assertNotIn(served, ask(url, "chat").headers)
            with gateway(text) as (url, _):
                for _ in range(64):  # by chance all of a few go to the second
                    self.assertIsNone(ask(url, "chat", headers={name: at}).headers.get(served))
                    if len(one.requests) > 1:
                        break
                self.assertGreater(len(one.requests), 1)


class Exposures(unittest.TestCase):
    def test_who_was_dealt_to_which_release_is_logged(self):
        with mock_llm.MockLlm() as one, mock_llm.MockLlm() as two:
            text = (f'upstreams: {{a: {{endpoints: ["{one.url}"]}}, b: {{endpoints: ["{two.url}"]}}}}\n'
                    "models: {chat: {targets: [{upstream: a, release: r1, weight: 50}, {upstream: b, release: r2, weight: 50}]}}\n")
            with gateway(text, "info") as (url, process):
                dealt = {n: ask(url, "chat", user=f"user-{n % 8}", headers={"x-request-id": f"id-{n}"}).headers["x-weir-release"] for n in range(16)}
                metrics = httpx.get(url + "/metrics").text
            lines = [dict(f.split("=", 1) for f in line.split()[3:]) for line in process.said.splitlines() if " exposure " in line]
            self.assertEqual({int(e["request_id"][3:]): e["arm"] for e in lines}, dealt)
            self.assertEqual({e["by"] for e in lines}, {"user"})
            self.assertEqual(len({e["subject"] for e in lines}), 8)
            self.assertNotIn("user-", process.said)
            self.assertEqual(weir.metric(metrics, "weir_gateway_exposures_total"), 16)


class Documentation(unittest.TestCase):
    def test_the_example_is_good(self):
        text = (weir.ROOT / "docs" / "gateway.md").read_text().split("## Who answers")[1].split("```yaml")[1].split("```")[0]
        path = HOME / "example.yaml"
        path.write_text(text)
        code, out, err = weir.run("gateway", path, "--check")
        self.assertEqual(code, 0, err)
        for line in ("step 1  small, taken if it passes: judge large", "shadow next: 5 % of the requests", "rule batch: every model -> small"):
            self.assertIn(line, out)


if __name__ == "__main__":
    unittest.main()
