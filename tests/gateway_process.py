"""What the tests of the gateway share: programs that listen, and a gateway of a text of configuration."""

import contextlib
import pathlib
import signal
import subprocess
import tempfile

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
