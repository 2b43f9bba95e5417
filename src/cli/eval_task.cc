// weir eval task: the tasks of a suite on a model.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/load.h"
#include "cli/terminal.h"
#include "engine/loaded_model.h"
#include "ops/eval/choice.h"
#include "ops/eval/fingerprint.h"
#include "ops/eval/result.h"
#include "ops/eval/suite.h"
#include "os/file.h"

namespace weir::cli {
namespace {

struct Options {
  std::string model;
  std::string load_type;
  std::string suite;
  std::string data;
  std::string out;
  int32_t context_tokens = 8192;
  int64_t limit = 0;
  int threads = 0;
  bool json = false;
};

// Relative files lie below --data, or else beside the suite.
std::string path_of(const Options& o, const std::string& file) {
  namespace fs = std::filesystem;
  if (fs::path(file).is_absolute()) return file;
  const fs::path folder = o.data.empty() ? fs::path(o.suite).parent_path() : fs::path(o.data);
  return (folder / file).string();
}

struct Task {
  ops::SuiteTask task;
  std::vector<ops::ChoiceItem> items;
};

// All items, before the model is loaded: what is wrong with a file is said at once.
Result<std::vector<Task>> read_tasks(const Options& o, const ops::Suite& suite) {
  std::vector<Task> tasks;
  for (const ops::SuiteTask& task : suite.tasks) {
    const std::string path = path_of(o, task.file);
    Result<std::string> text = os::read_file(path, ops::SuiteLimits::kFileBytes);
    if (!text.ok()) {
      return text.error().with_context(fmt::format(
          "{}:{}: the items of {} (relative files lie below --data, or beside the suite)", o.suite,
          task.line, task.name));
    }
    WEIR_ASSIGN(std::vector<ops::ChoiceItem> items,
                ops::parse_choice_items(*text, task.format, path));
    for (const int64_t limit : {task.limit, o.limit}) {
      if (limit > 0 && items.size() > static_cast<size_t>(limit))
        items.resize(static_cast<size_t>(limit));
    }
    tasks.push_back({task, std::move(items)});
  }
  return tasks;
}

void print(const ops::EvalRun& run) {
  for (const ops::EvalTask& t : run.tasks) {
    fmt::print("{:<24} {:<9} {:.4f} ± {:.4f}  ({} items", t.name, t.metric, t.value, t.error,
               t.items.size());
    for (const auto& [name, value] : t.summary) {
      if (name != t.metric) fmt::print(", {} {:.4f}", name, value);
    }
    fmt::print(")\n");
  }
  fmt::print("{} tokens in {:.1f} s, {:.0f} tokens/s\n", run.speed.prompt_tokens, run.speed.seconds,
             run.speed.tokens_per_s);
}

Result<int> eval_task(const Options& o) {
  WEIR_ASSIGN(const ops::Suite suite, ops::read_suite(o.suite));
  WEIR_ASSIGN(const std::vector<Task> tasks, read_tasks(o, suite));
  LoadRequest request;
  request.model = o.model;
  request.load_type = o.load_type;
  request.threads = o.threads;
  request.kv_tokens = o.context_tokens;
  WEIR_ASSIGN(const std::unique_ptr<engine::LoadedModel> model, load_model(request));
  ops::EvalRun run;
  run.model.name = std::filesystem::path(o.model).filename().string();
  run.model.identity = ops::hex(model->identity());
  run.model.vocabulary = ops::hex(ops::vocabulary_hash(model->tokenizer()));
  run.suite_name = suite.name;
  run.suite_hash = suite.hash;
  const SystemClock clock;
  const int64_t start = clock.now_ns();
  ProgressBar bar("eval", 1000, clock);
  for (size_t i = 0; i < tasks.size(); ++i) {
    const Task& task = tasks[i];
    const auto progress = [&](int64_t done, int64_t all) {
      const auto before = static_cast<int64_t>(i) * 1000;
      bar.update(
          static_cast<uint64_t>((before + done * 1000 / all) / static_cast<int64_t>(tasks.size())),
          fmt::format("{} {} of {}", task.task.name, done, all));
    };
    WEIR_ASSIGN(std::vector<ops::EvalItem> items,
                ops::score_choices(model->runner(), model->tokenizer(), task.items,
                                   run.speed.prompt_tokens, progress));
    run.tasks.push_back(ops::choice_task(task.task, std::move(items)));
  }
  run.speed.seconds = static_cast<double>(clock.now_ns() - start) * 1e-9;
  run.speed.tokens_per_s = static_cast<double>(run.speed.prompt_tokens) / run.speed.seconds;
  if (!o.out.empty()) WEIR_TRY(ops::write_eval_run(o.out, run));
  if (o.json) {
    fmt::print("{}\n", ops::to_json(run));
  } else {
    print(run);
  }
  return kExitOk;
}

}  // namespace

void add_eval_task(CLI::App& eval, Selected& selected) {
  auto o = std::make_shared<Options>();
  CLI::App* task =
      add_command(eval, "task", "Run the tasks of a suite: multiple choice by log-likelihood",
                  "  weir eval task smollm2-135m-instruct --suite suites/quick.yaml --data DATA\n"
                  "  weir eval task base.gguf --suite suites/quick.yaml --data DATA -o base.json\n"
                  "  weir eval compare base.json candidate.json\n"
                  "acc and acc_norm are those of lm-evaluation-harness.\n");
  add_model_argument(task, o->model);
  add_load_type(task, o->load_type);
  task->add_option("--suite", o->suite, "the suite, a YAML file")->required();
  task->add_option("--data", o->data, "folder of the suite's files (default: the suite's)");
  task->add_option("--limit", o->limit, "only the first items of each task")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40));
  task->add_option("--ctx", o->context_tokens, "tokens of the cache: what a batch of items takes")
      ->check(CLI::Range(64, 1 << 20))
      ->capture_default_str();
  add_threads_option(task, o->threads);
  task->add_option("-o,--out", o->out, "the result file to write");
  task->add_flag("--json", o->json, "the result as JSON on standard output");
  task->callback([o, &selected] { selected.action = [o] { return eval_task(*o); }; });
}

}  // namespace weir::cli
