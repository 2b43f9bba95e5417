"""A server on loopback that speaks both protocols, OpenAI's (/v1/chat/completions, /v1/completions, /v1/embeddings) and Anthropic's
(/v1/messages, /v1/messages/count_tokens), with a script in place of a model. For tests of what stands between clients and servers.

What it says: "You said: " and the last text of a user, a word a delta; where the last message is the assistant's, the rest of that. With tools
and a tool_choice that asks for one (or "call" in the text): a call of each tool, arguments {"city": "Paris", "day": N}. Tokens are words.

How it fails: by the request's model, or for all models by mock.behave(...) or POST /control {"behaviour": ..., "times": N}:
  slow         50 ms before each delta          hang        nothing, ever              hang-mid    two deltas, then nothing
  cut          two deltas, then the connection  cut-clean   two deltas, a clean end    reset       closes without a word
  429, 500, …  that status, in the protocol's   malformed   an event that is no JSON   html        200 with a page
               shape; 429 with Retry-After: 1   error-mid   two deltas, an error event no-done     a stream without its last event
  huge         an event of 2 MiB                no-usage    an answer without usage
  malformed-first  the first event is no JSON   close       answers, and closes the connection without a word of it
  fail-N       500 for the first N requests of that model, then as usual               cut-N       N events, then the connection
Any other model answers. GET /health, /ready, /v1/models, /metrics (vLLM's names, set by mock.metrics); GET /log is what it received.

  with MockLlm() as mock: client at mock.url; mock.requests has (path, headers, body).
  python3 mock_llm.py [PORT] [--host H] [--count FILE] runs one. FILE grows by a byte with each request: what arrived can be read
  when the process is dead or unreachable."""

import argparse
import http.server
import json
import os
import threading
import time
import zlib

STATUS = {400: ("invalid_request_error", "bad request"), 401: ("authentication_error", "invalid key"), 404: ("not_found_error", "no such model"),
          413: ("request_too_large", "too large"), 429: ("rate_limit_error", "slow down"), 500: ("api_error", "failed inside"),
          502: ("api_error", "bad gateway"), 503: ("overloaded_error", "overloaded"), 529: ("overloaded_error", "overloaded")}
MID = {"cut", "cut-clean", "hang-mid", "error-mid", "malformed", "huge"}  # after two deltas


def text_of(content):
    """Of a message's content, of either protocol."""
    if isinstance(content, str):
        return content
    return "".join(p.get("text", "") for p in content or [] if isinstance(p, dict))


def words(text):
    return [w + " " for w in text.split(" ")[:-1]] + text.split(" ")[-1:] if text else []


class Answer:
    """What the script says to a request."""

    def __init__(self, body, anthropic):
        messages = body.get("messages") or [{"role": "user", "content": body.get("prompt", "")}]
        users = [text_of(m.get("content")) for m in messages if m.get("role") == "user" and text_of(m.get("content"))]
        full = "You said: " + (users[-1] if users else "")
        last = messages[-1]
        begun = text_of(last.get("content")) if last.get("role") == "assistant" else ""
        if "You said: " in str(body.get("prompt", "")):  # a completion that goes on
            users[-1], begun = users[-1].split("You said: ", 1)[0], "You said: " + users[-1].split("You said: ", 1)[1]
            full = "You said: " + users[-1]
        self.text = full[len(begun):] if full.startswith(begun) else full
        tools = body.get("tools") or []
        choice = body.get("tool_choice") or "auto"
        kind = choice if isinstance(choice, str) else choice.get("type", "auto")
        answered = last.get("role") == "tool" or any(isinstance(p, dict) and p.get("type") == "tool_result" for p in last.get("content") or [])
        wants = kind in ("required", "any", "tool", "function") or "call" in full
        self.calls = []
        if tools and kind != "none" and wants and not answered:
            names = [t["name"] if anthropic else t["function"]["name"] for t in tools]
            self.calls = [(f"{'toolu' if anthropic else 'call'}_{i}", n, json.dumps({"city": "Paris", "day": i})) for i, n in enumerate(names)]
            self.text = "Let me see. "
        limit = body.get("max_tokens") or body.get("max_completion_tokens") or 1 << 30
        self.deltas = words(self.text)
        self.long = len(self.deltas) > limit
        self.deltas = self.deltas[:limit]
        self.text = "".join(self.deltas)
        self.prompt_tokens = sum(len(text_of(m.get("content")).split()) for m in messages) + len(text_of(body.get("system")).split())
        self.cached = self.prompt_tokens // 2
        self.completion_tokens = len(self.deltas) + sum(len(c[2].split()) for c in self.calls)

    def finish(self, anthropic):
        if self.long:
            return "max_tokens" if anthropic else "length"
        if self.calls:
            return "tool_use" if anthropic else "tool_calls"
        return "end_turn" if anthropic else "stop"

    def usage(self, anthropic):
        if anthropic:
            return {"input_tokens": self.prompt_tokens - self.cached, "cache_creation_input_tokens": 0, "cache_read_input_tokens": self.cached,
                    "output_tokens": self.completion_tokens}
        return {"prompt_tokens": self.prompt_tokens, "completion_tokens": self.completion_tokens,
                "total_tokens": self.prompt_tokens + self.completion_tokens, "prompt_tokens_details": {"cached_tokens": self.cached}}


