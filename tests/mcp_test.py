"""weir mcp with the `mcp` client from PyPI, over stdio and streamable HTTP, in both eras of the protocol.

WEIR_MCP_TRANSCRIPT=FILE writes what a session of it says, as docs/SKILL.md quotes it.
"""

import asyncio
import http.client
import json
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

import weir_process as weir

weir.skip_unless(weir.WEIR)
try:
    from mcp import Client, ClientSession, StdioServerParameters
    from mcp.client.stdio import stdio_client
except ImportError as error:
    print(f"skipped: {error} (tests/requirements.txt)")
    raise SystemExit(weir.SKIP) from None

MODERN = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}
LEFT_OUT = {"serve", "keys", "mcp", "mock", "gateway"}


def request(method, number=1, **params):
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": {"_meta": MODERN, **params}}


class Http:
    """weir mcp --http on a free port."""

    def __init__(self, *flags, token=""):
        self.flags = flags or ("--no-token",)
        self.environment = {**os.environ, "WEIR_MCP_TOKEN": token}

    def __enter__(self):
        self.process = subprocess.Popen([str(weir.WEIR), "mcp", "--http", "0", *self.flags], stdout=subprocess.PIPE, text=True,
                                        env=self.environment)
        self.url = re.match(r"weir: ready (\S+)", self.process.stdout.readline()).group(1)
        self.port = int(re.search(r":(\d+)/", self.url).group(1))
        return self

    def __exit__(self, *_):
        self.process.terminate()
        code = self.process.wait(20 * weir.SLOWDOWN)
        self.process.stdout.close()
        if code != 0:
            raise RuntimeError(f"weir mcp ended with {code}")

    def send(self, body, method="POST", path="/mcp", **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30 * weir.SLOWDOWN)
        fields = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
        if isinstance(body, dict):
            if "_meta" in body.get("params", {}):
                fields["MCP-Protocol-Version"] = "2026-07-28"
                fields["Mcp-Method"] = body["method"]
                if "name" in body["params"]:
                    fields["Mcp-Name"] = body["params"]["name"]
            body = json.dumps(body)
        fields.update({k.replace("_", "-"): v for k, v in headers.items()})
        connection.request(method, path, body, {k: v for k, v in fields.items() if v})
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer, text


async def walk(test, session, transcript=None):
    """What an agent does: look, read, call, take a prompt."""
    tools = {t.name: t for t in (await session.list_tools()).tools}
    schema = tools["config_check"].input_schema
    test.assertEqual(schema["required"], ["file"])
    test.assertEqual(schema["properties"]["count"]["type"], "integer")
    resources = [str(r.uri) for r in (await session.list_resources()).resources]
    test.assertEqual(tools["intake"].input_schema["properties"]["set"]["type"], "array")
    test.assertIn("weir://skill/SKILL.md", resources)
    test.assertIn("weir://skill/data/sources.json", resources)
    page = await session.read_resource("weir://skill/SKILL.md")
    test.assertIn("# weir: LLM inference in production", page.contents[0].text)
    prompts = [p.name for p in (await session.list_prompts()).prompts]
    test.assertEqual(prompts, ["trend-protocol", "review-checklist", "quantize-with-proof", "capacity-plan", "incident-triage"])
    prompt = await session.get_prompt("trend-protocol", {"question": "Which engine for 8 GPUs?"})
    test.assertIn("Which engine for 8 GPUs?", prompt.messages[0].content.text)
    test.assertNotIn("ask", tools["intake"].input_schema["properties"])
    hints = {name: (t.annotations.read_only_hint, t.annotations.destructive_hint) for name, t in tools.items()}
    test.assertEqual((hints["log_verify"], hints["cost"], hints["rollback"]), ((True, False), (False, False), (False, True)))
    sources = await session.call_tool("sources_list", {})
    test.assertEqual(len(sources.structured_content["items"]), 25)
    test.assertLess(len(sources.content[0].text), 64_000)
    test.assertIn("the first 25 of", sources.content[-1].text)
    test.assertIn("25 unless given", tools["sources_list"].description)
    topic = await session.call_tool("sources_list", {"topic": "kv-cach"})
    test.assertIn("the nearest is kv-cache", topic.content[-1].text)
    wrong = await session.call_tool("plan", {"acelerator": "x"})
    test.assertTrue(wrong.is_error)
    test.assertIn('no parameter "acelerator"', wrong.content[0].text)
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "serve.sh"
        file.write_text("vllm serve m --max-num-sequences 64\n")
        checked = await session.call_tool("config_check", {"file": [str(file)]})
    test.assertFalse(checked.is_error, checked)
    test.assertEqual(checked.structured_content["errors"], 1)
    test.assertIn("exit code 1: the answer is no", checked.content[-1].text)
    if transcript is not None:
        transcript += [f"tools: {', '.join(sorted(tools))}", f"resources: {len(resources)}, the first {resources[0]}",
                       f"prompts: {', '.join(prompts)}", "config_check {\"file\": [\"serve.sh\"]}: "
                       + json.dumps(checked.structured_content["engines"][0]["findings"][0])]
    return tools


