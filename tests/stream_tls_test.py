"""WebSocket and TLS with clients that others wrote: the package websockets, httpx, and the certificates of openssl's command line."""

import asyncio
import json
import os
import pathlib
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import weir_process as weir

weir.skip_unless(weir.WEIR, weir.MODEL)
import httpx  # noqa: E402
import websockets  # noqa: E402

REQUEST = {"type": "chat.completions", "messages": [{"role": "user", "content": "Count to five."}], "max_tokens": 12, "temperature": 0,
           "ignore_eos": True}
CANCELS = 200
server = None


async def answer(socket):
    """All messages up to the end of an answer."""
    messages = []
    while True:
        messages.append(json.loads(await asyncio.wait_for(socket.recv(), 60 * weir.SLOWDOWN)))
        if "error" in messages[-1] or messages[-1].get("type") in ("done", "cancelled"):
            return messages


def text_of(messages):
    return "".join(c["delta"].get("content") or "" for m in messages for c in m.get("choices", []))


class Stream(unittest.TestCase):
    def url(self):
        return server.url.replace("http", "ws") + "/v1/stream"

    def test_the_same_text_as_over_http(self):
        async def talk():
            async with websockets.connect(self.url()) as socket:
                self.assertEqual(socket.response.headers.get("Sec-WebSocket-Extensions"), None)
                for _ in range(3):
                    await socket.send(json.dumps(REQUEST))
                    messages = await answer(socket)
                    self.assertEqual(messages[-1], {"type": "done"})
                    yielded.append(text_of(messages))
                await (await socket.ping())

        yielded = []
        asyncio.run(talk())
        body = {k: v for k, v in REQUEST.items() if k != "type"}
        whole = httpx.post(server.url + "/v1/chat/completions", json=body, timeout=120).json()
        self.assertEqual(yielded, [whole["choices"][0]["message"]["content"]] * 3)

    def test_close_codes(self):
        async def code(message):
            # A server that stops reading in the middle of a message may reset the connection before its close frame is
            # read; the client then knows no code (http.WebSocketTest sees to the frame itself).
            try:
                async with websockets.connect(self.url()) as socket:
                    await socket.send(message)
                    await asyncio.wait_for(answer(socket), 30)
            except websockets.ConnectionClosed as closed:
                return closed.rcvd.code if closed.rcvd else None
            except (OSError, AttributeError):
                return None

        self.assertEqual(asyncio.run(code(b"{}")), 1003)
        self.assertIn(asyncio.run(code(" " * (9 << 20))), (1009, None))

    def test_cancel_storm(self):
        """Half of the requests are cancelled by message, half by going away: all pages come back."""

        async def one(number):
            async with websockets.connect(self.url()) as socket:
                await socket.send(json.dumps({**REQUEST, "max_tokens": 400}))
                await asyncio.wait_for(socket.recv(), 120 * weir.SLOWDOWN)
                if number % 2:
                    await socket.send('{"type":"cancel"}')
                    self.assertEqual((await answer(socket))[-1]["type"], "cancelled")
                else:
                    socket.transport.abort()

        async def storm():
            limit = asyncio.Semaphore(32)

            async def bounded(number):
                async with limit:
                    await one(number)

            await asyncio.gather(*(bounded(i) for i in range(CANCELS)))

        asyncio.run(storm())
        start = time.monotonic()
        while True:
            page = httpx.get(server.url + "/metrics", timeout=60).text
            if weir.metric(page, "vllm:num_requests_running") + weir.metric(page, "vllm:num_requests_waiting") == 0:
                break
            self.assertLess(time.monotonic() - start, 2 * weir.SLOWDOWN, "cancelled requests remain")
            time.sleep(0.02)
        print(f"\n{CANCELS} requests cancelled; none left {1e3 * (time.monotonic() - start):.0f} ms after the last")


