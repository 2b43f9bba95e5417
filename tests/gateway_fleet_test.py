"""weir gateway's fleet as operators change it: SIGHUP with a good file and a bad one, a pool by a real DNS name."""

import contextlib
import json
import pathlib
import signal
import subprocess
import tempfile
import threading
import unittest
import urllib.error
import urllib.request

import weir_process as weir

weir.skip_unless(weir.WEIR)
directory = tempfile.TemporaryDirectory()
HOME = pathlib.Path(directory.name)
ASK = {"model": "chat", "messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 8}


@contextlib.contextmanager
def running(port, *arguments):
    """A weir that has said it is ready, and the file of its log."""
    log = HOME / f"log-{port}"
    with open(log, "wb") as file:
        process = subprocess.Popen([str(weir.WEIR), *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=file)
    try:
        weir.wait_until_ready(process, log.read_text)
        yield process, log
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(30 * weir.SLOWDOWN)
        process.stdout.close()


def ask(url, body=None, **headers):
    request = urllib.request.Request(url, json.dumps(body).encode() if body is not None else None, {"Content-Type": "application/json", **headers})
    try:
        with urllib.request.urlopen(request, timeout=30 * weir.SLOWDOWN) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


class Reload(unittest.TestCase):
    def test_a_good_file_is_taken_and_a_bad_one_refused_while_requests_go_on(self):
        ports = [weir.free_port() for _ in range(3)]
        path = HOME / "reload.yaml"

        def write(port, more="", model="chat"):
            path.write_text(f"listen: {{port: {ports[0]}}}\n{more}upstreams: {{pods: {{endpoints: ['http://127.0.0.1:{port}']}}}}\n"
                            f"models: {{{model}: {{targets: [{{upstream: pods, model: mock}}]}}}}\n")
        write(ports[1])
        with running(ports[1], "bench", "mock", "--port", ports[1], "--ttft", "5"), \
                running(ports[2], "bench", "mock", "--port", ports[2], "--ttft", "5") as (second, _), \
                running(ports[0], "gateway", path) as (process, log):
            url = f"http://127.0.0.1:{ports[0]}"
            stop, codes = threading.Event(), []

            def load():
                while not stop.is_set():
                    codes.append(ask(url + "/v1/chat/completions", ASK)[0])
            threads = [threading.Thread(target=load) for _ in range(2)]
            for t in threads:
                t.start()
            try:
                write(ports[2], more="drain_timeout_s: 9\n")
                process.send_signal(signal.SIGHUP)
                self.assertTrue(weir.until(lambda: "config_needs_restart keys=drain_timeout_s" in log.read_text()), log.read_text())
                self.assertIn("config_reloaded", log.read_text())
                path.write_text(path.read_text().replace("targets", "tragets"))
                process.send_signal(signal.SIGHUP)
                self.assertTrue(weir.until(lambda: "config_reload_failed" in log.read_text()), log.read_text())
                failed = next(line for line in log.read_text().splitlines() if "config_reload_failed" in line)
                self.assertIn("reload.yaml:4", failed)
                self.assertIn("targets", failed)
                before = len(codes)
                self.assertTrue(weir.until(lambda: len(codes) > before + 10))
            finally:
                stop.set()
                for t in threads:
                    t.join()
            self.assertEqual(set(codes), {200})
            write(ports[2], model="other")
            process.send_signal(signal.SIGHUP)
            self.assertTrue(weir.until(lambda: ask(url + "/v1/chat/completions", ASK)[0] == 404))
            self.assertEqual(ask(url + "/v1/chat/completions", {**ASK, "model": "other"})[0], 200)
            self.assertIsNone(second.poll())
            self.assertIn('weir_gateway_reloads_total{result="good"} 2', ask(url + "/metrics")[1])


class ReloadByAdmin(unittest.TestCase):
    def test_the_configuration_is_shown_and_read_again(self):
        ports = [weir.free_port() for _ in range(2)]
        token, key, path = HOME / "token", HOME / "upstream.key", HOME / "admin.yaml"
        for file, secret in ((token, "operator"), (key, "sk-of-the-upstream")):
            file.write_text(secret)
            file.chmod(0o600)

        def write(model, more=""):
            path.write_text(f"listen: {{port: {ports[0]}}}\nadmin: {{port: {ports[1]}, token_file: {token}}}\n{more}"
                            f"upstreams: {{pods: {{endpoints: ['http://127.0.0.1:1'], key_file: {key}}}}}\n"
                            f"models: {{{model}: {{targets: [{{upstream: pods, model: mock}}]}}}}\n")
        write("chat")
        with running(ports[0], "gateway", path) as (_, log):
            admin = f"http://127.0.0.1:{ports[1]}/admin/config"
            who = {"Authorization": "Bearer operator"}
            names = lambda: [m["name"] for m in json.loads(ask(admin, **who)[1])["models"]]
            self.assertEqual(names(), ["chat"])
            self.assertNotIn("sk-of-the-upstream", ask(admin, **who)[1])
            self.assertEqual(ask(admin + "/reload", {})[0], 401)
            write("other", more="drain_timeout_s: 9\n")
            path.write_text(path.read_text().replace(f"port: {ports[0]}", "port: 9"))
            status, said = ask(admin + "/reload", {}, **who)
            self.assertEqual((status, json.loads(said)), (200, {"reloaded": True, "needs_restart": ["listen.port", "drain_timeout_s"]}))
            self.assertEqual(json.loads(ask(admin, **who)[1])["listen"]["port"], ports[0])  # what holds
            self.assertEqual(names(), ["other"])
            path.write_text(path.read_text().replace("targets", "tragets"))
            status, said = ask(admin + "/reload", {}, **who)
            self.assertEqual(status, 400)
            self.assertIn("admin.yaml:5", json.loads(said)["error"]["message"])
            self.assertEqual(names(), ["other"])
            self.assertIn("config_reload_failed", log.read_text())


class Dns(unittest.TestCase):
    def test_the_systems_names(self):
        ports = [weir.free_port() for _ in range(2)]
        path = HOME / "dns.yaml"
        nobody = "a" * 64 + ".invalid"  # no name server is asked for so long a label
        path.write_text(f"listen: {{port: {ports[0]}}}\nupstreams:\n"
                        f"  here: {{endpoints: {{dns: {{name: localhost, port: {ports[1]}, interval_ms: 100}}}}}}\n"
                        f"  gone: {{endpoints: {{dns: {{name: {nobody}, port: {ports[1]}, interval_ms: 100}}}}}}\n"
                        "models: {chat: {targets: [{upstream: here, model: mock}, {upstream: gone, tier: 1}]}}\n")
        with running(ports[1], "bench", "mock", "--port", ports[1]), running(ports[0], "gateway", path) as (_, log):
            url = f"http://127.0.0.1:{ports[0]}"
            self.assertTrue(weir.until(lambda: ask(url + "/ready")[0] == 200, 30), log.read_text())
            self.assertEqual(ask(url + "/v1/chat/completions", ASK)[0], 200)
            self.assertIn('weir_gateway_discoveries_total{result="gone",upstream="gone"}', ask(url + "/metrics")[1])
            self.assertIn(nobody + " does not resolve", log.read_text())
            self.assertIn("endpoint_added upstream=here endpoint=http://127.0.0.1:", log.read_text())


if __name__ == "__main__":
    unittest.main()