class Mcp(unittest.IsolatedAsyncioTestCase):
    def parameters(self):
        return StdioServerParameters(command=str(weir.WEIR), args=["mcp"])

    async def test_stdio_in_the_legacy_era(self):
        transcript = []
        async with stdio_client(self.parameters()) as (read, write), ClientSession(read, write) as session:
            begun = await session.initialize()
            self.assertEqual(begun.protocol_version, "2025-11-25")
            transcript.append(f"initialize: weir, protocol {begun.protocol_version}")
            tools = await walk(self, session, transcript)
        # No command is forgotten.
        code, text, _ = weir.run("--help")
        self.assertEqual(code, 0)
        commands = set(re.findall(r"^  ([a-z]+) ", text.split("Subcommands:")[1], re.M)) - LEFT_OUT - {"weir"}
        self.assertEqual({name.split("_")[0] for name in tools}, commands)
        self.assertFalse({"serve", "bench_mock", "keys_add", "mcp"} & set(tools))
        if target := os.environ.get("WEIR_MCP_TRANSCRIPT"):
            pathlib.Path(target).write_text("\n".join(transcript) + "\n")

    async def test_stdio_and_http_in_the_modern_era(self):
        async with Client(stdio_client(self.parameters())) as client:
            await walk(self, client.session)
        with Http() as server:
            async with Client(server.url) as client:
                await walk(self, client.session)

    async def test_http_in_the_legacy_era(self):
        from mcp.client.streamable_http import streamable_http_client
        with Http() as server:
            async with streamable_http_client(server.url) as streams, ClientSession(*streams[:2]) as session:
                self.assertEqual((await session.initialize()).protocol_version, "2025-11-25")
                await walk(self, session)

    async def test_a_long_call_tells_its_progress_and_can_be_cancelled(self):
        process = await asyncio.create_subprocess_exec(str(weir.WEIR), "mcp", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        long = request("tools/call", name="bench_load", arguments={"url": "http://127.0.0.1:9", "model": "m", "rate": 1, "duration": 60})
        long["params"]["_meta"] = {**MODERN, "progressToken": 5}
        for message in (long, request("server/discover", 2)):
            process.stdin.write(json.dumps(message).encode() + b"\n")
        discovered = json.loads(await process.stdout.readline())
        self.assertEqual(discovered["result"]["supportedVersions"][0], "2026-07-28")
        line = json.loads(await process.stdout.readline())
        if "result" not in line:  # unless it refused at once that nobody listens there
            self.assertEqual(line["method"], "notifications/progress")
            self.assertEqual(line["params"]["progressToken"], 5)
        cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}
        process.stdin.write(json.dumps(cancel).encode() + b"\n")
        process.stdin.close()
        rest = await asyncio.wait_for(process.stdout.read(), 20 * weir.SLOWDOWN)
        self.assertNotIn(b'"id":1,', rest)
        self.assertEqual(await process.wait(), 0)

    def test_http_wants_its_token(self):
        code, _, errors = weir.run("mcp", "--http", "0")
        self.assertEqual(code, 2, errors)
        self.assertIn("--token-file", errors)
        token = "0123456789abcdef0123"
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "token"
            file.write_text(token + "\n")
            file.chmod(0o640)
            code, _, errors = weir.run("mcp", "--http", "0", "--token-file", file)
            self.assertEqual(code, 3, errors)
            self.assertIn("chmod 600", errors)
            file.chmod(0o600)
            for server in (Http("--token-file", str(file), "--allow-origin", "https://a.example"),
                           Http("--allow-origin", "https://a.example", token=token)):
                with server:
                    listing = request("tools/list")
                    for wrong in ("", "Bearer 0123456789abcdef0124", token):
                        answer, text = server.send(listing, Authorization=wrong)
                        self.assertEqual(answer.status, 401)
                        self.assertIn("Authorization: Bearer TOKEN", text)
                        self.assertIn("Bearer", answer.headers["WWW-Authenticate"])
                    right = {"Authorization": f"Bearer {token}", "Origin": "https://a.example"}
                    answer, _ = server.send(listing, **right)
                    self.assertEqual(answer.status, 200)
                    self.assertEqual(answer.headers["Access-Control-Allow-Origin"], "https://a.example")
                    # A browser asks before, without the token.
                    answer, _ = server.send("", method="OPTIONS", Origin="https://a.example")
                    self.assertEqual(answer.status, 204)
                    self.assertIn("Authorization", answer.headers["Access-Control-Allow-Headers"])
                    self.assertEqual(server.send("", method="OPTIONS", Origin="https://b.example")[0].status, 403)

    def test_http_refuses_what_it_must(self):
        with Http() as server:
            listing = request("tools/list")
            self.assertEqual(server.send(listing)[0].status, 200)
            self.assertEqual(server.send(listing, Origin="http://localhost:3000")[0].status, 200)
            for origin in ("https://evil.example", "null", "http://localhost.evil.example", "http://localhost:1@evil"):
                self.assertEqual(server.send(listing, Origin=origin)[0].status, 403, origin)
            self.assertEqual(server.send(listing, Host="evil.example")[0].status, 403)
            self.assertEqual(server.send("", method="GET")[0].status, 405)
            self.assertEqual(server.send(listing, path="/")[0].status, 404)
            self.assertEqual(server.send(listing, Content_Type="text/plain")[0].status, 415)
            self.assertEqual(server.send(listing, Accept="text/html")[0].status, 406)
            answer, text = server.send("{")
            self.assertEqual((answer.status, json.loads(text)["error"]["code"]), (400, -32700))
            self.assertIn('"id":null', text)
            answer, text = server.send(listing, Mcp_Method="tools/call")
            self.assertEqual((answer.status, json.loads(text)["error"]["code"]), (400, -32020))
            answer, text = server.send(request("ping"))
            self.assertEqual((answer.status, json.loads(text)["error"]["code"]), (404, -32601))
            self.assertEqual(server.send({"jsonrpc": "2.0", "method": "notifications/x"})[0].status, 202)
            # A session of before.
            begin = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-06-18"}}
            answer, text = server.send(begin)
            self.assertEqual(json.loads(text)["result"]["protocolVersion"], "2025-06-18")
            session = answer.headers["Mcp-Session-Id"]
            ping = {"jsonrpc": "2.0", "id": 2, "method": "ping"}
            tools = {"jsonrpc": "2.0", "id": 3, "method": "tools/list"}
            self.assertEqual(server.send(ping, Mcp_Session_Id=session, MCP_Protocol_Version="2025-06-18")[0].status, 200)
            self.assertEqual(server.send(tools, MCP_Protocol_Version="1999-01-01", Mcp_Session_Id=session)[0].status, 400)
            self.assertEqual(server.send(tools)[0].status, 400)
            self.assertEqual(server.send(tools, Mcp_Session_Id="0" * 32)[0].status, 404)
            self.assertEqual(server.send("", method="DELETE", Mcp_Session_Id=session)[0].status, 204)
            self.assertEqual(server.send(tools, Mcp_Session_Id=session)[0].status, 404)


if __name__ == "__main__":
    unittest.main()
