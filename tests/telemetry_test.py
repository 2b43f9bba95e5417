"""What a running server tells about itself: metrics against docs, dashboard and alerts; spans at a collector that works, fails and stalls;
logs; the trace."""

import concurrent.futures
import http.server
import json
import re
import shutil
import socket
import subprocess
import threading
import time
import unittest

import weir_process as weir

weir.skip_unless(weir.WEIR, weir.MODEL)
import httpx  # noqa: E402

CHAT = "/v1/chat/completions"
SECRET = "the walrus wrote to jane.doe@example.org with sk-proj-abcDEF1234567890"
NAME = re.compile(r"\b(?:vllm:|weir_|gen_ai_server_|process_)[a-z0-9_]+")


def ask(server, text="Say hello.", headers=None, **options):
    body = {"model": server.model, "messages": [{"role": "user", "content": text}], "max_tokens": 8, "temperature": 0, **options}
    return httpx.post(server.url + CHAT, json=body, headers=headers or {}, timeout=120)


def families(text):
    """Names of the metrics of an exposition, as # TYPE has them."""
    return {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE ")}


def family(name, known):
    """The metric that a series' name belongs to: a histogram has _bucket, _sum and _count."""
    if name in known:
        return name
    for suffix in ("_bucket", "_sum", "_count"):
        if name.endswith(suffix) and name[:-len(suffix)] in known:
            return name[:-len(suffix)]
    return None


class Collector(http.server.ThreadingHTTPServer):
    """Takes OTLP/HTTP JSON; answers what `answer` says, after `delay_s`."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.bodies, self.refused, self.answer, self.delay_s = [], 0, 200, 0.0
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def spans(self):
        return [span for path, body in list(self.bodies) if path.endswith("/v1/traces")
                for r in body["resourceSpans"] for s in r["scopeSpans"] for span in s["spans"]]


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        time.sleep(self.server.delay_s)
        if self.server.answer == 200:
            assert self.headers["content-type"] == "application/json"
            self.server.bodies.append((self.path, json.loads(body)))
            self.server.last_headers = dict(self.headers)
        else:
            self.server.refused += 1
        self.send_response(self.server.answer)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


def value(attribute):
    (kind, inner), = attribute["value"].items()
    return {"stringValue": str, "doubleValue": float, "intValue": lambda v: int(v) if isinstance(v, str) else None,
            "arrayValue": lambda v: [e["stringValue"] for e in v["values"]]}[kind](inner)


class Metrics(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = weir.Server()
        ask(cls.server)
        cls.text = httpx.get(cls.server.url + "/metrics").text
        cls.known = families(cls.text)

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def test_docs_list_what_is_exposed_and_nothing_else(self):
        docs = (weir.ROOT / "docs" / "TELEMETRY.md").read_text()
        tables = "\n".join(line for line in docs.split("## The trace")[0].splitlines() if line.startswith("|"))
        documented = set(NAME.findall(tables))
        self.assertEqual(self.known - documented, set(), "exposed, and not in docs/TELEMETRY.md")
        self.assertEqual(documented - self.known, set(), "in docs/TELEMETRY.md, and not exposed")
        for name in NAME.findall((weir.ROOT / "README.md").read_text()):
            if "*" not in name and name not in ("weir_", "vllm:"):
                self.assertIsNotNone(family(name, self.known), f"README.md names {name}")

    def test_every_name_of_dashboard_and_alerts_exists(self):
        rules = (weir.ROOT / "deploy/prometheus/alerts.yaml").read_text()
        recorded = set(re.findall(r"record: (\S+)", rules))
        dashboard = json.loads((weir.ROOT / "deploy/grafana/weir.json").read_text())
        expressions = [t["expr"] for p in dashboard["panels"] for t in p.get("targets", [])]
        expressions += [v["query"] for v in dashboard["templating"]["list"]]
        expressions += re.findall(r"expr: \|\n((?: {10}.*\n)+)", rules) + re.findall(r"expr: ([^|\n].*)", rules)
        self.assertGreater(len(expressions), 60)
        for expression in expressions:
            for name in re.findall(r"\bweir:[a-z0-9_:]+", expression):
                self.assertIn(name, recorded)
            for name in NAME.findall(expression):
                self.assertIsNotNone(family(name, self.known), f"{name} in {expression}")

    def test_thresholds_of_alerts_are_buckets(self):
        for name, bound in re.findall(r'(vllm:\w+)_bucket\{le="([0-9.]+)"\}', (weir.ROOT / "deploy/prometheus/alerts.yaml").read_text()):
            self.assertRegex(self.text, rf'{name}_bucket\{{[^}}]*le="{re.escape(bound)}"\}}')

    def test_promtool(self):
        if shutil.which("promtool") is None:
            self.skipTest("promtool is not installed (package prometheus)")
        folder = weir.ROOT / "deploy/prometheus"
        for arguments in (["check", "rules", "alerts.yaml"], ["test", "rules", "alerts_test.yaml"]):
            done = subprocess.run(["promtool", *arguments], cwd=folder, capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        done = subprocess.run(["promtool", "check", "metrics"], input=self.text, capture_output=True, text=True)
        # vLLM's names have colons and one has a suffix that promtool advises against; what is left is about our own.
        problems = [line for line in done.stderr.splitlines() if line.startswith(("weir_", "gen_ai"))]
        self.assertEqual(problems, [], done.stderr)

    def test_the_trace_loads(self):
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            list(pool.map(lambda i: ask(self.server, "Count. " * (40 * i + 1), max_tokens=20 + i), range(6)))
        trace = httpx.get(self.server.url + "/admin/trace?seconds=60", timeout=60).json()
        events = trace["traceEvents"]
        tracks = {}
        for e in events:
            self.assertIn(e["ph"], "XMC")
            for key in ("name", "pid", "tid", "ts"):
                self.assertIn(key, e)
            if e["ph"] == "X":
                self.assertGreaterEqual(e["dur"], 0)
                tracks.setdefault((e["pid"], e["tid"]), []).append(e)
            if e["ph"] == "C":
                self.assertTrue(all(isinstance(v, (int, float)) for v in e["args"].values()), e)
        for slices in tracks.values():  # as a viewer does: nested by time, on a stack
            stack = []
            for e in sorted(slices, key=lambda e: (e["ts"], -e["dur"])):
                while stack and stack[-1] <= e["ts"] + 1e-3:
                    stack.pop()
                if stack:
                    self.assertLessEqual(e["ts"] + e["dur"], stack[-1] + 1e-3, e)
                stack.append(e["ts"] + e["dur"])
        names = [e["name"] for e in events if e["ph"] == "X"]
        self.assertGreater(names.count("step"), 20)
        self.assertGreaterEqual(names.count("decode"), 6)
        self.assertEqual(len({e["args"]["name"] for e in events if e["name"] == "process_name"}), 2)


class Export(unittest.TestCase):
    def setUp(self):
        self.collector = Collector()
        self.addCleanup(self.collector.server_close)
        self.addCleanup(self.collector.shutdown)

    def server(self, **env):
        return weir.Server("--otlp-endpoint", self.collector.url, env={
            "OTEL_BSP_SCHEDULE_DELAY": "50", "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test%20lab",
            "OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=a%2Cb", "OTEL_SERVICE_NAME": "weir-test", **env})

    def test_a_request_becomes_a_span(self):
        parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        with self.server() as server:
            reply = ask(server, SECRET, headers={"traceparent": parent}, stream=True, stream_options={"include_usage": True})
            self.assertEqual(reply.status_code, 200)
            usage = next(json.loads(line[6:])["usage"] for line in reply.text.splitlines() if '"usage"' in line)
            self.assertTrue(weir.until(self.collector.spans, 20))
            span, = self.collector.spans()
            self.assertEqual(span["traceId"], parent.split("-")[1])
            self.assertEqual(span["parentSpanId"], parent.split("-")[2])
            self.assertEqual(span["spanId"], reply.headers["traceparent"].split("-")[2])
            self.assertEqual((span["name"], span["kind"]), (f"chat {server.model}", 2))
            self.assertLess(int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"]))
            self.assertLess(abs(int(span["endTimeUnixNano"]) / 1e9 - time.time()), 60 * weir.SLOWDOWN)
            a = {x["key"]: value(x) for x in span["attributes"]}
            self.assertEqual(a["gen_ai.operation.name"], "chat")
            self.assertEqual(a["gen_ai.request.model"], server.model)
            self.assertEqual(a["gen_ai.request.max_tokens"], 8)
            self.assertEqual(a["gen_ai.usage.input_tokens"], usage["prompt_tokens"])
            self.assertEqual(a["gen_ai.usage.output_tokens"], usage["completion_tokens"])
            self.assertEqual(a["gen_ai.response.finish_reasons"], ["length"])
            self.assertGreater(a["gen_ai.response.time_to_first_chunk"], 0)
            self.assertEqual(self.collector.last_headers["x-tenant"], "a,b")
            self.assertNotIn("walrus", json.dumps(self.collector.bodies))
            # Not sampled by the client: no span.
            ask(server, headers={"traceparent": parent[:-1] + "0"})
            ask(server, max_tokens=10**7)
            self.assertTrue(weir.until(lambda: len(self.collector.spans()) > 1, 20))
            failed = self.collector.spans()[1]
            self.assertEqual(failed["status"], {"code": 2, "message": "context_length_exceeded"})
        resource = {x["key"]: value(x) for x in self.collector.bodies[0][1]["resourceSpans"][0]["resource"]["attributes"]}
        self.assertEqual(resource["service.name"], "weir-test")
        self.assertEqual(resource["deployment.environment.name"], "test lab")
        # On its way out the server sends the metrics.
        metrics = [m for path, body in self.collector.bodies if path == "/v1/metrics"
                   for r in body["resourceMetrics"] for s in r["scopeMetrics"] for m in s["metrics"]]
        self.assertEqual({m["name"] for m in metrics}, {"gen_ai.server.request.duration", "gen_ai.server.time_to_first_token",
                                                        "gen_ai.server.time_per_output_token"})
        for m in metrics:
            self.assertEqual(m["unit"], "s")
            for p in m["histogram"]["dataPoints"]:
                self.assertEqual(len(p["bucketCounts"]), len(p["explicitBounds"]) + 1)
                self.assertEqual(sum(map(int, p["bucketCounts"])), int(p["count"]))

    def test_a_collector_that_fails_gets_it_later(self):
        self.collector.answer = 503
        with self.server() as server:
            ask(server)
            self.assertTrue(weir.until(lambda: self.collector.refused > 0, 20))
            self.collector.answer = 200
            self.assertTrue(weir.until(lambda: len(self.collector.spans()) == 1, 20))
            text = httpx.get(server.url + "/metrics").text
            self.assertGreater(weir.metric(text, "weir_otlp_failures_total"), 0)
            self.assertEqual(weir.metric(text, "weir_otlp_spans_dropped_total"), 0)

    def test_a_stalled_collector_stalls_no_request(self):
        self.collector.delay_s = 1e6
        with self.server(OTEL_BSP_MAX_QUEUE_SIZE="4", OTEL_EXPORTER_OTLP_TIMEOUT="500") as server:
            for _ in range(12):
                self.assertEqual(ask(server, max_tokens=1).status_code, 200)
            self.assertGreater(weir.metric(httpx.get(server.url + "/metrics").text, "weir_otlp_spans_dropped_total"), 0)

    def test_a_collector_that_is_not_there(self):
        with weir.Server("--otlp-endpoint", f"http://127.0.0.1:{weir.free_port()}", env={"OTEL_BSP_SCHEDULE_DELAY": "20"}) as server:
            self.assertEqual(ask(server).status_code, 200)
            self.assertTrue(weir.until(lambda: weir.metric(httpx.get(server.url + "/metrics").text, "weir_otlp_failures_total") > 0, 20))

    def test_bad_settings_are_usage_errors(self):
        for arguments, env, word in ((["--otlp-endpoint", "https://x"], {}, "http://"), (["--scrub-pattern", "(["], {}, "pattern 1"),
                                     ([], {"OTEL_EXPORTER_OTLP_ENDPOINT": "nonsense"}, "nonsense"),
                                     ([], {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_BSP_MAX_QUEUE_SIZE": "many"}, "OTEL_BSP_MAX_QUEUE_SIZE")):
            with self.subTest(arguments=arguments, env=env):
                code, _, err = weir.run("serve", weir.MODEL, "--port", weir.free_port(), *arguments, env={"PATH": "/usr/bin", **env})
                self.assertEqual(code, 2, err)
                self.assertIn(word, err)


class Logs(unittest.TestCase):
    def lines(self, server):
        return [json.loads(line) for line in server.text().splitlines() if line.startswith("{")]

    def request_lines(self, server, count):
        weir.until(lambda: sum(x["event"] == "request" for x in self.lines(server)) >= count, 20)
        return [x for x in self.lines(server) if x["event"] == "request"]

    def test_a_line_for_each_request_and_no_content(self):
        with weir.Server("--log-format", "json") as server:
            ask(server, SECRET, headers={"x-request-id": "req-17"})
            ask(server, SECRET, max_tokens=10**7)
            httpx.get(server.url + "/walrus")
            httpx.get(server.url + "/health")
            good, bad, lost = self.request_lines(server, 3)
            self.assertEqual((good["request_id"], good["method"], good["route"], good["status"]), ("req-17", "POST", CHAT, 200))
            self.assertEqual(good["completion_tokens"], 8)
            self.assertGreater(good["prompt_tokens"], 5)
            self.assertGreater(good["ms"], 0)
            self.assertEqual((bad["status"], bad["error"]), (400, "context_length_exceeded"))
            self.assertEqual((lost["status"], lost["route"], lost["error"]), (404, "unknown", "not_found"))
            text = server.text()
        self.assertNotIn("walrus", text)
        self.assertNotIn("jane.doe", text)

    def test_content_on_request_is_scrubbed(self):
        with weir.Server("--log-format", "json", "--log-content", "--scrub-pattern", "wal\\w+") as server:
            ask(server, SECRET)
            self.request_lines(server, 1)
            content = [x for x in self.lines(server) if x["event"] == "content"]
            self.assertEqual([x["kind"] for x in content], ["prompt", "output"])
            self.assertIn("the [pattern] wrote to [email] with [key]", content[0]["text"])
            self.assertNotIn("walrus", server.text())

    # Bytes that end a line, command a terminal, or are no UTF-8, wherever a client can put them.
    HOSTILE = (b"\r\nforged level=error", b"\nforged", b"\rforged", b"\x1b[2J\x1b]0;forged\x07", b"\x00", b"\x7f", b"\xc2\x9b31m", b"\xc2\x85forged",
               "\u2028forged".encode(), "\u2029".encode(), "\u202eforged".encode(), b"\xff\xfe", b"\xed\xa0\x80", b'"}\n{"event":"forged"}')

    def attack(self, server):
        """One connection a request; returns how many there were."""
        def body(**members):
            return json.dumps({"model": server.model, "prompt": "a", "max_tokens": 1, **members}, ensure_ascii=False).encode()

        sent = 0
        for raw in self.HOSTILE:
            escaped = raw.decode(errors="replace")
            quoted = "".join(f"%{b:02x}" for b in raw).encode()
            plain = body()
            requests = [b"GET /" + target + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" for target in (raw, quoted, b"v1/models/" + quoted, b"?" + quoted)]
            requests.append(raw + b" /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            post = b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n%s"
            requests += [post % (name + b": a" + raw + b"z\r\n", len(plain), plain) for name in (b"x-request-id", b"traceparent", b"user-agent", b"authorization", b"x-a")]
            for b in (body(model=escaped), body(user=escaped), body(prompt="Say" + escaped), body(stop=[escaped]), body(cache_salt=escaped), b'{"' + raw + b'":1}'):
                requests.append(post % (b"", len(b), b))
            for request in requests:
                with socket.create_connection(("127.0.0.1", server.port), timeout=60 * weir.SLOWDOWN) as s:
                    s.sendall(request)
                    try:
                        answer = b"".join(iter(lambda: s.recv(65536), b""))
                    except ConnectionResetError:
                        continue
                self.assertRegex(answer[:13], rb"^HTTP/1\.1 [2-4]", (request, answer[:300]))
                self.assertNotIn(b"\nforged", answer.partition(b"\r\n\r\n")[0], request)
                sent += 1
        return sent

    def test_nobody_writes_into_the_log(self):
        for form in ("json", "text"):
            with self.subTest(form=form), weir.Server("--log-format", form, "--log-level", "debug", "--log-content", "--no-scrub") as server:
                sent = self.attack(server)
                self.assertTrue(weir.until(lambda: server.errors().count(b"/v1/completions") >= 8 * len(self.HOSTILE), 20))
                log = server.errors()
                self.assertRegex(log, b"Say")
            lines = log.decode().split("\n")  # UTF-8, or this throws
            self.assertEqual(lines.pop(), "")
            self.assertGreater(len(lines), sent)
            for line in lines:
                self.assertEqual(re.findall("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]", line), [], line)
                if form == "json":
                    self.assertNotEqual(json.loads(line)["event"], "forged")
                else:
                    self.assertRegex(line, r"^\d{4}-\d\d-\d\dT[\d:.]+Z (debug|info|warn|error) ")

    def test_a_client_that_leaves_is_in_the_log(self):
        with weir.Server("--log-format", "json") as server:
            with httpx.stream("POST", server.url + CHAT, timeout=60, json={
                    "messages": [{"role": "user", "content": "Count."}], "max_tokens": 400, "ignore_eos": True, "stream": True}) as r:
                next(r.iter_raw())
            line, = self.request_lines(server, 1)
            self.assertEqual((line["status"], line["disconnect"]), (200, "peer_closed"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
