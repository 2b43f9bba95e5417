"""Quotas of weir gateway with unmodified clients, on each store: SQLite over a restart, Redis with two gateways, and Redis that dies."""

import concurrent.futures
import contextlib
import hashlib
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest

import weir_process as weir

weir.skip_unless(weir.WEIR)
import anthropic  # noqa: E402
import httpx  # noqa: E402
import mock_llm  # noqa: E402
import openai  # noqa: E402

directory = tempfile.TemporaryDirectory()
HOME = pathlib.Path(directory.name)
ASK = {"messages": [{"role": "user", "content": "one two three"}], "max_tokens": 8}
ADMIN = {"Authorization": "Bearer secret"}
os.environ["TOKEN"] = "secret"


class Redis:
    """A redis-server of the test's own, on a socket, which keeps nothing on disk."""

    def __init__(self, name="redis"):
        self.socket = HOME / f"{name}.sock"
        self.state = f'redis: {{url: "unix:{self.socket}", timeout_ms: 300}}'

    def start(self):
        self.process = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", str(self.socket), "--save", "", "--appendonly", "no", "--dir", str(HOME)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        for line in self.process.stdout:
            if "eady to accept connections" in line:
                self.reader = threading.Thread(target=self.process.stdout.read, daemon=True)
                self.reader.start()
                return
        raise RuntimeError("redis-server did not start")

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.reader.join()
        self.process.stdout.close()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()


class Gateway:
    """weir gateway in front of the mock, as a context manager; text: what the file says beside upstreams and models."""

    def __init__(self, mock, text):
        self.port, self.admin = weir.free_port(), weir.free_port()
        self.url, self.admin_url = f"http://127.0.0.1:{self.port}", f"http://127.0.0.1:{self.admin}"
        self.path = HOME / f"gateway-{self.port}.yaml"
        self.path.write_text(f"listen: {{port: {self.port}}}\nadmin: {{port: {self.admin}, token_env: TOKEN}}\n"
                             f'upstreams: {{mocks: {{endpoints: ["{mock.url}"]}}}}\n'
                             f"models: {{chat: {{targets: [{{upstream: mocks, model: mock}}]}}, other: {{targets: [{{upstream: mocks, model: mock}}]}}}}\n{text}\n")

    def __enter__(self):
        self.process = subprocess.Popen([str(weir.WEIR), "gateway", str(self.path), "--log-level", "warn"], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for line in self.process.stdout:
            if b"weir: ready" in line:
                break
        else:
            raise RuntimeError(self.process.stderr.read().decode())
        return self

    def __exit__(self, kind, *_):
        self.process.send_signal(signal.SIGTERM)
        _, errors = self.process.communicate(timeout=30 * weir.SLOWDOWN)
        if kind is None and self.process.returncode != 0:
            raise RuntimeError(f"the gateway ended with {self.process.returncode}: {errors.decode()}")

    def ask(self, client=httpx, **more):
        return client.post(self.url + "/v1/chat/completions", json={"model": "chat", **ASK, **more}, timeout=30)

    def used(self, tenant=None):
        """{(quota, whose): (used, limit)}."""
        reply = httpx.get(self.admin_url + "/admin/quotas", params={"tenant": tenant} if tenant else {}, headers=ADMIN)
        assert reply.status_code == 200, reply.text
        return {q["counts"]: (q["used"], q["limit"]) for q in reply.json()["quotas"]}

    def metric(self, name):
        text = httpx.get(self.url + "/metrics").text
        return next((float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name + " ")), None)


@contextlib.contextmanager
def stores():
    """(name, what state: says of it) of each."""
    with contextlib.ExitStack() as stack:
        out = [("sqlite", f"sqlite: {HOME / f'quotas-{time.monotonic_ns()}.db'}")]
        if shutil.which("redis-server"):
            out.append(("redis", stack.enter_context(Redis(f"redis-{time.monotonic_ns()}")).state))
        else:
            print("without Redis: redis-server is not installed (script/bootstrap)")
        yield out


