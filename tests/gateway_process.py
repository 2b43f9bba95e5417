"""What the tests of the gateway share: programs that listen, and a gateway of a text of configuration."""

import contextlib
import pathlib
import signal
import socket
import subprocess
import tempfile
import time

import weir_process as weir

directory = tempfile.TemporaryDirectory()
HOME = pathlib.Path(directory.name)


@contextlib.contextmanager
def running(port, *arguments):
    """A weir that listens on the port; ended by SIGTERM, or killed by the test."""
    process = subprocess.Popen([str(weir.WEIR), *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE)
    try:
        for _ in range(int(400 * weir.SLOWDOWN)):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            if process.poll() is not None:
                raise RuntimeError(process.stderr.read().decode())
            time.sleep(0.025)
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
    with running(port, "gateway", path, "--log-level", log_level) as process:
        yield f"http://127.0.0.1:{port}", process
