"""The rows of script/bench: what is run and read for each, weir's and llama.cpp's.

A row is a dict: value, unit, and where they are known peak_fraction (how much of the machine's limit it reaches, as
`weir bench engine --calibrate` says) and ratio_to_ideal. Nothing here prints or decides which rows there are.
"""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
WEIR = ROOT / "build" / "release" / "weir"
THREADS = len(os.sched_getaffinity(0))
LONG = 8192  # tokens of the long rows
LONG_GEN = 32
KV_TOKENS = 2048  # of the server whose memory is read


def run(command, env=None):
    """Standard output; the script ends where the command fails."""
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          env={**os.environ, **(env or {})})
    if done.returncode != 0:
        sys.exit(f"bench: {' '.join(map(str, command))} ended with {done.returncode}\n{done.stderr[-2000:]}")
    return done.stdout


class Weir:
    """weir's rows. isa: of the kernels, None for the best that the machine has."""

    def __init__(self, isa=None):
        self.env = {"WEIR_ISA": isa} if isa else {}

    def engine(self, model, *arguments):
        text = run([WEIR, "bench", "engine", model, "--reps", 1, "--threads", THREADS, "--calibrate", "--json", *arguments],
                   self.env)
        return [{"test": r["test"], "batch": r["batch"], "value": r["tok_s"], "unit": "tok/s",
                 "peak_fraction": r.get("peak_fraction")} for r in json.loads(text)["rows"]]

    def short(self, model, gen, batches):
        rows = {r["test"]: r for r in self.engine(model, "--prompt", 512, "--gen", gen)}
        for row in self.engine(model, "--prompt", 0, "--gen", 32, "--batched-prompt", 128, "--batch", ",".join(map(str, batches))):
            rows[f"tg32 batch {row['batch']}"] = row
        return rows

    def long(self, model):
        """A prompt of LONG tokens; decode that ends where the context is full."""
        depth = LONG - LONG_GEN
        rows = self.engine(model, "--prompt", LONG, "--gen", 0, "--no-warmup")
        rows += self.engine(model, "--prompt", 0, "--gen", LONG_GEN, "--depth", depth, "--no-warmup")
        return {row["test"]: row for row in rows}

    def first_token(self, model):
        """Wall time from the start of the program to its end after one token; the page cache is warm from before."""
        command = [WEIR, "run", model, "-p", "hi", "-n", 1, "--temp", 0, "--threads", THREADS]
        run(command, self.env)
        start = time.monotonic()
        run(command, self.env)
        return {"load to first token": {"value": (time.monotonic() - start) * 1e3, "unit": "ms"}}

    def memory(self, model):
        """Memory of a server after one request: what is resident, and the most that was, beside file + KV."""
        text = run([WEIR, "inspect", model, "--ctx", KV_TOKENS, "--json"], self.env)
        report = json.loads(text)
        ideal = report["bytes"] + report["memory"]["kv_bytes"]
        with Server(model, self.env) as server:
            server.ask()
            status = server.status()
        rows = {}
        for name, field in (("resident serving", "VmRSS"), ("resident at most", "VmHWM")):
            kib = int(re.search(rf"^{field}:\s*(\d+) kB", status, re.MULTILINE).group(1))
            rows[name] = {"value": kib / 1024, "unit": "MiB", "ratio_to_ideal": kib * 1024 / ideal}
        return rows


class Server:
    """`weir serve` on a free port, as a context manager."""

    def __init__(self, model, env):
        self.process = subprocess.Popen(
            [str(WEIR), "serve", str(model), "--port", "0", "--kv-tokens", str(KV_TOKENS), "--ctx", str(KV_TOKENS),
             "--threads", str(THREADS), "--log-level", "off"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env={**os.environ, **env})

    def __enter__(self):
        for line in self.process.stdout:
            found = re.search(r"ready (http://\S+) model=(\S+)", line)
            if found:
                self.url, self.model = found.groups()
                return self
        self.process.wait()
        sys.exit(f"bench: weir serve ended with {self.process.returncode} before it was ready")

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=60)

    def ask(self):
        """One request with a prompt of some hundred tokens, so that the whole path has been used."""
        body = {"model": self.model, "messages": [{"role": "user", "content": "one two three four " * 75}], "max_tokens": 16}
        request = urllib.request.Request(f"{self.url}/v1/chat/completions", json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=120) as answer:
            answer.read()

    def status(self):
        return pathlib.Path(f"/proc/{self.process.pid}/status").read_text()


class Llama:
    """llama.cpp's rows, by the programs in a folder."""

    def __init__(self, binaries):
        self.binaries = binaries

    def bench(self, model, *arguments):
        rows = {}
        for r in json.loads(run([self.binaries / "llama-bench", "-m", model, "-t", THREADS, "-r", 1, "-o", "json", *arguments])):
            test = f"pp{r['n_prompt']}" if r["n_prompt"] else f"tg{r['n_gen']}"
            rows[test + (f" @ d{r['n_depth']}" if r.get("n_depth") else "")] = r["avg_ts"]
        return rows

    def short(self, model, gen, batches):
        rows = self.bench(model, "-p", 512, "-n", gen)
        text = run([self.binaries / "llama-batched-bench", "-m", model, "-t", THREADS, "-c", 8192, "-npp", 128, "-ntg", 32,
                    "-npl", ",".join(map(str, batches)), "--output-format", "jsonl"])
        for line in text.splitlines():
            if line.startswith("{"):
                row = json.loads(line)
                rows[f"tg32 batch {row['pl']}"] = row["speed_tg"]
        return rows

    def long(self, model):
        rows = self.bench(model, "-p", LONG, "-n", 0, "--no-warmup")
        rows.update(self.bench(model, "-p", 0, "-n", LONG_GEN, "-d", LONG - LONG_GEN, "--no-warmup"))
        return rows
