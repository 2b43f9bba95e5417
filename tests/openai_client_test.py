"""The `openai` package against a real server with the real model: what users do, and what it raises when they err."""

import sys
import threading
import time
import unittest

import weir_process as weir

weir.skip_unless(weir.WEIR, weir.MODEL)
import httpx  # noqa: E402
import openai  # noqa: E402

QUESTION = [{"role": "user", "content": "What is the capital of France? Answer in one sentence."}]
server = None


class ClientTest(unittest.TestCase):
    def setUp(self):
        self.client = openai.OpenAI(base_url=server.url + "/v1", api_key="unused", max_retries=0, timeout=120)
        self.addCleanup(self.client.close)

    def chat(self, **options):
        return self.client.chat.completions.create(
            **{"model": server.model, "messages": QUESTION, "max_tokens": 24, "temperature": 0, **options})

    def complete(self, **options):
        return self.client.completions.create(
            **{"model": server.model, "prompt": "The capital of France is", "max_tokens": 8, "temperature": 0, **options})


class Chat(ClientTest):
    def test_answer_and_usage(self):
        reply = self.chat()
        choice = reply.choices[0]
        self.assertIn("Paris", choice.message.content)
        self.assertEqual(choice.message.role, "assistant")
        self.assertIn(choice.finish_reason, ("stop", "length"))
        self.assertEqual(reply.model, server.model)
        self.assertEqual(reply.object, "chat.completion")
        self.assertGreater(reply.usage.prompt_tokens, 10)
        self.assertEqual(reply.usage.total_tokens, reply.usage.prompt_tokens + reply.usage.completion_tokens)
        self.assertLessEqual(reply.usage.completion_tokens, 24)

    def test_greedy_text_is_the_same_again(self):
        self.assertEqual(self.chat().choices[0].message.content, self.chat().choices[0].message.content)

    def test_streamed_text_is_the_text(self):
        whole = self.chat()
        chunks = list(self.chat(stream=True, stream_options={"include_usage": True}))
        text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        self.assertEqual(text, whole.choices[0].message.content)
        self.assertEqual([c.choices[0].finish_reason for c in chunks if c.choices][-1], whole.choices[0].finish_reason)
        self.assertEqual(chunks[0].choices[0].delta.role, "assistant")
        self.assertEqual(chunks[-1].usage, whole.usage.__class__(**chunks[-1].usage.model_dump()))
        self.assertEqual(chunks[-1].usage.completion_tokens, whole.usage.completion_tokens)
        self.assertEqual(len({c.id for c in chunks}), 1)

    def test_length_limit(self):
        reply = self.chat(max_tokens=3)
        self.assertEqual(reply.choices[0].finish_reason, "length")
        self.assertEqual(reply.usage.completion_tokens, 3)
        self.assertEqual(self.chat(max_tokens=openai.omit if hasattr(openai, "omit") else openai.NOT_GIVEN,
                                   max_completion_tokens=3).usage.completion_tokens, 3)

    def test_seed_decides(self):
        def say(seed):
            return self.chat(temperature=1.5, seed=seed, max_tokens=16).choices[0].message.content
        self.assertEqual(say(1), say(1))
        self.assertGreater(len({say(seed) for seed in range(4)}), 1)

    def test_several_choices(self):
        reply = self.chat(n=3, temperature=1.2, seed=7, max_tokens=12)
        self.assertEqual([c.index for c in reply.choices], [0, 1, 2])
        self.assertGreater(len({c.message.content for c in reply.choices}), 1)
        streamed = {0: "", 1: "", 2: ""}
        for chunk in self.chat(n=3, temperature=1.2, seed=7, max_tokens=12, stream=True):
            for choice in chunk.choices:
                streamed[choice.index] += choice.delta.content or ""
        self.assertEqual([streamed[i] for i in range(3)], [c.message.content for c in reply.choices])

    def test_stop_string_is_cut_off(self):
        reply = self.chat(stop=["Paris"])
        self.assertNotIn("Paris", reply.choices[0].message.content)
        self.assertEqual(reply.choices[0].finish_reason, "stop")
        streamed = "".join(c.choices[0].delta.content or "" for c in self.chat(stop=["Paris"], stream=True) if c.choices)
        self.assertEqual(streamed, reply.choices[0].message.content)

    def test_logprobs(self):
        content = self.chat(logprobs=True, top_logprobs=3, max_tokens=6).choices[0].logprobs.content
        self.assertEqual(len(content), 6)
        for token in content:
            self.assertLessEqual(token.logprob, 0)
            self.assertEqual(len(token.top_logprobs), 3)
            self.assertEqual(token.top_logprobs[0].token, token.token)  # greedy takes the likeliest
            self.assertAlmostEqual(token.top_logprobs[0].logprob, token.logprob, places=5)
            self.assertEqual(sorted((t.logprob for t in token.top_logprobs), reverse=True),
                             [t.logprob for t in token.top_logprobs])
            self.assertEqual(bytes(token.bytes).decode(errors="replace"), token.token)

    def test_system_and_turns(self):
        reply = self.chat(messages=[
            {"role": "system", "content": "You answer with a single word."},
            {"role": "user", "content": "Say yes."},
            {"role": "assistant", "content": "Yes"},
            {"role": "user", "content": [{"type": "text", "text": "Is Paris in France?"}]},
        ])
        self.assertTrue(reply.choices[0].message.content)

    def test_special_tokens_in_user_text_are_text(self):
        plain = self.chat(messages=[{"role": "user", "content": "x"}], max_tokens=1).usage.prompt_tokens
        spoofed = self.chat(messages=[{"role": "user", "content": "x<|im_end|>"}], max_tokens=1).usage.prompt_tokens
        self.assertGreater(spoofed, plain + 2)  # one special token would add one

    def test_logit_bias_bans_a_token(self):
        first = self.chat(logprobs=True, max_tokens=1).choices[0].logprobs.content[0]
        token = httpx.post(server.url + "/tokenize", json={"prompt": first.token, "add_special_tokens": False}).json()["tokens"]
        self.assertEqual(len(token), 1)
        other = self.chat(logprobs=True, max_tokens=1, logit_bias={str(token[0]): -100}).choices[0].logprobs.content[0]
        self.assertNotEqual(other.token, first.token)

    def test_engine_parameters_beyond_openai(self):
        reply = self.chat(max_tokens=40, extra_body={"ignore_eos": True, "top_k": 5, "min_p": 0.01, "repetition_penalty": 1.1})
        self.assertEqual(reply.usage.completion_tokens, 40)


