#include "mcp/protocol.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace weir::mcp {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using text::Json;

Tool bench_tool() {
  Tool tool;
  tool.name = "bench_load";
  tool.title = "weir bench load";
  tool.description = "Measures.";
  tool.command = {"bench", "load"};
  ToolParameter url{ToolParameter::Kind::kString, "url", "--url", "where", "", {}, false, true};
  ToolParameter rate{ToolParameter::Kind::kNumber, "rate", "--rate", "", "2", {}, false, false};
  ToolParameter count{ToolParameter::Kind::kInteger, "n", "-n", "", "", {}, true, false};
  ToolParameter mode{
      ToolParameter::Kind::kString, "mode", "--mode", "", "", {"a", "b"}, false, false};
  ToolParameter quiet{ToolParameter::Kind::kSwitch, "script", "--script", "", "", {}, false, false};
  ToolParameter file{ToolParameter::Kind::kString, "file", "", "", "", {}, true, false};
  tool.parameters = {url, rate, count, mode, quiet, file};
  tool.json = true;
  tool.json_excludes = {"script"};
  return tool;
}

Protocol protocol() {
  ServerContent content;
  content.version = "1.2.3";
  content.tools = {bench_tool()};
  content.resources = {{"weir://skill/SKILL.md", "SKILL.md", "weir", "text/markdown", "# weir"}};
  return Protocol(std::move(content));
}

std::string modern(const std::string& method, const std::string& params = "") {
  return R"({"jsonrpc":"2.0","id":7,"method":")" + method + R"(","params":{"_meta":{)" +
         R"("io.modelcontextprotocol/protocolVersion":"2026-07-28",)" +
         R"("io.modelcontextprotocol/clientCapabilities":{},"progressToken":"p"})" +
         (params.empty() ? "" : "," + params) + "}}";
}

std::string legacy(const std::string& method, const std::string& params = "{}") {
  return R"({"jsonrpc":"2.0","id":"a","method":")" + method + R"(","params":)" + params + "}";
}

Json parsed(const std::string& text) {
  auto json = Json::parse(text);
  EXPECT_TRUE(json.ok()) << text;
  return json.ok() ? *std::move(json) : Json();
}

const LegacySession kBegun{true, "2025-11-25"};

TEST(Protocol, InitializeAgreesOnAVersion) {
  const Protocol p = protocol();
  const Outcome o =
      p.handle(legacy("initialize", R"({"protocolVersion":"2025-06-18","capabilities":{}})"), {});
  const Json reply = parsed(o.reply);
  EXPECT_EQ(reply.find("id")->as_string(), "a");
  const Json* result = reply.find("result");
  EXPECT_EQ(result->find("protocolVersion")->as_string(), "2025-06-18");
  EXPECT_EQ(result->find("serverInfo")->find("version")->as_string(), "1.2.3");
  EXPECT_EQ(result->find("resultType"), nullptr);
  ASSERT_TRUE(o.began);
  EXPECT_EQ(o.began->version, "2025-06-18");
  // An unknown one is answered with the newest of that era.
  EXPECT_EQ(
      p.handle(legacy("initialize", R"({"protocolVersion":"1999-01-01"})"), {}).began->version,
      "2025-11-25");
  EXPECT_THAT(p.handle(legacy("initialize"), {}).reply, HasSubstr("-32602"));
}

