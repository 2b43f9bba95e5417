// OpenAI → Anthropic → OpenAI over random conversations, and looking into JSON against parsing it.
#include <gtest/gtest.h>

#include "base/rng.h"
#include "gateway/translate/json_skim.h"
#include "gateway/translate/passthrough.h"
#include "gateway/translate/request_text.h"
#include "gateway/translate/requests.h"
#include "gateway/translate/rewrite.h"
#include "text/json.h"

namespace weir::gateway::translate {
namespace {

using text::Json;

std::string random_text(Rng& rng) {
  static const std::vector<std::string> kPieces{"a",    "B c",  "\n",   "\"",   "\\",
                                                "\t",   "é",    "漢字", "🙂", "{\"x\":1}",
                                                "</s>", "\x01", "/",    "0"};
  std::string out = "t";
  for (uint64_t i = rng.below(6); i > 0; --i) out += kPieces[rng.below(kPieces.size())];
  return out;
}

// JSON in any spelling: blanks, numbers that no double holds, escapes.
std::string random_json(Rng& rng, int depth) {
  switch (depth == 0 ? rng.below(5) : rng.below(7)) {
    case 0:
      return "12345678901234567890.10";
    case 1:
      return "-1E+2";
    case 2:
      return R"("\u00e9\/)" + text::json_quote(random_text(rng)).substr(1);
    case 3:
      return "true";
    case 4:
      return "null";
    case 5: {
      std::string out = "[ ";
      for (uint64_t i = rng.below(3); i > 0; --i) out += random_json(rng, depth - 1) + " ,";
      return out + "0]";
    }
    default: {
      std::string out = "{";
      const uint64_t n = rng.below(3);
      for (uint64_t i = 0; i < n; ++i) {
        out += fmt::format("\"k{}\" :{},\n", i, random_json(rng, depth - 1));
      }
      return out + "\"end\":0 }";
    }
  }
}

std::string random_arguments(Rng& rng) {
  switch (rng.below(8)) {
    case 0:
      return "{\"cut\": ";  // a model that was cut
    case 1:
      return "[1]";
    case 2:
      return "{}";
    default:
      return fmt::format("{{ \"a\": {}}}", random_json(rng, 2));
  }
}

Json part(std::string_view type, std::string_view name, Json value) {
  Json out = Json::object();
  out.set("type", type);
  out.set(name, std::move(value));
  return out;
}

Json random_content(Rng& rng) {
  if (rng.below(2) == 0) return random_text(rng);
  Json out = Json::array();
  for (uint64_t i = 1 + rng.below(3); i > 0; --i) {
    if (rng.below(3) > 0) {
      out.push_back(part("text", "text", random_text(rng)));
    } else {
      Json url = Json::object();
      url.set("url", rng.below(2) == 0 ? "https://x.org/" + std::to_string(rng.below(99))
                                       : "data:image/png;base64,QUJD");
      out.push_back(part("image_url", "image_url", std::move(url)));
    }
  }
  return out;
}

Json message(std::string_view role, Json content) {
  Json out = Json::object();
  out.set("role", role);
  out.set("content", std::move(content));
  return out;
}

// A system message, then turns as an agent has them.
Json random_messages(Rng& rng) {
  Json out = Json::array();
  if (rng.below(2) == 0) out.push_back(message("system", random_text(rng)));
  for (uint64_t turn = 1 + rng.below(4); turn > 0; --turn) {
    out.push_back(message("user", random_content(rng)));
    const uint64_t calls = rng.below(4);
    Json said = message("assistant", calls > 0 && rng.below(2) == 0 ? Json() : random_text(rng));
    for (uint64_t i = 0; i < calls; ++i) {
      Json function = Json::object();
      function.set("name", "tool_" + std::to_string(i));
      function.set("arguments", random_arguments(rng));
      Json call = part("function", "function", std::move(function));
      call.set("id", rng.below(2) == 0 ? fmt::format("call_{}_{}", turn, i)
                                       : fmt::format("functions.tool:{}{}", turn, i));
      if (i == 0) said.set("tool_calls", Json::array());
      said.find("tool_calls")->push_back(std::move(call));
    }
    out.push_back(said);
    for (uint64_t i = 0; i < calls; ++i) {
      Json result = message("tool", random_text(rng));
      result.set("tool_call_id", *said.find("tool_calls")->items()[i].find("id"));
      out.push_back(std::move(result));
    }
  }
  return out;
}

// Messages with one spelling for each meaning: a text as a part, neighbours of one role together,
// the details that are dropped left out.
std::vector<std::string> normal(const Json& messages) {
  std::vector<std::string> out;
  for (const Json& m : messages.items()) {
    const std::string role = m.find("role")->as_string();
    const std::string head = role == "tool" ? "tool " + m.find("tool_call_id")->as_string() : role;
    const Json& content = *m.find("content");
    if (content.is_string()) out.push_back(head + " text " + content.as_string());
    if (content.is_array()) {
      for (const Json& p : content.items()) {
        const std::string type = p.find("type")->as_string();
        out.push_back(
            head + " " + type + " " +
            (type == "text" ? p.find(type)->as_string() : p.find(type)->find("url")->dump()));
      }
    }
    const Json* calls = m.find("tool_calls");
    if (calls == nullptr) continue;
    for (const Json& c : calls->items()) {
      const Json& f = *c.find("function");
      out.push_back("call " + c.find("id")->as_string() + " " + f.find("name")->as_string() + " " +
                    f.find("arguments")->as_string());
    }
  }
  return out;
}

TEST(RoundTrip, RolesTextsCallsAndArgumentsStayByteForByte) {
  const TranslateOptions options;
  for (uint64_t seed = 0; seed < 500; ++seed) {
    Rng rng(seed);
    Json body = Json::object();
    body.set("model", "m");
    body.set("messages", random_messages(rng));
    auto there = read_openai_request(body.dump(), options);
    ASSERT_TRUE(there.ok()) << there.error().message;
    const auto anthropic = write_anthropic_request(*there, options);
    ASSERT_TRUE(anthropic.ok()) << anthropic.error().message;
    auto back = read_anthropic_request(*anthropic, options);
    ASSERT_TRUE(back.ok()) << back.error().message << "\n" << *anthropic;
    const auto json = Json::parse(write_openai_request(*back, options));
    ASSERT_TRUE(json.ok()) << json.error().message;
    EXPECT_EQ(normal(*json->find("messages")), normal(*body.find("messages"))) << *anthropic;
    // What Anthropic demands.
    const Json sent = *Json::parse(*anthropic);
    std::string before;
    for (const Json& m : sent.find("messages")->items()) {
      EXPECT_NE(m.find("role")->as_string(), before);
      before = m.find("role")->as_string();
    }
  }
}

TEST(RoundTrip, SchemasStayByteForByte) {
  const TranslateOptions options;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    Rng rng(seed, 1);
    const std::string schema = fmt::format("{{ \"x\" : {}}}", random_json(rng, 3));
    const std::string body = fmt::format(
        R"({{"model":"m","messages":[{{"role":"user","content":"x"}}],"tools":[{{"type":"function","function":{{"name":"f","parameters":{}}}}}],)"
        R"("response_format":{{"type":"json_schema","json_schema":{{"name":"n","schema":{}}}}}}})",
        schema, schema);
    auto there = read_openai_request(body, options);
    ASSERT_TRUE(there.ok()) << there.error().message << body;
    const auto anthropic = write_anthropic_request(*there, options);
    ASSERT_TRUE(anthropic.ok());
    auto back = read_anthropic_request(*anthropic, options);
    ASSERT_TRUE(back.ok()) << back.error().message;
    EXPECT_EQ(back->tools.at(0).schema, schema);
    EXPECT_EQ(back->output->schema, schema);
  }
}

