#include "ops/skill/skill_lint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "base/paths_testing.h"
#include "ops/skill/install.h"
#include "ops/skill/pack.h"
#include "os/file.h"
#include "os/temp_dir.h"

namespace weir::ops {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
namespace fs = std::filesystem;

constexpr std::string_view kLedger = R"([
 {"id":"a-paper","title":"A","url":"https://a.example/1","publisher":"A","kind":"paper","primary":true,"verified":true,
  "published":"2025","accessed":"2026-11-01","review_by":"2027-11-01","topics":["x"],
  "claims":[{"id":"twice","text":"t","value":"2x","workload":"w","read":true}]}
])";

constexpr std::string_view kPage = R"(# A page
Does one thing. Sources read up to 2026-11-30.
## When to use
- Always.
## Inputs
- `traffic.kind`.
## Decide
| when | do | why |
|---|---|---|
| over 8 | that | 2x [a-paper#twice] |
## Steps
1. Run it.

```sh run
echo here > file
test -n "$TRACE" -a -s "$CORPUS"
```

```sh run
cat file
```
## Configure
```json
{"a": 1}
```

```yaml
a: [1, 2]
```

```sh config=vllm
vllm serve m --max-num-seqs 64
```

```sh needs="a GPU"
nvidia-smi
```
## Verify
- 3 times better [measured: docs/P.md].
## When it fails
| symptom | check | fix |
|---|---|---|
| a | b | c |
| a | b | c |
| a | b | c |
| a | b | c |
| a | b | more than 4 [hypothesis] |
## Do, avoid
- Do.
- Avoid.
## Sources
- [a-paper] the factor.
)";

// A pack of one good page below a repository with docs/P.md.
class SkillLint : public testing::Test {
 protected:
  SkillLint() {
    fs::create_directories(dir_.file("docs"));
    fs::create_directories(dir_.file("skill/references"));
    write("../docs/P.md", "3\n");
    fs::create_directories(dir_.file("skill/data"));
    write("data/sources.json", std::string(kLedger));
    write(kName, std::string(kPage));
    options_.folder = dir_.file("skill");
    options_.root = dir_.path();
    options_.page = "kv-cache";
    options_.blocks.weir = "/usr/bin/true";
  }

  void write(const std::string& name, const std::string& text) {
    std::ofstream(dir_.file("skill/") + name) << text;
  }

  // The findings as "line: what" after an edit of the good page.
  std::vector<std::string> edited(const std::string& from, const std::string& to) {
    std::string text(kPage);
    const size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    write(kName, text.replace(at, from.size(), to));
    std::vector<std::string> out;
    for (const PageFinding& f : lint().findings)
      out.push_back(std::to_string(f.line) + ": " + f.what);
    return out;
  }

  SkillLintReport lint() {
    auto report = lint_skill(options_);
    EXPECT_TRUE(report.ok()) << report.error().message;
    return report.ok() ? *std::move(report) : SkillLintReport{};
  }

  static constexpr const char* kName = "references/kv-cache-optimization.md";
  os::TempDir dir_;
  SkillLintOptions options_;
};

TEST_F(SkillLint, AGoodPageIsCounted) {
  const SkillLintReport report = lint();
  EXPECT_TRUE(report.findings.empty()) << skill_lint_text(report);
  EXPECT_EQ(report.pages, 1U);
  EXPECT_EQ(report.numbers.sourced, 2U);
  EXPECT_EQ(report.numbers.measured, 1U);
  EXPECT_EQ(report.numbers.hypothesis, 1U);
  EXPECT_EQ(report.blocks.run, 2U);
  EXPECT_EQ(report.blocks.parsed, 3U);
  EXPECT_EQ(report.blocks.needs, 1U);
  EXPECT_THAT(skill_lint_text(report), HasSubstr("1 pages; numbers: 2 sourced, 1 measured"));
}