class OnEachStore(unittest.TestCase):
    def test_clients_are_refused_by_name_and_told_when_to_come_back(self):
        text = ("quotas: [{name: few, metric: requests, window: minute, limit: 3}, "
                "{name: others, model: other, metric: total_tokens, window: day, limit: 5}]\nstate: {%s}")
        with mock_llm.MockLlm() as mock, stores() as all_stores:
            for name, state in all_stores:
                with self.subTest(name), Gateway(mock, text % state) as gateway:
                    o = openai.OpenAI(base_url=gateway.url + "/v1", api_key="x", max_retries=0)
                    a = anthropic.Anthropic(base_url=gateway.url, api_key="x", max_retries=0)
                    o.chat.completions.create(model="chat", **ASK)
                    list(o.chat.completions.create(model="chat", stream=True, **ASK))
                    a.messages.create(model="chat", **ASK)
                    before, took = len(mock.requests), []
                    for _ in range(5):
                        start = time.monotonic()
                        with self.assertRaises(openai.RateLimitError) as refused:
                            o.chat.completions.create(model="chat", **ASK)
                        took.append(time.monotonic() - start)
                    self.assertLess(min(took), 0.05 * weir.SLOWDOWN)
                    self.assertIn("few: requests per minute: 3 of 3 are taken", str(refused.exception))
                    self.assertTrue(1 <= int(refused.exception.response.headers["retry-after"]) <= 60)
                    with self.assertRaises(anthropic.RateLimitError) as refused:
                        a.messages.create(model="chat", **ASK)
                    self.assertEqual(refused.exception.body["error"]["type"], "rate_limit_error")
                    self.assertEqual(len(mock.requests), before)
                    self.assertEqual(gateway.metric('weir_gateway_quota_refused_total{quota="few"}'), 6)
                    self.assertEqual(gateway.used()["few: requests per minute"], (3, 3))
                    self.assertEqual(gateway.used()["others, model other: tokens per day"], (0, 5))

    def test_each_tenant_and_key_is_counted_on_its_own(self):
        keys = {"acme": ("k1", "acme-1"), "acme again": ("k2", "acme-2"), "other": ("k3", "other-1")}
        path = HOME / "keys.yaml"
        path.write_text("tenants: {acme: {}, other: {}}\nkeys:\n" + "".join(
            f"  - {{tenant: {who.split()[0]}, id: {i}, sha256: {hashlib.sha256(key.encode()).hexdigest()}, rights: [inference]}}\n"
            for who, (i, key) in keys.items()))
        path.chmod(0o600)
        text = (f"keys_file: {path}\nquotas:\n"
                "  - {name: each, tenant: acme, metric: requests, window: minute, limit: 3}\n"
                '  - {name: each, tenant: "*", metric: requests, window: minute, limit: 1}\n'
                '  - {name: key, key: "*", metric: requests, window: minute, limit: 2}\nstate: {%s}')
        with mock_llm.MockLlm() as mock, stores() as all_stores:
            for name, state in all_stores:
                with self.subTest(name), Gateway(mock, text % state) as gateway:
                    def ask(who, gateway=gateway):
                        reply = httpx.post(gateway.url + "/v1/chat/completions", json={"model": "chat", **ASK},
                                           headers={"Authorization": "Bearer " + keys[who][1]})
                        return reply.status_code, reply.json().get("error", {}).get("message", "")[:9]
                    self.assertEqual([ask("acme") for _ in range(3)], [(200, ""), (200, ""), (429, "key, key ")])
                    self.assertEqual([ask("acme again") for _ in range(2)], [(200, ""), (429, "each, ten")])
                    self.assertEqual([ask("other") for _ in range(2)], [(200, ""), (429, "each, ten")])
                    self.assertEqual(gateway.used("acme"), {"each, tenant acme: requests per minute": (3, 3),
                                                            "key, key k1: requests per minute": (2, 2), "key, key k2: requests per minute": (1, 2)})
                    self.assertEqual(gateway.used("other"), {"each, tenant other: requests per minute": (1, 1), "key, key k3: requests per minute": (1, 2)})
                    self.assertEqual(len(gateway.used()), 5)

    def test_what_was_taken_is_there_after_a_restart(self):
        # 3 tokens of prompt as the mock counts, and 5 of answer.
        text = "quotas: [{name: day, metric: total_tokens, window: day, limit: 30}]\nstate: {%s}"
        with mock_llm.MockLlm() as mock, stores() as all_stores:
            for name, state in all_stores:
                with self.subTest(name):
                    with Gateway(mock, text % state) as gateway:
                        self.assertEqual([gateway.ask().status_code for _ in range(2)], [200, 200])
                        self.assertTrue(weir.until(lambda: gateway.used() == {"day: tokens per day": (16, 30)}), gateway.used())
                    with Gateway(mock, text % state) as gateway:
                        self.assertEqual(gateway.used(), {"day: tokens per day": (16, 30)})
                        self.assertEqual([gateway.ask().status_code for _ in range(2)], [200, 429])

    def test_a_hundred_at_once_get_as_many_answers_as_the_limit_says(self):
        text = "quotas: [{name: fifty, metric: requests, window: minute, limit: 50}]\nstate: {%s}"
        with mock_llm.MockLlm() as mock, stores() as all_stores:
            for name, state in all_stores:
                with self.subTest(name), contextlib.ExitStack() as stack:
                    # One has its SQLite file alone; replicas share Redis.
                    gateways = [stack.enter_context(Gateway(mock, text % state)) for _ in range(1 if name == "sqlite" else 2)]
                    with httpx.Client(timeout=30) as client, concurrent.futures.ThreadPoolExecutor(16) as threads:
                        codes = list(threads.map(lambda i: gateways[i % len(gateways)].ask(client).status_code, range(100)))
                    self.assertEqual((codes.count(200), codes.count(429)), (50, 50))
                    self.assertEqual([g.used()["fifty: requests per minute"] for g in gateways], [(50, 50)] * len(gateways))


