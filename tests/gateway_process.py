"""What the tests of the gateway share: programs that listen, and a gateway of a text of configuration, what it is asked and
what its ledger has."""

import contextlib
import pathlib
import signal
import sqlite3
import subprocess
import tempfile
import time

import httpx
import weir_process as weir

directory = tempfile.TemporaryDirectory()
HOME = pathlib.Path(directory.name)


@contextlib.contextmanager
def running(*arguments):
    """A weir that has said it is ready; ended by SIGTERM, or killed by the test."""
    process = subprocess.Popen([str(weir.WEIR), *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    try:
        weir.wait_until_ready(process, lambda: process.stderr.read().decode())
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.said = process.communicate(timeout=30 * weir.SLOWDOWN)[1].decode(errors="replace")


@contextlib.contextmanager
def gateway(text, log_level="warn"):
    """Its URL and its process, whose `said` is its log once it has ended."""
    port = weir.free_port()
    path = HOME / f"gateway-{port}.yaml"
    path.write_text(f"listen: {{port: {port}}}\n{text}")
    with running("gateway", path, "--log-level", log_level) as process:
        yield f"http://127.0.0.1:{port}", process


def ask(url, model, text="one two three", headers=None, **more):
    body = {"model": model, "messages": [{"role": "user", "content": text}], **more}
    return httpx.post(url + "/v1/chat/completions", json=body, headers=headers, timeout=30)


def rows(ledger, wanted):
    """Of the ledger, once there are as many; (final, attempt, upstream_model, cache, cost, request_id)."""
    found, end = [], time.monotonic() + 30 * weir.SLOWDOWN
    while time.monotonic() < end:
        with contextlib.suppress(sqlite3.OperationalError), contextlib.closing(sqlite3.connect(ledger)) as db:
            found = db.execute("SELECT final, attempt, upstream_model, cache, cost_nanos, request_id FROM attempts ORDER BY attempt").fetchall()
            if len(found) >= wanted:
                return found
        time.sleep(0.05)
    raise AssertionError(f"{len(found)} of {wanted} rows")


def ms(seconds):
    """For a time that a test has to wait out, or that a busy machine must not reach."""
    return int(1000 * seconds * weir.SLOWDOWN)
