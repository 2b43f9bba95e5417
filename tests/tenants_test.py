"""weir serve with a keys file and a config file: who may what, how much, and what a reload changes while it runs."""

import json
import os
import pathlib
import signal
import socket
import tempfile
import time
import unittest

import weir_process as weir

weir.skip_unless(weir.WEIR, weir.MODEL)
import httpx  # noqa: E402

TOKEN = "the-admin-token"
directory = tempfile.TemporaryDirectory()
HOME = pathlib.Path(directory.name)
KEYS, CONFIG, TOKEN_FILE = HOME / "keys.yaml", HOME / "weir.yaml", HOME / "token"
keys = {}
server = None
admin = None

TENANTS = """tenants:
  free: {requests_per_min: 3, weight: 1}
  paid: {tokens_per_min: 400, concurrent: 4, max_input_tokens: 200, max_output_tokens: 64}
  other: {models: [some-other-model]}
  more: {requests_per_min: 50}
  ops: {}
  slow: {class: batch}
keys:
"""
SETTINGS = """port: %d
host: 127.0.0.1
keys_file: %s
cors_origins: [https://a.example]
limits: {max_running: 8}
admin: {port: 0, token_file: %s}
log: {level: info}
"""


def new_key(tenant, *more):
    code, out, err = weir.run("keys", "new", "--tenant", tenant, "--json", *more)
    assert code == 0, err
    return json.loads(out)["keys"][0]


def write_keys(tenants=TENANTS, entries=None):
    KEYS.write_text(tenants + "".join(k["entry"] for k in (entries or keys).values()))
    KEYS.chmod(0o600)


def write_config(text=None):
    CONFIG.write_text(text or SETTINGS % (server.port if server else 0, KEYS, TOKEN_FILE))


def setUpModule():
    global server, admin
    for tenant in ("free", "paid", "other", "more"):
        keys[tenant] = new_key(tenant)
    keys["ops"] = new_key("ops", "--right", "admin", "--right", "metrics")
    keys["slow"] = new_key("slow", "--argon2")
    write_keys()
    TOKEN_FILE.write_text(TOKEN + "\n")
    write_config()
    server = weir.Server("--config", CONFIG)  # --port is a flag of Server and wins over the file
    admin = server.text().split("weir: admin ")[1].split()[0]


def tearDownModule():
    code = server.stop()
    assert code == 0, server.text()[-4000:]


def ask(key=None, path="/v1/completions", headers=None, **body):
    headers = dict(headers or {})
    if key:
        headers["authorization"] = "Bearer " + key
    body = {"prompt": "a b c", "max_tokens": 4, "temperature": 0, **body}
    return httpx.post(server.url + path, json=body, headers=headers, timeout=60 * weir.SLOWDOWN)


def ask_admin(method, path, token=TOKEN, **more):
    return httpx.request(method, admin + path, headers={"authorization": "Bearer " + token} if token else {}, timeout=60, **more)


def reload_by_signal(event):
    before = server.text().count(event)
    server.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 30 * weir.SLOWDOWN
    while server.text().count(event) == before:
        assert time.monotonic() < deadline, f"no {event} in the log:\n{server.text()[-3000:]}"
        time.sleep(0.02)


