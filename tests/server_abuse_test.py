"""Clients that lie, stall, flood and vanish: each gets the answer of the contract, the process lives, no page is lost."""

import asyncio
import json
import random
import socket
import sys
import threading
import time
import unittest

import weir_process as weir

weir.skip_unless(weir.WEIR, weir.MODEL)
import httpx  # noqa: E402

CONNECTIONS = 500
CANCELLED = 1000
CHAT = "/v1/chat/completions"
server = None


def chat_body(**options):
    return {"model": server.model, "messages": [{"role": "user", "content": "Tell me a story."}], "max_tokens": 8, **options}


def post(body, route=CHAT, **headers):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx.post(server.url + route, content=content, headers={"content-type": "application/json", **headers}, timeout=120)


def raw(data, timeout_s=30):
    """Sends bytes, returns everything that comes until the peer closes."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=timeout_s * weir.SLOWDOWN) as s:
        s.sendall(data)
        answer = b""
        try:
            while chunk := s.recv(65536):
                answer += chunk
        except ConnectionResetError:
            pass
        return answer


def metrics():
    return httpx.get(server.url + "/metrics", timeout=60).text


class Abuse(unittest.TestCase):
    def tearDown(self):
        self.assertIsNone(server.process.poll(), "the server died")
        self.assertEqual(httpx.get(server.url + "/health", timeout=60).status_code, 200)

    def assert_refused(self, reply, status, code):
        self.assertEqual(reply.status_code, status, reply.text[:300])
        error = reply.json()["error"]
        self.assertEqual(error["code"], code, error)
        self.assertEqual(sorted(error), ["code", "message", "param", "type"])

    def test_what_is_not_json(self):
        deep = b'{"a":' * 2000 + b"1" + b"}" * 2000
        for body in (b"", b"{", b"nul", b'{"a":1,"a":2}', b'{"a":"\xff"}', b'{"a":1}x', deep, b"[" * 100_000, b'{"a":NaN}', b"\xef\xbb\xbf{}"):
            with self.subTest(body=body[:20]):
                self.assert_refused(post(body), 400, "invalid_json")

    def test_values(self):
        for options, param in (({"max_tokens": -1}, "max_tokens"), ({"max_tokens": 1.5}, "max_tokens"), ({"max_tokens": "9"}, "max_tokens"),
                               ({"temperature": 99}, "temperature"), ({"top_k": -7}, "top_k"), ({"stop": [1]}, "stop[0]"),
                               ({"logit_bias": {"x": 1}}, None), ({"logit_bias": {"99999999": 1}}, None), ({"n": 10**9}, "n"),
                               ({"seed": "x"}, "seed"), ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
                               ({"messages": {}}, "messages"), ({"stream": "yes"}, "stream")):
            with self.subTest(options=options):
                reply = post(chat_body(**options))
                self.assert_refused(reply, 400, "invalid_value")
                if param:
                    self.assertEqual(reply.json()["error"]["param"], param)

    def test_ten_megabytes_of_prompt(self):
        start = time.monotonic()
        reply = post(chat_body(messages=[{"role": "user", "content": "a b " * 2_500_000}]))
        self.assertIn((reply.status_code, reply.json()["error"]["code"]),
                      ((400, "context_length_exceeded"), (400, "max_input_tokens_exceeded"), (413, "body_too_large")))
        self.assertLess(time.monotonic() - start, 5 * weir.SLOWDOWN)

    def test_body_over_the_limit(self):
        answer = raw(f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n".encode())
        self.assertTrue(answer.startswith(b"HTTP/1.1 413 "), answer[:200])

    def test_smuggling_and_broken_heads(self):
        head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n".encode()
        for name, data, status in (
                ("length beside chunked", head + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"400"),
                ("two lengths", head + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", b"400"),
                ("bad chunk", head + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n", b"400"),
                ("bad start line", b"GET\r\n\r\n", b"400"),
                ("binary", bytes(range(128, 256)) * 8 + b"\r\n\r\n", b"400"),
                ("endless target", b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"414"),
                ("endless header", b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 200_000 + b"\r\n\r\n", b"431"),
                ("many headers", b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 5000 + b"\r\n", b"431")):
            with self.subTest(name):
                answer = raw(data)
                self.assertEqual(answer.split(b" ")[1:2], [status], answer[:200])

    def test_media_type(self):
        reply = httpx.post(server.url + CHAT, content=b"a=b", headers={"content-type": "application/x-www-form-urlencoded"})
        self.assertEqual(reply.status_code, 415)

    def test_one_byte_a_second(self):
        with socket.create_connection(("127.0.0.1", server.port), timeout=1) as slow:
            start, answer = time.monotonic(), b""
            for byte in b"GET /health HTTP/1.1\r\nHost: x\r\nX-Padding: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa":
                try:
                    slow.sendall(bytes([byte]))
                    answer = slow.recv(4096)
                    break
                except TimeoutError:
                    continue
                except (BrokenPipeError, ConnectionResetError):
                    break
            self.assertTrue(answer.startswith(b"HTTP/1.1 408 "), answer[:100])
            self.assertLess(time.monotonic() - start, 30)

    def test_stalled_clients_hold_up_nobody(self):
        stalled = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(100)]
        try:
            for s in stalled:
                s.sendall(f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{{".encode())
            start = time.monotonic()
            self.assertEqual(post(chat_body()).status_code, 200)
            self.assertLess(time.monotonic() - start, 10 * weir.SLOWDOWN)
        finally:
            for s in stalled:
                s.close()

    def test_request_id_is_echoed_and_made(self):
        self.assertEqual(post(chat_body(max_tokens=1), **{"x-request-id": "mine-1"}).headers["x-request-id"], "mine-1")
        self.assertTrue(post(chat_body(max_tokens=1)).headers["x-request-id"])


class Flood(unittest.TestCase):
    """CONNECTIONS clients stream at once; half of them vanish in the middle."""

    async def client(self, number, vanish, counts):
        draw = random.Random(number)
        await asyncio.sleep(draw.random() * 2)
        body = json.dumps(chat_body(stream=True, max_tokens=draw.randint(4, 48), messages=[{"role": "user", "content": f"Story {number}."}],
                                    ignore_eos=True)).encode()
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        except OSError:
            counts["no connection"] += 1
            return
        try:
            writer.write(f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\n"
                         f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
            head = await reader.readuntil(b"\r\n\r\n")
            status = int(head.split(b" ")[1])
            if status != 200:
                rest = await reader.read()
                if status == 503 and b"server_overloaded" in rest and b"retry-after" in head.lower():
                    counts["refused"] += 1
                else:
                    counts[f"status {status}"] = counts.get(f"status {status}", 0) + 1
            elif vanish:
                for _ in range(draw.randint(0, 3)):
                    await reader.readuntil(b"\n\n")
                counts["vanished"] += 1
            else:
                done = (await reader.read()).rstrip()
                counts["answered" if b"data: [DONE]" in done else "cut"] += 1
        except (OSError, asyncio.IncompleteReadError):
            counts["cut"] += 1
        finally:
            writer.transport.abort()

    def test_flood(self):
        before = metrics()
        counts = {"answered": 0, "refused": 0, "vanished": 0, "cut": 0, "no connection": 0}

        async def flood():
            await asyncio.wait_for(asyncio.gather(*(self.client(i, i % 2 == 0, counts) for i in range(CONNECTIONS))), 300 * weir.SLOWDOWN)

        start = time.monotonic()
        asyncio.run(flood())
        print(f"\n{CONNECTIONS} connections in {time.monotonic() - start:.1f} s: {counts}")
        self.assertEqual(counts["answered"] + counts["refused"] + counts["vanished"], CONNECTIONS, counts)
        self.assertGreater(counts["answered"], 0)
        deadline = time.monotonic() + 2 * weir.SLOWDOWN
        while True:
            after = metrics()
            running = weir.metric(after, "vllm:num_requests_running") + weir.metric(after, "vllm:num_requests_waiting")
            if running == 0:
                break
            self.assertLess(time.monotonic(), deadline, f"{running} requests of vanished clients remain")
            time.sleep(0.1)
        self.assertEqual(weir.metric(after, "vllm:kv_cache_usage_perc"), 0)
        self.assertEqual(weir.metric(after, "weir_kv_headroom_bytes"), weir.metric(before, "weir_kv_headroom_bytes"))
        self.assertEqual(post(chat_body()).status_code, 200)


class CancelStorm(unittest.TestCase):
    """CANCELLED streams, each left by its client after the first piece: all pages are free within a second, and the next request is served."""

    AT_ONCE = 50

    async def leave(self, number, counts):
        body = json.dumps({"model": server.model, "prompt": [1, 2, 3 + number % 7], "max_tokens": 2000, "stream": True, "ignore_eos": True}).encode()
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        try:
            writer.write(f"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                         f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
            head = await reader.readuntil(b"\r\n\r\n")
            counts[head[9:12]] = counts.get(head[9:12], 0) + 1
            await reader.readuntil(b"\n\n")
        finally:
            if number % 2 == 0:
                writer.transport.abort()  # a reset where bytes are unread
            else:
                writer.close()

    def test_pages_come_back(self):
        before, counts = metrics(), {}

        async def storm():
            places = asyncio.Semaphore(self.AT_ONCE)

            async def one(number):
                async with places:
                    await self.leave(number, counts)

            await asyncio.wait_for(asyncio.gather(*(one(i) for i in range(CANCELLED))), 60 * weir.SLOWDOWN)

        start = time.monotonic()
        asyncio.run(storm())
        last = time.monotonic()
        self.assertEqual(counts, {b"200": CANCELLED})
        while True:
            after, now = metrics(), time.monotonic()
            left = weir.metric(after, "vllm:num_requests_running") + weir.metric(after, "vllm:num_requests_waiting")
            used = weir.metric(after, "vllm:kv_cache_usage_perc")
            if left == 0 and used == 0:
                break
            self.assertLess(now - last, 1 * weir.SLOWDOWN, f"{left} requests and {used} of the pages remain")
            time.sleep(0.02)
        print(f"\n{CANCELLED} streams left in {last - start:.1f} s; all pages free {(now - last) * 1e3:.0f} ms after the last")
        self.assertEqual(weir.metric(after, "weir_kv_headroom_bytes"), weir.metric(before, "weir_kv_headroom_bytes"))
        gone = weir.metric(after, "weir_requests_cancelled_total") - weir.metric(before, "weir_requests_cancelled_total")
        self.assertEqual(gone, CANCELLED)
        self.assertEqual(post(chat_body()).status_code, 200)


class Drain(unittest.TestCase):
    def test_sigterm_lets_the_stream_end(self):
        with weir.Server() as own:
            body = {"model": own.model, "messages": [{"role": "user", "content": "Count."}], "max_tokens": 60, "stream": True, "ignore_eos": True}
            with httpx.stream("POST", own.url + CHAT, json=body, timeout=120) as reply:
                lines = reply.iter_lines()
                next(lines)
                own.process.terminate()
                text = "\n".join(lines)
            self.assertIn("data: [DONE]", text)
            self.assertEqual(own.process.wait(30 * weir.SLOWDOWN), 0)
            own.process = weir.FinishedWell()

    def test_a_second_sigterm_ends_the_wait(self):
        with weir.Server("--drain-timeout", 600) as own:
            body = {"model": own.model, "messages": [{"role": "user", "content": "Count."}], "max_tokens": 7000, "stream": True, "ignore_eos": True}
            with httpx.stream("POST", own.url + CHAT, json=body, timeout=120) as reply:
                lines = reply.iter_lines()
                next(lines)
                own.process.terminate()
                time.sleep(0.5)
                self.assertIsNone(own.process.poll(), "the first signal waits for the stream")
                own.process.terminate()
                rest = "\n".join(lines)
            self.assertEqual(own.process.wait(10 * weir.SLOWDOWN), 0)
            own.process = weir.FinishedWell()
        event = [line for line in rest.splitlines() if line.startswith("data: ")][-1]
        self.assertEqual(json.loads(event[6:])["error"]["code"], "server_overloaded")
        self.assertNotIn("[DONE]", rest)

    def test_what_the_drain_timeout_ends_is_answered(self):
        with weir.Server("--drain-timeout", 1, "--max-running", 1) as own:
            body = {"model": own.model, "prompt": "a", "max_tokens": 7000, "ignore_eos": True}
            replies = []

            def ask(**more):
                replies.append(httpx.post(own.url + "/v1/completions", json={**body, **more}, timeout=120 * weir.SLOWDOWN))

            # One runs, one waits, and so does a stream that has sent no byte.
            clients = [threading.Thread(target=ask, kwargs=more) for more in ({}, {}, {"stream": True})]
            end = time.monotonic() + 30 * weir.SLOWDOWN
            for c, name, count in zip(clients, ("running", "waiting", "waiting"), (1, 1, 2)):
                c.start()
                while weir.metric(httpx.get(own.url + "/metrics").text, "vllm:num_requests_" + name) < count:
                    self.assertLess(time.monotonic(), end)
                    time.sleep(0.02)
            own.process.terminate()
            for c in clients:
                c.join(30 * weir.SLOWDOWN)
            self.assertEqual(own.process.wait(10 * weir.SLOWDOWN), 0)
            own.process = weir.FinishedWell()
        self.assertEqual(len(replies), 3, "a connection was closed without an answer")
        for reply in replies:
            self.assert_overloaded(reply)

    def assert_overloaded(self, reply):
        self.assertEqual(reply.status_code, 503, reply.text)
        self.assertEqual(reply.json()["error"]["code"], "server_overloaded")
        self.assertGreaterEqual(int(reply.headers["retry-after"]), 1)


if __name__ == "__main__":
    with weir.Server() as server:
        ok = unittest.main(exit=False, verbosity=2).result.wasSuccessful()
    sys.exit(0 if ok else 1)