TEST(ToolIds, AnyIdComesBack) {
  for (const std::string id : {"call_1", "functions.f:0", "", "weirhex_6162", "weirhex_", "é"}) {
    const std::string encoded = encode_tool_id(id);
    EXPECT_EQ(decode_tool_id(encoded), id) << encoded;
    EXPECT_EQ(encoded.find_first_not_of("abcdefghijklmnopqrstuvwxyz_0123456789"),
              std::string::npos);
  }
  EXPECT_EQ(encode_tool_id("call_1"), "call_1");
  // What only looks encoded stays: odd, no hexadecimal, no UTF-8.
  for (const std::string id : {"weirhex_6", "weirhex_zz", "weirhex_ff"}) {
    EXPECT_EQ(decode_tool_id(id), id);
  }
}

// ---- Looking into JSON
// ---------------------------------------------------------------------------

TEST(JsonSkim, SaysWhatTheParserSays) {
  uint64_t good = 0;
  for (uint64_t seed = 0; seed < 4000; ++seed) {
    Rng rng(seed, 2);
    std::string json = random_json(rng, 3);
    // Some are broken by an edit of one byte.
    if (rng.below(2) == 0) {
      static constexpr std::string_view kBytes = "{}[]\",:\\ 0-1e.tfn\x01u";
      const size_t at = rng.below(json.size());
      if (rng.below(2) == 0) {
        json[at] = kBytes[rng.below(kBytes.size())];
      } else {
        json.erase(at, 1);
      }
    }
    const auto parsed = Json::parse(json);
    const bool twice = !parsed.ok() && parsed.error().message.find("twice") != std::string::npos;
    const bool surrogate =
        !parsed.ok() && parsed.error().message.find("surrogate") != std::string::npos;
    const bool utf8 = !parsed.ok() && parsed.error().message.find("UTF-8") != std::string::npos;
    if (twice || surrogate || utf8) continue;  // the caller's business
    EXPECT_EQ(is_json(json), parsed.ok()) << json;
    good += parsed.ok() ? 1 : 0;
    if (parsed.ok() && parsed->is_object()) {
      JsonSkim members(json);
      for (const Json::Member& m : parsed->members()) {
        ASSERT_TRUE(members.next());
        EXPECT_TRUE(members.key_is(m.first));
        EXPECT_EQ(*Json::parse(members.value()), m.second);
      }
      EXPECT_FALSE(members.next());
      EXPECT_TRUE(members.ok());
    }
  }
  EXPECT_GT(good, 2000U);
}

