// Whatever a text holds, who reads a file back reads that text and nothing beside it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "config/yaml.h"
#include "ops/config_write/shell_script.h"
#include "ops/config_write/write.h"
#include "ops/config_write/write_testing.h"
#include "ops/config_write/yaml_text.h"
#include "ops/deploy/read.h"
#include "ops/deploy/shell.h"
#include "text/json.h"

namespace weir::ops {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// Pieces that mean something to YAML, a shell or JSON.
std::string some_text(std::mt19937_64& random) {
  static const std::vector<std::string> kPieces{"a",
                                                "B",
                                                "7",
                                                " ",
                                                ":",
                                                ": ",
                                                "#",
                                                " #",
                                                "'",
                                                "\"",
                                                "\\",
                                                "{",
                                                "}",
                                                "[",
                                                "]",
                                                ",",
                                                "&",
                                                "*",
                                                "!",
                                                "|",
                                                ">",
                                                "%",
                                                "@",
                                                "`",
                                                "$",
                                                "-",
                                                "--x",
                                                "- ",
                                                "?",
                                                "=",
                                                "~",
                                                "\n",
                                                "\r",
                                                "\t",
                                                "\x1b",
                                                "\x7f",
                                                "\xc2\x85",
                                                "\xc2\xa0",
                                                "\xe2\x80\xa8",
                                                "\xe2\x80\xa9",
                                                "\xef\xbb\xbf",
                                                "\xf0\x9f\x98\x80",
                                                "null",
                                                "no",
                                                "0x10",
                                                "1e3",
                                                ".inf",
                                                "<<",
                                                "---",
                                                "...",
                                                "/"};
  std::string out;
  for (size_t n = random() % 8; n > 0; --n) out += kPieces[random() % kPieces.size()];
  return out;
}

TEST(Quoting, AnyTextIsReadBackAsItWas) {
  std::mt19937_64 random(7);
  for (int i = 0; i < 4000; ++i) {
    const std::string text = some_text(random);
    SCOPED_TRACE(text::json_quote(text));
    YamlText tree = YamlText::map(
        {{"k", YamlText::text(text).why(text)}, {"l", YamlText::list({YamlText::text(text)})}});
    const std::string key = text.empty() || text == "k" || text == "l" ? "other" : text;
    tree.set(key, YamlText::text("v"));
    const auto node = config::parse_yaml(tree.dump(), "f");
    ASSERT_TRUE(node.ok()) << node.error().message << tree.dump();
    ASSERT_EQ(node->members.size(), 3U);
    EXPECT_EQ(node->find("k")->text, text);
    EXPECT_EQ(node->find("l")->items.at(0).text, text);
    EXPECT_EQ(node->members[2].key, key);
    if (text.empty()) continue;
    const std::vector<ConfigLine> lines{{"--flag", text, text, "plan"}, {"", text, "why", "plan"}};
    const auto commands =
        split_commands(shell_reasons(lines) + shell_command("exec ", {"run"}, lines), "f");
    ASSERT_TRUE(commands.ok()) << commands.error().message;
    ASSERT_EQ(commands->size(), 1U);
    ASSERT_EQ(commands->at(0).words.size(), 5U);
    EXPECT_EQ(commands->at(0).words[3].text, text);
    EXPECT_EQ(commands->at(0).words[4].text, text);
  }
}

TEST(Quoting, OnlyPlainWordsStandWithoutQuotes) {
  for (const char* plain : {"apps/v1", "llama-3.1-70b", "/health", "--max-num-seqs=16",
                            "Deployment", "vllm/vllm-openai:v0.33.0", "hf://a/b"})
    EXPECT_EQ(YamlText::text(plain).scalar(), plain);
  for (const char* other :
       {"",           "NO",   "No",   "NULL", "null", "~",     "0x10",       "1e3",    "8",
        "16Gi",       ".inf", ".NaN", "yEs",  "TRUE", "1:30",  "2026-11-30", "{a: b}", "[1]",
        "a: b",       "a:",   "-",    "- a",  "---",  "--",    "--8",        "a b",    "a\rb",
        "a\xc2\x85z", "=",    "<<",   "+1",   "_1",   "-.inf", "@a",         "%a",     "*a"})
    EXPECT_TRUE(YamlText::text(other).scalar().starts_with('"')) << other;
}

TEST(Quoting, PeopleReadATextWithoutItsQuotes) {
  EXPECT_EQ(YamlText::text("sum (up{job=\"a\"}) < 1").flow(), "sum (up{job=\"a\"}) < 1");
  EXPECT_EQ(YamlText::list({YamlText::text("a b"), YamlText::number(3)}).flow(), "[a b, 3]");
}

TEST(Quoting, AValueIsRawOnlyWhereItIsMarkedAsJson) {
  const auto written = [](std::string value, bool json) {
    return value_of({"k", std::move(value), "why", "plan", json}).scalar();
  };
  EXPECT_EQ(written("16384", true), "16384");
  EXPECT_EQ(written("0.840", true), "0.840");
  EXPECT_EQ(written("true", true), "true");
  EXPECT_EQ(written("{\"a\":\n [1]}", true), "{\"a\":[1]}");
  EXPECT_EQ(written("16384", false), "\"16384\"");
  EXPECT_EQ(written("{\"a\": 1}", false), "\"{\\\"a\\\": 1}\"");
  EXPECT_EQ(written("{a: b}\nkeys_file: /etc/passwd", true), "\"{a: b}\\nkeys_file: /etc/passwd\"");
}

bool has_text(const config::Node& n, const std::string& text) {
  if (n.text.find(text) != std::string::npos) return true;
  for (const config::Node& i : n.items) {
    if (has_text(i, text)) return true;
  }
  return std::any_of(n.members.begin(), n.members.end(),
                     [&](const config::Member& m) { return has_text(m.value, text); });
}

// Names that are odd, and still names.
TEST(Quoting, AHostilePlanStaysInItsQuotesInEveryFile) {
  for (const char* odd : {"x'; rm -rf ~; '--evil.gguf", "{a: b}.gguf", "[a].gguf", "a: b # c.gguf",
                          "`id`.gguf", "${HOME}.gguf", "a\" \\.gguf", "*x.gguf", "&x !y.gguf"}) {
    PlanFile plan = some_plan();
    plan.accelerator = "amd-epyc-9654";
    plan.precision = "fp8; server { }";
    for (const std::string& target : config_targets()) {
      SCOPED_TRACE(target + " " + odd);
      const auto w =
          write_config(plan, {.target = target, .environment = "prod", .model_source = odd});
      ASSERT_TRUE(w.ok()) << w.error().message;
      size_t found = 0;
      for (const WrittenFile& f : w->files) {
        if (f.path.ends_with(".sh")) {
          const auto commands = split_commands(f.text, f.path);
          ASSERT_TRUE(commands.ok()) << commands.error().message;
          for (const ShellCommand& c : *commands) {
            for (const Word& word : c.words) {
              found += word.text == odd ? 1 : 0;
              EXPECT_THAT(word.text, Not(HasSubstr("server {")));
            }
          }
        } else if (f.path.ends_with(".yaml")) {
          const auto documents = parse_documents(f.text, f.path);
          ASSERT_TRUE(documents.ok()) << documents.error().message;
          for (const config::Node& d : *documents) found += has_text(d, odd) ? 1 : 0;
        }
      }
      const bool names_model = target != "deepspeed" && target != "nginx" && target != "haproxy" &&
                               target != "prometheus" && target != "grafana";
      EXPECT_EQ(found > 0, names_model);
    }
  }
}

TEST(Quoting, NamesThatAreNoNamesAreRefused) {
  for (const char* bad : {"a\nb", "a\rb", "a\tb", "-a", "--trust-remote-code", "a\xc2\x85z", "$(A)",
                          "a\xe2\x80\xa8z", "a\x7fz"}) {
    PlanFile plan = some_plan();
    plan.model_source = bad;
    PlanFile named = some_plan();
    named.model_name = bad;
    for (const std::string& target : config_targets()) {
      const WriteRequest r{.target = target, .environment = "dev"};
      const auto source = write_config(plan, r);
      ASSERT_FALSE(source.ok()) << target << " " << bad;
      EXPECT_THAT(source.error().message, HasSubstr("model.source")) << target;
      const auto name = write_config(named, r);
      ASSERT_FALSE(name.ok()) << target << " " << bad;
      EXPECT_THAT(name.error().message, HasSubstr("model.name")) << target;
    }
  }
}

}  // namespace
}  // namespace weir::ops
