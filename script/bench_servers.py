"""The servers that script/bench-serving measures: started, awaited, their memory read, ended.

Each is a context manager with `name`, `url`, `model`, `ready_s` (start of the program to the first 200 of `ready_path`) and
`memory_mib()` (resident memory of the process and its children). A server runs with as many threads as this process may
use cores, beside the client on the same ones, as a user of a small box would have it.
"""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

from bench_rows import ROOT, THREADS, WEIR

DEFAULT_MODEL = ROOT / "models" / "smollm2-135m-instruct.gguf"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def children(pid):
    """pid and all processes below it."""
    found = [pid]
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found += children(int(child))
    return found


class Server:
    name = ""
    ready_path = "/health"
    patience_s = 300
    keys = ()  # of tenants, where the server was given some

    def command(self):
        raise NotImplementedError

    def environment(self):
        return {}

    def __enter__(self):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = tempfile.NamedTemporaryFile(prefix=f"bench-{self.name}-", suffix=".log")
        start = time.monotonic()
        self.process = subprocess.Popen([str(c) for c in self.command()], stdin=subprocess.DEVNULL, stdout=self.log,
                                        stderr=subprocess.STDOUT, start_new_session=True,
                                        env={**os.environ, **self.environment()})
        while not self.healthy():
            if self.process.poll() is not None or time.monotonic() - start > self.patience_s:
                tail = pathlib.Path(self.log.name).read_text(errors="replace")[-2000:]
                self.__exit__()
                sys.exit(f"bench: {self.name} did not become ready\n{tail}")
            time.sleep(0.01)
        self.ready_s = time.monotonic() - start
        self.model = self.models()[0]
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)  # its own session: nothing else is in the group
                self.process.wait()

    def get(self, path, timeout_s=5):
        headers = {"authorization": f"Bearer {self.keys[0]}"} if self.keys else {}
        with urllib.request.urlopen(urllib.request.Request(self.url + path, headers=headers), timeout=timeout_s) as answer:
            return answer.read()

    def healthy(self):
        try:
            self.get(self.ready_path)
            return True
        except (urllib.error.URLError, OSError):
            return False

    def models(self):
        return [m["id"] for m in json.loads(self.get("/v1/models"))["data"]]

    def memory_mib(self):
        total = 0
        for pid in children(self.process.pid):
            for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
        return total / 1024


class Weir(Server):
    name = "weir"
    ready_path = "/ready"  # /health is 200 while the model loads

    def __init__(self, model=DEFAULT_MODEL, *arguments):
        self.path, self.arguments, self.keys = model, arguments, []

    def with_tenants(self, count, *arguments):
        """Another such server, not started, with a key for each of `count` tenants in `keys`."""
        server = Weir(self.path, *self.arguments, *arguments)
        made = [json.loads(subprocess.check_output([WEIR, "keys", "new", "--tenant", f"tenant{i}", "--json"]))["keys"][0] for i in range(count)]
        server.keys_file = tempfile.NamedTemporaryFile("w", prefix="bench-keys-", suffix=".yaml")  # mode 0600, kept while the server is
        server.keys_file.write("tenants:\n" + "".join(f"  tenant{i}: {{}}\n" for i in range(count)) + "keys:\n" + "".join(k["entry"] for k in made))
        server.keys_file.flush()
        server.arguments += ("--keys-file", server.keys_file.name)
        server.keys = [k["key"] for k in made]
        return server

    def command(self):
        return [WEIR, "serve", self.path, "--port", self.port, "--threads", THREADS, "--log-level", "warn",
                "--kv-tokens", 10240, *self.arguments]


class LlamaServer(Server):
    name = "llama-server"

    def __init__(self, peers, model=DEFAULT_MODEL):
        self.binary, self.path = peers / "lb" / "bin" / "llama-server", model

    def command(self):
        return [self.binary, "-m", self.path, "-t", THREADS, "-np", 16, "-c", 16384, "--host", "127.0.0.1", "--port", self.port]


class Vllm(Server):
    name = "vLLM"

    def __init__(self, peers):
        self.script = peers / "vllm-serve.sh"

    def command(self):
        return [self.script]

    def environment(self):
        return {"PORT": str(self.port)}
