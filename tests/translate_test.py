"""The unmodified openai and anthropic clients against mocks of the other protocol, through the gateway's translation: a door in Python moves
bytes, src/gateway/translate decides what they say."""

import http.client
import http.server
import json
import os
import subprocess
import threading
import unittest

import anthropic
import mock_llm
import openai

LINES = os.environ["WEIR_TRANSLATE_LINES"]
TOOL = {"type": "object", "properties": {"city": {"type": "string"}}}


class Door(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        server = self.server
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        path = self.path.split("?")[0]
        lines = subprocess.Popen([LINES], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

        def ask(**line):
            lines.stdin.write(json.dumps(line) + "\n")
            lines.stdin.flush()
            return json.loads(lines.stdout.readline())

        client = "anthropic" if path.startswith("/v1/messages") else "openai"
        out = ask(client=client, upstream=server.upstream, path=path, body=raw.decode(), model=server.model)
        server.altered = out.get("altered")
        if "error" not in out:
            connection = http.client.HTTPConnection("127.0.0.1", server.mock.port)
            connection.request("POST", out["path"], out["body"], {"Content-Type": "application/json"})
            response = connection.getresponse()
            try:
                body = response.read()
            except http.client.IncompleteRead as e:
                body = e.partial
            out = ask(status=response.status, content_type=response.headers.get("Content-Type", ""), body=body.decode())
            connection.close()
        lines.stdin.close()
        lines.wait()
        lines.stdout.close()
        data = out["body"].encode()
        self.send_response(out["status"])
        self.send_header("Content-Type", out["content_type"])
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


class Translate(unittest.TestCase):
    def setUp(self):
        self.mock = mock_llm.MockLlm(answer_model="upstream-name")
        self.mock.__enter__()
        self.addCleanup(self.mock.__exit__)
        self.door = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Door)
        self.door.mock, self.door.model = self.mock, "toy"
        threading.Thread(target=self.door.serve_forever, args=(0.02,), daemon=True).start()
        self.addCleanup(self.door.server_close)
        self.addCleanup(self.door.shutdown)
        url = f"http://127.0.0.1:{self.door.server_address[1]}"
        self.openai = openai.OpenAI(base_url=url + "/v1", api_key="none", max_retries=0)
        self.anthropic = anthropic.Anthropic(base_url=url, api_key="none", max_retries=0)

    def upstreams(self):
        for name in ("openai", "anthropic"):
            self.door.upstream = name
            with self.subTest(upstream=name):
                yield name

    def chat(self, text, model="alias", **more):
        return self.openai.chat.completions.create(model=model, messages=[{"role": "user", "content": text}], **more)

    def message(self, text, model="alias", **more):
        return self.anthropic.messages.create(model=model, max_tokens=100, messages=[{"role": "user", "content": text}], **more)

    def test_openai_client(self):
        for _ in self.upstreams():
            r = self.chat("hello there")
            self.assertEqual(r.choices[0].message.content, "You said: hello there")
            self.assertEqual((r.model, r.choices[0].finish_reason), ("alias", "stop"))
            self.assertEqual((r.usage.prompt_tokens, r.usage.prompt_tokens_details.cached_tokens, r.usage.completion_tokens), (2, 1, 4))
            chunks = list(self.chat("hello there", stream=True, stream_options={"include_usage": True}))
            self.assertEqual("".join(c.choices[0].delta.content or "" for c in chunks if c.choices), "You said: hello there")
            self.assertEqual([c.choices[0].finish_reason for c in chunks if c.choices][-1], "stop")
            self.assertEqual((chunks[-1].choices, chunks[-1].usage.completion_tokens), ([], 4))
            self.assertEqual({c.model for c in chunks}, {"alias"})
            # Without the wish for it no chunk has no choices.
            self.assertTrue(all(c.choices for c in self.chat("hello", stream=True)))
            self.assertEqual(self.chat("a b c", max_tokens=2).choices[0].finish_reason, "length")

    def test_openai_client_with_tools(self):
        tools = [{"type": "function", "function": {"name": n, "description": "d", "parameters": TOOL}} for n in ("weather", "time")]
        for _ in self.upstreams():
            messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "call both"}]
            first = self.openai.chat.completions.create(model="m", messages=messages, tools=tools).choices[0]
            self.assertEqual(first.finish_reason, "tool_calls")
            calls = first.message.tool_calls
            self.assertEqual([(c.function.name, json.loads(c.function.arguments)["day"]) for c in calls], [("weather", 0), ("time", 1)])
            with self.openai.chat.completions.stream(model="m", messages=messages, tools=tools) as stream:
                final = stream.get_final_completion().choices[0].message
            self.assertEqual([(c.id, c.function.name, c.function.arguments) for c in final.tool_calls],
                             [(c.id, c.function.name, c.function.arguments) for c in calls])
            messages += [first.message.to_dict()] + [{"role": "tool", "tool_call_id": c.id, "content": "fine"} for c in calls]
            last = self.openai.chat.completions.create(model="m", messages=messages, tools=tools).choices[0]
            self.assertEqual((last.message.content, last.finish_reason), ("You said: call both", "stop"))

    def test_anthropic_client(self):
        for _ in self.upstreams():
            r = self.message("hello there", system="Be brief.")
            self.assertEqual((r.content[0].text, r.model, r.stop_reason), ("You said: hello there", "alias", "end_turn"))
            self.assertEqual((r.usage.input_tokens + r.usage.cache_read_input_tokens, r.usage.output_tokens), (4, 4))
            with self.anthropic.messages.stream(model="alias", max_tokens=100, messages=[{"role": "user", "content": "hi you"}]) as stream:
                self.assertEqual("".join(stream.text_stream), "You said: hi you")
                final = stream.get_final_message()
            self.assertEqual((final.stop_reason, final.model), ("end_turn", "alias"))
            self.assertEqual((final.usage.input_tokens + final.usage.cache_read_input_tokens, final.usage.output_tokens), (2, 4))

    def test_anthropic_client_with_tools(self):
        tools = [{"name": n, "description": "d", "input_schema": TOOL} for n in ("weather", "time")]
        for _ in self.upstreams():
            messages = [{"role": "user", "content": [{"type": "text", "text": "call both"}]}]
            first = self.anthropic.messages.create(model="m", max_tokens=100, messages=messages, tools=tools)
            self.assertEqual(first.stop_reason, "tool_use")
            calls = [b for b in first.content if b.type == "tool_use"]
            self.assertEqual([(c.name, c.input["day"]) for c in calls], [("weather", 0), ("time", 1)])
            with self.anthropic.messages.stream(model="m", max_tokens=100, messages=messages, tools=tools) as stream:
                final = stream.get_final_message()
            self.assertEqual([(c.id, c.name, c.input) for c in final.content if c.type == "tool_use"], [(c.id, c.name, c.input) for c in calls])
            self.assertEqual(final.stop_reason, "tool_use")
            messages += [{"role": "assistant", "content": first.content},
                         {"role": "user", "content": [{"type": "tool_result", "tool_use_id": c.id, "content": "fine"} for c in calls]}]
            last = self.anthropic.messages.create(model="m", max_tokens=100, messages=messages, tools=tools)
            self.assertEqual((last.content[0].text, last.stop_reason), ("You said: call both", "end_turn"))

    def test_errors(self):
        for _ in self.upstreams():
            for model, o, a in (("429", openai.RateLimitError, anthropic.RateLimitError), ("400", openai.BadRequestError, anthropic.BadRequestError),
                                ("500", openai.InternalServerError, anthropic.InternalServerError),
                                ("529", openai.InternalServerError, anthropic.InternalServerError),
                                ("html", openai.InternalServerError, anthropic.InternalServerError)):
                self.door.model = model
                with self.assertRaises(o):
                    self.chat("x")
                with self.assertRaises(a) as caught:
                    self.message("x")
                self.assertEqual(caught.exception.body["type"], "error")
            for model in ("cut", "cut-clean", "error-mid", "malformed", "huge"):
                self.door.model = model
                with self.assertRaises(openai.APIError):
                    list(self.chat("one two three", stream=True))
                with self.assertRaises(anthropic.APIStatusError):
                    list(self.message("one two three", stream=True))
            self.door.model = "no-done"
            self.assertEqual([c.choices[0].finish_reason for c in self.chat("x", stream=True)][-1], "stop")
            self.assertEqual(list(self.message("x", stream=True))[-1].type, "message_stop")
        self.door.model, self.door.upstream = "toy", "anthropic"
        with self.assertRaises(openai.BadRequestError) as caught:
            self.chat("x", n=2)
        self.assertEqual(caught.exception.param, "n")
        self.chat("x", seed=1)
        self.assertEqual(self.door.altered, ["seed"])


if __name__ == "__main__":
    unittest.main()