def openai_whole(a, model, usage):
    message = {"role": "assistant", "content": a.text, "refusal": None}
    if a.calls:
        message["tool_calls"] = [{"id": i, "type": "function", "function": {"name": n, "arguments": args}} for i, n, args in a.calls]
    out = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1700000000, "model": model,
           "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": a.finish(False)}]}
    return {**out, "usage": a.usage(False)} if usage else out


def anthropic_whole(a, model, usage):
    content = [{"type": "text", "text": a.text}] if a.text else []
    content += [{"type": "tool_use", "id": i, "name": n, "input": json.loads(args)} for i, n, args in a.calls]
    return {"id": "msg_1", "type": "message", "role": "assistant", "model": model, "content": content, "stop_reason": a.finish(True),
            "stop_sequence": None, "usage": a.usage(True) if usage else {"input_tokens": 0, "output_tokens": 0}}


def data(value):
    return f"data: {json.dumps(value)}\n\n".encode()


def openai_events(a, model, body, usage):
    """(bytes, whether it is a delta) of each event."""
    def chunk(delta, finish=None):
        return data({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000, "model": model,
                     "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
    yield chunk({"role": "assistant", "content": ""}), False
    for d in a.deltas:
        yield chunk({"content": d}), True
    for n, (i, name, args) in enumerate(a.calls):
        yield chunk({"tool_calls": [{"index": n, "id": i, "type": "function", "function": {"name": name, "arguments": ""}}]}), True
        for at in range(0, len(args), 7):
            yield chunk({"tool_calls": [{"index": n, "function": {"arguments": args[at:at + 7]}}]}), True
    yield chunk({}, a.finish(False)), False
    if usage and (body.get("stream_options") or {}).get("include_usage"):
        yield data({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000, "model": model, "choices": [],
                    "usage": a.usage(False)}), False
    yield b"data: [DONE]\n\n", False


def completion_events(a, model, body, usage):
    def chunk(text, finish=None):
        return data({"id": "cmpl-1", "object": "text_completion", "created": 1700000000, "model": model,
                     "choices": [{"index": 0, "text": text, "finish_reason": finish}]})
    for d in a.deltas:
        yield chunk(d), True
    yield chunk("", a.finish(False)), False
    yield b"data: [DONE]\n\n", False


def anthropic_events(a, model, body, usage):
    def event(value):
        return f"event: {value['type']}\n".encode() + data(value)
    first = {**anthropic_whole(a, model, usage), "content": [], "stop_reason": None}
    first["usage"] = {**first["usage"], "output_tokens": 1}
    yield event({"type": "message_start", "message": first}), False
    yield event({"type": "ping"}), False
    index = 0
    if a.deltas:
        yield event({"type": "content_block_start", "index": index, "content_block": {"type": "text", "text": ""}}), False
        for d in a.deltas:
            yield event({"type": "content_block_delta", "index": index, "delta": {"type": "text_delta", "text": d}}), True
        yield event({"type": "content_block_stop", "index": index}), False
        index += 1
    for i, name, args in a.calls:
        yield event({"type": "content_block_start", "index": index, "content_block": {"type": "tool_use", "id": i, "name": name, "input": {}}}), True
        for at in range(0, len(args), 7):
            delta = {"type": "input_json_delta", "partial_json": args[at:at + 7]}
            yield event({"type": "content_block_delta", "index": index, "delta": delta}), True
        yield event({"type": "content_block_stop", "index": index}), False
        index += 1
    yield event({"type": "message_delta", "delta": {"stop_reason": a.finish(True), "stop_sequence": None},
                 "usage": {"output_tokens": a.completion_tokens}}), False
    yield event({"type": "message_stop"}), False


def error_body(status, anthropic):
    kind, message = STATUS.get(status, ("api_error", f"status {status}"))
    if anthropic:
        return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_mock"}
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def send(self, status, body, content_type="application/json", **headers):
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def do_GET(self):
        mock = self.server.mock
        path = self.path.split("?")[0]
        if path in ("/health", "/ready"):
            return self.send(200 if mock.healthy else 503, {"status": "ok" if mock.healthy else "failed"})
        if path == "/v1/models":
            return self.send(200, {"object": "list", "data": [{"id": m, "object": "model"} for m in mock.models]})
        if path == "/metrics":
            text = "".join(f"{name} {value}\n" for name, value in mock.metrics.items())
            return self.send(200, text.encode(), "text/plain; version=0.0.4")
        if path == "/log":
            return self.send(200, [{"path": p, "headers": dict(h), "body": b} for p, h, b in mock.requests])
        return self.send(404, {"detail": "Not Found"})

    def do_POST(self):
        mock = self.server.mock
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = json.loads(raw or b"{}")
        path = self.path.split("?")[0]
        if path == "/control":
            mock.behave(body.get("behaviour"), body.get("times"))
            return self.send(200, {})
        behaviour = mock.note(self.path, self.headers, body)
        anthropic = path.startswith("/v1/messages")
        if behaviour == "hang":
            return mock.wait_for_end()
        if behaviour == "close":
            self.close_connection = True
        if behaviour == "reset":
            self.close_connection = True
            return None
        if behaviour == "html":
            return self.send(200, b"<html><body>Welcome to a proxy</body></html>", "text/html")
        if behaviour and behaviour.isdigit():
            extra = {"Retry_After": "1"} if behaviour == "429" else {}
            return self.send(int(behaviour), error_body(int(behaviour), anthropic), **extra)
        if path == "/v1/embeddings":
            return self.embeddings(body)
        if path == "/v1/messages/count_tokens":
            return self.send(200, {"input_tokens": Answer(body, True).prompt_tokens})
        if path not in ("/v1/chat/completions", "/v1/completions", "/v1/messages"):
            return self.send(404, {"detail": "Not Found"})
        return self.answer(path, body, behaviour, anthropic)

    def embeddings(self, body):
        texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
        rows = []
        for i, t in enumerate(texts):  # a bag of words, so that near texts are near
            vector = [0.0] * 64
            for w in t.lower().split():
                vector[zlib.crc32(w.encode()) % 64] += 1.0
            rows.append({"object": "embedding", "index": i, "embedding": vector})
        n = sum(len(t.split()) for t in texts)
        return self.send(200, {"object": "list", "model": body["model"], "data": rows, "usage": {"prompt_tokens": n, "total_tokens": n}})

    def answer(self, path, body, behaviour, anthropic):
        a = Answer(body, anthropic)
        usage = behaviour != "no-usage"
        model = self.server.mock.answer_model or body["model"]
        if body.get("stream"):
            make = {"/v1/messages": anthropic_events, "/v1/completions": completion_events}.get(path, openai_events)
            return self.stream(make(a, model, body, usage), behaviour, anthropic)
        if behaviour == "slow":
            time.sleep(0.05 * len(a.deltas))
        if behaviour in ("cut", "hang-mid", "malformed", "malformed-first", "error-mid", "huge"):
            raw = json.dumps((anthropic_whole if anthropic else openai_whole)(a, model, usage)).encode()
            if behaviour.startswith("malformed"):
                return self.send(200, raw[:-9])
            if behaviour == "error-mid":
                return self.send(200, error_body(500, anthropic))
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw[:len(raw) // 2])
            self.wfile.flush()
            self.close_connection = True
            return self.server.mock.wait_for_end() if behaviour == "hang-mid" else None
        if path == "/v1/completions":
            whole = openai_whole(a, model, usage)
            whole["object"] = "text_completion"
            whole["choices"] = [{"index": 0, "text": a.text, "finish_reason": a.finish(False)}]
            return self.send(200, whole)
        whole = (anthropic_whole if anthropic else openai_whole)(a, model, usage)
        if not anthropic and body.get("logprobs"):
            logprob = self.server.mock.logprob
            whole["choices"][0]["logprobs"] = {"content": [{"token": d, "logprob": logprob, "bytes": None, "top_logprobs": []} for d in a.deltas]}
        return self.send(200, whole)

    def chunk(self, raw):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(raw), raw))
        self.wfile.flush()

    def stream(self, events, behaviour, anthropic):
        mock = self.server.mock
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        deltas = 0
        events = list(events)
        if behaviour == "no-done":
            events.pop()
        if behaviour == "malformed-first":
            self.chunk(b"data: {\"id\": <oops>\n\n")
            behaviour = None
        most = int(behaviour[4:]) if (behaviour or "").startswith("cut-") and behaviour[4:].isdigit() else len(events)
        for n, (raw, is_delta) in enumerate(events):
            if n == most:
                behaviour = "cut"
                break
            if is_delta and deltas == 2 and behaviour in MID:
                break
            if is_delta and (behaviour == "slow" or mock.delta_s):
                time.sleep(mock.delta_s or 0.05)
            self.chunk(raw)
            deltas += is_delta
        else:
            behaviour = None
        if behaviour == "cut":
            self.close_connection = True
            return None
        if behaviour == "hang-mid":
            return mock.wait_for_end()
        if behaviour == "malformed":
            self.chunk((b"event: content_block_delta\n" if anthropic else b"") + b"data: {\"id\": <oops>\n\n")
        if behaviour == "huge":
            self.chunk(data({"filler": "x" * (2 << 20)}))
        if behaviour == "error-mid":
            self.chunk((b"event: error\n" if anthropic else b"") + data(error_body(529, anthropic)))
        return self.wfile.write(b"0\r\n\r\n")


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, *_):
        """A client that goes away is none of the test's business."""