class Streams(unittest.TestCase):
    def test_a_stream_that_may_not_go_on_says_which_limit_it_was(self):
        text = ("quotas: [{name: out, metric: output_tokens, window: day, limit: 60}]\nquota_estimate: {output_tokens: 10, step_tokens: 10}\n"
                "state: {%s}")
        ask = {"messages": [{"role": "user", "content": "word " * 98}]}
        with mock_llm.MockLlm(delta_s=0.01) as mock, stores() as all_stores:
            for name, state in all_stores:
                with self.subTest(name), Gateway(mock, text % state) as gateway:
                    def by_openai(gateway=gateway):
                        client, said = openai.OpenAI(base_url=gateway.url + "/v1", api_key="x", max_retries=0), 0
                        try:
                            for part in client.chat.completions.create(model="chat", stream=True, **ask):
                                said += bool(part.choices and part.choices[0].delta.content)
                        except openai.APIError as e:
                            return said, str(e)
                        return said, None

                    def by_anthropic(gateway=gateway):
                        client, said = anthropic.Anthropic(base_url=gateway.url, api_key="x", max_retries=0), 0
                        try:
                            with client.messages.stream(model="chat", max_tokens=1000, **ask) as stream:
                                for _ in stream.text_stream:
                                    said += 1
                        except anthropic.APIError as e:
                            return said, str(e)
                        return said, None
                    # max_tokens is beyond the whole limit: refused before anything is asked.
                    said, why = by_anthropic()
                    self.assertEqual(said, 0)
                    self.assertIn("no retry will fit", why)
                    with concurrent.futures.ThreadPoolExecutor(2) as threads:
                        first, second = sorted((f.result() for f in [threads.submit(by_openai), threads.submit(by_openai)]), key=lambda r: r[0])
                    self.assertIn("out: output tokens per day", first[1])
                    self.assertLess(first[0], 40)
                    self.assertEqual(second, (100, None))
                    self.assertTrue(weir.until(lambda: gateway.used()["out: output tokens per day"][0] >= 100 + first[0]))
                    self.assertEqual(gateway.metric("weir_gateway_quota_reservations") or 0, 0)


