"""weir gateway with unmodified clients: a real weir serve, mocks that die, keys, what --check says, and its end."""

import concurrent.futures
import json
import os
import pathlib
import signal
import tempfile
import threading
import time
import unittest

import weir_process as weir

weir.skip_unless(weir.WEIR, weir.MODEL)
import anthropic  # noqa: E402
import httpx  # noqa: E402
import mock_llm  # noqa: E402
import openai  # noqa: E402
from gateway_process import gateway, running  # noqa: E402

directory = tempfile.TemporaryDirectory()
HOME = pathlib.Path(directory.name)
ASK = {"messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 8}


def mock(port, *arguments):
    return running("bench", "mock", "--port", port, *arguments)


def pool(name, *ports, more=""):
    urls = ", ".join(f'"http://127.0.0.1:{p}"' for p in ports)
    return f"upstreams: {{{name}: {{endpoints: [{urls}]{more}}}}}\nmodels: {{chat: {{targets: [{{upstream: {name}, model: mock}}]}}}}\n"


class RealServer(unittest.TestCase):
    def test_the_openai_client_gets_what_the_server_itself_says(self):
        with weir.Server("--threads", 1, "--pooling", "mean") as server:
            text = (f'upstreams: {{pods: {{engine: weir, endpoints: ["{server.url}"]}}}}\n'
                    f"models: {{small: {{targets: [{{upstream: pods, model: {server.model}}}]}}}}\n")
            with gateway(text) as (url, _):
                through = openai.OpenAI(base_url=url + "/v1", api_key="not the server's", max_retries=0)
                direct = openai.OpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0)
                self.assertEqual([m.id for m in through.models.list()], ["small"])
                said = [c.chat.completions.create(model=m, temperature=0, seed=1, **ASK)
                        for c, m in ((through, "small"), (direct, server.model))]
                self.assertEqual(said[0].choices[0].message.content, said[1].choices[0].message.content)
                self.assertEqual(said[0].usage.prompt_tokens, said[1].usage.prompt_tokens)
                parts = [[chunk.choices[0].delta.content or "" for chunk in
                          c.chat.completions.create(model=m, temperature=0, seed=1, stream=True, **ASK)]
                         for c, m in ((through, "small"), (direct, server.model))]
                self.assertEqual(parts[0], parts[1])
                vectors = through.embeddings.create(model="small", input=["one", "two"])
                self.assertEqual(len(vectors.data), 2)
                with self.assertRaises(openai.NotFoundError):
                    through.chat.completions.create(model="large", **ASK)
                with self.assertRaises(openai.BadRequestError) as refused:
                    through.chat.completions.create(model="small", messages=ASK["messages"], temperature=9)
                self.assertEqual(refused.exception.param, "temperature")