class MockLlm:
    """As a context manager. delta_s: seconds before each delta; answer_model: the model that answers name, in place of the request's."""

    def __init__(self, port=0, models=("toy",), delta_s=0.0, answer_model=None, host="127.0.0.1", count=None):
        self.port, self.models, self.delta_s, self.answer_model, self.host = port, models, delta_s, answer_model, host
        self.count = None if count is None else os.open(count, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.lock = threading.Lock()
        self.ended = threading.Event()
        self.requests = []  # (path with its query, headers, body)
        self.seen = {}      # model -> requests
        self.behaviour, self.times = None, None
        self.logprob = -0.1  # of each token, where a whole chat answer is asked for them
        self.healthy = True
        self.metrics = {"vllm:num_requests_running": 0, "vllm:num_requests_waiting": 0, "vllm:kv_cache_usage_perc": 0.0}

    def __enter__(self):
        self.server = Server((self.host, self.port), Handler)
        self.server.mock = self
        self.port = self.server.server_address[1]
        self.url = f"http://{self.host}:{self.port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def behave(self, behaviour, times=None):
        """All models, for that many requests (None: until told otherwise)."""
        with self.lock:
            self.behaviour, self.times = behaviour, times

    def note(self, path, headers, body):
        """Logs a request; the behaviour for it."""
        with self.lock:
            if self.count is None:
                self.requests.append((path, headers, body))
            else:
                os.write(self.count, b".")
            model = str(body.get("model"))
            n = self.seen[model] = self.seen.get(model, 0) + 1
            if self.behaviour is not None:
                behaviour = self.behaviour
                if self.times is not None:
                    self.times -= 1
                    if self.times <= 0:
                        self.behaviour = self.times = None
                return behaviour
            if model.startswith("fail-"):
                return "500" if n <= int(model[5:]) else None
            return model

    def wait_for_end(self):
        self.ended.wait(120)

    def bodies(self, path):
        with self.lock:
            return [b for p, _, b in self.requests if p.split("?")[0] == path]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("port", nargs="?", type=int, default=0)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--count", help="a file that grows by a byte with each request, in place of the log of them")
    options = parser.parse_args()
    with MockLlm(options.port, host=options.host, count=options.count) as mock:
        print(mock.url, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
