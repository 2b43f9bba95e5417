"""The service of skill/assets/serving/template-llm-api.md, as the page prints it, in front of `weir serve` with the real model."""

import contextlib
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import unittest

import weir_process as weir

weir.skip_unless(weir.WEIR, weir.MODEL)
import httpx  # noqa: E402

PAGE = weir.ROOT / "skill" / "assets" / "serving" / "template-llm-api.md"
MAX_TOKENS, MAX_BODY = 400, 20000
# name: secret, requests a second, burst, requests at a time
KEYS = {"alice": ("sk-alice", 1000, 1000, 8), "single": ("sk-single", 1000, 1000, 1), "slow": ("sk-slow", 0.05, 2, 8)}
LONG = [{"role": "user", "content": "Write a very long fairy tale about a miller, his three sons and a talking fox. Tell every detail."}]
SHORT = [{"role": "user", "content": "What is the capital of France? Answer in one sentence."}]
server = service = None
plain = httpx.Client(verify=False, timeout=60 * weir.SLOWDOWN)  # http alone: what TLS needs is not read for each client


def source():
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.S | re.M)
    if len(blocks) != 1:
        raise RuntimeError(f"{PAGE} has {len(blocks)} blocks of python, not one")
    return blocks[0]


class Service:
    """uvicorn with the page's block, on a free port of the loopback."""

    def __init__(self, folder, upstream, model, **environment):
        self.port = weir.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        (folder / "llm_api.py").write_text(source())
        keys = [{"name": name, "sha256": hashlib.sha256(secret.encode()).hexdigest(), "rate_per_s": rate, "burst": burst,
                 "concurrency": concurrency} for name, (secret, rate, burst, concurrency) in KEYS.items()]
        (folder / "keys.json").write_text(json.dumps(keys))
        self.log = open(folder / f"{self.port}.log", "w+b")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "llm_api:app", "--host", "127.0.0.1", "--port", str(self.port), "--no-access-log"],
            cwd=folder, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
            env={**os.environ, "LLM_UPSTREAM": upstream, "LLM_MODEL": model, "LLM_PUBLIC_MODEL": "house-model",
                 "LLM_KEYS_FILE": str(folder / "keys.json"), "LLM_MAX_TOKENS": str(MAX_TOKENS), "LLM_MAX_BODY": str(MAX_BODY), **environment})

    def wait(self):
        deadline = time.monotonic() + 30 * weir.SLOWDOWN
        while True:
            with contextlib.suppress(httpx.TransportError):
                if plain.get(self.url + "/health").status_code == 200:
                    return self
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.log.seek(0)
                raise RuntimeError("the service did not start:\n" + self.log.read().decode(errors="replace"))
            time.sleep(0.02)

    def stop(self):
        self.process.terminate()
        self.process.wait(30)
        self.log.close()


def running():
    """Requests that the engine computes or holds."""
    text = plain.get(server.url + "/metrics").text
    return weir.metric(text, "vllm:num_requests_running") + weir.metric(text, "vllm:num_requests_waiting")


