"""script/demo-gateway, with mocks for engines: it tells its story, nobody's request fails, and nothing is left of it, also when it is ended early."""

import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

import weir_process as weir

weir.skip_unless(weir.WEIR)
DEMO = [sys.executable, "-B", str(weir.ROOT / "script" / "demo-gateway"), "--mocks"]


def run(folder, **options):
    return subprocess.Popen(DEMO, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            env={**os.environ, "WEIR_BIN": str(weir.WEIR), "TMPDIR": folder}, **options)


def left_of(folder):
    """Programs whose working folder is below it."""
    found = []
    for link in pathlib.Path("/proc").glob("[0-9]*/cwd"):
        try:
            if os.readlink(link).startswith(folder):
                found.append(link.parent.name)
        except OSError:
            continue
    return found


class Demo(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = holder.name

    def nothing_is_left(self):
        self.assertEqual(left_of(self.folder), [])
        self.assertEqual(os.listdir(self.folder), [])

    def test_the_story_with_its_ports_taken(self):
        with socket.socket() as taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                taken.bind(("127.0.0.1", 8090))
                taken.listen()
            except OSError:
                pass  # somebody else has it, which serves as well
            process = run(self.folder)
            said = process.communicate(timeout=60 * weir.SLOWDOWN)[0]
        self.assertEqual(process.returncode, 0, said)
        print(said)
        self.assertIn("curl localhost:", said)
        self.assertNotIn("localhost:8090/", said)
        self.assertRegex(said, r"the failing one +\S+ +\S+ +(open|half_open) ")
        self.assertRegex(said, r"engine b +\S+ +no ")
        self.assertIn('weir_gateway_attempts_total{end="status_500",upstream="engines"}', said)
        self.assertIn("exit code 0", said)
        self.assertRegex(said, r"all +\d[\d,]* +\d")
        self.assertIn("No client saw a failure", said)
        self.nothing_is_left()

    def test_ended_in_the_middle(self):
        process = run(self.folder)
        time.sleep(2 * weir.SLOWDOWN)
        self.assertGreater(len(left_of(self.folder)), 2)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30 * weir.SLOWDOWN)
        self.nothing_is_left()


if __name__ == "__main__":
    unittest.main()
