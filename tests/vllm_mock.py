"""A server on loopback that answers as vLLM does, with a toy in place of a model: what it says follows from the prompt alone. For tests of
clients. Tokens are words with the blank before them, behind a BOS token that vLLM decodes as "<s>", so that text_offset is off by three."""

import http.server
import json
import re
import threading
import time
import zlib

BOS = "<s>"


def tokens(text, special=True):
    return ([BOS] if special else []) + re.findall(r"\s*\S+|\s+$", text)


def logprob(before, token):
    """Of a token behind the text `before`: anything that depends on both."""
    return -0.1 - zlib.crc32((before[-12:] + "|" + token).encode()) % 1000 / 100


def prompt_logprobs(text):
    """One a token, None for the first."""
    out, before = [], ""
    for i, token in enumerate(tokens(text)):
        out.append(None if i == 0 else logprob(before, token))
        before += token
    return out


class Mock:
    """As a context manager. hook(path, body, headers, n) sees each request, the n-th of its body, and may answer it: (status, headers, object)."""

    def __init__(self, models=("toy",), hook=None, say=None, logprobs=True, delay_s=0.0):
        self.models, self.hook, self.say, self.logprobs, self.delay_s = models, hook, say, logprobs, delay_s
        self.lock = threading.Lock()
        self.requests = []  # (path, body)
        self.seen = {}      # bytes of a body -> times
        self.now = self.most = 0

    def __enter__(self):
        mock = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                self.answer(mock.handle(self.path, b"", self.headers))

            def do_POST(self):
                self.answer(mock.handle(self.path, self.rfile.read(int(self.headers["Content-Length"])), self.headers))

            def answer(self, what):
                status, headers, body = what
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                for name, value in {"Content-Type": "application/json", **headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                try:
                    self.wfile.write(data)
                except OSError:
                    pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, *_):
                """A client that goes away is none of the test's business."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def posts(self, path):
        return [body for p, body in self.requests if p == path]

    def handle(self, path, raw, headers):
        with self.lock:
            n = self.seen[raw] = self.seen.get(raw, 0) + 1
            self.now += 1
            self.most = max(self.most, self.now)
        body = json.loads(raw) if raw else None
        try:
            if self.delay_s:
                time.sleep(self.delay_s)
            with self.lock:
                self.requests.append((path, body))
            special = self.hook and self.hook(path, body, headers, n)
            return special or self.route(path, body)
        finally:
            with self.lock:
                self.now -= 1

    def route(self, path, body):
        if path == "/v1/models":
            return 200, {}, {"object": "list", "data": [{"id": m, "max_model_len": 1000} for m in self.models]}
        if body.get("model") not in self.models:
            return 404, {}, {"error": {"message": f"The model `{body.get('model')}` does not exist.", "code": 404}}
        if path == "/tokenize":
            return 200, {}, {"count": len(tokens(body["prompt"], body.get("add_special_tokens", True))), "max_model_len": 1000}
        if path == "/v1/completions":
            return 200, {}, self.completion(body)
        if path == "/v1/chat/completions":
            return 200, {}, self.chat(body)
        return 404, {}, {"detail": "Not Found"}

    def completion(self, body):
        prompt = body["prompt"]
        said = self.say(prompt, None) if self.say and not body.get("echo") else " end"
        choice = {"index": 0, "text": prompt + said if body.get("echo") else said, "logprobs": None, "finish_reason": "length"}
        n = len(tokens(prompt))
        if body.get("logprobs") is not None and self.logprobs:
            all_tokens = tokens(prompt) + [said]
            offsets, at = [], 0
            for t in all_tokens:
                offsets.append(at)
                at += len(t)
            choice["logprobs"] = {"tokens": all_tokens, "token_logprobs": prompt_logprobs(prompt) + [-0.5], "text_offset": offsets,
                                  "top_logprobs": [None] + [{"x": -0.1}] * n}
        return {"id": "cmpl", "object": "text_completion", "choices": [choice], "usage": {"prompt_tokens": n, "completion_tokens": 1}}

    def chat(self, body):
        prompt = "\n".join(m["content"] for m in body["messages"])
        said = self.say(prompt, body.get("tools")) if self.say else "I see."
        message = {"role": "assistant", "content": said} if isinstance(said, str) else \
            {"role": "assistant", "content": None, "tool_calls": [
                {"id": "call-1", "type": "function", "function": {"name": said["name"], "arguments": json.dumps(said["arguments"])}}]}
        return {"id": "chat", "object": "chat.completion", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": len(tokens(prompt)), "completion_tokens": 3}}
