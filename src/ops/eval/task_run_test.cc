#include "ops/eval/task_run.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/fake_runner.h"
#include "ops/eval/accuracy.h"
#include "ops/eval/answer_score.h"
#include "ops/eval/choice_score.h"
#include "os/file.h"
#include "os/temp_dir.h"
#include "text/tokenizer_testing.h"

namespace weir::ops {
namespace {

using ::testing::HasSubstr;

class TaskRunTest : public ::testing::Test {
 protected:
  TaskRunTest()
      : tokenizer_(*text::testing::load_written(text::testing::tiny_bpe())),
        chat_(*text::ChatTemplate::compile("{{ messages[0].content }}:")) {}

  TaskRunner with(engine::Runner& runner) {
    TaskRunner w{runner, *tokenizer_, chat_, clock_};
    w.fingerprint = "model";
    w.at_once = 5;
    return w;
  }

  // Prompts of many lengths; whatever the model says is wrong but for item 0, which asks for
  // nothing but a character.
  static LoadedTask generating(size_t count) {
    LoadedTask t;
    t.task.name = "g";
    t.task.kind = "generate";
    t.task.metric = "acc";
    t.task.max_tokens = 8;
    t.task.scorer.name = "regex";
    for (size_t i = 0; i < count; ++i) {
      GenerateItem item;
      item.id = std::to_string(i);
      item.prompt = std::string(1 + i * 3 % 40, static_cast<char>('a' + i % 26));
      item.expected = text::Json(i == 0 ? "(?s)." : "never");
      t.items.push_back(std::move(item));
    }
    return t;
  }

