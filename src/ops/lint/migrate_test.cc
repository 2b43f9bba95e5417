#include "ops/lint/migrate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ops/engines/catalog.h"
#include "ops/engines/renames.h"
#include "ops/lint/line_edit.h"

namespace weir::ops {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Migration migrate(std::string_view text, std::string_view name, std::string_view from,
                  std::string_view to, bool pin = false) {
  auto r = migrate_text(text, name, *parse_release(from), *parse_release(to), pin);
  EXPECT_TRUE(r.ok()) << r.error().message;
  return r.ok() ? std::move(*r) : Migration();
}

TEST(Renames, NameFlagsOfTheOlderSnapshotAndOfTheNewer) {
  ASSERT_GT(renames().size(), 20U);
  std::vector<EngineSnapshot> snapshots;
  for (const EngineVersion& v : engine_versions())
    snapshots.push_back(*engine_snapshot(v.engine, v.version));
  for (const Rename& r : renames()) {
    EngineSnapshot::Found to;  // in the newest
    bool before = false;
    for (const EngineSnapshot& s : snapshots) {
      if (s.engine() != r.engine) continue;
      before = before || s.find_flag(r.flag).option != nullptr;
      to = s.find_flag(r.to);
    }
    EXPECT_TRUE(before) << r.flag;
    if (r.to.empty()) continue;
    ASSERT_NE(to.option, nullptr) << r.to;
    if (to.json_key.empty()) continue;
    EXPECT_THAT(to.option->json_keys, testing::Contains(to.json_key)) << r.to;
  }
}

TEST(LineEdit, WordsGoWithTheirQuotesAndEmptyLinesWithTheirBackslash) {
  LineEdit shell("run --a 1 \\\n  --b 2 \\\n  --c\n");
  EXPECT_TRUE(shell.remove(3, "--c"));
  EXPECT_TRUE(shell.replace(1, "--a", "--x"));
  EXPECT_EQ(shell.text(), "run --x 1 \\\n  --b 2\n");
  LineEdit list("args: [\"--a\", \"1\", '--b']\n");
  EXPECT_TRUE(list.remove(1, "--a"));
  EXPECT_TRUE(list.remove(1, "--b"));
  EXPECT_EQ(list.text(), "args: [\"1\"]\n");
  LineEdit items("args:\n- --a\n- \"1\"\n- --b\n");
  EXPECT_TRUE(items.remove(2, "--a") && items.remove(3, "1"));
  items.insert_after(4, "- --c=1");
  EXPECT_EQ(items.text(), "args:\n- --b\n- --c=1\n");
  EXPECT_FALSE(items.remove(4, "--"));
  EXPECT_FALSE(items.replace(9, "x", "y"));
}

TEST(LineEdit, TheDiffIsUnified) {
  std::string text;
  for (int i = 1; i <= 30; ++i) text += fmt::format("l{}\n", i);
  LineEdit edit(text);
  EXPECT_EQ(edit.diff("f"), "");
  EXPECT_TRUE(edit.replace(2, "l2", "x"));
  edit.insert_after(20, "new");
  EXPECT_EQ(edit.diff("f"),
            "--- f\n+++ f\n@@ -1,5 +1,5 @@\n l1\n-l2\n+x\n l3\n l4\n l5\n"
            "@@ -17,7 +17,8 @@\n l17\n l18\n l19\n-l20\n+l20\n+new\n l21\n l22\n l23\n");
}

TEST(LineEdit, TheDiffSaysWhereTheLastLineHasNoEnd) {
  LineEdit edit("a --x\nb --y");
  EXPECT_TRUE(edit.replace(2, "--y", "--z"));
  EXPECT_EQ(edit.text(), "a --x\nb --z");
  EXPECT_EQ(edit.diff("f"),
            "--- f\n+++ f\n@@ -1,2 +1,2 @@\n a --x\n-b --y\n\\ No newline at end of file\n"
            "+b --z\n\\ No newline at end of file\n");
  LineEdit first("a --x\nb --y");
  EXPECT_TRUE(first.replace(1, "--x", "--z"));
  EXPECT_EQ(first.diff("f"),
            "--- f\n+++ f\n@@ -1,2 +1,2 @@\n-a --x\n+a --z\n b --y\n"
            "\\ No newline at end of file\n");
}

TEST(Migrate, ASettingThatMustBeSaidOtherwiseStaysInTheFile) {
  const std::string text =
      "vllm serve m --rope-scaling '{\"rope_type\":\"yarn\",\"factor\":4.0}' --swap-space 4\n";
  const Migration m = migrate(text, "f.sh", "vllm-0.11.0", "vllm-0.22.0");
  EXPECT_THAT(m.text, HasSubstr("--rope-scaling '{\"rope_type\":\"yarn\",\"factor\":4.0}'"));
  EXPECT_EQ(m.text.find("--swap-space"), std::string::npos);
  EXPECT_THAT(m.commands.at(0), HasSubstr("--rope-scaling"));
  EXPECT_TRUE(m.needs_a_person());
  const auto note = std::find_if(m.notes.begin(), m.notes.end(), [](const MigrationNote& n) {
    return n.text.find("--rope-scaling") != std::string::npos;
  });
  ASSERT_NE(note, m.notes.end());
  EXPECT_THAT(note->text, HasSubstr("--hf-overrides"));
  EXPECT_THAT(note->text, HasSubstr("left in the file"));
}

TEST(Migrate, ADefaultThatWentWithItsCodeIsNotPinned) {
  const Migration m = migrate("vllm serve m\n", "f.sh", "vllm-0.11.0", "vllm-0.33.0", true);
  EXPECT_EQ(m.text.find("vllm.core.scheduler"), std::string::npos) << m.text;
  EXPECT_THAT(m.text, HasSubstr("--gpu-memory-utilization=0.9"));
  // Each pin is a value that the newer version takes.
  const EngineSnapshot now = *engine_snapshot("vllm", "0.33.0");
  for (const DefaultChange& d : m.defaults) {
    const size_t equals = d.pin.find('=');
    if (equals == std::string::npos) continue;
    const EngineOption* o = now.find_flag(d.pin.substr(0, equals)).option;
    ASSERT_NE(o, nullptr) << d.pin;
    EXPECT_EQ(value_problem(*o, d.pin.substr(equals + 1), true), "") << d.pin;
  }
}

TEST(Migrate, FlagsThatWentAndFlagsWithNewNames) {
  const Migration m = migrate(
      "vllm serve m \\\n  --calculate-kv-scales \\\n  --log-config-file l.json \\\n"
      "  --max-num-partial-prefills 2 \\\n  -tp 2\n",
      "f.sh", "vllm-0.22.0", "vllm-0.33.0");
  EXPECT_EQ(m.text,
            "vllm serve m \\\n  --logging-config.pylogging_config_file l.json \\\n  -tp 2\n");
  EXPECT_THAT(m.commands,
              ElementsAre("vllm serve m --logging-config.pylogging_config_file l.json -tp 2"));
  ASSERT_EQ(m.notes.size(), 3U);
  EXPECT_EQ(m.notes[0].kind, MigrationNote::Kind::kRemoved);
  EXPECT_EQ(m.notes[0].line, 2);
  EXPECT_EQ(m.notes[1].kind, MigrationNote::Kind::kRenamed);
  EXPECT_THAT(m.notes[2].source, HasSubstr("49244"));
  EXPECT_TRUE(m.needs_a_person());
  EXPECT_THAT(m.diff, HasSubstr("-  --calculate-kv-scales \\\n"));
}

TEST(Migrate, ValuesThatAreNoLongerTakenAndFlagsOfNeither) {
  const Migration m =
      migrate("vllm serve m --mamba-cache-mode all --frobnicate 1 --all2all-backend mori\n", "f.sh",
              "vllm-0.22.0", "vllm-0.33.0");
  std::vector<MigrationNote::Kind> kinds;
  for (const MigrationNote& n : m.notes) kinds.push_back(n.kind);
  EXPECT_THAT(kinds, testing::Contains(MigrationNote::Kind::kValue));
  EXPECT_THAT(kinds, testing::Contains(MigrationNote::Kind::kUnknown));
  EXPECT_EQ(m.diff, "");
}

TEST(Migrate, DefaultsThatChangedAreListedAndPinned) {
  const std::string text = "docker run vllm/vllm-openai:v0.11.0 --model m\n";
  const Migration m = migrate(text, "f.sh", "vllm-0.11.0", "vllm-0.22.0");
  const auto utilization = std::find_if(m.defaults.begin(), m.defaults.end(), [](const auto& d) {
    return d.flag == "--gpu-memory-utilization";
  });
  ASSERT_NE(utilization, m.defaults.end());
  EXPECT_EQ(utilization->before, "0.9");
  EXPECT_EQ(utilization->after, "0.92");
  EXPECT_EQ(utilization->pin, "--gpu-memory-utilization=0.9");
  EXPECT_EQ(m.diff, "");
  const Migration pinned = migrate(text, "f.sh", "vllm-0.11.0", "vllm-0.22.0", true);
  EXPECT_THAT(pinned.text, HasSubstr(" --model m "));
  EXPECT_THAT(pinned.text, HasSubstr("--gpu-memory-utilization=0.9"));
  const Migration set =
      migrate("vllm serve m --gpu-memory-utilization 0.9\n", "f.sh", "vllm-0.11.0", "vllm-0.22.0");
  for (const DefaultChange& d : set.defaults) EXPECT_NE(d.flag, "--gpu-memory-utilization");
}

TEST(Migrate, ManifestsByTheirItems) {
  const Migration m = migrate(
      "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - image: vllm/vllm-openai:v0.22.0\n"
      "    args:\n    - --model=m\n    - --calculate-kv-scales\n    - --max-num-partial-prefills\n"
      "    - \"2\"\n",
      "p.yaml", "vllm-0.22.0", "vllm-0.33.0");
  EXPECT_THAT(m.text, HasSubstr("    args:\n    - --model=m\n"));
  EXPECT_EQ(m.text.find("calculate"), std::string::npos);
  EXPECT_EQ(m.text.find("\"2\""), std::string::npos);
}

TEST(Migrate, ReleasesThatAreNotKnown) {
  EXPECT_THAT(parse_release("vllm-0.25.0").error().message, HasSubstr("vllm-0.22.0"));
  EXPECT_THAT(
      migrate_text("llama-server -m x\n", "f.sh", {"vllm", "0.22.0"}, {"vllm", "0.33.0"}, false)
          .error()
          .message,
      HasSubstr("starts no vllm"));
}

}  // namespace
}  // namespace weir::ops