TEST_F(SkillLint, EachRuleOfAPage) {
  options_.run = false;
  EXPECT_THAT(edited("- Always.", "- Always 7."),
              ElementsAre(HasSubstr("4: the number 7 has no tag")));
  EXPECT_THAT(
      edited("[a-paper#twice]", "[a-paper#thrice]"),
      ElementsAre("10: [a-paper#thrice]: the source has no such claim; add it or mend the id"));
  EXPECT_THAT(edited("2x [a-paper#twice]", "[b-paper]"),
              Contains(HasSubstr("10: [b-paper] is no source of the ledger")));
  EXPECT_THAT(edited("2x [a-paper#twice]", "[hypothesis]"),
              ElementsAre(HasSubstr("[a-paper] is not used on the page")));
  EXPECT_THAT(edited("- [a-paper] the factor.", "- [a-paper] a\n- [a-paper] b"),
              ElementsAre(HasSubstr("[a-paper] stands twice")));
  EXPECT_THAT(edited("- [a-paper] the factor.", "- none"), testing::SizeIs(2));
  EXPECT_THAT(edited("docs/P.md", "docs/Q.md"), ElementsAre(HasSubstr("no such file")));
  EXPECT_THAT(edited("2026-11-30", "today"), ElementsAre(HasSubstr("1: the opening")));
  EXPECT_THAT(edited("## Verify", "## Check"),
              ElementsAre(HasSubstr("section \"Check\" stands where \"Verify\" should")));
  EXPECT_THAT(edited("- Always.", ""), ElementsAre(HasSubstr("\"When to use\" is empty")));
  EXPECT_THAT(edited("| a | b | c |\n", ""), ElementsAre(HasSubstr("five rows")));
  EXPECT_THAT(edited("## Sources", std::string(400, '\n') + "## Sources"),
              ElementsAre(HasSubstr("400 are allowed")));
}

TEST_F(SkillLint, EachRuleOfABlock) {
  options_.run = false;
  EXPECT_THAT(edited("```sh run\ncat", "```sh\ncat"),
              ElementsAre(HasSubstr("19: a sh block that is neither run nor checked")));
  EXPECT_THAT(edited("run\ncat", "run=x\ncat"),
              ElementsAre(HasSubstr("there are run, run=server")));
  EXPECT_THAT(edited("run\ncat", "runs\ncat"),
              ElementsAre(HasSubstr("\"runs\" in the info string")));
  EXPECT_THAT(edited("needs=\"a GPU\"", "needs"), ElementsAre(HasSubstr("needs says nothing")));
  EXPECT_THAT(edited("config=vllm", "config=vlm"), ElementsAre(HasSubstr("the targets are weir")));
  EXPECT_THAT(edited("--max-num-seqs", "--no-such-flag"), ElementsAre(HasSubstr("32: vllm")));
  EXPECT_THAT(edited("{\"a\": 1}", "{\"a\": }"), ElementsAre(HasSubstr("mend the JSON")));
  EXPECT_THAT(edited("a: [1, 2]", "a: [1, 2"), testing::SizeIs(1));
  EXPECT_THAT(edited("```json", "```jsn"), ElementsAre(HasSubstr("the language is \"jsn\"")));
  EXPECT_THAT(edited("```json", "```"), ElementsAre(HasSubstr("the language is \"\"")));
}

TEST_F(SkillLint, AFailureShowsItsLineAndEndsThePage) {
  const auto said = edited("test -n", "echo before; false; test -n");
  ASSERT_EQ(said.size(), 1U);
  EXPECT_THAT(said[0], HasSubstr("14: the block failed: exit code 1"));
  EXPECT_THAT(said[0], HasSubstr("before"));
  EXPECT_THAT(said[0], HasSubstr("line 16: \"false\" failed with 1"));
  const SkillLintReport report = lint();
  EXPECT_EQ(report.blocks.failed, 1U);
  EXPECT_EQ(report.blocks.skipped, 1U);
}

TEST_F(SkillLint, ABlockThatDoesNotEndIsEnded) {
  options_.blocks.timeout_ms = 300;
  EXPECT_THAT(edited("cat file", "sleep 60 & sleep 61"),
              ElementsAre(HasSubstr("took longer than")));
}

TEST_F(SkillLint, WithoutAModelItsBlocksAreSkipped) {
  EXPECT_THAT(edited("cat file", "echo $MODEL"), testing::IsEmpty());
  EXPECT_EQ(lint().blocks.skipped, 1U);
  options_.blocks.model = "/m.gguf";
  EXPECT_EQ(lint().blocks.skipped, 0U);
}

TEST_F(SkillLint, AServerThatDoesNotStartIsSaid) {
  EXPECT_THAT(edited("run\ncat", "run=mock\ncat"),
              ElementsAre(HasSubstr("its server did not start")));
}

TEST_F(SkillLint, TheWholePackIsAskedFor) {
  options_.page.clear();
  options_.run = false;
  write("references/extra.md", "x");
  std::vector<std::string> said;
  for (const PageFinding& f : lint().findings) said.push_back(f.file + ": " + f.what);
  EXPECT_THAT(said, Contains("SKILL.md: the page is missing; write it"));
  EXPECT_THAT(said, Contains("assets/quantization/template-awq.md: the page is missing; write it"));
  EXPECT_THAT(said, Contains(HasSubstr("references/extra.md: the page does not belong")));
  EXPECT_EQ(said.size(), 29U);
  options_.page = "nothing";
  EXPECT_FALSE(lint_skill(options_).ok());
  options_.folder = dir_.file("docs");
  EXPECT_FALSE(lint_skill(options_).ok());
}

