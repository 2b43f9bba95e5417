"""Streams that break off in the middle, at weir gateway with unmodified clients: the answer goes on at another endpoint and is the same."""

import contextlib
import pathlib
import socket
import tempfile
import threading
import unittest

import weir_process as weir

weir.skip_unless(weir.WEIR, weir.MODEL)
import anthropic  # noqa: E402
import httpx  # noqa: E402
import mock_llm  # noqa: E402
import openai  # noqa: E402

directory = tempfile.TemporaryDirectory()
HOME = pathlib.Path(directory.name)
# Endpoints that break at every request are what these tests ask for again.
PATIENT = "breaker: {in_a_row: 0, failure_rate: 2}, outlier: {consecutive_failures: 0}, retry_budget: {min_per_s: 1000}, health: {path: none}"


@contextlib.contextmanager
def gateway(first, second, engine, model, ledger=None):
    """Two endpoints of one model; the second is asked when the first is not there."""
    port = weir.free_port()
    path = HOME / f"gateway-{port}.yaml"
    path.write_text(
        f"listen: {{port: {port}}}\n" + (f"ledger: {{file: {ledger}}}\n" if ledger else "") +
        f'upstreams:\n  a: {{engine: {engine}, endpoints: ["{first}"], {PATIENT}}}\n  b: {{engine: {engine}, endpoints: ["{second}"], {PATIENT}}}\n'
        "models:\n  chat:\n    retries: {continue_streams: true}\n"
        f"    targets: [{{upstream: a, model: {model}, release: r}}, {{upstream: b, model: {model}, release: r, tier: 1}}]\n")
    with weir.gateway(path, port, "warn") as url:
        yield url


class CuttingRelay:
    """Between a client and a server on loopback: closes both after `events` server-sent events of an answer."""

    def __init__(self, port):
        self.backend, self.events = port, 1 << 30
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.create_connection(("127.0.0.1", self.backend))
                threading.Thread(target=self.pump, args=(client, server, False), daemon=True).start()
                threading.Thread(target=self.pump, args=(server, client, True), daemon=True).start()

    def pump(self, source, target, counts):
        seen = b""
        with contextlib.suppress(OSError):
            while piece := source.recv(65536):
                if counts:
                    before, seen = len(seen), seen + piece
                    parts = seen.split(b"\n\n")
                    if len(parts) > self.events:  # the end of the last event that goes through
                        target.sendall(seen[before:max(before, len(b"\n\n".join(parts[:self.events]) + b"\n\n"))])
                        break
                target.sendall(piece)
        for s in (source, target):
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
        if counts:
            source.close()
            target.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()


class RealModel(unittest.TestCase):
    """weir serve, twice: greedy text that was cut at any event is, to the byte, the text of a run that was not."""

    ASK = {"messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 99}

    def test_the_text_is_that_of_an_uncut_run(self):
        with weir.Server("--threads", 1) as one, weir.Server("--threads", 1) as two, CuttingRelay(one.port) as relay:
            with gateway(relay.url, two.url, "weir", one.model) as url:
                client = openai.OpenAI(base_url=url + "/v1", api_key="x", max_retries=0)

                def chat(events):
                    relay.events = events
                    return list(client.chat.completions.create(model="chat", temperature=0, stream=True,
                                                               stream_options={"include_usage": True}, **self.ASK))

                def text_of(parts):
                    return "".join(p.choices[0].delta.content or "" for p in parts if p.choices)

                whole = chat(1 << 30)
                self.assertGreater(len(whole), 20)
                for cut in range(len(whole)):
                    with self.subTest(cut=cut):
                        parts = chat(cut)
                        self.assertEqual(text_of(parts), text_of(whole))
                        self.assertEqual(len({p.id for p in parts}), 1)
                        self.assertEqual(sum(1 for p in parts if p.choices and p.choices[0].delta.role), 1)
                        self.assertEqual([p.choices[0].finish_reason for p in parts if p.choices and p.choices[0].finish_reason], ["stop"])
                        if parts[-1].usage:  # else it broke off behind the finish reason
                            self.assertEqual(parts[-1].usage.total_tokens, whole[-1].usage.total_tokens)

                def complete(events):
                    relay.events = events
                    parts = client.completions.create(model="chat", temperature=0, stream=True, prompt="The capital of France is", max_tokens=12)
                    return "".join(p.choices[0].text for p in parts if p.choices)

                text = complete(1 << 30)
                for cut in (1, 5, 9):  # a token more where two had come as one delta
                    self.assertTrue(complete(cut).startswith(text))


class BothClients(unittest.TestCase):
    """The clients' own stream helpers see one message, whatever the upstream speaks."""

    WORDS = "one two three four five"

    def test_cut_at_every_event(self):
        for engine in ("vllm", "llamacpp", "anthropic"):
            with mock_llm.MockLlm() as bad, mock_llm.MockLlm() as good:
                with gateway(bad.url, good.url, engine + (", continue_by: prefill" if engine == "anthropic" else ""), "m") as url:
                    o = openai.OpenAI(base_url=url + "/v1", api_key="x", max_retries=0)
                    a = anthropic.Anthropic(base_url=url, api_key="x", max_retries=0)
                    ask = [{"role": "user", "content": self.WORDS}]
                    for cut in range(1, 13):
                        bad.behave(f"cut-{cut}")
                        if engine == "anthropic" and 3 < cut < 10:
                            continue  # its words end in blanks, and such a text is refused there
                        with self.subTest(engine=engine, cut=cut):
                            with o.chat.completions.stream(model="chat", messages=ask) as stream:
                                said = stream.get_final_completion()
                            self.assertEqual(said.choices[0].message.content, "You said: " + self.WORDS)
                            self.assertEqual(said.choices[0].finish_reason, "stop")
                            with a.messages.stream(model="chat", messages=ask, max_tokens=99) as stream:
                                message = stream.get_final_message()
                            self.assertEqual([b.text for b in message.content], ["You said: " + self.WORDS])
                            self.assertEqual(message.stop_reason, "end_turn")
                            if message.usage.output_tokens:  # else it broke off behind the finish reason
                                self.assertEqual(message.usage.output_tokens, 7)

    def test_what_is_not_to_go_on_ends_in_an_error(self):
        with mock_llm.MockLlm() as bad, mock_llm.MockLlm() as good:
            bad.behave("cut")
            ledger = HOME / "ledger.db"
            with gateway(bad.url, good.url, "vllm", "m", ledger) as url:
                body = {"model": "chat", "stream": True, "messages": [{"role": "user", "content": self.WORDS}]}
                went_on = httpx.post(url + "/v1/chat/completions", json=body, timeout=30).text
                self.assertIn("\n\n: weir continued at b, attempt 2\n\n", went_on)
                self.assertIn("[DONE]", went_on)
                broke = httpx.post(url + "/v1/chat/completions", json={**body, "response_format": {"type": "json_object"}}, timeout=30).text
                self.assertIn('"upstream_error"', broke)
                self.assertNotIn("[DONE]", broke)
        code, out, err = weir.run("cost", "report", "--ledger", ledger, "--by", "upstream", "--json")
        self.assertEqual(code, 0, err)
        self.assertIn('"continued":1', out.replace(" ", ""))


if __name__ == "__main__":
    unittest.main()
