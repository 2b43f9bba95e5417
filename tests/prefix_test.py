"""The prefix cache from outside: what is found, over kill -9 and restart, from the second tier, and what followers are told."""

import json
import pathlib
import re
import subprocess
import tempfile
import threading
import time
import unittest

import weir_process as weir

weir.skip_unless(weir.WEIR, weir.MODEL)
import httpx  # noqa: E402

TEXT = ("The lighthouse stood on a rock that the sea had been trying to remove for four thousand years, and the keeper, "
        "who had read every book in the place twice, had begun to write one of his own about the weather. ") * 8


def ask(server, prompt, **more):
    body = {"model": server.model, "prompt": prompt, "max_tokens": 12, "temperature": 0, "logprobs": 2, "ignore_eos": True, **more}
    reply = httpx.post(server.url + "/v1/completions", json=body, timeout=300 * weir.SLOWDOWN)
    reply.raise_for_status()
    reply = reply.json()
    return reply["usage"]["prompt_tokens_details"]["cached_tokens"], reply["choices"][0]


def metric(server, name):
    return weir.metric(httpx.get(server.url + "/metrics").text, name)


class Prefix(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def test_what_begins_alike_is_found_by_the_same_tenant(self):
        with weir.Server() as server:
            first, _ = ask(server, TEXT + "What did the keeper write?")
            second, answer = ask(server, TEXT + "Where did it stand?")
            self.assertEqual(first, 0)
            self.assertGreater(second, 300)
            salted, other = ask(server, TEXT + "Where did it stand?", cache_salt="mine")
            self.assertEqual(salted, 0)
            self.assertEqual(answer, other)
            self.assertEqual(metric(server, "vllm:prefix_cache_hits_total"), second)

    def test_kill_and_restart(self):
        snapshot = self.folder / "cache.kv"
        flags = ("--kv-snapshot", snapshot, "--kv-snapshot-interval", 1)
        server = weir.Server(*flags)
        self.addCleanup(server.kill)
        _, want = ask(server, TEXT)
        self.assertTrue(weir.until(snapshot.exists, 30))
        server.kill()
        self.assertEqual(snapshot.stat().st_mode & 0o077, 0)
        # Killed at any moment while it writes, the file is the old or the new one.
        for wait_s in (0.0, 0.9, 1.0, 1.1):
            server = weir.Server(*flags)
            self.addCleanup(server.kill)
            found, got = ask(server, TEXT)
            self.assertGreater(found, 300)
            self.assertEqual(got, want)
            ask(server, f"{wait_s} {TEXT}", max_tokens=1)
            time.sleep(wait_s)
            server.kill()
        with weir.Server(*flags) as server:
            found, got = ask(server, TEXT)
            self.assertGreater(found, 300)
            self.assertEqual(got, want)
        damaged = bytearray(snapshot.read_bytes())
        damaged[len(damaged) // 2] ^= 4
        snapshot.write_bytes(damaged)
        with weir.Server(*flags) as server:
            found, got = ask(server, TEXT)
            self.assertEqual(found, 0)
            self.assertEqual(got, want)
        # It names the build that made it: another one may compute other bits. The traits stand at byte 40, see kv/snapshot.h.
        notes = subprocess.run(["readelf", "-n", weir.WEIR], check=True, capture_output=True, text=True).stdout
        build = re.search(r"Build ID: ([0-9a-f]+)", notes)[1]
        traits = snapshot.read_bytes()[40:104].rstrip(b"\0").decode()
        self.assertTrue(traits.endswith(" " + build[:16]), traits)
        # What is there was made with another KV type.
        with weir.Server(*flags, "--kv-type", "q8_0") as server:
            self.assertEqual(ask(server, TEXT)[0], 0)

    def test_kill_under_load(self):
        snapshot = self.folder / "cache.kv"
        flags = ("--no-calibrate", "--kv-snapshot", snapshot, "--kv-snapshot-interval", 1)
        with weir.Server("--no-calibrate", "--no-prefix-cache") as server:
            nothing, want = ask(server, TEXT)
            self.assertEqual(nothing, 0)
        server = weir.Server(*flags)
        self.addCleanup(server.kill)
        ask(server, TEXT)
        cut = []

        def load(number):
            for turn in range(10_000):
                try:
                    ask(server, f"{number} {turn} {TEXT}", max_tokens=40)
                    ask(server, TEXT, max_tokens=1)  # kept in use: a fast machine pushes out what nobody asks for before the second file
                except httpx.HTTPError:
                    cut.append(number)
                    return

        threads = [threading.Thread(target=load, args=(i,)) for i in range(4)]
        for t in threads:
            t.start()
        # The second file is written while all of them run; it is killed in the middle of a request, not between two.
        self.assertTrue(weir.until(lambda: server.errors().count(b"kv_snapshot_written") >= 2 and metric(server, "vllm:num_requests_running") > 0, 30))
        server.kill()
        for t in threads:
            t.join(60)
        self.assertEqual(sorted(cut), [0, 1, 2, 3])
        written = snapshot.read_bytes()
        server = weir.Server(*flags)
        self.addCleanup(server.kill)
        found, got = ask(server, TEXT)
        self.assertGreater(found, 300)
        self.assertEqual(got, want)
        self.assertIn(b"kv_snapshot_restored", server.errors())
        server.kill()
        for size in (0, 1, 63, 4096, len(written) // 3, len(written) - 4096, len(written) - 1):
            with self.subTest(size=size, of=len(written)):
                snapshot.write_bytes(written[:size])
                server = weir.Server(*flags)
                self.addCleanup(server.kill)
                found, got = ask(server, TEXT)
                self.assertEqual(found, 0)
                self.assertEqual(got, want)
                self.assertRegex(server.errors(), rb"warn kv_snapshot_ignored reason=\S+")
                server.kill()

    def test_second_tier(self):
        for where in ((), ("--kv-tier-file", self.folder / "tier")):
            with self.subTest(where=where), weir.Server("--ctx", 512, "--kv-tokens", 1024, "--kv-tier-bytes", 256 << 20, *where) as server:
                _, want = ask(server, TEXT)
                for i in range(4):
                    ask(server, f"{i} {TEXT}", max_tokens=1)
                self.assertGreater(metric(server, "weir_prefix_tier_pages"), 0)
                found, got = ask(server, TEXT)
                self.assertGreater(found, 300)
                self.assertEqual(got, want)
                self.assertGreater(metric(server, "weir_prefix_tier_hit_pages_total"), 0)
                self.assertEqual(list(self.folder.iterdir()), [])

    def test_events(self):
        try:
            import msgspec
            import zmq
        except ImportError:
            self.skipTest("pyzmq and msgspec are not there")
        pub, rep, admin = (f"tcp://127.0.0.1:{weir.free_port()}" for _ in range(3))
        admin_port = admin.rsplit(":", 1)[1]
        flags = ("--kv-events-zmq", pub, "--kv-events-zmq-replay", rep, "--kv-events-topic", "kv@weir@m",
                 "--admin-port", admin_port, "--admin-token", "t")
        with weir.Server(*flags) as server, zmq.Context() as context:
            key = {"authorization": "Bearer t"}
            url = f"http://127.0.0.1:{admin_port}/admin"
            self.assertEqual(httpx.get(url + "/kv-events").status_code, 401)
            lines = []

            def follow():
                with httpx.stream("GET", url + "/kv-events?from=0", headers=key, timeout=60) as stream:
                    for line in stream.iter_lines():
                        if line.startswith("data: "):
                            lines.append(json.loads(line[6:]))
                            if any(e["type"] == "cleared" for e in lines[-1]["events"]):
                                return

            thread = threading.Thread(target=follow)
            thread.start()
            subscriber = context.socket(zmq.SUB)
            subscriber.connect(pub)
            subscriber.setsockopt(zmq.SUBSCRIBE, b"kv@")
            time.sleep(0.5)
            ask(server, TEXT)
            self.assertEqual(httpx.post(url + "/cache/flush", headers=key).json(), {"flushed": True})
            events, sequences = [], []
            while not events or events[-1][0] != "AllBlocksCleared":
                self.assertTrue(subscriber.poll(20_000))
                topic, sequence, payload = subscriber.recv_multipart()
                self.assertEqual(topic, b"kv@weir@m")
                sequences.append(int.from_bytes(sequence, "big"))
                events += msgspec.msgpack.decode(payload)[1]
            self.assertEqual(sequences, list(range(sequences[0], sequences[0] + len(sequences))))
            stored = [e for e in events if e[0] == "BlockStored"]
            self.assertGreater(len(stored), 10)
            self.assertIsNone(stored[0][2])
            for before, after in zip(stored, stored[1:]):
                self.assertEqual(after[2], before[1][0])
                self.assertEqual(len(after[3]), 32)
                self.assertEqual(after[4], 32)
            request = context.socket(zmq.REQ)
            request.connect(rep)
            request.send((0).to_bytes(8, "big"))
            self.assertTrue(request.poll(10_000))
            sequence, payload = request.recv_multipart()
            self.assertEqual(int.from_bytes(sequence, "big"), 0)
            self.assertEqual(msgspec.msgpack.decode(payload)[1][0][0], "BlockStored")
            thread.join(30)
            self.assertFalse(thread.is_alive())
            tokens = [e["tokens"] for b in lines for e in b["events"] if e["type"] == "stored"]
            self.assertEqual(tokens, [e[3] for e in stored])
            subscriber.close(0)
            request.close(0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
