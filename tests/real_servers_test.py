"""weir gateway in front of servers with a real model: the openai and the anthropic client, whole answers, streams, tools, errors, a client that leaves.

At `weir serve`, and at llama.cpp's llama-server where WEIR_LLAMA_SERVER names one (https://github.com/ggml-org/llama.cpp)."""

import contextlib
import os
import pathlib
import subprocess
import tempfile
import time
import unittest

import weir_process as weir

weir.skip_unless(weir.WEIR, weir.MODEL)
import anthropic  # noqa: E402
import httpx  # noqa: E402
import openai  # noqa: E402

LLAMA_SERVER = os.environ.get("WEIR_LLAMA_SERVER")
ASK = [{"role": "user", "content": "What is the capital of France? Answer in one sentence."}]
LONG = [{"role": "user", "content": "Write a very long fairy tale about a miller, his three sons and a talking fox. Tell every detail."}]
COLD = {"temperature": 0}  # the anthropic client has no argument for it any more
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
directory = tempfile.TemporaryDirectory()


@contextlib.contextmanager
def running(command, port, path):
    process = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(int(1200 * weir.SLOWDOWN)):
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"http://127.0.0.1:{port}{path}").status_code == 200:
                    break
            if process.poll() is not None:
                raise RuntimeError(f"{command[0]} ended with {process.returncode}")
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(30 * weir.SLOWDOWN)


