#include "ops/eval/result.h"

#include <gtest/gtest.h>

#include "os/file.h"
#include "os/temp_dir.h"

namespace weir::ops {
namespace {

EvalRun sample() {
  EvalRun run;
  run.model = {"m.gguf", "local", "0a", "0b"};
  run.suite_name = "quick";
  run.suite_hash = "ff";
  run.seed = 7;
  run.params.set("context", int64_t{512});
  EvalTask task;
  task.name = "hellaswag";
  task.kind = "multiple_choice";
  task.metric = "acc_norm";
  task.value = 0.5;
  task.error = 0.25;
  task.items.push_back({"hellaswag/1", {{"acc", 1}, {"acc_norm", 0}}, "p", "e", "a"});
  task.items.push_back({"hellaswag/2", {{"acc", 1}, {"acc_norm", 1}}, "", "", ""});
  task.summary = {{"median", 0.125}};
  task.histogram = {"KL (nats)", {0, 0.5, 1}, {3, 4}};
  run.tasks.push_back(task);
  run.speed = {1.5, 100, 10, 66.7};
  run.peak_rss_bytes = 1 << 20;
  return run;
}

std::string error_of(std::string_view json) {
  const auto r = parse_eval_run(json);
  return r.ok() ? "" : r.error().message;
}

// The sample with the first `from` replaced.
std::string with(std::string_view from, std::string_view to) {
  std::string json = to_json(sample());
  const size_t at = json.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  if (at != std::string::npos) json.replace(at, from.size(), to);
  return json;
}

TEST(EvalResultTest, ComesBackAsItWas) {
  const std::string json = to_json(sample());
  const auto run = parse_eval_run(json);
  ASSERT_TRUE(run.ok()) << run.error().message;
  EXPECT_EQ(to_json(*run), json);
  EXPECT_EQ(run->model.vocabulary, "0b");
  EXPECT_EQ(run->seed, 7U);
  const EvalTask* task = run->task("hellaswag");
  ASSERT_NE(task, nullptr);
  ASSERT_EQ(task->items.size(), 2U);
  EXPECT_EQ(*task->items[1].score("acc_norm"), 1.0);
  EXPECT_EQ(task->items[0].score("f1"), nullptr);
  EXPECT_EQ(task->histogram.counts[1], 4);
  EXPECT_EQ(task->summary[0].second, 0.125);
  EXPECT_EQ(run->speed.prompt_tokens, 100);
}

TEST(EvalResultTest, CutAtEveryByteIsAnError) {
  const std::string json = to_json(sample());
  for (size_t n = 0; n < json.size(); ++n) {
    EXPECT_FALSE(parse_eval_run(std::string_view(json).substr(0, n)).ok()) << n;
  }
}

TEST(EvalResultTest, EveryByteReplacedGivesAValueOrAnError) {
  const std::string json = to_json(sample());
  for (size_t i = 0; i < json.size(); ++i) {
    for (const char c : {'\0', '"', '9', '-', '[', '}', '\xff'}) {
      std::string changed = json;
      changed[i] = c;
      const auto run = parse_eval_run(changed);
      EXPECT_TRUE(run.ok() || !run.error().message.empty());
    }
  }
}

TEST(EvalResultTest, NamesWhatIsWrong) {
  EXPECT_NE(error_of("[]").find("the file must be an object"), std::string::npos);
  EXPECT_NE(error_of(with("weir-eval/1", "weir-eval/9")).find("reads weir-eval/1"),
            std::string::npos);
  EXPECT_NE(error_of(with("\"value\":0.5", "\"value\":null"))
                .find("tasks[0].value must be a finite number, not null"),
            std::string::npos);
  EXPECT_FALSE(parse_eval_run(with("\"value\":0.5", "\"value\":1e999")).ok());
  EXPECT_NE(error_of(with("\"error\":0.25", "\"error\":-1")).find("tasks[0].error is negative"),
            std::string::npos);
  EXPECT_NE(error_of(with("hellaswag/2", "hellaswag/1")).find("tasks[0].items[1].id stands twice"),
            std::string::npos);
  EXPECT_NE(error_of(with("\"acc_norm\":0.0", "\"acc_nrm\":0.0"))
                .find("tasks[0].items[0].scores lacks the task's metric acc_norm"),
            std::string::npos);
  EXPECT_NE(error_of(with("\"acc\":1.0", "\"acc\":\"1\"")).find("items[0].scores.acc must be"),
            std::string::npos);
  EXPECT_NE(
      error_of(with("\"acc\":1.0", "\"acc\":1.7e308")).find("items[0].scores.acc is 1.7e+308"),
      std::string::npos);
  EXPECT_NE(error_of(with("multiple_choice", "guess")).find("tasks[0].kind is none of"),
            std::string::npos);
  EXPECT_NE(error_of(with("\"seed\":7", "\"seed\":-7")).find("seed must be"), std::string::npos);
  EXPECT_NE(error_of(with("[0.0,0.5,1.0]", "[0.0,0.5,0.5]")).find("edges[2] does not ascend"),
            std::string::npos);
  EXPECT_NE(error_of(with("[3,4]", "[3]")).find("edges are one more"), std::string::npos);
  EXPECT_NE(error_of(with("\"where\":\"local\"", "\"where\":\"moon\"")).find("model.where"),
            std::string::npos);
  EXPECT_NE(error_of(with("\"tasks\":[{", "\"tasks\":[3,{")).find("tasks[0] must be an object"),
            std::string::npos);
}

TEST(EvalResultTest, IsBounded) {
  EvalRun run = sample();
  run.tasks[0].name = std::string(600, 'n');
  EXPECT_EQ(parse_eval_run(to_json(run))->tasks[0].name.size(), 512U);
  EXPECT_NE(error_of(with("\"id\":\"hellaswag/1\"", "\"id\":\"" + std::string(600, 'i') + "\""))
                .find("has 600 bytes, more than 512"),
            std::string::npos);
  std::string tasks;
  for (int i = 0; i < 300; ++i) tasks += "1,";
  EXPECT_NE(error_of(with("\"tasks\":[", "\"tasks\":[" + tasks)).find("301 entries, more than 256"),
            std::string::npos);
  EXPECT_FALSE(parse_eval_run(std::string(100'000, '[')).ok());
}

TEST(EvalResultTest, WritesTextsCutAndWellFormed) {
  EvalRun run = sample();
  run.tasks[0].items[0].answer = "\xff" + std::string(5000, 'x');
  const auto back = parse_eval_run(to_json(run));
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(back->tasks[0].items[0].answer.substr(0, 4), "\xEF\xBF\xBDx");
  EXPECT_EQ(back->tasks[0].items[0].answer.size(), 4096U);
}

TEST(EvalResultTest, FilesNameThemselves) {
  const os::TempDir dir;
  ASSERT_TRUE(write_eval_run(dir.file("r.json"), sample()).ok());
  EXPECT_TRUE(read_eval_run(dir.file("r.json")).ok());
  ASSERT_TRUE(os::write_file_atomic(dir.file("bad.json"), "{}").ok());
  const auto bad = read_eval_run(dir.file("bad.json"));
  ASSERT_FALSE(bad.ok());
  EXPECT_NE(bad.error().message.find("bad.json: format must be a string"), std::string::npos);
}

}  // namespace
}  // namespace weir::ops