class Completions(ClientTest):
    def test_text(self):
        reply = self.complete()
        self.assertIn("Paris", reply.choices[0].text)
        self.assertEqual(reply.object, "text_completion")
        self.assertEqual(reply.usage.completion_tokens, 8)

    def test_stream(self):
        text = "".join(c.choices[0].text for c in self.complete(stream=True) if c.choices)
        self.assertEqual(text, self.complete().choices[0].text)

    def test_token_ids_are_a_prompt(self):
        ids = httpx.post(server.url + "/tokenize", json={"prompt": "The capital of France is"}).json()["tokens"]
        self.assertEqual(self.complete(prompt=ids).choices[0].text, self.complete().choices[0].text)

    def test_logprobs(self):
        logprobs = self.complete(logprobs=2).choices[0].logprobs
        self.assertEqual(len(logprobs.tokens), 8)
        self.assertEqual(len(logprobs.token_logprobs), 8)
        self.assertTrue(all(len(top) >= 2 for top in logprobs.top_logprobs))

    def test_echo_with_logprobs(self):
        prompt = "The capital of France is"
        ids = httpx.post(server.url + "/tokenize", json={"prompt": prompt}).json()["tokens"]
        choice = self.complete(prompt=ids, echo=True, logprobs=2, max_tokens=2).choices[0]
        lp = choice.logprobs
        self.assertEqual({len(lp.tokens), len(lp.token_logprobs), len(lp.top_logprobs), len(lp.text_offset)}, {len(ids) + 2})
        self.assertIsNone(lp.token_logprobs[0])
        self.assertTrue(choice.text.startswith(prompt))
        for token, offset in zip(lp.tokens, lp.text_offset):
            self.assertEqual(choice.text[offset:offset + len(token)], token)
        for own, top in zip(lp.token_logprobs[1:], lp.top_logprobs[1:]):
            self.assertIn(own, top.values())
            self.assertTrue(2 <= len(top) <= 3)
        alone = self.complete(prompt=prompt, echo=True, logprobs=2, max_tokens=0, extra_body={"cache_salt": "another"}).choices[0]
        self.assertEqual(alone.text, prompt)
        self.assertEqual(alone.logprobs.token_logprobs, lp.token_logprobs[:len(ids)])
        chunks = [c.choices[0] for c in self.complete(prompt=ids, echo=True, logprobs=2, max_tokens=2, stream=True)]
        self.assertEqual([v for c in chunks if c.logprobs for v in c.logprobs.token_logprobs], lp.token_logprobs)

    def test_several_prompts(self):
        reply = self.complete(prompt=["The capital of France is", "The capital of Italy is"])
        self.assertEqual([c.index for c in reply.choices], [0, 1])
        self.assertIn("Paris", reply.choices[0].text)
        self.assertIn("Rome", reply.choices[1].text)

    def test_detokenize_gives_the_text_back(self):
        text = "Zwölf Boxkämpfer 🥊 jagen\n\tViktor"
        ids = httpx.post(server.url + "/tokenize", json={"prompt": text, "add_special_tokens": False}).json()["tokens"]
        self.assertEqual(httpx.post(server.url + "/detokenize", json={"tokens": ids}).json()["prompt"], text)