class Faults(unittest.TestCase):
    def test_an_upstream_that_is_killed_costs_no_request(self):
        ports = [weir.free_port(), weir.free_port()]
        with mock(ports[0], "--ttft", "5"), mock(ports[1], "--ttft", "5") as second:
            with gateway(pool("mocks", *ports)) as (url, _), httpx.Client(timeout=30) as client:
                def ask(_):
                    return client.post(url + "/v1/chat/completions", json={"model": "chat", **ASK}).status_code
                with concurrent.futures.ThreadPoolExecutor(8) as threads:
                    asked = [threads.submit(ask, i) for i in range(150)]
                    time.sleep(0.1)
                    second.kill()
                    asked += [threads.submit(ask, i) for i in range(150)]
                    codes = [f.result() for f in asked]
                self.assertEqual(set(codes), {200})

    def test_without_any_upstream_the_client_is_told_when_to_come_back(self):
        with gateway(pool("nobody", weir.free_port())) as (url, _):
            reply = httpx.post(url + "/v1/chat/completions", json={"model": "chat", **ASK}, timeout=30)
            self.assertEqual(reply.status_code, 503)
            self.assertEqual(reply.json()["error"]["code"], "upstream_unavailable")
            self.assertIn("retry-after", reply.headers)

    def test_what_streams_when_it_is_told_to_end_is_finished(self):
        port = weir.free_port()
        with mock(port, "--itl", "30"), gateway(pool("mocks", port)) as (url, process):
            client = openai.OpenAI(base_url=url + "/v1", api_key="x", max_retries=0)
            stream = client.chat.completions.create(model="chat", stream=True, messages=ASK["messages"], max_tokens=30)
            parts = [next(iter(stream))]
            process.send_signal(signal.SIGTERM)
            parts += list(stream)
            self.assertEqual(sum(1 for p in parts if p.choices and p.choices[0].delta.content), 30)
            self.assertEqual(process.wait(20 * weir.SLOWDOWN), 0)


    def test_what_is_not_whole_when_the_time_is_over_is_told_so(self):
        port = weir.free_port()
        with mock(port, "--itl", "100"), gateway("drain_timeout_s: 1\n" + pool("mocks", port)) as (url, process):
            client = openai.OpenAI(base_url=url + "/v1", api_key="x", max_retries=0)
            stream = client.chat.completions.create(model="chat", stream=True, messages=ASK["messages"], max_tokens=600)
            next(iter(stream))
            with concurrent.futures.ThreadPoolExecutor(1) as thread:
                whole = thread.submit(httpx.post, url + "/v1/chat/completions", timeout=60,
                                      json={"model": "chat", "messages": ASK["messages"], "max_tokens": 600})
                while weir.metric(httpx.get(url + "/metrics").text, "weir_gateway_in_flight") != 2:
                    time.sleep(0.02)
                process.send_signal(signal.SIGTERM)
                with self.assertRaises(openai.APIError) as cut:
                    list(stream)
                self.assertEqual(cut.exception.code, "server_overloaded")
                self.assertEqual((whole.result().status_code, whole.result().json()["error"]["code"]), (503, "server_overloaded"))
            self.assertEqual(process.wait(20 * weir.SLOWDOWN), 0)


def two_protocols(mocks):
    """One model at each kind of upstream."""
    return (f'upstreams:\n  o: {{endpoints: ["{mocks.url}"]}}\n  a: {{engine: anthropic, endpoints: ["{mocks.url}"]}}\n'
            "models:\n  at-openai: {targets: [{upstream: o, model: small}]}\n  at-anthropic: {targets: [{upstream: a, model: small}]}\n")


class Protocols(unittest.TestCase):
    """Each client at each kind of upstream: text, streams, tools, errors."""

    def test_both_clients_at_both_kinds_of_upstream(self):
        with mock_llm.MockLlm() as mocks, gateway(two_protocols(mocks)) as (url, _):
            o = openai.OpenAI(base_url=url + "/v1", api_key="x", max_retries=0)
            a = anthropic.Anthropic(base_url=url, api_key="x", max_retries=0)
            ask = [{"role": "user", "content": "one two three"}]
            for model in ("at-openai", "at-anthropic"):
                with self.subTest(model):
                    said = o.chat.completions.create(model=model, messages=ask)
                    self.assertEqual((said.choices[0].message.content, said.model), ("You said: one two three", model))
                    self.assertEqual(said.usage.prompt_tokens, 3)
                    parts = list(o.chat.completions.create(model=model, messages=ask, stream=True, stream_options={"include_usage": True}))
                    self.assertEqual("".join(p.choices[0].delta.content or "" for p in parts if p.choices), "You said: one two three")
                    self.assertEqual(parts[-1].usage.prompt_tokens, 3)
                    said = a.messages.create(model=model, messages=ask, max_tokens=99)
                    self.assertEqual((said.content[0].text, said.model, said.usage.input_tokens > 0), ("You said: one two three", model, True))
                    with a.messages.stream(model=model, messages=ask, max_tokens=99) as stream:
                        self.assertEqual("".join(stream.text_stream), "You said: one two three")
                    tool = {"type": "object", "properties": {"city": {"type": "string"}}}
                    called = o.chat.completions.create(model=model, messages=ask, tool_choice="required", tools=[
                        {"type": "function", "function": {"name": "weather", "parameters": tool}}])
                    self.assertEqual(called.choices[0].message.tool_calls[0].function.name, "weather")
                    called = a.messages.create(model=model, messages=ask, max_tokens=99, tool_choice={"type": "any"},
                                               tools=[{"name": "weather", "input_schema": tool}])
                    self.assertEqual((called.stop_reason, called.content[-1].input["city"]), ("tool_use", "Paris"))
            with self.assertRaises(anthropic.NotFoundError):
                a.messages.create(model="nope", messages=ask, max_tokens=9)