TEST(Protocol, AModernRequestStandsAlone) {
  const Protocol p = protocol();
  const Json discover = parsed(p.handle(modern("server/discover"), {}).reply);
  const Json* result = discover.find("result");
  EXPECT_EQ(result->find("supportedVersions")->items()[0].as_string(), "2026-07-28");
  EXPECT_EQ(result->find("resultType")->as_string(), "complete");
  EXPECT_GT(result->find("ttlMs")->as_int(), 0);
  EXPECT_EQ(result->find("cacheScope")->as_string(), "public");
  EXPECT_EQ(
      result->find("_meta")->find("io.modelcontextprotocol/serverInfo")->find("name")->as_string(),
      "weir");
  const Json tools = parsed(p.handle(modern("tools/list"), {}).reply);
  EXPECT_EQ(tools.find("result")->find("tools")->items()[0].find("name")->as_string(),
            "bench_load");
  // No version, no capabilities, another version, methods that went.
  EXPECT_EQ(p.handle(legacy("tools/list"), {}).http_status, 400);
  std::string request = modern("tools/list");
  Outcome o = p.handle(request.replace(request.find("2026-07-28"), 10, "2027-01-01"), {});
  EXPECT_EQ(o.http_status, 400);
  EXPECT_THAT(o.reply, HasSubstr("-32022"));
  EXPECT_THAT(o.reply, HasSubstr(R"("supported":["2026-07-28","2025-11-25","2025-06-18"])"));
  request = modern("tools/list");
  request.replace(request.find("Capabilities"), 12, "Capabilitie_");
  EXPECT_THAT(p.handle(request, {}).reply, HasSubstr("-32602"));
  o = p.handle(modern("ping"), {});
  EXPECT_EQ(o.http_status, 404);
  EXPECT_THAT(o.reply, HasSubstr("-32601"));
}