TEST(SkillHead, IsWhatAgentsTake) {
  const auto head = read_skill_head("name: weir\ndescription: Serve.\n");
  ASSERT_TRUE(head.ok()) << head.error().message;
  EXPECT_EQ(head->name, "weir");
  for (const char* bad : {"", "name: weir\n", "name: Weir\ndescription: d\n",
                          "name: a--b\ndescription: d\n", "name: [a]\ndescription: d\n", "a: ["})
    EXPECT_FALSE(read_skill_head(bad).ok()) << bad;
  EXPECT_FALSE(read_skill_head("name: a\ndescription: " + std::string(1025, 'd') + "\n").ok());
}

TEST(SkillPack, SixteenReferencesAndTwelveAssets) {
  size_t references = 0;
  for (const std::string_view page : skill_pages())
    references += page.starts_with("references/") ? 1 : 0;
  EXPECT_EQ(references, 16U);
  EXPECT_EQ(skill_pages().size(), 28U);
}

// What the program carries is what lies in the checkout.
TEST(SkillPack, TheBuiltInOneIsThatOfTheCheckout) {
  const auto files = read_skill(paths::repository("skill"));
  ASSERT_TRUE(files.ok()) << files.error().message;
  const auto built_in = built_in_skill();
  ASSERT_EQ(files->size(), built_in.size());
  for (size_t i = 0; i < built_in.size(); ++i) {
    EXPECT_EQ(built_in[i].name, (*files)[i].name);
    EXPECT_EQ(built_in[i].text, (*files)[i].text);
  }
}

TEST(McpFile, KeepsOtherEntriesAndItsOwn) {
  bool changed = false;
  const auto fresh = merged_mcp_file("", "weir", false, changed);
  ASSERT_TRUE(fresh.ok());
  EXPECT_TRUE(changed);
  EXPECT_THAT(*fresh, HasSubstr("\"command\": \"weir\""));
  const auto merged =
      merged_mcp_file(R"({"x":1,"mcpServers":{"other":{"url":"u"}}})", "weir", false, changed);
  ASSERT_TRUE(merged.ok());
  EXPECT_THAT(*merged, HasSubstr("\"other\""));
  EXPECT_THAT(*merged, HasSubstr("\"x\": 1"));
  const auto again = merged_mcp_file(*merged, "weir", false, changed);
  ASSERT_TRUE(again.ok());
  EXPECT_FALSE(changed);
  EXPECT_EQ(*again, *merged);
  EXPECT_FALSE(merged_mcp_file(*merged, "/other/weir", false, changed).ok());
  EXPECT_TRUE(merged_mcp_file(*merged, "/other/weir", true, changed).ok());
  EXPECT_FALSE(merged_mcp_file("[]", "weir", true, changed).ok());
  EXPECT_FALSE(merged_mcp_file("{\"mcpServers\":[]}", "weir", true, changed).ok());
  EXPECT_FALSE(merged_mcp_file("{", "weir", true, changed).ok());
}

TEST(SkillInstall, WritesOnceAndReplacesOnlyWhenForced) {
  if (built_in_skill().front().name != "SKILL.md") GTEST_SKIP() << "no SKILL.md in this build";
  const os::TempDir dir;
  const SkillInstall request{dir.path(), "claude", "weir", false};
  const auto first = install_skill(request);
  ASSERT_TRUE(first.ok()) << first.error().message;
  EXPECT_TRUE(first->pack_written);
  EXPECT_EQ(first->pack, dir.file(".claude/skills/weir"));
  EXPECT_TRUE(fs::exists(first->pack + "/SKILL.md"));
  EXPECT_TRUE(fs::exists(first->pack + "/data/sources.json"));
  const auto second = install_skill(request);
  ASSERT_TRUE(second.ok()) << second.error().message;
  EXPECT_FALSE(second->pack_written || second->entry_written);
  std::ofstream(first->pack + "/SKILL.md") << "mine";
  EXPECT_FALSE(install_skill(request).ok());
  SkillInstall force = request;
  force.force = true;
  ASSERT_TRUE(install_skill(force).ok());
  EXPECT_NE(*os::read_file(first->pack + "/SKILL.md", 1 << 20), "mine");
  size_t left = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator(dir.file(".claude/skills")))
    ++left;
  EXPECT_EQ(left, 1U);  // no .old, no .new
  // A run that was killed while it replaced the folder in two steps.
  fs::rename(first->pack, first->pack + ".old");
  const auto recovered = install_skill(request);
  ASSERT_TRUE(recovered.ok()) << recovered.error().message;
  EXPECT_FALSE(recovered->pack_written);
  EXPECT_FALSE(fs::exists(first->pack + ".old"));
  force.folder = dir.file("nowhere");
  EXPECT_FALSE(install_skill(force).ok());
}

}  // namespace
}  // namespace weir::ops
