"""weir gateway on a disk without room: its files (ledger, quotas, answers under an idempotency key) cannot be written, requests go on, the log and
the metrics say so, and what comes when there is room again is kept again."""

import pathlib
import resource
import signal
import tempfile
import unittest

import weir_process as weir

weir.skip_unless(weir.WEIR)
import gateway_process  # noqa: E402
import httpx  # noqa: E402
import mock_llm  # noqa: E402

ASK = {"model": "chat", "messages": [{"role": "user", "content": "one two three"}], "max_tokens": 8}


def room(process, is_there):
    """For its files; none: not one of them grows, as on a full disk."""
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY if is_there else 0, resource.RLIM_INFINITY))


class FullDisk(unittest.TestCase):
    def test_requests_go_on_and_what_was_lost_is_said(self):
        with tempfile.TemporaryDirectory() as folder, mock_llm.MockLlm() as mock:
            home = pathlib.Path(folder)
            text = (f'upstreams: {{mocks: {{endpoints: ["{mock.url}"]}}}}\nmodels: {{chat: {{targets: [{{upstream: mocks, model: mock}}]}}}}\n'
                    f"ledger: {{file: {home}/ledger.db}}\nidempotency: {{file: {home}/answers.db}}\nstate: {{sqlite: {home}/quotas.db}}\n"
                    "quotas: [{name: many, metric: requests, window: minute, limit: 10000}]\n")
            with gateway_process.gateway(text, "info") as (url, process), httpx.Client(timeout=30) as client:
                def ask(key):
                    """Its status, and whether it is an answer that was kept."""
                    reply = client.post(url + "/v1/chat/completions", json=ASK, headers={"Idempotency-Key": key})
                    return reply.status_code, "idempotent-replayed" in reply.headers

                def metric(name):
                    return weir.metric(client.get(url + "/metrics").text, name) or 0

                dropped = 'weir_gateway_ledger_dropped_total{reason="write_failed"}'
                self.assertEqual([ask("a"), ask("a")], [(200, False), (200, True)])
                self.assertTrue(weir.until(lambda: metric("weir_gateway_ledger_rows_total") == 1, 30))
                room(process, False)
                self.assertEqual([ask("a"), ask("b"), ask("b"), ask("c")], [(200, True), (200, False), (200, False), (200, False)])
                self.assertTrue(weir.until(lambda: metric("weir_gateway_ledger_dropped_total") >= 3, 30))
                self.assertIn(dropped + " 3", client.get(url + "/metrics").text)
                self.assertIn('weir_gateway_idempotency_total{result="unkept"} 3', client.get(url + "/metrics").text)
                self.assertTrue(weir.until(lambda: metric("weir_gateway_quota_store_failures_total") > 0, 30))
                self.assertIsNone(process.poll())
                room(process, True)
                self.assertEqual([ask("b"), ask("b"), ask("d"), ask("d")], [(200, False), (200, True), (200, False), (200, True)])
                self.assertTrue(weir.until(lambda: metric("weir_gateway_ledger_rows_total") == 3, 30))
                self.assertEqual(len(mock.requests), 6)
                process.send_signal(signal.SIGTERM)
                self.assertEqual(process.wait(30 * weir.SLOWDOWN), 0)
            for line in ("idempotency_not_kept", "ledger_not_written"):
                self.assertEqual(process.said.count(line), 1, process.said)


if __name__ == "__main__":
    unittest.main()