class Tls(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.certificate, self.key = (str(pathlib.Path(self.folder.name) / name) for name in ("weir.crt", "weir.key"))
        self.make("localhost")

    def tearDown(self):
        self.folder.cleanup()

    def make(self, name):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "60",
                        "-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                        "-keyout", self.key, "-out", self.certificate], check=True, capture_output=True)

    def test_https_and_wss(self):
        with weir.Server("--tls-cert", self.certificate, "--tls-key", self.key) as own:
            trust = ssl.create_default_context(cafile=self.certificate)
            url = own.url.replace("http:", "https:")
            with httpx.Client(verify=trust, timeout=120) as client:
                body = {"messages": REQUEST["messages"], "max_tokens": 8, "stream": True}
                with client.stream("POST", url + "/v1/chat/completions", json=body) as reply:
                    self.assertIn("data: [DONE]", "\n".join(reply.iter_lines()))
                self.assertEqual(client.get(url + "/health").status_code, 200)
            plain = httpx.get(own.url + "/health")
            self.assertEqual((plain.status_code, plain.json()["error"]["code"]), (400, "bad_request"))
            self.assertIn("https://", plain.text)

            async def talk():
                async with websockets.connect(url.replace("https", "wss") + "/v1/stream", ssl=trust) as socket:
                    await socket.send(json.dumps(REQUEST))
                    return await answer(socket)

            self.assertEqual(asyncio.run(talk())[-1], {"type": "done"})

    def test_a_bad_certificate_leaves_the_old_keys_too(self):
        """A reload is all or nothing: new keys do not count when the certificate beside them is broken."""

        def new_keys():
            code, out, err = weir.run("keys", "new", "--tenant", "t", "--json")
            self.assertEqual(code, 0, err)
            entry = json.loads(out)["keys"][0]
            keys.write_text("tenants:\n  t: {}\nkeys:\n" + entry["entry"])
            keys.chmod(0o600)
            return entry["key"]

        keys = pathlib.Path(self.folder.name) / "keys.yaml"
        old = new_keys()
        with weir.Server("--tls-cert", self.certificate, "--tls-key", self.key, "--keys-file", keys) as own:
            trust = ssl.create_default_context(cafile=self.certificate)

            def status(key):
                url = own.url.replace("http:", "https:") + "/v1/models"
                return httpx.get(url, headers={"authorization": "Bearer " + key}, verify=trust, timeout=60).status_code

            self.assertEqual(status(old), 200)
            good = pathlib.Path(self.certificate).read_text()
            pathlib.Path(self.certificate).write_text("broken")
            new = new_keys()
            self.reload(own, "config_reload_failed")
            self.assertEqual((status(old), status(new)), (200, 401))
            pathlib.Path(self.certificate).write_text(good)
            self.reload(own, "config_reloaded")
            self.assertEqual((status(old), status(new)), (401, 200))

    def reload(self, own, event):
        before = own.text().count(event)
        own.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 30 * weir.SLOWDOWN
        while own.text().count(event) == before:
            self.assertLess(time.monotonic(), deadline, own.text()[-2000:])
            time.sleep(0.02)

    def test_errors_name_the_file(self):
        other = self.key + ".other"
        os.rename(self.key, other)
        self.make("second")
        for arguments, expected in (((self.certificate, other), f"the key in {other} is not that of {self.certificate}"),
                                    ((self.certificate, self.key + ".none"), "No such file"),
                                    ((self.key, self.key), "holds no certificate")):
            code, _, errors = weir.run("serve", weir.MODEL, "--port", 0, "--tls-cert", arguments[0], "--tls-key", arguments[1])
            self.assertNotEqual(code, 0)
            self.assertIn(expected, errors)


class Farewell(unittest.TestCase):
    """What the drain timeout cuts is told so."""

    def test_the_drain_timeout_ends_streams_with_an_error_event(self):
        with weir.Server("--drain-timeout", 1) as own:
            body = {"messages": REQUEST["messages"], "max_tokens": 7000, "ignore_eos": True}
            with httpx.stream("POST", own.url + "/v1/chat/completions", json={**body, "stream": True}, timeout=120) as reply:
                lines = reply.iter_lines()
                next(lines)
                own.process.send_signal(signal.SIGTERM)
                text = "\n".join(lines)
            self.assertIn('data: {"error":', text)
            self.assertNotIn("[DONE]", text)
            self.assertEqual(own.process.wait(30 * weir.SLOWDOWN), 0)
            own.process = weir.FinishedWell()

    def test_the_drain_timeout_answers_what_is_half_sent_and_a_websocket(self):
        body = json.dumps({"messages": REQUEST["messages"], "max_tokens": 7000, "ignore_eos": True}).encode()
        stream = json.dumps({**json.loads(body), "stream": True}).encode()

        def begin(port, sent, length=None):
            s = socket.create_connection(("127.0.0.1", port), timeout=60 * weir.SLOWDOWN)
            s.sendall(f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {length or len(sent)}\r\n\r\n"
                      .encode() + sent)
            return s

        def rest(s):
            with s:
                data = b""
                try:
                    while piece := s.recv(65536):
                        data += piece
                except ConnectionResetError:
                    pass
            return data

        async def talk(url, started):
            async with websockets.connect(url.replace("http", "ws") + "/v1/stream") as ws:
                await ws.send(json.dumps({**REQUEST, "max_tokens": 7000}))
                started.set()
                return await answer(ws)

        with weir.Server("--drain-timeout", 1) as own:
            asked = {"runs, streamed": begin(own.port, stream)}
            asked["runs, streamed"].recv(1)  # it has begun
            started, messages = threading.Event(), []
            socket_thread = threading.Thread(target=lambda: messages.extend(asyncio.run(talk(own.url, started))))
            socket_thread.start()
            self.assertTrue(started.wait(30 * weir.SLOWDOWN))
            self.wait_for(own, "vllm:num_requests_running", 2)
            asked["half sent"] = begin(own.port, body[:20], len(body))
            own.process.send_signal(signal.SIGTERM)
            answers = {name: rest(s) for name, s in asked.items()}
            socket_thread.join()
            self.assertEqual(own.process.wait(30 * weir.SLOWDOWN), 0)
            own.process = weir.FinishedWell()
        for name, got in answers.items():
            with self.subTest(name):
                self.assertIn(b'"code":"server_overloaded"', got)
                self.assertNotIn(b"[DONE]", got)
                if name == "runs, streamed":
                    self.assertIn(b'data: {"error":', got)
                else:
                    self.assertRegex(got, rb"^HTTP/1.1 503 (?s:.*)\r\n[Rr]etry-[Aa]fter: ")
        self.assertEqual(messages[-1]["error"]["code"], "server_overloaded")

    def wait_for(self, own, name, value):
        end = time.monotonic() + 30 * weir.SLOWDOWN
        while weir.metric(httpx.get(own.url + "/metrics", timeout=60).text, name) != value:
            self.assertLess(time.monotonic(), end, name)
            time.sleep(0.02)


if __name__ == "__main__":
    with weir.Server() as server:
        ok = unittest.main(exit=False, verbosity=2).result.wasSuccessful()
    sys.exit(0 if ok else 1)
