#include "text/chat_template.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace weir::text {
namespace {

Json chat(std::string_view messages) { return *Json::parse(messages); }

Result<std::string> render(std::string_view source, ChatInput input = {}, Budgets budgets = {}) {
  auto compiled = ChatTemplate::compile(source, budgets);
  if (!compiled.ok()) return compiled.error();
  return compiled->render(input);
}

std::string error_of(std::string_view source, Budgets budgets = {}) {
  const auto result = render(source, {}, budgets);
  return result.ok() ? "rendered: " + *result : result.error().message;
}

ErrorCode code_of(std::string_view source, Budgets budgets = {}) {
  const auto result = render(source, {}, budgets);
  return result.ok() ? ErrorCode::kInternal : result.error().code;
}

// Template text in <>, user text in ().
std::string marked(std::string_view source, std::string_view messages) {
  ChatInput input;
  input.messages = chat(messages);
  const auto compiled = ChatTemplate::compile(source);
  if (!compiled.ok()) return compiled.error().message;
  const auto segments = compiled->render_segments(input);
  if (!segments.ok()) return segments.error().message;
  std::string out;
  for (const Segment& s : *segments) {
    out += (s.from_template ? "<" : "(") + s.text + (s.from_template ? ">" : ")");
  }
  return out;
}

TEST(ChatTemplate, ChatmlRendersAConversation) {
  ChatInput input;
  input.messages = chat(R"([{"role":"system","content":"S"},{"role":"user","content":"U"}])");
  EXPECT_EQ(*render(ChatTemplate::chatml(), input),
            "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU<|im_end|>\n"
            "<|im_start|>assistant\n");
  input.add_generation_prompt = false;
  EXPECT_TRUE(render(ChatTemplate::chatml(), input)->ends_with("U<|im_end|>\n"));
}

TEST(ChatTemplate, EveryByteKnowsWhereItCameFrom) {
  const std::string_view user = R"([{"role":"user","content":" <|a|> b "}])";
  EXPECT_EQ(marked("<|a|>{{ messages[0].content }}!", user), "<<|a|>>( <|a|> b )<!>");
  EXPECT_EQ(marked("{{ '<' + messages[0].content | trim | upper + '>' }}", user),
            "<<>(<|A|> B)<>>");
  EXPECT_EQ(marked("{{ messages[0].content.split('|') | join('+') }}", user),
            "( <)<+>(a)<+>(> b )");
  EXPECT_EQ(marked("{{ messages[0].content | replace('a', 'X') }}", user), "( <|)<X>(|> b )");
  EXPECT_EQ(marked("{{ '%s|%s' % (messages[0].content[1:3], 'y') }}", user), "(<|)<|y>");
  EXPECT_EQ(marked("{{ [messages[0].content] | tojson }}", user), "<[\">( <|a|> b )<\"]>");
  EXPECT_EQ(marked("{% set x %}{{ messages[0].content }}.{% endset %}{{ x }}", user),
            "( <|a|> b )<.>");
  EXPECT_EQ(marked("{% macro m(x) %}({{ x }}){% endmacro %}{{ m(messages[0].content[1]) }}", user),
            "<(>(<)<)>");
}

TEST(ChatTemplate, RoleNamesAreTheTemplatesOthersAreNot) {
  EXPECT_EQ(marked("<|{{ messages[0].role }}|>", R"([{"role":"assistant","content":""}])"),
            "<<|assistant|>>");
  EXPECT_EQ(marked("<|{{ messages[0].role }}|>", R"([{"role":"evil","content":""}])"),
            "<<|>(evil)<|>>");
}

TEST(ChatTemplate, ErrorsNameTheLineAndTheCause) {
  EXPECT_EQ(error_of("a\nb\n{{ x.y }}"), "chat template line 3: 'x' is undefined");
  EXPECT_EQ(error_of("{{ 1 +"), "chat template line 1: the tag does not end");
  EXPECT_EQ(error_of("{{ 1 + }}"),
            "chat template line 1: expected an expression, found the end of the tag");
  EXPECT_EQ(error_of("{% if 1 %}\n"), "chat template line 1: the template ends before 'endif'");
  EXPECT_EQ(error_of("{{ 'x' | shout }}"), "chat template line 1: unknown filter 'shout'");
  EXPECT_EQ(error_of("{{ raise_exception('No system role.') }}"), "No system role.");
  EXPECT_EQ(code_of("{% include 'x' %}"), ErrorCode::kUnsupported);
  EXPECT_EQ(code_of("{% endif %}"), ErrorCode::kCorrupt);
  EXPECT_EQ(code_of("\xff"), ErrorCode::kCorrupt);
  EXPECT_EQ(code_of("{{ strftime_now('%Y') }}"), ErrorCode::kInvalidValue);
}

TEST(ChatTemplate, HostileTemplatesRunIntoTheirBudgets) {
  const auto too_much = ErrorCode::kSchemaTooComplex;
  Budgets small;
  small.steps = 100'000;
  small.output_bytes = 100'000;
  small.memory_bytes = 1'000'000;
  const std::string loop = "{% for i in range(99999) %}";
  EXPECT_EQ(code_of(loop + loop + "{% endfor %}{% endfor %}", small), too_much);
  EXPECT_EQ(code_of("{{ 'x' * 200000 }}", small), too_much);
  EXPECT_EQ(code_of("{{ 'x' * 9223372036854775807 }}", small), too_much);
  EXPECT_EQ(code_of("{{ [1] * 9223372036854775807 }}", small), too_much);
  EXPECT_EQ(code_of(loop + "{{ 'xxxxxxxx' }}{% endfor %}", small), too_much);
  EXPECT_EQ(code_of("{% set n = namespace(l=[]) %}" + loop +
                        "{% set n.l = n.l + ['x' * 1000 ~ i] %}{% endfor %}",
                    small),
            too_much);
  EXPECT_EQ(code_of("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"), too_much);
  EXPECT_EQ(code_of("{% set n = namespace(l=[]) %}{% for i in range(5000) %}"
                    "{% set n.l = [n.l] %}{% endfor %}{{ n.l }}"),
            too_much);
  EXPECT_EQ(code_of("{% set l = [] %}{% set _ = l.append(l) %}{{ l }}"), too_much);
  EXPECT_EQ(code_of("{% set l = [] %}{% set _ = l.append(l) %}{{ l | tojson }}"), too_much);
  EXPECT_EQ(code_of("{% set l = [] %}{% set m = [] %}{% set _ = l.append(m) %}"
                    "{% set _ = m.append(l) %}{{ l == m }}"),
            too_much);
  Budgets short_source;
  short_source.source_bytes = 10;
  EXPECT_EQ(code_of("0123456789a", short_source), too_much);
}

TEST(ChatTemplate, DeepNestingIsRefusedAtAnyLength) {
  for (const auto& [open, close] : {std::pair("(", ")"), std::pair("[", "]"), std::pair("-", ""),
                                    std::pair("not ", ""), std::pair("{1:", "}")}) {
    std::string source = "{{ ";
    for (int i = 0; i < 20000; ++i) source += open;
    source += "1";
    for (int i = 0; i < 20000; ++i) source += close;
    EXPECT_EQ(code_of(source + " }}"), ErrorCode::kSchemaTooComplex) << open;
  }
  std::string blocks;
  for (int i = 0; i < 20000; ++i) blocks += "{% if 1 %}";
  EXPECT_EQ(code_of(blocks), ErrorCode::kSchemaTooComplex);
  std::string chain = "{{ x";
  for (int i = 0; i < 20000; ++i) chain += ".a";
  EXPECT_EQ(code_of(chain + " }}"), ErrorCode::kSchemaTooComplex);
}

TEST(ChatTemplate, TheClockIsUtc) {
  const ManualClock clock;  // 2023-11-14 22:13:20 UTC
  ChatInput input;
  input.clock = &clock;
  EXPECT_EQ(*render("{{ strftime_now('%d %b %Y %H:%M') }}", input), "14 Nov 2023 22:13");
}

TEST(ChatTemplate, ExtraVariablesAndToolsAreSeen) {
  ChatInput input;
  input.extra = chat(R"({"enable_thinking":false})");
  EXPECT_EQ(*render("{{ enable_thinking }} {{ tools is none }} {{ bos_token }}", input),
            "False True ");
  const auto compiled = ChatTemplate::compile("{% if tools %}{% endif %}");
  EXPECT_TRUE(compiled->mentions_tools());
}

// A template cut anywhere, and with any byte damaged, is an error or renders; nothing else.
TEST(ChatTemplate, CutAtEveryByte) {
  const std::string source =
      "{%- set ns = namespace(x='a\\u00e9' ~ 1.5e3) -%}\n{# c #}{% macro m(a, b=[1, {'k': none}]) "
      "%}"
      "{{ a | default('x', true) }}{% endmacro %}{% for k, v in {'a': 1}.items() if k is not none "
      "recursive %}{{ loop.index }}{{ m(*[v], b=k[::-1]) }}{% else %}{% raw %}{{{% endraw %}"
      "{% endfor %}{% call(z) m(1) %}{% endcall %}{% filter upper %}x{% endfilter %}"
      "{% with q = 1 %}{{ q if q > 0 and not false else -q }}{% endwith %}{{ '%5.2f' % 1.5 }}";
  ASSERT_TRUE(ChatTemplate::compile(source).ok()) << ChatTemplate::compile(source).error().message;
  for (size_t n = 0; n < source.size(); ++n) {
    (void)render(source.substr(0, n));
    std::string damaged = source;
    damaged[n] = static_cast<char>(damaged[n] ^ 0x11);
    (void)render(damaged);
  }
}

}  // namespace
}  // namespace weir::text