@unittest.skipUnless(shutil.which("redis-server"), "redis-server is not installed (script/bootstrap)")
class RedisDies(unittest.TestCase):
    def test_requests_are_refused_or_answered_uncounted_and_counted_again_when_it_is_back(self):
        quotas = "quotas: [{name: few, metric: requests, window: minute, limit: 1000}]\n"
        uncounted = 'weir_gateway_quota_answers_total{verdict="uncounted"}'
        unavailable = 'weir_gateway_quota_answers_total{verdict="unavailable"}'
        with mock_llm.MockLlm() as mock, Redis("dies") as redis, contextlib.ExitStack() as stack:
            state = "state: {" + redis.state.replace("timeout_ms", "on_failure: fail_%s, timeout_ms") + "}"
            closed, opened = (stack.enter_context(Gateway(mock, quotas + state % how)) for how in ("closed", "open"))
            self.assertEqual([closed.ask().status_code, opened.ask().status_code], [200, 200])
            self.assertEqual(closed.used(), {"few: requests per minute": (2, 1000)})
            stop, codes = threading.Event(), {closed: [], opened: []}

            def load(gateway):
                with httpx.Client(timeout=30) as client:
                    while not stop.is_set():
                        start = time.monotonic()
                        reply = gateway.ask(client)
                        codes[gateway].append((reply.status_code, time.monotonic() - start))
                        time.sleep(0.005)
            threads = [threading.Thread(target=load, args=(g,)) for g in (closed, opened)]
            for t in threads:
                t.start()
            try:
                time.sleep(0.3)
                redis.stop()
                self.assertTrue(weir.until(lambda: any(c == 503 for c, _ in codes[closed]) and opened.metric(uncounted) >= 20))
                reply = closed.ask()
                self.assertEqual(reply.status_code, 503)
                self.assertIn("quotas cannot be checked", reply.text)
                self.assertIn("retry-after", reply.headers)
                self.assertEqual(httpx.get(closed.admin_url + "/admin/quotas", headers=ADMIN).status_code, 503)
                redis.start()
                # Both count again, in the empty Redis that came back.
                self.assertTrue(weir.until(lambda: closed.ask().status_code == 200, 15))
                before = opened.metric(uncounted)
                self.assertTrue(weir.until(lambda: opened.metric("weir_gateway_quota_answers_total{verdict=\"granted\"}") > 60))
                self.assertTrue(weir.until(lambda: closed.used()["few: requests per minute"][0] >= 2))
                self.assertGreaterEqual(before, 20)
            finally:
                stop.set()
                for t in threads:
                    t.join()
            self.assertEqual({c for c, _ in codes[closed]}, {200, 503})
            self.assertEqual({c for c, _ in codes[opened]}, {200})
            self.assertGreater(closed.metric(unavailable), 0)
            self.assertEqual(closed.metric(uncounted), 0)
            # Nobody waits longer than connecting and the answers to what is sent may take.
            self.assertLess(max(t for _, t in codes[closed] + codes[opened]), 4 * 0.3 * weir.SLOWDOWN + 2)


class Documentation(unittest.TestCase):
    def test_the_example_is_good(self):
        text = (weir.ROOT / "docs" / "gateway.md").read_text().split("## Quotas")[1].split("```yaml")[1].split("```")[0]
        path, keys = HOME / "example.yaml", HOME / "example_keys.yaml"
        path.write_text(text.replace("keys.yaml", str(keys)))
        self.assertEqual(weir.run("keys", "new", "--tenant", "acme", "--file", keys)[0], 0)
        code, out, err = weir.run("gateway", path, "--check", env={**os.environ, "WEIR_ADMIN_TOKEN": "t"})
        self.assertEqual(code, 0, err)
        for line in ("fair: 2000000 tokens per day, each tenant", "budget: 200 USD per month, tenant acme"):
            self.assertIn(line, out)


if __name__ == "__main__":
    unittest.main()
