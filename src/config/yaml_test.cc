#include "config/yaml.h"

#include <gtest/gtest.h>

namespace weir::config {
namespace {

std::string error_of(std::string_view text, const YamlLimits& limits = {}) {
  const auto r = parse_yaml(text, "f.yaml", limits);
  return r.ok() ? "" : r.error().message;
}

TEST(YamlTest, KeepsLinesAndOrder) {
  const auto r = parse_yaml("b: 1\na:\n  - x\n  - {k: 'v'}\nempty:\n", "f.yaml");
  ASSERT_TRUE(r.ok()) << r.error().message;
  ASSERT_EQ(r->members.size(), 3U);
  EXPECT_EQ(r->members[0].key, "b");
  EXPECT_EQ(r->members[1].line, 2);
  EXPECT_EQ(r->members[1].value.items[1].find("k")->text, "v");
  EXPECT_EQ(r->members[1].value.items[1].line, 4);
  EXPECT_EQ(r->members[2].value.kind, Node::Kind::kNull);
}

TEST(YamlTest, KnowsTheLineOfAKey) {
  const auto tree = parse_yaml("a: 1\nb:\n  c:\n    d: 2\n  e: {f: 3,\n    g: 4}\n", "x.yaml");
  ASSERT_TRUE(tree.ok());
  EXPECT_EQ(line_of(*tree, "a"), 1);
  EXPECT_EQ(line_of(*tree, "b"), 2);
  EXPECT_EQ(line_of(*tree, "b.c.d"), 4);
  EXPECT_EQ(line_of(*tree, "b.e.g"), 6);
  EXPECT_EQ(line_of(*tree, "b.c.none"), 3) << "of what there is of it";
  EXPECT_EQ(line_of(*tree, "none.c"), 1);
  EXPECT_EQ(line_of(*tree, "b..c"), 2);
}

TEST(YamlTest, ReadsJson) {
  const auto r = parse_yaml(R"({"keys": [{"id": "a", "n": 3}]})", "f.json");
  ASSERT_TRUE(r.ok()) << r.error().message;
  EXPECT_EQ(r->find("keys")->items[0].find("n")->text, "3");
}

TEST(YamlTest, NamesTheLineOfWhatIsWrong) {
  EXPECT_EQ(error_of("a: 1\nb: 2\na: 3\n"), "f.yaml:3: \"a\" stands twice");
  EXPECT_EQ(error_of("a: 1\nb: [1, 2\n").substr(0, 7), "f.yaml:");
  EXPECT_NE(error_of("a: 1\n---\nb: 2\n").find("more than one document"), std::string::npos);
}

TEST(YamlTest, HasNoBillionLaughs) {
  EXPECT_NE(error_of("a: &a [x, x]\nb: [*a, *a]\n").find("f.yaml:2: aliases"), std::string::npos);
}

TEST(YamlTest, IsBounded) {
  std::string deep;
  for (int i = 0; i < 50'000; ++i) deep += "- ";
  EXPECT_NE(error_of(deep).find("nested more than 32"), std::string::npos);
  EXPECT_FALSE(parse_yaml(std::string(100'000, '['), "f.yaml").ok());
  EXPECT_NE(error_of("[a, b, c]", {.max_values = 3}).find("more than 3 values"), std::string::npos);
  EXPECT_NE(error_of("abcdef", {.max_bytes = 5}).find("larger than 5 bytes"), std::string::npos);
}

TEST(YamlTest, CutAtEveryByteGivesAValueOrAnError) {
  const std::string text =
      "# c\nhost: \"a\\x41\"\nlist:\n  - 'it''s'\n  - |\n    two\n    lines\nm: {a: [1, ~], ? b : "
      "c}\n";
  for (size_t n = 0; n <= text.size(); ++n) {
    const auto r = parse_yaml(text.substr(0, n), "f.yaml");
    EXPECT_TRUE(r.ok() || r.error().message.starts_with("f.yaml")) << r.error().message;
  }
}

}  // namespace
}  // namespace weir::config