TEST(Protocol, OfALegacySession) {
  const Protocol p = protocol();
  EXPECT_EQ(p.handle(legacy("ping"), kBegun).reply, R"({"jsonrpc":"2.0","id":"a","result":{}})");
  const Json tools = parsed(p.handle(legacy("tools/list"), kBegun).reply);
  EXPECT_EQ(tools.find("result")->find("ttlMs"), nullptr);
  EXPECT_EQ(tools.find("result")->find("tools")->size(), 1U);
  EXPECT_THAT(p.handle(legacy("resources/templates/list"), kBegun).reply,
              HasSubstr("resourceTemplates"));
  EXPECT_THAT(p.handle(legacy("tools/list", R"({"cursor":"x"})"), kBegun).reply,
              HasSubstr("-32602"));
  EXPECT_THAT(p.handle(legacy("logging/setLevel"), kBegun).reply, HasSubstr("-32601"));
  EXPECT_THAT(p.handle(legacy("nonsense/list"), kBegun).reply, HasSubstr("-32601"));
  EXPECT_THAT(p.handle(legacy("resources/read", R"({"uri":"weir://x"})"), kBegun).reply,
              HasSubstr("-32002"));
  EXPECT_THAT(p.handle(modern("resources/read", R"("uri":"weir://x")"), {}).reply,
              HasSubstr("-32602"));
  EXPECT_THAT(
      p.handle(legacy("resources/read", R"({"uri":"weir://skill/SKILL.md"})"), kBegun).reply,
      HasSubstr("\"# weir\""));
}

TEST(Protocol, MessagesThatAreNone) {
  const Protocol p = protocol();
  const auto reply = [&](std::string_view bytes) { return p.handle(bytes, kBegun).reply; };
  EXPECT_THAT(reply("{"), HasSubstr("-32700"));
  EXPECT_THAT(reply("\xff"), HasSubstr("-32700"));
  EXPECT_THAT(reply("[]"), HasSubstr("batches"));
  EXPECT_THAT(reply(R"([{"jsonrpc":"2.0","id":1,"method":"ping"}])"), HasSubstr("-32600"));
  EXPECT_THAT(reply("3"), HasSubstr(R"({"jsonrpc":"2.0","id":null,"error":{"code":-32600)"));
  EXPECT_THAT(reply(R"({"id":1,"method":"ping"})"), HasSubstr(R"("id":1,"error":{"code":-32600)"));
  EXPECT_THAT(reply(R"({"jsonrpc":"2.0","id":null,"method":"ping"})"), HasSubstr("-32600"));
  EXPECT_THAT(reply(R"({"jsonrpc":"2.0","id":1.5,"method":"ping"})"), HasSubstr("-32600"));
  EXPECT_THAT(reply(R"({"jsonrpc":"2.0","id":1,"method":3})"), HasSubstr("-32600"));
  EXPECT_THAT(reply(R"({"jsonrpc":"2.0","id":1,"method":"ping","params":[1]})"),
              HasSubstr("-32602"));
  EXPECT_THAT(reply(R"({"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":3}})"),
              HasSubstr("-32602"));
  EXPECT_THAT(reply(std::string(kMaxMessageBytes + 1, ' ')), HasSubstr("-32600"));
  // Nothing is said to notifications and responses.
  EXPECT_EQ(reply(R"({"jsonrpc":"2.0","method":"notifications/initialized"})"), "");
  EXPECT_EQ(reply(R"({"jsonrpc":"2.0","method":"no/such"})"), "");
  EXPECT_EQ(reply(R"({"jsonrpc":"2.0","id":1,"result":{}})"), "");
  const Outcome o = p.handle(
      R"({"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":4}})", kBegun);
  ASSERT_TRUE(o.cancel);
  EXPECT_EQ(o.cancel->as_int(), 4);
}

// Every beginning of a message is an error of JSON, and every reply is one line of JSON.
TEST(Protocol, CutAtEveryByte) {
  const Protocol p = protocol();
  const std::string whole = modern("tools/call", R"("name":"bench_load","arguments":{"url":"u"})");
  for (size_t n = 0; n < whole.size(); ++n) {
    const std::string reply = p.handle(std::string_view(whole).substr(0, n), {}).reply;
    EXPECT_THAT(reply, HasSubstr("-32700")) << n;
    EXPECT_EQ(reply.find('\n'), std::string::npos);
  }
  EXPECT_TRUE(p.handle(whole, {}).call);
}

TEST(Protocol, ACallHasItsWordsAndItsReply) {
  const Protocol p = protocol();
  const Outcome o = p.handle(
      modern(
          "tools/call",
          R"("name":"bench_load","arguments":{"url":"--x","rate":1.5,"n":[1,-2],"file":["-a"]})"),
      {});
  ASSERT_TRUE(o.call);
  EXPECT_THAT(o.call->command, ElementsAre("bench", "load", "--url=--x", "--rate=1.5", "-n", "1",
                                           "-n", "-2", "--json", "--", "-a"));
  EXPECT_EQ(o.call->progress_token.as_string(), "p");
  ToolOutput output;
  output.output = R"({"ok":true})";
  const Json good = parsed(p.call_reply(*o.call, output));
  EXPECT_FALSE(good.find("result")->find("isError")->as_bool());
  EXPECT_TRUE(good.find("result")->find("structuredContent")->find("ok")->as_bool());
  EXPECT_EQ(good.find("result")->find("content")->size(), 1U);
  output.code = 1;  // an answer, not a failure
  output.errors = "warned";
  EXPECT_THAT(p.call_reply(*o.call, output), HasSubstr("exit code 1: the answer is no\\nwarned"));
  EXPECT_THAT(p.call_reply(*o.call, output), HasSubstr("\"isError\":false"));
  output = {ToolOutput::End::kExited, 3, 0, "", "weir: no such file", false};
  const Json bad = parsed(p.call_reply(*o.call, output));
  EXPECT_TRUE(bad.find("result")->find("isError")->as_bool());
  EXPECT_THAT(bad.dump(), HasSubstr("exit code 3: bad input\\nweir: no such file"));
  output = {ToolOutput::End::kTimeout, 0, 9, "half", "", true};
  EXPECT_THAT(p.call_reply(*o.call, output), HasSubstr("stopped after 9 s"));
  EXPECT_THAT(p.call_reply(*o.call, output), HasSubstr("the output was cut"));
  // Wrong arguments are for the model to mend; an unknown tool is not.
  const auto call = [&](const std::string& arguments) {
    return p.handle(modern("tools/call", R"("name":"bench_load","arguments":)" + arguments), {})
        .reply;
  };
  EXPECT_THAT(call("{}"), HasSubstr("url is missing"));
  EXPECT_THAT(call("{}"), HasSubstr("\"isError\":true"));
  EXPECT_THAT(call(R"({"url":"u","rat":1})"),
              HasSubstr("no parameter \\\"rat\\\"; there are url, rate"));
  EXPECT_THAT(call(R"({"url":"u","rate":"1"})"), HasSubstr("rate must be a number"));
  EXPECT_THAT(call(R"({"url":"u","n":1.5})"), HasSubstr("n must be an integer"));
  EXPECT_THAT(call(R"({"url":"u","mode":"c"})"), HasSubstr("mode must be one of a, b"));
  EXPECT_THAT(call(R"({"url":"u","script":1})"), HasSubstr("script must be true or false"));
  EXPECT_THAT(call(R"({"url":"a\u0000b"})"), HasSubstr("without a zero byte"));
  EXPECT_THAT(call("[]"), HasSubstr("arguments must be an object"));
  EXPECT_THAT(p.handle(modern("tools/call", R"("name":"x")"), {}).reply, HasSubstr("-32602"));
}

Json result_of(const ToolOutput& output) {
  const Json reply = parsed(protocol().call_reply({}, output));
  return *reply.find("result");
}

ToolOutput printed(std::string text, std::string errors = "", bool cut = false) {
  return {ToolOutput::End::kExited, 0, 0, std::move(text), std::move(errors), cut};
}

// The bytes of a command may be cut anywhere and hold anything; a reply is well-formed all the
// same.
TEST(Protocol, RepliesAreUtf8) {
  const std::string euros = "1 \u20ac 2 \u20ac";
  for (size_t n = 0; n <= euros.size(); ++n) {
    const Json r = result_of(printed(euros.substr(0, n) + (n == 0 ? "x" : ""), "", true));
    EXPECT_EQ(r.find("content")->items()[0].find("text")->as_string().find("\ufffd"),
              std::string::npos)
        << n;
  }
  EXPECT_EQ(result_of(printed("a\xff"
                              "b"))
                .find("content")
                ->items()[0]
                .find("text")
                ->as_string(),
            "a\ufffd"
            "b");
  std::string errors;
  while (errors.size() < 5000) errors += "\u20ac";
  for (const char* more : {"", "x", "xy"}) {
    const Json r = result_of(printed("", errors + more));
    EXPECT_TRUE(r.find("content")->items()[0].find("text")->as_string().starts_with("\u20ac"));
  }
  EXPECT_THAT(Protocol::progress(Json(1), 1, "\xe2\x82"), HasSubstr("\ufffd"));
}

TEST(Protocol, ListsAreStructuredToo) {
  EXPECT_EQ(result_of(printed("[1,{\"a\":2}]\n")).find("structuredContent")->dump(),
            R"({"items":[1,{"a":2}]})");
  EXPECT_EQ(result_of(printed("{\"a\":1}\n{\"a\":2}\n")).find("structuredContent")->dump(),
            R"({"items":[{"a":1},{"a":2}]})");
  EXPECT_EQ(result_of(printed("a\n{\"a\":2}\n")).find("structuredContent"), nullptr);
  // What a command says beside its output reaches the model as well.
  EXPECT_THAT(result_of(printed("{}", "weir: 40 of 90")).dump(), HasSubstr("weir: 40 of 90"));
}

TEST(Tool, SaysWhatItMayChangeAndHasDefaults) {
  Tool tool = bench_tool();
  tool.effect = Tool::Effect::kAdds;
  tool.defaults = {{"rate", "--rate=9"}};
  EXPECT_THAT(*command_line(tool, parsed(R"({"url":"u"})")), testing::Contains("--rate=9"));
  const auto given = command_line(tool, parsed(R"({"url":"u","rate":1})"));
  EXPECT_THAT(*given, testing::Not(testing::Contains("--rate=9")));
  ServerContent content;
  content.tools = {tool};
  const Json list = parsed(Protocol(std::move(content)).handle(legacy("tools/list"), kBegun).reply);
  EXPECT_EQ(list.find("result")->find("tools")->items()[0].find("annotations")->dump(),
            R"({"readOnlyHint":false,"destructiveHint":false})");
}

TEST(Tool, JsonIsLeftOutBesideWhatExcludesIt) {
  const auto line = command_line(bench_tool(), parsed(R"({"url":"","script":true})"));
  ASSERT_TRUE(line.ok());
  EXPECT_THAT(*line, ElementsAre("bench", "load", "--url", "", "--script"));
  const Json schema = input_schema(bench_tool());
  EXPECT_EQ(schema.find("required")->dump(), R"(["url"])");
  EXPECT_FALSE(schema.find("additionalProperties")->as_bool());
  const Json* properties = schema.find("properties");
  EXPECT_EQ(properties->find("n")->find("type")->as_string(), "array");
  EXPECT_EQ(properties->find("n")->find("items")->find("type")->as_string(), "integer");
  EXPECT_EQ(properties->find("mode")->find("enum")->size(), 2U);
  EXPECT_EQ(properties->find("rate")->find("description")->as_string(), " (default 2)");
}

// A system takes no longer words, and says no more than 127.
TEST(Tool, WhatIsTooLongForACommandIsNamed) {
  const auto of = [](size_t bytes) {
    Json arguments = Json::object();
    arguments.set("url", std::string(bytes, 'x'));
    return command_line(bench_tool(), arguments);
  };
  EXPECT_TRUE(of(100'000).ok());
  EXPECT_THAT(of(100'001).error().message, HasSubstr("url must be at most 100000 bytes"));
}

TEST(Prompts, AreFilled) {
  const Protocol p = protocol();
  const Json list = parsed(p.handle(legacy("prompts/list"), kBegun).reply);
  EXPECT_EQ(list.find("result")->find("prompts")->size(), 5U);
  for (const Prompt& prompt : all_prompts()) {
    Json arguments = Json::object();
    for (const PromptArgument& a : prompt.arguments) {
      EXPECT_THAT(prompt.text, HasSubstr("{" + a.name + "}")) << prompt.name;
      if (a.required) arguments.set(a.name, "THE {folder} " + a.name);
    }
    const auto text = fill_prompt(prompt, arguments);
    ASSERT_TRUE(text.ok()) << prompt.name;
    for (const PromptArgument& a : prompt.arguments) {
      EXPECT_THAT(*text, HasSubstr(a.required ? "THE {folder} " + a.name : a.otherwise));
    }
  }
  const auto get = [&](const std::string& rest) {
    return p.handle(legacy("prompts/get", R"({"name":"capacity-plan",)" + rest + "}"), kBegun)
        .reply;
  };
  EXPECT_THAT(get(R"("arguments":{"model":"m"})"), HasSubstr("accelerator is missing"));
  EXPECT_THAT(get(R"("arguments":{"model":"m","accelerator":3})"), HasSubstr("must be a string"));
  EXPECT_THAT(get(R"("arguments":{"modell":"m"})"), HasSubstr("no argument"));
  EXPECT_THAT(get(R"("arguments":{"model":"M7","accelerator":"A7"})"), HasSubstr("M7 on A7"));
  EXPECT_THAT(p.handle(legacy("prompts/get"), kBegun).reply, HasSubstr("-32602"));
}

TEST(Protocol, AListenerIsAcknowledged) {
  const Protocol p = protocol();
  const Outcome o = p.handle(modern("subscriptions/listen", R"("notifications":{})"), {});
  ASSERT_TRUE(o.listen);
  EXPECT_EQ(o.reply, "");
  const Json said = parsed(Protocol::acknowledged(*o.listen));
  EXPECT_EQ(said.find("method")->as_string(), "notifications/subscriptions/acknowledged");
  EXPECT_EQ(
      said.find("params")->find("_meta")->find("io.modelcontextprotocol/subscriptionId")->as_int(),
      7);
  EXPECT_THAT(p.listen_end(*o.listen), HasSubstr("subscriptionId"));
}

}  // namespace
}  // namespace weir::mcp