class FaultTable(unittest.TestCase):
    """Of two upstreams one is faulty: no request fails for it before its first byte, and what is lost later is said."""

    def test_each_fault(self):
        before = ("reset", "429", "500", "503", "html", "malformed", "hang", "fail-3")
        for fault in before:
            with self.subTest(fault), mock_llm.MockLlm() as bad, mock_llm.MockLlm() as good:
                bad.behave(fault)
                text = pool("mocks", bad.port, good.port).replace("{targets", "{policy: round_robin, timeouts: {first_byte_ms: 300}, targets")
                with gateway(text) as (url, _), httpx.Client(timeout=30) as client:
                    for stream in (False, True):
                        if fault == "malformed" and stream:
                            continue  # two deltas come before it
                        for _ in range(6):
                            body = {"model": "chat", "stream": stream, **ASK}
                            reply = client.post(url + "/v1/chat/completions", json=body)
                            self.assertEqual(reply.status_code, 200, reply.text)
                            self.assertIn("You", reply.text)
                    if fault != "fail-3":
                        self.assertLess(len(bad.requests), 13)

    def test_what_breaks_in_the_middle_of_a_stream_is_said(self):
        for fault in ("cut", "cut-clean", "malformed", "error-mid", "hang-mid", "huge"):
            with self.subTest(fault), mock_llm.MockLlm() as bad:
                bad.behave(fault)
                text = pool("mocks", bad.port).replace("{targets", "{timeouts: {idle_ms: 300}, targets")
                with gateway(text) as (url, _):
                    reply = httpx.post(url + "/v1/chat/completions", json={"model": "chat", "stream": True, **ASK}, timeout=30)
                    self.assertEqual(reply.status_code, 200)
                    self.assertIn("You ", reply.text)
                    self.assertIn('"error"', reply.text)
                    self.assertNotIn("[DONE]", reply.text)


class Rollout(unittest.TestCase):
    """weir rollout against the gateway, under load: a good release gets all, a bad one is taken back and nobody sees its failures."""

    def test_a_good_release_and_a_bad_one(self):
        admin = weir.free_port()
        with mock_llm.MockLlm() as old, mock_llm.MockLlm() as new:
            text = (f"admin: {{port: {admin}, token_env: TOKEN}}\nerror_budget: 0.01\n"
                    f'upstreams: {{old: {{endpoints: ["{old.url}"]}}, new: {{endpoints: ["{new.url}"]}}}}\n'
                    "models: {chat: {targets: [{upstream: old, model: m, release: r1}, {upstream: new, model: m, release: r2, weight: 0}]}}\n")
            os.environ["TOKEN"] = "secret"
            with gateway(text) as (url, _):
                stop, codes = threading.Event(), []

                def load(n):
                    with httpx.Client(timeout=30) as client:
                        while not stop.is_set():
                            n += 1
                            reply = client.post(url + "/v1/chat/completions", json={"model": "chat", "user": f"u{n}", **ASK})
                            codes.append(reply.status_code)
                threads = [threading.Thread(target=load, args=(i * 1_000_000,)) for i in range(2)]
                for t in threads:
                    t.start()
                try:
                    rollout = ["rollout", "--gateway", f"http://127.0.0.1:{admin}", "--token", "secret", "--interval", "0.5s",
                               "--steps", "20,100", "--least-requests", "3", "--release"]
                    code, out, err = weir.run(*rollout, "r2")
                    self.assertEqual(code, 0, out + err)
                    code, out, err = weir.run(*rollout, "r1")
                    self.assertEqual(code, 0, out + err)
                    new.behave("500")
                    code, out, err = weir.run(*rollout, "r2")
                    self.assertEqual(code, 1, out + err)
                    state = httpx.get(f"http://127.0.0.1:{admin}/admin/rollout", headers={"Authorization": "Bearer secret"}).json()
                    self.assertEqual(state["weights"], {"r1": 100, "r2": 0})
                finally:
                    stop.set()
                    for t in threads:
                        t.join()
                self.assertEqual(set(codes), {200})
                self.assertGreater(len(codes), 50)