class Api(unittest.TestCase):
    def setUp(self):
        self.client = httpx.Client(base_url=service.url, verify=False, timeout=60 * weir.SLOWDOWN)
        self.addCleanup(self.client.close)

    def post(self, key="sk-alice", headers=None, client=None, **body):
        body = {"model": "house-model", "messages": SHORT, "max_tokens": 16, "temperature": 0, **body}
        return (client or self.client).post("/v1/chat/completions", json=body, headers={"authorization": f"Bearer {key}", **(headers or {})})

    def stream(self, key="sk-alice", headers=None, **body):
        body = {"model": "house-model", "messages": LONG, "max_tokens": MAX_TOKENS, "temperature": 0, "stream": True, **body}
        return self.client.stream("POST", "/v1/chat/completions", json=body, headers={"authorization": f"Bearer {key}", **(headers or {})})

    def refused(self, answer, status, code):
        self.assertEqual(answer.status_code, status, answer.text)
        error = answer.json()["error"]
        self.assertEqual(error["code"], code)
        self.assertEqual(error.keys(), {"message", "type", "param", "code"})
        self.assertTrue(answer.headers["x-request-id"])
        self.assertNotIn(str(server.port), answer.text)
        return error

    def wait_for_idle(self, seconds):
        deadline = time.monotonic() + seconds * weir.SLOWDOWN
        while running():
            self.assertLess(time.monotonic(), deadline, "the engine still computes for a client that is gone")
            time.sleep(0.01)

    def test_keys(self):
        for key in ("sk-alic", "sk-alicee", "sk-ALICE", hashlib.sha256(b"sk-alice").hexdigest()):
            self.refused(self.post(key), 401, "invalid_api_key")
        self.refused(self.post(headers={"authorization": "Basic sk-alice"}), 401, "invalid_api_key")
        self.refused(self.post(headers={"authorization": "Bearer"}), 401, "invalid_api_key")
        self.refused(self.client.get("/v1/models"), 401, "invalid_api_key")
        self.assertEqual(self.client.get("/v1/models", headers={"authorization": "Bearer sk-slow"}).json()["data"][0]["id"], "house-model")

    def test_the_answer_is_the_engines(self):
        direct = plain.post(server.url + "/v1/chat/completions", json={"messages": SHORT, "max_tokens": 16, "temperature": 0}).json()
        answer = self.post(headers={"x-request-id": "mine.1"})
        self.assertEqual(answer.headers["x-request-id"], "mine.1")
        self.assertEqual(answer.json()["choices"], direct["choices"])
        self.assertEqual(answer.json()["usage"]["completion_tokens"], direct["usage"]["completion_tokens"])

    def test_bounds(self):
        self.refused(self.post(messages=[{"role": "user", "content": "x" * MAX_BODY}]), 413, "request_too_large")
        headers = {"authorization": "Bearer sk-alice"}
        chunked = self.client.post("/v1/chat/completions", content=(b"x" * 1000 for _ in range(MAX_BODY // 500)), headers=headers)
        self.refused(chunked, 413, "request_too_large")
        for tokens in (0, -1, MAX_TOKENS + 1, 1.5, "10", True):
            self.assertEqual(self.refused(self.post(max_tokens=tokens), 400, "max_output_tokens_exceeded")["param"], "max_tokens")
        self.assertEqual(self.refused(self.post(logprobs=True), 400, "unknown_parameter")["param"], "logprobs")
        self.refused(self.post(n=2), 400, "invalid_value")
        self.refused(self.post(model="other"), 404, "model_not_found")
        self.refused(self.post(messages=[]), 400, "invalid_value")
        for text in (b"{", b"[]", b'{"a": NaN}', b"\xff\xfe\x00", b"[" * 10000):
            answer = self.client.post("/v1/chat/completions", content=text, headers=headers)
            self.assertEqual(answer.status_code, 400, text[:10])
        self.assertEqual(self.refused(self.post(temperature=-1), 400, "invalid_value")["param"], "temperature")  # the engine's own refusal
        self.refused(self.client.get("/v1/nothing"), 404, "not_found")
        self.refused(self.client.get("/v1/chat/completions"), 405, "method_not_allowed")

    def test_rate_of_a_key(self):
        answers = [self.post("sk-slow", max_tokens=1) for _ in range(3)]
        self.assertEqual([a.status_code for a in answers], [200, 200, 429])
        self.refused(answers[2], 429, "rate_limit_exceeded")
        self.assertGreater(int(answers[2].headers["retry-after"]), 5)   # a request every 20 s
        self.assertEqual(self.post(max_tokens=1).status_code, 200)      # another key's bucket is its own

    def test_requests_at_a_time_of_a_key(self):
        with self.stream("sk-single") as first:
            lines = first.iter_lines()   # kept: httpx closes the connection with its iterator
            next(lines)
            second = self.post("sk-single")
            self.refused(second, 429, "concurrency_limit_exceeded")
            self.assertEqual(second.headers["retry-after"], "1")
            self.assertEqual(self.post(max_tokens=1).status_code, 200)
        self.wait_for_idle(2)
        self.assertEqual(self.post("sk-single", max_tokens=1).status_code, 200)

    def test_streams_flow(self):
        whole = self.post(messages=LONG, max_tokens=150).json()["choices"][0]["message"]["content"]
        text, last, seen_running = "", None, 0
        with self.stream(max_tokens=150, stream_options={"include_usage": True}) as answer:
            self.assertEqual(answer.headers["content-type"].split(";")[0], "text/event-stream")
            self.assertEqual(answer.headers["x-accel-buffering"], "no")
            for line in answer.iter_lines():
                if line.startswith("data: {"):
                    if not text:
                        seen_running = running()                        # the first piece is here while the engine still writes
                    last = json.loads(line[6:])
                    text += "".join(c["delta"].get("content") or "" for c in last["choices"])
                elif line:
                    self.assertEqual(line, "data: [DONE]")
        self.assertEqual(text, whole)
        self.assertEqual(seen_running, 1)
        self.assertEqual(last["usage"]["completion_tokens"], 150)

    def test_a_client_that_leaves_its_stream(self):
        before = weir.metric(plain.get(server.url + "/metrics").text, "vllm:generation_tokens_total")
        with self.stream() as answer:
            lines = answer.iter_lines()
            next(lines)
            self.assertEqual(running(), 1)
        self.wait_for_idle(1)
        made = weir.metric(plain.get(server.url + "/metrics").text, "vllm:generation_tokens_total") - before
        self.assertLess(made, MAX_TOKENS * 0.75)

    def test_a_client_that_leaves_before_a_whole_answer(self):
        with httpx.Client(base_url=service.url, verify=False, timeout=0.3 * weir.SLOWDOWN) as impatient, self.assertRaises(httpx.ReadTimeout):
            self.post(client=impatient, messages=LONG, max_tokens=MAX_TOKENS)
        self.wait_for_idle(1)
        self.assertIn('llm_api_requests_total{key="alice",status="499"}', self.client.get("/metrics").text)

    def test_deadlines(self):
        hurry = {"x-deadline-ms": str(int(300 * weir.SLOWDOWN))}
        answer = self.post(messages=LONG, max_tokens=MAX_TOKENS, headers=hurry)
        self.assertIn(answer.status_code, (503, 504), answer.text)      # 503: the engine knew beforehand
        self.wait_for_idle(1)
        with self.stream(headers=hurry) as answer:
            lines = [line for line in answer.iter_lines() if line]
        if answer.status_code == 200:
            self.assertIn("error", json.loads(lines[-1].removeprefix("data: ")))
            self.assertNotIn("data: [DONE]", lines)
        self.wait_for_idle(1)

    def test_ready(self):
        self.assertEqual(self.client.get("/ready").status_code, 200)
        alone = Service(folder, f"http://127.0.0.1:{weir.free_port()}", "none").wait()
        self.addCleanup(alone.stop)
        with httpx.Client(base_url=alone.url, verify=False, timeout=30) as client:
            self.assertEqual(client.get("/health").status_code, 200)
            self.assertEqual(client.get("/ready").status_code, 503)
            answer = self.post(client=client)
            self.refused(answer, 503, "upstream_unavailable")
            self.assertEqual(answer.headers["retry-after"], "2")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name, weir.Server("--speculate", "off") as server:
        folder = pathlib.Path(name)
        service = Service(folder, server.url, server.model)
        try:
            service.wait()
            result = unittest.main(exit=False).result
        finally:
            service.stop()
    sys.exit(not result.wasSuccessful())
