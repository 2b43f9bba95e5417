"""weir gateway with unmodified clients: a real weir serve, mocks that die, keys, what --check says, and its end."""

import concurrent.futures
import contextlib
import pathlib
import signal
import socket
import subprocess
import tempfile
import time
import unittest

import weir_process as weir

weir.skip_unless(weir.WEIR, weir.MODEL)
import httpx  # noqa: E402
import openai  # noqa: E402

directory = tempfile.TemporaryDirectory()
HOME = pathlib.Path(directory.name)
ASK = {"messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 8}


@contextlib.contextmanager
def running(port, *arguments):
    """A weir that listens on the port; ended by SIGTERM, or killed by the test."""
    process = subprocess.Popen([str(weir.WEIR), *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE)
    try:
        for _ in range(int(400 * weir.SLOWDOWN)):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            if process.poll() is not None:
                raise RuntimeError(process.stderr.read().decode())
            time.sleep(0.025)
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30 * weir.SLOWDOWN)


@contextlib.contextmanager
def gateway(text):
    port = weir.free_port()
    path = HOME / f"gateway-{port}.yaml"
    path.write_text(f"listen: {{port: {port}}}\n{text}")
    with running(port, "gateway", path, "--log-level", "warn") as process:
        yield f"http://127.0.0.1:{port}", process


def mock(port, *arguments):
    return running(port, "bench", "mock", "--port", port, *arguments)


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


class Configuration(unittest.TestCase):
    def test_check_says_what_would_be_served_and_what_is_wrong(self):
        path = HOME / "check.yaml"
        path.write_text("listen: {port: 0}\n" + pool("mocks", 1234))
        code, out, err = weir.run("gateway", path, "--check")
        self.assertEqual((code, err), (0, ""))
        self.assertIn("mocks (openai, 1 endpoint)", out)
        path.write_text("listen: {port: 0}\n" + pool("mocks", 1234).replace("targets", "target"))
        code, _, err = weir.run("gateway", path, "--check")
        self.assertEqual(code, 3)
        self.assertIn("check.yaml:3", err)
        self.assertIn("targets", err)


if __name__ == "__main__":
    unittest.main()
