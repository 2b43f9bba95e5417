// weir eval task: the tasks of a suite on a model.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/load.h"
#include "cli/terminal.h"
#include "engine/loaded_model.h"
#include "kernels/isa.h"
#include "ops/eval/cache.h"
#include "ops/eval/fingerprint.h"
#include "ops/eval/result.h"
#include "ops/eval/suite.h"
#include "ops/eval/task_run.h"
#include "os/build_id.h"
#include "os/memory.h"
#include "text/chat_template.h"

namespace weir::cli {
namespace {

struct Options {
  std::string model;
  std::string load_type;
  std::string suite;
  std::string data;
  std::string out;
  std::string cache;
  int32_t context_tokens = 8192;
  int32_t at_once = 32;
  int64_t limit = 0;
  int threads = 0;
  bool json = false;
};

void print(const ops::EvalRun& run, const ops::RunCost& cost) {
  for (const ops::EvalTask& t : run.tasks) {
    fmt::print("{:<24} {:<9} {:.4f} ± {:.4f}  ({} items", t.name, t.metric, t.value, t.error,
               t.items.size());
    for (const auto& [name, value] : t.summary) {
      if (name != t.metric) fmt::print(", {} {:.4f}", name, value);
    }
    fmt::print(")\n");
  }
  if (cost.cached_items > 0) {
    fmt::print("{} items of the cache, {} computed\n", cost.cached_items, cost.computed_items);
  }
  fmt::print("{} prompt and {} generated tokens in {:.1f} s, {:.0f} tokens/s; peak memory {}\n",
             run.speed.prompt_tokens, run.speed.generated_tokens, run.speed.seconds,
             run.speed.tokens_per_s, format_bytes(run.peak_rss_bytes));
}

void notice(const std::string& what) { fmt::print(stderr, "weir: {}\n", what); }

Result<std::optional<ops::ResultCache>> open_cache(const std::string& path) {
  if (path.empty()) return std::optional<ops::ResultCache>();
  WEIR_ASSIGN(ops::ResultCache cache, ops::ResultCache::open(path));
  if (cache.cut_bytes() > 0) {
    notice(fmt::format("{}: a last line was torn, as by a kill; its {} bytes are cut off", path,
                       cache.cut_bytes()));
  }
  return std::optional<ops::ResultCache>(std::move(cache));
}

// Runs all tasks, with one progress bar.
Status run_tasks(ops::TaskRunner& with, const std::vector<ops::LoadedTask>& tasks,
                 ops::EvalRun& run, ops::RunCost& cost) {
  ProgressBar bar("eval", 1000, with.clock);
  for (size_t i = 0; i < tasks.size(); ++i) {
    with.progress = [&](int64_t done, int64_t all) {
      const auto before = static_cast<int64_t>(i) * 1000;
      bar.update(
          static_cast<uint64_t>((before + done * 1000 / all) / static_cast<int64_t>(tasks.size())),
          fmt::format("{} {} of {}", tasks[i].task.name, done, all));
    };
    auto task = ops::run_task(with, tasks[i], cost);
    if (!task.ok()) return task.error().with_context("task " + tasks[i].task.name);
    run.tasks.push_back(std::move(*task));
  }
  return {};
}

void name_model(const Options& o, const engine::LoadedModel& model, ops::EvalRun& run) {
  run.model.name = std::filesystem::path(o.model).filename().string();
  run.model.identity = ops::hex(model.identity());
  run.model.vocabulary = ops::hex(ops::vocabulary_hash(model.tokenizer()));
}

Result<int> eval_task(const Options& o) {
  WEIR_ASSIGN(const ops::Suite suite, ops::read_suite(o.suite));
  WEIR_ASSIGN(const std::vector<ops::LoadedTask> tasks,
              ops::load_tasks(suite, o.suite, o.data, o.limit));
  WEIR_ASSIGN(std::optional<ops::ResultCache> cache, open_cache(o.cache));
  LoadRequest request;
  request.model = o.model;
  request.load_type = o.load_type;
  request.threads = o.threads;
  request.kv_tokens = o.context_tokens;
  WEIR_ASSIGN(const std::unique_ptr<engine::LoadedModel> model, load_model(request));
  WEIR_ASSIGN(const text::ChatTemplate chat, text::ChatTemplate::from_gguf(model->file()));
  ops::EvalRun run;
  name_model(o, *model, run);
  run.suite_name = suite.name;
  run.suite_hash = suite.hash;
  const SystemClock clock;
  ops::TaskRunner with{model->runner(), model->tokenizer(), chat, clock};
  with.cache = cache.has_value() ? &*cache : nullptr;
  with.fingerprint = fmt::format("{} {} {} {}", run.model.identity, kernels::isa_name(model->isa()),
                                 o.load_type, os::build_id());
  with.at_once = static_cast<size_t>(o.at_once);
  with.notice = notice;
  ops::RunCost cost;
  const int64_t start = clock.now_ns();
  WEIR_TRY(run_tasks(with, tasks, run, cost));
  run.speed.seconds = std::max(1e-9, static_cast<double>(clock.now_ns() - start) * 1e-9);
  run.speed.prompt_tokens = cost.prompt_tokens;
  run.speed.generated_tokens = cost.generated_tokens;
  run.speed.tokens_per_s =
      static_cast<double>(cost.prompt_tokens + cost.generated_tokens) / run.speed.seconds;
  run.peak_rss_bytes = os::peak_resident_bytes();
  run.cached_items = cost.cached_items;
  if (!o.out.empty()) WEIR_TRY(ops::write_eval_run(o.out, run));
  if (o.json) {
    fmt::print("{}\n", ops::to_json(run));
  } else {
    print(run, cost);
  }
  return kExitOk;
}

}  // namespace

void add_eval_task(CLI::App& eval, Selected& selected) {
  auto o = std::make_shared<Options>();
  CLI::App* task = add_command(
      eval, "task",
      "Run the tasks of a suite: multiple choice, generated answers, retrieval, determinism",
      "  weir eval task smollm2-135m-instruct --suite suites/quick.yaml --data DATA\n"
      "  weir eval task base.gguf --suite suites/release.yaml --data DATA -o base.json\n"
      "  weir eval task base.gguf --suite suites/release.yaml --data DATA --cache eval.jsonl\n"
      "  weir eval compare base.json candidate.json\n"
      "acc and acc_norm of multiple choice are those of lm-evaluation-harness.\n");
  add_model_argument(task, o->model);
  add_load_type(task, o->load_type);
  task->add_option("--suite", o->suite, "the suite, a YAML file")->required();
  task->add_option("--data", o->data, "folder of the suite's files (default: the suite's)");
  task->add_option("--limit", o->limit, "only the first items of each task")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40));
  task->add_option("--ctx", o->context_tokens,
                   "tokens of the cache: the window, and what items that run together share")
      ->check(CLI::Range(64, 1 << 24))
      ->capture_default_str();
  task->add_option("--at-once", o->at_once, "prompts that generate together")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  task->add_option("--cache", o->cache,
                   "a file of answers: those in it are not computed again, new ones are added");
  add_threads_option(task, o->threads);
  task->add_option("-o,--out", o->out, "the result file to write");
  task->add_flag("--json", o->json, "the result as JSON on standard output");
  task->callback([o, &selected] { selected.action = [o] { return eval_task(*o); }; });
}

}  // namespace weir::cli