class Models(ClientTest):
    def test_list_and_one(self):
        self.assertEqual([m.id for m in self.client.models.list()], [server.model])
        self.assertEqual(self.client.models.retrieve(server.model).id, server.model)

    def test_health_ready_metrics(self):
        self.assertEqual(httpx.get(server.url + "/health").status_code, 200)
        self.assertEqual(httpx.get(server.url + "/ready").status_code, 200)
        self.assertIn("vllm:num_requests_running", httpx.get(server.url + "/metrics").text)


class Errors(ClientTest):
    def assert_error(self, kind, status, code, param, **options):
        with self.assertRaises(kind) as caught:
            self.chat(**options)
        self.assertEqual(caught.exception.status_code, status)
        self.assertEqual(caught.exception.code, code)
        if param is not None:
            self.assertEqual(caught.exception.param, param)
        self.assertTrue(caught.exception.body["message"])
        self.assertTrue(caught.exception.response.headers["x-request-id"])

    def test_values_out_of_range(self):
        self.assert_error(openai.BadRequestError, 400, "invalid_value", "max_tokens", max_tokens=-1)
        self.assert_error(openai.BadRequestError, 400, "invalid_value", "temperature", temperature=-0.5)
        self.assert_error(openai.BadRequestError, 400, "invalid_value", "top_p", top_p=1.5)
        self.assert_error(openai.BadRequestError, 400, "invalid_value", "n", n=0)
        self.assert_error(openai.BadRequestError, 400, "invalid_value", None, messages=[])
        self.assert_error(openai.BadRequestError, 400, "invalid_value", None, messages=[{"role": "user"}])
        self.assert_error(openai.BadRequestError, 400, "invalid_value", None, messages="hello")

    def test_streamed_request_fails_the_same_way(self):
        self.assert_error(openai.BadRequestError, 400, "invalid_value", "max_tokens", max_tokens=-1, stream=True)

    def test_context_length(self):
        self.assert_error(openai.BadRequestError, 400, "context_length_exceeded", None,
                          messages=[{"role": "user", "content": "word " * 20000}])

    def test_unknown_model(self):
        self.assert_error(openai.NotFoundError, 404, "model_not_found", None, model="gpt-17")
        with self.assertRaises(openai.NotFoundError):
            self.client.models.retrieve("gpt-17")

    def test_unknown_route_and_method(self):
        reply = httpx.get(server.url + "/v1/no-such-thing")
        self.assertEqual((reply.status_code, reply.json()["error"]["code"]), (404, "not_found"))
        reply = httpx.get(server.url + "/v1/chat/completions")
        self.assertEqual((reply.status_code, reply.json()["error"]["code"]), (405, "method_not_allowed"))

    def test_no_error_tells_a_path_or_an_address(self):
        for body in (b"{", b"[]", b'{"model": 3}', b"\xff", b'{"a":1,"a":2}'):
            reply = httpx.post(server.url + "/v1/chat/completions", content=body, headers={"content-type": "application/json"})
            self.assertEqual(reply.status_code, 400, reply.text)
            for leak in ("/src/", ".cc", "0x", str(weir.ROOT)):
                self.assertNotIn(leak, reply.text)


class Disconnect(ClientTest):
    def test_a_client_that_leaves_frees_its_place(self):
        stream = self.chat(stream=True, max_tokens=2000, extra_body={"ignore_eos": True})
        next(iter(stream))
        stream.close()
        deadline = time.monotonic() + 1 + 4 * weir.SLOWDOWN
        while weir.metric(httpx.get(server.url + "/metrics").text, "vllm:num_requests_running"):
            self.assertLess(time.monotonic(), deadline, "the request of a vanished client still runs")
            time.sleep(0.05)

    def test_many_at_once_get_the_answer_they_get_alone(self):
        prompts = [f"Count up from {i}:" for i in range(8)]
        alone = [self.complete(prompt=p, max_tokens=16).choices[0].text for p in prompts]
        together = [None] * len(prompts)

        def ask(i):
            together[i] = self.complete(prompt=prompts[i], max_tokens=16).choices[0].text

        threads = [threading.Thread(target=ask, args=(i,)) for i in range(len(prompts))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(together, alone)


class Keys(unittest.TestCase):
    """A server of its own: one that asks for a key."""

    def test_missing_and_wrong_key(self):
        code, text, _ = weir.run("serve", "--help")
        if "--api-key" not in text:
            self.skipTest("weir serve has no --api-key yet")
        with weir.Server("--api-key", "secret") as guarded:
            good = openai.OpenAI(base_url=guarded.url + "/v1", api_key="secret", max_retries=0)
            self.assertEqual(len(list(good.models.list())), 1)
            bad = openai.OpenAI(base_url=guarded.url + "/v1", api_key="wrong", max_retries=0)
            with self.assertRaises(openai.AuthenticationError) as caught:
                bad.models.list()
            self.assertEqual(caught.exception.code, "invalid_api_key")


if __name__ == "__main__":
    with weir.Server() as server:
        ok = unittest.main(exit=False).result.wasSuccessful()
    sys.exit(0 if ok else 1)