TEST(JsonSkim, BrokenTexts) {
  for (const std::string_view text :
       {"{", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,", "{\"a\":1,}", "{,}", "{\"a\" 1}", "[1,]",
        "[1 2]", "{\"a\":1}}", "{\"a\":01}", "{\"a\":1.}", "{\"a\":\"\\x\"}", "{\"a\":\"\\u12\"}",
        "{\"a\":\"\n\"}", "{\"a\":nul}", "", " "}) {
    JsonSkim members(text);
    while (members.next()) {
    }
    EXPECT_FALSE(members.ok()) << text;
    EXPECT_FALSE(is_json(text)) << text;
  }
  std::string deep(64, '[');
  deep += std::string(64, ']');
  EXPECT_TRUE(is_json(deep));
  EXPECT_FALSE(is_json("[" + deep + "]"));
  JsonSkim one(deep);
  EXPECT_TRUE(one.next());
  const std::string deeper = "[" + deep + "]";
  JsonSkim two(deeper);
  EXPECT_FALSE(two.next());
}

// A body that was read is rewritten as one that is looked through, whatever is asked of its stream.
TEST(InPlaceEdit, ReadOrLookedThroughIsTheSame) {
  const RewriteWishes wishes{.model = "up", .usage = true};
  for (const std::string_view body :
       {R"({"model":"m"})", R"( { "model" : "m" , "stream" : true } )",
        R"({"stream":true,"stream_options":null,"model":"m"})",
        R"({"stream":true,"stream_options":{},"model":"m"})",
        R"({"stream":true,"stream_options": {"include_usage" : false , "x":1} ,"model":"m"})",
        R"({"stream":true,"stream_options":{"include_usage":true},"model":"m"})",
        R"({"str\u0065am":true,"model":"\u006d"})", R"({"stream":false,"x":{"model":"no"}})",
        R"({})"}) {
    RequestText text{std::string(body)};
    EXPECT_EQ(text.spots(), nullptr);
    ASSERT_TRUE(text.read().ok()) << body;
    const auto known = rewrite_request(body, wishes, {}, text.spots());
    const auto looked = rewrite_request(body, wishes, {});
    ASSERT_TRUE(known.ok() && looked.ok()) << body;
    EXPECT_EQ(known->body, looked->body);
    EXPECT_EQ(known->model, looked->model);
    EXPECT_EQ(known->stream, looked->stream);
    EXPECT_EQ(known->include_usage, looked->include_usage);
    EXPECT_EQ(known->usage_added, looked->usage_added);
  }
  RequestText list(std::string("[1]"));
  ASSERT_TRUE(list.read().ok());
  EXPECT_EQ(list.spots(), nullptr) << "no object: looking says what is wrong";
  RequestText text(std::string(R"({"model":"m"})"));
  ASSERT_TRUE(text.read().ok());
  text = std::string(R"({"user":"u","model":"m"})");
  EXPECT_EQ(text.spots(), nullptr) << "of another text nothing is known";
}

// The member, and everything else, as a full parse has it.
TEST(InPlaceEdit, EqualsParsingAndSetting) {
  TranslateLimits limits;
  for (uint64_t seed = 0; seed < 500; ++seed) {
    Rng rng(seed, 3);
    std::string json = "{";
    const uint64_t before = rng.below(3);
    for (uint64_t i = 0; i < before; ++i) {
      json += fmt::format(" \"b{}\" : {} ,", i, random_json(rng, 2));
    }
    static const std::vector<std::string> kKeys{"model", "mod\\u0065l", "\\u006dodel"};
    json += fmt::format("\"{}\":{}", kKeys[rng.below(3)], text::json_quote(random_text(rng)));
    const uint64_t after = rng.below(3);
    for (uint64_t i = 0; i < after; ++i) {
      json += fmt::format(",\"model{}\":{}", i, random_json(rng, 2));
    }
    json += " }";
    Json wanted = *Json::parse(json);
    wanted.set("model", "new \"name\"");
    RewriteWishes wishes;
    wishes.model = "new \"name\"";
    const auto request = rewrite_request(json, wishes, limits);
    ASSERT_TRUE(request.ok());
    EXPECT_EQ(*Json::parse(request->body), wanted) << json;
    RequestText text(json);
    ASSERT_TRUE(text.read().ok());
    const auto known = rewrite_request(json, wishes, limits, text.spots());
    ASSERT_TRUE(known.ok());
    EXPECT_EQ(known->body, request->body) << "by what reading it told";
    EXPECT_EQ(known->model, request->model);

    StreamObserver observer(100);
    const auto seen = look_at(Dialect::kChat, json, false, observer);
    ASSERT_TRUE(seen.has_value()) << json;
    EXPECT_EQ(*Json::parse(replace_pieces(json, seen->models, text::json_quote(wishes.model))),
              wanted);
  }
}

}  // namespace
}  // namespace weir::gateway::translate