class AtOne:
    """What holds of every server; self.engine and self.command(port) are the subclass's."""

    engine, model, ready = "", "", ""

    @classmethod
    def setUpClass(cls):
        cls.stack = contextlib.ExitStack()
        cls.addClassCleanup(cls.stack.close)
        cls.port, door = weir.free_port(), weir.free_port()
        cls.stack.enter_context(running(cls.command(cls.port), cls.port, cls.ready))
        path = pathlib.Path(directory.name) / f"{cls.engine}.yaml"
        path.write_text(f"listen: {{port: {door}}}\nupstreams: {{pods: {{engine: {cls.engine}, endpoints: [\"http://127.0.0.1:{cls.port}\"]}}}}\n"
                        f"models: {{small: {{targets: [{{upstream: pods, model: {cls.model}}}]}}}}\n")
        cls.stack.enter_context(running([weir.WEIR, "gateway", path, "--log-level", "warn"], door, "/ready"))
        cls.door = f"http://127.0.0.1:{door}"
        cls.openai = openai.OpenAI(base_url=cls.door + "/v1", api_key="none", max_retries=0)
        cls.direct = openai.OpenAI(base_url=f"http://127.0.0.1:{cls.port}/v1", api_key="none", max_retries=0)
        cls.anthropic = anthropic.Anthropic(base_url=cls.door, api_key="none", max_retries=0)

    def pieces(self, client, model):
        """Texts, finish reasons and usage of a stream."""
        parts = list(client.chat.completions.create(model=model, messages=ASK, max_tokens=24, temperature=0, seed=1, stream=True,
                                                    stream_options={"include_usage": True}))
        return ("".join(c.delta.content or "" for p in parts for c in p.choices), [c.finish_reason for p in parts for c in p.choices if c.finish_reason],
                [p.usage.completion_tokens for p in parts if p.usage])

    def test_openai_whole_and_streaming(self):
        said = [c.chat.completions.create(model=m, messages=ASK, max_tokens=24, temperature=0, seed=1)
                for c, m in ((self.openai, "small"), (self.direct, self.model))]
        self.assertIn("Paris", said[0].choices[0].message.content)
        self.assertEqual(said[0].choices[0].message.content, said[1].choices[0].message.content)
        self.assertEqual((said[0].usage.prompt_tokens, said[0].usage.completion_tokens), (said[1].usage.prompt_tokens, said[1].usage.completion_tokens))
        self.assertEqual(said[0].model, "small")
        streamed = self.pieces(self.openai, "small")
        self.assertEqual(streamed, self.pieces(self.direct, self.model))
        self.assertEqual(streamed[0], said[0].choices[0].message.content)
        self.assertEqual(streamed[2], [said[0].usage.completion_tokens])

    def test_anthropic_whole_and_streaming(self):
        whole = self.anthropic.messages.create(model="small", messages=ASK, max_tokens=24, system="You answer briefly.", extra_body=COLD)
        self.assertIn("Paris", whole.content[0].text)
        self.assertEqual(whole.model, "small")
        self.assertGreater(whole.usage.input_tokens, 10)
        self.assertGreater(whole.usage.output_tokens, 2)
        with self.anthropic.messages.stream(model="small", messages=ASK, max_tokens=24, system="You answer briefly.", extra_body=COLD) as stream:
            text = "".join(stream.text_stream)
            last = stream.get_final_message()
        self.assertEqual(text, whole.content[0].text)
        self.assertEqual((last.stop_reason, last.usage.output_tokens), (whole.stop_reason, whole.usage.output_tokens))
        cut = self.anthropic.messages.create(model="small", messages=LONG, max_tokens=5)
        self.assertEqual(cut.stop_reason, "max_tokens")

    def test_tools(self):
        """Where the server makes calls, both clients get them, in streams too; else the tools are taken and text comes back."""
        tools = [{"type": "function", "function": {"name": "weather", "description": "The weather in a city", "parameters": CITY}}]
        asks = [{"role": "user", "content": "How is the weather in Paris?"}]
        calls = None
        with contextlib.suppress(openai.APIStatusError):  # not every server takes tool_choice, nor has every model's template calls
            own = self.direct.chat.completions.create(model=self.model, messages=asks, tools=tools, tool_choice="required", max_tokens=200,
                                                      temperature=0)
            calls = own.choices[0].message.tool_calls
        if os.environ.get("WEIR_LLAMA_TOOLS"):  # its model's template has calls
            self.assertTrue(calls, own)
        if not calls:
            said = self.openai.chat.completions.create(model="small", messages=asks, tools=tools, max_tokens=8)
            self.assertTrue(said.choices[0].message.content)
            said = self.anthropic.messages.create(model="small", messages=asks, max_tokens=8, tools=[{"name": "weather", "input_schema": CITY}])
            self.assertTrue(said.content[0].text)
            return
        called = self.openai.chat.completions.create(model="small", messages=asks, tools=tools, tool_choice="required", max_tokens=200, temperature=0)
        call = called.choices[0].message.tool_calls[0].function
        self.assertEqual((call.name, called.choices[0].finish_reason), ("weather", "tool_calls"))
        parts = list(self.openai.chat.completions.create(model="small", messages=asks, tools=tools, tool_choice="required", max_tokens=200, temperature=0,
                                                         stream=True))
        deltas = [t.function for p in parts for c in p.choices for t in c.delta.tool_calls or []]
        self.assertEqual(("".join(d.name or "" for d in deltas), "".join(d.arguments or "" for d in deltas)), ("weather", call.arguments))
        asked = {"model": "small", "messages": asks, "max_tokens": 200, "extra_body": COLD, "tool_choice": {"type": "any"},
                 "tools": [{"name": "weather", "description": "The weather in a city", "input_schema": CITY}]}
        used = self.anthropic.messages.create(**asked)
        self.assertEqual((used.stop_reason, used.content[-1].type, used.content[-1].name), ("tool_use", "tool_use", "weather"))
        self.assertIn("city", used.content[-1].input)
        with self.anthropic.messages.stream(**asked) as stream:
            last = stream.get_final_message()
        self.assertEqual((last.stop_reason, last.content[-1].input), ("tool_use", used.content[-1].input))

    def test_what_the_server_refuses(self):
        with self.assertRaises(openai.APIStatusError) as refused:
            self.openai.chat.completions.create(model="small", messages=[{"role": "user", "content": "a " * 40_000}], max_tokens=4)
        self.assertEqual(refused.exception.status_code, 400)
        with self.assertRaises(anthropic.BadRequestError):
            self.anthropic.messages.create(model="small", messages=[{"role": "user", "content": "a " * 40_000}], max_tokens=4)
        state = httpx.get(self.door + "/metrics").text
        self.assertNotIn('retries_total{decision="sent"}', state.replace("weir_gateway_", ""))

    def test_a_client_that_leaves(self):
        before = self.running_requests()
        stream = self.openai.chat.completions.create(model="small", messages=LONG, max_tokens=1500, stream=True)
        next(iter(stream))
        self.assertEqual(self.running_requests(), before + 1)
        stream.close()
        for _ in range(int(100 * weir.SLOWDOWN)):
            if self.running_requests() == before:
                return
            time.sleep(0.02)
        self.fail("the server still computes for a client that is gone")


class WeirServe(AtOne, unittest.TestCase):
    engine, model, ready = "weir", weir.MODEL.stem, "/ready"

    @classmethod
    def command(cls, port):
        return [weir.WEIR, "serve", weir.MODEL, "--host", "127.0.0.1", "--port", port, "--threads", 1]

    def running_requests(self):
        return weir.metric(httpx.get(f"http://127.0.0.1:{self.port}/metrics").text, "vllm:num_requests_running")


@unittest.skipUnless(LLAMA_SERVER, "WEIR_LLAMA_SERVER names no llama-server")
class LlamaServer(AtOne, unittest.TestCase):
    engine, model, ready = "llamacpp", "smollm2", "/health"

    @classmethod
    def command(cls, port):
        return [LLAMA_SERVER, "-m", weir.MODEL, "--alias", cls.model, "--host", "127.0.0.1", "--port", port, "-t", 1, "-np", 2, "-c", 8192,
                "--jinja", "--metrics"]

    def running_requests(self):
        return weir.metric(httpx.get(f"http://127.0.0.1:{self.port}/metrics").text, "llamacpp:requests_processing")


if __name__ == "__main__":
    unittest.main()
