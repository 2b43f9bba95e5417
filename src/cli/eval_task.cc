// weir eval task: the tasks of a suite on a model, or at a server.
#include <fmt/format.h>

#include <memory>
#include <string>

#include "cli/command.h"
#include "cli/eval_run.h"
#include "cli/load.h"
#include "cli/terminal.h"
#include "ops/eval/result.h"

namespace weir::cli {
namespace {

struct Options {
  SuiteOptions suite;
  Subject subject;
  std::string out;
  bool json = false;
};

void print(const SuiteRun& done) {
  const ops::EvalRun& run = done.run;
  for (const ops::EvalTask& t : run.tasks) {
    fmt::print("{:<24} {:<9} {:.4f} ± {:.4f}  ({} items", t.name, t.metric, t.value, t.error,
               t.items.size());
    for (const auto& [name, value] : t.summary) {
      if (name != t.metric) fmt::print(", {} {:.4f}", name, value);
    }
    fmt::print(")\n");
  }
  if (done.cost.cached_items > 0) {
    fmt::print("{} items of the cache, {} computed\n", done.cost.cached_items,
               done.cost.computed_items);
  }
  const bool here = run.model.where == "local";
  fmt::print("{} prompt and {} generated tokens in {:.1f} s, {:.0f} tokens/s{}\n",
             run.speed.prompt_tokens, run.speed.generated_tokens, run.speed.seconds,
             run.speed.tokens_per_s,
             here ? fmt::format("; peak memory {}", format_bytes(run.peak_rss_bytes)) : "");
}

Status check(const Subject& s) {
  if (s.model.empty() == s.url.empty()) {
    return make_error(ErrorCode::kUsage,
                      "give either a MODEL or --url URL (with --model NAME for one of its models)");
  }
  if (s.url.empty() && !(s.served_model.empty() && s.api_key_env.empty()))
    return make_error(ErrorCode::kUsage, "--model and --api-key-env go with --url");
  return {};
}

Result<int> eval_task(const Options& o) {
  WEIR_TRY(check(o.subject));
  WEIR_TRY(check_suite_outputs({{"--out", o.out}}, {o.subject.model}, o.suite));
  WEIR_ASSIGN(LoadedSuite suite, load_suite(o.suite));
  WEIR_ASSIGN(const SuiteRun done, run_suite(suite, o.suite, o.subject, "eval"));
  if (!o.out.empty()) WEIR_TRY(ops::write_eval_run(o.out, done.run));
  if (o.json) {
    fmt::print("{}\n", ops::to_json(done.run));
  } else {
    print(done);
  }
  return kExitOk;
}

}  // namespace

void add_eval_task(CLI::App& eval, Selected& selected) {
  auto o =
      std::make_shared<Options>();  // shared: the parser's callbacks and actions outlive this call
  CLI::App* task = add_command(
      eval, "task",
      "Run the tasks of a suite: multiple choice, generated answers, retrieval, determinism, code",
      "  weir eval task smollm2-135m-instruct --suite suites/quick.yaml --data DATA\n"
      "  weir eval task base.gguf --suite suites/release.yaml --data DATA -o base.json\n"
      "  weir eval task base.gguf --suite suites/release.yaml --data DATA --cache eval.jsonl\n"
      "  weir eval task --url http://127.0.0.1:8000 --model NAME --suite suites/release.yaml "
      "--data DATA\n"
      "  weir eval compare base.json candidate.json\n"
      "acc and acc_norm of multiple choice are those of lm-evaluation-harness. A URL is that of "
      "any "
      "server with /v1/chat/completions and\n/v1/completions; multiple choice needs one that gives "
      "log-probabilities of the prompt (echo with logprobs), as vLLM and weir serve do.\n");
  add_model_argument(task, o->subject.model);
  task->get_option("MODEL")->required(false);
  task->add_option("--url", o->subject.url, "a server in place of MODEL; http:// only");
  task->add_option("--model", o->subject.served_model,
                   "the server's model (default: the only one it lists)");
  task->add_option("--api-key-env", o->subject.api_key_env,
                   "the variable of the environment that holds the server's API key");
  task->add_option("--suite", o->suite.suite, "the suite, a YAML file")->required();
  add_suite_options(task, o->suite);
  task->add_option("-o,--out", o->out, "the result file to write");
  task->add_flag("--json", o->json, "the result as JSON on standard output");
  task->callback([o, &selected] { selected.action = [o] { return eval_task(*o); }; });
}

}  // namespace weir::cli