class Tenants(unittest.TestCase):
    def tearDown(self):
        self.assertIsNone(server.process.poll(), "the server died")

    def refused(self, reply, status, code):
        self.assertEqual(reply.status_code, status, reply.text)
        self.assertEqual(reply.json()["error"]["code"], code)
        return reply

    def restore(self):
        write_keys()
        write_config()
        reload_by_signal("config_reloaded")

    def test_no_or_a_wrong_key(self):
        for key in (None, "x", keys["paid"]["key"] + "x", keys["paid"]["key"][:-1]):
            self.assertIn("www-authenticate", self.refused(ask(key), 401, "invalid_api_key").headers)
        self.assertEqual(ask(None, headers={"x-api-key": keys["paid"]["key"]}).status_code, 200)
        self.assertEqual(httpx.get(server.url + "/health").status_code, 200)

    def test_a_key_in_the_url(self):
        for query in ("api_key", "key", "API_KEY", "%6bey"):
            self.refused(ask(keys["paid"]["key"], f"/v1/completions?{query}=SECRET"), 400, "bad_request")
        self.assertNotIn("SECRET", server.text())

    def test_rights(self):
        self.refused(ask(keys["ops"]["key"]), 403, "permission_denied")
        self.assertEqual(ask_admin("GET", "/admin/requests", keys["ops"]["key"]).status_code, 200)
        self.refused(ask_admin("GET", "/admin/requests", keys["paid"]["key"]), 401, "invalid_api_key")

    def test_models(self):
        self.refused(ask(keys["other"]["key"]), 403, "permission_denied")
        self.refused(ask(keys["other"]["key"], model="unknown"), 404, "model_not_found")
        models = httpx.get(server.url + "/v1/models", headers={"x-api-key": keys["other"]["key"]}).json()
        self.assertEqual(models["data"], [])

    def test_requests_per_minute(self):
        self.restore()
        replies = [ask(keys["free"]["key"]) for _ in range(4)]
        self.assertEqual([r.status_code for r in replies], [200, 200, 200, 429])
        self.assertEqual([r.headers["x-ratelimit-remaining-requests"] for r in replies], ["2", "1", "0", "0"])
        self.assertEqual(replies[0].headers["x-ratelimit-limit-requests"], "3")
        self.refused(replies[3], 429, "rate_limit_exceeded")
        self.assertTrue(1 <= int(replies[3].headers["retry-after"]) <= 60)
        self.assertRegex(replies[3].headers["x-ratelimit-reset-requests"], r"^(\d+m)?\d+m?s$")
        self.assertEqual(ask(keys["paid"]["key"]).status_code, 200)  # another tenant goes on

    def test_tokens_are_reserved_and_given_back(self):
        key = new_key("paid")
        fresh = TENANTS.replace("  paid:", "  paid2: {tokens_per_min: 400}\n  paid:")
        entry = {**key, "entry": key["entry"].replace('"paid"', '"paid2"')}
        write_keys(fresh, {**keys, "paid2": entry})
        reload_by_signal("config_reloaded")
        first = ask(key["key"], max_tokens=300, stop=[" "])
        self.assertEqual(first.status_code, 200, first.text)
        used = first.json()["usage"]["total_tokens"]
        reserved = first.json()["usage"]["prompt_tokens"] + 300
        self.assertEqual(int(first.headers["x-ratelimit-remaining-tokens"]), 400 - reserved)
        second = ask(key["key"], max_tokens=50)
        self.assertEqual(int(second.headers["x-ratelimit-remaining-tokens"]), 400 - used - second.json()["usage"]["prompt_tokens"] - 50)
        self.refused(ask(key["key"], max_tokens=399), 400, "max_output_tokens_exceeded")  # never fits
        self.refused(ask(key["key"], max_tokens=380), 429, "rate_limit_exceeded")
        with httpx.stream("POST", server.url + "/v1/completions", headers={"x-api-key": key["key"]}, timeout=60,
                          json={"prompt": "x", "max_tokens": 100, "stream": True, "ignore_eos": True}) as stream:
            self.assertIn("x-ratelimit-remaining-tokens", stream.headers)
            next(stream.iter_lines())  # then the client goes away: what it did not use comes back
        deadline = time.monotonic() + 20 * weir.SLOWDOWN
        while True:
            left = int(httpx.get(server.url + "/v1/models", headers={"x-api-key": key["key"]}).headers["x-ratelimit-remaining-tokens"])
            if left > 400 - used - 60 - 100 or time.monotonic() > deadline:
                break
            time.sleep(0.05)
        self.assertGreater(left, 400 - used - 60 - 100)
        self.restore()

    def test_tokens_of_one_request(self):
        self.refused(ask(keys["paid"]["key"], max_tokens=65), 400, "max_output_tokens_exceeded")
        self.refused(ask(keys["paid"]["key"], prompt="a " * 300), 400, "max_input_tokens_exceeded")

    def test_argon2id(self):
        self.assertEqual(ask(keys["slow"]["key"]).status_code, 200)
        self.assertEqual(ask(keys["slow"]["key"]).status_code, 200)
        self.refused(ask(keys["slow"]["key"] + "x"), 401, "invalid_api_key")

    def test_a_good_reload(self):
        key = new_key("more")
        write_keys(TENANTS.replace("requests_per_min: 50", "requests_per_min: 1000"), {**keys, "new": key})
        write_config((SETTINGS % (server.port, KEYS, TOKEN_FILE)).replace("a.example", "b.example").replace("max_running: 8", "max_running: 9"))
        self.refused(ask(key["key"]), 401, "invalid_api_key")
        reply = ask_admin("POST", "/admin/config/reload")
        self.assertEqual(reply.status_code, 200, reply.text)
        self.assertEqual(reply.json(), {"reloaded": ["cors_origins"], "needs_restart": ["limits.max_running"]})
        self.assertEqual(ask(key["key"]).status_code, 200)
        self.assertEqual(ask(keys["more"]["key"]).headers["x-ratelimit-limit-requests"], "1000")
        allowed = httpx.get(server.url + "/health", headers={"origin": "https://b.example"})
        self.assertEqual(allowed.headers.get("access-control-allow-origin"), "https://b.example")
        self.assertNotIn("access-control-allow-origin", httpx.get(server.url + "/health", headers={"origin": "https://a.example"}).headers)
        self.restore()
        self.refused(ask(key["key"]), 401, "invalid_api_key")

    def test_a_bad_reload_changes_nothing(self):
        write_keys(TENANTS.replace("tokens_per_min", "tokens_per_mim"))
        write_config((SETTINGS % (server.port, KEYS, TOKEN_FILE)).replace("a.example", "c.example"))
        reload_by_signal("config_reload_failed")
        self.assertIn("tokens_per_min", server.text())
        last = ask_admin("GET", "/admin/config").json()["last_reload"]
        self.assertFalse(last["ok"])
        self.assertIn('keys.yaml:3: unknown key \"tokens_per_mim\"; the nearest is \"tokens_per_min\"', last["error"])
        self.assertEqual(ask(keys["paid"]["key"]).status_code, 200)
        self.assertNotIn("access-control-allow-origin", httpx.get(server.url + "/health", headers={"origin": "https://c.example"}).headers)
        for bad in ("port: [\n", "prot: 1\n", "log: {level: loud}\n", "a: &a [1]\nb: *a\n"):
            write_config(bad)
            self.assertEqual(ask_admin("POST", "/admin/config/reload").status_code, 400)
        self.restore()
        self.assertTrue(ask_admin("GET", "/admin/config").json()["last_reload"]["ok"])

    def test_admin_asks_for_its_token(self):
        for path in ("/admin/requests", "/admin/config", "/nothing"):
            self.refused(ask_admin("GET", path, None), 401, "invalid_api_key")
            self.refused(ask_admin("GET", path, "wrong"), 401, "invalid_api_key")
        self.refused(httpx.get(server.url + "/admin/config"), 404, "not_found")  # not on the main listener
        self.refused(ask_admin("GET", "/admin/drain"), 405, "method_not_allowed")

    def test_admin_shows_the_configuration_without_secrets(self):
        reply = ask_admin("GET", "/admin/config")
        config = {c["key"]: c for c in reply.json()["config"]}
        self.assertEqual(config["limits.max_running"]["where"], f"{CONFIG}:5")
        self.assertEqual(config["port"]["origin"], "flag")
        self.assertNotIn(TOKEN, reply.text)

    def test_admin_lists_requests_without_content(self):
        with httpx.stream("POST", server.url + "/v1/completions", headers={"x-api-key": keys["slow"]["key"]}, timeout=60,
                          json={"prompt": "confidential", "max_tokens": 4000, "stream": True, "ignore_eos": True}) as stream:
            self.assertEqual(stream.status_code, 200)
            lines = stream.iter_lines()  # kept: a dropped iterator closes the connection
            self.assertTrue(next(lines).startswith("data: {"))
            reply = ask_admin("GET", "/admin/requests")
            mine = [r for r in reply.json()["requests"] if r["tenant"] == "slow"]
            self.assertEqual(len(mine), 1, reply.text)
            self.assertEqual(mine[0]["id"], stream.headers["x-request-id"])
            self.assertEqual(mine[0]["state"], "answering")
            self.assertNotIn("confidential", reply.text)
        self.assertEqual(ask_admin("POST", "/admin/cache/flush").status_code, 200)

    def test_metrics_by_tenant(self):
        ask(keys["paid"]["key"])
        text = httpx.get(server.url + "/metrics").text
        self.assertRegex(text, r'weir_tenant_requests_total\{tenant="paid"\} [1-9]')
        self.assertRegex(text, r'weir_tenant_generation_tokens_total\{tenant="paid"\} [1-9]')

    def test_no_key_is_kept_in_the_open(self):
        for k in keys.values():
            self.assertNotIn(k["key"], KEYS.read_text())
            self.assertNotIn(k["key"], server.text())

    def test_keys_file_made_in_a_loop(self):
        path = HOME / "twenty.yaml"
        for i in range(20):
            code, _, err = weir.run("keys", "new", "--tenant", f"t{i}", "--file", path)
            self.assertEqual(code, 0, err)
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        code, out, err = weir.run("keys", "check", path)
        self.assertEqual((code, out), (0, f"{path}: ok, 20 tenants, 20 keys\n"), err)

    def test_zz_drain(self):
        self.assertEqual(ask_admin("POST", "/admin/drain").json(), {"draining": True})
        self.assertEqual(httpx.get(server.url + "/ready").status_code, 503)
        self.refused(ask(keys["slow"]["key"]), 503, "server_overloaded")


