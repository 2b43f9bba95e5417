"""What the tests share: where the program and the model are, and a `weir serve` of their own on a free port."""

import contextlib
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
WEIR = pathlib.Path(os.environ.get("WEIR_BIN", ROOT / "build" / "release" / "weir"))
MODEL = pathlib.Path(os.environ.get("WEIR_TEST_MODEL", ROOT / "models" / "smollm2-135m-instruct.gguf"))
SHARED = pathlib.Path(os.environ.get("WEIR_SHARED", ROOT.parent / "shared"))
SKIP = 77  # ctest's SKIP_RETURN_CODE
# Sanitizer builds are slower by about this factor; the time limits of the tests grow with it.
SLOWDOWN = float(os.environ.get("WEIR_TEST_SLOWDOWN", "1"))


def skip_unless(*paths):
    """Ends the program with ctest's skip code when a file it needs is not there."""
    for path in paths:
        if not pathlib.Path(path).exists():
            print(f"skipped: {path} is not there (script/bootstrap and a build put it there)")
            sys.exit(SKIP)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def run(*arguments, timeout_s=120, **options):
    """Runs weir and returns (exit code, stdout, stderr)."""
    done = subprocess.run([str(WEIR), *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=timeout_s * SLOWDOWN, **options)
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")


class Server:
    """`weir serve MODEL` on a free port, as a context manager. Fails loudly when the server dies or does not end well."""

    def __init__(self, *arguments, model=MODEL, env=None):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [str(WEIR), "serve", str(model), "--host", "127.0.0.1", "--port", str(self.port), *map(str, arguments)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log, env={**os.environ, **(env or {})})
        self.output = b""
        self.ready = threading.Event()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        deadline = time.monotonic() + 60 * SLOWDOWN
        while not self.ready.wait(0.05):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"weir serve did not become ready:\n{self.text()}")
        self.model = re.search(rb"weir: ready \S+ model=(\S+)", self.output).group(1).decode()

    def _read(self):
        for line in self.process.stdout:
            self.output += line
            if b"weir: ready http" in line:
                self.ready.set()

    def errors(self):
        """The bytes on stderr so far, the log among them."""
        return os.pread(self.log.fileno(), 1 << 30, 0)

    def text(self):
        """Everything the server printed so far."""
        self.log.seek(0)
        return (self.output + self.log.read()).decode(errors="replace")

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def stop(self, timeout_s=30):
        """SIGTERM; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout_s * SLOWDOWN)
        except subprocess.TimeoutExpired:
            self.kill()
            raise RuntimeError(f"weir serve did not drain after SIGTERM:\n{self.text()[-4000:]}") from None

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if self.process.poll() is not None:
            raise RuntimeError(f"weir serve died with {self.process.returncode}:\n{self.text()[-8000:]}")
        code = self.stop()
        if code != 0 and kind is None:
            raise RuntimeError(f"weir serve ended with {code} after SIGTERM:\n{self.text()[-8000:]}")


def metric(text, name):
    """The sum of a Prometheus metric over its labels, or None."""
    values = [float(line.rsplit(" ", 1)[1]) for line in text.splitlines()
              if line.startswith(name) and line[len(name):len(name) + 1] in "{ "]
    return sum(values) if values else None


class FinishedWell:
    """Stands in for the process of a Server that a test has already seen ending with 0."""

    returncode = 0

    def poll(self):
        return None

    def send_signal(self, _):
        pass

    def wait(self, _=None):
        return 0


def until(condition, seconds=10):
    """Whether it comes to hold."""
    end = time.monotonic() + seconds * SLOWDOWN
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def wait_until_ready(process, said):
    """Until a weir that serves says so, on the pipe that its stdout is; said(): its errors, once it has ended. A port that takes connections
    says less: a gateway listens before its files are open, and answers 503 meanwhile."""
    late = threading.Timer(30 * SLOWDOWN, process.kill)
    late.start()
    try:
        if not any(b"weir: ready" in line for line in process.stdout):
            process.wait()
            raise RuntimeError(f"weir ended with {process.returncode} before it was ready:\n{said()}")
    finally:
        late.cancel()


@contextlib.contextmanager
def gateway(path, port, log_level):
    """weir gateway with that file, which listens on the port; its URL."""
    process = subprocess.Popen([str(WEIR), "gateway", str(path), "--log-level", log_level], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    try:
        wait_until_ready(process, lambda: "")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30 * SLOWDOWN)
        process.stdout.close()