  std::unique_ptr<text::Tokenizer> tokenizer_;
  text::ChatTemplate chat_;
  SystemClock clock_;
};

std::vector<std::string> answers(const EvalTask& task) {
  std::vector<std::string> out;
  for (const EvalItem& item : task.items) out.push_back(item.id + "=" + item.answer);
  return out;
}

TEST_F(TaskRunTest, AnswersDoNotDependOnTheCrowd) {
  const LoadedTask task = generating(23);
  engine::FakeRunner one({});
  engine::FakeRunner many({});
  RunCost cost;
  TaskRunner alone = with(one);
  alone.at_once = 1;
  const auto a = run_task(alone, task, cost);
  ASSERT_TRUE(a.ok()) << a.error().message;
  EXPECT_EQ(cost.computed_items, 23);
  EXPECT_GT(cost.generated_tokens, 23);
  EXPECT_GT(cost.prompt_tokens, 23);
  const auto b = run_task(with(many), task, cost);
  ASSERT_TRUE(b.ok()) << b.error().message;
  EXPECT_EQ(answers(*a), answers(*b));
  EXPECT_LT(many.calls, one.calls / 2);  // they shared steps
  EXPECT_EQ(a->items[0].id, "0");
  EXPECT_EQ(*a->items[0].score("acc"), 1);
  EXPECT_EQ(*a->items[1].score("acc"), 0);
  EXPECT_NEAR(a->value, 1.0 / 23, 1e-12);
  EXPECT_GT(*a->items[1].score("tokens"), 0);
}

TEST_F(TaskRunTest, TheCacheAnswersASecondTime) {
  const os::TempDir dir;
  const LoadedTask task = generating(9);
  auto cache = ResultCache::open(dir.file("c"));
  ASSERT_TRUE(cache.ok());
  engine::FakeRunner runner({});
  TaskRunner w = with(runner);
  w.cache = &*cache;
  RunCost first;
  const auto a = run_task(w, task, first);
  ASSERT_TRUE(a.ok()) << a.error().message;
  EXPECT_EQ(first.cached_items, 0);
  const uint64_t calls = runner.calls;
  RunCost second;
  const auto b = run_task(w, task, second);
  ASSERT_TRUE(b.ok());
  EXPECT_EQ(second.cached_items, 9);
  EXPECT_EQ(second.computed_items, 0);
  EXPECT_EQ(runner.calls, calls);
  EXPECT_EQ(answers(*a), answers(*b));
  for (size_t i = 0; i < a->items.size(); ++i) EXPECT_EQ(a->items[i].scores, b->items[i].scores);

  // What answers depend on makes another key.
  LoadedTask longer = task;
  longer.task.max_tokens = 9;
  RunCost third;
  ASSERT_TRUE(run_task(w, longer, third).ok());
  EXPECT_EQ(third.cached_items, 0);
  w.fingerprint = "another model";
  RunCost fourth;
  ASSERT_TRUE(run_task(w, task, fourth).ok());
  EXPECT_EQ(fourth.cached_items, 0);
}

TEST_F(TaskRunTest, ARunThatFailsIsResumed) {
  const os::TempDir dir;
  const LoadedTask task = generating(20);
  auto cache = ResultCache::open(dir.file("c"));
  ASSERT_TRUE(cache.ok());
  engine::FakeRunner runner({});
  TaskRunner w = with(runner);
  w.cache = &*cache;
  runner.before = [&](std::span<const model::Chunk>) -> Status {
    if (runner.calls < 12) return {};
    return make_error(ErrorCode::kInternal, "broken");
  };
  RunCost cost;
  const auto failed = run_task(w, task, cost);
  ASSERT_FALSE(failed.ok());
  EXPECT_THAT(failed.error().message, HasSubstr("item "));
  runner.before = nullptr;
  RunCost rest;
  const auto whole = run_task(w, task, rest);
  ASSERT_TRUE(whole.ok()) << whole.error().message;
  EXPECT_GT(rest.cached_items, 0);
  EXPECT_EQ(rest.cached_items + rest.computed_items, 20);
  EXPECT_EQ(whole->items.size(), 20U);
}

TEST_F(TaskRunTest, ChoicesAreCachedToo) {
  const os::TempDir dir;
  LoadedTask task;
  task.task.name = "c";
  task.task.kind = "multiple_choice";
  task.task.metric = "acc_norm";
  for (int i = 0; i < 6; ++i)
    task.choices.push_back(
        {std::to_string(i), std::string(3, static_cast<char>('a' + i)), {"x", "longer"}, 0});
  auto cache = ResultCache::open(dir.file("c"));
  ASSERT_TRUE(cache.ok());
  engine::FakeRunner runner({});
  TaskRunner w = with(runner);
  w.cache = &*cache;
  RunCost cost;
  LoadedTask some = task;
  some.choices.erase(some.choices.begin() + 1);
  some.choices.pop_back();
  ASSERT_TRUE(run_task(w, some, cost).ok());
  const auto all = run_task(w, task, cost);
  ASSERT_TRUE(all.ok()) << all.error().message;
  EXPECT_EQ(cost.cached_items, 4);
  TaskRunner plain = with(runner);
  const auto again = run_task(plain, task, cost);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(answers(*all), answers(*again));
  for (size_t i = 0; i < 6; ++i) EXPECT_EQ(all->items[i].scores, again->items[i].scores) << i;
}

// They are another item under another window: the cache does not keep them.
TEST_F(TaskRunTest, PromptsThatAreCutAreTold) {
  const os::TempDir dir;
  LoadedTask task;
  task.task.name = "c";
  task.task.kind = "multiple_choice";
  task.task.metric = "acc_norm";
  task.choices.push_back({"short", "abc", {"x", "longer"}, 0});
  task.choices.push_back({"long", std::string(400, 'q'), {"x", "longer"}, 0});
  auto cache = ResultCache::open(dir.file("c"));
  ASSERT_TRUE(cache.ok());
  engine::FakeRunner runner({});
  TaskRunner w = with(runner);
  w.cache = &*cache;
  std::string told;
  w.notice = [&](const std::string& what) { told += what; };
  RunCost cost;
  const auto run = run_task(w, task, cost);
  ASSERT_TRUE(run.ok()) << run.error().message;
  EXPECT_EQ(run->summary.back(), (std::pair<std::string, double>("prompts_cut", 1)));
  EXPECT_THAT(told, HasSubstr("task c: 1 of 2 prompts are longer than the window of"));
  EXPECT_EQ(cache->size(), 1U);
  EXPECT_NE(run->items[0].hash, run->items[1].hash);
}

// All that is asked and held against an answer, and nothing else.
TEST(ItemHashTest, IsOfAllThatMakesAnItem) {
  const ChoiceItem item{"q", "p", {"a", "b"}, 0, "shots"};
  const auto hash = [](const ChoiceItem& of) {
    return scored_choice(of, std::vector<double>(of.choices.size(), -1)).hash;
  };
  ChoiceItem other = item;
  other.id = "r";
  EXPECT_EQ(hash(other), hash(item));
  EXPECT_EQ(hash(item).size(), 32U);
  for (void (*change)(ChoiceItem&) :
       {+[](ChoiceItem& i) { i.prompt = "P"; }, +[](ChoiceItem& i) { i.choices[1] = "c"; },
        +[](ChoiceItem& i) { i.answer = 1; }, +[](ChoiceItem& i) { i.shots = "other"; }}) {
    other = item;
    change(other);
    EXPECT_NE(hash(other), hash(item));
  }
  SuiteTask task;
  task.scorer.name = "regex";
  const auto answered = [&](const GenerateItem& of) {
    return score_answers(task, {&of, 1}, std::vector<Generated>(1))->items[0].hash;
  };
  GenerateItem asked;
  asked.prompt = std::string(5000, 'p');
  asked.expected = text::Json("x");
  GenerateItem another = asked;
  another.prompt += "p";
  EXPECT_NE(answered(another), answered(asked));
  another = asked;
  another.expected = text::Json("y");
  EXPECT_NE(answered(another), answered(asked));
  another = asked;
  another.tools = text::Json::array();
  EXPECT_NE(answered(another), answered(asked));
}

TEST_F(TaskRunTest, DeterminismFindsAnAnswerThatChanges) {
  LoadedTask task = generating(12);
  task.task.kind = "determinism";
  task.task.metric = "same";
  engine::FakeRunner good({});
  RunCost cost;
  const auto same = run_task(with(good), task, cost);
  ASSERT_TRUE(same.ok()) << same.error().message;
  EXPECT_EQ(same->value, 1);

  // A model whose logits depend on the company.
  class Crowded final : public engine::Runner {
   public:
    engine::FakeRunner fake{{}};
    int32_t vocab_size() const override { return fake.vocab_size(); }
    int32_t max_context_tokens() const override { return fake.max_context_tokens(); }
    int32_t max_step_tokens() const override { return fake.max_step_tokens(); }
    int32_t page_tokens() const override { return fake.page_tokens(); }
    int32_t pages() const override { return fake.pages(); }
    void copy_page(int32_t from, int32_t to) override { fake.copy_page(from, to); }
    std::span<std::byte> page_bytes(int32_t page) override { return fake.page_bytes(page); }
    Status forward(std::span<const model::Chunk> batch, std::span<float> logits,
                   std::span<float> hidden) override {
      WEIR_TRY(fake.forward(batch, logits, hidden));
      if (batch.size() > 1 && !logits.empty()) logits[65] += 100;
      return {};
    }
  } bad;
  const auto differs = run_task(with(bad), task, cost);
  ASSERT_TRUE(differs.ok()) << differs.error().message;
  EXPECT_LT(differs->value, 1);
}

TEST_F(TaskRunTest, CodeIsRunOnlyWhereThatIsAllowed) {
  LoadedTask task = generating(3);
  task.task.kind = "code";
  task.task.line = 7;
  for (GenerateItem& item : task.items) {
    item.expected = text::Json::object();
    for (const char* name : {"before", "prompt", "entry_point", "tests"})
      item.expected.set(name, std::string(name) == "entry_point" ? "" : std::string("# ") + name);
  }
  engine::FakeRunner runner({});
  RunCost cost;
  const auto refused = run_task(with(runner), task, cost);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kUsage);
  EXPECT_THAT(refused.error().message, HasSubstr("--allow-code-execution"));
  EXPECT_EQ(runner.calls, 0U);
  TaskRunner allowed = with(runner);
  std::vector<std::string> programs;
  allowed.run_code = [&](const SuiteTask& t, const std::string& program) {
    EXPECT_EQ(t.line, 7);
    programs.push_back(program);
    os::SandboxResult run;
    const size_t mark = program.rfind("_exit(") + 6;
    run.code = programs.size() == 2 ? std::stoi(program.substr(mark)) : 1;
    return Result<os::SandboxResult>(run);
  };
  const auto ran = run_task(allowed, task, cost);
  ASSERT_TRUE(ran.ok()) << ran.error().message;
  ASSERT_EQ(programs.size(), 3U);
  EXPECT_THAT(programs[0], HasSubstr("# before"));
  EXPECT_THAT(programs[0], HasSubstr(ran->items[0].answer));
  EXPECT_NEAR(ran->value, 1.0 / 3, 1e-9);
  EXPECT_EQ(*ran->items[1].score("acc"), 1);
}

TEST_F(TaskRunTest, RetrievalLeavesOutWhatDoesNotFit) {
  LoadedTask task;
  task.task.name = "r";
  task.task.kind = "retrieval";
  task.task.metric = "acc";
  task.task.max_tokens = 4;
  task.task.retrieval.lengths = {120, 4000};
  task.task.retrieval.depths = {0, 1};
  task.task.retrieval.needle = "It is {n}.";
  task.task.retrieval.question = "What?";
  for (int i = 0; i < 400; ++i) task.haystack += "Some words here. ";
  engine::FakeRunner runner({.context = 512});
  TaskRunner w = with(runner);
  std::string told;
  w.notice = [&](const std::string& what) { told = what; };
  RunCost cost;
  const auto out = run_task(w, task, cost);
  ASSERT_TRUE(out.ok()) << out.error().message;
  ASSERT_EQ(out->items.size(), 2U);
  EXPECT_EQ(out->items[1].id, "120@1");
  EXPECT_NE(out->items[0].score("acc@120"), nullptr);
  EXPECT_THAT(told, HasSubstr("1 of 2 lengths"));
  task.task.retrieval.lengths = {4000};
  const auto none = run_task(w, task, cost);
  ASSERT_FALSE(none.ok());
  EXPECT_THAT(none.error().message, HasSubstr("--ctx"));
}

TEST_F(TaskRunTest, APromptThatIsTooLongIsNamed) {
  LoadedTask task = generating(3);
  task.items[2].prompt = std::string(300, 'x');
  engine::FakeRunner runner({});
  RunCost cost;
  const auto failed = run_task(with(runner), task, cost);
  ASSERT_FALSE(failed.ok());
  EXPECT_THAT(failed.error().message, HasSubstr("item 2"));
  EXPECT_THAT(failed.error().message, HasSubstr("--ctx"));
  EXPECT_EQ(runner.calls, 0U);
}

TEST(LoadTasksTest, FilesLieBelowTheDataFolderOrBesideTheSuite) {
  const os::TempDir dir;
  const std::string item = "{\"prompt\":\"p\",\"answer\":\"a\"}\n";
  ASSERT_TRUE(os::write_file_atomic(dir.file("beside.jsonl"), item + item).ok());
  const auto suite = parse_suite(
      "name: s\ntasks:\n  - {name: a, kind: generate, scorer: exact, file: beside.jsonl}\n", "s");
  ASSERT_TRUE(suite.ok()) << suite.error().message;
  const auto tasks = load_tasks(*suite, dir.file("s.yaml"), dir.file("data"), 1);
  ASSERT_TRUE(tasks.ok()) << tasks.error().message;
  EXPECT_EQ((*tasks)[0].items.size(), 1U);
  const auto gone = load_tasks(*suite, "/nowhere/s.yaml", "", 0);
  ASSERT_FALSE(gone.ok());
  EXPECT_THAT(gone.error().message, HasSubstr("/nowhere/s.yaml:3: the items of a"));
}

TEST(LoadTasksTest, ShotsComeFromExamplesOrFromTheEndOfTheItems) {
  const os::TempDir dir;
  std::string items;
  for (const char c : std::string("abcd")) {
    items += fmt::format(R"({{"id":"{0}","prompt":"{0}?","choices":["no","{0}!"],"answer":1}})", c);
    items += '\n';
  }
  ASSERT_TRUE(os::write_file_atomic(dir.file("i.jsonl"), items).ok());
  const auto load = [&](const std::string& keys) {
    const auto suite = parse_suite("name: s\ntasks:\n  - name: t\n    file: i.jsonl\n" + keys, "s");
    EXPECT_TRUE(suite.ok()) << suite.error().message;
    return load_tasks(*suite, dir.file("s.yaml"), "", 0);
  };
  const auto last = load("    few_shot: 2\n");
  ASSERT_TRUE(last.ok()) << last.error().message;
  ASSERT_EQ((*last)[0].choices.size(), 2U);
  EXPECT_EQ((*last)[0].choices[0].id, "a");
  EXPECT_EQ((*last)[0].choices[0].shots, "c? c!\n\nd? d!\n\n");
  const auto file = load("    few_shot: 1\n    examples: i.jsonl\n");
  ASSERT_TRUE(file.ok()) << file.error().message;
  ASSERT_EQ((*file)[0].choices.size(), 4U);
  EXPECT_EQ((*file)[0].choices[3].shots, "a? a!\n\n");
  const auto many = load("    few_shot: 4\n");
  ASSERT_FALSE(many.ok());
  EXPECT_THAT(many.error().message, HasSubstr("s.yaml:3: few_shot of t is 4, more items than"));
  EXPECT_FALSE(load("    few_shot: 5\n    examples: i.jsonl\n").ok());
  EXPECT_FALSE(parse_suite("name: s\ntasks:\n  - {name: t, file: f, examples: e}\n", "s").ok());
}

TEST(AccuracyTest, ATaskHasMeansAndAnError) {
  std::vector<EvalItem> items(4);
  for (size_t i = 0; i < 4; ++i)
    items[i].scores = {{"acc", i == 0 ? 1 : 0}, {"acc_norm", i < 3 ? 1 : 0}, {"ll", -2}};
  items[1].scores.emplace_back("rare", 1);
  SuiteTask task;
  task.name = "t";
  task.kind = "multiple_choice";
  task.metric = "acc_norm";
  const EvalTask out = accuracy_task(task, items);
  EXPECT_DOUBLE_EQ(out.value, 0.75);
  EXPECT_DOUBLE_EQ(out.error, 0.25);  // sqrt(0.75 * 0.25 / 3)
  EXPECT_EQ(out.summary[0].second, 0.25);
  EXPECT_EQ(out.summary.back(), (std::pair<std::string, double>{"rare", 1}));
}

}  // namespace
}  // namespace weir::ops