class Money(unittest.TestCase):
    """The ledger: what each attempt cost, joined with what users say, read by weir cost and weir intake."""

    def test_what_requests_cost_and_whether_they_were_of_use(self):
        ledger = HOME / "ledger.db"
        with mock_llm.MockLlm() as bad, mock_llm.MockLlm() as good:
            bad.behave("500")
            text = pool("mocks", bad.port, good.port).replace("{targets", "{policy: round_robin, targets") + (
                f"ledger: {{file: {ledger}}}\n"
                'prices: [{model: mock, input: "2.00", output: "8.00", date: 2026-11-30, source: "https://prices.example"}]\n')
            with gateway(text) as (url, _), httpx.Client(timeout=30) as client:
                ids = []
                for n in range(8):
                    reply = client.post(url + "/v1/chat/completions", json={"model": "chat", "stream": n % 2 == 1, **ASK})
                    self.assertEqual(reply.status_code, 200)
                    ids.append(reply.headers["x-request-id"])
                for n, request in enumerate(ids[:4]):
                    end = time.monotonic() + 30 * weir.SLOWDOWN
                    while True:  # a row is written within a moment
                        said = client.post(url + "/v1/outcomes", json={"request_id": request, "accepted": n != 0})
                        if said.status_code != 404 or time.monotonic() > end:
                            break
                        time.sleep(0.02)
                    self.assertEqual(said.status_code, 200, said.text)
                self.assertEqual(client.post(url + "/v1/outcomes", json={"request_id": "nope", "accepted": True}).status_code, 404)
                self.assertEqual(client.post(url + "/v1/outcomes", json={"accepted": True}).status_code, 400)
        code, out, err = weir.run("cost", "report", "--ledger", ledger, "--by", "upstream", "--json")
        self.assertEqual(code, 0, err)
        rows = json.loads(out)["groups"]
        self.assertEqual([r["key"] for r in rows], [{"upstream": "mocks"}], rows)
        self.assertEqual(rows[0]["requests"], 8)
        self.assertGreater(rows[0]["attempts"], 8)
        # Two words in, four out: 2 x 2 and 4 x 8 millionths.
        self.assertAlmostEqual(rows[0]["cost"], 8 * 36e-6, 9)
        for command in (("init", HOME / "project"), ("intake", "--project", HOME / "project", "--trace", ledger)):
            code, out, err = weir.run(*command)
            self.assertEqual(code, 0, err)
        self.assertIn("traffic.requests_per_s", out)


