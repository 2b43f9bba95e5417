"""weir gateway under more load than its model takes, with unmodified clients: who matters is served, the others hear no at once."""

import concurrent.futures
import contextlib
import pathlib
import statistics
import tempfile
import threading
import time
import unittest

import weir_process as weir

weir.skip_unless(weir.WEIR)
import anthropic  # noqa: E402
import mock_llm  # noqa: E402
import openai  # noqa: E402

directory = tempfile.TemporaryDirectory()
HOME = pathlib.Path(directory.name)


@contextlib.contextmanager
def gateway(text):
    port = weir.free_port()
    path = HOME / f"gateway-{port}.yaml"
    path.write_text(f"listen: {{port: {port}}}\n{text}")
    with weir.gateway(path, port, "error") as url:
        yield url


class Overload(unittest.TestCase):
    def test_the_important_keep_their_success_rate(self):
        with mock_llm.MockLlm(delta_s=0.1) as mock:
            text = ("priorities: {default: 3, header: x-weir-priority}\n"
                    f'upstreams: {{pods: {{endpoints: ["{mock.url}"], health: {{path: none}}}}}}\n'
                    "models: {chat: {shed: {max_in_flight: 8, max_queued: 2, max_wait_ms: 5000}, targets: [{upstream: pods, model: m}]}}\n")
            with gateway(text) as url:
                ready = threading.Barrier(17)

                def client(priority):
                    """What came of each of its requests, and after how long."""
                    out = []
                    ask = openai.OpenAI(base_url=url + "/v1", api_key="x", max_retries=0, default_headers={"x-weir-priority": str(priority)})
                    ready.wait()
                    end = time.monotonic() + 4
                    while time.monotonic() < end:
                        start = time.monotonic()
                        try:
                            list(ask.chat.completions.create(model="chat", stream=True, messages=[{"role": "user", "content": "a b c"}]))
                            out.append((200, time.monotonic() - start, None))
                        except openai.APIStatusError as e:
                            out.append((e.status_code, time.monotonic() - start, e.response.headers.get("retry-after")))
                            time.sleep(0.05)
                    return out

                with concurrent.futures.ThreadPoolExecutor(17) as threads:
                    # 15 streams of half a second at a time where 8 fit, 6 of them theirs at most.
                    low = [threads.submit(client, 3) for _ in range(15)]
                    high = [threads.submit(client, 0) for _ in range(2)]
                    low = [r for f in low for r in f.result()]
                    high = [r for f in high for r in f.result()]
                self.assertEqual({status for status, _, _ in high}, {200})
                self.assertGreater(len(high), 6)
                refused = [r for r in low if r[0] != 200]
                self.assertGreater(len(refused), 20)
                self.assertEqual({status for status, _, _ in refused}, {503})
                self.assertTrue(all(int(after) >= 1 for _, _, after in refused))
                self.assertGreater(sum(1 for r in low if r[0] == 200), 10)
                # At once, where a request takes half a second.
                self.assertLess(statistics.median(took for _, took, _ in refused), 0.25 * weir.SLOWDOWN)


class Altered(unittest.TestCase):
    def test_what_the_other_protocol_lacks_is_said(self):
        with mock_llm.MockLlm() as mock:
            text = (f'upstreams: {{a: {{engine: anthropic, endpoints: ["{mock.url}"]}}, o: {{endpoints: ["{mock.url}"]}}}}\n'
                    "models: {at-anthropic: {targets: [{upstream: a, model: m}]}, at-openai: {targets: [{upstream: o, model: m}]}}\n")
            with gateway(text) as url:
                o = openai.OpenAI(base_url=url + "/v1", api_key="x", max_retries=0)
                a = anthropic.Anthropic(base_url=url, api_key="x", max_retries=0)
                ask = [{"role": "user", "content": "hi"}]
                altered = o.chat.completions.with_raw_response.create(model="at-anthropic", messages=ask, seed=1, temperature=0.5)
                self.assertEqual(set(altered.headers["x-weir-altered"].split(", ")), {"seed", "temperature"})
                altered = a.messages.with_raw_response.create(model="at-openai", messages=ask, max_tokens=9, service_tier="auto")
                self.assertIn("service_tier", altered.headers["x-weir-altered"])
                for same in (o.chat.completions.with_raw_response.create(model="at-openai", messages=ask, seed=1),
                             a.messages.with_raw_response.create(model="at-anthropic", messages=ask, max_tokens=9)):
                    self.assertNotIn("x-weir-altered", same.headers)


if __name__ == "__main__":
    unittest.main()