class Config(unittest.TestCase):
    def test_show(self):
        file = HOME / "show.yaml"
        file.write_text("port: 1\nslo: {itl_ms: 30}\n")
        env = {**os.environ, "WEIR_LOG_LEVEL": "debug"}
        code, out, err = weir.run("config", "show", "--config", file, "--ctx", "512", "--api-key", "sk-secret", "--json", env=env)
        self.assertEqual(code, 0, err)
        rows = {r["key"]: (r["value"], r["origin"], r["where"]) for r in json.loads(out)}
        self.assertEqual(rows["port"], (1, "file", f"{file}:1"))
        self.assertEqual(rows["slo.itl_ms"], (30, "file", f"{file}:2"))
        self.assertEqual(rows["log.level"], ("debug", "environment", "WEIR_LOG_LEVEL"))
        self.assertEqual(rows["ctx"], (512, "flag", "--ctx"))
        self.assertEqual(rows["host"], ("127.0.0.1", "default", "default"))
        self.assertNotIn("sk-secret", out)

    def test_bad_files(self):
        file = HOME / "bad.yaml"
        for text, words in (("prot: 1\n", ':1: unknown key "prot"; the nearest is "port"'), ("port: 70000\n", ":1: port must be an integer from 0 to 65535"),
                            ("limits:\n  max_runing: 3\n", ':2: unknown key "limits.max_runing"; the nearest is "limits.max_running"')):
            file.write_text(text)
            for command in (("config", "check", file), ("config", "show", "--config", file), ("serve", weir.MODEL, "--config", file)):
                code, _, err = weir.run(*command)
                self.assertEqual(code, 3, err)
                self.assertIn(f"{file}{words}", err)

    def test_binding_beyond_loopback_wants_keys(self):
        code, _, err = weir.run("serve", weir.MODEL, "--host", "0.0.0.0", "--port", 0, "--ctx", 64)
        self.assertEqual(code, 2, err)
        self.assertIn("--keys-file", err)
        code, _, err = weir.run("serve", weir.MODEL, "--port", 0, "--admin-port", 0, "--ctx", 64)
        self.assertEqual(code, 2, err)
        self.assertIn("--admin-token-file", err)

    def test_a_world_readable_keys_file_is_said(self):
        path = HOME / "open.yaml"
        weir.run("keys", "new", "--tenant", "a", "--file", path)
        path.chmod(0o644)
        _, _, err = weir.run("keys", "check", path)
        self.assertIn("everyone can read it; chmod 600", err)

    def test_hosts_are_checked(self):
        with weir.Server("--allowed-host", "weir.example", "--no-calibrate") as s:
            with socket.create_connection(("127.0.0.1", s.port)) as c:
                c.sendall(b"GET /health HTTP/1.1\r\nHost: evil.example\r\n\r\n")
                self.assertIn(b" 403 ", c.recv(4096).split(b"\r\n")[0])
            self.assertEqual(httpx.get(s.url + "/health", headers={"host": "weir.example"}).status_code, 200)


if __name__ == "__main__":
    unittest.main()