class Configuration(unittest.TestCase):
    def test_the_example_of_the_documentation_is_good(self):
        text = (weir.ROOT / "docs" / "gateway.md").read_text().split("```yaml")[1].split("```")[0]
        path, keys = HOME / "example.yaml", HOME / "example_keys.yaml"
        path.write_text(text.replace("keys.yaml", str(keys)))
        self.assertEqual(weir.run("keys", "new", "--tenant", "acme", "--file", keys)[0], 0)
        code, out, err = weir.run("gateway", path, "--check", env={**os.environ, "WEIR_ADMIN_TOKEN": "t", "OPENAI_API_KEY": "k"})
        self.assertEqual(code, 0, err)
        self.assertIn("chat  (cache_aware)", out)

    def test_check_reads_what_a_start_would(self):
        path, keys = HOME / "check2.yaml", HOME / "check_keys.yaml"
        path.write_text(f"keys_file: {keys}\nupstreams: {{pods: {{endpoints: ['http://127.0.0.1:1']}}}}\nmodels:\n"
                        "  chat: {cache: always, targets: [{upstream: pods}]}\n"
                        "quotas: [{name: fair, tenant: acmee, metric: requests, window: minute, limit: 5}]\n")
        code, _, err = weir.run("gateway", path, "--check")
        self.assertEqual(code, 3, err)
        self.assertIn("check_keys.yaml", err)
        code, _, err = weir.run("keys", "new", "--tenant", "acme", "--file", keys)
        self.assertEqual(code, 0, err)
        code, out, err = weir.run("gateway", path, "--check")
        self.assertEqual(code, 0, err)
        self.assertIn('warning: quotas: fair: there is no tenant "acmee"', out)
        self.assertIn("warning: models.chat: cache: always does nothing", out)
        keys.chmod(0o644)
        self.assertEqual(weir.run("gateway", path, "--check")[0], 2)

    def test_a_start_says_shares_and_doubtful_prices(self):
        text = ("upstreams: {a: {endpoints: ['http://127.0.0.1:1']}, b: {endpoints: ['http://127.0.0.1:1']}}\n"
                "models: {chat: {targets: [{upstream: a, weight: 95}, {upstream: b, weight: 10}]}}\n"
                'prices: [{model: chat, input: "1", output: "1", date: 2020-01-01}]\n')
        with gateway(text, "info") as (_, process):
            pass
        self.assertRegex(process.said, r"releases_share .*a 90 %, b 10 %")
        self.assertIn("stale from 2020-01-31 on", process.said)

    def test_check_and_a_start_trip_over_the_same(self):
        path = HOME / "trip.yaml"
        good = pool("mocks", 1234)
        env = {**os.environ, "WEIR_ADMIN_TOKEN": "t"}
        listen = "listen: {port: 8090}\n"
        for head, told in ((listen + "admin: {port: 8090, token_env: WEIR_ADMIN_TOKEN}\n", "trip.yaml:2: admin.port: 8090 is listen.port as well"),
                           (listen + f"ledger: {{file: {HOME}/none/l.db}}\n", f"trip.yaml:2: ledger.file: {HOME}/none/l.db cannot be made"),
                           (listen + "keys_file: none.yaml\n", f"trip.yaml:2: keys_file: cannot open {HOME}/none.yaml"),
                           (listen[:-2] + ", tls_certificate: no.pem, tls_key: no.key}\n", "trip.yaml:1: listen.tls_certificate: cannot read")):
            path.write_text(head + good)
            for arguments in ((path, "--check"), (path,)):
                code, _, err = weir.run("gateway", *arguments, env=env)
                self.assertEqual(code, 3, err)
                self.assertIn(told, err)
        path.write_text(listen + good + 'prices: [{model: m, input: "1", output: "1", date: 2020-01-01}]\n')
        code, out, err = weir.run("gateway", path, "--check")
        self.assertEqual(code, 0, err)
        self.assertIn("warning: prices: m at any upstream was read on 2020-01-01 and stale from 2020-01-31 on", out)
        code, out, err = weir.run("gateway", path, "--check", "--json")
        self.assertTrue(any("stale from" in w for w in json.loads(out)["warnings"]), out)

    def test_check_says_what_would_be_served_and_what_is_wrong(self):
        path = HOME / "check.yaml"
        path.write_text("listen: {port: 0}\n" + pool("mocks", 1234))
        code, out, err = weir.run("gateway", path, "--check")
        self.assertEqual((code, err), (0, ""))
        self.assertIn("mocks (openai, 1 endpoint)", out)
        code, out, err = weir.run("gateway", path, "--check", "--json")
        self.assertEqual((code, err), (0, ""))
        said = json.loads(out)
        self.assertEqual([t["release"] for t in said["models"][0]["targets"]], ["mocks"])
        self.assertIn("/v1/messages", said["paths"])
        self.assertEqual(weir.run("gateway", path, "--json")[0], 2)
        path.write_text("listen: {port: 0}\n" + pool("mocks", 1234).replace("targets", "target"))
        code, _, err = weir.run("gateway", path, "--check")
        self.assertEqual(code, 3)
        self.assertIn("check.yaml:3", err)
        self.assertIn("targets", err)

    def test_all_mistakes_are_told_at_once(self):
        path = HOME / "wrong.yaml"
        path.write_text("listen: {port: 0}\nkeys_fil: k\nadmin:\n  port: 0\n  token_env: NOT_SET\n" +
                        "upstreams: {a: {endpoints: ['http://127.0.0.1:1/v1/chat/completions']}}\nmodels: {chat: {targets: [{upstream: b}]}}\n")
        told = [(2, 'unknown key "keys_fil"'), (5, "admin.token_env: the variable NOT_SET is not set"), (6, "http://127.0.0.1:1/v1/chat/completions: the gateway itself puts"), (7, 'upstream "b" is not under')]
        for arguments in ((path, "--check"), (path,)):
            code, out, err = weir.run("gateway", *arguments)
            self.assertEqual((code, out), (3, ""))
            lines = err.removeprefix("weir: ").splitlines()
            self.assertEqual(len(lines), len(told), err)
            for line, (number, what) in zip(lines, told):
                self.assertTrue(line.startswith(f"{path}:{number}: {what}"), line)
        code, out, err = weir.run("gateway", path, "--check", "--json")
        self.assertEqual((code, err), (3, ""))
        said = json.loads(out)
        self.assertEqual((said["file"], said["good"], said["errors_left_out"]), (str(path), False, 0))
        self.assertEqual([(e["file"], e["line"]) for e in said["errors"]], [(str(path), line) for line, _ in told])

    def test_json_is_json_whatever_the_file_is(self):
        path = HOME / "broken.yaml"
        for text, line in (("listen: [", 1), ("a: 1\nb: {\n", 3), ("", 1), ("\x00", 1), ("a: *b\n", 1)):
            path.write_text(text)
            code, out, err = weir.run("gateway", path, "--check", "--json")
            self.assertEqual((code, err), (3, ""), text)
            self.assertEqual(json.loads(out)["errors"][0].get("line"), line, (text, out))
        code, out, err = weir.run("gateway", HOME / "none.yaml", "--check", "--json")
        self.assertEqual((code, err), (3, ""))
        self.assertNotIn("line", json.loads(out)["errors"][0])

    def test_two_gateways_cannot_have_one_file_of_quotas(self):
        text = f"state: {{sqlite: {HOME}/q.db}}\nquotas: [{{name: q, metric: requests, window: day, limit: 5}}]\n" + pool("mocks", 1)
        with gateway(text):
            path = HOME / "second.yaml"
            path.write_text("listen: {port: 0}\n" + text)
            code, out, err = weir.run("gateway", path)
            self.assertEqual((code, out), (4, ""))
            self.assertIn(f"second.yaml:2: state.sqlite: {HOME}/q.db is in use by another process, probably another gateway; give each gateway", err)
            self.assertEqual(weir.run("gateway", path, "--check")[0], 0)  # as before a reload of the one that runs


if __name__ == "__main__":
    unittest.main()
