"""weir gateway, shadows: copies of requests that another model answers for nobody, with mocks."""

import contextlib
import hashlib
import json
import pathlib
import sqlite3
import tempfile
import time
import unittest

import weir_process as weir

weir.skip_unless(weir.WEIR)
import gateway_process  # noqa: E402
import httpx  # noqa: E402
import mock_llm  # noqa: E402

directory = tempfile.TemporaryDirectory()
HOME = pathlib.Path(directory.name)
gateway, ask, rows, ms = gateway_process.gateway, gateway_process.ask, gateway_process.rows, gateway_process.ms


class Shadows(unittest.TestCase):
    def test_whatever_becomes_of_a_copy_no_user_sees_it(self):
        ledger = HOME / "shadow.db"
        prices = "prices: [" + ", ".join(f'{{model: {m}, input: "1.00", output: "1.00", date: 2026-11-30}}' for m in ("chat", "next")) + "]\n"
        with mock_llm.MockLlm() as live, mock_llm.MockLlm() as trial:
            text = (f'upstreams: {{l: {{endpoints: ["{live.url}"]}}, t: {{endpoints: ["{trial.url}"], '
                    "breaker: {in_a_row: 0, failure_rate: 2}, outlier: {consecutive_failures: 0}}}\n"
                    "models:\n  chat: {targets: [{upstream: l}], shadow: {model: next, sample: 1, max_in_flight: 3}}\n"
                    f"  next: {{targets: [{{upstream: t}}], timeouts: {{total_ms: {ms(60)}}}, retries: {{max_attempts: 1}}}}\n"
                    f"ledger: {{file: {ledger}}}\n" + prices)
            with gateway(text) as (url, _):
                first = ask(url, "chat", headers={"x-request-id": "one"})
                found = rows(ledger, 2)
                self.assertEqual(sorted((r[0], r[2], r[3], r[4], r[5]) for r in found),
                                 [(0, "next", "shadow", 8000, "one-shadow"), (1, "chat", "", 8000, "one")])
                self.assertEqual(trial.bodies("/v1/chat/completions")[0]["model"], "next")
                slowest = 0
                for fault in ("500", "reset", "malformed", "cut", "slow", "429", "hang"):
                    if fault == "hang":
                        time.sleep(1.2)  # until the 429's Retry-After is past: before, copies are not sent and none hangs
                    trial.behave(fault)
                    for n in range(6):
                        begin = time.monotonic()
                        said = ask(url, "chat", stream=n % 2 == 1)
                        slowest = max(slowest, time.monotonic() - begin)
                        self.assertEqual((said.status_code, said.headers["x-weir-upstream"], said.headers["x-weir-attempts"]), (200, "l", "1"), fault)
                        if n % 2 == 0:
                            self.assertEqual(said.json(), first.json())
                        else:
                            self.assertTrue(said.text.endswith("data: [DONE]\n\n"))
                self.assertLess(slowest, 20 * weir.SLOWDOWN)  # who waited for a copy that hangs would wait for a minute
                metrics = httpx.get(url + "/metrics").text
                self.assertEqual(weir.metric(metrics, "weir_gateway_requests_total"), 43)
                self.assertEqual(weir.metric(metrics, "weir_gateway_first_byte_seconds_count"), 43)
                self.assertIn('weir_gateway_shadow_total{end="answered",model="chat"}', metrics)
                self.assertGreaterEqual(int(float(metrics.split('weir_gateway_shadow_total{end="dropped",model="chat"} ')[1].split()[0])), 3)
        code, out, err = weir.run("cost", "report", "--ledger", ledger, "--by", "cache", "--json")
        self.assertEqual(code, 0, err)
        total = json.loads(out)["all"]
        self.assertEqual(total["requests"], 43)
        self.assertGreater(total["shadow_cost"], 0)

    def test_a_copy_is_the_operators_and_no_tenants(self):
        ledger, keys = HOME / "whose.db", HOME / "keys.yaml"
        keys.write_text("tenants: {acme: {}}\nkeys:\n  - {tenant: acme, id: k1, rights: [inference], sha256: "
                        f"{hashlib.sha256(b'key-of-acme').hexdigest()}}}\n")
        keys.chmod(0o600)
        with mock_llm.MockLlm() as live, mock_llm.MockLlm() as trial:
            text = (f"keys_file: {keys}\nledger: {{file: {ledger}}}\n"
                    f'upstreams: {{l: {{endpoints: ["{live.url}"]}}, t: {{endpoints: ["{trial.url}"]}}}}\n'
                    "models:\n  chat: {targets: [{upstream: l}], shadow: {model: next, sample: 1}}\n  next: {targets: [{upstream: t}]}\n"
                    "quotas: [{name: day, tenant: acme, metric: requests, window: day, limit: 2}]\n")
            with gateway(text) as (url, _):
                said = [ask(url, "chat", headers={"Authorization": "Bearer key-of-acme"}).status_code for _ in range(3)]
                self.assertEqual(said, [200, 200, 429])
                rows(ledger, 4)
        with contextlib.closing(sqlite3.connect(ledger)) as db:
            found = db.execute("SELECT tenant, key_id, cache, count(*) FROM attempts GROUP BY 1, 2, 3 ORDER BY 1").fetchall()
        self.assertEqual(found, [("", "", "shadow", 2), ("acme", "k1", "", 2)])


if __name__ == "__main__":
    unittest.main()
